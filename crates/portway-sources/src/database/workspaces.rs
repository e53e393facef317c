//! Workspaces from a query of the configuration: all of them, those of some parts, or one by its id.
//!
//! A row that cannot be used is left out and told of once (R52): it opens nothing, and hides no other. When they are read
//! is not known here.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use portway_core::host::{Names, PortForm};
use portway_core::snapshot::{Event, Listing};
use portway_core::workspace::{Address, Grants, Level, State, Workspace};
use sqlx::AssertSqlSafe;

use super::demand::{Batch, Demand, Held};
use super::parts::{self, Parts};
use super::{Database, DatabaseError, as_texts, in_time, listed, missing};
use crate::freshness::Freshness;
use crate::store::users::user_id;

/// The name of the database as a source of workspaces.
pub const DATABASE_SOURCE: &str = "postgres";

/// Columns that the query must give, and those that it may.
pub(super) const REQUIRED: [&str; 3] = ["id", "owner", "state"];
pub(super) const OPTIONAL: [&str; 6] = ["address", "generation", "name", "share", "users", "groups"];
/// The word for a row that is no workspace any more.
const DELETED: &str = "deleted";
/// Rows that are held, looked at again by one statement.
const HELD_AT_ONCE: usize = 5000;

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
    pub(super) database: Database,
    pub(super) query: WorkspaceQuery,
    names: Names,
    pub(super) prepared: Option<Prepared>,
    /// Rows that were told of, with their part and what was wrong.
    told: BTreeMap<String, (i32, String)>,
    /// What was read last, part by part.
    parts: Parts,
    /// What is held where rows are read on demand.
    pub(super) held: Option<Held>,
    pub(super) freshness: Freshness,
}

/// Statements that give every row, those of some parts, one row by its id, a sum for each part, and rows by their ids or
/// owners.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    all: String,
    some: String,
    one: String,
    sums: String,
    asked: String,
}

/// Parts with their sums.
pub(super) type Sums = Vec<(i32, String)>;

/// Sums that the database has been asked for.
pub(super) type AskedSums = Pin<Box<dyn Future<Output = Result<Sums, DatabaseError>> + Send>>;

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
    part: Option<i32>,
}

impl DatabaseSource {
    /// The workspaces that `query` gives; nothing is asked yet.
    pub fn new(database: Database, query: WorkspaceQuery, names: Names) -> Self {
        Self {
            database,
            query,
            names,
            prepared: None,
            told: BTreeMap::new(),
            parts: Parts::default(),
            held: None,
            freshness: Freshness::default(),
        }
    }

    /// The same, of which rows are read when somebody asks for them; at most `most` are held.
    pub fn on_demand(database: Database, query: WorkspaceQuery, names: Names, most: usize) -> (Self, Demand) {
        let (held, demand) = Held::new(most);
        (Self { held: Some(held), ..Self::new(database, query, names) }, demand)
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
        let all = as_texts(&self.query.sql, &given, &wanted, &format!("{} AS part", parts::PART));
        let some = format!("{all} WHERE {} = ANY($1)", parts::PART);
        let one = format!("{all} WHERE q.id = $1");
        let sums = parts::sums(&self.query.sql);
        let asked = format!("{all} WHERE q.id = ANY($1) UNION {all} WHERE lower(q.owner::text) = ANY($2)");
        Ok(self.prepared.insert(Prepared { all, some, one, sums, asked }).clone())
    }

    /// Shared with [`DatabaseSource::follow`].
    pub fn freshness(&self) -> Freshness {
        self.freshness.clone()
    }

    /// Every workspace there is; none yet where they are read on demand.
    ///
    /// # Errors
    /// [`DatabaseError::Contract`] names the columns that are missing, [`DatabaseError::Sql`].
    pub async fn listing(&mut self) -> Result<Listing, DatabaseError> {
        let prepared = self.prepared().await?;
        if self.held.is_some() {
            self.asked(&Batch::default()).await?;
            return Ok(Listing { source: DATABASE_SOURCE.into(), workspaces: Vec::new(), own: None });
        }
        let sql = AssertSqlSafe(prepared.all);
        let rows: Vec<Row> = in_time(sqlx::query_as(sql).fetch_all(self.database.pool())).await?;
        self.freshness.touch();
        // Without sums: the next look compares with nothing, and finds whatever has changed until then.
        self.parts = Parts::default();
        let before = std::mem::take(&mut self.told);
        let workspaces = self.workspaces(rows, &before);
        Ok(Listing { source: DATABASE_SOURCE.into(), workspaces, own: None })
    }

    /// What is no longer as it was read last: only the parts whose sums differ are read. Where nothing was read yet that
    /// could be compared, these are all of them.
    ///
    /// # Errors
    /// As [`DatabaseSource::listing`].
    pub(super) async fn changes(&mut self) -> Result<Vec<Event>, DatabaseError> {
        if self.held.is_some() {
            return self.held_again().await;
        }
        let sums = self.ask_sums().await?.await?;
        self.changes_by(sums).await
    }

    /// Asks for a sum of each part. Rows may be looked at before the answer is there: their parts are read again whatever
    /// it says.
    pub(super) async fn ask_sums(&mut self) -> Result<AskedSums, DatabaseError> {
        let (prepared, seed) = (self.prepared().await?, self.parts.seed()?);
        let pool = self.database.pool().clone();
        Ok(Box::pin(async move {
            let asked = sqlx::query_as(AssertSqlSafe(prepared.sums)).bind(seed);
            in_time(asked.fetch_all(&pool)).await
        }))
    }

    /// What has changed by these sums.
    ///
    /// # Errors
    /// As [`DatabaseSource::listing`].
    pub(super) async fn changes_by(&mut self, sums: Sums) -> Result<Vec<Event>, DatabaseError> {
        self.freshness.touch();
        let prepared = self.prepared().await?;
        let changed = self.parts.changed(sums);
        if changed.is_empty() {
            return Ok(Vec::new());
        }
        let asked = sqlx::query_as(AssertSqlSafe(prepared.some)).bind(&changed);
        let rows: Vec<Row> = match in_time(asked.fetch_all(self.database.pool())).await {
            Ok(rows) => rows,
            Err(error) => {
                // They were not read after all.
                self.parts.forget_sums();
                return Err(error);
            }
        };
        let before: BTreeMap<_, _> = std::mem::take(&mut self.told);
        let (stale, kept) = before.into_iter().partition(|(_, (part, _))| changed.contains(part));
        self.told = kept;
        let known = self.parts.take(&changed);
        let workspaces = self.workspaces(rows, &stale);
        let gone = self.parts.gone(known, &changed).into_iter();
        let gone = gone.map(|key| Event::WorkspaceGone { key, source: DATABASE_SOURCE.into() });
        Ok(gone.chain(workspaces.into_iter().map(Event::Workspace)).collect())
    }

    /// What is asked for, and what had to be given up for it.
    ///
    /// # Errors
    /// As [`DatabaseSource::listing`].
    pub(super) async fn fetch(&mut self, batch: &Batch) -> Result<Vec<Event>, DatabaseError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let workspaces = self.asked(batch).await?;
        let found = workspaces.iter().map(|workspace| workspace.key.clone());
        let given_up = self.held.as_mut().map(|held| held.note(batch, found)).unwrap_or_default();
        Ok(workspaces.into_iter().map(Event::Workspace).chain(given_up).collect())
    }

    /// What is held, as it is now.
    async fn held_again(&mut self) -> Result<Vec<Event>, DatabaseError> {
        let keys = self.held.as_ref().map(Held::keys).unwrap_or_default();
        let mut events = Vec::with_capacity(keys.len());
        // Nothing held is a question too: whether anybody answers.
        let mut rest = &keys[..];
        loop {
            let (some, more) = rest.split_at(rest.len().min(HELD_AT_ONCE));
            let batch = Batch::of(some);
            let workspaces = self.asked(&batch).await?;
            let there: BTreeSet<&Arc<str>> = workspaces.iter().map(|workspace| &workspace.key).collect();
            let lost: Vec<Arc<str>> = some.iter().filter(|key| !there.contains(key)).cloned().collect();
            events.extend(self.held.as_mut().map(|held| held.lose(lost)).unwrap_or_default());
            events.extend(workspaces.into_iter().map(Event::Workspace));
            if more.is_empty() {
                return Ok(events);
            }
            rest = more;
        }
    }

    async fn asked(&mut self, batch: &Batch) -> Result<Vec<Arc<Workspace>>, DatabaseError> {
        let keys: Vec<&str> = batch.keys.iter().map(|key| &**key).collect();
        let owners: Vec<&str> = batch.owners.iter().map(|owner| &**owner).collect();
        let asked = sqlx::query_as(AssertSqlSafe(self.prepared().await?.asked)).bind(&keys).bind(&owners);
        let rows: Vec<Row> = in_time(asked.fetch_all(self.database.pool())).await?;
        self.freshness.touch();
        // Parts are of those who hold everything.
        self.parts = Parts::default();
        let before = self.told.clone();
        Ok(self.workspaces(rows, &before))
    }

    /// Rows as workspaces, without those that cannot be used; `before` has been told of already.
    fn workspaces(&mut self, rows: Vec<Row>, before: &BTreeMap<String, (i32, String)>) -> Vec<Arc<Workspace>> {
        let mut seen = BTreeSet::new();
        let mut workspaces = Vec::with_capacity(rows.len());
        for row in rows {
            let (id, part) = (row.id.clone().unwrap_or_default(), row.part.unwrap_or_default());
            let problem = match self.workspace(row) {
                Ok(Some(workspace)) if seen.insert(workspace.key.clone()) => {
                    self.parts.note(part, &workspace.key);
                    workspaces.push(Arc::new(workspace));
                    continue;
                }
                Ok(None) => continue,
                Ok(Some(_)) => "another row has the same id, but for case".to_owned(),
                Err(problem) => problem,
            };
            if before.get(&id).is_none_or(|(_, told)| *told != problem) {
                tracing::error!(event = "workspace-row", ws_id = %id, "the row is left out: {problem}");
            }
            self.told.insert(id, (part, problem));
        }
        workspaces
    }

    /// One workspace as it is now, as the event that makes it true.
    ///
    /// # Errors
    /// As [`DatabaseSource::listing`].
    pub async fn look_at(&mut self, id: &str) -> Result<Event, DatabaseError> {
        let sql = AssertSqlSafe(self.prepared().await?.one);
        let row: Option<Row> = in_time(sqlx::query_as(sql).bind(id).fetch_optional(self.database.pool())).await?;
        let key: Arc<str> = id.to_ascii_lowercase().into();
        // Its part was summed before this: were it changed back by the next look, the sum would not tell.
        match row.as_ref().and_then(|row| row.part) {
            Some(part) => self.parts.forget(part),
            None => self.parts.forget_part_of(&key),
        }
        let part = row.as_ref().and_then(|row| row.part).unwrap_or_default();
        Ok(match row.map(|row| self.workspace(row)) {
            Some(Ok(Some(workspace))) => {
                self.parts.note(part, &workspace.key);
                Event::Workspace(Arc::new(workspace))
            }
            // A look at its part says what is wrong with it.
            Some(Ok(None) | Err(_)) | None => Event::WorkspaceGone { key, source: DATABASE_SOURCE.into() },
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
}

/// Whom a row shares its workspace with.
fn grants(row: &Row) -> Result<Option<Box<Grants>>, String> {
    let level = row.share.as_deref().filter(|level| !level.is_empty()).map_or(Ok(Level::Owner), str::parse)?;
    let users: BTreeSet<String> = listed("users", row.users.as_deref())?;
    let users = users.iter().map(|user| user_id(user).map_err(|error| error.to_string())).collect::<Result<_, _>>()?;
    let grants = Grants { level, users, groups: listed("groups", row.groups.as_deref())? };
    Ok((grants != Grants::default()).then(|| Box::new(grants)))
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
