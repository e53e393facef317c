//! One transport, plain or TLS, whose two directions can be used at the same time within one core.
//!
//! A core runs on one thread, so the halves share the socket through a `RefCell` that is borrowed only inside a poll.
//! Nothing here knows HTTP.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

/// A byte stream to a visitor or a dev server.
#[derive(Debug)]
pub enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Io {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, data),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, data),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

/// As [`Duplex::reset_on_close`], of a bare socket.
pub(crate) fn reset_on_close(tcp: &TcpStream) {
    // Not supported only on closed sockets, and then there is nothing left to cut.
    let _ = socket2::SockRef::from(tcp).set_linger(Some(Duration::ZERO));
}

/// The most one read takes, in bytes: the size of each core's scratch buffer. Measured: 64 KiB halves the CPU of an 8 KiB
/// buffer on bulk bodies.
pub(crate) const READ_MAX: usize = 64 * 1024;

thread_local! {
    /// Reads land here first, so that an idle connection owns no buffer.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_MAX]);
}

/// A shared handle on one [`Io`]. Cloning gives the other direction, not another stream.
#[derive(Clone, Debug)]
pub struct Duplex(Rc<RefCell<Io>>);

impl Duplex {
    pub fn new(io: Io) -> Self {
        Self(Rc::new(RefCell::new(io)))
    }

    /// Reads once and hands what came to `take` before anything else can use the buffer. 0 bytes is the end of the stream.
    pub fn poll_read_with<T>(
        &self,
        cx: &mut Context<'_>,
        limit: usize,
        take: impl FnOnce(&mut Context<'_>, &[u8]) -> T,
    ) -> Poll<io::Result<T>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let room = scratch.get_mut(..limit.min(READ_MAX)).unwrap_or_default();
            let mut buf = ReadBuf::new(room);
            ready!(Pin::new(&mut *self.0.borrow_mut()).poll_read(cx, &mut buf))?;
            Poll::Ready(Ok(take(cx, buf.filled())))
        })
    }

    /// Appends what one read brings to `into`; the number of bytes, 0 at the end of the stream.
    pub fn poll_fill(&self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>> {
        self.poll_read_with(cx, READ_MAX, |_, data| {
            into.extend_from_slice(data);
            data.len()
        })
    }

    /// As [`Duplex::poll_fill`].
    pub async fn fill(&self, into: &mut BytesMut) -> io::Result<usize> {
        std::future::poll_fn(|cx| self.poll_fill(cx, into)).await
    }

    pub fn poll_write(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_write(cx, data)
    }

    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_flush(cx)
    }

    /// Writes all of `data` and flushes it, because a byte that waits in a buffer is a stalled event stream.
    pub async fn write_all(&self, data: &[u8]) -> io::Result<()> {
        let mut rest = data;
        std::future::poll_fn(|cx| {
            while !rest.is_empty() {
                let n = ready!(self.poll_write(cx, rest))?;
                if n == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                rest = rest.get(n..).unwrap_or_default();
            }
            self.poll_flush(cx)
        })
        .await
    }

    pub fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_shutdown(cx)
    }

    /// Ends our sending side; the other may go on.
    pub async fn shutdown(&self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_shutdown(cx)).await
    }

    /// Makes the coming close a reset, so that nobody takes a cut message for a whole one.
    pub fn reset_on_close(&self) {
        reset_on_close(self.0.borrow().socket());
    }

    /// Takes the stream back when this is the last handle.
    pub fn into_inner(self) -> Option<Io> {
        Rc::into_inner(self.0).map(RefCell::into_inner)
    }
}
