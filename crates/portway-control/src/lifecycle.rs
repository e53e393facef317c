//! Asks the control plane to start or to stop a workspace: by its API, with the session of a person (R68), or by statements
//! of the configuration.
//!
//! It knows neither who may ask nor how often.

use http::StatusCode;
use portway_core::workspace::Workspace;
use portway_sources::{ApiServer, Call, StateStatement};

/// How it is asked.
#[derive(Clone, Debug)]
pub enum Lifecycle {
    Api(ApiLifecycle),
    Statements { start: StateStatement, stop: Option<StateStatement> },
}

/// One request each.
#[derive(Clone, Debug)]
pub struct ApiLifecycle {
    pub server: ApiServer,
    pub method: String,
    /// With `{workspace}` in it.
    pub path: String,
    /// JSON.
    pub start_body: String,
    pub stop_body: Option<String>,
    /// The name of the session cookie.
    pub cookie: String,
    /// The field that carries the id of the visitor's request.
    pub trace_field: Option<String>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Start,
    Stop,
}

impl Step {
    fn as_str(self) -> &'static str {
        match self {
            Self::Start => "wake",
            Self::Stop => "stop",
        }
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is under way, or was so before.
    Done,
    /// As many run as may.
    Limit,
    /// Anything else that was answered, or nothing.
    Failed,
}

/// On whose behalf.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct For<'a> {
    /// The value of their session cookie; statements need none.
    pub(crate) session: Option<&'a str>,
    /// The id of the request that brought them.
    pub(crate) trace: Option<&'a str>,
}

impl Lifecycle {
    /// Whether workspaces can be stopped.
    pub fn can_stop(&self) -> bool {
        match self {
            Self::Api(api) => api.stop_body.is_some(),
            Self::Statements { stop, .. } => stop.is_some(),
        }
    }

    /// Whether a person's session is asked with.
    pub(crate) fn needs_session(&self) -> bool {
        matches!(self, Self::Api(_))
    }

    /// Asks for one step of one workspace.
    pub(crate) async fn ask(&self, step: Step, workspace: &Workspace, who: For<'_>) -> Outcome {
        match self {
            Self::Api(api) => api.ask(step, workspace, who).await,
            Self::Statements { start, stop } => {
                let statement = match step {
                    Step::Start => Some(start),
                    Step::Stop => stop.as_ref(),
                };
                run(statement, step, workspace).await
            }
        }
    }
}

impl ApiLifecycle {
    async fn ask(&self, step: Step, workspace: &Workspace, who: For<'_>) -> Outcome {
        let (event, ws_id) = (step.as_str(), &*workspace.id);
        let body = match step {
            Step::Start => Some(&self.start_body),
            Step::Stop => self.stop_body.as_ref(),
        };
        let (Some(session), Some(body)) = (who.session, body) else { return Outcome::Failed };
        let call = Call {
            method: &self.method,
            path: &self.path.replace("{workspace}", ws_id),
            cookie: &format!("{}={session}", self.cookie),
            body,
            bearer: None,
            trace: self.trace_field.as_deref().zip(who.trace),
        };
        let status = match self.server.send(call).await {
            Ok((status, _)) => status,
            Err(error) => {
                tracing::warn!(event, ws_id, %error);
                return Outcome::Failed;
            }
        };
        tracing::info!(event, ws_id, status = status.as_u16(), trace_id = who.trace);
        match status {
            status if status.is_success() => Outcome::Done,
            StatusCode::TOO_MANY_REQUESTS => Outcome::Limit,
            _ => Outcome::Failed,
        }
    }
}

async fn run(statement: Option<&StateStatement>, step: Step, workspace: &Workspace) -> Outcome {
    let (event, ws_id) = (step.as_str(), &*workspace.id);
    let Some(statement) = statement else { return Outcome::Failed };
    let outcome = match statement.run(ws_id, workspace.owner.as_deref()).await {
        Ok(outcome) => outcome,
        Err(error) => {
            tracing::error!(event, ws_id, %error);
            return Outcome::Failed;
        }
    };
    tracing::info!(event, ws_id, outcome = outcome.as_deref().unwrap_or("no row"));
    match outcome.as_deref() {
        Some("done") => Outcome::Done,
        Some("limit") => Outcome::Limit,
        _ => Outcome::Failed,
    }
}
