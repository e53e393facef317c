//! Where the control plane's sessions are looked up: in its tables, by its API, or in the session itself, signed.

use std::collections::BTreeSet;

use http::StatusCode;
use portway_core::Timestamp;
use portway_core::workspace::{Group, UserId};
use portway_sources::{ApiError, ApiServer, Call, ControlSession, DatabaseError, Held, SessionSource, user_id};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::app::now;
use crate::jwt::{JwtSessions, KeysError};

/// Questions asked of the API at once.
const AT_ONCE: usize = 8;

/// Looks sessions up.
#[derive(Clone, Debug)]
pub enum Sessions {
    /// By a query.
    Query(SessionSource),
    /// By a request with the cookie itself.
    Api(ApiSessions),
    /// By its own signature.
    Jwt(JwtSessions),
}

/// Where a JSON value says who somebody is: JSON pointers (RFC 6901).
#[derive(Clone, Debug)]
pub struct Pointers {
    pub user: String,
    pub name: Option<String>,
    /// An array of texts.
    pub groups: Option<String>,
}

/// Who somebody is.
pub(crate) struct Person {
    user: UserId,
    name: Option<String>,
    groups: BTreeSet<Group>,
}

impl Pointers {
    /// The person of a value; `None` where it names none.
    pub(crate) fn read(&self, value: &Value) -> Option<Person> {
        let text = |pointer: &str| match value.pointer(pointer) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let groups = self.groups.as_deref().and_then(|pointer| value.pointer(pointer)?.as_array());
        Some(Person {
            user: text(&self.user).and_then(|user| user_id(&user).ok())?,
            name: self.name.as_deref().and_then(text),
            groups: groups.into_iter().flatten().filter_map(Value::as_str).map(Group::from).collect(),
        })
    }
}

impl Person {
    /// Their session until `expires_at`.
    pub(crate) fn session(self, expires_at: Timestamp) -> ControlSession {
        ControlSession { user: self.user, name: self.name, groups: self.groups, expires_at }
    }
}

/// A request that says who is logged in.
#[derive(Clone, Debug)]
pub struct ApiSessions {
    pub server: ApiServer,
    pub path: String,
    /// The name of the cookie.
    pub cookie: String,
    /// Where the answer says who it is.
    pub answer: Pointers,
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
    #[error(transparent)]
    Keys(#[from] KeysError),
}

impl LookUpError {
    /// Whether trying again helps.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Database(error) => error.is_passing(),
            Self::Api(_) | Self::Keys(_) => true,
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
            Self::Jwt(jwt) => Ok(jwt.look_up(value).await?),
        }
    }

    /// Which of these still hold; of none, whether anybody answers at all.
    ///
    /// # Errors
    /// [`LookUpError`], where nobody can tell.
    pub async fn hold(&self, values: &[String]) -> Result<Vec<Held>, LookUpError> {
        match self {
            Self::Query(source) => Ok(source.hold(values).await?),
            Self::Api(api) => Ok(api.hold(values).await?),
            Self::Jwt(jwt) => Ok(jwt.hold(values).await?),
        }
    }
}

impl ApiSessions {
    async fn look_up(&self, value: &str) -> Result<Option<ControlSession>, ApiError> {
        let cookie = format!("{}={value}", self.cookie);
        let call = Call { method: "GET", path: &self.path, cookie: &cookie, ..Call::default() };
        let (status, body) = self.server.send(call).await?;
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => return Ok(None),
            status if status.is_success() => {}
            status => return Err(ApiError::Unexpected(status)),
        }
        let answer: Value = serde_json::from_slice(&body).map_err(|_| ApiError::Incomplete("JSON".to_owned()))?;
        let incomplete = || ApiError::Incomplete(format!("user's id at `{}`", self.answer.user));
        let person = self.answer.read(&answer).ok_or_else(incomplete)?;
        Ok(Some(person.session(now() + self.lifetime_s)))
    }

    async fn hold(&self, values: &[String]) -> Result<Vec<Held>, ApiError> {
        if values.is_empty() {
            self.look_up("").await?;
        }
        let mut held = Vec::new();
        for some in values.chunks(AT_ONCE) {
            let mut asked = JoinSet::new();
            for value in some {
                let (api, value) = (self.clone(), value.clone());
                asked.spawn(async move {
                    let session = api.look_up(&value).await?;
                    Ok(session.map(|session| Held { value, groups: Some(session.groups) }))
                });
            }
            while let Some(answer) = asked.join_next().await {
                // A task that panicked has told nothing.
                held.extend(answer.unwrap_or(Err(ApiError::Late))?);
            }
        }
        Ok(held)
    }
}
