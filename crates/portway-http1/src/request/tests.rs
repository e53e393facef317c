use super::*;
use crate::Limits;
use crate::check::{pairs, read_request, refuses, request};

const HOST: &str = "Host: 3000-x.example\r\n";

/// A request line with a Host and the end of the head.
fn with_host(line: &str) -> String {
    format!("{line}\r\n{HOST}\r\n")
}

/// A GET with these further field lines.
fn with_fields(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\n{HOST}{lines}\r\n")
}

#[test]
fn a_request_keeps_every_byte_order_and_case() {
    let head = request(
        b"PoST /a/%2e//b?x=|{}^[]\"<>\\`&~ HTTP/1.1\r\nhOST:a.example:8080\r\nX-B:  two words\t \r\n\
          x-b:\xe9\x80 \"q\"\r\nX-Empty:\r\nX-Tab: a\tb\r\n\r\nrest",
    );
    assert_eq!(head.method(), b"PoST");
    assert_eq!(head.target(), b"/a/%2e//b?x=|{}^[]\"<>\\`&~");
    assert_eq!(head.path_and_query(), head.target());
    assert_eq!(head.form(), TargetForm::Origin);
    assert_eq!(head.version(), Version::Http11);
    assert_eq!(head.authority(), Some(&b"a.example:8080"[..]));
    let expected: [(&[u8], &[u8]); 5] = [
        (b"hOST", b"a.example:8080"),
        (b"X-B", b"two words"),
        (b"x-b", b"\xe9\x80 \"q\""),
        (b"X-Empty", b""),
        (b"X-Tab", b"a\tb"),
    ];
    let expected = expected.map(|(name, value)| (name.to_vec(), value.to_vec()));
    assert_eq!(pairs(head.fields()), expected);
}

#[test]
fn two_requests_in_one_buffer_are_two_requests() {
    let mut parser = crate::HeadParser::new(Limits::request());
    let both = format!("{}{}", with_host("GET /1 HTTP/1.1"), with_host("HEAD /2 HTTP/1.0"));
    let mut buf = bytes::BytesMut::from(both.as_bytes());
    let first = parser.request(&mut buf).unwrap().unwrap();
    let second = parser.request(&mut buf).unwrap().unwrap();
    assert_eq!((first.method(), first.target()), (&b"GET"[..], &b"/1"[..]));
    assert_eq!((second.method(), second.target()), (&b"HEAD"[..], &b"/2"[..]));
    assert_eq!(second.version(), Version::Http10);
    assert!(buf.is_empty());
}

#[test]
fn secrets_are_not_shown_by_debug() {
    let head = request(with_fields("Cookie: secret\r\n").replace("/ ", "/?secret "));
    let shown = format!("{head:?}");
    assert!(shown.contains("Cookie") && !shown.contains("secret"), "{shown}");
}

#[test]
fn a_start_line_is_method_space_target_space_version() {
    refuses("\r", Rule::EmptyLine);
    refuses("\n", Rule::EmptyLine);
    refuses(" ", Rule::Method);
    refuses("G\0", Rule::Method);
    refuses("G(", Rule::Method);
    refuses("GET\t", Rule::Method);
    refuses(b"\x16", Rule::Method);
    refuses("GET\n", Rule::BareLf);
    refuses("GET\r", Rule::RequestLine);
    refuses("GET  ", Rule::RequestLine);
    refuses("GET /\r", Rule::RequestLine);
    refuses("GET /\n", Rule::BareLf);
    refuses("GET / \r", Rule::RequestLine);
    refuses("GET / \n", Rule::BareLf);
    refuses("GET /  ", Rule::RequestLine);
    refuses("GET / h", Rule::RequestLine);
    refuses("GET / HTTP ", Rule::RequestLine);
    refuses("GET / HTTQ", Rule::RequestLine);
    refuses("GET / HTTP/1,", Rule::RequestLine);
    refuses("GET / HTTP/11", Rule::RequestLine);
    refuses("GET / HTTP/x", Rule::RequestLine);
    refuses("GET / HTTP/1.x", Rule::RequestLine);
    refuses("GET / HTTP/1.1 ", Rule::RequestLine);
    refuses("GET / HTTP/1.10", Rule::RequestLine);
    refuses("GET / HTTP/1.1\n", Rule::BareLf);
    refuses("GET / HTTP/1.1\rX", Rule::BareCr);
    refuses("GET / HTTP/1.1\r\r", Rule::BareCr);
}

#[test]
fn another_version_is_505() {
    for version in ["0", "2", "3", "9"] {
        refuses(format!("GET / HTTP/{version}"), Rule::Version);
    }
    for version in ["1.2", "1.3", "1.9"] {
        refuses(format!("GET / HTTP/{version}"), Rule::Version);
    }
    refuses("PRI * HTTP/2", Rule::Version);
    assert_eq!(request("GET / HTTP/1.0\r\n\r\n").version(), Version::Http10);
}

#[test]
fn a_method_is_a_token_of_at_most_32_bytes() {
    let longest = "M".repeat(32);
    let head = request(with_host(&format!("{longest} / HTTP/1.1")));
    assert_eq!(head.method(), longest.as_bytes());
    refuses("M".repeat(33), Rule::MethodLong);
    assert_eq!(request(with_host("!#$%&'*+-.^_`|~9 / HTTP/1.1")).method().len(), 16);
}

#[test]
fn a_target_has_only_visible_ascii_and_no_fragment() {
    for b in (0..=255u8).filter(|b| !(33..=126).contains(b) || *b == b'#') {
        let rule = match b {
            b'\n' => Rule::BareLf,
            b'\r' => Rule::RequestLine,
            b' ' => continue,
            _ => Rule::TargetByte,
        };
        refuses([b"GET /abcdefgh", &[b][..]].concat(), rule);
        refuses([b"GET ", &[b][..]].concat(), rule);
    }
}

#[test]
fn a_target_of_the_limit_passes_and_one_byte_more_is_414() {
    let limits = Limits { target_bytes: 20, ..Limits::request() };
    let target = "/".repeat(20);
    let head = read_request(with_host(&format!("GET {target} HTTP/1.1")).as_bytes(), &limits);
    assert_eq!(head.unwrap().unwrap().target(), target.as_bytes());
    let line = format!("GET {target}/");
    assert_eq!(read_request(line.as_bytes(), &limits).err(), Some(Rule::TargetLong));
    assert!(matches!(read_request(&line.as_bytes()[..24], &limits), Ok(None)));
}

#[test]
fn a_head_of_the_limit_passes_and_one_byte_more_is_431() {
    let text = with_fields("X: 1\r\n");
    let limits = |head_bytes| Limits { head_bytes, ..Limits::request() };
    let length = text.len();
    let bytes = [text.as_bytes(), b"more"].concat();
    assert!(read_request(&bytes, &limits(length)).unwrap().is_some());
    assert!(read_request(&bytes[..length], &limits(length)).unwrap().is_some());
    let refused = Some(Rule::HeadLong);
    assert_eq!(read_request(&bytes, &limits(length - 1)).err(), refused);
    assert_eq!(read_request(&bytes[..length - 1], &limits(length - 1)).err(), refused);
    assert!(read_request(&bytes[..length - 2], &limits(length - 1)).unwrap().is_none());
    // A fault beyond the limit is never seen.
    assert_eq!(read_request(b"GET / HTTP/1.1\r\nA: \0", &limits(19)).err(), refused);
    assert_eq!(read_request(b"GET /abc\0", &limits(8)).err(), refused);
}

#[test]
fn as_many_fields_as_the_limit_pass_and_one_more_is_431() {
    let limits = Limits { fields: 3, ..Limits::request() };
    let three = "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\n";
    let head = read_request(format!("{three}\r\n").as_bytes(), &limits);
    assert_eq!(head.unwrap().unwrap().fields().len(), 3);
    assert_eq!(read_request(format!("{three}C").as_bytes(), &limits).err(), Some(Rule::FieldCount));
    assert!(matches!(read_request(three.as_bytes(), &limits), Ok(None)));
}

#[test]
fn the_limits_of_a_request_are_those_of_the_design() {
    let limits = Limits::request();
    assert_eq!((limits.head_bytes, limits.fields, limits.target_bytes), (32768, 100, 16384));
    assert_eq!((limits.chunk_extension_bytes, limits.trailer_bytes), (16384, 8192));
}

#[test]
fn a_field_line_is_name_colon_value_crlf() {
    let line = |rest: &str| format!("GET / HTTP/1.1\r\nA: 1\r\n{rest}");
    refuses(line("\n"), Rule::BareLf);
    refuses(line("\r\r"), Rule::BareCr);
    refuses(line("\rX"), Rule::BareCr);
    refuses(line(" "), Rule::ObsFold);
    refuses(line("\t"), Rule::ObsFold);
    refuses(line(":"), Rule::EmptyName);
    refuses(line("B "), Rule::SpaceBeforeColon);
    refuses(line("B\t"), Rule::SpaceBeforeColon);
    refuses(line("B\r"), Rule::NoColon);
    refuses(line("B\n"), Rule::BareLf);
    refuses(line("B\0"), Rule::FieldName);
    refuses(line("B\""), Rule::FieldName);
    refuses(line("B/"), Rule::FieldName);
    refuses(line("B\x7f"), Rule::FieldName);
    refuses([line("B").as_bytes(), b"\x80"].concat(), Rule::FieldName);
    refuses(line("B: x\n"), Rule::BareLf);
    refuses(line("B:\n"), Rule::BareLf);
    refuses(line("B: x\ry"), Rule::BareCr);
    refuses(line("B: x\r\r"), Rule::BareCr);
    refuses("GET / HTTP/1.1\r\n ", Rule::ObsFold);
    refuses("GET / HTTP/1.1\r\n\n", Rule::BareLf);
}

#[test]
fn a_value_has_no_control_but_tab() {
    for b in (0..=255u8).filter(|b| (*b < 32 && *b != 9) || *b == 127) {
        let rule = match b {
            b'\n' => Rule::BareLf,
            b'\r' => continue,
            _ => Rule::FieldValue,
        };
        refuses([b"GET / HTTP/1.1\r\nA: 12345678", &[b][..]].concat(), rule);
    }
    let head = request(with_fields("A: \t a\tb \t\r\nB: \t \r\n"));
    assert_eq!(head.fields().get_named(b"a"), Some(&b"a\tb"[..]));
    assert_eq!(head.fields().get_named(b"B"), Some(&b""[..]));
}

#[test]
fn host_is_there_once_and_is_one_authority() {
    refuses("GET / HTTP/1.1\r\n\r\n", Rule::HostMissing);
    refuses("GET http://a/ HTTP/1.1\r\n\r\n", Rule::HostMissing);
    refuses("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", Rule::HostRepeated);
    refuses("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", Rule::HostRepeated);
    assert_eq!(request("GET / HTTP/1.0\r\n\r\n").authority(), None);
    for host in [
        "",
        "a,b",
        "a, b",
        "a b",
        "u@a",
        "u:p@a",
        "a:",
        ":80",
        "a:0",
        "a:65536",
        "a:99999",
        "a:80a",
        "a:+80",
        "a:080000",
        "a/",
        "a?",
        "a%41",
        "a;b",
        "a=b",
        "[::1",
        "::1]",
        "[]",
        "[::1]a",
        "[::1]:",
        "[::1]:x",
        "[::1%25lo]",
        "[fe80::1%lo]",
        "[v1.a]",
        "[1.2.3.4]",
        "a:80:80",
        "[::1]:80:80",
        "a]:80",
        "\u{e9}",
        "a\\b",
        "a*",
        "*",
        "~",
        "a&b",
        "a#b",
        "\"a\"",
        "a\tb",
        "http://a",
    ] {
        refuses(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), Rule::HostInvalid);
    }
    for host in [
        "a",
        "A.Example",
        "3000-x.portway.localhost:8080",
        "a_b",
        "-",
        "a.",
        "1.2.3.4",
        "1.2.3.4:1",
        "[::1]",
        "[2001:DB8::1]:65535",
        "[::ffff:1.2.3.4]",
        "a:00080",
    ] {
        let head = request(format!("GET / HTTP/1.1\r\nHost:\t{host} \r\n\r\n"));
        assert_eq!(head.authority(), Some(host.as_bytes()));
    }
}

#[test]
fn an_absolute_target_agrees_with_host() {
    let head = request("GET HTTP://A.b:80/p?q HTTP/1.1\r\nHost: a.B:80\r\n\r\n");
    assert_eq!(head.form(), TargetForm::Absolute);
    assert_eq!(head.target(), b"HTTP://A.b:80/p?q");
    assert_eq!(head.path_and_query(), b"/p?q");
    assert_eq!(head.authority(), Some(&b"a.B:80"[..]));
    let head = request("GET https://a HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(head.path_and_query(), b"/");
    let head = request("GET http://a/ HTTP/1.0\r\n\r\n");
    assert_eq!(head.authority(), Some(&b"a"[..]));
    assert_eq!(head.path_and_query(), b"/");
    let head = request("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(head.form(), TargetForm::Absolute);
    assert_eq!(head.path_and_query(), b"*", "it asks about the server (RFC 9112 3.2.4)");
    for host in ["b", "a:80", "aa"] {
        refuses(format!("GET http://a/ HTTP/1.1\r\nHost: {host}\r\n\r\n"), Rule::HostDiffers);
    }
}

#[test]
fn a_target_has_one_of_the_four_forms() {
    for target in [
        "a",
        "a/",
        "*",
        "**",
        "*/",
        "?",
        "?a=/",
        "http:",
        "http:/",
        "http:/a",
        "https:a",
        "ftp://a/",
        "ws://a/",
        "javascript:1",
        "http//a",
        "xhttp://a/",
        "http://a?q",
        "//",
        "a:80",
    ]
    .iter()
    .filter(|target| !target.starts_with('/'))
    {
        refuses(with_host(&format!("GET {target} HTTP/1.1")), Rule::TargetForm);
    }
    for target in ["http://", "http:///", "http:///a", "http://u@a/", "http://a:/", "http://a,b/", "http://?a"] {
        refuses(with_host(&format!("GET {target} HTTP/1.1")), Rule::HostInvalid);
    }
    assert_eq!(request(with_host("GET //a/b HTTP/1.1")).path_and_query(), b"//a/b");
    assert_eq!(request(with_host("GET /? HTTP/1.1")).path_and_query(), b"/?");
}

#[test]
fn an_asterisk_is_for_options_only() {
    let head = request(with_host("OPTIONS * HTTP/1.1"));
    assert_eq!((head.form(), head.path_and_query()), (TargetForm::Asterisk, &b"*"[..]));
    refuses(with_host("options * HTTP/1.1"), Rule::TargetForm);
    refuses(with_host("OPTIONS ** HTTP/1.1"), Rule::TargetForm);
    refuses(with_host("GET * HTTP/1.1"), Rule::TargetForm);
    assert_eq!(request(with_host("OPTIONS /a HTTP/1.1")).form(), TargetForm::Origin);
}

#[test]
fn an_authority_is_for_connect_only() {
    let head = request("CONNECT a:443 HTTP/1.1\r\nHost: A:443\r\n\r\n");
    assert_eq!(head.form(), TargetForm::Authority);
    assert_eq!((head.target(), head.path_and_query()), (&b"a:443"[..], &b""[..]));
    assert_eq!(head.authority(), Some(&b"A:443"[..]));
    refuses(with_host("CONNECT / HTTP/1.1"), Rule::TargetForm);
    refuses(with_host("CONNECT a HTTP/1.1"), Rule::TargetForm);
    refuses(with_host("CONNECT [::1] HTTP/1.1"), Rule::TargetForm);
    refuses(with_host("CONNECT http://a/ HTTP/1.1"), Rule::HostInvalid);
    refuses(with_host("CONNECT u@a:1 HTTP/1.1"), Rule::HostInvalid);
    refuses("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", Rule::HostDiffers);
    refuses(with_host("GET a:443 HTTP/1.1"), Rule::TargetForm);
}

#[test]
fn only_http11_without_close_keeps_the_connection() {
    assert!(request(with_fields("")).keep_alive());
    assert!(request(with_fields("Connection: keep-alive, upgrade\r\n")).keep_alive());
    assert!(request(with_fields("Connection: closed\r\n")).keep_alive());
    assert!(!request(with_fields("Connection: Close\r\n")).keep_alive());
    assert!(!request(with_fields("Connection: x\r\nConnection: a,\tCLOSE ,b\r\n")).keep_alive());
    assert!(!request("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n").keep_alive());
}

#[test]
fn the_only_expectation_is_100_continue() {
    assert!(!request(with_fields("")).expects_continue());
    assert!(request(with_fields("Expect: 100-Continue\r\n")).expects_continue());
    assert!(!request("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").expects_continue());
    for expect in ["", "x", "100-continue, x", "100-continue,", "200-ok", "100-continue;a"] {
        refuses(with_fields(&format!("Expect: {expect}\r\n")), Rule::Expectation);
    }
    refuses(with_fields("Expect: 100-continue\r\nExpect: 100-continue\r\n"), Rule::Expectation);
}

#[test]
fn a_websocket_is_opened_by_a_get_that_asks_for_it_in_full() {
    let opening = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n";
    assert!(request(with_fields(opening)).upgrade_websocket());
    assert!(!request(with_fields("Upgrade: websocket\r\n")).upgrade_websocket());
    assert!(!request(with_fields("Connection: upgrade\r\n")).upgrade_websocket());
    assert!(!request(with_fields("Connection: upgrade\r\nUpgrade: h2c\r\n")).upgrade_websocket());
    assert!(!request(with_fields("Connection: x\r\nUpgrade: websocket\r\n")).upgrade_websocket());
    for framing in ["Content-Length: 0\r\n", "Content-Length: 1\r\n", "Transfer-Encoding: chunked\r\n"] {
        assert!(!request(with_fields(&format!("{opening}{framing}"))).upgrade_websocket());
    }
    assert!(!request(with_fields(opening).replace("GET", "POST")).upgrade_websocket());
    assert!(!request(with_fields(opening).replace("GET", "get")).upgrade_websocket());
    assert!(!request(with_fields(opening).replace("1.1", "1.0")).upgrade_websocket());
}
