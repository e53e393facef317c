//! A visitor over HTTP/2, by the h2 crate: one connection, requests with or without a body, how each ended.

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Method, Request, StatusCode};
use portway_testkit::{Stream, WebSocket, eventually_async, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::stage::Door;

/// One connection.
pub(crate) struct Http2 {
    sender: SendRequest<Bytes>,
    driver: JoinHandle<Result<(), h2::Error>>,
}

/// A whole answer, or how far it came.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
    /// The stream was reset.
    pub(crate) reset: Option<Reason>,
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Http2 {
    /// By prior knowledge on the plain listener.
    pub(crate) async fn connect(door: &Door) -> Self {
        let tcp = TcpStream::connect(door.address).await.expect("connect");
        Self::over(Box::new(tcp)).await
    }

    /// Over any stream.
    pub(crate) async fn over(stream: Box<dyn Stream>) -> Self {
        // One stream that is not read must not use up the window of all.
        let handshake = h2::client::Builder::new().initial_connection_window_size(1 << 24).handshake(stream);
        let (sender, connection) = within("an HTTP/2 handshake", handshake).await.expect("an HTTP/2 handshake");
        Self { sender, driver: tokio::spawn(connection) }
    }

    /// Begins a request. `url` is absolute; `fields` are what the door wants and more, lines as in HTTP/1.1.
    pub(crate) async fn begin(
        &mut self,
        method: &str,
        url: &str,
        fields: &str,
        end: bool,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).expect("a method")).uri(url);
        for line in fields.lines().filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').expect("a field line");
            request = request.header(name.to_ascii_lowercase(), value.trim());
        }
        std::future::poll_fn(|cx| self.sender.poll_ready(cx)).await.expect("room for a stream");
        self.sender.send_request(request.body(()).expect("a request"), end).expect("send a request")
    }

    /// A whole request without a body through `door`.
    pub(crate) async fn get(&mut self, door: &Door, path: &str, fields: &str) -> Answer {
        let fields = format!("{}{fields}", door.auth);
        let (response, _) = self.begin("GET", &format!("{}{path}", door.origin()), &fields, true).await;
        finish(response).await
    }

    /// Opens a WebSocket by extended CONNECT (RFC 8441 5), or gives the answer that refuses it.
    pub(crate) async fn websocket(
        &mut self,
        door: &Door,
        path: &str,
        fields: &str,
    ) -> Result<(HeaderMap, WebSocket), Answer> {
        let (response, stream) = self.connect_to("websocket", door, path, fields).await;
        let answer = within("an answer over HTTP/2", response).await;
        let answer = answer.map_err(|error| Answer { reset: error.reason(), ..Answer::default() })?;
        let (head, mut body) = answer.into_parts();
        if head.status != StatusCode::OK {
            let mut refusal = Answer { status: head.status.as_u16(), headers: head.headers, ..Answer::default() };
            while let Some(Ok(data)) = body.data().await {
                refusal.body.extend_from_slice(&data);
            }
            return Err(refusal);
        }
        Ok((head.headers, WebSocket::over(Box::new(joined(body, stream)))))
    }

    /// Begins an extended CONNECT for `protocol`, once the server has said that it takes one.
    pub(crate) async fn connect_to(
        &mut self,
        protocol: &'static str,
        door: &Door,
        path: &str,
        fields: &str,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let offered = async || self.sender.is_extended_connect_protocol_enabled();
        eventually_async("the offer of extended CONNECT", offered).await;
        let mut request = Request::builder()
            .method(Method::CONNECT)
            .uri(format!("{}{path}", door.origin()))
            .extension(Protocol::from_static(protocol));
        for line in format!("{}{fields}", door.auth).lines().filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').expect("a field line");
            request = request.header(name.to_ascii_lowercase(), value.trim());
        }
        std::future::poll_fn(|cx| self.sender.poll_ready(cx)).await.expect("room for a stream");
        self.sender.send_request(request.body(()).expect("a request"), false).expect("send a request")
    }

    /// A whole request with a body through `door`.
    pub(crate) async fn post(&mut self, door: &Door, path: &str, fields: &str, body: &[u8]) -> Answer {
        let fields = format!("{}{fields}", door.auth);
        let (response, mut stream) = self.begin("POST", &format!("{}{path}", door.origin()), &fields, false).await;
        stream.send_data(Bytes::copy_from_slice(body), true).expect("send a body");
        finish(response).await
    }
}

/// The two halves of a stream as one byte stream. The end of one is the end of the other; a reset is a reset.
fn joined(mut from: RecvStream, mut to: SendStream<Bytes>) -> DuplexStream {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (mut read, mut write) = tokio::io::split(far);
    tokio::spawn(async move {
        while let Some(Ok(data)) = from.data().await {
            from.flow_control().release_capacity(data.len())?;
            if write.write_all(&data).await.is_err() {
                break;
            }
        }
        write.shutdown().await.ok();
        Ok::<_, h2::Error>(())
    });
    tokio::spawn(async move {
        let mut data = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = read.read(&mut data).await {
            let mut rest = Bytes::copy_from_slice(&data[..read]);
            while !rest.is_empty() {
                to.reserve_capacity(rest.len());
                let Some(Ok(room)) = std::future::poll_fn(|cx| to.poll_capacity(cx)).await else { return };
                let room = room.min(rest.len());
                if to.send_data(rest.split_to(room), false).is_err() {
                    return;
                }
            }
        }
        to.send_data(Bytes::new(), true).ok();
    });
    near
}

/// Reads an answer to its end.
pub(crate) async fn finish(response: ResponseFuture) -> Answer {
    within("an answer over HTTP/2", read(response)).await
}

async fn read(response: ResponseFuture) -> Answer {
    let mut answer = Answer::default();
    if let Err(error) = read_into(response, &mut answer).await {
        answer.reset = Some(error.reason().unwrap_or(Reason::INTERNAL_ERROR));
    }
    answer
}

async fn read_into(response: ResponseFuture, answer: &mut Answer) -> Result<(), h2::Error> {
    let (head, mut body) = response.await?.into_parts();
    answer.status = head.status.as_u16();
    answer.headers = head.headers;
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        answer.body.extend_from_slice(&data);
    }
    answer.trailers = body.trailers().await?;
    Ok(())
}
