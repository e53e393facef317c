//! Portway's own state, in one SQLite file or in a schema of a PostgreSQL that several gateways share: users, logins,
//! tickets, sessions, workspaces, ports, tokens, audit.
//!
//! Every change is one transaction that takes the write lock at its start, and returns the core events that make the
//! change true in a snapshot: a running gateway publishes them, the command line drops them. The statements are the same
//! for both; what differs is in `opening` and `transaction`. Expiry is judged by the database's clock alone.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use portway_core::Timestamp;
use portway_core::secret::SecretHash;
use sqlx::AnyPool;

use crate::database::{is_passing, told};

pub mod adopted;
pub mod audit;
pub mod listing;
pub mod logins;
pub mod opening;
pub mod ports;
pub mod tickets;
pub mod tokens;
mod transaction;
pub mod users;
pub mod workspaces;

#[cfg(test)]
pub(crate) mod tests;

use transaction::{Lock, Transaction};

/// The name of the store as a source of workspaces.
pub const STORE_SOURCE: &str = "store";

/// No lifetime is longer than a century; keeps sums of times inside the database's integers.
const LIFETIME_MAX: u64 = 100 * 366 * 24 * 3600;
/// How long a change or a question may take in all: longer is "the database is away".
const PATIENCE: Duration = Duration::from_secs(10);

/// Portway's own state. Clones share its connections.
#[derive(Clone)]
pub struct Store {
    pool: AnyPool,
    lock: Lock,
    /// The database did not answer the last time that somebody waited for it.
    away: Arc<AtomicBool>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

/// Why the store could not do what it was asked. Texts are fit to be shown to the operator.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder or file cannot be made or opened.
    #[error("cannot open {}: {source}", path.display())]
    Open { path: PathBuf, source: io::Error },
    /// The address of the database cannot be read.
    #[error("{0}")]
    Url(String),
    /// A later Portway has made the tables; an older one could damage them.
    #[error(
        "{place} was written by a newer Portway (schema {found}, this one knows {known}); run that version or use another place"
    )]
    NewerSchema { place: String, found: i64, known: usize },
    /// The tables cannot be made or brought up to date by this role.
    #[error(
        "cannot make the tables of schema `{schema}`: {}; make them with `portway migrate --url postgres://ADMIN@HOST/DATABASE`",
        told(source)
    )]
    Migration { schema: String, source: sqlx::Error },
    /// What was to be added is there.
    #[error("{what} `{name}` exists already")]
    Exists { what: &'static str, name: String },
    /// What was named is not there.
    #[error("there is no {what} `{name}`")]
    NotFound { what: &'static str, name: String },
    /// Removing the user would leave workspaces without an owner.
    #[error("user `{user}` owns workspaces ({}); remove them or give them to another owner first", workspaces.join(", "))]
    OwnsWorkspaces { user: String, workspaces: Vec<String> },
    /// The login that a ticket rests on has ended, or the user of a new login is suspended.
    #[error("the login has ended or its user is suspended")]
    LoginOver,
    /// A value outside its rules.
    #[error("{0}")]
    Invalid(String),
    /// The system gave no random bytes.
    #[error("no random bytes from the system: {0}")]
    Random(getrandom::Error),
    /// Nothing came in time.
    #[error("the database did not answer within {} s", PATIENCE.as_secs())]
    Silent,
    /// Anything the database says: locked for too long, disk full, damaged, away.
    #[error("database: {}", told(.0))]
    Database(#[from] sqlx::Error),
}

impl StoreError {
    /// Whether the database is away or overloaded, so that trying again helps.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Silent => true,
            Self::Database(error) | Self::Migration { source: error, .. } => is_passing(error),
            _ => false,
        }
    }

    fn is_absence(&self) -> bool {
        matches!(self, Self::Silent | Self::Database(sqlx::Error::PoolTimedOut | sqlx::Error::Io(_)))
    }
}

impl Store {
    fn new(pool: AnyPool, lock: Lock) -> Self {
        Self { pool, lock, away: Arc::default() }
    }

    /// Waits for a change or a question, and not for ever: a server that is stopped in its tracks keeps its connections
    /// open. Once nothing has come, nobody waits again until the database has answered somebody else, so that what waits
    /// for its turn behind this is not held up.
    ///
    /// # Errors
    /// The question's own, and [`StoreError::Silent`]; what was begun is rolled back.
    pub async fn in_time<T>(&self, asking: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        if self.away.load(Ordering::Relaxed) {
            return Err(StoreError::Silent);
        }
        self.try_in_time(asking).await
    }

    /// Like [`Store::in_time`], for whoever finds out whether the database is back.
    pub(crate) async fn try_in_time<T>(
        &self,
        asking: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let answer = tokio::time::timeout(PATIENCE, asking).await.unwrap_or(Err(StoreError::Silent));
        self.away.store(answer.as_ref().is_err_and(StoreError::is_absence), Ordering::Relaxed);
        answer
    }

    /// The database's clock, by which everything expires.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn now(&self) -> Result<Timestamp, StoreError> {
        Ok(timestamp(sqlx::query_scalar("SELECT unixepoch()").fetch_one(&self.pool).await?))
    }

    /// Waits for what is under way and closes the database.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A column's seconds as a time; what is before 1970 is long past.
fn timestamp(seconds: i64) -> Timestamp {
    Timestamp::try_from(seconds).unwrap_or_default()
}

/// A lifetime as a column's seconds.
fn seconds(lifetime_s: u64) -> i64 {
    i64::try_from(lifetime_s.min(LIFETIME_MAX)).unwrap_or_default()
}

/// A column's bytes as a hash; every such column has a check of its length.
fn hash(bytes: Vec<u8>) -> Option<SecretHash> {
    bytes.try_into().ok().map(SecretHash)
}

/// A workspace id as the key under which everything about it is kept.
fn key(workspace: &str) -> String {
    workspace.to_ascii_lowercase()
}

/// A port that exists (RFC 6335 6: 0 is reserved).
fn port(port: u16) -> Result<i64, StoreError> {
    if port == 0 {
        return Err(StoreError::Invalid("0 is not a port: use 1 to 65535".to_owned()));
    }
    Ok(i64::from(port))
}

/// `N` random bytes as hexadecimal text: names that need not be secret, only new.
fn random_text<const N: usize>() -> Result<String, StoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(StoreError::Random)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
