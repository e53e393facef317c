//! From a lease to a finished exchange: pool, dial, at most one replay, and what is left of the connection.
//!
//! It knows when a request may be sent twice (RFC 9110 9.2.2), not how a visitor is spoken to.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use bytes::BytesMut;
use portway_core::access::Permit;
use portway_core::host::Scheme;
use portway_core::noticed::Notice;
use portway_core::workspace::{Address, Profile};
use portway_http1::{Framing, RequestHead, ResponseHead};
use tokio::time::sleep;

use super::exchange::{Done, Fault, exchange};
use super::refused::{self, Refused};
use super::visitor::{RequestBody, Responder};
use crate::core::Core;
use crate::http::edit::Edit;
use crate::leases::Lease;
use crate::refusal::Refusal;
use crate::upstream::{Connection, DialError, Door, PoolKey, ide};

/// Pauses before a closed port is dialled again: dev servers restart, and one that was just started opens its port late.
const NOT_YET: [Duration; 3] = [Duration::from_millis(50), Duration::from_millis(100), Duration::from_millis(200)];

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
pub(crate) async fn forward<B: RequestBody, R: Responder>(
    core: &Core,
    lease: &Lease,
    edit: &Edit<'_>,
    head: &RequestHead,
    body: &mut B,
    responder: &mut R,
    gone: impl Future<Output = ()>,
) -> Ended {
    tokio::select! {
        biased;
        _ = lease.revoked() => if lease.up().spoke.get() { Ended::Cut } else { Ended::Refused(Refusal::Revoked) },
        ended = attempt(core, lease, edit, head, body, responder, gone) => ended,
    }
}

async fn attempt<B: RequestBody, R: Responder>(
    core: &Core,
    lease: &Lease,
    edit: &Edit<'_>,
    head: &RequestHead,
    body: &mut B,
    responder: &mut R,
    gone: impl Future<Output = ()>,
) -> Ended {
    let permit = lease.permit();
    let port = permit.port();
    let closed = |error| Ended::Refused(Refusal::Dial(error, port, permit.workspace().address == Address::Loopback));
    let repeatable = head.framing() == Framing::None && is_idempotent(head.method());
    let addresses = core.dialer.addresses(permit).await;
    // A connection that changes its protocol is nobody else's: it is always a new one.
    let mut pooled = !edit.upgrade;
    let mut gone = pin!(gone);
    let prefix = ide::prefix(port);
    let mut door = Door::Port;
    let mut pauses = NOT_YET.into_iter();
    let mut edit = Edit { switchable: repeatable && permit.is_unsettled(), ..*edit };
    let mut head_bytes = BytesMut::with_capacity(1024);
    loop {
        if head_bytes.is_empty()
            && let Err(reject) = edit.write_request(head, &mut head_bytes)
        {
            return Ended::Refused(Refusal::Malformed(reject));
        }
        let key = PoolKey::of(permit, door);
        let idle = if pooled { core.pool.take(&key, repeatable, &addresses).await } else { None };
        let mut connection = match idle {
            Some(connection) => connection,
            None => match core.dialer.dial(permit, &addresses, door).await {
                Ok(connection) => connection,
                Err(DialError::Closed) if door == Door::Port => match carrier(core, permit, head) {
                    Some(ide) => {
                        door = Door::Ide(ide);
                        edit.carried = Some(&prefix);
                        head_bytes.clear();
                        continue;
                    }
                    // Nothing was sent yet, so any request may be tried again.
                    None => match pauses.next() {
                        Some(pause) => {
                            sleep(pause).await;
                            continue;
                        }
                        None => return closed(DialError::Closed),
                    },
                },
                // Whatever keeps the IDE from carrying, it is the port that is closed.
                Err(_) if door != Door::Port => return closed(DialError::Closed),
                Err(error) => return closed(error),
            },
        };
        let outcome = exchange(&mut connection, head, &head_bytes, body, responder, &edit, gone.as_mut(), lease).await;
        return match outcome {
            Ok(Done::Complete { reusable, request_complete, status }) => {
                // Only a name that was not refused again is kept: what a page echoes switches nothing.
                if edit.profile != permit.profile() && !refused::is_refusal(status) {
                    core.notice(&permit.workspace().key, Notice::Switched { port, profile: edit.profile });
                }
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
            Err(Fault::Refused(Refused::Name)) => {
                edit.profile = other(edit.profile);
                edit.switchable = false;
                head_bytes.clear();
                continue;
            }
            Err(Fault::Refused(Refused::Closed)) => closed(DialError::Closed),
            Err(Fault::Silent | Fault::Bad) => Ended::Refused(Refusal::BadUpstream(port)),
            Err(Fault::Timeout) => Ended::Refused(Refusal::UpstreamTimeout(port)),
            Err(Fault::Request(reject)) => Ended::Refused(Refusal::Malformed(reject)),
            Err(Fault::Stalled) => Ended::Refused(Refusal::RequestTimeout),
            Err(Fault::VisitorGone) => Ended::Gone,
            Err(Fault::Truncated) => Ended::Cut,
        };
    }
}

/// The port of the IDE that may carry this request, where the workspace is not this machine: here both families of loopback
/// were dialled already.
fn carrier(core: &Core, permit: &Permit, head: &RequestHead) -> Option<u16> {
    let ide = core.settings.ide.filter(|ide| *ide != permit.port() && !permit.is_front())?;
    let elsewhere = permit.workspace().address != Address::Loopback && permit.scheme() == Scheme::Http;
    (elsewhere && ide::may_carry(head)).then_some(ide)
}

fn other(profile: Profile) -> Profile {
    match profile {
        Profile::Localhost => Profile::Public,
        Profile::Public => Profile::Localhost,
    }
}

/// RFC 9110 9.2.2.
fn is_idempotent(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE")
}
