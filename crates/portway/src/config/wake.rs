//! How workspaces are woken and stopped, by whom and how often.

use std::time::Duration;

use portway_proxy::settings::WakeBy;
use portway_sources::{Database, DatabaseError, StateStatement};

use super::control_plane::{Postgres, database_url, is_path, json, needs_postgres, without_upstream, words};
use super::file::Raw;
use super::keys::{self, Kind};
use super::problem::{Complaint, Place};
use super::read::{self, Reader};

/// Waking, where something is woken.
#[derive(Clone, Debug)]
pub(crate) struct Wake {
    pub(crate) way: WakeWay,
    /// Who wakes, besides owners.
    pub(crate) by: WakeBy,
    /// Wakes an hour of one person, and of one workspace.
    pub(crate) budget: usize,
    pub(crate) hold: Duration,
}

/// How the control plane is asked.
#[derive(Clone, Debug)]
pub(crate) enum WakeWay {
    Api { method: String, path: String, body: String, stop_body: Option<String> },
    Query(Statements),
}

/// Statements, and the database that they are for.
#[derive(Clone)]
pub(crate) struct Statements {
    pub(crate) url: String,
    pub(crate) start: String,
    pub(crate) stop: Option<String>,
}

// The address may hold a password.
impl std::fmt::Debug for Statements {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Statements").field("start", &self.start).field("stop", &self.stop).finish_non_exhaustive()
    }
}

impl Statements {
    /// Ready to be run, the one that starts and the one that stops; nothing is asked yet.
    ///
    /// # Errors
    /// [`DatabaseError::Url`].
    pub(crate) fn open(&self) -> Result<(StateStatement, Option<StateStatement>), DatabaseError> {
        let database = Database::new(&self.url, 1)?;
        let made = |sql: &String| StateStatement::new(database.clone(), sql.clone());
        Ok((made(&self.start), self.stop.as_ref().map(made)))
    }
}

impl Wake {
    /// Compares statements with the database, and gives the key of what does not fit; the API is asked when somebody comes.
    ///
    /// # Errors
    /// The key and what is wrong.
    pub(crate) async fn check(&self) -> Result<(), (&'static str, DatabaseError)> {
        let WakeWay::Query(statements) = &self.way else { return Ok(()) };
        let (start, stop) = statements.open().map_err(|error| ("wake.url", error))?;
        start.check("the wake query").await.map_err(|error| ("wake.query", error))?;
        match stop {
            Some(stop) => stop.check("the stop query").await.map_err(|error| ("wake.stop_query", error)),
            None => Ok(()),
        }
    }
}

/// Reads it all.
pub(super) fn wake(r: &mut Reader, postgres: Option<&Postgres>, has_upstream: bool) -> Option<Option<Wake>> {
    let way = match statements(r, postgres)? {
        Some(statements) => Some(statements),
        None => request(r, has_upstream)?,
    };
    let by = r.read(&keys::WAKE_BY, read::list(Kind::Texts, read::parsed(who)))?;
    let budget = r.read(&keys::WAKE_BUDGET, read::integer(1, 10_000))?.value;
    let hold = r.read(&keys::WAKE_HOLD, read::duration(Duration::ZERO, Duration::from_secs(600)))?.value;
    let named = |who| by.value.contains(&who);
    if named(Who::Token) && matches!(way, Some(WakeWay::Api { .. })) {
        let complaint = Complaint::new("\"token\" needs `wake.query`: a token has no session of the control plane's")
            .hint("leave \"token\" out, or write wake.query");
        r.complain(complaint, &by.place, &keys::WAKE_BY);
    }
    let by = WakeBy { shared: named(Who::Shared), token: named(Who::Token) };
    Some(way.map(|way| Wake { way, by, budget: usize::try_from(budget).unwrap_or(usize::MAX), hold }))
}

/// By the API, with the visitor's session.
fn request(r: &mut Reader, has_upstream: bool) -> Option<Option<WakeWay>> {
    let path = r.read(&keys::WAKE_PATH, read::parsed(wake_path));
    let method = r.read(&keys::WAKE_METHOD, read::parsed(method))?.value;
    let body = r.read(&keys::WAKE_BODY, read::parsed(json))?.value;
    let stop_body = r.read(&keys::WAKE_STOP_BODY, read::parsed(json)).map(|body| body.value);
    if !has_upstream && r.is_given(&keys::WAKE_PATH) {
        without_upstream(r, &Place::Default, &keys::WAKE_PATH);
    }
    let path = path.filter(|_| has_upstream);
    Some(path.map(|path| WakeWay::Api { method, path: path.value, body, stop_body }))
}

/// By statements, which are stronger than a preset's path.
fn statements(r: &mut Reader, postgres: Option<&Postgres>) -> Option<Option<WakeWay>> {
    let start = r.read(&keys::WAKE_QUERY, statement);
    let stop = r.read(&keys::WAKE_STOP_QUERY, statement);
    let url = r.read(&keys::WAKE_URL, database_url).map(|url| url.value);
    let Some(start) = start else {
        if let Some(stop) = stop {
            r.missing(&stop.place, &keys::WAKE_QUERY);
        }
        return Some(None);
    };
    let Some(url) = url.or_else(|| postgres.map(|postgres| postgres.url.clone())) else {
        needs_postgres(r, &start.place, &keys::WAKE_QUERY);
        return None;
    };
    let stop = stop.map(|stop| stop.value);
    Some(Some(WakeWay::Query(Statements { url, start: start.value, stop })))
}

fn statement(raw: &Raw) -> Result<String, Complaint> {
    let sql = read::parsed(words)(raw)?;
    if sql.contains("$1") {
        return Ok(sql);
    }
    Err(Complaint::new("does not use $1, the id of the workspace (text)"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Owner,
    Shared,
    Token,
}

fn who(text: &str) -> Result<Who, String> {
    match text {
        "owner" => Ok(Who::Owner),
        "shared" => Ok(Who::Shared),
        "token" => Ok(Who::Token),
        other => Err(format!("must be one of owner, shared, token, not \"{other}\"")),
    }
}

fn method(text: &str) -> Result<String, String> {
    match text {
        "PATCH" | "POST" | "PUT" => Ok(text.to_owned()),
        other => Err(format!("must be one of PATCH, POST, PUT, not \"{other}\"")),
    }
}

fn wake_path(text: &str) -> Result<String, String> {
    if is_path(text) && text.contains("{workspace}") {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` is not a path with `{{workspace}}` in it, such as /api/v1/workspaces/{{workspace}}"))
}
