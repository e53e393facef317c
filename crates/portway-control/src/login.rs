//! Logging in and out of the control host: by password, by a one-time link.
//!
//! It makes logins and knows nothing of workspaces; where a visitor goes next is a checked path of our own.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::{Extension, Form};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use portway_core::cookie;
use portway_core::host::Names;
use portway_core::secret::Secret;
use portway_sources::Store;
use serde::Deserialize;

use crate::LoginLinkError;
use crate::app::{App, Carried, Peer, carried, fresh_secret};
use crate::ask::{self, Ask};
use crate::external::{External, Known};
use crate::pages::{ElsewherePage, LinkPage, LoginPage, Message, Onward};
use crate::reply::{Answer, Refusal, because, page, see_other, set_cookie};

/// How long a one-time link may be used, in seconds.
pub(crate) const LINK_LIFETIME_S: u64 = 600;
/// The longest pending visit kept over a login, in bytes: a return path, percent-encoded twice.
const NEXT_MAX: usize = 16 * 1024;
/// The longest user name there is; a longer one is nobody's and needs no counter of its own.
const NAME_MAX: usize = 64;
const HOME: &str = "/.portway/";

#[derive(Deserialize)]
pub(crate) struct Next {
    #[serde(default)]
    next: String,
}

/// `GET /.portway/login?next=`.
pub(crate) async fn form(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    next: Result<Query<Next>, QueryRejection>,
) -> Answer {
    let next = next.map(|Query(next)| next.next).unwrap_or_default();
    let next = checked_next(&next);
    if let Some(external) = &app.external {
        return elsewhere(&app, external, &headers, next).await;
    }
    if app.login(&headers).await?.is_some() {
        return see_other(&app.url(next), "logged-in");
    }
    show_form(&app, StatusCode::OK, "", next, None)
}

/// The way to the control plane's login page, and back.
async fn elsewhere(app: &App, external: &External, headers: &HeaderMap, next: &str) -> Answer {
    let ended = match external.login(app, headers).await? {
        Known::Somebody(_) => return see_other(&app.url(next), "logged-in"),
        Known::Ended => true,
        Known::Nobody => false,
    };
    if let Some(parameter) = &external.return_parameter {
        let mark = if external.login_page.contains('?') { '&' } else { '?' };
        let to = format!("{}{mark}{parameter}={}", external.login_page, ask::encode(&app.url(next)));
        return see_other(&to, "log-in");
    }
    let towards = towards(&app.settings.names, next);
    let shown = ElsewherePage { login_page: &external.login_page, next, towards: towards.as_deref(), ended };
    let mut response = page(StatusCode::OK, &shown)?;
    // The tab of the login page is closed when it has done its work, so the two must know each other.
    let opener = header::HeaderName::from_static("cross-origin-opener-policy");
    response.headers_mut().insert(opener, HeaderValue::from_static("same-origin-allow-popups"));
    Ok(response)
}

#[derive(Deserialize)]
pub(crate) struct Attempt {
    user: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// `POST /.portway/login`.
pub(crate) async fn attempt(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Form(attempt): Form<Attempt>,
) -> Answer {
    let next = checked_next(&attempt.next);
    let name = attempt.user.trim().to_ascii_lowercase();
    let counted = (name.len() <= NAME_MAX).then_some(name.as_str());
    if let Err(refusal) = app.admit_attempt(peer, counted) {
        app.audit("login.limited", counted, None, peer, "password").await;
        return Err(refusal);
    }
    let row = match counted {
        Some(name) => app.store.user(name).await?,
        None => None,
    };
    let (phc, suspended) = row.map_or((None, false), |row| (row.password, row.suspended));
    let right = app.passwords.verify(phc, attempt.password).await.map_err(|_| Refusal::unavailable())?;
    if !right || suspended {
        app.audit("login.failed", counted, None, peer, "password").await;
        let error = "That user name and password do not go together.";
        return show_form(&app, StatusCode::FORBIDDEN, &attempt.user, next, Some(error));
    }
    app.forgive_attempt(peer, counted);
    app.audit("login", Some(&name), None, peer, "password").await;
    let mut response = if next == HOME { see_other(&app.url(HOME), "logged-in")? } else { onward(&app, next)? };
    begin(&app, &headers, &name, &mut response).await?;
    Ok(response)
}

/// `GET /.portway/link/{secret}`: says whose link it is and changes nothing, so that previews and scanners cannot use it up.
pub(crate) async fn link(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    Path(secret): Path<String>,
) -> Answer {
    app.admit_attempt(peer, None)?;
    let user = match Secret::read(secret.as_bytes()) {
        Some(secret) => app.store.peek_login_link(&secret.hash()).await?,
        None => None,
    };
    let Some(user) = user else { return Err(spent_link()) };
    app.forgive_attempt(peer, None);
    page(StatusCode::OK, &LinkPage { name: &user })
}

/// `POST /.portway/link/{secret}`: the one use.
pub(crate) async fn take_link(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Path(secret): Path<String>,
) -> Answer {
    app.admit_attempt(peer, None)?;
    let user = match Secret::read(secret.as_bytes()) {
        Some(secret) => app.store.take_login_link(&secret.hash()).await?,
        None => None,
    };
    let Some(user) = user else {
        app.audit("login.failed", None, None, peer, "link").await;
        return Err(spent_link());
    };
    app.forgive_attempt(peer, None);
    app.audit("login", Some(&user), None, peer, "link").await;
    let mut response = see_other(&app.url(HOME), "logged-in")?;
    begin(&app, &headers, &user, &mut response).await?;
    Ok(response)
}

/// `POST /.portway/logout`: ends the login and every host session made from it.
pub(crate) async fn logout(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Answer {
    if let Some(login) = app.login(&headers).await? {
        let store = app.store.clone();
        app.commit(async move { store.end_login(&login.hash).await }).await?;
        app.audit("logout", Some(&login.user), None, peer, "").await;
    }
    if app.external.is_some() {
        // The login itself is not ours to end; going on to it would undo this at once.
        let message = Message {
            title: "You have left every port",
            text: "Every port you had opened has forgotten you. You are still logged in where you logged in; log out there as well.",
            action: Some(("Go there", "/")),
        };
        return Ok(because("logged-out", page(StatusCode::OK, &message)?));
    }
    let mut response = see_other(&app.url("/.portway/login"), "logged-out")?;
    set_cookie(&mut response, &cookie::ours(cookie::LOGIN, "", 0));
    Ok(response)
}

/// Begins a login for `user` in the browser that `response` goes to; the one it held before ends.
pub(crate) async fn begin(app: &App, headers: &HeaderMap, user: &str, response: &mut Response) -> Result<(), Refusal> {
    if let Carried::One(old) = carried(headers, cookie::LOGIN) {
        let store = app.store.clone();
        app.commit(async move { store.end_login(&old.hash()).await }).await?;
    }
    let secret = fresh_secret()?;
    let lifetime = app.settings.login_lifetime_s;
    app.store.add_login(&secret.hash(), user, lifetime).await?;
    // A user whom another process added just now may log in before the next poll has noticed them.
    if app.world().user(user).is_none() {
        let store = app.store.clone();
        app.publisher.replace_with(async move { store.listing().await }).await?;
    }
    set_cookie(response, &cookie::ours(cookie::LOGIN, &secret.text(), lifetime));
    Ok(())
}

/// Makes a one-time link.
pub(crate) async fn make_link(store: &Store, names: &Names, user: &str) -> Result<String, LoginLinkError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    let secret = Secret::new(bytes);
    store.add_login_link(user, &secret.hash(), LINK_LIFETIME_S).await?;
    Ok(format!("{}/.portway/link/{}", names.control.origin(), secret.text()))
}

/// Where the login page sends somebody back to.
pub(crate) fn login_url(app: &App, next: &str) -> String {
    app.url(&format!("/.portway/login?next={}", ask::encode(next)))
}

fn show_form(app: &App, status: StatusCode, name: &str, next: &str, error: Option<&str>) -> Answer {
    let towards = towards(&app.settings.names, next);
    let response = page(status, &LoginPage { name, next, towards: towards.as_deref(), error })?;
    Ok(if error.is_some() { because("bad-credentials", response) } else { response })
}

/// The page that goes on to a path of ours by itself.
fn onward(app: &App, next: &str) -> Answer {
    let place = towards(&app.settings.names, next);
    page(StatusCode::OK, &Onward { to: &app.url(next), place: place.as_deref().unwrap_or("Portway") })
}

/// The path itself where it is one of the two that a login may lead to; home otherwise (R12).
fn checked_next(next: &str) -> &str {
    let plain = next.len() <= NEXT_MAX && next.bytes().all(|b| matches!(b, 0x21..=0x7e) && b != b'\\' && b != b'#');
    if plain && next.starts_with("/.portway/authorize?") { next } else { HOME }
}

/// The workspace host that a pending visit is for.
fn towards(names: &Names, next: &str) -> Option<String> {
    let uri: Uri = next.parse().ok()?;
    let Query(ask) = Query::<Ask>::try_from_uri(&uri).ok()?;
    Some(ask.check(names).ok()?.target.host)
}

fn spent_link() -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "link-spent",
        "This link no longer works",
        "A login link works once, for ten minutes. Log in with your password, or ask whoever runs Portway for a new link.",
    )
    .action("Log in", "/.portway/login")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_home_or_on_to_the_authoriser_and_nowhere_else() {
        let on = "/.portway/authorize?host=3000-a.example.com&return=%2F&ch=x";
        assert_eq!(checked_next(on), on);
        let long = format!("/.portway/authorize?{}", "x".repeat(NEXT_MAX));
        for next in [
            "",
            "/",
            "//evil.example",
            "https://evil.example",
            "/.portway/logout",
            "/.portway/../x",
            "/.portway/authorize",
            "/.portway/authorize?a\r\nb",
            "/.portway/authorize?\\",
            "/.portway/authorize?#",
            "/.portway/authorize/../x?",
            "javascript:alert(1)",
            " /.portway/authorize?x",
            "/.portway/authorize?\u{fc}",
            &long,
        ] {
            assert_eq!(checked_next(next), HOME, "{next}");
        }
    }
}
