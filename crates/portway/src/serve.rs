//! Running the gateway: everything is bound before anything is served, the first snapshot is complete before the first
//! request, and a signal drains it.
//!
//! This is composition. It knows every crate, and no rule of any of them.

mod beside;
mod certificates;
mod control;
mod descriptors;
mod handover;
mod listen;
mod logs;
mod ops;
mod relied_on;
mod resolver;
mod welcome;

use std::fs::File;
use std::future::pending;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portway_control::wake::Waker;
use portway_control::{Control as ControlHost, Settings as ControlSettings};
use portway_core::dial::DialRules;
use portway_core::host::Names;
use portway_proxy::control::Control;
use portway_proxy::directory::Directory;
use portway_proxy::engine::{Engine, Parts};
use portway_proxy::limits::Allowed;
use portway_proxy::settings::{Settings as ProxySettings, Timeouts, WakeBy};
use portway_proxy::tls::upstream_config;
use portway_sources::{CatchUp, Publisher, Store, load_file, watch_file, watch_store};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Settings;
use crate::demo;
use crate::output::Failure;
use crate::running::{Claim, Running};
use crate::serve::beside::Beside;
use crate::serve::certificates::Identity;
use crate::serve::handover::Listeners;
use crate::serve::relied_on::{ReliedOn, relied_on};

/// How long the last report of activity may take.
const LAST_REPORT: Duration = Duration::from_secs(2);

/// How long a database with Portway's own state is waited for at start, and how often it is tried.
const STORE_WAIT: Duration = Duration::from_secs(60);
const STORE_RETRY: Duration = Duration::from_millis(500);

/// Every socket of the gateway, bound.
struct Bound {
    plain: Vec<TcpListener>,
    tls: Vec<TcpListener>,
    ops: TcpListener,
    plain_at: Vec<SocketAddr>,
    tls_at: Vec<SocketAddr>,
    ops_at: SocketAddr,
}

/// Serves until a signal, or until another gateway takes over; with the sample if `with_demo`. With `take_over` it is this one
/// that takes over from the gateway that runs on the same data folder.
///
/// # Errors
/// Whatever keeps the gateway from starting, with a hint.
pub(crate) async fn run(settings: Settings, with_demo: bool, take_over: bool) -> Result<(), Failure> {
    if with_demo && !settings.embedded {
        return Err(Failure::usage("--demo is for a gateway without a configuration file, under a .localhost domain")
            .hint("leave out --demo, or else --config, --domain and the same in the environment (PORTWAY_…)"));
    }
    let handed = if take_over { handover::take(&settings.data)? } else { None };
    let (claim, predecessor, listeners) = match handed {
        Some(handed) => (Claim::inherit(&settings.data, handed.lock), Some(handed.from), handed.listeners),
        None => (Claim::take(&settings.data), None, Listeners::default()),
    };
    let claim = claim
        .map_err(|message| Failure::failed(message).hint("stop it, or give this one another folder with --data DIR"))?;
    let bound = bind(&settings, listeners)?;
    let offered = bound.listeners().and_then(|listeners| Ok((listeners, claim.lock()?)));
    let (offered, lock) = offered.map_err(|error| Failure::failed(format!("cannot keep the listeners: {error}")))?;
    let sample = if with_demo { Some(demo::bind()?) } else { None };
    let sample_ports = sample.as_ref().map(|sample| sample.ports);
    let first = |at: &[SocketAddr]| at.first().map(SocketAddr::port);
    let names = settings.names(first(&bound.plain_at), first(&bound.tls_at));
    let mut warnings = settings.warnings.clone();
    let certificates = settings.tls.as_ref().map(|tls| Identity::load(tls, &names, &mut warnings)).transpose()?;
    let sockets = descriptors::raise(settings.threads, settings.limits.connections, &mut warnings)?;
    let writer = logs::start(&settings.log);

    let store = open_store(&settings).await?;
    let publisher = Publisher::new();
    welcome::prepare(&settings, &store, sample_ports).await?;
    load(&settings, &names, &store, &publisher).await?;
    let beside = Beside::prepare(&settings, &names, &store, &publisher).await?;
    let sample_workspace = if with_demo { Some(demo::workspace::find(&publisher.current())?) } else { None };

    let metrics = ops::recorder()?;
    let (control, calls) = Control::channel();
    let plane = beside.plane(&settings, &store)?;
    let can_stop = plane.waker.as_ref().is_some_and(Waker::can_stop);
    let proxy = proxy_settings(&settings, &names, &bound, relied_on(&settings).await, can_stop, sockets);
    let engine = Engine::start(Parts {
        settings: Arc::new(proxy),
        directory: Directory::new(publisher.directory()),
        control,
        log: logs::style(&settings.log),
        updates: (0..settings.threads.max(1)).map(|_| publisher.subscribe()).collect(),
        plain: bound.plain,
        tls: bound.tls,
        certificates: certificates.as_ref().map(Identity::shown),
        upstream_tls: Arc::new(upstream_config().map_err(|error| Failure::failed(error.to_string()))?),
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
    let ours = control::Ours {
        store: store.clone(),
        publisher: publisher.clone(),
        catch_up,
        writer: writer.clone(),
        plane,
        activity,
    };
    tokio::spawn(control::answer(calls, host, ours));
    tokio::spawn(watch_store(store.clone(), publisher.clone(), asked, beside.store_freshness.clone(), pending()));
    let ready = ops::Readiness::default();
    beside.follow(&store, &publisher, &ready);
    if let Some(path) = settings.workspaces_file.clone() {
        tokio::spawn(watch_file(path, Arc::new(names.clone()), publisher.clone(), pending()));
    }
    if let Some(identity) = certificates {
        tokio::spawn(identity.follow());
    }
    let demo = sample.map(demo::Bound::start).transpose()?;
    let operations = ops::serve(bound.ops, ready.clone(), metrics)?;

    let running = Running::new(&names, bound.ops_at, bound.plain_at.clone(), bound.tls_at.clone());
    claim
        .announce(&running)
        .map_err(|error| Failure::failed(format!("cannot write to {}: {error}", settings.data.display())))?;
    for (listener, addresses) in [("plain", &bound.plain_at), ("tls", &bound.tls_at), ("ops", &vec![bound.ops_at])] {
        for address in addresses {
            tracing::info!(event = "listening", listener, %address);
        }
    }
    if let Some(ports) = sample_ports {
        tracing::info!(event = "demo", page = ports.page, api = ports.api);
    }
    for warning in &warnings {
        tracing::warn!(event = "configuration", "{warning}");
    }
    ready.set(true);
    if let Some(predecessor) = predecessor {
        tracing::info!(event = "took-over", from = predecessor.pid);
        predecessor.let_go();
    }
    tracing::info!(event = "ready", control = %names.control.origin());
    match sample_workspace.zip(sample_ports) {
        Some((workspace, ports)) => welcome::greet_demo(&settings, &names, &store, &workspace, ports).await?,
        None => welcome::greet(&settings, &names, &store).await?,
    }

    let (why, handed_on) = end(&settings, offered, lock).await?;
    tracing::info!(event = "draining", why, connections = engine.connections());
    ready.set(false);
    // Its streams have no end of their own, and would hold the drain up.
    drop(demo);
    if handed_on {
        // The new gateway is asked from now on, whether it is well and whether it is ready.
        operations.abort();
        claim.hand_on();
        engine.hand_on();
    } else {
        engine.drain();
    }
    let _ = tokio::task::spawn_blocking(move || engine.join()).await;
    // The cores' last reports are in; the collector ends with them.
    let _ = tokio::time::timeout(LAST_REPORT, collected).await;
    store.close().await;
    tracing::info!(event = "stopped");
    writer.finish().await;
    Ok(())
}

/// Waits for a reason to end, in a word, and tells whether another gateway has taken over.
async fn end(settings: &Settings, listeners: Listeners, lock: File) -> Result<(&'static str, bool), Failure> {
    let stopped = stop_signal();
    let succeeded = async {
        if let Err(error) = handover::succeeded(&settings.data, listeners, lock).await {
            tracing::warn!(event = "handover", %error, "no other gateway can take over from this one");
            pending::<()>().await;
        }
    };
    tokio::select! {
        signal = stopped => Ok((signal?, false)),
        () = succeeded => Ok(("handover", true)),
    }
}

impl Bound {
    /// Other handles on every listener.
    fn listeners(&self) -> io::Result<Listeners> {
        let all = |these: &[TcpListener]| these.iter().map(TcpListener::try_clone).collect::<io::Result<Vec<_>>>();
        Ok(Listeners { plain: all(&self.plain)?, tls: all(&self.tls)?, ops: vec![self.ops.try_clone()?] })
    }
}

fn bind(settings: &Settings, mut handed: Listeners) -> Result<Bound, Failure> {
    let tls_listen = settings.tls.as_ref().map_or(&[][..], |tls| &tls.listen);
    let plain = listen::bind_all(&settings.listen, "--listen ADDRESS:PORT", &mut handed.plain)?;
    let tls = listen::bind_all(tls_listen, "listen under [tls] in the configuration", &mut handed.tls)?;
    let ops = listen::bind(settings.ops, "--ops ADDRESS:PORT", &mut handed.ops)?;
    Ok(Bound {
        plain_at: listen::addresses(&plain)?,
        tls_at: listen::addresses(&tls)?,
        ops_at: listen::address(&ops)?,
        plain,
        tls,
        ops,
    })
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
    bound: &Bound,
    relied_on: ReliedOn,
    can_stop: bool,
    sockets: usize,
) -> ProxySettings {
    let (limits, wake) = (&settings.limits, settings.control_plane.wake.as_ref());
    let own = bound.plain_at.iter().chain(&bound.tls_at).copied().chain([bound.ops_at]).collect();
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
        redirect_to_https: settings.tls.as_ref().is_some_and(|tls| tls.redirect),
        hsts: settings.tls.as_ref().and_then(|tls| tls.hsts).map_or(0, |age| age.as_secs()),
        proxies: settings.proxies.clone(),
        allowed: Allowed { sockets, ..limits.allowed },
        connections: limits.connections,
    }
}

async fn stop_signal() -> Result<&'static str, Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::failed(format!("cannot wait for signals: {error}")));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
