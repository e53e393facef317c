//! A visitor's HTTP/2 connection: many requests at once, each decided for itself, because a browser sends requests for all
//! hosts of a certificate over one connection (RFC 9113 9.1.1).
//!
//! Frames and floods are the h2 crate's; every limit it has is set here (R46, R47). Bodies are in `message`, WebSockets in
//! `tunnel`.

mod message;
mod tunnel;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use h2::ext::Protocol;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Response as HttpResponse;
use portway_core::activity::Attention;
use portway_http1::{Limits, Reject, RequestHead, Rule};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};

use self::message::{Body, Response, Wire, poll_send};
use super::answer::Answer;
use super::challenge::tell_missed;
use super::edge;
use super::edit::Edit;
use super::route::Route;
use super::websocket;
use super::{cors, frames, wake};
use crate::busy::Busy;
use crate::control::BODY_MAX;
use crate::core::{Core, LAST_REQUEST, Visit};
use crate::leases::{Cut, Lease};
use crate::ledger::{RELAYED, Record};
use crate::refusal::{Form, Refusal};
use crate::relay::forward::{Ended, forward};

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
        .max_local_error_reset_streams(Some(LOCAL_RESETS))
        // WebSockets share the page's connection (RFC 8441 3).
        .enable_connect_protocol();
    let handshake = builder.handshake::<_, Bytes>(io);
    let Ok(Ok(mut connection)) = timeout(core.settings.timeouts.request_head, handshake).await else { return };
    let visit = Rc::new(visit);
    let busy = Busy::default();
    let mut draining = core.draining.clone();
    let (mut leaving, mut pressed) = (false, false);
    loop {
        let idle = sleep(if pressed { LAST_REQUEST } else { core.settings.timeouts.keep_alive });
        tokio::select! {
            biased;
            accepted = connection.accept() => {
                let Some(Ok((request, respond))) = accepted else { break };
                let (parts, body) = request.into_parts();
                // Here and not in the task: many small fields are much larger before than after, and a hundred streams
                // would wait with theirs until their tasks run, or until a shut window opens (R47).
                let head = head_of(&parts, !body.is_end_stream());
                drop(parts);
                let guard = busy.enter();
                let (core, visit) = (core.clone(), visit.clone());
                tokio::task::spawn_local(async move {
                    stream(&core, &visit, head, body, respond).await;
                    drop(guard);
                });
            }
            seen = draining.wait_for(|draining| *draining || (!pressed && core.limits.sheds())), if !leaving => {
                leaving = seen.map_or(true, |draining| *draining);
                pressed = !leaving;
                if leaving {
                    connection.graceful_shutdown();
                }
            }
            () = idle => {
                let relieved = std::mem::replace(&mut pressed, core.limits.sheds()) && !pressed;
                if busy.count() > 0 || relieved {
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

async fn stream(
    core: &Rc<Core>,
    visit: &Visit,
    head: Result<RequestHead, Reject>,
    body: RecvStream,
    mut respond: SendResponse<Bytes>,
) {
    let head = match head {
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
    // Who resets a stream at once, or makes us reset it, does so again and again: nothing is dialled for it (R46).
    if poll_fn(|cx| Poll::Ready(respond.poll_reset(cx).is_ready())).await {
        return record.close(499, "visitor-gone");
    }
    match wake::arrive(core, visit, &head, record.trace().as_deref()).await {
        Route::Answer(answer) => own_answer(core, visit, &head, record, respond, answer).await,
        Route::Missed(answer, target) => {
            tell_missed(core, &target).await;
            own_answer(core, visit, &head, record, respond, answer).await;
        }
        Route::Control(place) => {
            let answer = match collect(core, body).await {
                Ok(body) => edge::ask_control(core, visit, place, &head, body, record.trace().as_deref()).await,
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
    match parts.extensions.get::<Protocol>().map(Protocol::as_str) {
        None => {}
        Some("websocket") => {
            let key = websocket::fresh_key().ok_or(Rule::ConnectionField)?;
            let limits = Limits::request();
            return RequestHead::websocket_from_parts(target.as_bytes(), authority.as_bytes(), fields, &key, &limits);
        }
        // Any other tunnel is one that nobody asked for (RFC 9220 names more).
        Some(_) => return Err(Rule::ConnectionField.into()),
    }
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
    let answer = cors::readable(answer, head, &core.settings.names);
    let answer = edge::traced(core, record.trace().as_deref(), frames::own_page(answer, head, &core.settings));
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
    if answer.has_length() {
        response = response.header("content-length", answer.body.len());
    }
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
    let trace = record.trace();
    let edit = Edit::new(&core.settings, visit, head, lease.permit(), trace.as_deref(), record.context());
    let mut body = Body { stream: body, framing: head.framing() };
    let wire = Rc::new(RefCell::new(Wire::Waiting(respond)));
    let mut responder = Response::new(wire.clone(), head);
    let gone = {
        let wire = wire.clone();
        poll_fn(move |cx| wire.borrow_mut().poll_reset(cx))
    };
    let ended = forward(core, &lease, &edit, head, &mut body, &mut responder, gone).await;
    core.active(lease.permit(), Attention::Background);
    record.moved(lease.up().moved.get(), responder.body());
    match ended {
        Ended::Complete { status, .. } => record.close(status, RELAYED),
        Ended::Refused(refusal) => {
            let answer = edge::refused(core, head, &lease, &refusal);
            if let Some(respond) = Wire::take_waiting(&wire) {
                own_answer(core, visit, head, record, respond, answer).await;
            }
        }
        Ended::Switched(connection, response) => {
            if let Some(respond) = Wire::take_waiting(&wire) {
                tunnel::switch(core, visit, head, &edit, &lease, record, *connection, &response, body.stream, respond)
                    .await;
            }
        }
        Ended::Gone => {
            record.close(499, "visitor-gone");
            wire.borrow_mut().reset(Reason::CANCEL);
        }
        Ended::Cut => {
            record.close(502, lease.cut().map_or("upstream-truncated", Cut::word));
            wire.borrow_mut().reset(Reason::INTERNAL_ERROR);
        }
    }
}
