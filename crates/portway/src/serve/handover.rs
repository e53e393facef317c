//! Handing the listeners over to a new gateway on the same data folder, so that an upgrade refuses no connection.
//!
//! The running gateway listens on a socket in its data folder, which only its user can open. A new one asks there, gets the
//! listeners and the lock of the folder (SCM_RIGHTS, unix(7)), starts as ever, and says when it is ready. Only then does the
//! old one drain; if the new one ends before, nothing has happened. It knows neither requests nor what is served.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;

use crate::output::Failure;

const SOCKET: &str = "gateway.sock";
/// How listeners are offered; another number is another way.
const WAY: u32 = 1;
/// The most descriptors of one message; the kernel's own limit is 253.
const DESCRIPTORS: usize = 128;
/// The most bytes of an offer.
const OFFER: usize = 1024;
const READY: &[u8] = b"ready\n";
/// How long the old gateway takes to offer, and how long the new one may take to start.
const ASKED: Duration = Duration::from_secs(10);
const STARTED: Duration = Duration::from_secs(120);

/// What the descriptors are, in their order: plain listeners, TLS listeners, operations, the lock.
#[derive(Debug, Serialize, Deserialize)]
struct Offer {
    way: u32,
    pid: u32,
    plain: usize,
    tls: usize,
}

/// Listeners, whoever has bound them.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    pub(super) plain: Vec<TcpListener>,
    pub(super) tls: Vec<TcpListener>,
    pub(super) ops: Vec<TcpListener>,
}

/// What a running gateway has handed over.
#[derive(Debug)]
pub(super) struct Handed {
    pub(super) listeners: Listeners,
    pub(super) lock: File,
    pub(super) from: Predecessor,
}

/// The gateway that waits for this one to be ready.
#[derive(Debug)]
pub(super) struct Predecessor {
    pub(super) pid: u32,
    stream: UnixStream,
}

/// Asks the gateway that runs on this data folder for its listeners; `None` where none runs.
///
/// # Errors
/// Where one runs and does not hand them over.
pub(super) fn take(data: &Path) -> Result<Option<Handed>, Failure> {
    let stream = match UnixStream::connect(data.join(SOCKET)) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(refused(&error)),
    };
    receive(stream).map(Some).map_err(|error| refused(&error))
}

fn refused(error: &io::Error) -> Failure {
    Failure::failed(format!("the running gateway does not hand its listeners over: {error}"))
        .hint("stop it, then start this one without --take-over")
}

fn receive(stream: UnixStream) -> io::Result<Handed> {
    stream.set_read_timeout(Some(ASKED))?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let (mut control, mut text) = (RecvAncillaryBuffer::new(&mut space), [0; OFFER]);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = recvmsg(&stream, &mut [IoSliceMut::new(&mut text)], &mut control, flags)?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(these) = message {
            descriptors.extend(these);
        }
    }
    let unusable = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    let offer: Offer = serde_json::from_slice(text.get(..received.bytes).unwrap_or_default())
        .map_err(|_| unusable("it is another version, which offers them in another way"))?;
    let count = offer.plain.saturating_add(offer.tls).saturating_add(2);
    if offer.way != WAY || descriptors.len() != count {
        return Err(unusable("it is another version, which offers them in another way"));
    }
    let mut rest = descriptors.into_iter();
    let mut next = |count: usize| rest.by_ref().take(count).map(TcpListener::from).collect::<Vec<_>>();
    let listeners = Listeners { plain: next(offer.plain), tls: next(offer.tls), ops: next(1) };
    let lock = rest.next().map(|lock: OwnedFd| File::from(lock)).ok_or_else(|| unusable("it keeps its lock"))?;
    Ok(Handed { listeners, lock, from: Predecessor { pid: offer.pid, stream } })
}

impl Predecessor {
    /// Tells it to drain.
    pub(super) fn let_go(mut self) {
        // If it has ended by itself meanwhile, there is nothing to tell.
        let _ = self.stream.write_all(READY);
    }
}

/// Offers the listeners and the lock to whoever asks, until one of them is ready to serve.
///
/// # Errors
/// Where nobody can ask.
pub(super) async fn succeeded(data: &Path, listeners: Listeners, lock: File) -> io::Result<()> {
    let path = data.join(SOCKET);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let socket = UnixListener::bind(&path)?;
    let ours = Arc::new((listeners, lock));
    loop {
        let (stream, _) = socket.accept().await?;
        let ours = ours.clone();
        let offered = tokio::task::spawn_blocking(move || offer(&stream.into_std()?, &ours.0, &ours.1)).await;
        match offered.map_err(io::Error::other).flatten() {
            Ok(()) => return Ok(()),
            Err(error) => tracing::warn!(event = "handover", %error, "the new gateway did not start; this one goes on"),
        }
    }
}

fn offer(mut stream: &UnixStream, listeners: &Listeners, lock: &File) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(STARTED))?;
    let all = listeners.plain.iter().chain(&listeners.tls).chain(&listeners.ops);
    let mut descriptors: Vec<BorrowedFd<'_>> = all.map(|listener| listener.as_fd()).collect();
    descriptors.push(lock.as_fd());
    let offer = Offer { way: WAY, pid: std::process::id(), plain: listeners.plain.len(), tls: listeners.tls.len() };
    let text = serde_json::to_vec(&offer)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("there are too many listeners"));
    }
    sendmsg(stream, &[IoSlice::new(&text)], &mut control, SendFlags::NOSIGNAL)?;
    let mut answer = [0; READY.len()];
    stream.read_exact(&mut answer)?;
    if answer == READY { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}
