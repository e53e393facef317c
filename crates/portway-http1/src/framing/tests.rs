use super::*;
use crate::check::{refuses, refuses_response, request, response};

fn of(lines: &str) -> Framing {
    request(format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")).framing()
}

#[track_caller]
fn never(lines: &str, rule: Rule) {
    refuses(format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"), rule);
    refuses_response(format!("HTTP/1.1 200 OK\r\n{lines}\r\n"), rule);
}

#[test]
fn a_request_has_the_body_it_declares_and_no_other() {
    assert_eq!(of(""), Framing::None);
    assert_eq!(of("Content-Length: 0\r\n"), Framing::Length(0));
    assert_eq!(of("content-LENGTH:\t 12 \r\n"), Framing::Length(12));
    assert_eq!(of("Content-Length: 0012\r\n"), Framing::Length(12));
    assert_eq!(of("Content-Length: 18446744073709551615\r\n"), Framing::Length(u64::MAX));
    assert_eq!(of("transfer-encoding: Chunked\r\n"), Framing::Chunked);
    let old = request("POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(old.framing(), Framing::Length(5));
}

#[test]
fn a_content_length_is_digits_only() {
    for value in [
        "",
        "+1",
        "-1",
        "-0",
        "1,1",
        "1, 1",
        "1 1",
        "0x1",
        "1_0",
        "1e1",
        "1.0",
        "1;",
        "\"1\"",
        "a",
        "1a",
        "a1",
        ":1",
        "18446744073709551616",
        "99999999999999999999",
        "184467440737095516150",
        "\u{661}",
    ] {
        never(&format!("Content-Length: {value}\r\n"), Rule::ContentLength);
    }
}

#[test]
fn a_content_length_is_given_once() {
    let rule = Rule::ContentLengthRepeated;
    never("Content-Length: 5\r\nContent-Length: 5\r\n", rule);
    never("Content-Length: 5\r\nA: b\r\ncontent-length: 6\r\n", rule);
}

#[test]
fn a_transfer_encoding_is_exactly_chunked() {
    for value in [
        "",
        "chunked,",
        ",chunked",
        "gzip, chunked",
        "chunked, gzip",
        "chunked, chunked",
        "chunked;q=1",
        "chunked ;",
        "\"chunked\"",
        "chunked chunked",
        "chun\tked",
        "chunked\u{80}",
        "\u{fe}chunked",
        "[chunked]",
        "chunked=1",
        "(chunked",
        "x:chunked",
    ] {
        never(&format!("Transfer-Encoding: {value}\r\n"), Rule::TransferEncoding);
    }
    for value in ["gzip", "identity", "chunke", "chunkedd", "xchunked", "chunked-", "cow"] {
        never(&format!("Transfer-Encoding: {value}\r\n"), Rule::TransferCodingUnknown);
    }
    for value in ["chunked\x0b", "\x0cchunked", "chunked\0"] {
        let fault = value.find(|c: char| c.is_control()).unwrap();
        refuses(format!("POST / HTTP/1.1\r\nTransfer-Encoding: {}", &value[..=fault]), Rule::FieldValue);
    }
    assert_eq!(of("Transfer-Encoding: \t chunked\t \r\n"), Framing::Chunked);
}

#[test]
fn a_transfer_encoding_is_given_once_alone_and_on_http11() {
    never("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Rule::TransferEncodingRepeated);
    never("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", Rule::TransferEncodingRepeated);
    never("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Rule::TeWithCl);
    never("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", Rule::TeWithCl);
    never("Content-Length: x\r\nTransfer-Encoding: y\r\n", Rule::TeWithCl);
    refuses("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Rule::TeOnHttp10);
    refuses_response("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Rule::TeOnHttp10);
}

#[test]
fn a_transfer_encoding_by_another_spelling_is_another_field() {
    for name in
        ["Transfer_Encoding", "Transfer.Encoding", "X-Transfer-Encoding", "TransferEncoding", "Transfer-Encodin"]
    {
        assert_eq!(of(&format!("{name}: chunked\r\nContent-Length: 3\r\n")), Framing::Length(3));
    }
}

#[test]
fn a_response_ends_by_its_fields_or_by_closing() {
    let of =
        |status: u16, lines: &str, method| response(format!("HTTP/1.1 {status} x\r\n{lines}\r\n"), method).framing();
    let (length, chunked) = ("Content-Length: 7\r\n", "Transfer-Encoding: chunked\r\n");
    for status in [200, 206, 300, 302, 404, 500, 599] {
        assert_eq!(of(status, "", "GET"), Framing::UntilClose, "{status}");
        assert_eq!(of(status, length, "GET"), Framing::Length(7), "{status}");
        assert_eq!(of(status, chunked, "GET"), Framing::Chunked, "{status}");
    }
    assert_eq!(response("HTTP/1.0 200 OK\r\n\r\n", "GET").framing(), Framing::UntilClose);
}

#[test]
fn some_responses_have_no_body_whatever_they_declare() {
    let of =
        |status: u16, lines: &str, method| response(format!("HTTP/1.1 {status} x\r\n{lines}\r\n"), method).framing();
    let (length, chunked) = ("Content-Length: 7\r\n", "Transfer-Encoding: chunked\r\n");
    for lines in ["", length, chunked] {
        assert_eq!(of(304, lines, "GET"), Framing::None);
        assert_eq!(of(200, lines, "HEAD"), Framing::None);
        assert_eq!(of(404, lines, "HEAD"), Framing::None);
        assert_eq!(of(200, lines, "CONNECT"), Framing::None);
        assert_eq!(of(299, lines, "CONNECT"), Framing::None);
    }
    assert_eq!(of(300, length, "CONNECT"), Framing::Length(7));
    assert_eq!(of(200, length, "head"), Framing::Length(7));
    assert_eq!(of(305, length, "GET"), Framing::Length(7));
    assert_eq!(of(204, "", "GET"), Framing::None);
    assert_eq!(of(204, "Content-Length: 0\r\n", "GET"), Framing::None);
    for status in [100, 101, 103, 199] {
        assert_eq!(of(status, "", "GET"), Framing::None);
    }
}

#[test]
fn a_1xx_or_204_that_declares_a_body_is_refused() {
    let chunked = "Transfer-Encoding: chunked\r\n";
    for status in [100, 101, 103, 199] {
        for lines in ["Content-Length: 0\r\n", "Content-Length: 1\r\n", chunked] {
            refuses_response(format!("HTTP/1.1 {status} x\r\n{lines}\r\n"), Rule::BodyForbidden);
        }
    }
    for lines in ["Content-Length: 1\r\n", chunked] {
        refuses_response(format!("HTTP/1.1 204 x\r\n{lines}\r\n"), Rule::BodyForbidden);
    }
}

#[test]
fn bad_framing_is_refused_even_where_no_body_can_be() {
    for status in [204, 304] {
        let head = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n");
        refuses_response(format!("{head}Content-Length: 0\r\n\r\n"), Rule::ContentLengthRepeated);
        refuses_response(format!("{head}Transfer-Encoding: chunked\r\n\r\n"), Rule::TeWithCl);
    }
}
