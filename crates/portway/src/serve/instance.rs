//! One gateway under one configuration: complete before its first request, and drained when another takes its place.
//!
//! It runs on a control runtime of its own, so that with its end everything it has begun has ended. The process around it
//! (listeners, lock, log, operations) outlives it and is not known here.

use std::future::pending;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portway_control::wake::Waker;
use portway_control::{Control as ControlHost, Settings as ControlSettings};
use portway_core::dial::DialRules;
use portway_core::host::Names;
use portway_proxy::control::Control;
use portway_proxy::directory::Directory;
use portway_proxy::durations::Durations;
use portway_proxy::engine::{Engine, Parts};
use portway_proxy::limits::Allowed;
use portway_proxy::settings::{Settings as ProxySettings, Timeouts, WakeBy};
use portway_proxy::tls::upstream_config;
use portway_sources::{CatchUp, Publisher, Store, load_file, watch_file, watch_store};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::beside::{self, Beside};
use super::certificates::Identity;
use super::logs::{self, Writer};
use super::ops::Readiness;
use super::relied_on::{ReliedOn, relied_on};
use super::{control, descriptors, memory, sharing, traces, welcome};
use crate::config::Settings;
use crate::demo;
use crate::output::Failure;

/// How long the last report of activity may take.
const LAST_REPORT: Duration = Duration::from_secs(2);

/// How long a database with Portway's own state is waited for at start, and how often it is tried.
const STORE_WAIT: Duration = Duration::from_secs(60);
const STORE_RETRY: Duration = Duration::from_millis(500);

/// What an instance is made of.
pub(super) struct Plan {
    pub(super) settings: Settings,
    pub(super) plain: Vec<TcpListener>,
    pub(super) tls: Vec<TcpListener>,
    pub(super) names: Names,
    /// Every address that this process listens on: none of them is ever dialled.
    pub(super) own: Vec<SocketAddr>,
    pub(super) kept: Kept,
    /// It is the first of the process, and says to a person what to open.
    pub(super) greets: bool,
}

/// What is the process's and not one instance's.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) writer: Writer,
    pub(super) durations: Durations,
    /// The sample of `--demo`, if it is served.
    pub(super) sample: Option<demo::Ports>,
}

/// How an instance ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Leave {
    /// It serves whoever waits in the backlog, and then nobody more.
    Drain(&'static str),
    /// Another accepts on the same listeners.
    HandOn(&'static str),
}

/// A running instance. Dropping it has it leave.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) ready: Readiness,
    leave: oneshot::Sender<Leave>,
    ended: oneshot::Receiver<()>,
}

impl Instance {
    /// Starts one. Nothing of it is left where this fails, or is no longer waited for.
    ///
    /// # Errors
    /// Whatever keeps it from starting, with a hint.
    pub(super) async fn start(plan: Plan) -> Result<Self, Failure> {
        let ((say, started), (leave, left)) = (oneshot::channel(), oneshot::channel());
        let (end, ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("control".into()).spawn(move || {
            runtime.block_on(live(plan, say, left));
            // The resolver may have threads that wait for minutes, and nobody waits for it any more.
            runtime.shutdown_background();
            let _ = end.send(());
        })?;
        let ready = started.await.map_err(|_| Failure::failed("the control runtime has ended"))??;
        Ok(Self { ready, leave, ended })
    }

    /// Has it leave, and gives what resolves once it has.
    pub(super) fn leave(self, how: Leave) -> oneshot::Receiver<()> {
        // Where nobody takes it, it has ended already.
        let _ = self.leave.send(how);
        self.ended
    }
}

/// What runs while it serves.
struct Serving {
    engine: Engine,
    store: Store,
    collected: JoinHandle<()>,
    told: JoinHandle<()>,
    ready: Readiness,
}

async fn live(plan: Plan, say: oneshot::Sender<Result<Readiness, Failure>>, left: oneshot::Receiver<Leave>) {
    let serving = match begin(plan).await {
        Ok(serving) => serving,
        Err(failure) => return drop(say.send(Err(failure))),
    };
    let wanted = say.send(Ok(serving.ready.clone())).is_ok();
    let how = if wanted { left.await.ok() } else { None };
    serving.end(how.unwrap_or(Leave::HandOn("not wanted"))).await;
}

async fn begin(plan: Plan) -> Result<Serving, Failure> {
    let Plan { settings, plain, tls, names, own, kept: Kept { writer, durations, sample }, greets } = plan;
    let mut warnings = settings.warnings.clone();
    let certificates = settings.tls.as_ref().map(|tls| Identity::load(tls, &names, &mut warnings)).transpose()?;
    let sockets = descriptors::raise(settings.threads, settings.limits.connections, &mut warnings)?;

    let store = open_store(&settings).await?;
    let publisher = Publisher::new();
    welcome::prepare(&settings, &store, sample).await?;
    load(&settings, &names, &store, &publisher).await?;
    let beside = Beside::prepare(&settings, &names, &store, &publisher).await?;
    let sample_workspace = if sample.is_some() { Some(demo::workspace::find(&publisher.current())?) } else { None };

    let (control, calls) = Control::channel();
    let plane = beside.plane(&settings, &store)?;
    let can_stop = plane.waker.as_ref().is_some_and(Waker::can_stop);
    let proxy = proxy_settings(&settings, &names, own, relied_on(&settings).await, can_stop, sockets);
    for warning in &warnings {
        tracing::warn!(event = "configuration", "{warning}");
    }
    if greets {
        match sample_workspace.zip(sample) {
            Some((workspace, ports)) => welcome::greet_demo(&settings, &names, &store, &workspace, ports).await?,
            None => welcome::greet(&settings, &names, &store).await?,
        }
    }
    let upstream_tls = Arc::new(upstream_config().map_err(|error| Failure::failed(error.to_string()))?);
    // The last that may fail: only `Serving` ends cores that run.
    let (traces, told) = traces::start(settings.traces.as_ref())?;
    let engine = Engine::start(Parts {
        settings: Arc::new(proxy),
        directory: Directory::new(publisher.directory()),
        control,
        log: logs::style(&settings.log),
        durations,
        updates: (0..settings.threads.max(1)).map(|_| publisher.subscribe()).collect(),
        plain,
        tls,
        certificates: certificates.as_ref().map(Identity::shown),
        upstream_tls,
    })
    .map_err(|error| Failure::failed(format!("cannot start the engine: {error}")))?;

    let control_settings = ControlSettings {
        names: names.clone(),
        rules: settings.rules.clone(),
        login_lifetime_s: settings.login_lifetime.as_secs(),
        session_lifetime_s: settings.session_lifetime.as_secs(),
    };
    let host = ControlHost::new(control_settings, plane.clone(), store.clone(), publisher.clone());
    let (activity, collected) = beside::report_activity(&settings);
    let (catch_up, asked) = CatchUp::new();
    let ours =
        control::Ours { store: store.clone(), publisher: publisher.clone(), catch_up, writer, plane, activity, traces };
    tokio::spawn(control::answer(calls, host, ours));
    tokio::spawn(watch_store(store.clone(), publisher.clone(), asked, beside.store_freshness.clone(), pending()));
    if let Some(server) = settings.shared_limits.clone() {
        tokio::spawn(sharing::share(engine.tally(), server));
    }
    tokio::spawn(memory::watch(memory::limit(settings.limits.memory), engine.gate()));
    let ready = Readiness::new(Handle::current());
    beside.follow(&store, &publisher, &ready);
    if let Some(path) = settings.workspaces_file.clone() {
        tokio::spawn(watch_file(path, Arc::new(names.clone()), publisher.clone(), pending()));
    }
    if let Some(identity) = certificates {
        tokio::spawn(identity.follow());
    }
    Ok(Serving { engine, store, collected, told, ready })
}

impl Serving {
    async fn end(self, how: Leave) {
        let (Leave::Drain(why) | Leave::HandOn(why)) = how;
        tracing::info!(event = "draining", why, connections = self.engine.connections());
        self.ready.set(false);
        match how {
            Leave::Drain(_) => self.engine.drain(),
            Leave::HandOn(_) => self.engine.hand_on(),
        }
        let engine = self.engine;
        let _ = tokio::task::spawn_blocking(move || engine.join()).await;
        // The cores' last reports are in; what tells others of them ends with them.
        let last = async { (self.collected.await.ok(), self.told.await.ok()) };
        let _ = tokio::time::timeout(LAST_REPORT, last).await;
        self.store.close().await;
        tracing::info!(event = "drained", why);
    }
}

/// Opens Portway's own state; a database that is away or starts is waited for.
async fn open_store(settings: &Settings) -> Result<Store, Failure> {
    let (place, begun) = (settings.store(), Instant::now());
    let mut told = false;
    loop {
        match place.open().await {
            Ok(store) => return Ok(store),
            Err(error) if error.is_passing() && begun.elapsed() < STORE_WAIT => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(event = "store-down", %error, "waited for before anything is served");
                }
                tokio::time::sleep(STORE_RETRY).await;
            }
            Err(error) => return Err(Failure::failed(error.to_string())),
        }
    }
}

/// The first snapshot, complete before the first request.
async fn load(settings: &Settings, names: &Names, store: &Store, publisher: &Publisher) -> Result<(), Failure> {
    let mut conflicts = Vec::new();
    if let Some(path) = &settings.workspaces_file {
        let listing = load_file(path, names).await.map_err(|errors| {
            let lines: Vec<String> = errors.iter().map(|error| format!("{}: {error}", path.display())).collect();
            Failure::failed(lines.join("\n")).hint("`portway check` lists every mistake")
        })?;
        conflicts = publisher.replace(listing).await;
    }
    let listing = store.listing().await.map_err(|error| Failure::failed(error.to_string()))?;
    conflicts.extend(publisher.replace(listing).await);
    for conflict in conflicts {
        tracing::error!(event = "conflict", "{conflict}");
    }
    Ok(())
}

fn proxy_settings(
    settings: &Settings,
    names: &Names,
    own: Vec<SocketAddr>,
    relied_on: ReliedOn,
    can_stop: bool,
    sockets: usize,
) -> ProxySettings {
    let (limits, wake) = (&settings.limits, settings.control_plane.wake.as_ref());
    ProxySettings {
        names: names.clone(),
        rules: settings.rules.clone(),
        dial: DialRules { allow: settings.allow.clone(), own },
        relied_on,
        timeouts: Timeouts {
            tls_handshake: limits.tls_handshake,
            request_head: limits.request_head,
            keep_alive: limits.keep_alive,
            body_idle: limits.body_idle,
            body_rate: limits.body_rate,
            connect: limits.connect,
            response_head: limits.response_head,
            stalled: limits.stalled,
            drain: limits.drain,
            ..Timeouts::default()
        },
        front: beside::front(settings),
        embed: settings.embed.clone(),
        ide: settings.ide,
        control_cookie: settings.control_plane.sessions.as_ref().map(|sessions| sessions.cookie.clone()),
        ide_page: settings.ide_page(names),
        wake_by: wake.map_or_else(WakeBy::default, |wake| wake.by),
        can_stop,
        hold: wake.map_or(Duration::ZERO, |wake| wake.hold),
        shared: settings.store().is_shared(),
        on_demand: settings.control_plane.held.is_some(),
        reports_activity: settings.control_plane.activity.is_some() || settings.control_plane.held.is_some(),
        trace_field: settings.trace_field.clone(),
        traced_one_in: settings.traces.as_ref().map_or(0, |traces| traces.one_in),
        redirect_to_https: settings.tls.as_ref().is_some_and(|tls| tls.redirect),
        hsts: settings.tls.as_ref().and_then(|tls| tls.hsts).map_or(0, |age| age.as_secs()),
        proxies: settings.proxies.clone(),
        allowed: Allowed { sockets, ..limits.allowed },
        connections: limits.connections,
    }
}
