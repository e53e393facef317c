//! A visitor's HTTP/2 connection: many requests at once, each decided for itself, because a browser sends requests for all
//! hosts of a certificate over one connection (RFC 9113 9.1.1).
//!
//! Frames and floods are the h2 crate's; every limit it has is set here (R46, R47).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Response as HttpResponse};
use portway_http1::{
    CHUNK_END, Fields, Framing, LAST_CHUNK, Limits, Reject, RequestHead, ResponseHead, Rule, write_chunk_head,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};

use super::answer::Answer;
use super::edge::{self, Busy};
use super::edit::{Edit, Edited};
use super::route::{Route, route};
use crate::control::BODY_MAX;
use crate::core::{Core, Visit};
use crate::io::Duplex;
use crate::leases::Lease;
use crate::ledger::Record;
use crate::refusal::{Form, Refusal};
use crate::relay::forward::{Ended, forward};
use crate::relay::visitor::{BodyFault, Progress, RequestBody, Responder};

/// Streams at once. A page's images come in hundreds; more of them wait their turn.
const STREAMS: u32 = 100;
/// The flow-control window of one stream, in bytes: what a request body may have under way.
const STREAM_WINDOW: u32 = 1 << 20;
/// The window of the connection, in bytes.
const CONNECTION_WINDOW: u32 = 16 << 20;
/// The decoded size of a head, in bytes, as `portway-http1` limits it too.
const HEAD_BYTES: u32 = 32 * 1024;
/// The memory of the header compression, in bytes: RFC 9113's own default, set so that it stays.
const HPACK_TABLE: u32 = 4096;
/// Response bytes that wait for the visitor's window, in bytes a stream.
const SEND_BUFFER: usize = 256 * 1024;
/// Streams reset by the peer before we took them (rapid reset, CVE-2023-44487).
const PENDING_RESETS: usize = 20;
/// Streams the peer made us reset (MadeYouReset, CVE-2025-8671).
const LOCAL_RESETS: usize = 256;

/// Serves the connection to its end.
pub async fn serve(core: Rc<Core>, visit: Visit, io: impl AsyncRead + AsyncWrite + Unpin) {
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEAD_BYTES)
        .header_table_size(HPACK_TABLE)
        .max_send_buffer_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(Some(LOCAL_RESETS));
    let handshake = builder.handshake::<_, Bytes>(io);
    let Ok(Ok(mut connection)) = timeout(core.settings.timeouts.request_head, handshake).await else { return };
    let visit = Rc::new(visit);
    let busy = Busy::default();
    let mut draining = core.draining.clone();
    let mut leaving = false;
    loop {
        let idle = sleep(core.settings.timeouts.keep_alive);
        tokio::select! {
            biased;
            accepted = connection.accept() => {
                let Some(Ok((request, respond))) = accepted else { break };
                let guard = busy.enter();
                let (core, visit) = (core.clone(), visit.clone());
                tokio::task::spawn_local(async move {
                    stream(&core, &visit, request, respond).await;
                    drop(guard);
                });
            }
            _ = draining.wait_for(|draining| *draining), if !leaving => {
                leaving = true;
                connection.graceful_shutdown();
            }
            () = idle => {
                if busy.count() > 0 {
                    continue;
                }
                if leaving {
                    break;
                }
                leaving = true;
                connection.graceful_shutdown();
            }
        }
    }
    // What is still queued for the peer is written before the socket closes.
    let _ = timeout(core.settings.timeouts.request_head, poll_fn(|cx| closed(&mut connection, cx))).await;
}

fn closed<T: AsyncRead + AsyncWrite + Unpin>(connection: &mut Connection<T, Bytes>, cx: &mut Context<'_>) -> Poll<()> {
    connection.poll_closed(cx).map(|_| ())
}

async fn stream(core: &Rc<Core>, visit: &Visit, request: http::Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let (parts, body) = request.into_parts();
    let head = match head_of(&parts, !body.is_end_stream()) {
        Ok(head) => head,
        Err(reject) => {
            // It cannot be told what was asked for, so nothing is looked up for it.
            let answer = edge::finish(core, visit, Refusal::Malformed(reject).answer(Form::Json, None));
            core.ledger.rejected(answer.status, answer.reason);
            let _ = send_answer(&mut respond, &answer, false).await;
            return;
        }
    };
    let record = core.ledger.open(visit, &head);
    match route(core, visit, &head) {
        Route::Answer(answer) => own_answer(core, visit, &head, record, respond, answer).await,
        Route::Control(place) => {
            let answer = match collect(core, body).await {
                Ok(body) => edge::ask_control(core, visit, place, &head, body).await,
                Err(refusal) => refusal.answer(Form::of(&head, false), None),
            };
            own_answer(core, visit, &head, record, respond, answer).await;
        }
        Route::Probe(lease) => {
            let answer = edge::probe(core, &lease).await;
            own_answer(core, visit, &head, record, respond, answer).await;
        }
        Route::Relay(lease) => relay(core, visit, &head, record, lease, body, respond).await,
    }
}

/// The one place where HTTP/2 parts become a request: they go through the same checks as HTTP/1.1 bytes (R43).
fn head_of(parts: &http::request::Parts, has_body: bool) -> Result<RequestHead, Reject> {
    let target = match parts.uri.path_and_query() {
        Some(path) => path.as_str(),
        None => "",
    };
    let authority = parts.uri.authority().map_or("", http::uri::Authority::as_str);
    let fields = parts.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    RequestHead::from_parts(
        parts.method.as_str().as_bytes(),
        target.as_bytes(),
        authority.as_bytes(),
        fields,
        has_body,
        &Limits::request(),
    )
}

async fn own_answer(
    core: &Core,
    visit: &Visit,
    head: &RequestHead,
    record: Record<'_>,
    mut respond: SendResponse<Bytes>,
    answer: Answer,
) {
    let answer = edge::finish(core, visit, answer);
    let _ = send_answer(&mut respond, &answer, head.method() == b"HEAD").await;
    record.moved(0, answer.body.len() as u64);
    record.close(answer.status, answer.reason);
}

async fn send_answer(respond: &mut SendResponse<Bytes>, answer: &Answer, head_only: bool) -> io::Result<()> {
    let mut response = HttpResponse::builder().status(answer.status);
    for (name, value) in &answer.fields {
        response = response.header(name.as_ref(), value);
    }
    response = response.header("content-length", answer.body.len());
    let response = response.body(()).map_err(|_| io::ErrorKind::InvalidData)?;
    let empty = head_only || answer.body.is_empty();
    let mut stream = respond.send_response(response, empty).map_err(|_| io::ErrorKind::BrokenPipe)?;
    if !empty {
        let mut rest = answer.body.clone();
        poll_fn(|cx| poll_send(&mut stream, &mut rest, cx)).await?;
        stream.send_data(Bytes::new(), true).map_err(|_| io::ErrorKind::BrokenPipe)?;
    }
    Ok(())
}

/// Sends `rest` as the visitor's window opens.
fn poll_send(stream: &mut SendStream<Bytes>, rest: &mut Bytes, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    while !rest.is_empty() {
        stream.reserve_capacity(rest.len());
        let room = if stream.capacity() > 0 {
            stream.capacity()
        } else {
            match ready!(stream.poll_capacity(cx)) {
                Some(Ok(room)) => room,
                Some(Err(_)) | None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        };
        if room > 0 {
            let part = rest.split_to(room.min(rest.len()));
            stream.send_data(part, false).map_err(|_| io::ErrorKind::BrokenPipe)?;
        }
    }
    Poll::Ready(Ok(()))
}

async fn collect(core: &Core, mut body: RecvStream) -> Result<Bytes, Refusal> {
    let whole = async {
        let mut all = BytesMut::new();
        while let Some(data) = body.data().await {
            let data = data.map_err(|_| Refusal::RequestTimeout)?;
            if all.len() + data.len() > BODY_MAX {
                return Err(Refusal::TooLarge);
            }
            let _ = body.flow_control().release_capacity(data.len());
            all.extend_from_slice(&data);
        }
        Ok(all.freeze())
    };
    timeout(core.settings.timeouts.body_idle, whole).await.unwrap_or(Err(Refusal::RequestTimeout))
}

async fn relay(
    core: &Rc<Core>,
    visit: &Visit,
    head: &RequestHead,
    record: Record<'_>,
    lease: Lease,
    body: RecvStream,
    respond: SendResponse<Bytes>,
) {
    record.permitted(lease.permit());
    // WebSocket over HTTP/2 is not offered yet; an upgrade field cannot occur (RFC 9113 8.2.2).
    let edit = Edit {
        settings: &core.settings,
        permit: lease.permit(),
        peer: visit.peer,
        upgrade: false,
        secure: visit.secure,
    };
    let mut body = Body { stream: body, framing: head.framing() };
    let wire = Rc::new(RefCell::new(Wire::Waiting(respond)));
    let mut responder = Response {
        wire: wire.clone(),
        queue: VecDeque::new(),
        end: None,
        head_only: head.method() == b"HEAD",
        body: 0,
    };
    let progress = Progress::default();
    let gone = {
        let wire = wire.clone();
        poll_fn(move |cx| wire.borrow_mut().poll_reset(cx))
    };
    let ended = forward(core, &lease, &edit, head, &mut body, &mut responder, gone, &progress).await;
    record.moved(progress.moved.get(), responder.body);
    match ended {
        Ended::Complete { status, .. } => record.close(status, "relayed"),
        Ended::Refused(refusal) => {
            let answer = refusal.answer(Form::of(head, false), None);
            if let Some(respond) = Wire::take_waiting(&wire) {
                own_answer(core, visit, head, record, respond, answer).await;
            }
        }
        // Never happens without an upgrade; a reset is the safe reading.
        Ended::Switched(..) => wire.borrow_mut().reset(Reason::INTERNAL_ERROR),
        Ended::Gone => {
            record.close(499, "visitor-gone");
            wire.borrow_mut().reset(Reason::CANCEL);
        }
        Ended::Cut => {
            record.close(502, if lease.is_cut() { "revoked" } else { "upstream-truncated" });
            wire.borrow_mut().reset(Reason::INTERNAL_ERROR);
        }
    }
}

/// The request body as it comes over HTTP/2.
struct Body {
    stream: RecvStream,
    framing: Framing,
}

impl RequestBody for Body {
    const HAS_FLOOR: bool = false;

    async fn send(&mut self, to: &Duplex, progress: &Progress) -> Result<(), BodyFault> {
        let chunked = self.framing == Framing::Chunked;
        let mut out = BytesMut::new();
        while let Some(data) = self.stream.data().await {
            let data = data.map_err(|_| BodyFault::Visitor)?;
            progress.moved.set(progress.moved.get() + data.len() as u64);
            if chunked && !data.is_empty() {
                out.clear();
                write_chunk_head(&mut out, data.len());
                out.extend_from_slice(&data);
                out.extend_from_slice(CHUNK_END);
                write(to, &out, progress).await?;
            } else {
                write(to, &data, progress).await?;
            }
            // The visitor may send more only now: this is what bounds memory.
            self.stream.flow_control().release_capacity(data.len()).map_err(|_| BodyFault::Visitor)?;
        }
        let trailers = self.stream.trailers().await.map_err(|_| BodyFault::Visitor)?;
        if chunked {
            out.clear();
            match trailers {
                Some(trailers) => write_trailer_map(&trailers, &mut out).map_err(BodyFault::Malformed)?,
                None => out.extend_from_slice(LAST_CHUNK),
            }
            write(to, &out, progress).await?;
        }
        Ok(())
    }
}

async fn write(to: &Duplex, data: &[u8], progress: &Progress) -> Result<(), BodyFault> {
    progress.blocked.set(true);
    let written = to.write_all(data).await;
    progress.blocked.set(false);
    written.map_err(|_| BodyFault::Upstream)
}

/// Trailers of a request, past the same filter as any others: they are read back as fields first.
fn write_trailer_map(trailers: &HeaderMap, out: &mut BytesMut) -> Result<(), Reject> {
    let fields = trailers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    let limits = Limits::request();
    let read = RequestHead::from_parts(b"GET", b"/", b"trailers", fields, false, &limits)?;
    portway_http1::write_trailers(out, read.fields().trailer_safe());
    Ok(())
}

/// The sending half of a stream, before and after its head.
enum Wire {
    Waiting(SendResponse<Bytes>),
    Sending(SendStream<Bytes>),
    Done,
}

impl Wire {
    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Waiting(respond) => respond.poll_reset(cx).map(|_| ()),
            Self::Sending(stream) => stream.poll_reset(cx).map(|_| ()),
            Self::Done => Poll::Pending,
        }
    }

    fn reset(&mut self, reason: Reason) {
        match self {
            Self::Waiting(respond) => respond.send_reset(reason),
            Self::Sending(stream) => stream.send_reset(reason),
            Self::Done => {}
        }
    }

    fn take_waiting(wire: &RefCell<Self>) -> Option<SendResponse<Bytes>> {
        match wire.replace(Self::Done) {
            Self::Waiting(respond) => Some(respond),
            Self::Sending(_) | Self::Done => None,
        }
    }
}

/// The response as it leaves over HTTP/2.
struct Response {
    wire: Rc<RefCell<Wire>>,
    queue: VecDeque<Bytes>,
    /// The body is complete; with these trailers.
    end: Option<Option<HeaderMap>>,
    head_only: bool,
    body: u64,
}

impl Responder for Response {
    fn interim(&mut self, head: &ResponseHead, edit: &Edit<'_>) -> Result<(), Reject> {
        // 100 is the h2 crate's own affair only when asked for; passing the dev server's on is what was asked of us.
        let response = response_of(head, edit, false)?;
        if let Wire::Waiting(respond) = &mut *self.wire.borrow_mut() {
            let _ = respond.send_informational(response);
        }
        Ok(())
    }

    fn head(&mut self, head: &ResponseHead, edit: &Edit<'_>, framing: Framing) -> Result<(), Reject> {
        let describes_absent_body = framing == Framing::None && (self.head_only || head.status() == 304);
        let mut response = response_of(head, edit, describes_absent_body)?;
        if let Framing::Length(length) = framing {
            response.headers_mut().insert(http::header::CONTENT_LENGTH, length.into());
        }
        let mut wire = self.wire.borrow_mut();
        if let Wire::Waiting(respond) = &mut *wire {
            *wire = match respond.send_response(response, framing == Framing::None) {
                Ok(_) if framing == Framing::None => Wire::Done,
                Ok(stream) => Wire::Sending(stream),
                // The visitor has reset the stream; the next flush says so.
                Err(_) => Wire::Done,
            };
        }
        Ok(())
    }

    fn data(&mut self, data: Bytes) {
        self.body += data.len() as u64;
        self.queue.push_back(data);
    }

    fn end(&mut self, trailers: Option<&Fields>) {
        self.end = Some(trailers.map(trailer_map));
    }

    async fn flush(&mut self) -> io::Result<()> {
        while let Some(mut data) = self.queue.pop_front() {
            poll_fn(|cx| match &mut *self.wire.borrow_mut() {
                Wire::Sending(stream) => poll_send(stream, &mut data, cx),
                Wire::Waiting(_) | Wire::Done => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            })
            .await?;
        }
        if let Some(trailers) = self.end.take()
            && let Wire::Sending(stream) = &mut *self.wire.borrow_mut()
        {
            let ended = match trailers {
                Some(trailers) => stream.send_trailers(trailers),
                None => stream.send_data(Bytes::new(), true),
            };
            ended.map_err(|_| io::ErrorKind::BrokenPipe)?;
        }
        Ok(())
    }

    fn direct(&self) -> Option<(Duplex, Rc<Progress>)> {
        None
    }

    fn moved(&mut self, _: u64) {}
}

fn response_of(head: &ResponseHead, edit: &Edit<'_>, bodyless: bool) -> Result<HttpResponse<()>, Reject> {
    let mut response = HttpResponse::new(());
    *response.status_mut() = http::StatusCode::from_u16(head.status()).map_err(|_| Reject::from(Rule::FieldValue))?;
    let mut bad = false;
    edit.response(head.fields(), bodyless, |edited| {
        let (name, value) = match &edited {
            Edited::Kept(field) => (field.name, field.value),
            Edited::Changed(name, value) => (*name, value.as_ref()),
            Edited::Added(name, value) => (name.as_bytes(), value.as_bytes()),
        };
        match (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            (Ok(name), Ok(value)) => {
                response.headers_mut().append(name, value);
            }
            (Err(_), _) | (_, Err(_)) => bad = true,
        }
    });
    if bad { Err(Reject::from(Rule::FieldValue)) } else { Ok(response) }
}

fn trailer_map(trailers: &Fields) -> HeaderMap {
    let mut map = HeaderMap::new();
    for field in trailers.trailer_safe() {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(field.name), HeaderValue::from_bytes(field.value)) {
            map.append(name, value);
        }
    }
    map
}
