//! What must hold for any bytes at all. The fuzz targets include this file, and every test run calls it for a moment.

use bytes::BytesMut;
use portway_http1::{
    BodyDecoder, CHUNK_END, Field, Fields, Framing, HeadParser, HeadWriter, Limits, Name, Piece, Reject, RequestHead,
    ResponseHead, Rule, TargetForm, Version, write_chunk_head, write_trailers,
};

/// A request head: from bytes, and from parts.
pub(crate) fn head(data: &[u8]) {
    request_bytes(data);
    request_parts(data);
}

fn request_bytes(data: &[u8]) {
    let limits = Limits::request();
    let Some(head) = one_outcome(data, &limits, HeadParser::request, request_again) else {
        return;
    };
    check_request(&head, &limits);
    // Whoever reads what we write must see the same request.
    let written = request_again(&head);
    let read = one_outcome(&written, &limits, HeadParser::request, request_again);
    let read = read.expect("what was accepted is accepted again");
    assert_eq!(request_again(&read), written);
    assert_eq!((read.framing(), read.form()), (head.framing(), head.form()));
    assert_eq!(read.authority(), head.authority());
    assert_eq!(read.path_and_query(), head.path_and_query());
    assert_eq!(written.iter().filter(|b| **b == b'\n').count(), head.fields().len() + 2);
}

fn request_parts(data: &[u8]) {
    let mut parts = data.split(|b| *b == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let (method, target, authority) = (part(), part(), part());
    let rest: Vec<_> = parts.collect();
    let (pairs, left) = rest.as_chunks::<2>();
    let fields = pairs.iter().map(|[name, value]| (*name, *value));
    let limits = Limits::request();
    let has_body = !left.is_empty();
    let Ok(head) = RequestHead::from_parts(method, target, authority, fields, has_body, &limits) else {
        return;
    };
    check_request(&head, &limits);
    assert_eq!((head.method(), head.target()), (method, target));
    assert_ne!(head.form(), TargetForm::Absolute);
    let given: Vec<_> = pairs.iter().filter(|[name, _]| Name::of(name) == Name::Other).collect();
    let kept: Vec<_> = head.fields().iter().filter(|field| field.id == Name::Other).collect();
    assert_eq!(given.len(), kept.len());
    assert!(kept.iter().zip(given).all(|(field, [name, _])| field.name == *name));
    for id in [Name::Connection, Name::TransferEncoding, Name::Upgrade, Name::KeepAlive] {
        assert!(!head.fields().has(id));
    }
    assert!(head.fields().all(Name::Cookie).count() <= 1);
    let written = request_again(&head);
    assert_eq!(HeadParser::new(limits).request(&mut BytesMut::from(&written[..])).map(|head| head.is_some()), Ok(true));
}

fn check_request(head: &RequestHead, limits: &Limits) {
    check_fields(head.fields(), limits.fields);
    assert!((1..=32).contains(&head.method().len()));
    assert!((1..=limits.target_bytes).contains(&head.target().len()));
    assert!(head.target().iter().all(|b| (33..=126).contains(b) && *b != b'#'));
    assert!(head.authority().is_some() || head.version() == Version::Http10);
    assert!(head.fields().all(Name::Host).count() <= 1);
    assert_ne!(head.framing(), Framing::UntilClose);
    assert!(!head.upgrade_websocket() || head.framing() == Framing::None);
    assert!(!head.fields().has(Name::TransferEncoding) || !head.fields().has(Name::ContentLength));
}

/// A response head, to each method that changes what a response means.
pub(crate) fn response(data: &[u8]) {
    for method in [&b"GET"[..], b"HEAD", b"CONNECT"] {
        response_to(method, data);
    }
}

fn response_to(method: &[u8], data: &[u8]) {
    let limits = Limits::response();
    let parse = |parser: &mut HeadParser, buf: &mut BytesMut| parser.response(buf, method);
    let Some(head) = one_outcome(data, &limits, parse, response_again) else {
        return;
    };
    check_fields(head.fields(), limits.fields);
    assert!((100..=599).contains(&head.status()));
    if head.is_informational() || matches!(head.status(), 204 | 304) || method == b"HEAD" {
        assert_eq!(head.framing(), Framing::None);
    }
    assert!(!head.keep_alive() || head.framing() != Framing::UntilClose);
    let written = response_again(&head);
    let read = one_outcome(&written, &limits, parse, response_again);
    let read = read.expect("what was accepted is accepted again");
    assert_eq!(response_again(&read), written);
    assert_eq!(read.framing(), head.framing());
}

/// A chunked body and its trailers.
pub(crate) fn chunked(data: &[u8]) {
    let whole = decode(&[data]);
    let cut = data.first().map_or(0, |b| usize::from(*b) % data.len());
    let (left, right) = data.split_at(cut);
    assert_eq!(whole, decode(&[left, right]));
    assert_eq!(whole, decode(&data.chunks(1).collect::<Vec<_>>()));
    let Ok((content, Some((trailers, rest)))) = whole else {
        return;
    };
    assert!(data.ends_with(&rest));
    // Written again, the body is the same, and ends at the same place.
    let mut out = BytesMut::new();
    for chunk in content.chunks(7) {
        write_chunk_head(&mut out, chunk.len());
        out.extend_from_slice(chunk);
        out.extend_from_slice(CHUNK_END);
    }
    match &trailers {
        Some(fields) => write_trailers(&mut out, fields.iter()),
        None => write_trailers(&mut out, std::iter::empty()),
    }
    out.extend_from_slice(&rest);
    let trailers = trailers.map(|fields| fields.0);
    let again = decode(&[&out]).map(|(content, end)| (content, end.map(|(t, rest)| (t.map(|t| t.0), rest))));
    assert_eq!(again, Ok((content, Some((trailers, rest)))));
}

/// Fields that can be compared.
#[derive(Debug)]
struct Trailers(Vec<(Vec<u8>, Vec<u8>)>, Fields);

impl PartialEq for Trailers {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Trailers {
    fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        self.1.iter()
    }
}

type Decoded = (Vec<u8>, Option<(Option<Trailers>, Vec<u8>)>);

fn decode(pieces: &[&[u8]]) -> Result<Decoded, Rule> {
    let limits = Limits::request();
    let mut decoder = BodyDecoder::new(Framing::Chunked, &limits);
    let mut buf = BytesMut::new();
    let mut content = Vec::new();
    let mut end = None;
    for piece in pieces {
        buf.extend_from_slice(piece);
        while end.is_none() {
            match decoder.decode(&mut buf).map_err(|reject| reject.rule)? {
                Piece::More => break,
                Piece::Data(data) => {
                    assert!(!data.is_empty() && !decoder.is_done());
                    content.extend_from_slice(&data);
                }
                Piece::End(fields) => {
                    assert!(decoder.is_done() && decoder.eof().is_ok());
                    end = Some(fields);
                }
            }
        }
    }
    let end = end.map(|fields| {
        let trailers = fields.map(|fields| {
            check_fields(&fields, limits.fields);
            Trailers(fields.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect(), fields)
        });
        (trailers, buf.to_vec())
    });
    Ok((content, end))
}

fn check_fields(fields: &Fields, limit: usize) {
    assert!(fields.len() <= limit);
    for field in fields.iter() {
        assert!(!field.name.is_empty() && field.name.iter().all(|b| (33..=126).contains(b) && *b != b':'));
        assert!(field.value.iter().all(|b| *b == b'\t' || (*b >= 32 && *b != 127)));
        let ends = [field.value.first(), field.value.last()];
        assert!(ends.iter().flatten().all(|b| !matches!(b, b' ' | b'\t')));
        assert!(fields.has(field.id) && fields.get_named(field.name).is_some());
    }
    assert!(fields.trailer_safe().count() <= fields.len());
}

/// Reads a head whole, in two parts and byte by byte, and requires one outcome; gives the head if it was accepted.
fn one_outcome<T>(
    data: &[u8],
    limits: &Limits,
    parse: impl Fn(&mut HeadParser, &mut BytesMut) -> Result<Option<T>, Reject>,
    show: impl Fn(&T) -> Vec<u8>,
) -> Option<T> {
    let read = |pieces: &[&[u8]]| {
        let mut parser = HeadParser::new(limits.clone());
        let mut buf = BytesMut::new();
        let mut taken = 0;
        for piece in pieces {
            buf.extend_from_slice(piece);
            taken += piece.len();
            if let Some(head) = parse(&mut parser, &mut buf)? {
                return Ok(Some((head, taken - buf.len())));
            }
        }
        Ok(None)
    };
    let cut = data.last().map_or(0, |b| usize::from(*b) * 7 % data.len());
    let (left, right) = data.split_at(cut);
    let whole = read(&[data]);
    for other in [read(&[left, right]), read(&data.chunks(1).collect::<Vec<_>>())] {
        match (&whole, &other) {
            (Ok(Some((head, end))), Ok(Some((same, same_end)))) => {
                assert_eq!(end, same_end);
                assert_eq!(show(head), show(same));
            }
            (Ok(None), Ok(None)) => {}
            (Err(reject), Err(same)) => assert_eq!(reject, same),
            (whole, other) => {
                let shown = |outcome: &Result<_, Reject>| outcome.as_ref().map(Option::is_some).map_err(|r| r.rule);
                panic!("accepted or refused, whole and in parts: {:?} {:?}", shown(whole), shown(other));
            }
        }
    }
    whole.ok().flatten().map(|(head, end)| {
        assert!(end <= limits.head_bytes);
        head
    })
}

fn request_again(head: &RequestHead) -> Vec<u8> {
    let mut out = BytesMut::new();
    let mut writer = HeadWriter::request(&mut out, head.method(), head.target()).expect("checked when read");
    head.fields().iter().for_each(|field| writer.copy(field));
    writer.finish();
    restore_version(out, head.version())
}

fn response_again(head: &ResponseHead) -> Vec<u8> {
    let mut out = BytesMut::new();
    let mut writer = HeadWriter::response(&mut out, head.status(), head.reason()).expect("checked when read");
    head.fields().iter().for_each(|field| writer.copy(field));
    writer.finish();
    restore_version(out, head.version())
}

/// Writers speak HTTP/1.1 only; to compare, an HTTP/1.0 message gets its version back.
fn restore_version(out: BytesMut, version: Version) -> Vec<u8> {
    let mut out = out.to_vec();
    if version == Version::Http10 {
        let at = out.windows(8).position(|part| part == b"HTTP/1.1").expect("a version was written");
        out[at + 7] = b'0';
    }
    out
}
