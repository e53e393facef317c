//! The control plane's PostgreSQL: a small pool, and the queries of the configuration made into statements.
//!
//! A query is the operator's text. It is never put together with anything a visitor sent: values are parameters, and the
//! text is wrapped as a whole, so that its columns are known by name and each comes as text. What the columns mean is not
//! known here.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::SqliteError;
use sqlx::{AssertSqlSafe, Column as _, Connection as _, Executor as _, SqlSafeStr as _, Statement as _};

pub mod check;
pub mod demand;
pub mod follow;
mod parts;
pub mod sessions;
pub mod statement;
pub mod workspaces;

/// How long a statement may take, and how long one waits for a connection: longer is "the database is away".
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a connection is believed to work after it did.
const TRUSTED: Duration = Duration::from_secs(1);

/// Columns that hold several names.
const LISTS: [&str; 2] = ["groups", "users"];

/// Why the database did not answer. Texts are fit to be shown to the operator.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The address cannot be read.
    #[error("not an address of PostgreSQL: {0}")]
    Url(String),
    /// A query does not give what is needed.
    #[error("{0}")]
    Contract(String),
    /// A row holds what cannot be used.
    #[error("{0}")]
    Row(String),
    /// Anything PostgreSQL or the way to it says.
    #[error("{}", told(.0))]
    Sql(#[from] sqlx::Error),
}

impl DatabaseError {
    /// Whether the database is away or overloaded, so that trying again helps.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Url(_) | Self::Contract(_) | Self::Row(_) => false,
            Self::Sql(error) => is_passing(error),
        }
    }
}

/// Whether an error says that the database is away or overloaded.
pub(crate) fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        // 53: insufficient resources; 57: operator intervention; 08: connection; 40: rollback.
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| ["53", "57", "08", "40"].iter().any(|class| code.starts_with(class)))
        }
        _ => true,
    }
}

/// The database's own words, without the statement.
pub(crate) fn told(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) if error.try_downcast_ref::<SqliteError>().is_some() => error.to_string(),
        sqlx::Error::Database(error) => {
            let code = error.code().map(|code| format!(" (SQLSTATE {code})")).unwrap_or_default();
            format!("PostgreSQL says: {}{code}", error.message())
        }
        sqlx::Error::PoolTimedOut => "no connection to the database within 5 s".to_owned(),
        other => format!("the database cannot be reached: {other}"),
    }
}

/// A pool of connections to one role of one database. Clones share it.
#[derive(Clone)]
pub struct Database {
    pool: PgPool,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

impl Database {
    /// A pool for `url`; nothing is connected before the first question. "Too many clients" and a server that starts are
    /// waited out (sqlx does), as long as a statement may take.
    ///
    /// # Errors
    /// [`DatabaseError::Url`].
    pub fn new(url: &str, connections: u32) -> Result<Self, DatabaseError> {
        let options = options(url)?;
        let millis = PATIENCE.as_millis().to_string();
        let options = options.application_name("portway").options([
            ("statement_timeout", millis.as_str()),
            ("idle_in_transaction_session_timeout", millis.as_str()),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(PATIENCE)
            .idle_timeout(Some(Duration::from_secs(300)))
            .test_before_acquire(false)
            .before_acquire(|connection, used| {
                // One that was used a moment ago need not be asked whether it works: that is a round trip for each statement.
                Box::pin(async move {
                    if used.idle_for > TRUSTED {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(options);
        Ok(Self { pool })
    }

    /// Whether `url` can be used at all.
    ///
    /// # Errors
    /// [`DatabaseError::Url`].
    pub fn check_url(url: &str) -> Result<(), DatabaseError> {
        options(url).map(drop)
    }

    /// Host and port of the server that `url` names; `None` for a socket of the file system.
    pub fn server(url: &str) -> Option<(String, u16)> {
        let options = options(url).ok()?;
        let host = options.get_host().to_owned();
        (!host.starts_with('/')).then_some((host, options.get_port()))
    }

    /// The role that `url` names, as far as one can tell without asking.
    pub(crate) fn role(url: &str) -> Option<String> {
        Some(options(url).ok()?.get_username().to_owned())
    }

    /// The pool, for those who have statements of their own.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The names of the columns that a query gives. It is only prepared.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`]: also a relation that is not there, or not granted.
    pub async fn columns(&self, query: &str) -> Result<Vec<String>, DatabaseError> {
        let asking = async {
            let mut connection = self.pool.acquire().await?;
            let prepared = connection.prepare(AssertSqlSafe(query.to_owned()).into_sql_str()).await?;
            Ok(prepared.columns().iter().map(|column| column.name().to_owned()).collect())
        };
        in_time(asking).await
    }
}

fn options(url: &str) -> Result<PgConnectOptions, DatabaseError> {
    // The error of the parser may repeat the text, and so a password.
    let refuse = || DatabaseError::Url("write postgres://ROLE@HOST:5432/DATABASE".to_owned());
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(refuse());
    }
    PgConnectOptions::from_str(url).map_err(|_| refuse())
}

/// The answer, or that there was none in time: a server that was stopped in its tracks keeps its connections open.
pub(crate) async fn in_time<T>(asking: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, DatabaseError> {
    match tokio::time::timeout(PATIENCE + Duration::from_secs(1), asking).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(DatabaseError::Sql(sqlx::Error::PoolTimedOut)),
    }
}

/// `query` as a table `q` whose columns are all text, each of `wanted` in its place: NULL where the query does not give it.
/// After them comes `more`.
pub(crate) fn as_texts(query: &str, given: &[String], wanted: &[&str], more: &str) -> String {
    let columns: String = wanted.iter().map(|name| as_text(given, name) + ", ").collect();
    format!("SELECT {columns}{more} FROM ({}) AS q", bare(query))
}

/// One column of `q` as text; a list of names as JSON, whether it is an array of PostgreSQL's or JSON already.
fn as_text(given: &[String], name: &str) -> String {
    match given.iter().any(|column| column == name) {
        true if LISTS.contains(&name) => format!("to_jsonb(q.{name:?})::text AS {name:?}"),
        true => format!("q.{name:?}::text AS {name:?}"),
        false => format!("NULL::text AS {name:?}"),
    }
}

/// The names in a column that is a list.
pub(crate) fn listed<T: Ord + From<String>>(column: &str, text: Option<&str>) -> Result<BTreeSet<T>, String> {
    let Some(text) = text.filter(|text| *text != "null") else { return Ok(BTreeSet::new()) };
    let names: Vec<String> = serde_json::from_str(text)
        .map_err(|_| format!("its `{column}` is no list of texts: use text[] or a JSON array of strings"))?;
    Ok(names.into_iter().map(T::from).collect())
}

/// A query without the semicolon that people end it with.
pub(crate) fn bare(query: &str) -> &str {
    query.trim().trim_end_matches(';').trim_end()
}

/// The columns that must be there and are not, as one sentence.
pub(crate) fn missing(what: &str, given: &[String], required: &[&str]) -> Result<(), DatabaseError> {
    let lacking: Vec<String> = required
        .iter()
        .filter(|name| !given.iter().any(|column| column == *name))
        .map(|name| format!("`{name}`"))
        .collect();
    if lacking.is_empty() {
        return Ok(());
    }
    let given = given.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    Err(DatabaseError::Contract(format!(
        "{what} gives no column {}; it gives {given}",
        lacking.join(" and no column ")
    )))
}
