//! What the relay asks of a visitor, over HTTP/1.1 and HTTP/2 alike.
//!
//! Two traits, because there are two real protocols. The relay knows heads and pieces of bodies, not frames.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use portway_http1::{Fields, Framing, Reject, ResponseHead};

use crate::http::edit::Edit;
use crate::io::Duplex;

/// The request body on its way to the dev server.
pub(crate) trait RequestBody {
    /// Whether a body that stands still before the response head is cut. HTTP/2 has flow control for that.
    const HAS_FLOOR: bool;

    /// Sends all of it, framed as the request head announced.
    async fn send(&mut self, to: &Duplex, progress: &Progress) -> Result<(), BodyFault>;
}

/// How far an exchange has come, seen by those who judge whether it stands still and how it may end.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Bytes that arrived from the visitor.
    pub moved: Cell<u64>,
    /// Since when what was read waits for the other end to take it.
    waits: Cell<Option<Instant>>,
    /// Something of a response was queued for the visitor: no other answer can take its place.
    pub spoke: Cell<bool>,
}

impl Progress {
    /// The other end does not take what was read.
    pub(crate) fn wait(&self) {
        if self.waits.get().is_none() {
            self.waits.set(Some(Instant::now()));
        }
    }

    /// It has taken all of it.
    pub(crate) fn go_on(&self) {
        self.waits.set(None);
    }

    /// How long the other end has not; `None` where it is not waited for.
    pub(crate) fn waited(&self) -> Option<Duration> {
        self.waits.get().map(|since| since.elapsed())
    }

    /// Writes to the other end, which is waited for until it is done.
    pub(crate) async fn writing<F: Future>(&self, write: F) -> F::Output {
        let mut write = pin!(write);
        let written = poll_fn(|cx| {
            let polled = write.as_mut().poll(cx);
            if polled.is_pending() {
                self.wait();
            }
            polled
        })
        .await;
        self.go_on();
        written
    }
}

/// Why a request body did not get through.
#[derive(Debug)]
pub(crate) enum BodyFault {
    /// The visitor went away.
    Visitor,
    /// What arrived is not a body.
    Malformed(Reject),
    /// The dev server does not take it; it may have answered already.
    Upstream,
}

/// The response on its way to the visitor. `head`, `data` and `end` only queue; `flush` moves.
pub(crate) trait Responder {
    /// An interim response (1xx, but not 101).
    fn interim(&mut self, head: &ResponseHead, edit: &Edit<'_>) -> Result<(), Reject>;

    /// The final head. `framing` is how the body arrives here, not how it leaves.
    fn head(&mut self, head: &ResponseHead, edit: &Edit<'_>, framing: Framing) -> Result<(), Reject>;

    fn data(&mut self, data: Bytes);

    fn end(&mut self, trailers: Option<&Fields>);

    /// Writes everything queued.
    async fn flush(&mut self) -> io::Result<()>;

    /// The socket itself and what counts its bytes, where body bytes may go without another frame around them.
    fn direct(&self) -> Option<(Duplex, Rc<Progress>)>;

    /// Body bytes that went to [`Responder::direct`] without passing here.
    fn moved(&mut self, bytes: u64);
}
