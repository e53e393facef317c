//! An upstream that plays a script on each connection and keeps every byte it was sent.
//!
//! It judges nothing: a test asks afterwards what arrived. After the last step it goes on reading,
//! so that a byte too many is always seen.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::Server;
use crate::{Stream, eventually_async, message};

/// One thing a scripted upstream does. While it does not read, its peer feels back-pressure.
#[derive(Clone, Debug)]
pub enum Step {
    /// Read one request head, up to the empty line.
    ReadHead,
    /// Read one request with its body.
    ReadRequest,
    /// Read exactly this many bytes.
    Read(usize),
    /// Write these bytes at once.
    Write(Bytes),
    /// Write these bytes one at a time.
    WriteBytewise(Bytes),
    /// Do nothing for a while: for slow peers only, never to wait for an event.
    Pause(Duration),
    /// Do nothing until the test opens the gate.
    Wait(Gate),
    /// End this direction, go on reading.
    Finish,
    /// Close properly.
    Close,
    /// Close with a reset. A script that holds this step resets in place of every other close.
    Reset,
    /// Begin the script again, on the same connection.
    Repeat,
}

impl Step {
    /// [`Step::Write`] of anything that is bytes.
    pub fn write(bytes: impl AsRef<[u8]>) -> Self {
        Self::Write(Bytes::copy_from_slice(bytes.as_ref()))
    }
}

/// A gate that a test opens when the next step may happen; each opening lets one wait through.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Notify>);

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the present or the next waiting step through.
    pub fn open(&self) {
        self.0.notify_one();
    }
}

/// What one connection received so far.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// Every byte, TLS removed.
    pub bytes: Vec<u8>,
    /// The peer has ended or reset the connection, or the script has closed it.
    pub ended: bool,
}

type Log = Arc<Mutex<Vec<Recorded>>>;

/// A scripted upstream on a fresh loopback port.
#[derive(Debug)]
pub struct Recorder {
    server: Server,
    log: Log,
}

impl Recorder {
    /// Plays `steps` on every connection.
    pub async fn start(steps: Vec<Step>) -> Self {
        Self::start_with(None, vec![steps]).await
    }

    /// Answers every request with these bytes and keeps the connection open.
    pub async fn answering(response: impl AsRef<[u8]>) -> Self {
        Self::start(vec![Step::ReadRequest, Step::write(response), Step::Repeat]).await
    }

    /// Plays the n-th script on the n-th connection, and the last one on all that follow.
    pub async fn start_with(tls: Option<Arc<ServerConfig>>, scripts: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("bind a recorder");
        Self::on(listener, tls, scripts)
    }

    /// [`Recorder::start_with`] on a listener of the caller's.
    #[must_use]
    pub fn on(listener: TcpListener, tls: Option<Arc<ServerConfig>>, scripts: Vec<Vec<Step>>) -> Self {
        assert!(!scripts.is_empty(), "a recorder needs a script");
        let log = Log::default();
        let resets = scripts.iter().flatten().any(|step| matches!(step, Step::Reset));
        let serve = {
            let log = Arc::clone(&log);
            move |stream| {
                let index = {
                    let mut log = lock(&log);
                    log.push(Recorded::default());
                    log.len() - 1
                };
                let script = scripts[index.min(scripts.len() - 1)].clone();
                let tap = Tap { stream, log: Arc::clone(&log), index };
                async move { tap.play(&script).await }
            }
        };
        let server = Server::on(listener, tls, serve, move |socket| {
            if resets {
                socket.set_zero_linger().expect("SO_LINGER");
            }
        });
        Self { server, log }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// What each connection received so far, in the order they were accepted.
    #[must_use]
    pub fn connections(&self) -> Vec<Recorded> {
        lock(&self.log).clone()
    }

    /// Every byte of every connection so far, one connection after the other.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        lock(&self.log).iter().flat_map(|one| one.bytes.clone()).collect()
    }

    /// [`Recorder::bytes`] as text (invalid UTF-8 replaced).
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// Waits until `needle` has arrived on some connection.
    pub async fn saw(&self, needle: &str) {
        eventually_async(needle, async || {
            let log = lock(&self.log);
            log.iter().any(|one| message::find(&one.bytes, needle.as_bytes()).is_some())
        })
        .await;
    }

    /// Waits until `count` connections were made and all of them have ended.
    pub async fn all_ended(&self, count: usize) {
        eventually_async("the upstream connections to end", async || {
            let log = lock(&self.log);
            log.len() >= count && log.iter().all(|one| one.ended)
        })
        .await;
    }
}

/// One connection: a stream that writes down what it reads.
struct Tap {
    stream: Box<dyn Stream>,
    log: Log,
    index: usize,
}

impl Tap {
    async fn play(mut self, script: &[Step]) -> std::io::Result<()> {
        let mut buffer = BytesMut::new();
        let mut next = 0;
        while let Some(step) = script.get(next) {
            next += 1;
            match step {
                Step::ReadHead => {
                    if message::read_head(&mut self, &mut buffer).await?.is_none() {
                        return Ok(());
                    }
                }
                Step::ReadRequest => {
                    let Some(mut request) = message::read_head(&mut self, &mut buffer).await? else {
                        return Ok(());
                    };
                    let length = request.request_length();
                    message::read_body(&mut self, &mut buffer, &mut request, length).await?;
                }
                Step::Read(wanted) => {
                    while buffer.len() < *wanted {
                        if self.read_buf(&mut buffer).await? == 0 {
                            return Err(std::io::ErrorKind::UnexpectedEof.into());
                        }
                    }
                    drop(buffer.split_to(*wanted));
                }
                Step::Write(bytes) => {
                    self.stream.write_all(bytes).await?;
                    self.stream.flush().await?;
                }
                Step::WriteBytewise(bytes) => {
                    for byte in bytes {
                        self.stream.write_all(&[*byte]).await?;
                        self.stream.flush().await?;
                        tokio::task::yield_now().await;
                    }
                }
                Step::Pause(time) => tokio::time::sleep(*time).await,
                Step::Wait(gate) => gate.0.notified().await,
                Step::Finish => self.stream.shutdown().await?,
                Step::Close | Step::Reset => return Ok(()),
                Step::Repeat => next = 0,
            }
        }
        let mut rest = [0; 16 * 1024];
        while self.read(&mut rest).await? > 0 {}
        Ok(())
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        lock(&self.log)[self.index].ended = true;
    }
}

impl AsyncRead for Tap {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = out.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, out);
        lock(&self.log)[self.index].bytes.extend_from_slice(&out.filled()[before..]);
        result
    }
}

fn lock(log: &Log) -> MutexGuard<'_, Vec<Recorded>> {
    log.lock().expect("no test panics while it holds the log")
}
