use super::*;
use crate::Limits;
use crate::check::{pairs, read_response, refuses_response as refuses, response};

#[test]
fn a_response_keeps_every_byte_order_and_case() {
    let head = response(b"HTTP/1.1 299 All\tof \xe9 it \r\nsET-cOOKIE: a\r\nSet-Cookie: b\r\n\r\nrest", "GET");
    assert_eq!(head.status(), 299);
    assert_eq!(head.reason(), b"All\tof \xe9 it ");
    assert_eq!(head.version(), Version::Http11);
    let expected = [("sET-cOOKIE", "a"), ("Set-Cookie", "b")];
    assert_eq!(pairs(head.fields()), expected.map(|(n, v)| (n.into(), v.into())));
}

#[test]
fn an_empty_reason_may_leave_out_its_space() {
    assert_eq!(response("HTTP/1.1 200\r\n\r\n", "GET").reason(), b"");
    assert_eq!(response("HTTP/1.1 200 \r\n\r\n", "GET").reason(), b"");
    assert_eq!(response("HTTP/1.1 200  \r\n\r\n", "GET").reason(), b" ");
    assert_eq!(response("HTTP/1.1 200 x\r\n\r\n", "GET").reason(), b"x");
}

#[test]
fn a_status_is_three_digits_from_100_to_599() {
    for status in [100, 101, 199, 200, 204, 304, 404, 500, 599] {
        assert_eq!(response(format!("HTTP/1.1 {status} x\r\n\r\n"), "GET").status(), status);
    }
    for status in ["0", "6", "9", "1000", "2000"] {
        refuses(format!("HTTP/1.1 {status}"), Rule::StatusCode);
    }
    for line in ["HTTP/1.1 20 ", "HTTP/1.1 2 ", "HTTP/1.1 20x", "HTTP/1.1  ", "HTTP/1.1 +", "HTTP/1.1 2\r"] {
        refuses(line, Rule::StatusLine);
    }
    refuses("HTTP/1.1 200\t", Rule::StatusLine);
    refuses("HTTP/1.1 200O", Rule::StatusLine);
}

#[test]
fn a_status_line_is_version_space_status_space_reason() {
    for line in
        ["h", "HTTP:", "HTTP/x", "HTTP/1,", "HTTP/1.x", "HTTP/1.1\r", "HTTP/1.1\t", "HTTP/11", "ICY", "HTTP/1.10"]
    {
        let fault = line.len().min(line.find("CY").map_or(line.len(), |_| 1));
        refuses(&line[..fault], Rule::StatusLine);
    }
    for line in ["HTTP/1.1\n", "HTTP/1.1 200\n", "HTTP/1.1 200 OK\n", "HTTP/1.1 2\n"] {
        refuses(line, Rule::BareLf);
    }
    refuses("\r", Rule::EmptyLine);
    refuses("\n", Rule::EmptyLine);
    refuses("HTTP/1.1 200\rX", Rule::BareCr);
    refuses("HTTP/1.1 200 OK\rX", Rule::BareCr);
    refuses("HTTP/1.1 200 O\0", Rule::FieldValue);
    for version in ["0", "2", "1.2", "1.9"] {
        refuses(format!("HTTP/{version}"), Rule::Version);
    }
    assert_eq!(response("HTTP/1.0 200 OK\r\n\r\n", "GET").version(), Version::Http10);
}

#[test]
fn field_lines_of_responses_are_read_as_strictly() {
    refuses("HTTP/1.1 200 OK\r\nA: 1\n", Rule::BareLf);
    refuses("HTTP/1.1 200 OK\r\nA: 1\r\n ", Rule::ObsFold);
    refuses("HTTP/1.1 200 OK\r\nA ", Rule::SpaceBeforeColon);
    refuses("HTTP/1.1 200 OK\r\nA: \x01", Rule::FieldValue);
    refuses("HTTP/1.1 200 OK\r\n\rX", Rule::BareCr);
}

#[test]
fn the_limits_of_a_response_are_64_kib_and_200_fields() {
    let limits = Limits::response();
    assert_eq!((limits.head_bytes, limits.fields), (65536, 200));
    let head = |fields: usize| format!("HTTP/1.1 200 OK\r\n{}", "A: 1\r\n".repeat(fields));
    let whole = format!("{}\r\n", head(200));
    assert_eq!(read_response(whole.as_bytes(), b"GET", &limits).unwrap().unwrap().fields().len(), 200);
    refuses(format!("{}A", head(200)), Rule::FieldCount);
    let start = "HTTP/1.1 200 OK\r\nA: ";
    let value = |length: usize| format!("{start}{}\r\n\r\n", "v".repeat(length - start.len() - 4));
    let parse = |text: &str| {
        let mut buf = bytes::BytesMut::from(text);
        let head = crate::HeadParser::new(Limits::response()).response(&mut buf, b"GET");
        head.map(|head| head.is_some()).map_err(|reject| reject.rule)
    };
    assert_eq!(parse(&value(65536)), Ok(true));
    assert_eq!(parse(&value(65537)), Err(Rule::HeadLong));
}

#[test]
fn a_1xx_is_informational() {
    for (status, informational) in [(100, true), (101, true), (199, true), (200, false), (599, false)] {
        let head = response(format!("HTTP/1.1 {status} x\r\n\r\n"), "GET");
        assert_eq!(head.is_informational(), informational, "{status}");
    }
}

#[test]
fn only_http11_with_an_end_and_without_close_keeps_the_connection() {
    let keeps = |text: &str| response(text, "GET").keep_alive();
    assert!(keeps("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"));
    assert!(keeps("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n"));
    assert!(keeps("HTTP/1.1 304 x\r\n\r\n"));
    assert!(!keeps("HTTP/1.1 200 OK\r\n\r\n"));
    assert!(!keeps("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: Close\r\n\r\n"));
    assert!(!keeps("HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n"));
}

#[test]
fn a_parser_reads_the_interim_responses_and_then_the_final_one() {
    let mut parser = crate::HeadParser::new(Limits::response());
    let mut buf = bytes::BytesMut::from(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    );
    let statuses: Vec<_> = (0..3).map(|_| parser.response(&mut buf, b"GET").unwrap().unwrap().status()).collect();
    assert_eq!(statuses, [100, 103, 200]);
    assert_eq!(&buf[..], b"hi");
    assert!(parser.response(&mut bytes::BytesMut::new(), b"GET").unwrap().is_none());
}

#[test]
fn secrets_are_not_shown_by_debug() {
    let shown = format!("{:?}", response("HTTP/1.1 200 OK\r\nSet-Cookie: secret\r\n\r\n", "GET"));
    assert!(shown.contains("200") && shown.contains("Set-Cookie") && !shown.contains("secret"), "{shown}");
}
