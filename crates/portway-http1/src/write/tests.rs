use super::*;
use crate::check::{pairs, request, response};

fn written(write: impl FnOnce(&mut BytesMut)) -> String {
    let mut out = BytesMut::from("kept|");
    write(&mut out);
    String::from_utf8(out.to_vec()).unwrap()
}

#[test]
fn a_request_is_written_as_it_was_read() {
    let text = "PUT /a?b=%20 HTTP/1.1\r\nhOST: a\r\nX-B: two  words\r\nx-empty: \r\n\r\n";
    let head = request(text);
    let out = written(|out| {
        let mut writer = HeadWriter::request(out, head.method(), head.target()).unwrap();
        head.fields().iter().for_each(|field| writer.copy(field));
        writer.finish();
    });
    assert_eq!(out, format!("kept|{text}"));
}

#[test]
fn a_response_is_written_as_it_was_read() {
    let text = "HTTP/1.1 404 No such thing\r\nServer: x\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n";
    let head = response(text, "GET");
    let out = written(|out| {
        let mut writer = HeadWriter::response(out, head.status(), head.reason()).unwrap();
        head.fields().iter().for_each(|field| writer.copy(field));
        writer.finish();
    });
    assert_eq!(out, format!("kept|{text}"));
}

#[test]
fn statuses_are_three_digits_from_100_to_599() {
    for status in [100, 101, 209, 345, 599] {
        let out = written(|out| HeadWriter::response(out, status, b"").unwrap().finish());
        assert_eq!(out, format!("kept|HTTP/1.1 {status} \r\n\r\n"));
        assert_eq!(response(&out[5..], "GET").status(), status);
    }
    for status in [0, 99, 600, 999, 1000, u16::MAX] {
        let out = written(|out| {
            let refused = HeadWriter::response(out, status, b"").unwrap_err();
            assert_eq!(refused.rule, Rule::StatusCode);
        });
        assert_eq!(out, "kept|");
    }
}

#[test]
fn what_would_end_a_line_is_not_written() {
    let mut out = BytesMut::new();
    for bad in ["", "G T", "G\r\n", "G:"] {
        assert_eq!(HeadWriter::request(&mut out, bad.as_bytes(), b"/").unwrap_err().rule, Rule::Method);
    }
    for bad in ["", " ", "/ ", "/\r", "/\n", "/#", "/\u{e9}", "/\x7f"] {
        let refused = HeadWriter::request(&mut out, b"GET", bad.as_bytes()).unwrap_err();
        assert_eq!(refused.rule, Rule::TargetByte);
    }
    let bad_text = ["\r", "\n", "a\r\nb", "\0", "a\x7f", "a\tb\x01", "\t\t\x1f"];
    for bad in bad_text {
        let refused = HeadWriter::response(&mut out, 200, bad.as_bytes()).unwrap_err();
        assert_eq!(refused.rule, Rule::FieldValue);
    }
    assert!(out.is_empty());
    let mut writer = HeadWriter::response(&mut out, 200, b"OK").unwrap();
    for bad in ["", " ", "a b", "a:", "a\r\n", "\u{e9}"] {
        assert_eq!(writer.put(bad, "v").unwrap_err().rule, Rule::FieldName);
    }
    for bad in bad_text {
        assert_eq!(writer.put("a", bad).unwrap_err().rule, Rule::FieldValue);
    }
    writer.put("A", "b\tc \u{e9}").unwrap();
    writer.put(b"D", b"").unwrap();
    writer.finish();
    assert_eq!(&out[..], "HTTP/1.1 200 OK\r\nA: b\tc \u{e9}\r\nD: \r\n\r\n".as_bytes());
}

#[test]
fn a_length_is_written_in_decimal() {
    for length in [0, 1, 9, 10, 1234567890, u64::MAX] {
        let out = written(|out| {
            let mut writer = HeadWriter::response(out, 200, b"OK").unwrap();
            writer.put_length(length);
            writer.finish();
        });
        assert_eq!(out, format!("kept|HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
    }
}

#[test]
fn a_chunk_head_is_its_length_in_hexadecimal() {
    for length in [1, 9, 10, 15, 16, 17, 255, 256, 4095, 65536, 0x0123_4567_89ab_cdef, usize::MAX] {
        assert_eq!(written(|out| write_chunk_head(out, length)), format!("kept|{length:x}\r\n"));
    }
}

#[test]
fn an_empty_chunk_is_not_written() {
    assert_eq!(written(|out| write_chunk_head(out, 0)), "kept|");
}

#[test]
fn trailers_end_a_body_as_the_last_chunk_does() {
    let head = response("HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\n\r\n", "GET");
    let out = written(|out| write_trailers(out, head.fields().iter()));
    assert_eq!(out, "kept|0\r\nA: 1\r\nB: 2\r\n\r\n");
    let none = written(|out| write_trailers(out, std::iter::empty()));
    assert_eq!(none.as_bytes()[5..], *LAST_CHUNK);
    let limits = crate::Limits::request();
    let read = crate::check::body(crate::Framing::Chunked, &out.as_bytes()[5..], &limits).unwrap();
    assert_eq!(read.trailers, pairs(head.fields()));
}

#[test]
fn statuses_have_the_reasons_of_the_registry() {
    for status in 100..600 {
        let known = http::StatusCode::from_u16(status).unwrap().canonical_reason();
        let reason = match status {
            // The http crate misses a hyphen, and keeps two names that RFC 9110 changed (15.5.14, 15.5.21).
            203 => "Non-Authoritative Information",
            413 => "Content Too Large",
            422 => "Unprocessable Content",
            _ => known.unwrap_or(""),
        };
        // 418 is reserved (RFC 9110 15.5.19), 510 is obsolete.
        if ![418, 510].contains(&status) {
            assert_eq!(reason_phrase(status), reason, "{status}");
        }
    }
}
