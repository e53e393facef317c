//! Portway's own state in one SQLite file: users, logins, tickets, sessions, workspaces, ports, tokens, audit.
//!
//! Every change is one transaction that takes the write lock at its start, and returns the core events that make the
//! change true in a snapshot: a running gateway publishes them, the command line drops them. This file opens and migrates
//! the database and names its errors; the tables have a file each. Expiry is judged by the database's clock alone.
//!
//! One connection a process, so that `PRAGMA data_version` moves only when another process wrote.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portway_core::Timestamp;
use portway_core::secret::SecretHash;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

pub mod adopted;
pub mod audit;
pub mod listing;
pub mod logins;
pub mod ports;
pub mod tickets;
pub mod tokens;
pub mod users;
pub mod workspaces;

#[cfg(test)]
pub(crate) mod tests;

/// The name of the store as a source of workspaces.
pub const STORE_SOURCE: &str = "sqlite";

/// The database inside the data folder.
const FILE_NAME: &str = "portway.db";
/// How long a change waits for another process that is writing.
const BUSY: Duration = Duration::from_secs(5);
/// Schema steps; step N ends by setting `user_version` to N. A step that has been released is never edited.
const STEPS: [&str; 3] =
    [include_str!("store/schema-1.sql"), include_str!("store/schema-2.sql"), include_str!("store/schema-3.sql")];
/// No lifetime is longer than a century; keeps sums of times inside SQLite's integers.
const LIFETIME_MAX: u64 = 100 * 366 * 24 * 3600;

/// A transaction that holds the write lock.
type Transaction = sqlx::Transaction<'static, sqlx::Sqlite>;

/// Portway's own state. Clones share the one connection.
#[derive(Clone)]
pub struct Store {
    pool: SqlitePool,
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
    /// A later Portway has migrated the file; an older one could damage it.
    #[error(
        "{} was written by a newer Portway (schema {found}, this one knows {known}); run that version or use another data folder",
        path.display()
    )]
    NewerSchema { path: PathBuf, found: i64, known: usize },
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
    /// Anything SQLite says: locked for too long, disk full, damaged.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
}

impl Store {
    /// Opens `folder`/portway.db, making both where missing (folder 0700, file 0600), and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Open`], [`StoreError::NewerSchema`], [`StoreError::Database`].
    pub async fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(FILE_NAME);
        private_file(folder, &path).map_err(|source| StoreError::Open { path: path.clone(), source })?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .busy_timeout(BUSY)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true);
        // Never a second connection and never another one in its place: `data_version` compares within one connection.
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_with(options)
            .await?;
        let store = Self { pool };
        store.migrate(path).await?;
        Ok(store)
    }

    async fn migrate(&self, path: PathBuf) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let found: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *tx).await?;
        let done = usize::try_from(found).ok().filter(|done| *done <= STEPS.len());
        let Some(done) = done else {
            return Err(StoreError::NewerSchema { path, found, known: STEPS.len() });
        };
        for step in STEPS.into_iter().skip(done) {
            sqlx::raw_sql(step).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Changes whenever another process has written; own changes do not move it.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn data_version(&self) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar("PRAGMA data_version").fetch_one(&self.pool).await?)
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

    /// Begins a change. The write lock is taken first, so that what it reads cannot be changed by another process before
    /// it writes.
    async fn begin(&self) -> Result<Transaction, StoreError> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }
}

/// Makes the folder and an empty file that nobody else can read. SQLite gives its `-wal` and `-shm` the file's mode.
fn private_file(folder: &Path, file: &Path) -> io::Result<()> {
    let mut folders = std::fs::DirBuilder::new();
    let mut options = std::fs::OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
        folders.mode(0o700);
        options.mode(0o600);
    }
    folders.recursive(true).create(folder)?;
    let opened = options.open(file)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        opened.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    drop(opened);
    Ok(())
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
