//! Waking a workspace by the control plane's own API, with the session of the person who came (R68).
//!
//! One request at a time for a workspace: whoever comes meanwhile waits for its outcome. It knows no page, and never writes
//! to the control plane's tables.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::StatusCode;
use portway_core::secret::SecretHash;
use portway_core::snapshot::Snapshot;
use portway_core::workspace::State;
use portway_sources::Store;
use tokio::sync::OnceCell;

use crate::client::{ApiServer, Call};
use crate::external::External;

/// How long an attempt is remembered: longer than one takes.
const REMEMBERED: Duration = Duration::from_secs(10);
/// How long an outcome stands: the workspace's new state is told by its source within that time.
const STANDS: Duration = Duration::from_secs(3);

/// Where and how to ask.
#[derive(Clone, Debug)]
pub struct WakeRequest {
    pub server: ApiServer,
    pub method: String,
    /// With `{workspace}` in it.
    pub path: String,
    /// JSON.
    pub body: String,
    /// The field that carries the id of the visitor's request.
    pub trace_field: Option<String>,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeOutcome {
    /// It is on its way, or up already.
    Starting,
    /// 429: the person runs as many as they may.
    Limit,
    /// Anything else that was answered, or nothing.
    Failed,
}

/// Wakes workspaces. Clones share what is under way.
#[derive(Clone, Debug)]
pub struct Waker {
    request: WakeRequest,
    external: External,
    store: Store,
    under_way: Arc<Mutex<HashMap<Arc<str>, Attempt>>>,
}

#[derive(Clone, Debug)]
struct Attempt {
    began: Instant,
    outcome: Arc<OnceCell<WakeOutcome>>,
}

impl Waker {
    pub fn new(request: WakeRequest, external: External, store: Store) -> Self {
        Self { request, external, store, under_way: Arc::default() }
    }

    /// Wakes the workspace on behalf of the login behind `session`.
    /// `trace` is the id of the request that brought them.
    pub async fn wake(
        &self,
        world: &Snapshot,
        workspace: &Arc<str>,
        session: &SecretHash,
        trace: Option<&str>,
    ) -> WakeOutcome {
        let Some(record) = world.workspace(workspace) else { return WakeOutcome::Failed };
        if matches!(record.state, State::Running | State::Starting) {
            return WakeOutcome::Starting;
        }
        let attempt = self.attempt(workspace);
        let id = record.id.clone();
        *attempt.outcome.get_or_init(|| self.ask(&id, session, trace)).await
    }

    /// The attempt that is under way or has just been made, or a new one.
    fn attempt(&self, workspace: &Arc<str>) -> Attempt {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|_, attempt| attempt.began.elapsed() < REMEMBERED);
        let fresh = || Attempt { began: Instant::now(), outcome: Arc::default() };
        let attempt = under_way.entry(workspace.clone()).or_insert_with(fresh);
        if attempt.outcome.initialized() && attempt.began.elapsed() > STANDS {
            *attempt = fresh();
        }
        attempt.clone()
    }

    async fn ask(&self, id: &str, session: &SecretHash, trace: Option<&str>) -> WakeOutcome {
        let cookie = match self.store.adopted_of_session(session).await {
            Ok(Some(adopted)) => self.external.session_of(&adopted),
            Ok(None) => None,
            Err(error) => {
                tracing::error!(event = "wake", ws_id = id, %error);
                None
            }
        };
        let Some(cookie) = cookie else { return WakeOutcome::Failed };
        let WakeRequest { server, method, path, body, trace_field } = &self.request;
        let cookie = format!("{}={cookie}", self.external.cookie.name);
        let path = path.replace("{workspace}", id);
        let trace_field = trace_field.as_deref().zip(trace);
        let call = Call { method, path: &path, cookie: &cookie, body, trace: trace_field };
        let status = match server.send(call).await {
            Ok((status, _)) => status,
            Err(error) => {
                tracing::warn!(event = "wake", ws_id = id, %error);
                return WakeOutcome::Failed;
            }
        };
        tracing::info!(event = "wake", ws_id = id, status = status.as_u16(), trace_id = trace);
        match status {
            status if status.is_success() => WakeOutcome::Starting,
            StatusCode::TOO_MANY_REQUESTS => WakeOutcome::Limit,
            _ => WakeOutcome::Failed,
        }
    }
}
