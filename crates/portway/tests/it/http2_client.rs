//! A visitor over HTTP/2, by the h2 crate: one connection, requests with or without a body, how each ended.

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use http::{HeaderMap, Method, Request};
use portway_testkit::{Stream, within};
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

    /// A whole request with a body through `door`.
    pub(crate) async fn post(&mut self, door: &Door, path: &str, fields: &str, body: &[u8]) -> Answer {
        let fields = format!("{}{fields}", door.auth);
        let (response, mut stream) = self.begin("POST", &format!("{}{path}", door.origin()), &fields, false).await;
        stream.send_data(Bytes::copy_from_slice(body), true).expect("send a body");
        finish(response).await
    }
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
