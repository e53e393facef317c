//! Which workspaces are used, told to the control plane in batches: to a Redis sorted set, by a statement of its database's,
//! or to a path of its API server (R68).
//!
//! It merges what all cores saw by core's rule, and keeps what could not be told until it can. Whoever is away delays and
//! fails nothing but the report.

use std::collections::HashMap;
use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use portway_core::Timestamp;
use portway_core::activity::{Active, Attention};
use redis::aio::MultiplexedConnection;
use sqlx::AssertSqlSafe;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::client::{ApiError, ApiServer, Call};
use crate::database::{Database, DatabaseError};
use crate::freshness::now;

/// How long Redis may take for a connection, and for an answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most workspaces remembered; more is more than a gateway serves.
const WORKSPACES_MAX: usize = 100_000;
/// How long a Redis that failed is left alone; it doubles up to the most.
const BACK_OFF: Duration = Duration::from_millis(250);
const BACK_OFF_MAX: Duration = Duration::from_secs(10);
/// The most workspaces in one request.
const HOOK_AT_ONCE: usize = 1000;
/// How often it is looked whether something is due.
const LOOK: Duration = Duration::from_millis(250);

/// What one core saw used since its last report, by the ids of the source.
pub type Used = Vec<(Arc<str>, Attention)>;

/// Where and how often to tell.
#[derive(Clone, Debug)]
pub struct ActivitySettings {
    pub place: ActivityPlace,
    /// How long reports are collected. The first of a workspace in this time goes out at once.
    pub flush: Duration,
    /// For how long what goes on by itself counts, in seconds.
    pub background: Timestamp,
}

/// Who is told.
#[derive(Clone, Debug)]
pub enum ActivityPlace {
    Redis(RedisSet),
    Query(ActivityQuery),
    Webhook(Webhook),
}

impl ActivityPlace {
    /// Host and port of its server; `None` for a socket of the file system.
    pub fn server(&self) -> Option<(String, u16)> {
        match self {
            Self::Redis(set) => set.server.server(),
            Self::Query(query) => Database::server(&query.url),
            Self::Webhook(hook) => Some((hook.server.host.clone(), hook.server.port)),
        }
    }
}

/// A statement that gets ids (`$1`, text[]) and Unix seconds (`$2`, bigint[]), one for each.
#[derive(Clone)]
pub struct ActivityQuery {
    url: String,
    sql: String,
}

impl std::fmt::Debug for ActivityQuery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The address may hold a password.
        f.debug_struct("ActivityQuery").field("sql", &self.sql).finish_non_exhaustive()
    }
}

impl ActivityQuery {
    /// The statement at the database of this address.
    ///
    /// # Errors
    /// Which of its two values it does not use.
    pub fn new(url: String, sql: String) -> Result<Self, String> {
        for value in ["$1", "$2"] {
            if !sql.contains(value) {
                return Err(format!("does not use {value}: $1 are the ids (text[]), $2 Unix seconds (bigint[])"));
            }
        }
        Ok(Self { url, sql })
    }

    /// Compares it with the database: it is prepared and not run.
    ///
    /// # Errors
    /// What does not fit.
    pub async fn check(&self) -> Result<(), DatabaseError> {
        Database::new(&self.url, 1)?.columns(&self.sql).await.map(drop)
    }
}

/// A path of the API server that takes `{"workspaces": [{"id": …, "used_at": Unix seconds}]}` by POST.
#[derive(Clone)]
pub struct Webhook {
    pub server: ApiServer,
    pub path: String,
    /// Sent as `Authorization: Bearer`, so that nobody else can report.
    pub token: Option<String>,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("server", &self.server).field("path", &self.path).finish_non_exhaustive()
    }
}

/// A Redis, by its address; nothing is connected yet.
#[derive(Clone)]
pub struct RedisServer(redis::Client);

impl FromStr for RedisServer {
    type Err = String;

    /// The address is not repeated in an error, because it may hold a password.
    fn from_str(url: &str) -> Result<Self, String> {
        let client = redis::Client::open(url);
        client.map(Self).map_err(|_| "is not an address of Redis: write redis://HOST:6379".to_owned())
    }
}

impl std::fmt::Debug for RedisServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RedisServer(…)")
    }
}

impl RedisServer {
    pub(crate) fn client(&self) -> &redis::Client {
        &self.0
    }

    /// Host and port; `None` for a socket of the file system.
    pub fn server(&self) -> Option<(String, u16)> {
        match self.0.get_connection_info().addr() {
            redis::ConnectionAddr::Tcp(host, port) => Some((host.clone(), *port)),
            redis::ConnectionAddr::TcpTls { host, port, .. } => Some((host.clone(), *port)),
            _ => None,
        }
    }
}

/// A sorted set of Redis: members are ids of workspaces, scores Unix seconds.
#[derive(Clone)]
pub struct RedisSet {
    server: RedisServer,
    key: String,
}

impl std::fmt::Debug for RedisSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisSet").field("key", &self.key).finish_non_exhaustive()
    }
}

impl RedisSet {
    /// The set `key` on a server.
    pub fn new(server: RedisServer, key: String) -> Self {
        Self { server, key }
    }
}

/// One workspace as the collector knows it.
#[derive(Debug, Default)]
struct Entry {
    active: Active,
    /// What was last told, and when.
    told: Timestamp,
    told_at: Option<Instant>,
}

/// Collects and tells until every sender is gone, and then once more.
pub async fn collect(settings: ActivitySettings, mut used: mpsc::Receiver<Used>, count: impl Fn(&'static str)) {
    let to = match &settings.place {
        ActivityPlace::Redis(set) => Receiver::Redis(Box::new(set.clone()), None),
        ActivityPlace::Webhook(hook) => Receiver::Webhook(hook.clone()),
        ActivityPlace::Query(query) => match Database::new(&query.url, 1) {
            Ok(database) => Receiver::Database(database, query.sql.clone()),
            // The settings checked it.
            Err(error) => return tracing::error!(event = "activity-down", %error, "activity is not reported"),
        },
    };
    let mut collector = Collector { settings, entries: HashMap::new(), to, failing: None, back_off: BACK_OFF };
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            batch = used.recv() => match batch {
                Some(batch) => collector.note(batch, now()),
                None => break,
            },
            _ = look.tick() => collector.tell(false, &count).await,
        }
    }
    collector.tell(true, &count).await;
}

struct Collector {
    settings: ActivitySettings,
    entries: HashMap<Arc<str>, Entry>,
    to: Receiver,
    /// When it is tried again, while it fails.
    failing: Option<Instant>,
    back_off: Duration,
}

/// Where reports go, with the connection that is open.
enum Receiver {
    Redis(Box<RedisSet>, Option<MultiplexedConnection>),
    Database(Database, String),
    Webhook(Webhook),
}

impl Collector {
    fn note(&mut self, batch: Used, now: Timestamp) {
        for (id, attention) in batch {
            if self.entries.len() >= WORKSPACES_MAX && !self.entries.contains_key(&id) {
                let horizon = now.saturating_sub(self.settings.background);
                self.entries.retain(|_, entry| entry.active.attended() > horizon || entry.told < entry.active.last());
                if self.entries.len() >= WORKSPACES_MAX {
                    continue;
                }
            }
            self.entries.entry(id).or_default().active.note(attention, now, self.settings.background);
        }
    }

    /// Tells what is due: what is new and was not told within the flush time, or `all` that is new.
    async fn tell(&mut self, all: bool, count: &impl Fn(&'static str)) {
        let flush = self.settings.flush;
        if !all && self.failing.is_some_and(|again| Instant::now() < again) {
            return;
        }
        let due: Vec<(Arc<str>, Timestamp)> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.active.last() > entry.told)
            .filter(|(_, entry)| all || entry.told_at.is_none_or(|at| at.elapsed() >= flush))
            .map(|(id, entry)| (id.clone(), entry.active.last()))
            .collect();
        if due.is_empty() {
            return;
        }
        let told = self.to.send(&due).await;
        let now = Instant::now();
        match told {
            Ok(()) => {
                count("told");
                for (id, at) in due {
                    if let Some(entry) = self.entries.get_mut(&id) {
                        (entry.told, entry.told_at) = (at, Some(now));
                    }
                }
                self.back_off = BACK_OFF;
                if self.failing.take().is_some() {
                    tracing::info!(event = "activity-up", "activity is reported again");
                }
            }
            Err(error) => {
                count("failed");
                if self.failing.replace(now + self.back_off).is_none() {
                    tracing::error!(event = "activity-down", %error, "activity cannot be reported; it is kept");
                }
                self.back_off = (self.back_off * 2).min(BACK_OFF_MAX);
            }
        }
    }
}

impl Receiver {
    async fn send(&mut self, due: &[(Arc<str>, Timestamp)]) -> Result<(), String> {
        match self {
            Self::Redis(set, connection) => set.send(connection, due).await,
            Self::Webhook(hook) => hook.send(due).await,
            Self::Database(database, sql) => {
                let ids: Vec<&str> = due.iter().map(|(id, _)| &**id).collect();
                let seconds: Vec<i64> = due.iter().map(|(_, at)| i64::try_from(*at).unwrap_or(i64::MAX)).collect();
                let sql = AssertSqlSafe(sql.clone());
                let asked = sqlx::query(sql).bind(&ids).bind(&seconds).execute(database.pool());
                crate::database::in_time(asked).await.map(drop).map_err(|error| error.to_string())
            }
        }
    }
}

impl Webhook {
    /// A part that was taken before another failed is told once more, with the same time.
    async fn send(&self, due: &[(Arc<str>, Timestamp)]) -> Result<(), String> {
        for some in due.chunks(HOOK_AT_ONCE) {
            let told: Vec<_> = some.iter().map(|(id, at)| serde_json::json!({ "id": &**id, "used_at": at })).collect();
            let body = serde_json::json!({ "workspaces": told }).to_string();
            let token = self.token.as_deref();
            let call = Call { method: "POST", path: &self.path, body: &body, bearer: token, ..Call::default() };
            let (status, _) = self.server.send(call).await.map_err(|error| error.to_string())?;
            if !status.is_success() {
                return Err(ApiError::Unexpected(status).to_string());
            }
        }
        Ok(())
    }
}

impl RedisSet {
    /// An `open` connection that fails is not used again.
    async fn send(
        &self,
        open: &mut Option<MultiplexedConnection>,
        due: &[(Arc<str>, Timestamp)],
    ) -> Result<(), String> {
        let mut connection = match open.take() {
            Some(connection) => connection,
            None => in_time(self.server.client().get_multiplexed_async_connection()).await?,
        };
        // An older report, from another gateway, never takes the place of a newer one.
        let mut command = redis::cmd("ZADD");
        command.arg(&self.key).arg("GT");
        for (id, at) in due {
            command.arg(*at).arg(&**id);
        }
        in_time(command.query_async::<()>(&mut connection)).await?;
        *open = Some(connection);
        Ok(())
    }
}

async fn in_time<T>(asking: impl Future<Output = redis::RedisResult<T>>) -> Result<T, String> {
    match timeout(PATIENCE, asking).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err("Redis does not answer".to_owned()),
    }
}
