//! The visitor's end of an HTTP/1.1 connection: what was read ahead, and whether anybody is still there. Knows no message.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::sleep;

use crate::io::Duplex;
use crate::relay::visitor::Progress;

/// Pipelined bytes that are read ahead while a response is under way.
const AHEAD: usize = 64 * 1024;

/// The visitor's end of the connection.
pub(super) struct Visitor {
    pub(super) io: Duplex,
    /// Read and not yet used.
    pub(super) buf: RefCell<BytesMut>,
    /// The visitor has shut down its sending side.
    pub(super) ended: Cell<bool>,
    /// What the visitor has taken.
    pub(super) sent: Rc<Progress>,
}

impl Visitor {
    /// Over a stream from which `first` was read already.
    pub(super) fn new(io: Duplex, first: BytesMut) -> Self {
        Self { io, buf: RefCell::new(first), ended: Cell::new(false), sent: Rc::default() }
    }

    /// Reads once into the buffer; 0 is the end of the visitor's side.
    pub(super) async fn fill(&self) -> io::Result<usize> {
        let filled = poll_fn(|cx| self.io.poll_fill(cx, &mut self.buf.borrow_mut())).await;
        if matches!(filled, Ok(0)) {
            self.ended.set(true);
        }
        filled
    }

    /// Resolves when nobody waits for the response any more: the connection failed, or the visitor has ended its side and
    /// no byte has gone its way for `patience` since.
    pub(super) async fn gone(&self, patience: Duration) {
        while !self.ended.get() {
            if self.buf.borrow().len() >= AHEAD {
                // A visitor that pipelines so much is there; writing will tell when it is not.
                return std::future::pending().await;
            }
            if self.fill().await.is_err() {
                return;
            }
        }
        loop {
            let before = self.sent.moved.get();
            sleep(patience).await;
            if self.sent.moved.get() == before {
                return;
            }
        }
    }
}
