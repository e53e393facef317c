//! What goes through the codec comes out as it went in: every octet, in its order and case.

use bytes::{Bytes, BytesMut};
use portway_http1::{BodyDecoder, Framing, HeadParser, HeadWriter, Limits, Name, Piece, RequestHead};
use proptest::prelude::*;

/// A request as a peer means it.
#[derive(Clone, Debug)]
struct Meant {
    method: String,
    target: String,
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

fn meant() -> impl Strategy<Value = Meant> {
    let token = "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}";
    let word = r"[!-~&&[^#]]{0,30}";
    // No name of these begins a field that the codec itself acts on.
    let field = (token.prop_map(|name| format!("x{name}")), value());
    let fields = prop::collection::vec(field, 0..12);
    let body = prop::collection::vec(any::<u8>(), 0..50);
    (token, word, fields, body).prop_map(|(method, path, fields, body)| Meant {
        method: if method == "CONNECT" { "GET".into() } else { method },
        target: format!("/{path}"),
        fields,
        body,
    })
}

/// Any value without blanks around it.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let octet = prop_oneof![8 => 32..127u8, 1 => 128..=255u8, 1 => Just(b'\t')];
    prop::collection::vec(octet, 0..40).prop_map(|value| {
        let text = value.iter().map(|b| char::from(*b)).collect::<String>();
        text.trim_matches([' ', '\t']).chars().map(|c| c as u8).collect()
    })
}

impl Meant {
    fn bytes(&self) -> Vec<u8> {
        let mut out = format!("{} {} HTTP/1.1\r\nHost: a.example\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.fields {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", self.body.len()).as_bytes());
        out
    }
}

fn written(head: &RequestHead) -> BytesMut {
    let mut out = BytesMut::new();
    let mut writer = HeadWriter::request(&mut out, head.method(), head.target()).unwrap();
    for field in head.fields().iter() {
        match field.id {
            Name::ContentLength => writer.put_length(match head.framing() {
                Framing::Length(length) => length,
                other => panic!("{other:?}"),
            }),
            Name::Host => writer.put(field.name, head.authority().unwrap()).unwrap(),
            _ => writer.copy(field),
        }
    }
    writer.finish();
    out
}

proptest! {
    #[test]
    fn a_request_is_read_as_it_was_meant_and_written_as_it_was_read(meant in meant()) {
        let bytes = meant.bytes();
        let mut buf = BytesMut::from(&bytes[..]);
        buf.extend_from_slice(&meant.body);
        buf.extend_from_slice(b"next");
        let head = HeadParser::new(Limits::request()).request(&mut buf).unwrap().unwrap();
        prop_assert_eq!(head.method(), meant.method.as_bytes());
        prop_assert_eq!(head.target(), meant.target.as_bytes());
        prop_assert_eq!(head.path_and_query(), meant.target.as_bytes());
        let fields: Vec<_> = head.fields().iter().skip(1).take(meant.fields.len()).collect();
        for (field, (name, value)) in fields.iter().zip(&meant.fields) {
            prop_assert_eq!(field.name, name.as_bytes());
            prop_assert_eq!(field.value, &value[..]);
        }
        prop_assert_eq!(head.fields().len(), meant.fields.len() + 2);
        prop_assert_eq!(&written(&head)[..], &bytes[..]);

        let mut decoder = BodyDecoder::new(head.framing(), &Limits::request());
        let mut body = Vec::new();
        while let Piece::Data(data) = decoder.decode(&mut buf).unwrap() {
            body.extend_from_slice(&data);
        }
        prop_assert_eq!(body, meant.body);
        prop_assert_eq!(&buf[..], b"next");
    }

    #[test]
    fn a_request_cut_anywhere_is_the_same_request(meant in meant(), faulty in any::<bool>()) {
        let mut bytes = meant.bytes();
        if faulty {
            let middle = bytes.len() / 2;
            bytes[middle] = b'\n';
        }
        let whole = HeadParser::new(Limits::request()).request(&mut BytesMut::from(&bytes[..]));
        let whole = whole.map(|head| head.map(|head| written(&head).freeze()));
        for cut in 0..=bytes.len() {
            let mut parser = HeadParser::new(Limits::request());
            let mut buf = BytesMut::from(&bytes[..cut]);
            let mut head = parser.request(&mut buf);
            if let Ok(None) = head {
                prop_assert_eq!(&buf[..], &bytes[..cut], "an unfinished head stays in the buffer");
                buf.extend_from_slice(&bytes[cut..]);
                head = parser.request(&mut buf);
            }
            let head: Result<Option<Bytes>, _> = head.map(|head| head.map(|head| written(&head).freeze()));
            prop_assert_eq!(&head, &whole, "cut at {}", cut);
        }
    }

    #[test]
    fn parts_and_bytes_make_the_same_request(meant in meant()) {
        let fields: Vec<_> = meant.fields.iter().map(|(name, value)| (name.as_bytes(), &value[..])).collect();
        let length = meant.body.len().to_string();
        let all = fields.into_iter().chain([(&b"Content-Length"[..], length.as_bytes())]);
        let (method, target) = (meant.method.as_bytes(), meant.target.as_bytes());
        let has_body = !meant.body.is_empty();
        let head = RequestHead::from_parts(method, target, b"a.example", all, has_body, &Limits::request());
        prop_assert_eq!(&written(&head.unwrap())[..], &meant.bytes()[..]);
    }
}
