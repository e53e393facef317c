//! The control runtime's side of the channel: what cores ask for is done here, each call in a task of its own.

use std::sync::Arc;

use portway_control::wake::{WakeOutcome, Waker};
use portway_control::{Control as ControlHost, Plane};
use portway_core::activity::Attention;
use portway_core::snapshot::{Event, Snapshot};
use portway_proxy::control::{ControlCall, ControlRequest, Waking, Woken};
use portway_sources::freshness::now;
use portway_sources::{CatchUp, Publisher, Store, Used};
use tokio::sync::mpsc;

use super::logs::Writer;
use super::resolver::{Resolver, by_the_system};
use super::traces::Sink;

/// What calls are answered with.
pub(super) struct Ours {
    pub(super) store: Store,
    pub(super) publisher: Publisher,
    pub(super) catch_up: CatchUp,
    pub(super) writer: Writer,
    pub(super) plane: Plane,
    pub(super) activity: Option<mpsc::Sender<Used>>,
    pub(super) traces: Option<Sink>,
}

/// Answers until every core is gone.
pub(super) async fn answer(mut calls: mpsc::Receiver<ControlCall>, host: ControlHost, ours: Ours) {
    let Ours { store, publisher, catch_up, writer, plane, activity, traces } = ours;
    let Plane { waker, demand, .. } = plane;
    let resolver = Resolver::new(by_the_system);
    while let Some(call) = calls.recv().await {
        match call {
            ControlCall::Request(call) => {
                let host = host.clone();
                tokio::spawn(async move {
                    let ControlRequest { request, place, peer, answer } = *call;
                    // The visitor may have gone meanwhile.
                    let _ = answer.send(host.handle(request, place, peer).await);
                });
            }
            ControlCall::Resolve { name, generation, answer } => resolver.resolve(name, generation, answer),
            ControlCall::Wake { workspace, who, trace, answer } => {
                let (waker, world, activity) = (waker.clone(), publisher.current(), activity.clone());
                tokio::spawn(async move {
                    let woken = match waker {
                        Some(waker) => wake(&waker, &world, &workspace, &who, trace.as_deref()).await,
                        None => Woken::Nobody,
                    };
                    // A stop could follow at once where the last use is long ago.
                    if let (Woken::Starting, Some(activity), Some(it)) = (woken, activity, world.workspace(&workspace))
                    {
                        let _ = activity.try_send(vec![(it.id.clone(), Attention::Attended)]);
                    }
                    let _ = answer.send(woken);
                });
            }
            ControlCall::Find { workspace, found } => {
                let demand = demand.clone();
                tokio::spawn(async move {
                    let known = match demand {
                        Some(demand) => demand.workspace(&workspace).await,
                        None => true,
                    };
                    let _ = found.send(known);
                });
            }
            ControlCall::CatchUp { done } => {
                let catch_up = catch_up.clone();
                tokio::spawn(async move {
                    catch_up.wait().await;
                    let _ = done.send(());
                });
            }
            ControlCall::TokenUsed(token) => {
                let store = store.clone();
                tokio::spawn(async move {
                    if let Err(error) = store.in_time(store.touch_token(&token)).await {
                        tracing::debug!(%error, "the use of a token was not noted");
                    }
                });
            }
            ControlCall::Noticed { workspace, notice, done } => {
                let publisher = publisher.clone();
                tokio::spawn(async move {
                    let at = now();
                    publisher.publish(vec![Event::Noticed { key: workspace, notice, at }]).await;
                    // Hardly anybody waits.
                    let _ = done.send(());
                });
            }
            ControlCall::Active(used) => {
                if let Some(demand) = &demand {
                    demand.used(used.iter().map(|(id, _)| id.clone()).collect());
                }
                // A thousand reports wait already: one more tells hardly anything new.
                let _ = activity.as_ref().map(|activity| activity.try_send(used));
            }
            ControlCall::Log(lines) => writer.send(lines),
            ControlCall::Spans(spans) => {
                let count = spans.len() as u64;
                if traces.as_ref().is_some_and(|traces| traces.try_send(spans).is_err()) {
                    metrics::counter!("portway_spans_total", "result" => "dropped").increment(count);
                }
            }
        }
    }
}

async fn wake(waker: &Waker, world: &Snapshot, workspace: &Arc<str>, who: &Waking, trace: Option<&str>) -> Woken {
    match waker.wake(world, workspace, &who.user, who.session.as_ref(), trace).await {
        WakeOutcome::Starting => Woken::Starting,
        WakeOutcome::Limit => Woken::Limit,
        WakeOutcome::TooOften => Woken::TooOften,
        WakeOutcome::Failed => Woken::Failed,
    }
}
