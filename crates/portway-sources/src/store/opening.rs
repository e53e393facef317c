//! Opening the state where it is kept, and bringing its tables up to date.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Executor as _};

use super::transaction::{Lock, OwnChanges};
use super::{Store, StoreError};
use crate::database::Database;

/// The database inside the data folder.
pub(super) const FILE_NAME: &str = "portway.db";
/// How long a change waits for its turn, and a question for a connection.
const TURN: Duration = Duration::from_secs(5);
/// Steps of SQLite's schema; step N ends by setting `user_version` to N. A step that has been released is never edited.
pub(super) const FILE_STEPS: [&str; 5] = [
    include_str!("sqlite/schema-1.sql"),
    include_str!("sqlite/schema-2.sql"),
    include_str!("sqlite/schema-3.sql"),
    include_str!("sqlite/schema-4.sql"),
    include_str!("sqlite/schema-5.sql"),
];
/// Steps of PostgreSQL's; step N ends by setting `meta.steps` to N.
const SCHEMA_STEPS: [&str; 2] = [include_str!("postgres/schema-1.sql"), include_str!("postgres/schema-2.sql")];

/// A schema of a PostgreSQL that is Portway's own.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedPlace {
    /// `postgres://ROLE@HOST/DATABASE`.
    pub url: String,
    /// Lower-case letters, digits and `_`; see [`schema_name`].
    pub schema: String,
    /// The most connections to it.
    pub connections: u32,
}

/// Where the state is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorePlace {
    /// A file of this folder, for one gateway.
    Folder(PathBuf),
    /// For several gateways.
    Shared(SharedPlace),
}

/// What a migration found and left: numbers of schema steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrated {
    pub found: usize,
    pub now: usize,
}

// The URL may hold a password.
impl fmt::Debug for SharedPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedPlace").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// A name that a schema may have here.
///
/// # Errors
/// What is wrong with it.
pub fn schema_name(text: &str) -> Result<String, String> {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let starts = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_');
    if starts && text.len() <= 63 && text.bytes().all(legal) && !text.starts_with("pg_") && text != "public" {
        return Ok(text.to_owned());
    }
    Err(format!(
        "`{}` is not a schema of Portway's own: use up to 63 of a-z, 0-9 and `_`, not `public` and not `pg_…`",
        text.escape_debug()
    ))
}

impl StorePlace {
    /// Whether several gateways may use it at once.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Shared(_))
    }

    /// Opens what is there, making it where it is missing, and brings its tables up to date.
    ///
    /// # Errors
    /// [`StoreError::Open`], [`StoreError::Url`], [`StoreError::NewerSchema`], [`StoreError::Migration`],
    /// [`StoreError::Database`].
    pub async fn open(&self) -> Result<Store, StoreError> {
        match self {
            Self::Folder(folder) => Store::open(folder).await,
            Self::Shared(place) => {
                let pool = place.connect(&place.url)?;
                place.migrate(&pool).await?;
                Ok(Store::new(pool, Lock::Row(OwnChanges::default())))
            }
        }
    }

    /// Brings the tables up to date and nothing else. With `admin`, the URL of a role that may make them, and the role of
    /// the place is granted their use.
    ///
    /// # Errors
    /// As [`StorePlace::open`].
    pub async fn migrate(&self, admin: Option<&str>) -> Result<Migrated, StoreError> {
        match self {
            Self::Folder(folder) => {
                let (pool, path) = open_file(folder).await?;
                let migrated = migrate_file(&pool, &path).await;
                pool.close().await;
                migrated
            }
            Self::Shared(place) => {
                let pool = place.connect(admin.unwrap_or(&place.url))?;
                let migrated = match place.migrate(&pool).await {
                    Ok(migrated) if admin.is_some() => place.grant(&pool).await.map(|()| migrated),
                    migrated => migrated,
                };
                pool.close().await;
                migrated
            }
        }
    }
}

impl Store {
    /// Opens `folder`/portway.db, making both where missing (folder 0700, file 0600), and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Open`], [`StoreError::NewerSchema`], [`StoreError::Database`].
    pub async fn open(folder: &Path) -> Result<Self, StoreError> {
        let (pool, path) = open_file(folder).await?;
        migrate_file(&pool, &path).await?;
        Ok(Self::new(pool, Lock::File))
    }
}

/// One connection a process, so that `PRAGMA data_version` moves only when another process wrote.
async fn open_file(folder: &Path) -> Result<(AnyPool, PathBuf), StoreError> {
    let path = folder.join(FILE_NAME);
    let real = private_file(folder, &path).map_err(|source| StoreError::Open { path: path.clone(), source })?;
    drivers();
    // Never a second connection and never another one in its place.
    let pool = AnyPoolOptions::new()
        .max_connections(1)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .after_connect(|connection, _| {
            Box::pin(async move {
                // The driver waits 5 s for another writer and keeps foreign keys, unless it is told otherwise.
                connection.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL").await.map(drop)
            })
        })
        .connect_with(options(&file_url(&real))?)
        .await?;
    Ok((pool, path))
}

async fn migrate_file(pool: &AnyPool, path: &Path) -> Result<Migrated, StoreError> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
    let found: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *tx).await?;
    let migrated = run(&mut tx, found, &FILE_STEPS, || path.display().to_string()).await?;
    tx.commit().await?;
    Ok(migrated)
}

async fn run(
    connection: &mut AnyConnection,
    found: i64,
    steps: &[&'static str],
    place: impl Fn() -> String,
) -> Result<Migrated, StoreError> {
    let known = steps.len();
    let done = usize::try_from(found).ok().filter(|done| *done <= known);
    let done = done.ok_or_else(|| StoreError::NewerSchema { place: place(), found, known })?;
    for step in steps.iter().skip(done) {
        sqlx::raw_sql(*step).execute(&mut *connection).await?;
    }
    Ok(Migrated { found: done, now: known })
}

impl SharedPlace {
    /// Nothing is connected yet; "too many clients" and a server that starts are waited out (sqlx does), as long as a
    /// question may wait for a connection.
    fn connect(&self, url: &str) -> Result<AnyPool, StoreError> {
        Database::check_url(url).map_err(|error| StoreError::Url(error.to_string()))?;
        drivers();
        let millis = TURN.as_millis();
        let set: Arc<str> = format!(
            "SET search_path = \"{}\"; SET statement_timeout = {millis}; \
             SET idle_in_transaction_session_timeout = {millis}; SET application_name = 'portway'; \
             SET client_min_messages = warning",
            self.schema
        )
        .into();
        let pool = AnyPoolOptions::new()
            .max_connections(self.connections)
            .acquire_timeout(TURN)
            .idle_timeout(Some(Duration::from_secs(300)))
            .after_connect(move |connection, _| {
                let set = set.clone();
                Box::pin(async move { connection.execute(AssertSqlSafe(set.to_string())).await.map(drop) })
            })
            .connect_lazy_with(options(url)?);
        Ok(pool)
    }

    /// Asks for no more rights than what is missing needs.
    async fn migrate(&self, pool: &AnyPool) -> Result<Migrated, StoreError> {
        let refused = |source| StoreError::Migration { schema: self.schema.clone(), source };
        let mut tx = pool.begin().await?;
        // Gateways that start together make the tables once.
        sqlx::query("SELECT 1 FROM pg_advisory_xact_lock(hashtext('portway'), hashtext($1))")
            .bind(&self.schema)
            .execute(&mut *tx)
            .await?;
        let there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)")
            .bind(&self.schema)
            .fetch_one(&mut *tx)
            .await?;
        if !there {
            let make = format!("CREATE SCHEMA \"{}\"", self.schema);
            sqlx::raw_sql(AssertSqlSafe(make)).execute(&mut *tx).await.map_err(refused)?;
        }
        let made: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
            .bind(format!("\"{}\".meta", self.schema))
            .fetch_one(&mut *tx)
            .await?;
        let found: i64 = match made {
            true => sqlx::query_scalar("SELECT steps FROM meta").fetch_one(&mut *tx).await.map_err(refused)?,
            false => 0,
        };
        let place = || format!("schema `{}`", self.schema);
        let migrated = match run(&mut tx, found, &SCHEMA_STEPS, place).await {
            Err(StoreError::Database(source)) => return Err(refused(source)),
            other => other?,
        };
        tx.commit().await?;
        Ok(migrated)
    }

    /// Gives the role that gateways use what they need of an administrator's tables.
    async fn grant(&self, pool: &AnyPool) -> Result<(), StoreError> {
        let Some(role) = Database::role(&self.url) else { return Ok(()) };
        let role = format!("\"{}\"", role.replace('"', "\"\""));
        let schema = &self.schema;
        let grants = format!(
            "GRANT USAGE ON SCHEMA \"{schema}\" TO {role}; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA \"{schema}\" TO {role}; \
             GRANT USAGE ON ALL SEQUENCES IN SCHEMA \"{schema}\" TO {role}"
        );
        sqlx::raw_sql(AssertSqlSafe(grants))
            .execute(pool)
            .await
            .map_err(|source| StoreError::Migration { schema: schema.clone(), source })?;
        Ok(())
    }
}

fn options(url: &str) -> Result<AnyConnectOptions, StoreError> {
    // The parser's error may repeat the text, and so a password.
    url.parse().map_err(|_| StoreError::Url("the address of the database cannot be read".to_owned()))
}

/// The drivers that `Any` chooses from by the scheme of a URL.
fn drivers() {
    static ONCE: Once = Once::new();
    ONCE.call_once(sqlx::any::install_default_drivers);
}

/// A path as a URL of SQLite's: every byte that a URL could read otherwise is escaped (RFC 3986 2.1).
fn file_url(path: &Path) -> String {
    let mut url = "sqlite://".to_owned();
    for &byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

/// Makes the folder and an empty file that nobody else can read; gives its real path. SQLite gives its `-wal` and `-shm`
/// the file's mode.
fn private_file(folder: &Path, file: &Path) -> io::Result<PathBuf> {
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
    std::fs::canonicalize(file)
}
