//! What every unit test asks through: each case is read whole and again one byte at a time, and must come out the same.

use bytes::{Bytes, BytesMut};

use crate::{BodyDecoder, Fields, Framing, HeadParser, Limits, Piece, RequestHead, ResponseHead, Rule};

/// Reads a request head; `None` if it is not whole. What follows the head must be left in the buffer.
pub(crate) fn read_request(bytes: &[u8], limits: &Limits) -> Result<Option<RequestHead>, Rule> {
    read(bytes, limits, HeadParser::request, |head| format!("{head:?}"))
}

/// Reads the head of a response to a request of this method.
pub(crate) fn read_response(bytes: &[u8], method: &[u8], limits: &Limits) -> Result<Option<ResponseHead>, Rule> {
    let parse = |parser: &mut HeadParser, buf: &mut BytesMut| parser.response(buf, method);
    read(bytes, limits, parse, |head| format!("{head:?} {:?}", head.reason()))
}

fn read<T>(
    bytes: &[u8],
    limits: &Limits,
    parse: impl Fn(&mut HeadParser, &mut BytesMut) -> Result<Option<T>, crate::Reject>,
    show: impl Fn(&T) -> String,
) -> Result<Option<T>, Rule> {
    let mut whole = BytesMut::from(bytes);
    let outcome = parse(&mut HeadParser::new(limits.clone()), &mut whole);
    let outcome = outcome.map_err(|reject| reject.rule);

    let mut parser = HeadParser::new(limits.clone());
    let mut buf = BytesMut::new();
    let mut dripped = Ok(None);
    let mut used = 0;
    for byte in bytes {
        buf.extend_from_slice(&[*byte]);
        used += 1;
        dripped = parse(&mut parser, &mut buf).map_err(|reject| reject.rule);
        if !matches!(dripped, Ok(None)) {
            break;
        }
    }
    let text = bytes.escape_ascii();
    match (&outcome, &dripped) {
        (Ok(Some(head)), Ok(Some(same))) => {
            assert_eq!(show(head), show(same), "{text}");
            assert!(buf.is_empty(), "bytes beyond the head were taken: {text}");
            assert_eq!(&whole[..], &bytes[used..], "{text}");
        }
        (Ok(None), Ok(None)) => assert_eq!(&whole[..], bytes, "{text}"),
        (Err(rule), Err(same)) => assert_eq!(rule, same, "{text}"),
        _ => panic!("whole and dripped differ: {text}"),
    }
    outcome
}

/// The head of a request that must be accepted.
#[track_caller]
pub(crate) fn request(bytes: impl AsRef<[u8]>) -> RequestHead {
    let bytes = bytes.as_ref();
    match read_request(bytes, &Limits::request()) {
        Ok(Some(head)) => head,
        other => panic!("{other:?}: {}", bytes.escape_ascii()),
    }
}

/// The head of a response that must be accepted.
#[track_caller]
pub(crate) fn response(bytes: impl AsRef<[u8]>, method: &str) -> ResponseHead {
    let bytes = bytes.as_ref();
    match read_response(bytes, method.as_bytes(), &Limits::response()) {
        Ok(Some(head)) => head,
        other => panic!("{other:?}: {}", bytes.escape_ascii()),
    }
}

/// Requires that these bytes are refused by this rule, with its last byte and not before.
#[track_caller]
pub(crate) fn refuses(bytes: impl AsRef<[u8]>, rule: Rule) {
    let bytes = bytes.as_ref();
    let text = bytes.escape_ascii();
    let limits = Limits::request();
    assert_eq!(read_request(bytes, &limits).err(), Some(rule), "{text}");
    let before = read_request(&bytes[..bytes.len() - 1], &limits);
    assert!(matches!(before, Ok(None)), "refused too early: {text}");
}

/// The same for a response to GET.
#[track_caller]
pub(crate) fn refuses_response(bytes: impl AsRef<[u8]>, rule: Rule) {
    let bytes = bytes.as_ref();
    let text = bytes.escape_ascii();
    let limits = Limits::response();
    assert_eq!(read_response(bytes, b"GET", &limits).err(), Some(rule), "{text}");
    let before = read_response(&bytes[..bytes.len() - 1], b"GET", &limits);
    assert!(matches!(before, Ok(None)), "refused too early: {text}");
}

/// A body that was read to its end or as far as it goes.
#[derive(Debug, PartialEq)]
pub(crate) struct Body {
    pub(crate) data: Bytes,
    /// What follows a finished body; `None` if it is not finished.
    pub(crate) rest: Option<Bytes>,
    pub(crate) trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Reads a body, whole and byte by byte.
pub(crate) fn body(framing: Framing, bytes: &[u8], limits: &Limits) -> Result<Body, Rule> {
    let text = bytes.escape_ascii();
    let whole = body_in(framing, &[bytes], limits);
    let drops: Vec<_> = bytes.chunks(1).collect();
    let dripped = body_in(framing, &drops, limits);
    assert_eq!(whole, dripped, "{text}");
    whole
}

/// Reads a body that comes in these pieces.
pub(crate) fn body_in(framing: Framing, pieces: &[&[u8]], limits: &Limits) -> Result<Body, Rule> {
    let mut decoder = BodyDecoder::new(framing, limits);
    let mut buf = BytesMut::new();
    let mut data = BytesMut::new();
    let mut trailers = Vec::new();
    let mut ended = false;
    for piece in pieces {
        buf.extend_from_slice(piece);
        while !ended {
            match decoder.decode(&mut buf).map_err(|reject| reject.rule)? {
                Piece::Data(some) => {
                    assert!(!some.is_empty());
                    data.extend_from_slice(&some);
                }
                Piece::More => break,
                Piece::End(fields) => {
                    trailers = fields.as_ref().map(pairs).unwrap_or_default();
                    assert!(decoder.is_done() && decoder.eof().is_ok());
                    ended = true;
                }
            }
        }
    }
    Ok(Body { data: data.freeze(), rest: ended.then(|| buf.freeze()), trailers })
}

/// Names and values, to be compared.
pub(crate) fn pairs(fields: &Fields) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pair = |field: crate::Field<'_>| (field.name.to_vec(), field.value.to_vec());
    fields.iter().map(pair).collect()
}
