//! The control plane beside which the gateway runs: its database, its sessions, who is told of use.
//!
//! Nothing of any control plane is written here: what a preset fills in is a file like the operator's own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use portway_control::sessions::Pointers;
use portway_core::cookie::{ControlCookie, CookieShape};
use portway_sources::{
    ActivityPlace, ActivityQuery, ActivitySettings, AddressTemplate, ApiServer, Database, DatabaseError, RedisServer,
    RedisSet, Webhook, WorkspaceQuery, database_check,
};

use super::file::{self, Raw};
use super::keys::{self, Key, Kind};
use super::problem::{Complaint, Place};
use super::read::{self, Reader};
use super::values::{self, Upstream, resolve};
use super::wake::{Wake, wake};

/// The presets by name.
const PRESETS: [(&str, &str); 1] = [("code-hub", include_str!("code-hub.toml"))];

/// Everything about the control plane; nothing of it under the embedded default.
#[derive(Clone, Debug)]
pub(crate) struct ControlPlane {
    pub(crate) postgres: Option<Postgres>,
    pub(crate) workspaces: Option<WorkspaceQuery>,
    /// The most workspaces that are held, where they are read on demand.
    pub(crate) held: Option<usize>,
    pub(crate) sessions: Option<Sessions>,
    pub(crate) upstream: Option<Upstream>,
    pub(crate) wake: Option<Wake>,
    pub(crate) activity: Option<ActivitySettings>,
    /// How long what was said last is believed.
    pub(crate) stale: Duration,
}

/// The database.
#[derive(Clone)]
pub(crate) struct Postgres {
    pub(crate) url: String,
    pub(crate) connections: u32,
    /// Whether to serve what fits where a query does not.
    pub(crate) serve_on_mismatch: bool,
    /// The schema of Portway's own state, where it is kept there.
    pub(crate) schema: Option<String>,
    /// Where the database was named.
    pub(crate) place: Place,
}

/// Who is logged in.
#[derive(Clone)]
pub(crate) struct Sessions {
    pub(crate) way: Way,
    pub(crate) cookie: ControlCookie,
    pub(crate) login_page: String,
    pub(crate) return_parameter: Option<String>,
    pub(crate) check: Duration,
    check_place: Place,
    /// The key's file; `None` for the one in the data folder.
    pub(crate) key_file: Option<PathBuf>,
}

impl Sessions {
    /// Compares the cookie's shape with the database; how many sessions were compared, if any could be.
    ///
    /// # Errors
    /// The key and what is wrong.
    pub(crate) async fn check_cookie(&self) -> Result<Option<i64>, (&'static str, DatabaseError)> {
        let Way::Query { url, cookie_sample: Some(sample), .. } = &self.way else { return Ok(None) };
        let CookieShape::Text(length) = self.cookie.shape else { return Ok(None) };
        let compared = match Database::new(url, 1) {
            Ok(database) => database_check::cookie(&database, sample, length).await,
            Err(error) => Err(error),
        };
        match compared {
            Ok(count) => Ok(Some(count)),
            // Of the statement itself; the other is of what it gave.
            Err(error @ DatabaseError::Sql(_)) => Err(("sessions.cookie_sample", error)),
            Err(error) => Err(("sessions.cookie_length", error)),
        }
    }
}

/// How sessions are looked up.
#[derive(Clone)]
pub(crate) enum Way {
    Query { url: String, sql: String, cookie_sample: Option<String> },
    Api { path: String, answer: Pointers },
    Jwt { keys: Keys, claims: Pointers, issuer: Option<String>, audience: Option<String> },
}

/// Where the keys of signed sessions are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    /// A path of the API server.
    Path(String),
    File(PathBuf),
}

// Addresses of databases hold passwords.
impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").field("connections", &self.connections).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("cookie", &self.cookie).finish_non_exhaustive()
    }
}

/// Puts the preset that is named, if any, below what was given.
pub(super) fn take_preset(r: &mut Reader) {
    let Some(name) = r.read(&keys::PRESET, read::parsed(words)) else { return };
    let Some((known, text)) = PRESETS.iter().find(|(known, _)| *known == name.value) else {
        let names = PRESETS.map(|(known, _)| format!("\"{known}\"")).join(", ");
        let complaint = Complaint::new(format!("there is no preset \"{}\"", name.value)).hint(format!("use {names}"));
        return r.complain(complaint, &name.place, &keys::PRESET);
    };
    let mut problems = Vec::new();
    let written = file::read(Path::new(&format!("preset {known}")), text, &mut problems);
    r.problems.extend(problems);
    r.below(written.entries);
}

/// Reads it all.
pub(super) fn read_all(r: &mut Reader, folder: &Path) -> Option<ControlPlane> {
    let postgres = postgres(r)?;
    let workspaces = workspaces(r, postgres.as_ref())?;
    let held = held(r)?;
    let upstream = r.read(&keys::CONTROL_UPSTREAM, upstream);
    let sessions = sessions(r, postgres.as_ref(), upstream.is_some(), folder)?;
    let wake = wake(r, postgres.as_ref(), upstream.is_some())?;
    let upstream = upstream.map(|it| it.value);
    let activity = activity(r, postgres.as_ref(), upstream.as_ref())?;
    let stale = r.read(&keys::POSTGRES_STALE, read::duration(Duration::from_secs(2), Duration::from_secs(3600)))?;
    check_pace(r, sessions.as_ref(), &stale.value);
    let stale = stale.value;
    Some(ControlPlane { postgres, workspaces, held, sessions, upstream, wake, activity, stale })
}

/// What is looked up less often than it is believed would be refused again and again.
fn check_pace(r: &mut Reader, sessions: Option<&Sessions>, stale: &Duration) {
    let Some(sessions) = sessions.filter(|sessions| sessions.check * 2 > *stale) else { return };
    let hint = format!("write postgres.stale = \"{}s\" or more", sessions.check.as_secs().max(1) * 2);
    let complaint =
        Complaint::new("must be half of `postgres.stale` at most, for which an answer is believed").hint(hint);
    r.complain(complaint, &sessions.check_place, &keys::SESSIONS_CHECK);
}

fn postgres(r: &mut Reader) -> Option<Option<Postgres>> {
    let url = r.read(&keys::POSTGRES_URL, database_url);
    let connections = r.read(&keys::POSTGRES_CONNECTIONS, read::integer(2, 1000))?;
    let mismatch = r.read(&keys::POSTGRES_MISMATCH, read::parsed(mismatch))?;
    let schema = r.read(&keys::POSTGRES_SCHEMA, read::parsed(portway_sources::schema_name));
    if let (None, Some(schema)) = (&url, &schema) {
        needs_postgres(r, &schema.place, &keys::POSTGRES_SCHEMA);
    }
    Some(url.map(|url| Postgres {
        url: url.value,
        place: url.place,
        connections: u32::try_from(connections.value).unwrap_or(5),
        serve_on_mismatch: mismatch.value,
        schema: schema.map(|schema| schema.value),
    }))
}

fn workspaces(r: &mut Reader, postgres: Option<&Postgres>) -> Option<Option<WorkspaceQuery>> {
    let sql = r.read(&keys::WORKSPACES_QUERY, read::parsed(words));
    let address = r.read(&keys::WORKSPACES_ADDRESS, read::parsed(AddressTemplate::new));
    let channels = r.read(&keys::WORKSPACES_CHANNELS, read::list(Kind::Texts, read::parsed(channel)))?;
    let poll = r.read(&keys::WORKSPACES_POLL, read::duration(Duration::from_millis(100), Duration::from_secs(3600)))?;
    let Some(sql) = sql else { return Some(None) };
    if postgres.is_none() {
        needs_postgres(r, &sql.place, &keys::WORKSPACES_QUERY);
    }
    let address = address.map(|address| address.value);
    Some(Some(WorkspaceQuery { sql: sql.value, channels: channels.value, poll: poll.value, address }))
}

/// How many workspaces are held; `None` for all.
fn held(r: &mut Reader) -> Option<Option<usize>> {
    let on_demand = r.read(&keys::WORKSPACES_LOAD, read::parsed(load))?.value;
    let held = r.read(&keys::WORKSPACES_HELD, read::integer(1, 10_000_000))?.value;
    Some(on_demand.then(|| usize::try_from(held).unwrap_or(usize::MAX)))
}

fn sessions(
    r: &mut Reader,
    postgres: Option<&Postgres>,
    has_upstream: bool,
    folder: &Path,
) -> Option<Option<Sessions>> {
    let name = r.read(&keys::SESSIONS_COOKIE, read::parsed(cookie_name));
    let length = r.read(&keys::SESSIONS_COOKIE_LENGTH, read::integer(16, 4096));
    let login_page = r.read(&keys::SESSIONS_LOGIN_PAGE, read::parsed(login_page))?;
    let parameter = r.read(&keys::SESSIONS_RETURN_PARAMETER, read::parsed(parameter));
    let check = r.read(&keys::SESSIONS_CHECK, read::duration(Duration::from_millis(100), Duration::from_secs(60)))?;
    let key_file = r.read(&keys::SESSIONS_KEY_FILE, read::text);
    let Some((way, place)) = way(r, postgres, has_upstream, folder)? else { return Some(None) };
    let shape = match way {
        Way::Jwt { .. } => Some(CookieShape::Jwt),
        Way::Query { .. } | Way::Api { .. } => {
            length.and_then(|length| usize::try_from(length.value).ok()).map(CookieShape::Text)
        }
    };
    for (key, given) in [(&keys::SESSIONS_COOKIE, name.is_some()), (&keys::SESSIONS_COOKIE_LENGTH, shape.is_some())] {
        if !given {
            r.missing(&place, key);
        }
    }
    let cookie = ControlCookie {
        name: name.map(|name| name.value).unwrap_or_default(),
        shape: shape.unwrap_or(CookieShape::Text(0)),
    };
    Some(Some(Sessions {
        way,
        cookie,
        login_page: login_page.value,
        return_parameter: parameter.map(|parameter| parameter.value),
        check: check.value,
        check_place: check.place,
        key_file: key_file.map(|file| resolve(folder, &file.value, &file.place)),
    }))
}

/// By keys where they are given, else by the API, else by the query; and where it was given.
fn way(r: &mut Reader, postgres: Option<&Postgres>, has_upstream: bool, folder: &Path) -> Option<Option<(Way, Place)>> {
    let query = r.read(&keys::SESSIONS_QUERY, read::parsed(words));
    let url = r.read(&keys::SESSIONS_URL, database_url);
    let api = r.read(&keys::SESSIONS_API, read::parsed(api_path));
    let user = r.read(&keys::SESSIONS_API_USER, read::parsed(pointer))?.value;
    let name = r.read(&keys::SESSIONS_API_NAME, read::parsed(pointer)).map(|name| name.value);
    let groups = r.read(&keys::SESSIONS_API_GROUPS, read::parsed(pointer)).map(|groups| groups.value);
    let sample = r.read(&keys::SESSIONS_COOKIE_SAMPLE, read::parsed(words));
    let jwt = jwt(r, has_upstream, folder)?;
    if let Some(sample) = sample.as_ref().filter(|_| r.is_given(&keys::SESSIONS_COOKIE_SAMPLE))
        && (jwt.is_some() || api.is_some() || query.is_none())
    {
        let complaint = Complaint::new("has no meaning without `sessions.query`").hint("remove it");
        r.complain(complaint, &sample.place, &keys::SESSIONS_COOKIE_SAMPLE);
    }
    if let Some(jwt) = jwt {
        return Some(Some(jwt));
    }
    if let Some(api) = api {
        if !has_upstream {
            without_upstream(r, &api.place, &keys::SESSIONS_API);
        }
        return Some(Some((Way::Api { path: api.value, answer: Pointers { user, name, groups } }, api.place)));
    }
    let Some(query) = query else { return Some(None) };
    let cookie_sample = sample.map(|sample| sample.value);
    let url = match (url, postgres) {
        (Some(url), _) => url.value,
        (None, Some(postgres)) => postgres.url.clone(),
        (None, None) => {
            needs_postgres(r, &query.place, &keys::SESSIONS_QUERY);
            String::new()
        }
    };
    Some(Some((Way::Query { url, sql: query.value, cookie_sample }, query.place)))
}

fn jwt(r: &mut Reader, has_upstream: bool, folder: &Path) -> Option<Option<(Way, Place)>> {
    let path = r.read(&keys::SESSIONS_JWKS, read::parsed(api_path));
    let file = r.read(&keys::SESSIONS_JWKS_FILE, read::text);
    let issuer = r.read(&keys::SESSIONS_JWT_ISSUER, read::parsed(words)).map(|issuer| issuer.value);
    let audience = r.read(&keys::SESSIONS_JWT_AUDIENCE, read::parsed(words)).map(|audience| audience.value);
    let user = r.read(&keys::SESSIONS_JWT_USER, read::parsed(pointer))?.value;
    let name = r.read(&keys::SESSIONS_JWT_NAME, read::parsed(pointer)).map(|name| name.value);
    let groups = r.read(&keys::SESSIONS_JWT_GROUPS, read::parsed(pointer)).map(|groups| groups.value);
    let (keys, place) = match (path, file) {
        (None, None) => return Some(None),
        (Some(path), None) => {
            if !has_upstream {
                without_upstream(r, &path.place, &keys::SESSIONS_JWKS);
            }
            (Keys::Path(path.value), path.place)
        }
        (None, Some(file)) => (Keys::File(resolve(folder, &file.value, &file.place)), file.place),
        (Some(_), Some(file)) => {
            let complaint = Complaint::new("and `sessions.jwks` are both given").hint("remove one of them");
            r.complain(complaint, &file.place, &keys::SESSIONS_JWKS_FILE);
            return None;
        }
    };
    Some(Some((Way::Jwt { keys, claims: Pointers { user, name, groups }, issuer, audience }, place)))
}

fn activity(
    r: &mut Reader,
    postgres: Option<&Postgres>,
    upstream: Option<&Upstream>,
) -> Option<Option<ActivitySettings>> {
    let server = r.read(&keys::REDIS_URL, read::parsed(str::parse::<RedisServer>));
    let key = r.read(&keys::ACTIVITY_REDIS_KEY, read::parsed(words));
    let flush = r.read(&keys::ACTIVITY_FLUSH, read::duration(Duration::from_millis(100), Duration::from_secs(600)))?;
    let background =
        r.read(&keys::ACTIVITY_BACKGROUND, read::duration(Duration::from_secs(1), Duration::from_secs(86_400)))?;
    if let (Some(server), None) = (&server, &key) {
        r.missing(&server.place, &keys::ACTIVITY_REDIS_KEY);
    }
    let (query, hook) = (activity_query(r, postgres)?, webhook(r, upstream)?);
    let place = match (query, hook, server, key) {
        (Some(_), Some((_, place)), _, _) => {
            let complaint = Complaint::new("and `activity.query` are both given").hint("remove one of them");
            r.complain(complaint, &place, &keys::ACTIVITY_WEBHOOK);
            return None;
        }
        (Some(query), None, _, _) => ActivityPlace::Query(query),
        (None, Some((hook, _)), _, _) => ActivityPlace::Webhook(hook),
        (None, None, Some(server), Some(key)) => ActivityPlace::Redis(RedisSet::new(server.value, key.value)),
        (None, None, _, _) => return Some(None),
    };
    Some(Some(ActivitySettings { place, flush: flush.value, background: background.value.as_secs() }))
}

/// The path that is told of use, and where it was given.
fn webhook(r: &mut Reader, upstream: Option<&Upstream>) -> Option<Option<(Webhook, Place)>> {
    let path = r.read(&keys::ACTIVITY_WEBHOOK, read::parsed(api_path));
    let token = r.read(&keys::ACTIVITY_WEBHOOK_TOKEN, read::parsed(secret));
    let Some(path) = path else { return Some(None) };
    let Some(Upstream { host, port, .. }) = upstream else {
        without_upstream(r, &path.place, &keys::ACTIVITY_WEBHOOK);
        return None;
    };
    let server = ApiServer { host: host.clone(), port: *port };
    Some(Some((Webhook { server, path: path.value, token: token.map(|token| token.value) }, path.place)))
}

/// What an HTTP field can carry. It is never repeated.
fn secret(text: &str) -> Result<String, String> {
    if !text.is_empty() && text.bytes().all(|b| matches!(b, 0x21..=0x7e)) {
        return Ok(text.to_owned());
    }
    Err("is not a secret of visible ASCII characters without spaces".to_owned())
}

/// The statement that is told of use; stronger than a preset's set in Redis.
fn activity_query(r: &mut Reader, postgres: Option<&Postgres>) -> Option<Option<ActivityQuery>> {
    let sql = r.read(&keys::ACTIVITY_QUERY, read::parsed(words));
    let url = r.read(&keys::ACTIVITY_URL, database_url).map(|url| url.value);
    let Some(sql) = sql else { return Some(None) };
    let Some(url) = url.or_else(|| postgres.map(|postgres| postgres.url.clone())) else {
        needs_postgres(r, &sql.place, &keys::ACTIVITY_QUERY);
        return None;
    };
    match ActivityQuery::new(url, sql.value) {
        Ok(query) => Some(Some(query)),
        Err(why) => {
            r.complain(Complaint::new(why), &sql.place, &keys::ACTIVITY_QUERY);
            None
        }
    }
}

pub(super) fn without_upstream(r: &mut Reader, place: &Place, key: &Key) {
    let complaint = Complaint::new("has no meaning without `control_upstream`")
        .hint("write control_upstream = \"http://control-plane:8000\" at the top");
    r.complain(complaint, place, key);
}

pub(super) fn needs_postgres(r: &mut Reader, place: &Place, key: &Key) {
    let complaint =
        Complaint::new("needs a database").hint("write `url = …` under [postgres], or set PORTWAY_POSTGRES_URL");
    r.complain(complaint, place, key);
}

pub(super) fn database_url(raw: &Raw) -> Result<String, Complaint> {
    let text = read::text(raw)?;
    // Never the text itself: it may hold a password.
    match Database::check_url(&text) {
        Ok(()) => Ok(text),
        Err(error) => Err(Complaint::new(error.to_string())),
    }
}

/// Text that a person wrote: several lines of it perhaps, but nothing that cannot be seen.
pub(super) fn words(text: &str) -> Result<String, String> {
    let seen = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    if !text.trim().is_empty() && text.chars().all(seen) {
        return Ok(text.to_owned());
    }
    Err("is empty or holds characters that cannot be seen".to_owned())
}

/// A token of RFC 9110 5.6.2, as far as cookies are named by people.
fn cookie_name(text: &str) -> Result<String, String> {
    let good = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    if good { Ok(text.to_owned()) } else { Err(format!("`{}` is not the name of a cookie", text.escape_debug())) }
}

pub(super) fn json(text: &str) -> Result<String, String> {
    if text.is_empty() || serde_json::from_str::<serde_json::Value>(text).is_ok() {
        return Ok(text.to_owned());
    }
    Err("is not JSON; write it in single quotes, such as '{\"desired_state\": \"RUNNING\"}'".to_owned())
}

/// A path of an HTTP server, without a space or anything that cannot be seen.
pub(super) fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|b| matches!(b, 0x21..=0x7e))
}

fn api_path(text: &str) -> Result<String, String> {
    if is_path(text) {
        return Ok(text.to_owned());
    }
    Err(format!("`{}` is not a path, such as /api/v1/session", text.escape_debug()))
}

/// RFC 6901.
fn pointer(text: &str) -> Result<String, String> {
    if text.starts_with('/') && !text.contains(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(format!("`{}` is not a JSON pointer, such as /id or /user/id", text.escape_debug()))
}

fn load(text: &str) -> Result<bool, String> {
    match text {
        "all" => Ok(false),
        "demand" => Ok(true),
        other => Err(format!("must be one of all, demand, not \"{other}\"")),
    }
}

fn mismatch(text: &str) -> Result<bool, String> {
    match text {
        "refuse" => Ok(false),
        "serve" => Ok(true),
        other => Err(format!("must be one of refuse, serve, not \"{other}\"")),
    }
}

/// PostgreSQL's own limit of an identifier.
fn channel(text: &str) -> Result<String, String> {
    if (1..=63).contains(&text.len()) && !text.contains(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is not a channel: use 1 to 63 bytes"))
    }
}

/// A page that people are sent to: a path of the control host, or a URL.
pub(super) fn login_page(text: &str) -> Result<String, String> {
    let plain = text.bytes().all(|b| matches!(b, 0x21..=0x7e) && !b"\\\"<>".contains(&b));
    let path = text.starts_with('/') && !text.starts_with("//");
    if plain && (path || text.starts_with("https://")) {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` is not a page: write a path such as /login, or a URL that begins with https://"))
}

fn parameter(text: &str) -> Result<String, String> {
    let good = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    if good {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is not a parameter: use letters, digits, `_` and `-`"))
    }
}

fn upstream(raw: &Raw) -> Result<Upstream, Complaint> {
    values::server(raw, "an API server", 80)
}
