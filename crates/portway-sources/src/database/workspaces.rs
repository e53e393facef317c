//! Workspaces from a query of the configuration: all of them, or one by its id; and what keeps the snapshot up with them.
//!
//! Every row is loaded and kept. A notification names the row to read again; a full look now and then finds what no trigger
//! tells. A row that cannot be used is left out and told of once (R52): it opens nothing, and hides no other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portway_core::host::{Names, PortForm};
use portway_core::snapshot::{Event, Listing};
use portway_core::workspace::{Address, Grants, Level, State, Workspace};
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgListener, PgNotification};
use tokio::time::{sleep, timeout};

use super::{Database, DatabaseError, as_texts, in_time, listed, missing};
use crate::freshness::Freshness;
use crate::publisher::Publisher;
use crate::store::users::user_id;

/// The name of the database as a source of workspaces.
pub const DATABASE_SOURCE: &str = "postgres";

/// Columns that the query must give, and those that it may.
pub(super) const REQUIRED: [&str; 3] = ["id", "owner", "state"];
pub(super) const OPTIONAL: [&str; 6] = ["address", "generation", "name", "share", "users", "groups"];
/// The word for a row that is no workspace any more.
const DELETED: &str = "deleted";
/// How long a broken connection is left alone before the next try; it doubles up to the most.
const BACK_OFF: Duration = Duration::from_millis(200);
const BACK_OFF_MAX: Duration = Duration::from_secs(5);
/// More notifications at once than this, and everything is read again.
const AT_ONCE_MAX: usize = 64;
/// How often a working connection is asked whether it still is one: well within the shortest time that silence is believed.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How workspaces are read.
#[derive(Clone, Debug)]
pub struct WorkspaceQuery {
    /// The configuration's text.
    pub sql: String,
    /// The channels on which changes are notified.
    pub channels: Vec<String>,
    /// How often everything is read again.
    pub poll: Duration,
    /// Where a workspace is, if no column says so.
    pub address: Option<AddressTemplate>,
}

/// A literal address, or one with `{workspace}` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressTemplate(String);

impl AddressTemplate {
    /// Checks that it makes addresses.
    ///
    /// # Errors
    /// A sentence that says what an address is.
    pub fn new(text: &str) -> Result<Self, String> {
        let template = Self(text.to_owned());
        match template.of("a-b-c") {
            Ok(_) if text.matches('{').count() == text.matches("{workspace}").count() => Ok(template),
            Ok(_) => Err(format!("`{text}`: the only placeholder is {{workspace}}")),
            Err(error) => Err(error),
        }
    }

    /// The address of a workspace.
    ///
    /// # Errors
    /// That an id makes no address.
    pub fn of(&self, id: &str) -> Result<Address, String> {
        self.0
            .replace("{workspace}", id)
            .parse()
            .map_err(|error: portway_core::workspace::AddressError| error.to_string())
    }
}

/// The workspaces of a database.
#[derive(Debug)]
pub struct DatabaseSource {
    database: Database,
    query: WorkspaceQuery,
    names: Names,
    prepared: Option<Prepared>,
    /// Rows that were told of, with what was wrong.
    told: BTreeMap<String, String>,
    freshness: Freshness,
}

/// Statements that give every row, and one row by its id.
#[derive(Clone, Debug)]
struct Prepared {
    all: String,
    one: String,
}

/// One row, column by column.
#[derive(sqlx::FromRow)]
struct Row {
    id: Option<String>,
    owner: Option<String>,
    state: Option<String>,
    address: Option<String>,
    generation: Option<String>,
    name: Option<String>,
    /// A level, users and groups that every port is shared with.
    share: Option<String>,
    users: Option<String>,
    groups: Option<String>,
}

impl DatabaseSource {
    /// The workspaces that `query` gives; nothing is asked yet.
    pub fn new(database: Database, query: WorkspaceQuery, names: Names) -> Self {
        Self { database, query, names, prepared: None, told: BTreeMap::new(), freshness: Freshness::default() }
    }

    /// The statements, made once the database has said which columns the query gives.
    async fn prepared(&mut self) -> Result<Prepared, DatabaseError> {
        if let Some(prepared) = &self.prepared {
            return Ok(prepared.clone());
        }
        let given = self.database.columns(&self.query.sql).await?;
        missing("the workspaces query", &given, &REQUIRED)?;
        if self.query.address.is_none() && !given.iter().any(|column| column == "address") {
            return Err(DatabaseError::Contract(
                "the workspaces query gives no column `address`, and workspaces.address is not set either".to_owned(),
            ));
        }
        let wanted: Vec<&str> = REQUIRED.into_iter().chain(OPTIONAL).collect();
        let all = as_texts(&self.query.sql, &given, &wanted);
        let one = format!("{all} WHERE q.id = $1");
        Ok(self.prepared.insert(Prepared { all, one }).clone())
    }

    /// Shared with [`DatabaseSource::follow`].
    pub fn freshness(&self) -> Freshness {
        self.freshness.clone()
    }

    /// Every workspace there is.
    ///
    /// # Errors
    /// [`DatabaseError::Contract`] names the columns that are missing, [`DatabaseError::Sql`].
    pub async fn listing(&mut self) -> Result<Listing, DatabaseError> {
        let sql = AssertSqlSafe(self.prepared().await?.all);
        let rows: Vec<Row> = in_time(sqlx::query_as(sql).fetch_all(self.database.pool())).await?;
        self.freshness.touch();
        let mut seen = BTreeSet::new();
        let mut workspaces = Vec::with_capacity(rows.len());
        let before = std::mem::take(&mut self.told);
        for row in rows {
            let id = row.id.clone().unwrap_or_default();
            let problem = match self.workspace(row) {
                Ok(Some(workspace)) if seen.insert(workspace.key.clone()) => {
                    workspaces.push(Arc::new(workspace));
                    continue;
                }
                Ok(None) => continue,
                Ok(Some(_)) => "another row has the same id, but for case".to_owned(),
                Err(problem) => problem,
            };
            if before.get(&id) != Some(&problem) {
                tracing::error!(event = "workspace-row", ws_id = %id, "the row is left out: {problem}");
            }
            self.told.insert(id, problem);
        }
        Ok(Listing { source: DATABASE_SOURCE.into(), workspaces, own: None })
    }

    /// One workspace as it is now, as the event that makes it true.
    ///
    /// # Errors
    /// As [`DatabaseSource::listing`].
    pub async fn look_at(&mut self, id: &str) -> Result<Event, DatabaseError> {
        let sql = AssertSqlSafe(self.prepared().await?.one);
        let row: Option<Row> = in_time(sqlx::query_as(sql).bind(id).fetch_optional(self.database.pool())).await?;
        let gone = Event::WorkspaceGone { key: id.to_ascii_lowercase().into(), source: DATABASE_SOURCE.into() };
        Ok(match row.map(|row| self.workspace(row)) {
            Some(Ok(Some(workspace))) => Event::Workspace(Arc::new(workspace)),
            // A full look says what is wrong with it.
            Some(Ok(None) | Err(_)) | None => gone,
        })
    }

    /// A row as a workspace; `None` for one that is deleted.
    fn workspace(&self, row: Row) -> Result<Option<Workspace>, String> {
        let grants = grants(&row)?;
        let Row { id, owner, state, address, generation, name, .. } = row;
        let id = id.filter(|id| !id.is_empty()).ok_or("it has no `id`")?;
        let state = state.ok_or("it has no `state`")?;
        if state == DELETED {
            return Ok(None);
        }
        let state: State = state.parse()?;
        for domain in 0..self.names.domains.len() {
            self.names.host(domain, &id, PortForm::Default).map_err(|error| error.to_string())?;
        }
        let owner = owner.map(|owner| user_id(&owner).map_err(|error| error.to_string())).transpose()?;
        let address: Address = match (address, &self.query.address) {
            (Some(address), _) => {
                address.parse().map_err(|error: portway_core::workspace::AddressError| error.to_string())?
            }
            (None, Some(template)) => template.of(&id)?,
            (None, None) => return Err("it has no `address`".to_owned()),
        };
        // Where the query tells no lives apart, another address or state is another life.
        let generation = generation.unwrap_or_else(|| format!("{address} {}", state.as_str()));
        Ok(Some(Workspace {
            key: id.to_ascii_lowercase().into(),
            id: id.into(),
            name: name.filter(|name| !name.is_empty()).map(Into::into),
            owner,
            state,
            address,
            generation: generation.into(),
            grants,
            source: DATABASE_SOURCE.into(),
        }))
    }

    /// Keeps the snapshot up with the database for ever. What breaks is begun anew with a full look, and nothing of the old
    /// world is forgotten meanwhile.
    pub async fn follow(mut self, publisher: Publisher) {
        let mut pause = BACK_OFF;
        let mut failing = false;
        loop {
            let began = Instant::now();
            let Err(error) = self.watch(&publisher, &mut failing).await;
            // It may have been migrated meanwhile.
            self.prepared = None;
            if !failing {
                tracing::error!(event = "source-down", source = DATABASE_SOURCE, %error, "the last known state stays in use");
                failing = true;
            }
            if began.elapsed() > BACK_OFF_MAX {
                pause = BACK_OFF;
            }
            sleep(pause).await;
            pause = (pause * 2).min(BACK_OFF_MAX);
        }
    }

    async fn watch(
        &mut self,
        publisher: &Publisher,
        failing: &mut bool,
    ) -> Result<std::convert::Infallible, DatabaseError> {
        // Listening begins before the full look: what changes in between is told.
        let mut listener = in_time(PgListener::connect_with(self.database.pool())).await?;
        in_time(listener.listen_all(self.query.channels.iter().map(String::as_str))).await?;
        loop {
            let listing = self.listing().await?;
            publisher.replace(listing).await;
            if std::mem::take(failing) {
                tracing::info!(event = "source-up", source = DATABASE_SOURCE, "the database answers again");
            }
            self.follow_until_poll(&mut listener, publisher).await?;
        }
    }

    /// Passes on what is notified until it is time to read everything again.
    async fn follow_until_poll(
        &mut self,
        listener: &mut PgListener,
        publisher: &Publisher,
    ) -> Result<(), DatabaseError> {
        let until = Instant::now() + self.query.poll;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let first = match timeout(left.min(HEARTBEAT), listener.try_recv()).await {
                Ok(Ok(Some(notification))) => notification,
                // The connection was lost, and notifications with it.
                Ok(Ok(None)) => return Ok(()),
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => {
                    in_time(sqlx::query("SELECT 1").execute(self.database.pool())).await?;
                    self.freshness.touch();
                    continue;
                }
            };
            let mut ids = BTreeSet::new();
            let mut next = Some(first);
            while let Some(notification) = next {
                match id_in(&notification) {
                    Some(id) if ids.len() < AT_ONCE_MAX => drop(ids.insert(id)),
                    // It names no row, as a wake of the reconciler does, or there is too much of it.
                    _ => return Ok(()),
                }
                next = listener.next_buffered();
            }
            let mut events = Vec::with_capacity(ids.len());
            for id in ids {
                events.push(self.look_at(&id).await?);
            }
            publisher.publish(events).await;
        }
    }
}

/// Whom a row shares its workspace with.
fn grants(row: &Row) -> Result<Option<Box<Grants>>, String> {
    let level = row.share.as_deref().filter(|level| !level.is_empty()).map_or(Ok(Level::Owner), str::parse)?;
    let users: BTreeSet<String> = listed("users", row.users.as_deref())?;
    let users = users.iter().map(|user| user_id(user).map_err(|error| error.to_string())).collect::<Result<_, _>>()?;
    let grants = Grants { level, users, groups: listed("groups", row.groups.as_deref())? };
    Ok((grants != Grants::default()).then(|| Box::new(grants)))
}

/// The id that a notification names: `{"id": …}`, or the payload itself where it is no JSON.
fn id_in(notification: &PgNotification) -> Option<String> {
    let payload = notification.payload().trim();
    if payload.starts_with('{') {
        let value: serde_json::Value = serde_json::from_str(payload).ok()?;
        return value.get("id")?.as_str().map(str::to_owned);
    }
    (!payload.is_empty()).then(|| payload.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_literal_or_made_of_the_id() {
        let name =
            |text: &str| AddressTemplate::new(text).and_then(|template| template.of("A-1")).map(|it| it.to_string());
        assert_eq!(name("codehub-ws-{workspace}"), Ok("codehub-ws-a-1".to_owned()));
        assert_eq!(name("{workspace}.workspaces.svc.cluster.local"), Ok("a-1.workspaces.svc.cluster.local".to_owned()));
        assert_eq!(name("10.0.0.7"), Ok("10.0.0.7".to_owned()));
        for text in ["", "{id}", "codehub-{workspace", "http://{workspace}", "{workspace}:8080", "{workspace}-{port}"] {
            assert!(AddressTemplate::new(text).is_err(), "{text}");
        }
    }
}
