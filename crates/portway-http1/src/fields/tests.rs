use crate::check::{pairs, request};
use crate::{BodyDecoder, Fields, Framing, Limits, Name, Piece};

fn fields(lines: &str) -> Fields {
    request(format!("GET / HTTP/1.0\r\n{lines}\r\n")).fields().clone()
}

#[test]
fn fields_are_found_by_name_in_order() {
    let fields = fields("Set-Cookie: a\r\nX-One: 1\r\nset-cookie: b\r\nx-one: 2\r\n");
    assert_eq!(fields.len(), 4);
    assert!(!fields.is_empty() && Fields::default().is_empty());
    assert!(fields.has(Name::SetCookie) && fields.has(Name::Other) && !fields.has(Name::Cookie));
    assert!(fields.repeated(Name::SetCookie) && !fields.repeated(Name::Cookie));
    assert_eq!(fields.get(Name::SetCookie), Some(&b"a"[..]));
    assert_eq!(fields.get(Name::Host), None);
    assert_eq!(fields.all(Name::SetCookie).collect::<Vec<_>>(), [b"a", b"b"]);
    assert_eq!(fields.get_named(b"X-ONE"), Some(&b"1"[..]));
    assert_eq!(fields.get_named(b"X-Two"), None);
    assert_eq!(fields.iter().len(), 4);
}

#[test]
fn one_field_is_not_repeated() {
    let fields = fields("Vary: a\r\nVia: b\r\n");
    assert!(fields.has(Name::Vary) && !fields.repeated(Name::Vary) && !fields.repeated(Name::Via));
}

#[test]
fn a_comma_list_goes_over_lines_and_skips_empty_members() {
    let fields = fields("Connection: a, ,B\t,\r\nX: z\r\nConnection:\r\nconnection: \tc d ,e\r\n");
    let members: Vec<_> = fields.list(Name::Connection).collect();
    assert_eq!(members, [&b"a"[..], b"B", b"c d", b"e"]);
    assert!(fields.list_contains(Name::Connection, "b"));
    assert!(fields.list_contains(Name::Connection, b"C D"));
    for other in ["c", "z", "", "a,"] {
        assert!(!fields.list_contains(Name::Connection, other), "{other}");
    }
    assert!(!fields.list_contains(Name::Vary, "a"));
}

#[test]
fn trailers_that_frame_route_or_authenticate_are_not_relayed() {
    let kept = "Grpc-Status: 0\r\nServer-Timing: a\r\nETag: b\r\nX-Checksum: c\r\n";
    let dropped = [
        "Content-Length",
        "Transfer-Encoding",
        "Host",
        "Cookie",
        "Set-Cookie",
        "Authorization",
        "Connection",
        "TE",
        "Trailer",
        "X-Forwarded-For",
        "X-Portway-Identity",
        "X_Portway_Identity",
        "Content-Encoding",
        "Content-Type",
        "Content-Range",
        "Cache-Control",
        "Expect",
        "Max-Forwards",
        "Pragma",
        "Range",
        "If-Match",
        "If-None-Match",
        "If-Modified-Since",
        "If-Unmodified-Since",
        "If-Range",
        "WWW-Authenticate",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "Authentication-Info",
        "Proxy-Authentication-Info",
        "Age",
        "Expires",
        "Date",
        "Location",
        "Retry-After",
        "Vary",
        "Warning",
        "Upgrade",
        "Keep-Alive",
        "Clear-Site-Data",
        "Access-Control-Allow-Origin",
        "HTTP2-Settings",
        "Strict-Transport-Security",
    ];
    let all: String = dropped.iter().map(|name| format!("{name}: x\r\n")).collect();
    let mut buf = bytes::BytesMut::from(format!("0\r\n{kept}{all}\r\n").as_str());
    let piece = BodyDecoder::new(Framing::Chunked, &Limits::request()).decode(&mut buf).unwrap();
    let Piece::End(Some(trailers)) = piece else { panic!("{piece:?}") };
    assert_eq!(trailers.len(), dropped.len() + 4);
    let safe: Vec<_> = trailers.trailer_safe().map(|field| field.name.escape_ascii().to_string()).collect();
    assert_eq!(safe, ["Grpc-Status", "Server-Timing", "ETag", "X-Checksum"]);
    assert_eq!(pairs(&trailers)[0].1, b"0");
}
