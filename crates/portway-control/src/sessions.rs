//! Where the control plane's sessions are looked up: in its tables, or by its API.

use http::StatusCode;
use portway_sources::{ControlSession, DatabaseError, SessionSource, user_id};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::app::now;
use crate::client::{ApiError, ApiServer};

/// Questions asked of the API at once.
const AT_ONCE: usize = 8;

/// Looks sessions up.
#[derive(Clone, Debug)]
pub enum Sessions {
    /// By a query.
    Query(SessionSource),
    /// By a request with the cookie itself.
    Api(ApiSessions),
}

/// A request that says who is logged in.
#[derive(Clone, Debug)]
pub struct ApiSessions {
    pub server: ApiServer,
    pub path: String,
    /// The name of the cookie.
    pub cookie: String,
    /// Where the user's id stands in the answer: a JSON pointer (RFC 6901).
    pub user: String,
    /// Where their name stands.
    pub name: Option<String>,
    /// How long a session that the API knows is believed without asking, in seconds, if nothing ends it.
    pub lifetime_s: u64,
}

/// Why a session could not be looked up.
#[derive(Debug, thiserror::Error)]
pub enum LookUpError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Api(#[from] ApiError),
}

impl LookUpError {
    /// Whether trying again helps.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Database(error) => error.is_passing(),
            Self::Api(_) => true,
        }
    }
}

impl Sessions {
    /// Whose session this is, if it holds.
    ///
    /// # Errors
    /// [`LookUpError`], where nobody can tell.
    pub async fn look_up(&self, value: &str) -> Result<Option<ControlSession>, LookUpError> {
        match self {
            Self::Query(source) => Ok(source.look_up(value).await?),
            Self::Api(api) => Ok(api.look_up(value).await?),
        }
    }

    /// Which of these still hold; of none, whether anybody answers at all.
    ///
    /// # Errors
    /// [`LookUpError`], where nobody can tell.
    pub async fn hold(&self, values: &[String]) -> Result<Vec<String>, LookUpError> {
        match self {
            Self::Query(source) => Ok(source.hold(values).await?),
            Self::Api(api) => Ok(api.hold(values).await?),
        }
    }
}

impl ApiSessions {
    async fn look_up(&self, value: &str) -> Result<Option<ControlSession>, ApiError> {
        let (status, body) = self.server.send("GET", &self.path, &format!("{}={value}", self.cookie), "").await?;
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => return Ok(None),
            status if status.is_success() => {}
            status => return Err(ApiError::Unexpected(status)),
        }
        let answer: Value = serde_json::from_slice(&body).map_err(|_| ApiError::Incomplete("JSON".to_owned()))?;
        let text = |pointer: &str| match answer.pointer(pointer) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let incomplete = || ApiError::Incomplete(format!("user's id at `{}`", self.user));
        let user = text(&self.user).and_then(|user| user_id(&user).ok()).ok_or_else(incomplete)?;
        let name = self.name.as_deref().and_then(text);
        Ok(Some(ControlSession { user, name, expires_at: now() + self.lifetime_s }))
    }

    async fn hold(&self, values: &[String]) -> Result<Vec<String>, ApiError> {
        if values.is_empty() {
            self.look_up("").await?;
        }
        let mut held = Vec::new();
        for some in values.chunks(AT_ONCE) {
            let mut asked = JoinSet::new();
            for value in some {
                let (api, value) = (self.clone(), value.clone());
                asked.spawn(async move { Ok(api.look_up(&value).await?.map(|_| value)) });
            }
            while let Some(answer) = asked.join_next().await {
                // A task that panicked has told nothing.
                held.extend(answer.unwrap_or(Err(ApiError::Late))?);
            }
        }
        Ok(held)
    }
}
