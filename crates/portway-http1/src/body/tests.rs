use proptest::prelude::*;

use super::*;
use crate::check::{body, body_in};
use crate::{CHUNK_END, LAST_CHUNK, write_chunk_head};

/// Reads a chunked body.
fn chunked(bytes: impl AsRef<[u8]>) -> Result<crate::check::Body, Rule> {
    body(Framing::Chunked, bytes.as_ref(), &Limits::request())
}

/// Requires that these chunks are refused by this rule, with their last byte and not before.
#[track_caller]
fn refuses(bytes: impl AsRef<[u8]>, rule: Rule) {
    let bytes = bytes.as_ref();
    let text = bytes.escape_ascii();
    assert_eq!(chunked(bytes).err(), Some(rule), "{text}");
    let before = chunked(&bytes[..bytes.len() - 1]);
    assert!(before.is_ok_and(|body| body.rest.is_none()), "{text}");
}

#[test]
fn without_framing_there_is_no_body() {
    let read = body(Framing::None, b"next", &Limits::request()).unwrap();
    assert!(read.data.is_empty());
    assert!(BodyDecoder::new(Framing::None, &Limits::request()).is_done());
}

#[test]
fn a_length_is_taken_exactly() {
    let limits = Limits::request();
    let read = body_in(Framing::Length(5), &[b"he", b"llonext"], &limits).unwrap();
    assert_eq!(read.data, "hello");
    assert_eq!(read.rest.as_deref(), Some(&b"next"[..]));
    let read = body(Framing::Length(5), b"hell", &limits).unwrap();
    assert_eq!((&read.data[..], read.rest), (&b"hell"[..], None));
    let mut none = BodyDecoder::new(Framing::Length(0), &limits);
    assert!(none.is_done());
    assert!(matches!(none.decode(&mut BytesMut::new()), Ok(Piece::End(None))));
    let huge = body(Framing::Length(u64::MAX), b"abc", &limits).unwrap();
    assert_eq!((&huge.data[..], huge.rest), (&b"abc"[..], None));
}

#[test]
fn the_caller_may_move_the_bytes_of_a_length_itself() {
    let limits = Limits::request();
    let mut decoder = BodyDecoder::new(Framing::Length(10), &limits);
    assert_eq!(decoder.remaining(), Some(10));
    let mut buf = BytesMut::from("abc");
    assert!(matches!(decoder.decode(&mut buf), Ok(Piece::Data(data)) if data == "abc"));
    assert_eq!(decoder.remaining(), Some(7));
    decoder.advance(6);
    assert_eq!(decoder.remaining(), Some(1));
    assert!(!decoder.is_done());
    assert!(decoder.eof().is_err());
    decoder.advance(1);
    assert!(decoder.is_done());
    decoder.advance(1);
    assert_eq!(decoder.remaining(), Some(0));

    let mut chunked = BodyDecoder::new(Framing::Chunked, &limits);
    assert_eq!(chunked.remaining(), None);
    chunked.advance(10);
    assert!(!chunked.is_done());
    assert_eq!(BodyDecoder::new(Framing::UntilClose, &limits).remaining(), None);
}

#[test]
fn a_body_until_close_ends_by_closing() {
    let mut decoder = BodyDecoder::new(Framing::UntilClose, &Limits::response());
    let mut buf = BytesMut::from("HTTP/1.1 200 OK\r\n\r\n0\r\n\r\n");
    let all = buf.clone().freeze();
    assert!(matches!(decoder.decode(&mut buf), Ok(Piece::Data(data)) if data == all));
    assert!(matches!(decoder.decode(&mut buf), Ok(Piece::More)));
    assert!(!decoder.is_done());
    decoder.eof().unwrap();
    assert!(decoder.is_done());
    assert!(matches!(decoder.decode(&mut buf), Ok(Piece::End(None))));
}

#[test]
fn closing_inside_a_body_is_never_its_end() {
    let truncated = |framing, bytes: &[u8]| {
        let mut decoder = BodyDecoder::new(framing, &Limits::request());
        let mut buf = BytesMut::from(bytes);
        while !matches!(decoder.decode(&mut buf).unwrap(), Piece::More | Piece::End(_)) {}
        decoder.eof().err().map(|reject| reject.rule)
    };
    let whole = b"5;a\r\nhello\r\n0\r\nT: v\r\n\r\n";
    for end in 0..whole.len() {
        assert_eq!(truncated(Framing::Chunked, &whole[..end]), Some(Rule::Truncated), "{end}");
    }
    assert_eq!(truncated(Framing::Chunked, whole), None);
    assert_eq!(truncated(Framing::Length(3), b"ab"), Some(Rule::Truncated));
    assert_eq!(truncated(Framing::Length(3), b"abc"), None);
    assert_eq!(truncated(Framing::None, b""), None);
}

#[test]
fn chunks_are_joined_and_what_follows_is_left() {
    let read = chunked("5\r\nhello\r\n1;a=\"b\"\r\n,\r\nA\r\n wonderful\r\n0\r\n\r\nGET /").unwrap();
    assert_eq!(read.data, "hello, wonderful");
    assert_eq!(read.rest.as_deref(), Some(&b"GET /"[..]));
    assert!(read.trailers.is_empty());
}

#[test]
fn the_last_chunk_may_have_more_zeros_and_extensions() {
    for last in ["0\r\n\r\n", "000\r\n\r\n", "0000000000000000\r\n\r\n", "0;a\tb\r\n\r\n", "0;\r\n\r\n"] {
        assert_eq!(chunked(last).unwrap().rest.as_deref(), Some(&b""[..]), "{last:?}");
    }
}

#[test]
fn data_may_look_like_anything() {
    let read = chunked("7\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n").unwrap();
    assert_eq!(read.data, "0\r\n\r\n\r\n");
    assert!(read.rest.is_some());
}

#[test]
fn a_chunk_size_is_one_to_sixteen_hexadecimal_digits() {
    assert_eq!(chunked(format!("0{}\r\nx\r\n{}", "01", "0\r\n\r\n")).unwrap().data, "x");
    assert_eq!(chunked("0000000000000005\r\nhello\r\n").unwrap().data, "hello");
    assert_eq!(chunked("FFFFFFFFffffffff\r\nx").unwrap().data, "x");
    refuses("00000000000000000", Rule::ChunkSize);
    refuses("10000000000000000", Rule::ChunkSize);
    for line in [
        "\r", ";", " ", "+", "-", "0x", "5 ", "5\t", "5,", "g", "G", "/", ":", "@", "`", "5g", "_", "\"", "\0",
        "5\u{0}",
    ] {
        refuses(line, Rule::ChunkSize);
    }
    refuses(b"\x80", Rule::ChunkSize);
    for digit in b"0123456789abcdefABCDEF" {
        let size = usize::from_str_radix(&char::from(*digit).to_string(), 16).unwrap();
        let data = "z".repeat(16 + size);
        let text = format!("1{}\r\n{data}\r\n", char::from(*digit));
        assert_eq!(chunked(text).unwrap().data, data);
    }
}

#[test]
fn the_lines_of_chunks_end_with_crlf_and_nothing_else() {
    refuses("\n", Rule::BareLf);
    refuses("5\n", Rule::BareLf);
    refuses("5;\n", Rule::BareLf);
    refuses("5;a\n", Rule::BareLf);
    refuses("5\rX", Rule::BareCr);
    refuses("5\r\r", Rule::BareCr);
    refuses("5;a\rX", Rule::BareCr);
    refuses("0\rX", Rule::BareCr);
    refuses("5\r\nhello\n", Rule::BareLf);
    refuses("5\r\nhello\rX", Rule::BareCr);
    refuses("5\r\nhello\r\r", Rule::BareCr);
    refuses("5\r\nhello!", Rule::ChunkEnd);
    refuses("5\r\nhello0", Rule::ChunkEnd);
    refuses("0\r\n\n", Rule::BareLf);
    refuses("0\r\n\rX", Rule::BareCr);
}

#[test]
fn an_extension_has_no_control_but_tab() {
    for b in (0..=255u8).filter(|b| (*b < 32 && ![9, 10, 13].contains(b)) || *b == 127) {
        refuses([b"5;a", &[b][..]].concat(), Rule::ChunkExtension);
        refuses([b"5;", &[b][..]].concat(), Rule::ChunkExtension);
    }
    assert_eq!(chunked(b"1; \t\x80\xff\"\\;\r\nx\r\n").unwrap().data, "x");
}

#[test]
fn extensions_are_counted_over_the_whole_body() {
    let limits = Limits { chunk_extension_bytes: 5, ..Limits::request() };
    let within = b"1;ab\r\nx\r\n1;a\r\ny\r\n0\r\n\r\n";
    assert_eq!(body(Framing::Chunked, within, &limits).unwrap().data, "xy");
    let rule = Some(Rule::ChunkExtensionLong);
    assert_eq!(body(Framing::Chunked, b"1;ab\r\nx\r\n1;ab", &limits).err(), rule);
    assert_eq!(body(Framing::Chunked, b"1;ab\r\nx\r\n1;a\r\ny\r\n0;", &limits).err(), rule);
    assert_eq!(body(Framing::Chunked, b"1;abcde", &limits).err(), rule);
    assert!(body(Framing::Chunked, b"1;abcd", &limits).is_ok());
}

#[test]
fn trailers_are_read_by_the_rules_of_fields() {
    let read = chunked("1\r\nx\r\n0\r\nGrpc-Status:  0 \r\nB:\r\n\r\nrest").unwrap();
    let expected = [("Grpc-Status", "0"), ("B", "")];
    assert_eq!(read.trailers, expected.map(|(n, v)| (n.into(), v.into())));
    assert_eq!(read.rest.as_deref(), Some(&b"rest"[..]));
    refuses("0\r\nA ", Rule::SpaceBeforeColon);
    refuses("0\r\n ", Rule::ObsFold);
    refuses("0\r\nA: 1\r\n ", Rule::ObsFold);
    refuses("0\r\n:", Rule::EmptyName);
    refuses("0\r\nA: 1\n", Rule::BareLf);
    refuses("0\r\nA: \0", Rule::FieldValue);
    refuses("0\r\nA\r", Rule::NoColon);
}

#[test]
fn trailers_are_given_once() {
    let mut decoder = BodyDecoder::new(Framing::Chunked, &Limits::request());
    let mut buf = BytesMut::from("0\r\nA: 1\r\n\r\nrest");
    assert!(matches!(decoder.decode(&mut buf), Ok(Piece::End(Some(fields))) if fields.len() == 1));
    assert!(matches!(decoder.decode(&mut buf), Ok(Piece::End(None))));
    assert_eq!(&buf[..], b"rest");
}

#[test]
fn trailers_have_limits() {
    let limits = Limits { fields: 2, trailer_bytes: 14, ..Limits::request() };
    let read = |bytes: &[u8]| body(Framing::Chunked, bytes, &limits);
    assert_eq!(read(b"0\r\nA: 1\r\nB: 2\r\n\r\n").unwrap().trailers.len(), 2);
    assert_eq!(read(b"0\r\nA: 1\r\nB: 23\r\n\r\n").err(), Some(Rule::HeadLong));
    let endless = b"0\r\nA: 1\r\nB:012345";
    assert_eq!(read(endless).err(), Some(Rule::HeadLong));
    assert!(read(&endless[..endless.len() - 1]).is_ok());
    assert_eq!(read(b"0\r\nA:\r\nB:\r\nC").err(), Some(Rule::FieldCount));
}

proptest! {
    #[test]
    fn decoding_undoes_encoding_however_it_is_cut(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
        rest in prop::collection::vec(any::<u8>(), 0..10),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut out = BytesMut::new();
        for chunk in &chunks {
            write_chunk_head(&mut out, chunk.len());
            out.extend_from_slice(chunk);
            out.extend_from_slice(CHUNK_END);
        }
        out.extend_from_slice(LAST_CHUNK);
        out.extend_from_slice(&rest);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(out.len())).collect();
        cuts.extend([0, out.len()]);
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|cut| &out[cut[0]..cut[1]]).collect();
        let limits = Limits::request();
        let read = body_in(Framing::Chunked, &pieces, &limits).unwrap();
        prop_assert_eq!(&read.data[..], chunks.concat());
        prop_assert_eq!(read.rest, Some(Bytes::from(rest)));
        prop_assert_eq!(body(Framing::Chunked, &out, &limits).unwrap().data, read.data);
    }

    #[test]
    fn any_bytes_read_as_chunks_have_one_outcome(bytes in "[0-9a-f;\r\n:A ]{0,40}") {
        let whole = chunked(&bytes);
        for cut in 0..=bytes.len() {
            let (left, right) = bytes.as_bytes().split_at(cut);
            let cut = body_in(Framing::Chunked, &[left, right], &Limits::request());
            prop_assert_eq!(&whole, &cut);
        }
    }
}
