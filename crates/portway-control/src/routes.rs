//! The two route tables: the control host's and the workspace hosts'.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::{delete, get, post};

use crate::app::App;
use crate::reply::{Answer, Refusal, see_other};
use crate::{api, authorize, callback, embed, home, join, login, paths, running};

/// The control host: everything that knows who somebody is.
pub(crate) fn control(app: Arc<App>) -> Router {
    let api = Router::new()
        .route("/me", get(api::me))
        .route("/workspaces", get(api::workspaces))
        .route("/workspaces/{id}/ports/{port}", get(api::port).put(api::put_port).delete(api::delete_port))
        .route("/tokens", get(api::tokens).post(api::post_token))
        .route("/tokens/{id}", delete(api::delete_token));
    // Where logins are the control plane's, there are no passwords and no links of ours.
    let own = Router::new()
        .route("/.portway/login", post(login::attempt))
        .route("/.portway/link/{secret}", get(login::link).post(login::take_link))
        .route("/.portway/password", post(home::password));
    let own = if app.external.is_none() { own } else { Router::new() };
    Router::new()
        .merge(own)
        .route("/", get(to_home))
        .route("/.portway", get(to_home))
        .route("/.portway/", get(home::home))
        .route("/.portway/login", get(login::form))
        .route("/.portway/logout", post(login::logout))
        .route("/.portway/authorize", get(authorize::authorize))
        .route("/.portway/consent", post(authorize::consent))
        .route("/.portway/open", get(home::open))
        .route("/.portway/running", get(running::running))
        .route("/.portway/stop", post(running::stop))
        .route("/.portway/ports", post(home::ports))
        .route("/.portway/tokens", post(home::create_token))
        .route("/.portway/tokens/revoke", post(home::revoke_token))
        .route("/w/{*rest}", get(paths::proxied))
        .nest("/.portway/api/v1", api)
        .fallback(nowhere)
        .with_state(app)
}

/// A workspace's host: the least there can be (R8).
pub(crate) fn workspace(app: Arc<App>) -> Router {
    Router::new()
        .route("/.portway/join", get(join::join))
        .route("/.portway/callback", get(callback::callback))
        .route("/.portway/embed", get(embed::offer).post(embed::redeem))
        .route("/.portway/logout", post(callback::logout))
        .fallback(nowhere)
        .with_state(app)
}

async fn to_home(State(app): State<Arc<App>>) -> Answer {
    see_other(&app.url("/.portway/"), "home")
}

async fn nowhere() -> Refusal {
    Refusal::not_found()
}
