//! Answers: pages, redirects, refusals, and the headers that every one of them carries.
//!
//! The one place that knows the security headers and how a refusal looks, as a page for people and as JSON under the API.
//! It knows no route and decides nothing.

use std::borrow::Cow;
use std::sync::LazyLock;

use askama::Template;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use portway_sources::StoreError;
use sha2::{Digest as _, Sha256};

use crate::pages::{self, Message};

/// Says why it is no page that was asked for: what is refused, or where a redirect leads. For machines.
const REASON: HeaderName = HeaderName::from_static("portway-reason");

/// What a handler gives.
pub(crate) type Answer = Result<Response, Refusal>;

/// An answer that is not what was asked for. It becomes a page or JSON in [`finish`].
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// `Portway-Reason`, and `code` in JSON.
    pub(crate) reason: &'static str,
    pub(crate) title: Cow<'static, str>,
    pub(crate) text: Cow<'static, str>,
    /// Where to go from here: the words of a link and its target.
    pub(crate) action: Option<(&'static str, Cow<'static, str>)>,
    /// Seconds.
    pub(crate) retry_after: Option<u32>,
}

impl Refusal {
    pub(crate) fn new(
        status: StatusCode,
        reason: &'static str,
        title: impl Into<Cow<'static, str>>,
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, reason, title: title.into(), text: text.into(), action: None, retry_after: None }
    }

    pub(crate) fn action(mut self, words: &'static str, target: impl Into<Cow<'static, str>>) -> Self {
        self.action = Some((words, target.into()));
        self
    }

    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Something failed on our side; the log has the details.
    pub(crate) fn failed(error: &dyn std::error::Error) -> Self {
        tracing::error!(error = %error, "the control plane could not answer");
        Self::unavailable()
    }

    pub(crate) fn unavailable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "Not right now",
            "Portway could not do this at the moment. Nothing was changed; please try again shortly.",
        )
        .retry_after(5)
    }

    /// What was asked may still happen.
    pub(crate) fn too_late() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "Not right now",
            "Portway's database did not answer in time. Please look again shortly.",
        )
        .retry_after(5)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is nothing here", "This address leads nowhere.")
    }

    pub(crate) fn bad_request(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", "That link is not complete", text)
    }

    pub(crate) fn too_many(text: &'static str) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-attempts", "Please wait a minute", text).retry_after(60)
    }

    /// For answers that the router gave by itself.
    fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::not_found(),
            StatusCode::METHOD_NOT_ALLOWED => Self::new(
                status,
                "method-not-allowed",
                "That cannot be done here",
                "This address takes another method.",
            ),
            status if status.is_server_error() => Self::unavailable(),
            status => Self::new(
                status,
                "bad-request",
                "That request is not complete",
                "Something in it is missing or malformed.",
            ),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Invalid(_) | StoreError::NotFound { .. } | StoreError::Exists { .. } => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "bad-value",
                "That was not changed",
                sentence(&error.to_string()),
            ),
            StoreError::LoginOver => crate::app::not_logged_in(),
            StoreError::Open { .. }
            | StoreError::Url(_)
            | StoreError::NewerSchema { .. }
            | StoreError::Migration { .. }
            | StoreError::OwnsWorkspaces { .. }
            | StoreError::Random(_)
            | StoreError::Silent
            | StoreError::Database(_) => Self::failed(&error),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// A page.
pub(crate) fn page(status: StatusCode, template: &impl Template) -> Answer {
    let html = template.render().map_err(|error| Refusal::failed(&error))?;
    Ok((status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response())
}

/// JSON.
pub(crate) fn json(status: StatusCode, value: &impl serde::Serialize) -> Answer {
    Ok((status, axum::Json(value)).into_response())
}

/// 303 (RFC 9110 15.4.4) to an absolute URL that the caller formatted from a configured origin.
pub(crate) fn see_other(location: &str, reason: &'static str) -> Answer {
    let location = HeaderValue::from_str(location).map_err(|error| Refusal::failed(&error))?;
    Ok(because(reason, (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()))
}

/// Gives an answer its `Portway-Reason`. The bare word also stands among its extensions, where the access log finds it.
pub(crate) fn because(reason: &'static str, mut response: Response) -> Response {
    response.headers_mut().insert(REASON, HeaderValue::from_static(reason));
    response.extensions_mut().insert(reason);
    response
}

/// An error's text as a sentence.
pub(crate) fn sentence(text: &str) -> String {
    let mut chars = text.trim_end_matches('.').chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

/// Adds a Set-Cookie line.
pub(crate) fn set_cookie(response: &mut Response, line: &str) {
    if let Ok(value) = HeaderValue::from_str(line) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// Gives a refusal its body and every answer its headers.
pub(crate) fn finish(response: Response, api: bool) -> Response {
    let mut response = match refusal_of(&response) {
        Some(refusal) => body_of(&refusal, response, api),
        None => response,
    };
    let redirect = response.status().is_redirection();
    harden(response.headers_mut(), redirect);
    response
}

fn refusal_of(response: &Response) -> Option<Refusal> {
    if let Some(refusal) = response.extensions().get::<Refusal>() {
        return Some(refusal.clone());
    }
    let typed = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes().starts_with(b"text/html") || kind.as_bytes().starts_with(b"application/json")
    });
    let status = response.status();
    ((status.is_client_error() || status.is_server_error()) && !typed).then(|| Refusal::of_status(status))
}

/// Renders a refusal in place of the body of the answer it came in, whose headers (`Allow`, cookies) stay.
fn body_of(refusal: &Refusal, from: Response, api: bool) -> Response {
    let (mut parts, _) = from.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    let (kind, body) = if api {
        let value = serde_json::json!({ "error": { "code": refusal.reason, "message": refusal.text } });
        ("application/json", format!("{value}\n"))
    } else {
        let html = Message::of(refusal).render().unwrap_or_else(|_| refusal.title.to_string());
        ("text/html; charset=utf-8", html)
    };
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(seconds) = refusal.retry_after {
        parts.headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    because(refusal.reason, Response::from_parts(parts, Body::from(body)))
}

/// What no page of ours needs is forbidden: scripts but one, frames, other origins.
///
/// Forms post to our own origin only. `form-action` also governs the redirects that follow a form (Chromium), so a form
/// that leads on to a workspace is answered with a page that moves on by itself, never with a redirect.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = |text: &str| base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text));
    let (style, script) = (hash(pages::STYLE), hash(pages::SCRIPT));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; img-src data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"))
});

fn harden(headers: &mut HeaderMap, redirect: bool) {
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, POLICY.clone());
    }
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cross-origin-resource-policy", "same-origin"),
        ("origin-agent-cluster", "?1"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    // On a redirect there is no document to protect, and it would cut a dev server's window from the page that opened it.
    let opener = HeaderName::from_static("cross-origin-opener-policy");
    if !redirect && !headers.contains_key(&opener) {
        headers.insert(opener, HeaderValue::from_static("same-origin"));
    }
}
