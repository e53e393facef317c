//! Portway's control host: the authoriser, login, the home page and its API; and the few paths of ours on workspace hosts.
//!
//! It answers whole small requests and touches no upstream. Reading order: [`Control::handle`] lets a request past `guard`
//! into one of two tables in `routes`; `login` makes logins, `authorize` turns one into tickets, for the port asked for and its `siblings`, and
//! `callback` turns each into a host session; `home` and `api` are two doors to `ports` and `tokens`; `reply` gives every answer its headers.

mod api;
mod app;
mod ask;
mod authorize;
mod callback;
mod chain;
mod embed;
pub mod external;
mod guard;
mod home;
mod join;
pub mod jwt;
pub mod lifecycle;
mod limiter;
mod login;
mod pages;
pub mod password;
mod paths;
mod ports;
mod reply;
mod routes;
mod running;
pub mod seal;
pub mod sessions;
mod siblings;
mod tokens;
mod view;
pub mod wake;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use portway_core::access::Rules;
use portway_core::cookie;
use portway_core::host::{Names, Place};
use portway_sources::{Demand, Publisher, Store, StoreError};
use tokio::time::timeout;
use tower::ServiceExt as _;

use crate::app::{App, At, Carried, Peer, carried};
use crate::external::External;
use crate::guard::Refused;
use crate::reply::Refusal;
use crate::wake::Waker;

/// The longest that a host session may live, in seconds (R3).
pub const SESSION_LIFETIME_MAX_S: u64 = 28_800;
/// How long anything here may take: longer than the store waits for its database.
const PATIENCE: Duration = Duration::from_secs(20);
const API: &str = "/.portway/api/";

/// What the control host is told once, at start.
#[derive(Clone, Debug)]
pub struct Settings {
    pub names: Names,
    pub rules: Rules,
    /// How long a login on the control host lives, in seconds.
    pub login_lifetime_s: u64,
    /// How long a session on a workspace host lives, in seconds; at most [`SESSION_LIFETIME_MAX_S`], and never longer than
    /// its login.
    pub session_lifetime_s: u64,
}

/// What a control plane does for the control host.
#[derive(Clone, Debug, Default)]
pub struct Plane {
    /// Whose logins are ours.
    pub external: Option<External>,
    pub waker: Option<Waker>,
    /// Where workspaces are asked for that are not held.
    pub demand: Option<Demand>,
}

/// The control host, built once and shared.
#[derive(Clone)]
pub struct Control {
    app: Arc<App>,
    control: Router,
    workspace: Router,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("settings", &self.app.settings).finish_non_exhaustive()
    }
}

/// Why a one-time login link could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LoginLinkError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the system gives no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

impl Control {
    /// Beside what there is of a control plane; with users and passwords of its own where logins are not that one's.
    pub fn new(settings: Settings, plane: Plane, store: Store, publisher: Publisher) -> Self {
        let session_lifetime_s = settings.session_lifetime_s.min(SESSION_LIFETIME_MAX_S);
        let settings = Settings { session_lifetime_s, ..settings };
        let app = Arc::new(App::new(settings, plane, store, publisher));
        Self { control: routes::control(app.clone()), workspace: routes::workspace(app.clone()), app }
    }

    /// Answers a request for the control host, or for `/.portway/` on a workspace host. Every error is an answer.
    ///
    /// `peer` is whoever failed attempts are counted against: the address that the listener trusts, not a header's.
    pub async fn handle(&self, request: Request<Bytes>, place: Place, peer: IpAddr) -> http::Response<Bytes> {
        let names = &self.app.settings.names;
        let (router, ours) = match &place {
            Place::Control => (&self.control, names.control.origin()),
            Place::Workspace(target) => (&self.workspace, names.origin(target)),
        };
        let on_control = place == Place::Control;
        let api = on_control && request.uri().path().starts_with(API);
        let head = request.method() == Method::HEAD;
        let spoiled = on_control && carried(request.headers(), cookie::LOGIN) == Carried::Unusable;

        let response = match guard::check(request.method(), request.headers(), &ours, api) {
            Ok(()) => match timeout(PATIENCE, route(router, request, place, Peer(peer))).await {
                Ok(response) => response,
                Err(_) => Refusal::too_late().into_response(),
            },
            Err(refused) => refusal_of(refused).into_response(),
        };
        let mut response = reply::finish(response, api);
        if spoiled && !response.headers().contains_key(http::header::SET_COOKIE) {
            reply::set_cookie(&mut response, &cookie::ours(cookie::LOGIN, "", 0));
        }
        whole(response, head).await
    }

    /// A one-time link that logs `user` in, good for ten minutes.
    ///
    /// # Errors
    /// As [`login_link`].
    pub async fn login_link(&self, user: &str) -> Result<String, LoginLinkError> {
        login_link(&self.app.store, &self.app.settings.names, user).await
    }
}

/// A one-time link that logs `user` in on the control host, good for ten minutes. The page behind it changes nothing until
/// its button is pressed.
///
/// # Errors
/// [`LoginLinkError`] where the store refuses, as it does for a user it does not have.
pub async fn login_link(store: &Store, names: &Names, user: &str) -> Result<String, LoginLinkError> {
    login::make_link(store, names, user).await
}

async fn route(router: &Router, request: Request<Bytes>, place: Place, peer: Peer) -> Response {
    let mut request = request.map(Body::from);
    request.extensions_mut().insert(peer);
    if let Place::Workspace(target) = place {
        request.extensions_mut().insert(At(target));
    }
    match router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn refusal_of(refused: Refused) -> Refusal {
    let (reason, text) = match refused {
        Refused::OtherOrigin => {
            ("other-origin", "Another site, or an extension, asked for this. Portway does only what its own pages ask.")
        }
        Refused::NotANavigation => ("not-a-navigation", "This can only be opened in a tab of its own."),
    };
    Refusal::new(StatusCode::FORBIDDEN, reason, "That did not come from Portway", text)
}

/// The answer as one piece; none of ours is large.
async fn whole(response: Response, head: bool) -> http::Response<Bytes> {
    let (mut parts, body) = response.into_parts();
    // Whoever writes it to a connection also frames it.
    parts.headers.remove(http::header::CONTENT_LENGTH);
    let body = match body.collect().await {
        Ok(body) if !head => body.to_bytes(),
        Ok(_) | Err(_) => Bytes::new(),
    };
    http::Response::from_parts(parts, body)
}
