//! What of one's own runs, and stopping it: where somebody is sent who may run no more, and gets back from to the visit
//! that found it so.
//!
//! How a workspace is stopped is the waker's to know.

use std::sync::Arc;

use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::{Extension, Form};
use http::{HeaderMap, StatusCode};
use portway_core::workspace::State as WorkspaceState;
use serde::Deserialize;

use crate::app::{App, Peer};
use crate::ask::{Visit, encode};
use crate::login::login_url;
use crate::pages::{Onward, RunningPage, Visited};
use crate::ports;
use crate::reply::{Answer, Refusal, page, see_other};

const RUNNING: &str = "/.portway/running";

#[derive(Default, Deserialize)]
pub(crate) struct Look {
    /// What found no room.
    #[serde(flatten)]
    visit: Visit,
    /// The workspace that was asked to stop, to wait for.
    #[serde(default)]
    stopped: String,
}

/// `GET /.portway/running`.
pub(crate) async fn running(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    look: Result<Query<Look>, QueryRejection>,
) -> Answer {
    let Query(Look { visit, stopped }) = look.unwrap_or_default();
    let Some(me) = app.login(&headers).await? else {
        return see_other(&login_url(&app, &running_path(&visit)), "log-in");
    };
    let checked = visit.check(&app.settings.names);
    let stopping = ports::owned(&app, &me, &stopped).ok();
    let stopping =
        stopping.filter(|workspace| workspace.state.takes_room() || workspace.state == WorkspaceState::Stopping);
    let visit = checked.as_ref().map(|(target, return_to)| Visited {
        host: &target.host,
        return_to,
        url: format!("{}{return_to}", app.settings.names.origin(target)),
    });
    if !stopped.is_empty() && stopping.is_none() {
        return match visit {
            Some(Visited { host, url, .. }) => page(StatusCode::OK, &Onward { to: &url, place: host }),
            None => see_other(&app.url("/.portway/"), "stopped"),
        };
    }
    let world = app.world();
    let mut workspaces = app.lens(&world).workspaces(&me.user);
    workspaces.retain(|workspace| workspace.takes_room);
    workspaces.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    page(
        StatusCode::OK,
        &RunningPage {
            workspaces: &workspaces,
            can_stop: app.can_stop(),
            stopping: stopping.as_ref().map(|workspace| &**workspace.name.as_ref().unwrap_or(&workspace.id)),
            visit,
        },
    )
}

#[derive(Deserialize)]
pub(crate) struct StopForm {
    workspace: String,
    #[serde(flatten)]
    visit: Visit,
}

/// `POST /.portway/stop`: the owner alone stops a workspace, and goes on with the visit once it has stopped.
pub(crate) async fn stop(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    form: Result<Form<StopForm>, FormRejection>,
) -> Answer {
    let Ok(Form(StopForm { workspace, visit })) = form else {
        return Err(Refusal::bad_request("It needs the name of a workspace."));
    };
    let Some(me) = app.login(&headers).await? else {
        return see_other(&login_url(&app, &running_path(&visit)), "log-in");
    };
    let workspace = ports::owned(&app, &me, &workspace)?;
    let Some(waker) = app.waker.as_ref().filter(|waker| waker.can_stop()) else { return Err(Refusal::not_found()) };
    // One that sleeps deeper than a stopped one would be brought up by it.
    if workspace.state.takes_room() {
        if !waker.stop(&workspace, &headers).await {
            return Err(not_stopped());
        }
        app.audit("stop", Some(&me.user), Some(&workspace.key), peer, "").await;
    }
    let to = match visit.check(&app.settings.names) {
        Some(_) => format!("{}&stopped={}", running_path(&visit), encode(&workspace.key)),
        None => format!("/.portway/?done=stopping#{}", workspace.key),
    };
    see_other(&app.url(&to), "changed")
}

/// This page, for a visit.
fn running_path(visit: &Visit) -> String {
    format!("{RUNNING}?{}", visit.query())
}

fn not_stopped() -> Refusal {
    Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "not-stopped",
        "This workspace could not be stopped",
        "The control plane did not stop it. Try again, or stop it there.",
    )
    .action("Your workspaces", "/.portway/")
}
