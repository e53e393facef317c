//! Rows that are read when somebody asks for them, where there are too many to hold them all.
//!
//! Whoever asks at the same time is answered by one statement, and what is not there is remembered for a moment, so that
//! names which strangers make up cost little. What is held is looked at again like everything else, until others need the
//! room. What a row says is not known here.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portway_core::snapshot::Event;
use portway_core::workspace::UserId;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use super::workspaces::DATABASE_SOURCE;

/// Questions that may wait; more are not answered.
const WAITING_MAX: usize = 1024;
/// Questions answered by one statement.
const AT_ONCE: usize = 500;
/// How long nobody asks again for a row that is not there, or for what somebody owns.
const REMEMBERED: Duration = Duration::from_secs(5);
/// The most that is remembered as not there.
const ABSENT_MAX: usize = 65_536;

/// Where to ask for rows. Clones ask the same database.
#[derive(Clone, Debug)]
pub struct Demand(mpsc::Sender<Ask>);

/// One question.
#[derive(Debug)]
pub(super) enum Ask {
    Workspace(Arc<str>, oneshot::Sender<()>),
    Owner(UserId, oneshot::Sender<()>),
    Used(Vec<Arc<str>>),
}

impl Demand {
    /// Returns when the world has this workspace, if there is one; false where the database did not say.
    pub async fn workspace(&self, key: &str) -> bool {
        let (found, answer) = oneshot::channel();
        self.0.try_send(Ask::Workspace(key.into(), found)).is_ok() && answer.await.is_ok()
    }

    /// The same for all that somebody owns.
    pub async fn owned_by(&self, user: &UserId) -> bool {
        let (found, answer) = oneshot::channel();
        self.0.try_send(Ask::Owner(user.clone(), found)).is_ok() && answer.await.is_ok()
    }

    /// Tells that these workspaces are used, by their ids or keys: others are given up before them.
    pub fn used(&self, ids: Vec<Arc<str>>) {
        let _ = self.0.try_send(Ask::Used(ids));
    }
}

/// What is held, and the questions that wait.
#[derive(Debug)]
pub(super) struct Held {
    asks: mpsc::Receiver<Ask>,
    most: usize,
    /// Workspaces by key, with their last use.
    rows: HashMap<Arc<str>, Instant>,
    absent: HashMap<Arc<str>, Instant>,
    owners: HashMap<UserId, Instant>,
}

/// What one statement is asked for, and who waits for it.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) keys: BTreeSet<Arc<str>>,
    pub(super) owners: BTreeSet<UserId>,
    waiting: Vec<oneshot::Sender<()>>,
}

impl Batch {
    /// A look at these rows for nobody in particular.
    pub(super) fn of(keys: &[Arc<str>]) -> Self {
        Self { keys: keys.iter().cloned().collect(), ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.owners.is_empty()
    }

    /// Tells everybody that the world has what there is.
    pub(super) fn answer(self) {
        for waits in self.waiting {
            let _ = waits.send(());
        }
    }
}

impl Held {
    /// Room for `most` rows, and where to ask for them.
    pub(super) fn new(most: usize) -> (Self, Demand) {
        let (sender, asks) = mpsc::channel(WAITING_MAX);
        let held = Self { asks, most, rows: HashMap::new(), absent: HashMap::new(), owners: HashMap::new() };
        (held, Demand(sender))
    }

    /// The next question; never any where nobody asks any more.
    pub(super) async fn asked(&mut self) -> Ask {
        match self.asks.recv().await {
            Some(ask) => ask,
            None => std::future::pending().await,
        }
    }

    /// Waits while nothing can be answered, and says so to everybody who asks.
    pub(super) async fn refuse_for(&mut self, pause: Duration) {
        let over = sleep(pause);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return,
                ask = self.asked() => drop(ask),
            }
        }
    }

    /// The question `first` with those that wait behind it, without what is known already.
    pub(super) fn batch(&mut self, first: Ask) -> Batch {
        let now = Instant::now();
        let recent = |at: &Instant| now.duration_since(*at) < REMEMBERED;
        self.owners.retain(|_, at| recent(at));
        let mut batch = Batch::default();
        let mut next = Some(first);
        while let Some(ask) = next {
            match ask {
                Ask::Workspace(key, waits) => {
                    batch.waiting.push(waits);
                    if !self.rows.contains_key(&key) && !self.absent.get(&key).is_some_and(recent) {
                        batch.keys.insert(key);
                    }
                }
                Ask::Owner(user, waits) => {
                    batch.waiting.push(waits);
                    if !self.owners.contains_key(&user) {
                        batch.owners.insert(user);
                    }
                }
                Ask::Used(ids) => ids.iter().for_each(|id| self.touch(id, now)),
            }
            next = if batch.waiting.len() < AT_ONCE { self.asks.try_recv().ok() } else { None };
        }
        batch
    }

    fn touch(&mut self, id: &str, now: Instant) {
        let last = match self.rows.get_mut(id) {
            Some(last) => Some(last),
            None => self.rows.get_mut(&*id.to_ascii_lowercase()),
        };
        if let Some(last) = last {
            *last = now;
        }
    }

    /// Notes what came of a batch, and gives the events that make room for it.
    pub(super) fn note(&mut self, batch: &Batch, found: impl Iterator<Item = Arc<str>>) -> Vec<Event> {
        let now = Instant::now();
        for key in found {
            self.absent.remove(&key);
            self.rows.insert(key, now);
        }
        if self.absent.len() + batch.keys.len() > ABSENT_MAX {
            self.absent.retain(|_, at| now.duration_since(*at) < REMEMBERED);
        }
        for key in batch.keys.iter().filter(|key| !self.rows.contains_key(*key)) {
            if self.absent.len() < ABSENT_MAX {
                self.absent.insert(key.clone(), now);
            }
        }
        self.owners.extend(batch.owners.iter().map(|owner| (owner.clone(), now)));
        self.make_room()
    }

    /// Gives up what was not used for the longest time.
    fn make_room(&mut self) -> Vec<Event> {
        let over = self.rows.len().saturating_sub(self.most);
        if over == 0 {
            return Vec::new();
        }
        let mut by_use: Vec<(Instant, Arc<str>)> = self.rows.iter().map(|(key, last)| (*last, key.clone())).collect();
        by_use.sort();
        by_use.into_iter().take(over).map(|(_, key)| self.give_up(key)).collect()
    }

    fn give_up(&mut self, key: Arc<str>) -> Event {
        self.rows.remove(&key);
        gone(key)
    }

    /// The keys of what is held.
    pub(super) fn keys(&self) -> Vec<Arc<str>> {
        self.rows.keys().cloned().collect()
    }

    /// Whether a row is held. One that was missing may be there from now on.
    pub(super) fn is_held(&mut self, key: &str) -> bool {
        self.absent.remove(key);
        self.owners.clear();
        self.rows.contains_key(key)
    }

    /// Notes that rows which are held are not there any more.
    pub(super) fn lose(&mut self, keys: impl IntoIterator<Item = Arc<str>>) -> Vec<Event> {
        keys.into_iter().map(|key| self.give_up(key)).collect()
    }
}

fn gone(key: Arc<str>) -> Event {
    Event::WorkspaceGone { key, source: DATABASE_SOURCE.into() }
}
