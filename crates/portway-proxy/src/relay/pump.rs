//! The plainest relay: bytes from one stream to another, and two of those as a tunnel.
//!
//! An idle direction owns no buffer: a read lands in the core's scratch and is written from there; only what the other
//! side does not take at once is kept. Knows no HTTP.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;

use super::visitor::Progress;
use crate::io::{Duplex, READ_MAX};

/// How many turns one poll may take before others on the core get theirs.
const TURNS: usize = 32;

/// Which end failed.
#[derive(Debug)]
pub(crate) enum PumpFault {
    From(io::Error),
    To(io::Error),
}

/// Moves at most `limit` bytes, noted as they go in `progress`, and in `also` where somebody else looks; the number moved,
/// less than `limit` only at the end of `from`.
pub(crate) async fn pump(
    from: &Duplex,
    to: &Duplex,
    limit: u64,
    progress: &Progress,
    also: Option<&Progress>,
) -> Result<u64, PumpFault> {
    let mut state = Pump { left: limit, kept: Vec::new(), at: 0, flushed: true };
    poll_fn(|cx| state.poll(cx, from, to, progress, also)).await?;
    Ok(limit - state.left)
}

struct Pump {
    left: u64,
    /// Read but not yet written, from `at`.
    kept: Vec<u8>,
    at: usize,
    flushed: bool,
}

impl Pump {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &Duplex,
        to: &Duplex,
        progress: &Progress,
        also: Option<&Progress>,
    ) -> Poll<Result<(), PumpFault>> {
        let lookers = || [progress].into_iter().chain(also);
        for _ in 0..TURNS {
            while let Some(rest) = self.kept.get(self.at..).filter(|rest| !rest.is_empty()) {
                let written = to.poll_write(cx, rest);
                if written.is_pending() {
                    lookers().for_each(Progress::wait);
                }
                self.at += ready!(written).map_err(PumpFault::To)?;
            }
            if !self.kept.is_empty() {
                self.kept = Vec::new();
                self.at = 0;
            }
            if !self.flushed {
                // TLS takes what it has no room to send.
                let flushed = to.poll_flush(cx);
                if flushed.is_pending() {
                    lookers().for_each(Progress::wait);
                }
                ready!(flushed).map_err(PumpFault::To)?;
                self.flushed = true;
            }
            lookers().for_each(Progress::go_on);
            if self.left == 0 {
                return Poll::Ready(Ok(()));
            }
            let room = usize::try_from(self.left).unwrap_or(READ_MAX).min(READ_MAX);
            let kept = &mut self.kept;
            let read = from.poll_read_with(cx, room, |cx, data| {
                let written = match to.poll_write(cx, data) {
                    Poll::Ready(Ok(written)) => written,
                    Poll::Ready(Err(error)) => return Err(error),
                    Poll::Pending => 0,
                };
                kept.extend_from_slice(data.get(written..).unwrap_or_default());
                Ok(data.len())
            });
            let moved = ready!(read).map_err(PumpFault::From)?.map_err(PumpFault::To)?;
            if moved == 0 {
                return Poll::Ready(Ok(()));
            }
            self.flushed = false;
            self.left -= moved as u64;
            lookers().for_each(|one| one.moved.set(one.moved.get() + moved as u64));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Joins two streams until both directions have ended. An end is passed on as an end and the other direction goes on; an
/// error ends both.
///
/// # Errors
/// The first failure; the caller makes it a reset.
pub(crate) async fn tunnel(
    visitor: &Duplex,
    from_visitor: BytesMut,
    upstream: &Duplex,
    from_upstream: BytesMut,
    up: &Progress,
    down: &Progress,
) -> io::Result<()> {
    let one = one_way(visitor, from_visitor, upstream, up);
    let two = one_way(upstream, from_upstream, visitor, down);
    tokio::try_join!(one, two).map(|_| ())
}

async fn one_way(from: &Duplex, first: BytesMut, to: &Duplex, progress: &Progress) -> io::Result<()> {
    if !first.is_empty() {
        progress.moved.set(first.len() as u64);
        to.write_all(&first).await?;
    }
    drop(first);
    pump(from, to, u64::MAX, progress, None).await.map_err(|fault| match fault {
        PumpFault::From(error) | PumpFault::To(error) => error,
    })?;
    to.shutdown().await
}
