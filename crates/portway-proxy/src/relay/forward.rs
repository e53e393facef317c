//! From a lease to a finished exchange: pool, dial, at most one replay, and what is left of the connection.
//!
//! It knows when a request may be sent twice (RFC 9110 9.2.2), not how a visitor is spoken to.

use std::future::Future;
use std::pin::pin;

use bytes::BytesMut;
use portway_core::workspace::Address;
use portway_http1::{Framing, RequestHead, ResponseHead};

use super::exchange::{Done, Fault, exchange};
use super::visitor::{Progress, RequestBody, Responder};
use crate::core::Core;
use crate::http::edit::Edit;
use crate::leases::Lease;
use crate::refusal::Refusal;
use crate::upstream::{Connection, PoolKey};

/// How a forwarded request ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The response is out. The visitor's connection may go on if the whole request was read.
    Complete { request_complete: bool, status: u16 },
    /// The dev server switched protocols; the head has not been passed on.
    Switched(Box<Connection>, Box<ResponseHead>),
    /// Nothing was sent to the visitor yet: answer this.
    Refused(Refusal),
    /// The visitor went away.
    Gone,
    /// The response was cut after its head, by the dev server or because the lease ended: it must end in a reset.
    Cut,
}

/// Forwards one request under its lease.
#[expect(clippy::too_many_arguments, reason = "one call site for each visitor protocol")]
pub(crate) async fn forward<B: RequestBody, R: Responder>(
    core: &Core,
    lease: &Lease,
    edit: &Edit<'_>,
    head: &RequestHead,
    body: &mut B,
    responder: &mut R,
    gone: impl Future<Output = ()>,
    progress: &Progress,
) -> Ended {
    tokio::select! {
        biased;
        () = lease.revoked() => Ended::Cut,
        ended = attempt(core, lease, edit, head, body, responder, gone, progress) => ended,
    }
}

#[expect(clippy::too_many_arguments, reason = "as forward")]
async fn attempt<B: RequestBody, R: Responder>(
    core: &Core,
    lease: &Lease,
    edit: &Edit<'_>,
    head: &RequestHead,
    body: &mut B,
    responder: &mut R,
    gone: impl Future<Output = ()>,
    progress: &Progress,
) -> Ended {
    let permit = lease.permit();
    let port = permit.port();
    let mut head_bytes = BytesMut::with_capacity(1024);
    if let Err(reject) = edit.write_request(head, &mut head_bytes) {
        return Ended::Refused(Refusal::Malformed(reject));
    }
    let key = PoolKey::of(permit);
    let repeatable = head.framing() == Framing::None && is_idempotent(head.method());
    let addresses = core.dialer.addresses(permit).await;
    // A connection that changes its protocol is nobody else's: it is always a new one.
    let mut pooled = !edit.upgrade;
    let mut gone = pin!(gone);
    loop {
        let idle = if pooled { core.pool.take(&key, repeatable, &addresses).await } else { None };
        let mut connection = match idle {
            Some(connection) => connection,
            None => match core.dialer.dial(permit, &addresses).await {
                Ok(connection) => connection,
                Err(error) => {
                    return Ended::Refused(Refusal::Dial(error, port, permit.workspace().address == Address::Loopback));
                }
            },
        };
        let outcome =
            exchange(&mut connection, head, &head_bytes, body, responder, edit, gone.as_mut(), progress).await;
        return match outcome {
            Ok(Done::Complete { reusable, request_complete, status }) => {
                if reusable {
                    core.pool.put(key, connection);
                }
                Ended::Complete { request_complete, status }
            }
            Ok(Done::Switched(response)) => Ended::Switched(Box::new(connection), response),
            Err(Fault::Silent) if connection.reused && repeatable => {
                pooled = false;
                continue;
            }
            Err(Fault::Silent | Fault::Bad) => Ended::Refused(Refusal::BadUpstream(port)),
            Err(Fault::Timeout) => Ended::Refused(Refusal::UpstreamTimeout(port)),
            Err(Fault::Request(reject)) => Ended::Refused(Refusal::Malformed(reject)),
            Err(Fault::Stalled) => Ended::Refused(Refusal::RequestTimeout),
            Err(Fault::VisitorGone) => Ended::Gone,
            Err(Fault::Truncated) => Ended::Cut,
        };
    }
}

/// RFC 9110 9.2.2.
fn is_idempotent(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE")
}
