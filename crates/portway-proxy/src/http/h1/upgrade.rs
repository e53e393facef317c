//! WebSocket over HTTP/1.1: the dev server's 101, checked, passed on, and then an opaque tunnel (RFC 6455).

use bytes::BytesMut;
use portway_http1::{HeadWriter, Reject, RequestHead, ResponseHead};

use super::super::edit::Edit;
use super::super::websocket;
use super::message::put_fields;
use super::visitor::Visitor;
use super::{Next, write_answer};
use crate::leases::Lease;
use crate::ledger::Record;
use crate::refusal::{Form, Refusal};
use crate::relay::pump::tunnel;
use crate::upstream::Connection;

/// Passes a 101 on and becomes a tunnel (RFC 6455 4.2.2). Nothing the visitor sent has gone upstream before this.
pub(super) async fn switch(
    visitor: &Visitor,
    head: &RequestHead,
    edit: &Edit<'_>,
    lease: &Lease,
    record: Record<'_>,
    connection: Connection,
    response: &ResponseHead,
) -> Next {
    if !websocket::is_accepted(head, response) {
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
    record.tunnels();
    let (up, down) = (lease.up(), lease.down());
    let from_visitor = visitor.buf.take();
    let ended = tokio::select! {
        biased;
        why = lease.revoked() => Err(why),
        ended = tunnel(&visitor.io, from_visitor, &connection.io, connection.buf, up, down) => Ok(ended),
    };
    record.moved(up.moved.get(), down.moved.get());
    match ended {
        Ok(Ok(())) => {
            record.close(101, "tunnel");
            Next::Close
        }
        Ok(Err(_)) => {
            connection.io.reset_on_close();
            record.close(101, "tunnel-reset");
            Next::Reset
        }
        Err(why) => {
            connection.io.reset_on_close();
            record.close(101, why.word());
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
