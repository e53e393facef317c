//! The same bytes as three readers see them: this codec, hyper and httparse.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::rt::TokioIo;
use portway_http1::{
    BodyDecoder, Fields, Framing, HeadParser, Limits, Piece, RequestHead, ResponseHead, Rule, Version,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

/// A whole message, body and all, in a shape that readers can agree on: names in lower case, fields in the order of
/// their names, and of their lines where those are equal.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Message {
    /// Method and target, or status.
    pub(crate) start: (String, String),
    pub(crate) http11: bool,
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, Vec<u8>)>,
}

/// Why no further message was read.
#[derive(Debug, PartialEq)]
pub(crate) enum End {
    Refused(Rule),
    Incomplete,
    /// The connection may not carry another request.
    Closed,
}

/// The requests that this codec reads on a connection.
pub(crate) fn our_requests(bytes: &[u8]) -> (Vec<Message>, End) {
    let limits = Limits::request();
    let mut buf = BytesMut::from(bytes);
    let mut parser = HeadParser::new(limits.clone());
    let mut messages = Vec::new();
    loop {
        let head = match parser.request(&mut buf) {
            Ok(Some(head)) => head,
            Ok(None) => return (messages, End::Incomplete),
            Err(reject) => return (messages, End::Refused(reject.rule)),
        };
        match our_body(head.framing(), &mut buf, &limits) {
            Ok((body, trailers)) => messages.push(Message {
                start: (text(head.method()), text(head.path_and_query())),
                http11: head.version() == Version::Http11,
                fields: our_fields(head.fields()),
                body,
                trailers,
            }),
            Err(Rule::Truncated) => return (messages, End::Incomplete),
            Err(rule) => return (messages, End::Refused(rule)),
        }
        if !head.keep_alive() || head.method() == b"CONNECT" {
            return (messages, End::Closed);
        }
    }
}

/// The final response that this codec reads, the interim ones left out.
pub(crate) fn our_response(bytes: &[u8], method: &str) -> Result<Message, Rule> {
    let limits = Limits::response();
    let mut buf = BytesMut::from(bytes);
    let mut parser = HeadParser::new(limits.clone());
    loop {
        let head = parser.response(&mut buf, method.as_bytes());
        let head = head.map_err(|reject| reject.rule)?.ok_or(Rule::Truncated)?;
        if head.is_informational() && head.status() != 101 {
            continue;
        }
        let (body, trailers) = our_body(head.framing(), &mut buf, &limits)?;
        return Ok(Message {
            start: (head.status().to_string(), String::new()),
            http11: head.version() == Version::Http11,
            fields: our_fields(head.fields()),
            body,
            trailers,
        });
    }
}

type OurBody = (Vec<u8>, Vec<(String, Vec<u8>)>);

fn our_body(framing: Framing, buf: &mut BytesMut, limits: &Limits) -> Result<OurBody, Rule> {
    let mut decoder = BodyDecoder::new(framing, limits);
    let mut body = Vec::new();
    loop {
        match decoder.decode(buf).map_err(|reject| reject.rule)? {
            Piece::Data(data) => body.extend_from_slice(&data),
            Piece::End(trailers) => {
                return Ok((body, trailers.as_ref().map(our_fields).unwrap_or_default()));
            }
            Piece::More => {
                decoder.eof().map_err(|reject| reject.rule)?;
                return Ok((body, Vec::new()));
            }
        }
    }
}

fn our_fields(fields: &Fields) -> Vec<(String, Vec<u8>)> {
    let mut fields: Vec<_> =
        fields.iter().map(|field| (text(field.name).to_ascii_lowercase(), field.value.to_vec())).collect();
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    fields
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The requests that a hyper server reads on a connection, those whose body breaks off or is malformed left out.
pub(crate) fn hyper_requests(bytes: &[u8]) -> Vec<Message> {
    let messages = Rc::new(RefCell::new(Vec::new()));
    let service = hyper::service::service_fn(|request: Request<Incoming>| {
        let messages = messages.clone();
        async move {
            let (head, body) = request.into_parts();
            let target = head.uri.path_and_query().map_or("", |target| target.as_str());
            let mut message = Message {
                start: (head.method.to_string(), text(target.as_bytes())),
                http11: head.version == hyper::Version::HTTP_11,
                fields: hyper_fields(&head.headers),
                ..Message::default()
            };
            if hyper_body(body, &mut message).await.is_ok() {
                messages.borrow_mut().push(message);
            }
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ok"))))
        }
    });
    run(async {
        let (near, far) = duplex(1 << 20);
        let (mut answers, mut requests) = tokio::io::split(far);
        let mut server = hyper::server::conn::http1::Builder::new();
        server.half_close(true).header_read_timeout(None).max_headers(256);
        let connection = server.serve_connection(TokioIo::new(near), service);
        let send = async {
            requests.write_all(bytes).await.unwrap();
            requests.shutdown().await.unwrap();
            let mut all = Vec::new();
            answers.read_to_end(&mut all).await.unwrap();
        };
        // An error is an outcome too: the messages before it were read.
        let _ = tokio::join!(connection, send);
    });
    messages.take()
}

/// The final response that a hyper client reads to a request of this method.
pub(crate) fn hyper_response(bytes: &[u8], method: &str) -> Option<Message> {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    run(async {
        let (near, mut far) = duplex(1 << 20);
        let (mut sender, connection) =
            hyper::client::conn::http1::Builder::new().max_headers(256).handshake(TokioIo::new(near)).await.unwrap();
        let server = async {
            let mut request = [0; 1024];
            let mut length = 0;
            while !request[..length].ends_with(b"\r\n\r\n") {
                length += far.read(&mut request[length..]).await.unwrap();
            }
            // The client may close before it has read all of a response that it refused.
            let _ = far.write_all(bytes).await;
            let _ = far.shutdown().await;
        };
        let client = async {
            let request = Request::builder().method(method).uri("/").header("host", "a");
            let request = request.body(Empty::<Bytes>::new()).unwrap();
            let (head, body) = sender.send_request(request).await.ok()?.into_parts();
            let mut message = Message {
                start: (head.status.as_u16().to_string(), String::new()),
                http11: head.version == hyper::Version::HTTP_11,
                fields: hyper_fields(&head.headers),
                ..Message::default()
            };
            hyper_body(body, &mut message).await.ok()?;
            drop(sender);
            Some(message)
        };
        let (_, _, message) = tokio::join!(connection, server, client);
        message
    })
}

async fn hyper_body(mut body: Incoming, message: &mut Message) -> hyper::Result<()> {
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        match frame.into_data() {
            Ok(data) => message.body.extend_from_slice(&data),
            Err(frame) => {
                let trailers = frame.into_trailers().expect("a frame is data or trailers");
                message.trailers = hyper_fields(&trailers);
            }
        }
    }
    Ok(())
}

fn hyper_fields(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let mut fields: Vec<_> =
        headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    fields
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

/// A head as httparse reads it, and as this codec does: where it ends, its start line, its fields as they came.
#[derive(Debug, PartialEq)]
pub(crate) struct Head {
    pub(crate) length: usize,
    pub(crate) start: [String; 2],
    pub(crate) http11: bool,
    pub(crate) fields: Vec<(String, Vec<u8>)>,
}

/// `Ok(None)` while the head is incomplete, `Err` if it is refused.
pub(crate) fn httparse_request(bytes: &[u8]) -> Result<Option<Head>, httparse::Error> {
    let mut headers = [httparse::EMPTY_HEADER; 256];
    let mut head = httparse::Request::new(&mut headers);
    let status = head.parse(bytes)?;
    Ok(status.is_complete().then(|| Head {
        length: status.unwrap(),
        start: [head.method.unwrap().into(), text(head.path.unwrap().as_bytes())],
        http11: head.version == Some(1),
        fields: httparse_fields(head.headers),
    }))
}

/// The same for a response. A reason with octets above ASCII is left out, as httparse does.
pub(crate) fn httparse_response(bytes: &[u8]) -> Result<Option<Head>, httparse::Error> {
    let mut headers = [httparse::EMPTY_HEADER; 256];
    let mut head = httparse::Response::new(&mut headers);
    let status = head.parse(bytes)?;
    Ok(status.is_complete().then(|| Head {
        length: status.unwrap(),
        start: [head.code.unwrap().to_string(), text(head.reason.unwrap().as_bytes())],
        http11: head.version == Some(1),
        fields: httparse_fields(head.headers),
    }))
}

fn httparse_fields(headers: &[httparse::Header<'_>]) -> Vec<(String, Vec<u8>)> {
    headers.iter().map(|header| (header.name.into(), header.value.into())).collect()
}

/// The first request head of these bytes as this codec reads it.
pub(crate) fn our_request_head(bytes: &[u8]) -> Result<Option<Head>, Rule> {
    let mut buf = BytesMut::from(bytes);
    let head = HeadParser::new(Limits::request()).request(&mut buf);
    let show = |head: RequestHead| Head {
        length: bytes.len() - buf.len(),
        start: [text(head.method()), text(head.target())],
        http11: head.version() == Version::Http11,
        fields: raw_fields(head.fields()),
    };
    head.map(|head| head.map(show)).map_err(|reject| reject.rule)
}

/// The first response head of these bytes as this codec reads it.
pub(crate) fn our_response_head(bytes: &[u8]) -> Result<Option<Head>, Rule> {
    let mut buf = BytesMut::from(bytes);
    let head = HeadParser::new(Limits::response()).response(&mut buf, b"GET");
    let show = |head: ResponseHead| Head {
        length: bytes.len() - buf.len(),
        start: [head.status().to_string(), if head.reason().is_ascii() { text(head.reason()) } else { String::new() }],
        http11: head.version() == Version::Http11,
        fields: raw_fields(head.fields()),
    };
    head.map(|head| head.map(show)).map_err(|reject| reject.rule)
}

fn raw_fields(fields: &Fields) -> Vec<(String, Vec<u8>)> {
    fields.iter().map(|field| (text(field.name), field.value.to_vec())).collect()
}
