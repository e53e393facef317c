//! A visitor's HTTP/2 connection, by the h2 crate's client. It knows no test.

use std::future::poll_fn;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response, StatusCode};
use portway_testkit::within;

use super::stage::Door;

/// Windows smaller than what a test sends, and no stream takes another's.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 128 << 20;

/// One connection; ends when dropped.
pub(crate) struct Http2 {
    sender: SendRequest<Bytes>,
    door: Door,
    /// How the connection ended, once it has.
    pub(crate) driver: tokio::task::JoinHandle<Result<(), h2::Error>>,
}

impl Http2 {
    /// A fresh connection.
    pub(crate) async fn connect(door: &Door) -> Self {
        let (stream, early) = door.stream().await.into_parts();
        assert!(early.is_empty(), "the gateway speaks before it is asked");
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
        let (sender, connection) = within("an HTTP/2 handshake", builder.handshake(stream)).await.expect("HTTP/2");
        let sender = within("the gateway's settings", sender.ready()).await.expect("a ready connection");
        Self { sender, door: door.clone(), driver: tokio::spawn(connection) }
    }

    /// Begins a request; without `length` a body, if any, announces none.
    pub(crate) async fn begin(
        &mut self,
        method: &str,
        path: &str,
        length: Option<u64>,
        has_body: bool,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let uri = format!("{}://{}{path}", self.door.scheme, self.door.host);
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in &self.door.keys {
            request = request.header(*name, value);
        }
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        let request = request.body(()).expect("a request");
        within("room for a stream", poll_fn(|cx| self.sender.poll_ready(cx))).await.expect("an open connection");
        self.sender.send_request(request, !has_body).expect("send a request")
    }

    /// A GET up to the head of its response.
    pub(crate) async fn get(&mut self, path: &str) -> Result<Response<RecvStream>, h2::Error> {
        let (response, _) = self.begin("GET", path, None, false).await;
        within("a response head", response).await
    }

    /// A whole GET: status and content.
    pub(crate) async fn fetch(&mut self, path: &str) -> (StatusCode, Vec<u8>) {
        let (parts, mut body) = self.get(path).await.expect("a response").into_parts();
        let mut whole = Vec::new();
        while let Some(data) = next(&mut body).await.expect("a whole response") {
            whole.extend_from_slice(&data);
        }
        (parts.status, whole)
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// The next bytes of a body, given back to the window at once; `None` at its end.
pub(crate) async fn next(body: &mut RecvStream) -> Result<Option<Bytes>, h2::Error> {
    while let Some(data) = within("a piece of a body", body.data()).await.transpose()? {
        body.flow_control().release_capacity(data.len())?;
        // The last frame may be an empty one.
        if !data.is_empty() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// Sends `data` as far as the peer's window allows, and waits for more of it.
pub(crate) async fn send(stream: &mut SendStream<Bytes>, mut data: Bytes) -> Result<(), h2::Error> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        // Only what is new is told by polling.
        if stream.capacity() == 0 {
            poll_fn(|cx| stream.poll_capacity(cx)).await.expect("an open stream")?;
        }
        let room = stream.capacity().min(data.len());
        if room > 0 {
            stream.send_data(data.split_to(room), false)?;
        }
    }
    Ok(())
}

/// The number in a field.
pub(crate) fn number(fields: &HeaderMap, name: &str) -> Option<u64> {
    fields.get(name)?.to_str().ok()?.parse().ok()
}
