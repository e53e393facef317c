//! The one writer of the world: applies events, swaps the snapshot, tells every proxy core.
//!
//! It keeps the order in which changes were made: a store's transaction and the publication of its events happen under
//! one lock ([`Publisher::commit`]), so that of two changes to the same row the later one is also the later one seen. It
//! does not know where events come from.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, ready};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use portway_core::snapshot::{Conflict, Diff, Event, Listing, Snapshot, Update};
use portway_core::workspace::Workspace;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Updates that a proxy core may be behind before the publisher waits for it.
const BEHIND_MAX: usize = 1024;

/// The one writer of the world. Clones write the same world.
#[derive(Clone, Debug, Default)]
pub struct Publisher {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    directory: Arc<ArcSwap<Snapshot>>,
    subscribers: Mutex<Vec<mpsc::Sender<Update>>>,
    writing: tokio::sync::Mutex<Shadows>,
}

/// Records that wait behind another source's record of the same key, by (key, source).
type Shadows = BTreeMap<(Arc<str>, Arc<str>), Arc<Workspace>>;

/// What a change hands to [`Publisher::commit`]: events, alone or beside an answer.
pub trait Changes {
    /// Takes the events out, in the order in which they became true.
    fn take_events(&mut self) -> Vec<Event>;
}

impl Changes for Vec<Event> {
    fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(self)
    }
}

impl<T> Changes for (T, Vec<Event>) {
    fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.1)
    }
}

impl<T: Changes, E: Changes> Changes for Result<T, E> {
    fn take_events(&mut self) -> Vec<Event> {
        match self {
            Ok(done) => done.take_events(),
            Err(refused) => refused.take_events(),
        }
    }
}

impl Publisher {
    /// An empty world: everything is denied until a source has spoken.
    pub fn new() -> Self {
        Self::default()
    }

    /// The snapshot's holder, for lock-free reads.
    pub fn directory(&self) -> Arc<ArcSwap<Snapshot>> {
        self.shared.directory.clone()
    }

    /// The world as it is now.
    pub fn current(&self) -> Arc<Snapshot> {
        self.shared.directory.load_full()
    }

    /// Every later change, in order. Subscribe first and read [`Publisher::current`] after: then none is missed.
    pub fn subscribe(&self) -> mpsc::Receiver<Update> {
        let (sender, receiver) = mpsc::channel(BEHIND_MAX);
        self.shared.subscribers().push(sender);
        receiver
    }

    /// Applies events: swaps first, then tells every subscriber (waiting where one is full), then returns. Whoever awaits
    /// this can rely on the change being seen. Conflicts are logged when new, and returned.
    ///
    /// For the events of a store's mutator use [`Publisher::commit`]: between a transaction and a separate call of
    /// `publish`, another change of the same row can overtake.
    pub async fn publish(&self, events: Vec<Event>) -> Vec<Conflict> {
        let shared = self.shared.clone();
        finish(tokio::spawn(async move {
            let mut shadows = shared.writing.lock().await;
            shared.apply(&mut shadows, events).await
        }))
        .await
    }

    /// Runs `change` and publishes what it did as one step, so that no other change comes between. It goes on to its end
    /// even when the caller stops waiting: a visitor who hangs up cannot undo half a revocation.
    ///
    /// The events are taken out of the answer. `change` must not itself wait for this publisher.
    ///
    /// # Errors
    /// Whatever `change` fails with; then nothing is published.
    pub async fn commit<C, E>(&self, change: impl Future<Output = Result<C, E>> + Send + 'static) -> Result<C, E>
    where
        C: Changes + Send + 'static,
        E: Send + 'static,
    {
        let shared = self.shared.clone();
        finish(tokio::spawn(async move {
            let mut shadows = shared.writing.lock().await;
            let mut done = change.await?;
            shared.apply(&mut shadows, done.take_events()).await;
            Ok(done)
        }))
        .await
    }

    /// Makes one source's part of the world what its complete listing says.
    pub async fn replace(&self, listing: Listing) -> Vec<Conflict> {
        match self.replace_with(ready(Ok::<_, std::convert::Infallible>(listing))).await {
            Ok(conflicts) => conflicts,
        }
    }

    /// Like [`Publisher::replace`], with a listing that is made under the same lock: no change that is published can be
    /// older or newer than it.
    ///
    /// # Errors
    /// Whatever `listing` fails with; then the old world stays.
    pub async fn replace_with<E: Send + 'static>(
        &self,
        listing: impl Future<Output = Result<Listing, E>> + Send + 'static,
    ) -> Result<Vec<Conflict>, E> {
        let shared = self.shared.clone();
        finish(tokio::spawn(async move {
            let mut shadows = shared.writing.lock().await;
            let listing = listing.await?;
            let listed: BTreeSet<Arc<str>> = listing.workspaces.iter().map(|record| record.key.clone()).collect();
            shadows.retain(|(key, source), _| *source != listing.source || listed.contains(key));
            let events = shared.directory.load().reconcile(listing);
            Ok(shared.apply(&mut shadows, events).await)
        }))
        .await
    }
}

impl Shared {
    fn subscribers(&self) -> std::sync::MutexGuard<'_, Vec<mpsc::Sender<Update>>> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn apply(&self, shadows: &mut Shadows, events: Vec<Event>) -> Vec<Conflict> {
        let touched: Vec<Event> = events
            .iter()
            .filter(|event| matches!(event, Event::Workspace(_) | Event::WorkspaceGone { .. }))
            .cloned()
            .collect();
        let (mut next, mut diff, conflicts) = self.directory.load().apply(events);
        let waiting = shadow(shadows, &next, touched, &conflicts);
        if !waiting.is_empty() {
            let (later, more, _) = next.apply(waiting.into_iter().map(Event::Workspace));
            next = later;
            diff.workspaces.extend(more.workspaces);
        }
        if !diff.is_empty() {
            let next = Arc::new(next);
            self.directory.store(next.clone());
            self.tell(&next, diff).await;
        }
        conflicts
    }

    /// Tells those with room at once, so that one full core does not delay the others, and then waits for the rest.
    async fn tell(&self, snapshot: &Arc<Snapshot>, diff: Diff) {
        let diff = Arc::new(diff);
        let update = || Update { snapshot: snapshot.clone(), diff: diff.clone() };
        let mut full = Vec::new();
        self.subscribers().retain(|sender| match sender.try_send(update()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                full.push(sender.clone());
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        });
        for sender in full {
            // A core that ends meanwhile needs no news; the next change forgets it.
            drop(sender.send(update()).await);
        }
    }
}

/// Notes which records wait behind another source's, and gives those that need wait no longer.
fn shadow(shadows: &mut Shadows, next: &Snapshot, touched: Vec<Event>, conflicts: &[Conflict]) -> Vec<Arc<Workspace>> {
    let mut freed = Vec::new();
    for event in touched {
        match event {
            Event::Workspace(record) => {
                let place = (record.key.clone(), record.source.clone());
                let holder = next.workspace(&record.key);
                if holder.is_some_and(|holder| holder.source == record.source) {
                    shadows.remove(&place);
                } else if shadows.insert(place, record.clone()).is_none() {
                    let conflict = conflicts.iter().find(|c| c.id == record.id && c.second == record.source);
                    if let Some(conflict) = conflict {
                        tracing::error!("{conflict}");
                    }
                }
            }
            Event::WorkspaceGone { key, source } => {
                shadows.remove(&(key.clone(), source));
                freed.push(key);
            }
            _ => {}
        }
    }
    freed.retain(|key| next.workspace(key).is_none());
    freed.sort();
    freed.dedup();
    freed
        .into_iter()
        .filter_map(|key| {
            let place = shadows.keys().find(|(waiting, _)| *waiting == key)?.clone();
            shadows.remove(&place)
        })
        .collect()
}

/// The answer of a task that nobody aborts.
async fn finish<T>(task: JoinHandle<T>) -> T {
    match task.await.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(done) => done,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The runtime is going away, and this future with it.
        Err(Err(_)) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
