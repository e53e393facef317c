//! A workspace that is not running, and somebody who may open it: woken for its owner's navigation, waited for by what came
//! a moment too early, said so to everybody else (R68).
//!
//! Of browsers, only a navigation wakes: a page left open in a tab calls its server again and again, and would wake it after
//! every stop. A program with a token wakes where that is configured. How a workspace is woken is the control runtime's to
//! know.

use std::time::Duration;

use portway_core::access::{Basis, Visitor, Waiting};
use portway_core::workspace::State;
use portway_http1::RequestHead;
use tokio::time::{Instant, sleep, timeout};

use super::answer::Answer;
use super::challenge::{is_navigation, visit_query};
use super::route::{Pause, Route, Tried, route};
use crate::control::{Waking, Woken};
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
    let mut tried = Tried { caught_up: !core.settings.shared, found: !core.settings.on_demand };
    loop {
        match route(core, visit, head, tried) {
            Ok(route) => return route,
            Err(Pause::Asleep(waiting)) => return wait(core, visit, head, &waiting, trace).await,
            Err(Pause::Unknown) => {
                let _ = timeout(TELLING, core.control.catch_up()).await;
                tried.caught_up = true;
            }
            Err(Pause::Missing(workspace)) => {
                if !timeout(TELLING, core.control.find(workspace)).await.unwrap_or(false) {
                    let form = Form::of(head, head.upgrade_websocket());
                    return Route::Answer(Refusal::Unavailable.answer(form, None));
                }
                tried.found = true;
            }
        }
    }
}

async fn wait(core: &Core, visit: &Visit, head: &RequestHead, waiting: &Waiting, trace: Option<&str>) -> Route {
    let form = Form::of(head, head.upgrade_websocket());
    let state = waiting.workspace.state;
    let woken = if state.sleeps() && may_wake(core, head, waiting) {
        match wake(core, waiting, trace).await {
            Ok(()) => true,
            Err(refusal) => return Route::Answer(answer(core, head, waiting, refusal, form)),
        }
    } else {
        false
    };
    // A program is not shown a page that goes on by itself.
    let waits = form == Form::Json || matches!(waiting.basis, Basis::Token(_));
    if waits && (woken || state == State::Starting) {
        return hold(core, visit, head, waiting, form, woken).await;
    }
    let refusal = if woken { Refusal::Asleep(State::Starting, is_owner(waiting)) } else { asleep(waiting) };
    Route::Answer(answer(core, head, waiting, refusal, form))
}

fn is_owner(waiting: &Waiting) -> bool {
    matches!(waiting.basis, Basis::Owner(_))
}

/// What is said of a workspace that is not running.
pub(super) fn asleep(waiting: &Waiting) -> Refusal {
    Refusal::Asleep(waiting.workspace.state, is_owner(waiting))
}

/// With a way to one's own workspaces: what has failed or is full is put right there. This page cannot say what runs: its
/// origin is the workspace's own (R8).
fn answer(core: &Core, head: &RequestHead, waiting: &Waiting, refusal: Refusal, form: Form) -> Answer {
    let control = core.settings.names.control.origin();
    let link = if core.settings.can_stop && matches!(refusal, Refusal::RunningLimit(true)) {
        format!("{control}/.portway/running?{}", visit_query(&waiting.target, head.path_and_query()))
    } else {
        format!("{control}/")
    };
    refusal.answer(form, Some(&link))
}

/// A person who comes, and no guess of a browser's at where they will go; or a program that was given a token.
fn may_wake(core: &Core, head: &RequestHead, waiting: &Waiting) -> bool {
    let by = core.settings.wake_by;
    let may = match &waiting.basis {
        Basis::Owner(_) => is_navigation(head),
        Basis::Shared(_) => by.shared && is_navigation(head),
        Basis::Token(_) => by.token,
        Basis::Public | Basis::Front => false,
    };
    may && !is_speculative(head)
}

/// Whether it is a browser's guess at what a person will do.
pub(super) fn is_speculative(head: &RequestHead) -> bool {
    head.fields().get_named(b"sec-purpose").is_some() || head.fields().get_named(b"purpose").is_some()
}

async fn wake(core: &Core, waiting: &Waiting, trace: Option<&str>) -> Result<(), Refusal> {
    let Some(user) = waiting.basis.user().cloned() else { return Err(asleep(waiting)) };
    let session = match &waiting.visitor {
        Visitor::Session(session) => Some(session.hash),
        Visitor::Token(_) | Visitor::Anonymous => None,
    };
    let woken = core.control.wake(waiting.workspace.key.clone(), Waking { user, session }, trace);
    match timeout(TELLING, woken).await.unwrap_or(Woken::Starting) {
        Woken::Starting => Ok(()),
        Woken::Limit => Err(Refusal::RunningLimit(is_owner(waiting))),
        Woken::Nobody => Err(asleep(waiting)),
        Woken::TooOften => Err(Refusal::WokenTooOften),
        Woken::Failed => Err(Refusal::WakeFailed),
    }
}

/// Waits until the workspace runs, and routes the request anew then: whatever holds by that time holds. What was `woken` may
/// sleep for another moment.
async fn hold(core: &Core, visit: &Visit, head: &RequestHead, waiting: &Waiting, form: Form, woken: bool) -> Route {
    let refuse = |refusal| Route::Answer(answer(core, head, waiting, refusal, form));
    let waits = |state: State| state == State::Starting || (woken && state.sleeps());
    let _held = core.held.enter();
    if core.held.count() > HELD_MAX {
        return refuse(asleep(waiting));
    }
    let deadline = Instant::now() + core.settings.hold;
    let key = &waiting.workspace.key;
    while core.directory.load().workspace(key).is_some_and(|now| waits(now.state)) {
        if Instant::now() >= deadline || core.is_draining() {
            return refuse(asleep(waiting));
        }
        sleep(LOOK).await;
    }
    match route(core, visit, head, Tried::ALL) {
        Ok(route) => route,
        // Not up after all.
        Err(Pause::Asleep(waiting)) => refuse(asleep(&waiting)),
        Err(Pause::Unknown | Pause::Missing(_)) => refuse(Refusal::Unavailable),
    }
}
