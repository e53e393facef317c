//! The dev server of a lane: it answers what the present case says and writes down every byte it is sent.
//!
//! It reads as liberally as it can, so that what a strict gateway should have stopped is seen. It judges nothing.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use portway_testkit::upstream::Server;
use portway_testkit::{Message, Stream, message, patience};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::TcpListener;

use super::case::Then;

/// How often a condition is looked at again.
const GLANCE: Duration = Duration::from_millis(5);
/// The answer outside of cases, and to a check that all is well.
const PLAIN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// The answer to the request that must never get another's.
const NEXT: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext";
/// The path of that request.
pub(crate) const NEXT_PATH: &str = "/next";

/// What arrived since the last [`Stand::begin`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Requests with their whole bodies, in order.
    pub(crate) requests: Vec<Message>,
    /// Every byte.
    pub(crate) bytes: usize,
    /// Bytes of requests that are not whole yet, on connections that are open.
    pub(crate) partial: usize,
    /// Connections that were opened.
    pub(crate) connections: usize,
    /// Open connections that answered a request of the case itself.
    pub(crate) used: usize,
}

#[derive(Debug, Default)]
struct State {
    /// Counts cases.
    case: u64,
    seen: Seen,
    answer: Option<(Bytes, Then)>,
}

/// A dev server on a port of its own.
#[derive(Debug)]
pub(crate) struct Stand {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl Stand {
    /// Starts it.
    pub(crate) async fn start() -> Self {
        let state = Arc::<Mutex<State>>::default();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("bind a dev server");
        let serve = {
            let state = Arc::clone(&state);
            move |stream| serve(stream, Arc::clone(&state))
        };
        // Whatever is dropped resets; a proper end is made by `shutdown`.
        let server = Server::on(listener, None, serve, |socket| socket.set_zero_linger().expect("SO_LINGER"));
        Self { server, state }
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.port()
    }

    /// Forgets what was seen.
    pub(crate) fn begin(&self) {
        let mut state = lock(&self.state);
        *state = State { case: state.case + 1, ..State::default() };
    }

    /// [`Stand::begin`], and answers requests so until the next one.
    pub(crate) fn answering(&self, bytes: Vec<u8>, then: Then) {
        self.begin();
        lock(&self.state).answer = Some((bytes.into(), then));
    }

    pub(crate) fn seen(&self) -> Seen {
        lock(&self.state).seen.clone()
    }

    /// Waits until `wanted` is so; a sentence if it never is.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Seen) -> bool) -> Result<(), String> {
        let deadline = Instant::now() + patience();
        while !wanted(&self.seen()) {
            if Instant::now() > deadline {
                return Err(format!("waited in vain for {what}"));
            }
            tokio::time::sleep(GLANCE).await;
        }
        Ok(())
    }
}

async fn serve(stream: Box<dyn Stream>, state: Arc<Mutex<State>>) -> std::io::Result<()> {
    {
        lock(&state).seen.connections += 1;
    }
    let mut tap = Tap { stream, state: Arc::clone(&state), pending: 0, used_in: None };
    let mut buffer = BytesMut::new();
    while let Some(mut request) = message::read_head(&mut tap, &mut buffer).await? {
        let length = request.request_length();
        message::read_body(&mut tap, &mut buffer, &mut request, length).await?;
        let path = request.start_line().split(' ').nth(1).unwrap_or_default().to_owned();
        let plain = if request.head.starts_with(b"HEAD ") { &PLAIN[..PLAIN.len() - 2] } else { PLAIN };
        let (answer, then) = {
            let mut state = lock(&state);
            // What is left belongs to the next request.
            state.seen.partial = state.seen.partial.saturating_sub(tap.pending - buffer.len());
            tap.pending = buffer.len();
            state.seen.requests.push(request);
            if path != NEXT_PATH && tap.used_in != Some(state.case) {
                state.seen.used += 1;
                tap.used_in = Some(state.case);
            }
            match &state.answer {
                _ if path == NEXT_PATH => (Bytes::from_static(NEXT), Then::Stay),
                Some((answer, then)) => (answer.clone(), *then),
                None => (Bytes::from_static(plain), Then::Stay),
            }
        };
        tap.stream.write_all(&answer).await?;
        tap.stream.flush().await?;
        match then {
            Then::Stay => {}
            Then::End => {
                tap.stream.shutdown().await?;
                break;
            }
            Then::Reset => return Ok(()),
        }
    }
    // What comes after the end of the last request is seen, too.
    let mut rest = [0; 4096];
    while tap.read(&mut rest).await? > 0 {}
    Ok(())
}

/// A stream that counts what it reads.
struct Tap {
    stream: Box<dyn Stream>,
    state: Arc<Mutex<State>>,
    /// Bytes read since the last whole request.
    pending: usize,
    /// The case that it counts as used in.
    used_in: Option<u64>,
}

impl AsyncRead for Tap {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = out.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, out);
        let read = out.filled().len() - before;
        self.pending += read;
        let mut state = lock(&self.state);
        state.seen.partial += read;
        state.seen.bytes += read;
        drop(state);
        result
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        if self.used_in == Some(state.case) {
            state.seen.used -= 1;
        }
        state.seen.partial = state.seen.partial.saturating_sub(self.pending);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no test panics while it looks")
}
