//! The JSON API, `/.portway/api/v1/`: what the home page does, for programs that hold the login cookie.
//!
//! The guard has already turned other origins away, and no answer ever carries a CORS header. Rules are in `ports` and
//! `tokens`; here is only their JSON.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::response::IntoResponse as _;
use axum::{Extension, Json};
use http::{HeaderMap, StatusCode};
use portway_core::host::canonical_port;
use portway_core::workspace::UserId;
use serde::Deserialize;
use serde_json::json;

use crate::app::{App, Login, Peer, not_logged_in};
use crate::ports::{self, Wanted, unfit};
use crate::reply::{self, Answer, Refusal, sentence};
use crate::tokens::{self, LIFETIME_DEFAULT_S, NewToken};

/// The body of a PUT: the whole of a port's configuration. What is left out is its default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PortBody {
    level: String,
    users: BTreeSet<String>,
    profile: Option<String>,
    scheme: Option<String>,
    cors: Option<String>,
}

impl Default for PortBody {
    fn default() -> Self {
        Self { level: "owner".to_owned(), users: BTreeSet::new(), profile: None, scheme: None, cors: None }
    }
}

/// The body of a POST to `tokens`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenBody {
    workspace: String,
    port: u16,
    /// Seconds.
    expires_in: Option<u64>,
    #[serde(default)]
    label: String,
}

/// `GET me`.
pub(crate) async fn me(State(app): State<Arc<App>>, headers: HeaderMap) -> Answer {
    let me = logged_in(&app, &headers).await?;
    reply::json(StatusCode::OK, &json!({ "user": &*me.user }))
}

/// `GET workspaces`: the user's own, and what others share with them.
pub(crate) async fn workspaces(State(app): State<Arc<App>>, headers: HeaderMap) -> Answer {
    let me = logged_in(&app, &headers).await?;
    app.find_shared_with(&me.user).await?;
    let world = app.world();
    let lens = app.lens(&world);
    let value = json!({ "workspaces": lens.workspaces(&me.user), "shared": lens.shared_with(&me.user) });
    reply::json(StatusCode::OK, &value)
}

/// `GET workspaces/{id}/ports/{port}`.
pub(crate) async fn port(
    State(app): State<Arc<App>>,
    Path((id, port)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    let me = logged_in(&app, &headers).await?;
    show(&app, &me, &id, port_number(&port)?)
}

/// `PUT workspaces/{id}/ports/{port}`.
pub(crate) async fn put_port(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    Path((id, port)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Json<PortBody>, JsonRejection>,
) -> Answer {
    let me = logged_in(&app, &headers).await?;
    let port = port_number(&port)?;
    let workspace = ports::owned(&app, &me, &id)?;
    let wanted = read(body)?.wanted()?;
    ports::set(&app, &me, peer, &workspace, port, wanted).await?;
    show(&app, &me, &id, port)
}

/// `DELETE workspaces/{id}/ports/{port}`: back to the owner alone.
pub(crate) async fn delete_port(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    Path((id, port)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    let me = logged_in(&app, &headers).await?;
    let port = port_number(&port)?;
    let workspace = ports::owned(&app, &me, &id)?;
    ports::remove(&app, &me, peer, &workspace, port).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `GET tokens`.
pub(crate) async fn tokens(State(app): State<Arc<App>>, headers: HeaderMap) -> Answer {
    let me = logged_in(&app, &headers).await?;
    reply::json(StatusCode::OK, &json!({ "tokens": tokens::list(&app, &me.user).await? }))
}

/// `POST tokens`: the answer is the only one that ever holds the token itself.
pub(crate) async fn post_token(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Result<Json<TokenBody>, JsonRejection>,
) -> Answer {
    let me = logged_in(&app, &headers).await?;
    let body = read(body)?;
    let new = NewToken {
        workspace: body.workspace,
        port: body.port,
        lifetime_s: body.expires_in.unwrap_or(LIFETIME_DEFAULT_S),
        label: body.label,
    };
    let (view, text) = tokens::create(&app, &me, peer, new).await?;
    reply::json(StatusCode::CREATED, &json!({ "token": text, "about": view }))
}

/// `DELETE tokens/{id}`.
pub(crate) async fn delete_token(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let me = logged_in(&app, &headers).await?;
    if tokens::revoke(&app, &me, peer, &id).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(Refusal::new(StatusCode::NOT_FOUND, "not-found", "There is no such token", "You have no token of this id."))
    }
}

async fn logged_in(app: &App, headers: &HeaderMap) -> Result<Login, Refusal> {
    app.login(headers).await?.ok_or_else(not_logged_in)
}

fn show(app: &App, me: &Login, id: &str, port: u16) -> Answer {
    let workspace = ports::owned(app, me, id)?;
    let world = app.world();
    reply::json(StatusCode::OK, &app.lens(&world).port(&workspace, port, &ports::current(app, &workspace, port)))
}

/// The body, once it is known who sends it.
fn read<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Refusal> {
    let rejection = match body {
        Ok(Json(body)) => return Ok(body),
        Err(rejection) => rejection,
    };
    Err(Refusal::new(
        rejection.status(),
        "bad-request",
        "That request is not complete",
        sentence(&rejection.body_text()),
    ))
}

/// A port in its one canonical spelling.
fn port_number(text: &str) -> Result<u16, Refusal> {
    canonical_port(text).ok_or_else(|| {
        Refusal::new(StatusCode::NOT_FOUND, "not-found", "There is no such port", "A port is a number from 1 to 65535.")
    })
}

impl PortBody {
    fn wanted(self) -> Result<Wanted, Refusal> {
        let bad = |text: String| unfit("bad-value", sentence(&text));
        Ok(Wanted {
            level: self.level.parse().map_err(bad)?,
            users: self.users.iter().map(|user| UserId::from(user.trim().to_ascii_lowercase())).collect(),
            profile: self.profile.map(|text| text.parse()).transpose().map_err(bad)?,
            scheme: self.scheme.map(|text| text.parse()).transpose().map_err(bad)?,
            cors: self.cors.map(|text| text.parse()).transpose().map_err(bad)?,
        })
    }
}
