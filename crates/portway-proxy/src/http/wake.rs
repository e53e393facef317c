//! A workspace that is not running, and somebody who may open it: woken for its owner's navigation, waited for by what came
//! a moment too early, said so to everybody else (R68).
//!
//! Only a navigation wakes. A page left open in a tab calls its server again and again, and would wake it after every stop.
//! How a workspace is woken is the control runtime's to know.

use std::time::Duration;

use portway_core::access::{Basis, Visitor, Waiting};
use portway_core::workspace::State;
use portway_http1::RequestHead;
use tokio::time::{Instant, sleep, timeout};

use super::answer::Answer;
use super::challenge::is_navigation;
use super::route::{Pause, Route, route};
use crate::control::Woken;
use crate::core::{Core, Visit};
use crate::refusal::{Form, Refusal};

/// How often the snapshot is looked at for a request that is held.
const LOOK: Duration = Duration::from_millis(100);
/// How long a page waits to be told whether the workspace is being woken, and anybody for news of other gateways.
const TELLING: Duration = Duration::from_secs(5);
/// Requests that one core holds; more are told to come again.
const HELD_MAX: usize = 1024;

/// The route of a request, once it has one: it may have to wait for its workspace.
pub(super) async fn arrive(core: &Core, visit: &Visit, head: &RequestHead, trace: Option<&str>) -> Route {
    let mut caught_up = !core.settings.shared;
    loop {
        match route(core, visit, head, caught_up) {
            Ok(route) => return route,
            Err(Pause::Asleep(waiting)) => return wait(core, visit, head, &waiting, trace).await,
            Err(Pause::Unknown) => {
                let _ = timeout(TELLING, core.control.catch_up()).await;
                caught_up = true;
            }
        }
    }
}

async fn wait(core: &Core, visit: &Visit, head: &RequestHead, waiting: &Waiting, trace: Option<&str>) -> Route {
    let form = Form::of(head, head.upgrade_websocket());
    let state = waiting.workspace.state;
    if form == Form::Page {
        let refusal =
            if state.sleeps() && may_wake(head, waiting) { wake(core, waiting, trace).await } else { asleep(waiting) };
        return Route::Answer(answer(core, refusal, form));
    }
    if state == State::Starting {
        hold(core, visit, head, waiting, form).await
    } else {
        Route::Answer(answer(core, asleep(waiting), form))
    }
}

/// What is said of a workspace that is not running.
pub(super) fn asleep(waiting: &Waiting) -> Refusal {
    Refusal::Asleep(waiting.workspace.state, matches!(waiting.basis, Basis::Owner(_)))
}

/// With a way to one's own workspaces: what has failed or is full is put right there.
fn answer(core: &Core, refusal: Refusal, form: Form) -> Answer {
    let home = format!("{}/", core.settings.names.control.origin());
    refusal.answer(form, Some(&home))
}

/// The owner's own navigation, and no guess of a browser's at the next one.
fn may_wake(head: &RequestHead, waiting: &Waiting) -> bool {
    matches!(waiting.basis, Basis::Owner(_)) && is_navigation(head) && !is_speculative(head)
}

/// Whether it is a browser's guess at what a person will do.
pub(super) fn is_speculative(head: &RequestHead) -> bool {
    head.fields().get_named(b"sec-purpose").is_some() || head.fields().get_named(b"purpose").is_some()
}

async fn wake(core: &Core, waiting: &Waiting, trace: Option<&str>) -> Refusal {
    // A token has no login of the control plane's behind it.
    let Visitor::Session(session) = &waiting.visitor else { return asleep(waiting) };
    let woken = core.control.wake(waiting.workspace.key.clone(), session.hash, trace);
    match timeout(TELLING, woken).await.unwrap_or(Woken::Starting) {
        Woken::Starting => Refusal::Asleep(State::Starting, true),
        Woken::Limit => Refusal::RunningLimit,
        Woken::Nobody => asleep(waiting),
        Woken::Failed => Refusal::WakeFailed,
    }
}

/// Waits until the workspace runs, and routes the request anew then: whatever holds by that time holds.
async fn hold(core: &Core, visit: &Visit, head: &RequestHead, waiting: &Waiting, form: Form) -> Route {
    let refuse = |refusal| Route::Answer(answer(core, refusal, form));
    let _held = core.held.enter();
    if core.held.count() > HELD_MAX {
        return refuse(asleep(waiting));
    }
    let deadline = Instant::now() + core.settings.hold;
    let key = &waiting.workspace.key;
    while core.directory.load().workspace(key).is_some_and(|now| now.state == State::Starting) {
        if Instant::now() >= deadline || core.is_draining() {
            return refuse(asleep(waiting));
        }
        sleep(LOOK).await;
    }
    match route(core, visit, head, true) {
        Ok(route) => route,
        // Not up after all.
        Err(Pause::Asleep(waiting)) => refuse(asleep(&waiting)),
        Err(Pause::Unknown) => refuse(Refusal::Unavailable),
    }
}
