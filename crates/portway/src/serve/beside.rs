//! Beside a control plane: its workspaces, its logins, its way of waking, put together from the settings.
//!
//! What is stale is decided here: a source that has been silent for longer than it is believed opens nothing (R70).

use std::fmt::Display;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portway_control::Plane;
use portway_control::external::External;
use portway_control::jwt::{JwtSessions, KeySource};
use portway_control::lifecycle::{ApiLifecycle, Lifecycle};
use portway_control::seal::{KEY_LEN, SealKey};
use portway_control::sessions::{ApiSessions, Sessions};
use portway_control::wake::Waker;
use portway_core::access::Front;
use portway_core::host::Names;
use portway_core::snapshot::Event;
use portway_sources::{
    ApiServer, ChangeTook, DATABASE_SOURCE, Database, DatabaseSource, Demand, FILE_SOURCE, Freshness, Publisher,
    STORE_SOURCE, SessionSource, Store, StoreError, Used,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::ops::Readiness;
use crate::config::Settings;
use crate::config::control_plane::{Keys, Sessions as Logins, Way};
use crate::config::wake::WakeWay;
use crate::output::Failure;

const NO_UPSTREAM: &str = "there is no `control_upstream`";
/// The key under which sessions of the control plane are sealed, in the data folder.
const KEY: &str = "seal.key";

/// Where sessions are looked up, and the key that says so.
fn look_ups(settings: &Settings, sessions: &Logins, connections: u32) -> Result<(Sessions, &'static str), Failure> {
    let told = |key: &str, error: String| Failure::failed(format!("{key}: {error}"));
    match &sessions.way {
        Way::Query { url, sql, .. } => {
            let key = "sessions.query";
            let source =
                SessionSource::new(database(url, connections)?, sql).map_err(|error| told(key, error.to_string()))?;
            Ok((Sessions::Query(source), key))
        }
        Way::Jwt { keys, claims, issuer, audience } => {
            let (source, key) = match keys {
                Keys::Path(path) => {
                    let key = "sessions.jwks";
                    let server = api_server(settings).ok_or_else(|| told(key, NO_UPSTREAM.to_owned()))?;
                    (KeySource::Server(server, path.clone()), key)
                }
                Keys::File(path) => (KeySource::File(path.clone()), "sessions.jwks_file"),
            };
            let jwt = JwtSessions::new(source, claims.clone(), issuer.clone(), audience.clone());
            Ok((Sessions::Jwt(jwt), key))
        }
        Way::Api { path, answer } => {
            let key = "sessions.api";
            let server = api_server(settings).ok_or_else(|| told(key, NO_UPSTREAM.to_owned()))?;
            let api = ApiSessions {
                server,
                path: path.clone(),
                cookie: sessions.cookie.name.clone(),
                answer: answer.clone(),
                lifetime_s: settings.login_lifetime.as_secs(),
            };
            Ok((Sessions::Api(api), key))
        }
    }
}

/// That something does not fit the database, and what to do about it.
fn mismatch(place: impl Display, error: &impl Display) -> Failure {
    Failure::failed(format!("{place}: {error}")).hint(
        "`portway check` compares the configuration with the database; postgres.mismatch = \"serve\" starts all the same",
    )
}

fn api_server(settings: &Settings) -> Option<ApiServer> {
    let upstream = settings.control_plane.upstream.as_ref()?;
    Some(ApiServer { host: upstream.host.clone(), port: upstream.port })
}

/// What stands beside, before anything is served.
pub(super) struct Beside {
    source: Option<DatabaseSource>,
    demand: Option<Demand>,
    pub(super) external: Option<External>,
    /// How long silence is believed, and whose.
    stale: Duration,
    check: Duration,
    freshness: Vec<Freshness>,
    sessions_freshness: Freshness,
    /// Of Portway's own state.
    pub(super) store_freshness: Freshness,
    /// Other gateways share that state.
    shared: bool,
}

impl Beside {
    /// Reads the workspaces for the first time. A database that is away is waited for while serving; one that does not fit
    /// is refused, unless the settings say otherwise.
    ///
    /// # Errors
    /// What does not fit, with where it was configured.
    pub(super) async fn prepare(
        settings: &Settings,
        names: &Names,
        store: &Store,
        publisher: &Publisher,
    ) -> Result<Self, Failure> {
        let plane = &settings.control_plane;
        let mut beside = Self {
            source: None,
            demand: None,
            external: None,
            stale: plane.stale,
            check: Duration::MAX,
            freshness: Vec::new(),
            sessions_freshness: Freshness::default(),
            store_freshness: Freshness::default(),
            shared: settings.store().is_shared(),
        };
        if beside.shared {
            // It has just been opened.
            beside.store_freshness.touch();
            beside.freshness.push(beside.store_freshness.clone());
        }
        let (connections, lenient) =
            plane.postgres.as_ref().map_or((5, false), |it| (it.connections, it.serve_on_mismatch));
        if let (Some(postgres), Some(query)) = (&plane.postgres, &plane.workspaces) {
            let database = database(&postgres.url, connections)?;
            let mut source = match plane.held {
                None => DatabaseSource::new(database, query.clone(), names.clone()),
                Some(most) => {
                    let (source, demand) = DatabaseSource::on_demand(database, query.clone(), names.clone(), most);
                    beside.demand = Some(demand);
                    source
                }
            };
            match source.listing().await {
                Ok(listing) => {
                    for conflict in publisher.replace(listing).await {
                        tracing::error!(event = "conflict", "{conflict}");
                    }
                }
                Err(error) if error.is_passing() || lenient => {
                    tracing::error!(event = "source-down", source = DATABASE_SOURCE, %error, "served without its workspaces until it answers");
                }
                Err(error) => return Err(mismatch(&postgres.place, &error)),
            }
            beside.freshness.push(source.freshness());
            beside.source = Some(source);
        }
        if let Some(sessions) = &plane.sessions {
            let (source, setting) = look_ups(settings, sessions, connections)?;
            match source.hold(&[]).await {
                Ok(_) => beside.sessions_freshness.touch(),
                Err(error) if error.is_passing() || lenient => {
                    tracing::error!(event = "sessions-down", %error, "nobody can log in until they can be read");
                }
                Err(error) => return Err(mismatch(setting, &error)),
            }
            match sessions.check_cookie().await {
                Ok(_) => {}
                Err((key, error)) if error.is_passing() || lenient => {
                    tracing::error!(event = "cookie", "{key}: {error}");
                }
                Err((key, error)) => return Err(mismatch(key, &error)),
            }
            let page = &sessions.login_page;
            let page = if page.starts_with('/') { format!("{}{page}", names.control.origin()) } else { page.clone() };
            beside.check = sessions.check;
            beside.external = Some(External {
                sessions: source,
                cookie: sessions.cookie.clone(),
                login_page: page,
                return_parameter: sessions.return_parameter.clone(),
                key: Arc::new(key(&settings.data, sessions.key_file.as_deref(), store).await?),
            });
        }
        if let Some(wake) = &plane.wake {
            match wake.check().await {
                Ok(()) => {}
                Err((_, error)) if error.is_passing() || lenient => {
                    tracing::error!(event = "wake-down", %error, "workspaces are woken once it fits");
                }
                Err((key, error)) => return Err(mismatch(key, &error)),
            }
        }
        Ok(beside)
    }

    /// What the control plane does for the control host.
    ///
    /// # Errors
    /// That the address of a database cannot be read.
    pub(super) fn plane(&self, settings: &Settings, store: &Store) -> Result<Plane, Failure> {
        let waker = match &settings.control_plane.wake {
            Some(wake) => self
                .lifecycle(settings, &wake.way)?
                .map(|lifecycle| Waker::new(lifecycle, self.external.clone(), store.clone(), wake.budget)),
            None => None,
        };
        Ok(Plane { external: self.external.clone(), waker, demand: self.demand.clone() })
    }

    /// How workspaces are started and stopped; `None` by an API whose sessions people do not have here.
    fn lifecycle(&self, settings: &Settings, way: &WakeWay) -> Result<Option<Lifecycle>, Failure> {
        let (method, path, body, stop_body) = match way {
            WakeWay::Query(statements) => {
                let (start, stop) = statements.open().map_err(|error| Failure::failed(error.to_string()))?;
                return Ok(Some(Lifecycle::Statements { start, stop }));
            }
            WakeWay::Api { method, path, body, stop_body } => (method, path, body, stop_body),
        };
        let (Some(server), Some(external)) = (api_server(settings), &self.external) else { return Ok(None) };
        Ok(Some(Lifecycle::Api(ApiLifecycle {
            server,
            method: method.clone(),
            path: path.clone(),
            start_body: body.clone(),
            stop_body: stop_body.clone(),
            cookie: external.cookie.name.clone(),
            trace_field: settings.trace_field.clone(),
        })))
    }

    /// Keeps up with the control plane from now on, and readiness with its freshness.
    pub(super) fn follow(mut self, store: &Store, publisher: &Publisher, ready: &Readiness) {
        let everything = self.external.is_some() || self.shared;
        if let Some(external) = self.external.take() {
            let freshness = self.sessions_freshness.clone();
            self.freshness.push(freshness.clone());
            tokio::spawn(external.follow(store.clone(), publisher.clone(), self.check, freshness));
        }
        if let Some(source) = self.source.take() {
            tokio::spawn(source.follow(publisher.clone(), measure_changes()));
        }
        if !self.freshness.is_empty() {
            // Without logins or shares nobody can be told from anybody, whatever workspace it is.
            let sources: &[&str] =
                if everything { &[DATABASE_SOURCE, STORE_SOURCE, FILE_SOURCE] } else { &[DATABASE_SOURCE] };
            tokio::spawn(watch_age(self.freshness, self.stale, sources, publisher.clone(), ready.clone()));
        }
    }
}

/// Where the times of changes that were notified go.
fn measure_changes() -> impl Fn(ChangeTook) + Send + Sync + 'static {
    let whole = metrics::histogram!("portway_change_seconds", "source" => DATABASE_SOURCE);
    let publishing = metrics::histogram!("portway_change_publish_seconds", "source" => DATABASE_SOURCE);
    move |took| {
        whole.record(took.whole);
        publishing.record(took.publishing);
    }
}

/// Looks every second whether what the control plane last said can still be believed. Before it has said anything, it
/// cannot.
async fn watch_age(
    all: Vec<Freshness>,
    stale: Duration,
    sources: &'static [&'static str],
    publisher: Publisher,
    ready: Readiness,
) {
    let mut look = interval(Duration::from_secs(1));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut was = false;
    loop {
        look.tick().await;
        let oldest = all.iter().map(|freshness| freshness.age().unwrap_or(u64::MAX)).max().unwrap_or(0);
        let is = oldest > stale.as_secs();
        metrics::gauge!("portway_source_age_seconds", "source" => DATABASE_SOURCE).set(if oldest == u64::MAX {
            f64::INFINITY
        } else {
            oldest as f64
        });
        ready.set_fresh(!is);
        if is == was {
            continue;
        }
        was = is;
        if is {
            tracing::error!(
                event = "source-stale",
                source = DATABASE_SOURCE,
                "its workspaces are refused until it answers"
            );
        } else {
            tracing::info!(event = "source-fresh", source = DATABASE_SOURCE);
        }
        let event = |source: &&str| Event::Stale { source: (*source).into(), stale: is };
        publisher.publish(sources.iter().map(event).collect()).await;
    }
}

/// Starts what reports activity, if somebody wants to know: where cores hand it over, and the task that ends after them.
pub(super) fn report_activity(settings: &Settings) -> (Option<mpsc::Sender<Used>>, JoinHandle<()>) {
    let Some(activity) = settings.control_plane.activity.clone() else { return (None, tokio::spawn(async {})) };
    let (sender, used) = mpsc::channel(1024);
    let count =
        |result: &'static str| metrics::counter!("portway_activity_reports_total", "result" => result).increment(1);
    (Some(sender), tokio::spawn(portway_sources::activity::collect(activity, used, count)))
}

/// The API server whose front the gateway is.
pub(super) fn front(settings: &Settings) -> Option<Front> {
    let upstream = settings.control_plane.upstream.as_ref()?;
    Some(Front::new(upstream.address.clone(), upstream.port))
}

fn database(url: &str, connections: u32) -> Result<Database, Failure> {
    Database::new(url, connections).map_err(|error| Failure::failed(error.to_string()))
}

/// The key that all gateways on this state seal with.
async fn key(data: &Path, file: Option<&Path>, store: &Store) -> Result<SealKey, Failure> {
    let key = read_key(&file.map_or_else(|| data.join(KEY), Path::to_owned), file.is_none())?;
    let told = |error: StoreError| Failure::failed(error.to_string());
    let Some(proof) = key.proof() else { return Ok(key) };
    match store.agree_on_seal(&proof).await.map_err(told)? {
        Some(theirs) if !key.agrees(&theirs) => {
            Err(Failure::failed("other gateways on the same state keep sessions under another key").hint(
                "give all of them the same file by sessions.key_file; to change the key, stop them, set \
                 `seal_check` in the schema's table `meta` to NULL, and everybody logs in again",
            ))
        }
        _ => Ok(key),
    }
}

/// The key of a file; one in the data folder is made at the first start. Without it, logins that were taken over end.
fn read_key(path: &Path, make: bool) -> Result<SealKey, Failure> {
    let failed = |error: io::Error| Failure::failed(format!("cannot use {}: {error}", path.display()));
    let mut bytes = [0; KEY_LEN];
    match std::fs::File::open(path) {
        Ok(mut file) => file.read_exact(&mut bytes).map_err(failed)?,
        Err(error) if make && error.kind() == io::ErrorKind::NotFound => {
            getrandom::fill(&mut bytes)
                .map_err(|error| Failure::failed(format!("no random bytes from the system: {error}")))?;
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create_new(true).mode(0o600);
            options.open(path).and_then(|mut file| file.write_all(&bytes)).map_err(failed)?;
        }
        Err(error) => return Err(failed(error)),
    }
    SealKey::new(&bytes).ok_or_else(|| Failure::failed(format!("{} holds no usable key", path.display())))
}
