//! `/.portway/join` on a workspace host: one step of a login that takes sibling ports along. The host leaves a nonce in the
//! visitor's browser, as it would for a visit of its own, and sends them on.
//!
//! It opens nothing and tells nothing: whoever comes here gains a nonce, and goes on to hosts of the same workspace or to
//! the authoriser.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use http::{HeaderMap, Method};
use portway_core::cookie;

use crate::app::{App, At, Carried, carried, fresh_secret};
use crate::ask::{Ask, incomplete};
use crate::chain::{Chain, Siblings};
use crate::guard;
use crate::reply::{Answer, see_other, set_cookie};

/// `GET /.portway/join?host=&return=&ch=&ahead=&met=`.
pub(crate) async fn join(
    State(app): State<Arc<App>>,
    Extension(At(here)): Extension<At>,
    method: Method,
    headers: HeaderMap,
    ask: Result<Query<Ask>, QueryRejection>,
    siblings: Result<Query<Siblings>, QueryRejection>,
) -> Answer {
    if method != Method::GET || guard::top_level(&headers).is_err() {
        return Err(incomplete());
    }
    let (Ok(Query(ask)), Ok(Query(siblings))) = (ask, siblings) else { return Err(incomplete()) };
    let names = &app.settings.names;
    let mut chain = Chain::read(names, &ask, &siblings)?;
    if chain.ask.target.workspace != here.workspace || chain.ask.target.host == here.host {
        return Err(incomplete());
    }
    // One nonce for all that a browser has under way here.
    let nonce = match carried(&headers, cookie::TRANSACTION) {
        Carried::One(nonce) => nonce,
        Carried::Nothing | Carried::Unusable => fresh_secret()?,
    };
    chain.met.push((here, nonce.hash()));
    let mut response = see_other(&chain.next_step(names), "log-in")?;
    set_cookie(&mut response, &cookie::ours(cookie::TRANSACTION, &nonce.text(), cookie::TRANSACTION_AGE));
    Ok(response)
}
