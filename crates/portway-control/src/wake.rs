//! Waking a workspace for somebody who came (R68): one request at a time for each, and so many within an hour.
//!
//! Whoever comes meanwhile waits for its outcome. It knows no page, and not how the control plane is asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderMap;
use portway_core::secret::SecretHash;
use portway_core::snapshot::Snapshot;
use portway_core::workspace::{State, UserId, Workspace};
use portway_sources::Store;
use tokio::sync::OnceCell;

use crate::external::External;
use crate::lifecycle::{For, Lifecycle, Outcome, Step};
use crate::limiter::Limiter;

/// How long an attempt is remembered: longer than one takes.
const REMEMBERED: Duration = Duration::from_secs(10);
/// How long an outcome stands: the workspace's new state is told by its source within that time.
const STANDS: Duration = Duration::from_secs(3);

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeOutcome {
    /// It is on its way, or up already.
    Starting,
    /// As many run as may.
    Limit,
    /// The person, or everybody together, has woken it as often as may be.
    TooOften,
    /// The control plane said anything else, or nothing.
    Failed,
}

/// Wakes workspaces, and stops them. Clones share what is under way.
#[derive(Clone, Debug)]
pub struct Waker {
    lifecycle: Lifecycle,
    /// Whose sessions people have, where they are the control plane's.
    external: Option<External>,
    store: Store,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    under_way: Mutex<HashMap<Arc<str>, Attempt>>,
    people: Limiter<UserId>,
    workspaces: Limiter<Arc<str>>,
}

#[derive(Clone, Debug)]
struct Attempt {
    began: Instant,
    outcome: Arc<OnceCell<WakeOutcome>>,
}

impl Waker {
    /// Of one person, and of one workspace, `budget` wakes an hour succeed.
    pub fn new(lifecycle: Lifecycle, external: Option<External>, store: Store, budget: usize) -> Self {
        let shared = Shared {
            under_way: Mutex::default(),
            people: Limiter::per_hour(budget),
            workspaces: Limiter::per_hour(budget),
        };
        Self { lifecycle, external, store, shared: Arc::new(shared) }
    }

    /// Whether workspaces can be stopped as well.
    pub fn can_stop(&self) -> bool {
        self.lifecycle.can_stop()
    }

    /// Wakes the workspace for `user`, on behalf of the login behind the host's `session` if they have one.
    /// `trace` is the id of the request that brought them.
    pub async fn wake(
        &self,
        world: &Snapshot,
        workspace: &Arc<str>,
        user: &UserId,
        session: Option<&SecretHash>,
        trace: Option<&str>,
    ) -> WakeOutcome {
        let Some(workspace) = world.workspace(workspace) else { return WakeOutcome::Failed };
        if matches!(workspace.state, State::Running | State::Starting) {
            return WakeOutcome::Starting;
        }
        let attempt = self.attempt(&workspace.key);
        let asking = async {
            let session = match session {
                Some(session) => self.session_behind(session).await,
                None => None,
            };
            self.ask(workspace, user, For { session: session.as_deref(), trace }).await
        };
        // One person's spent budget is not the outcome of another's visit.
        attempt.outcome.get_or_try_init(|| asking).await.copied().unwrap_or(WakeOutcome::TooOften)
    }

    /// Asks for the stop of a workspace, with the session of a request to the control host; whether it is under way.
    pub(crate) async fn stop(&self, workspace: &Workspace, headers: &HeaderMap) -> bool {
        let session = self.external.as_ref().and_then(|external| external.session_in(headers));
        let who = For { session: session.as_deref(), trace: None };
        self.lifecycle.ask(Step::Stop, workspace, who).await == Outcome::Done
    }

    /// The attempt that is under way or has just been made, or a new one.
    fn attempt(&self, workspace: &Arc<str>) -> Attempt {
        let mut under_way = self.shared.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|_, attempt| attempt.began.elapsed() < REMEMBERED);
        let fresh = || Attempt { began: Instant::now(), outcome: Arc::default() };
        let attempt = under_way.entry(workspace.clone()).or_insert_with(fresh);
        if attempt.outcome.initialized() && attempt.began.elapsed() > STANDS {
            *attempt = fresh();
        }
        attempt.clone()
    }

    /// Asks the control plane, if the budget lets it. What did not succeed costs nothing of it.
    async fn ask(&self, workspace: &Workspace, user: &UserId, who: For<'_>) -> Result<WakeOutcome, TooOften> {
        let (people, workspaces, now) = (&self.shared.people, &self.shared.workspaces, Instant::now());
        if !people.admit(user, now) {
            return Err(TooOften);
        }
        if !workspaces.admit(&workspace.key, now) {
            people.forgive(user);
            return Err(TooOften);
        }
        let outcome = self.lifecycle.ask(Step::Start, workspace, who).await;
        if outcome != Outcome::Done {
            people.forgive(user);
            workspaces.forgive(&workspace.key);
        }
        Ok(match outcome {
            Outcome::Done => WakeOutcome::Starting,
            Outcome::Limit => WakeOutcome::Limit,
            Outcome::Failed => WakeOutcome::Failed,
        })
    }

    /// The control plane's session behind a session of a workspace host.
    async fn session_behind(&self, session: &SecretHash) -> Option<String> {
        let external = self.external.as_ref().filter(|_| self.lifecycle.needs_session())?;
        match self.store.adopted_of_session(session).await {
            Ok(adopted) => external.session_of(&adopted?),
            Err(error) => {
                tracing::error!(event = "wake", %error);
                None
            }
        }
    }
}

/// The budget is spent.
struct TooOften;
