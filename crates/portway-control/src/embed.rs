//! `/.portway/embed` on a workspace host: how a frame inside another page gets a session of its own (R16).
//!
//! The frame holds a nonce in a cookie that only exists inside that page. It opens a window here, at the top level, where the
//! visitor has a session or logs in; the window hands the frame a ticket for that nonce, and closes. The ticket reaches
//! nobody but a window of this very host that opened this one, and is of no use without the nonce.

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::response::IntoResponse as _;
use axum::{Extension, Form};
use base64::Engine as _;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use portway_core::cookie;
use portway_core::host::Target;
use portway_core::secret::{Secret, SecretHash};
use portway_core::ticket::Ticket;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::app::{App, At, Carried, Login, Peer, carried, fresh_secret, now};
use crate::ask::{Checked, incomplete};
use crate::guard;
use crate::pages::{self, EmbedPage};
use crate::reply::{Answer, Refusal, page, see_other, set_cookie};

/// Hands the ticket to the frame that opened the window, if it is of this host, and closes the window.
pub(crate) const SCRIPT: &str = r#"
if (window.opener) {
  window.opener.postMessage({ portway: JSON.parse(document.getElementById("ticket").textContent) }, location.origin);
  window.close();
}
"#;

#[derive(Deserialize)]
pub(crate) struct Offer {
    /// The hash of the nonce in the frame.
    ch: String,
}

/// `GET /.portway/embed?ch=`, in a window of its own.
pub(crate) async fn offer(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    Extension(At(target)): Extension<At>,
    headers: HeaderMap,
    query: Result<Query<Offer>, QueryRejection>,
) -> Answer {
    guard::top_level(&headers).map_err(|_| incomplete())?;
    let Ok(Query(Offer { ch })) = query else { return Err(incomplete()) };
    let challenge = SecretHash::read(ch.as_bytes()).ok_or_else(incomplete)?;
    let Some(me) = who(&app, &headers, &target).await? else {
        return log_in(&app, &headers, &target, &challenge);
    };
    if !app.frames.admit(&(me.hash, target.host.clone()), Instant::now()) {
        return Err(Refusal::too_many("This frame has asked for many logins. Wait a minute, then try again."));
    }
    let secret = fresh_secret()?;
    let ticket = Ticket {
        host: target.host.clone(),
        challenge,
        user: me.user.clone(),
        login: me.hash,
        return_to: "/".to_owned(),
        expires_at: 0,
    };
    app.store.add_ticket(&secret.hash(), &ticket).await?;
    app.audit("ticket", Some(&me.user), Some(&target.host), peer, "frame").await;
    let mut response = page(StatusCode::OK, &EmbedPage { ticket: &secret.text() })?;
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_SECURITY_POLICY, POLICY.clone());
    // The frame that waits for it is what opened this window.
    fields.insert(HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("unsafe-none"));
    Ok(response)
}

#[derive(Deserialize)]
pub(crate) struct Redeem {
    t: String,
}

/// `POST /.portway/embed`, from the frame.
pub(crate) async fn redeem(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    Extension(At(target)): Extension<At>,
    headers: HeaderMap,
    form: Result<Form<Redeem>, FormRejection>,
) -> Answer {
    let Ok(Form(Redeem { t })) = form else { return Err(incomplete()) };
    let ticket = Secret::read(t.as_bytes()).ok_or_else(incomplete)?;
    let nonce = match carried(&headers, cookie::FRAME_TRANSACTION) {
        Carried::One(nonce) => Some(nonce),
        Carried::Nothing | Carried::Unusable => None,
    };
    let session = fresh_secret()?;
    let lifetime = app.settings.session_lifetime_s;
    let (store, host) = (app.store.clone(), target.host.clone());
    let redeem =
        async move { store.redeem_ticket(&ticket.hash(), &host, nonce.as_ref(), &session.hash(), lifetime).await };
    match app.commit(redeem).await? {
        Ok(redeemed) => {
            app.audit("session", Some(&redeemed.user), Some(&target.host), peer, "frame").await;
            let mut response = StatusCode::NO_CONTENT.into_response();
            set_cookie(&mut response, &cookie::partitioned(cookie::FRAME_SESSION, &session.text(), lifetime));
            Ok(response)
        }
        Err(failure) => {
            let reason = failure.error.to_string();
            app.audit("ticket.refused", failure.user.as_deref(), Some(&target.host), peer, &reason).await;
            Err(incomplete())
        }
    }
}

/// Whose session on this host the window has.
async fn who(app: &App, headers: &HeaderMap, target: &Target) -> Result<Option<Login>, Refusal> {
    let Carried::One(secret) = carried(headers, cookie::SESSION) else { return Ok(None) };
    let world = app.world();
    let session =
        world.session(&secret.hash()).filter(|session| *session.host == *target.host && now() < session.expires_at);
    let Some(session) = session else { return Ok(None) };
    let login = app.store.login_of_session(&session.hash).await?;
    Ok(login.map(|hash| Login { user: session.user.clone(), name: None, hash }))
}

/// Through the ordinary login, and back here.
fn log_in(app: &App, headers: &HeaderMap, target: &Target, challenge: &SecretHash) -> Answer {
    let nonce = match carried(headers, cookie::TRANSACTION) {
        Carried::One(nonce) => nonce,
        Carried::Nothing | Carried::Unusable => fresh_secret()?,
    };
    let back = format!("/.portway/embed?ch={}", challenge.text());
    let ask = Checked { target: target.clone(), return_to: back, challenge: nonce.hash() };
    let to = app.url(&ask.path());
    let mut response = see_other(&to, "log-in")?;
    set_cookie(&mut response, &cookie::ours(cookie::TRANSACTION, &nonce.text(), cookie::TRANSACTION_AGE));
    Ok(response)
}

static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = |text: &str| base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(pages::STYLE),
        hash(SCRIPT)
    );
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"))
});
