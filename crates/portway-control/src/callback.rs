//! Our few paths on workspace hosts: the end of a login, and logging out of that host alone (R8–R14).
//!
//! Hostile script owns these origins, so nothing here shows who anybody is or changes more than that one session.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use http::{HeaderMap, Method, StatusCode};
use portway_core::noticed::Notice;
use portway_core::secret::Secret;
use portway_core::snapshot::Event;
use portway_core::{cookie, return_to};
use serde::Deserialize;

use crate::app::{App, At, Carried, Peer, carried, fresh_secret, now};
use crate::chain;
use crate::guard;
use crate::pages::Message;
use crate::reply::{Answer, Refusal, page, see_other, set_cookie};

#[derive(Deserialize)]
pub(crate) struct Redeem {
    t: String,
    /// `host:ticket` of the hosts after this one, by commas.
    #[serde(default)]
    then: String,
}

/// `GET /.portway/callback?t=`, or with `&then=` on the way to a sibling's.
pub(crate) async fn callback(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    Extension(At(target)): Extension<At>,
    method: Method,
    headers: HeaderMap,
    query: Result<Query<Redeem>, QueryRejection>,
) -> Answer {
    // A HEAD must not use a ticket up.
    if method != Method::GET || guard::top_level(&headers).is_err() {
        return Err(unfinished());
    }
    let Ok(Query(Redeem { t, then })) = query else { return Err(unfinished()) };
    let Some(ticket) = Secret::read(t.as_bytes()) else { return Err(unfinished()) };
    let names = &app.settings.names;
    let Some(then) = chain::read_then(names, &target, &then) else { return Err(unfinished()) };
    let nonce = match carried(&headers, cookie::TRANSACTION) {
        Carried::One(nonce) => Some(nonce),
        Carried::Nothing | Carried::Unusable => None,
    };
    let session = fresh_secret()?;
    let lifetime = app.settings.session_lifetime_s;
    let (store, at) = (app.store.clone(), target.clone());
    let redeem = async move {
        let mut redeemed =
            store.redeem_ticket(&ticket.hash(), &at.host, nonce.as_ref(), &session.hash(), lifetime).await?;
        if let Ok(redeemed) = &mut redeemed {
            let notice = Notice::Opened(at.host.into());
            redeemed.events.push(Event::Noticed { key: at.workspace.into(), notice, at: now() });
        }
        Ok(redeemed)
    };
    match app.commit(redeem).await? {
        Ok(redeemed) => {
            app.audit("session", Some(&redeemed.user), Some(&target.host), peer, "").await;
            let to = if then.is_empty() {
                format!("{}{}", names.origin(&target), return_to::or_root(&redeemed.return_to))
            } else {
                chain::callback_url(names, &then)?
            };
            // The nonce stays until it ends by itself: several tabs of a restored window log in with the same one.
            let mut response = see_other(&to, "logged-in")?;
            set_cookie(&mut response, &cookie::ours(cookie::SESSION, &session.text(), lifetime));
            Ok(response)
        }
        Err(failure) => {
            let reason = failure.error.to_string();
            app.audit("ticket.refused", failure.user.as_deref(), Some(&target.host), peer, &reason).await;
            // A sibling that could not be taken along does not keep the visitor from the port they asked for.
            if then.is_empty() { Err(unfinished()) } else { see_other(&chain::callback_url(names, &then)?, "log-in") }
        }
    }
}

/// `POST /.portway/logout` on a workspace host: ends that host's session.
pub(crate) async fn logout(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    Extension(At(target)): Extension<At>,
    headers: HeaderMap,
) -> Answer {
    for name in [cookie::SESSION, cookie::FRAME_SESSION] {
        if let Carried::One(session) = carried(&headers, name) {
            // The store ends it wherever it is; only its own host can have sent it.
            let store = app.store.clone();
            app.commit(async move { store.end_session(&session.hash()).await }).await?;
            app.audit("session.ended", None, Some(&target.host), peer, "logout").await;
        }
    }
    let message = Message {
        title: "You have left this port",
        text: "This address has forgotten you. You are still logged in to Portway itself.",
        action: Some(("Open it again", "/")),
    };
    let mut response = page(StatusCode::OK, &message)?;
    set_cookie(&mut response, &cookie::ours(cookie::SESSION, "", 0));
    set_cookie(&mut response, &cookie::partitioned(cookie::FRAME_SESSION, "", 0));
    Ok(response)
}

/// One page for every failure, whatever the reason: only the audit learns it.
fn unfinished() -> Refusal {
    Refusal::new(
        StatusCode::BAD_REQUEST,
        "login-unfinished",
        "The login did not finish",
        "It took too long, was already used, or was begun in another browser. Trying again usually helps.",
    )
    .action("Try again", "/")
}
