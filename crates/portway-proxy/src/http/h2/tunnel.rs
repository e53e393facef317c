//! WebSocket over HTTP/2 (RFC 8441): the dev server's 101, checked, becomes a 200, and the stream an opaque tunnel.
//!
//! END_STREAM and FIN stand for each other, and so do RST_STREAM and a reset.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;

use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::StatusCode;
use portway_http1::{RequestHead, ResponseHead};

use super::super::edit::Edit;
use super::super::{edge, websocket};
use super::message::{Wire, poll_send, response_of};
use super::send_answer;
use crate::core::{Core, Visit};
use crate::io::{Duplex, READ_MAX};
use crate::leases::Lease;
use crate::ledger::Record;
use crate::refusal::{Form, Refusal};
use crate::relay::visitor::Progress;
use crate::upstream::Connection;

/// Opens the tunnel and serves it to its end. Nothing the visitor sent has gone upstream before this.
#[expect(clippy::too_many_arguments, reason = "one call site; a struct would only rename the arguments")]
pub(super) async fn switch(
    core: &Core,
    visit: &Visit,
    head: &RequestHead,
    edit: &Edit<'_>,
    lease: &Lease,
    record: Record<'_>,
    connection: Connection,
    response: &ResponseHead,
    from: RecvStream,
    mut respond: SendResponse<Bytes>,
) {
    let opened = if websocket::is_accepted(head, response) { response_of(response, edit, false).ok() } else { None };
    let Some(mut opened) = opened else {
        let answer = Refusal::BadUpstream(edit.permit.port()).answer(Form::Json, None);
        let answer = edge::finish(core, visit, answer);
        let _ = send_answer(&mut respond, &answer, false).await;
        return record.close(answer.status, "bad-upgrade");
    };
    *opened.status_mut() = StatusCode::OK;
    // It proves an HTTP/1.1 key, which this visitor never had.
    opened.headers_mut().remove("sec-websocket-accept");
    let Ok(stream) = respond.send_response(opened, false) else {
        connection.io.reset_on_close();
        return record.close(499, "visitor-gone");
    };
    record.tunnels();
    let wire = RefCell::new(Wire::Sending(stream));
    let (up, down) = (lease.up(), lease.down());
    let joined = async {
        tokio::try_join!(upstream(from, &connection.io, up), downstream(&connection.io, connection.buf, &wire, down),)
    };
    let ended = tokio::select! {
        biased;
        why = lease.revoked() => Err(why.word()),
        () = poll_fn(|cx| wire.borrow_mut().poll_reset(cx)) => Err("tunnel-reset"),
        ended = joined => ended.map(|_| "tunnel").map_err(|_| "tunnel-reset"),
    };
    record.moved(up.moved.get(), down.moved.get());
    match ended {
        Ok(reason) => record.close(200, reason),
        Err(reason) => {
            connection.io.reset_on_close();
            wire.borrow_mut().reset(Reason::CANCEL);
            record.close(200, reason);
        }
    }
}

/// From the visitor to the dev server.
async fn upstream(mut from: RecvStream, to: &Duplex, progress: &Progress) -> io::Result<()> {
    while let Some(data) = from.data().await {
        let data = data.map_err(io::Error::other)?;
        to.write_all(&data).await?;
        progress.moved.set(progress.moved.get() + data.len() as u64);
        // The visitor may send more only now: this is what bounds memory.
        from.flow_control().release_capacity(data.len()).map_err(io::Error::other)?;
    }
    to.shutdown().await
}

/// From the dev server to the visitor. An idle direction owns no buffer.
async fn downstream(from: &Duplex, first: BytesMut, to: &RefCell<Wire>, progress: &Progress) -> io::Result<()> {
    let mut data = first.freeze();
    loop {
        progress.moved.set(progress.moved.get() + data.len() as u64);
        let sent = poll_fn(|cx| match &mut *to.borrow_mut() {
            Wire::Sending(stream) => poll_send(stream, &mut data, cx),
            Wire::Waiting(_) | Wire::Done => std::task::Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        });
        progress.writing(sent).await?;
        data = poll_fn(|cx| from.poll_read_with(cx, READ_MAX, |_, data| Bytes::copy_from_slice(data))).await?;
        if data.is_empty() {
            return match &mut *to.borrow_mut() {
                Wire::Sending(stream) => stream.send_data(Bytes::new(), true).map_err(io::Error::other),
                Wire::Waiting(_) | Wire::Done => Ok(()),
            };
        }
    }
}
