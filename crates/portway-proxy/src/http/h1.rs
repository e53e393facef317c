//! A visitor's HTTP/1.1 connection: one request after the other, and WebSocket tunnels.
//!
//! It reads heads and writes our own answers; what a request may do is decided in `route`, bodies are in `message`.

mod message;
mod upgrade;
mod visitor;

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use portway_core::activity::Attention;
use portway_http1::{BodyDecoder, Framing, HeadParser, Limits, Piece, RequestHead};
use tokio::time::{Instant, timeout, timeout_at};

use self::message::{Body, Response};
use self::visitor::Visitor;
use super::answer::Answer;
use super::challenge::tell_missed;
use super::edit::Edit;
use super::route::Route;
use super::{cors, edge, frames, wake};
use crate::control::BODY_MAX;
use crate::core::{Core, Visit};
use crate::io::Duplex;
use crate::leases::{Cut, Lease};
use crate::ledger::{RELAYED, Record};
use crate::refusal::{Form, Refusal};
use crate::relay::forward::{Ended, forward};

/// How long, and for how many bytes, a connection that we close is still read, so that the answer is not lost to a reset.
const LINGER: (Duration, usize) = (Duration::from_secs(2), 256 * 1024);

/// Whether the connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Request,
    Close,
    /// End it so that nobody takes what was sent for whole.
    Reset,
}

/// Serves the connection to its end.
pub async fn serve(core: Rc<Core>, visit: Visit, io: Duplex, first: BytesMut) {
    let visitor = Visitor::new(io, first);
    let mut parser = HeadParser::new(Limits::request());
    let next = loop {
        let head = match read_head(&core, &visitor, &mut parser).await {
            Ok(Some(head)) => head,
            Ok(None) => break Next::Close,
            Err(refusal) => {
                // There is no head to say what the visitor wants to read.
                let answer = edge::finish(&core, &visit, refusal.answer(Form::Json, None));
                core.ledger.rejected(answer.status, answer.reason);
                let _ = write_answer(&visitor, &answer, false, true).await;
                break Next::Close;
            }
        };
        match serve_one(&core, &visit, &visitor, &head).await {
            Next::Request => {}
            last => break last,
        }
    };
    match next {
        Next::Reset => visitor.io.reset_on_close(),
        Next::Request | Next::Close => linger(&visitor).await,
    }
}

/// The next request head; `None` at the end of the connection.
async fn read_head(core: &Core, visitor: &Visitor, parser: &mut HeadParser) -> Result<Option<RequestHead>, Refusal> {
    let limits = &core.settings.timeouts;
    if visitor.buf.borrow().is_empty() {
        if visitor.ended.get() {
            return Ok(None);
        }
        // An idle connection keeps no buffer.
        visitor.buf.replace(BytesMut::new());
        let filled = tokio::select! {
            biased;
            filled = timeout(limits.keep_alive, visitor.fill()) => filled,
            () = core.leaves() => return Ok(None),
        };
        if !matches!(filled, Ok(Ok(1..))) {
            return Ok(None);
        }
    }
    let deadline = Instant::now() + limits.request_head;
    loop {
        if let Some(head) = parser.request(&mut visitor.buf.borrow_mut()).map_err(Refusal::Malformed)? {
            return Ok(Some(head));
        }
        match timeout_at(deadline, visitor.fill()).await {
            Ok(Ok(1..)) => {}
            Ok(Ok(0) | Err(_)) => return Ok(None),
            Err(_) => return Err(Refusal::RequestTimeout),
        }
    }
}

async fn serve_one(core: &Rc<Core>, visit: &Visit, visitor: &Visitor, head: &RequestHead) -> Next {
    let record = core.ledger.open(visit, head);
    // What follows a CONNECT or a WebSocket handshake may be meant for a tunnel: unless there is one, it is nobody's (R41, R64).
    let tunnels = head.method() == b"CONNECT" || head.upgrade_websocket();
    let keep = head.keep_alive() && !tunnels && core.keeps_idle();
    let has_body = head.framing() != Framing::None;
    match wake::arrive(core, visit, head, record.trace().as_deref()).await {
        Route::Answer(answer) => own_answer(core, visit, visitor, head, record, answer, keep && !has_body).await,
        Route::Missed(answer, target) => {
            tell_missed(core, &target).await;
            own_answer(core, visit, visitor, head, record, answer, keep && !has_body).await
        }
        Route::Control(place) => {
            let (answer, keep) = match collect(core, visitor, head).await {
                Ok(body) => (edge::ask_control(core, visit, place, head, body, record.trace().as_deref()).await, keep),
                Err(refusal) => (refusal.answer(Form::of(head, false), None), false),
            };
            own_answer(core, visit, visitor, head, record, answer, keep).await
        }
        Route::Probe(lease) => {
            let answer = edge::probe(core, &lease).await;
            own_answer(core, visit, visitor, head, record, answer, keep && !has_body).await
        }
        Route::Relay(lease) => relay(core, visit, visitor, head, record, lease, keep).await,
    }
}

async fn own_answer(
    core: &Core,
    visit: &Visit,
    visitor: &Visitor,
    head: &RequestHead,
    record: Record<'_>,
    answer: Answer,
    keep: bool,
) -> Next {
    let answer = cors::readable(answer, head, &core.settings.names);
    let answer = edge::traced(core, record.trace().as_deref(), frames::own_page(answer, head, &core.settings));
    let answer = edge::finish(core, visit, answer);
    let sent = write_answer(visitor, &answer, head.method() == b"HEAD", !keep).await;
    record.moved(0, answer.body.len() as u64);
    record.close(answer.status, answer.reason);
    if sent.is_ok() && keep { Next::Request } else { Next::Close }
}

async fn relay(
    core: &Rc<Core>,
    visit: &Visit,
    visitor: &Visitor,
    head: &RequestHead,
    record: Record<'_>,
    lease: Lease,
    keep: bool,
) -> Next {
    record.permitted(lease.permit());
    let trace = record.trace();
    let edit = Edit::new(&core.settings, visit, head, lease.permit(), trace.as_deref(), record.context());
    let mut body = Body::new(visitor, head.framing());
    let mut responder = Response::new(visitor, head, !keep);
    let gone = visitor.gone(core.settings.timeouts.half_closed);
    let ended = forward(core, &lease, &edit, head, &mut body, &mut responder, gone).await;
    core.active(lease.permit(), Attention::Background);
    record.moved(lease.up().moved.get(), responder.body());
    let close = responder.closes();
    match ended {
        Ended::Complete { request_complete, status } => {
            record.close(status, RELAYED);
            if request_complete && !close { Next::Request } else { Next::Close }
        }
        Ended::Switched(connection, response) => {
            upgrade::switch(visitor, head, &edit, &lease, record, *connection, &response).await
        }
        Ended::Refused(refusal) => {
            let answer = edge::refused(core, head, &lease, &refusal);
            // What is left of the request body is not waited for.
            own_answer(core, visit, visitor, head, record, answer, keep && head.framing() == Framing::None).await
        }
        Ended::Gone => {
            record.close(499, "visitor-gone");
            Next::Reset
        }
        Ended::Cut => {
            let reason = lease.cut().map_or("upstream-truncated", Cut::word);
            record.close(502, reason);
            Next::Reset
        }
    }
}

async fn write_answer(visitor: &Visitor, answer: &Answer, head_only: bool, close: bool) -> io::Result<()> {
    let mut out = BytesMut::new();
    answer.write(&mut out, head_only, close).map_err(|_| io::ErrorKind::InvalidData)?;
    visitor.io.write_all(&out).await
}

/// The whole body of a request for Portway itself.
async fn collect(core: &Core, visitor: &Visitor, head: &RequestHead) -> Result<Bytes, Refusal> {
    let mut decoder = BodyDecoder::new(head.framing(), &Limits::request());
    if decoder.is_done() {
        return Ok(Bytes::new());
    }
    if decoder.remaining().is_some_and(|length| length > BODY_MAX as u64) {
        return Err(Refusal::TooLarge);
    }
    if head.expects_continue() {
        visitor.io.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.map_err(|_| Refusal::RequestTimeout)?;
    }
    let mut body = BytesMut::new();
    let deadline = Instant::now() + core.settings.timeouts.body_idle;
    loop {
        let piece = decoder.decode(&mut visitor.buf.borrow_mut()).map_err(Refusal::Malformed)?;
        match piece {
            Piece::Data(data) if body.len() + data.len() > BODY_MAX => return Err(Refusal::TooLarge),
            Piece::Data(data) => body.extend_from_slice(&data),
            Piece::End(_) => return Ok(body.freeze()),
            Piece::More => match timeout_at(deadline, visitor.fill()).await {
                Ok(Ok(1..)) => {}
                Ok(Ok(0) | Err(_)) | Err(_) => return Err(Refusal::RequestTimeout),
            },
        }
    }
}

/// Closes so that what was written arrives: end our side, then read on for a moment (RFC 9112 9.6).
async fn linger(visitor: &Visitor) {
    let (patience, mut left) = LINGER;
    if visitor.io.shutdown().await.is_err() || visitor.ended.get() {
        return;
    }
    let drain = async {
        while left > 0 {
            let read = poll_fn(|cx| visitor.io.poll_read_with(cx, left, |_, data| data.len())).await;
            match read {
                Ok(n @ 1..) => left = left.saturating_sub(n),
                Ok(0) | Err(_) => break,
            }
        }
    };
    let _ = timeout(patience, drain).await;
}
