//! One request and its response over one upstream connection, streaming both ways at once.
//!
//! It knows neither how the connection came about nor who the visitor is; it reports faults by where they happened, and
//! the caller decides about answer, replay and reset.

use std::cell::Cell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use portway_http1::{BodyDecoder, Framing, Limits, Name, Piece, RequestHead, ResponseHead};
use tokio::time::{Instant, sleep, sleep_until};

use super::pump::{PumpFault, pump};
use super::refused::{Refused, refused};
use super::visitor::{BodyFault, Progress, RequestBody, Responder};
use crate::http::edit::Edit;
use crate::leases::Lease;
use crate::upstream::Connection;

/// Interim responses before the final one; more is an attack (R29).
const INTERIM_MAX: usize = 16;

/// How an exchange ended well.
#[derive(Debug)]
pub(crate) enum Done {
    /// The response went through.
    Complete {
        /// The connection may carry another request.
        reusable: bool,
        /// The whole request was sent.
        request_complete: bool,
        status: u16,
    },
    /// 101 to an upgrade, not yet passed on.
    Switched(Box<ResponseHead>),
}

/// How it did not. `Silent` and `Bad` and `Timeout` come before anything was sent to the visitor.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The connection ended before a byte of a response: on a reused one this may be the server's idle timeout.
    Silent,
    /// What came is no valid response.
    Bad,
    /// No response head in time.
    Timeout,
    /// The request body is malformed.
    Request(portway_http1::Reject),
    /// The request body stands still.
    Stalled,
    /// The visitor went away.
    VisitorGone,
    /// What came is no answer to the request, but to how it was asked; nothing was passed on.
    Refused(Refused),
    /// The response broke off after its head had gone out: it must end in a reset.
    Truncated,
}

/// Sends `head_bytes` and the body, and passes the response on.
#[expect(clippy::too_many_arguments, reason = "one call site each; a struct would only rename the arguments")]
pub(crate) async fn exchange<B: RequestBody, R: Responder>(
    connection: &mut Connection,
    head: &RequestHead,
    head_bytes: &[u8],
    body: &mut B,
    responder: &mut R,
    edit: &Edit<'_>,
    mut gone: Pin<&mut impl Future<Output = ()>>,
    lease: &Lease,
) -> Result<Done, Fault> {
    let limits = &edit.settings.timeouts;
    let progress = lease.up();
    let upstream = connection.io.clone();
    if upstream.write_all(head_bytes).await.is_err() {
        return Err(Fault::Silent);
    }
    let head_seen = Cell::new(false);
    let mut sent = head.framing() == Framing::None;
    let mut request_complete = sent;
    let mut receive = pin!(receive(connection, head, responder, edit, lease, &head_seen));
    let mut send = pin!(body.send(&upstream, progress));
    let mut deadline = pin!(sleep(limits.response_head));
    let mut stalled = pin!(stalled(progress, limits.body_idle, limits.body_rate));
    loop {
        tokio::select! {
            biased;
            received = &mut receive => {
                return received.map(|done| match done {
                    Done::Complete { reusable, status, .. } => {
                        Done::Complete { reusable: reusable && request_complete, request_complete, status }
                    }
                    Done::Switched(response) => Done::Switched(response),
                });
            }
            outcome = &mut send, if !sent => {
                sent = true;
                match outcome {
                    Ok(()) => request_complete = true,
                    // It may have answered before it stopped reading: the response decides.
                    Err(BodyFault::Upstream) => {}
                    Err(BodyFault::Visitor) => return Err(Fault::VisitorGone),
                    Err(BodyFault::Malformed(_)) if head_seen.get() => return Err(Fault::Truncated),
                    Err(BodyFault::Malformed(reject)) => return Err(Fault::Request(reject)),
                }
                deadline.as_mut().reset(Instant::now() + limits.response_head);
            }
            () = gone.as_mut(), if sent => return Err(Fault::VisitorGone),
            // A branch is let in or not when the waiting begins; the head may have come since, and nothing limits what
            // follows it.
            () = &mut deadline, if sent && !head_seen.get() => {
                if !head_seen.get() {
                    return Err(Fault::Timeout);
                }
            }
            () = &mut stalled, if B::HAS_FLOOR && !sent && !head_seen.get() => {
                if !head_seen.get() {
                    return Err(Fault::Stalled);
                }
            }
        }
    }
}

/// Resolves when a request body has brought less than its floor for a whole period, and it is not the dev server's doing.
async fn stalled(progress: &Progress, idle: Duration, rate: u64) {
    let millis = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX);
    let floor = (rate.saturating_mul(millis) / 1000).max(1);
    let mut before = progress.moved.get();
    let mut next = Instant::now() + idle;
    loop {
        sleep_until(next).await;
        let moved = progress.moved.get();
        if progress.waited().is_none() && moved - before < floor {
            return;
        }
        before = moved;
        next += idle;
    }
}

async fn receive<R: Responder>(
    connection: &mut Connection,
    request: &RequestHead,
    responder: &mut R,
    edit: &Edit<'_>,
    lease: &Lease,
    head_seen: &Cell<bool>,
) -> Result<Done, Fault> {
    let response = final_head(connection, request, responder, edit, lease.up()).await?;
    if response.status() == 101 {
        return if edit.upgrade { Ok(Done::Switched(Box::new(response))) } else { Err(Fault::Bad) };
    }
    connection.learn(&response);
    if let Some(refused) = refused(connection, request, &response, edit).await {
        return Err(Fault::Refused(refused));
    }
    let framing = response.framing();
    lease.up().spoke.set(true);
    responder.head(&response, edit, framing).map_err(|_| Fault::Bad)?;
    head_seen.set(true);
    body(connection, responder, framing, lease.down()).await?;
    // A login that belongs to the connection (NTLM, Negotiate) must never serve another request of ours (R42).
    let bound = request.fields().get(Name::Authorization).is_some_and(|value| {
        let scheme = value.split(|b| *b == b' ').next().unwrap_or_default();
        scheme.eq_ignore_ascii_case(b"ntlm") || scheme.eq_ignore_ascii_case(b"negotiate")
    });
    let reusable =
        response.keep_alive() && framing != Framing::UntilClose && connection.buf.is_empty() && !bound && !edit.upgrade;
    Ok(Done::Complete { reusable, request_complete: false, status: response.status() })
}

async fn final_head<R: Responder>(
    connection: &mut Connection,
    request: &RequestHead,
    responder: &mut R,
    edit: &Edit<'_>,
    progress: &Progress,
) -> Result<ResponseHead, Fault> {
    let mut interims = 0;
    let mut silent = true;
    loop {
        match connection.parser.response(&mut connection.buf, request.method()) {
            Ok(Some(head)) if head.is_informational() && head.status() != 101 => {
                interims += 1;
                if interims > INTERIM_MAX {
                    return Err(Fault::Bad);
                }
                progress.spoke.set(true);
                responder.interim(&head, edit).map_err(|_| Fault::Bad)?;
                responder.flush().await.map_err(|_| Fault::VisitorGone)?;
            }
            Ok(Some(head)) => return Ok(head),
            Ok(None) => match connection.io.fill(&mut connection.buf).await {
                Ok(0) | Err(_) if silent => return Err(Fault::Silent),
                Ok(0) | Err(_) => return Err(Fault::Bad),
                Ok(_) => silent = false,
            },
            Err(_) => return Err(Fault::Bad),
        }
    }
}

async fn body<R: Responder>(
    connection: &mut Connection,
    responder: &mut R,
    framing: Framing,
    down: &Progress,
) -> Result<(), Fault> {
    if framing == Framing::None {
        responder.end(None);
        return down.writing(responder.flush()).await.map_err(|_| Fault::VisitorGone);
    }
    let mut decoder = BodyDecoder::new(framing, &Limits::response());
    loop {
        match decoder.decode(&mut connection.buf).map_err(|_| Fault::Truncated)? {
            Piece::Data(data) => {
                down.moved.set(down.moved.get() + data.len() as u64);
                responder.data(data);
            }
            Piece::End(trailers) => {
                responder.end(trailers.as_ref());
                return down.writing(responder.flush()).await.map_err(|_| Fault::VisitorGone);
            }
            Piece::More => {
                down.writing(responder.flush()).await.map_err(|_| Fault::VisitorGone)?;
                if let (Some((visitor, progress)), Some(left)) = (responder.direct(), decoder.remaining())
                    && connection.buf.is_empty()
                {
                    let moved = match pump(&connection.io, &visitor, left, &progress, Some(down)).await {
                        Ok(moved) => moved,
                        Err(PumpFault::From(_)) => return Err(Fault::Truncated),
                        Err(PumpFault::To(_)) => return Err(Fault::VisitorGone),
                    };
                    responder.moved(moved);
                    decoder.advance(moved);
                    if moved < left {
                        return Err(Fault::Truncated);
                    }
                } else if connection.io.fill(&mut connection.buf).await.map_err(|_| Fault::Truncated)? == 0 {
                    decoder.eof().map_err(|_| Fault::Truncated)?;
                    responder.end(None);
                    return down.writing(responder.flush()).await.map_err(|_| Fault::VisitorGone);
                }
            }
        }
    }
}
