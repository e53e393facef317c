//! A visitor's HTTP/1.1 connection: one request after the other, and WebSocket tunnels.
//!
//! It frames and reads; what a request may do is decided in `route`.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use base64::Engine as _;
use bytes::{Bytes, BytesMut};
use portway_http1::{
    BodyDecoder, CHUNK_END, Fields, Framing, HeadParser, HeadWriter, LAST_CHUNK, Limits, Name, Piece, Reject,
    RequestHead, ResponseHead, Version, write_chunk_head, write_trailers,
};
use sha1::{Digest as _, Sha1};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::answer::Answer;
use super::edge;
use super::edit::{Edit, Edited};
use super::route::{Route, route};
use crate::control::BODY_MAX;
use crate::core::{Core, Visit};
use crate::io::Duplex;
use crate::leases::Lease;
use crate::ledger::Record;
use crate::refusal::{Form, Refusal};
use crate::relay::forward::{Ended, forward};
use crate::relay::pump::{PumpFault, pump, tunnel};
use crate::relay::visitor::{BodyFault, Progress, RequestBody, Responder};
use crate::upstream::Connection;

/// Queued response bytes beyond which a writer waits.
const QUEUE: usize = 64 * 1024;
/// Pipelined bytes that are read ahead while a response is under way.
const AHEAD: usize = 64 * 1024;
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

/// The visitor's end of the connection.
struct Visitor {
    io: Duplex,
    /// Read and not yet used.
    buf: RefCell<BytesMut>,
    /// The visitor has shut down its sending side.
    ended: Cell<bool>,
    /// When the visitor last took bytes.
    written: Cell<Instant>,
}

/// Serves the connection to its end.
pub async fn serve(core: Rc<Core>, visit: Visit, io: Duplex, first: BytesMut) {
    let visitor = Visitor { io, buf: RefCell::new(first), ended: Cell::new(false), written: Cell::new(Instant::now()) };
    let mut parser = HeadParser::new(Limits::request());
    let next = loop {
        let head = match read_head(&core, &visitor, &mut parser).await {
            Ok(Some(head)) => head,
            Ok(None) => break Next::Close,
            Err(refusal) => {
                // There is no head to say what the visitor wants to read.
                let answer = edge::finish(&core, &visit, refusal.answer(Form::Json, None));
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
    let mut draining = core.draining.clone();
    if visitor.buf.borrow().is_empty() {
        if visitor.ended.get() {
            return Ok(None);
        }
        // An idle connection keeps no buffer.
        visitor.buf.replace(BytesMut::new());
        let filled = tokio::select! {
            biased;
            filled = timeout(limits.keep_alive, visitor.fill()) => filled,
            _ = draining.wait_for(|draining| *draining) => return Ok(None),
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
    let keep = head.keep_alive() && !core.is_draining();
    let has_body = head.framing() != Framing::None;
    match route(core, visit, head) {
        Route::Answer(answer) => own_answer(core, visit, visitor, head, record, answer, keep && !has_body).await,
        Route::Control(place) => {
            let (answer, keep) = match collect(core, visitor, head).await {
                Ok(body) => (edge::ask_control(core, visit, place, head, body).await, keep),
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
    let upgrade = head.upgrade_websocket();
    let edit =
        Edit { settings: &core.settings, permit: lease.permit(), peer: visit.peer, upgrade, secure: visit.secure };
    let mut body = Body { visitor, framing: head.framing() };
    let mut responder = Response {
        visitor,
        out: BytesMut::new(),
        http11: head.version() == Version::Http11,
        head_only: head.method() == b"HEAD",
        close: !keep,
        chunked: false,
        body: 0,
    };
    let progress = Progress::default();
    let gone = visitor.gone(core.settings.timeouts.half_closed);
    let ended = forward(core, &lease, &edit, head, &mut body, &mut responder, gone, &progress).await;
    record.moved(progress.moved.get(), responder.body);
    let close = responder.close;
    match ended {
        Ended::Complete { request_complete, status } => {
            record.close(status, "relayed");
            if request_complete && !close { Next::Request } else { Next::Close }
        }
        Ended::Switched(connection, response) => {
            switch(visitor, head, &edit, &lease, record, *connection, &response).await
        }
        Ended::Refused(refusal) => {
            let answer = refusal.answer(Form::of(head, upgrade), None);
            // What is left of the request body is not waited for.
            own_answer(core, visit, visitor, head, record, answer, keep && head.framing() == Framing::None).await
        }
        Ended::Gone => {
            record.close(499, "visitor-gone");
            Next::Reset
        }
        Ended::Cut => {
            let reason = if lease.is_cut() { "revoked" } else { "upstream-truncated" };
            record.close(502, reason);
            Next::Reset
        }
    }
}

/// Passes a 101 on and becomes a tunnel (RFC 6455 4.2.2). Nothing the visitor sent has gone upstream before this.
async fn switch(
    visitor: &Visitor,
    head: &RequestHead,
    edit: &Edit<'_>,
    lease: &Lease,
    record: Record<'_>,
    connection: Connection,
    response: &ResponseHead,
) -> Next {
    let fields = response.fields();
    let accepted =
        fields.get(Name::SecWebsocketAccept) == head.fields().get(Name::SecWebsocketKey).map(accept_value).as_deref();
    if !accepted
        || !fields.list_contains(Name::Upgrade, "websocket")
        || !fields.list_contains(Name::Connection, "upgrade")
    {
        let answer = Refusal::BadUpstream(edit.permit.port()).answer(Form::Json, None);
        let _ = write_answer(visitor, &answer, false, true).await;
        record.close(answer.status, "bad-upgrade");
        return Next::Close;
    }
    let mut out = BytesMut::new();
    let written = write_switching(response, edit, &mut out);
    if written.is_err() || visitor.io.write_all(&out).await.is_err() {
        return Next::Reset;
    }
    let (up, down) = (Progress::default(), Progress::default());
    let from_visitor = visitor.buf.take();
    let ended = tokio::select! {
        biased;
        () = lease.revoked() => None,
        ended = tunnel(&visitor.io, from_visitor, &connection.io, connection.buf, &up, &down) => Some(ended),
    };
    record.moved(up.moved.get(), down.moved.get());
    match ended {
        Some(Ok(())) => {
            record.close(101, "tunnel");
            Next::Close
        }
        Some(Err(_)) => {
            connection.io.reset_on_close();
            record.close(101, "tunnel-reset");
            Next::Reset
        }
        None => {
            connection.io.reset_on_close();
            record.close(101, "revoked");
            Next::Reset
        }
    }
}

fn write_switching(response: &ResponseHead, edit: &Edit<'_>, out: &mut BytesMut) -> Result<(), Reject> {
    let mut writer = HeadWriter::response(out, 101, response.reason())?;
    writer.put("Connection", "Upgrade")?;
    writer.put("Upgrade", "websocket")?;
    put_fields(&mut writer, response.fields(), edit, false)?;
    writer.finish();
    Ok(())
}

/// RFC 6455 4.2.2: the proof that the handshake was understood.
fn accept_value(key: &[u8]) -> Vec<u8> {
    let digest = Sha1::new().chain_update(key).chain_update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    base64::engine::general_purpose::STANDARD.encode(digest).into_bytes()
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

impl Visitor {
    async fn fill(&self) -> io::Result<usize> {
        let filled = poll_fn(|cx| self.io.poll_fill(cx, &mut self.buf.borrow_mut())).await;
        if matches!(filled, Ok(0)) {
            self.ended.set(true);
        }
        filled
    }

    /// Resolves when nobody waits for the response any more: the connection failed, or the visitor has ended its side and
    /// no byte has gone its way for `patience` since.
    async fn gone(&self, patience: Duration) {
        while !self.ended.get() {
            if self.buf.borrow().len() >= AHEAD {
                // A visitor that pipelines so much is there; writing will tell when it is not.
                return std::future::pending().await;
            }
            if self.fill().await.is_err() {
                return;
            }
        }
        let ended = Instant::now();
        loop {
            let end = self.written.get().max(ended) + patience;
            if Instant::now() >= end {
                return;
            }
            sleep_until(end).await;
        }
    }
}

/// The request body as it comes over HTTP/1.1.
struct Body<'a> {
    visitor: &'a Visitor,
    framing: Framing,
}

impl RequestBody for Body<'_> {
    async fn send(&mut self, to: &Duplex, progress: &Progress) -> Result<(), BodyFault> {
        let chunked = self.framing == Framing::Chunked;
        let mut decoder = BodyDecoder::new(self.framing, &Limits::request());
        let mut out = BytesMut::new();
        loop {
            let piece = decoder.decode(&mut self.visitor.buf.borrow_mut()).map_err(BodyFault::Malformed)?;
            match piece {
                Piece::Data(data) => {
                    progress.moved.set(progress.moved.get() + data.len() as u64);
                    if chunked {
                        write_chunk_head(&mut out, data.len());
                        out.extend_from_slice(&data);
                        out.extend_from_slice(CHUNK_END);
                    } else {
                        out.extend_from_slice(&data);
                    }
                    if out.len() >= QUEUE {
                        flush(to, &mut out, progress).await?;
                    }
                }
                Piece::End(trailers) => {
                    match trailers {
                        Some(trailers) => write_trailers(&mut out, trailers.trailer_safe()),
                        None if chunked => out.extend_from_slice(LAST_CHUNK),
                        None => {}
                    }
                    return flush(to, &mut out, progress).await;
                }
                Piece::More => {
                    flush(to, &mut out, progress).await?;
                    match decoder.remaining() {
                        Some(left) if self.visitor.buf.borrow().is_empty() => {
                            let moved =
                                pump(&self.visitor.io, to, left, progress).await.map_err(|fault| match fault {
                                    PumpFault::From(_) => BodyFault::Visitor,
                                    PumpFault::To(_) => BodyFault::Upstream,
                                })?;
                            decoder.advance(moved);
                            if moved < left {
                                return Err(BodyFault::Visitor);
                            }
                        }
                        Some(_) | None => {
                            if !matches!(self.visitor.fill().await, Ok(1..)) {
                                return Err(BodyFault::Visitor);
                            }
                        }
                    }
                }
            }
        }
    }
}

async fn flush(to: &Duplex, out: &mut BytesMut, progress: &Progress) -> Result<(), BodyFault> {
    if out.is_empty() {
        return Ok(());
    }
    progress.blocked.set(true);
    let sent = to.write_all(out).await;
    progress.blocked.set(false);
    out.clear();
    sent.map_err(|_| BodyFault::Upstream)
}

/// The response as it leaves over HTTP/1.1.
struct Response<'a> {
    visitor: &'a Visitor,
    out: BytesMut,
    http11: bool,
    head_only: bool,
    /// This response is the connection's last.
    close: bool,
    chunked: bool,
    body: u64,
}

impl Responder for Response<'_> {
    fn interim(&mut self, head: &ResponseHead, edit: &Edit<'_>) -> Result<(), Reject> {
        if !self.http11 {
            return Ok(());
        }
        let mut writer = HeadWriter::response(&mut self.out, head.status(), head.reason())?;
        put_fields(&mut writer, head.fields(), edit, false)?;
        writer.finish();
        Ok(())
    }

    fn head(&mut self, head: &ResponseHead, edit: &Edit<'_>, framing: Framing) -> Result<(), Reject> {
        let mut writer = HeadWriter::response(&mut self.out, head.status(), head.reason())?;
        let describes_absent_body = framing == Framing::None && (self.head_only || head.status() == 304);
        put_fields(&mut writer, head.fields(), edit, describes_absent_body)?;
        match framing {
            Framing::None => {}
            Framing::Length(length) => writer.put_length(length),
            Framing::Chunked | Framing::UntilClose if self.http11 => {
                self.chunked = true;
                writer.put("Transfer-Encoding", "chunked")?;
            }
            Framing::Chunked | Framing::UntilClose => self.close = true,
        }
        if self.close {
            writer.put("Connection", "close")?;
        }
        writer.finish();
        Ok(())
    }

    fn data(&mut self, data: Bytes) {
        self.body += data.len() as u64;
        if self.chunked {
            write_chunk_head(&mut self.out, data.len());
            self.out.extend_from_slice(&data);
            self.out.extend_from_slice(CHUNK_END);
        } else {
            self.out.extend_from_slice(&data);
        }
    }

    fn end(&mut self, trailers: Option<&Fields>) {
        if self.chunked {
            match trailers {
                Some(trailers) => write_trailers(&mut self.out, trailers.trailer_safe()),
                None => self.out.extend_from_slice(LAST_CHUNK),
            }
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        if !self.out.is_empty() {
            self.visitor.io.write_all(&self.out).await?;
            self.visitor.written.set(Instant::now());
            self.out.clear();
        }
        Ok(())
    }

    fn direct(&self) -> Option<Duplex> {
        (!self.chunked).then(|| self.visitor.io.clone())
    }

    fn moved(&mut self, bytes: u64) {
        self.body += bytes;
    }
}

fn put_fields(writer: &mut HeadWriter<'_>, fields: &Fields, edit: &Edit<'_>, bodyless: bool) -> Result<(), Reject> {
    let mut result = Ok(());
    edit.response(fields, bodyless, |edited| {
        let put = match edited {
            Edited::Kept(field) => {
                writer.copy(field);
                Ok(())
            }
            Edited::Changed(name, value) => writer.put(name, &value),
            Edited::Added(name, value) => writer.put(name, &value),
        };
        if put.is_err() {
            result = put;
        }
    });
    result
}
