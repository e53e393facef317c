//! Running the gateway as a process: everything is bound before anything is served, a changed configuration takes the place
//! of the old one without a refused connection, and a signal drains it.
//!
//! This is what outlives one configuration: the data folder's lock, listeners, the log, the operations listener. What serves
//! under a configuration is an `Instance`, which it starts and has leave. It knows no rule of any of them.

mod beside;
mod certificates;
mod control;
mod descriptors;
mod handover;
mod instance;
mod listen;
mod logs;
mod memory;
mod notify;
mod ops;
mod relied_on;
mod reload;
mod resolver;
mod sharing;
mod traces;
mod watched;
mod welcome;

use std::future::pending;
use std::net::SocketAddr;

use portway_core::host::Names;
use portway_proxy::durations::Durations;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use crate::config::{Flags, Settings};
use crate::demo;
use crate::output::Failure;
use crate::running::{Claim, Running};
use crate::serve::instance::{Instance, Kept, Leave, Plan};
use crate::serve::listen::Bound;
use crate::serve::logs::Style;
use crate::serve::ops::{Metrics, Operations};
use crate::serve::reload::Reloads;

/// Serves until a signal, or until another gateway takes over; with the sample if `with_demo`. With `take_over` it is this one
/// that takes over from the gateway that runs on the same data folder.
///
/// # Errors
/// Whatever keeps the gateway from starting, with a hint.
pub(crate) async fn run(flags: &Flags, with_demo: bool, take_over: bool) -> Result<(), Failure> {
    let settings = Settings::of_process(flags).map_err(|problems| Failure::configuration(&problems))?;
    if with_demo && !settings.embedded {
        return Err(Failure::usage("--demo is for a gateway without a configuration file, under a .localhost domain")
            .hint("leave out --demo, or else --config, --domain and the same in the environment (PORTWAY_…)"));
    }
    let handed = if take_over { handover::take(&settings.data)? } else { None };
    let (claim, predecessor, listeners) = match handed {
        Some(handed) => (Claim::inherit(&settings.data, handed.lock), Some(handed.from), handed.listeners),
        None => (Claim::take(&settings.data), None, listen::from_systemd(&settings)?),
    };
    let claim = claim
        .map_err(|message| Failure::failed(message).hint("stop it, or give this one another folder with --data DIR"))?;
    let bound = Bound::new(&settings, listeners)?;
    let sample = if with_demo { Some(demo::bind()?) } else { None };
    let mut reloads = Reloads::new(&settings)?;
    let mut signals = Signals::new()?;
    let (writer, style) = logs::start(&settings.log);
    let metrics = ops::recorder()?;
    let sample_ports = sample.as_ref().map(|sample| sample.ports);
    let durations = Durations::default();
    let kept = Kept { writer, durations: durations.clone(), sample: sample_ports };
    let starting = start(&settings, &bound, &kept, true);
    let (names, instance) = tokio::select! {
        started = starting => started?,
        _ = signals.stop() => return Ok(()),
    };
    let demo = sample.map(demo::Bound::start).transpose()?;
    let operations = Operations::serve(bound.ops()?, &instance.ready, Metrics { recorded: metrics, durations })?;
    let mut process = Process { flags, claim, kept, style, operations };
    process.announce(&names, &bound)?;
    if let Some(ports) = sample_ports {
        tracing::info!(event = "demo", page = ports.page, api = ports.api);
    }
    instance.ready.set(true);
    if let Some(predecessor) = predecessor {
        tracing::info!(event = "took-over", from = predecessor.pid);
        predecessor.let_go();
    }
    tracing::info!(event = "ready", control = %names.control.origin());
    notify::ready();

    let mut now = Current { settings, bound, instance };
    let mut leaving = JoinSet::new();
    let how = loop {
        match next(&now, &process.claim, &mut signals, &mut reloads).await? {
            Next::Stop(why) => break Leave::Drain(why),
            Next::HandedOn => break Leave::HandOn("handover"),
            Next::Reload(cause) => {
                reloads.mark().await;
                // A start may wait for a database for a minute, and a signal does not.
                let old = tokio::select! {
                    old = process.reload(&mut now, cause) => old,
                    why = signals.stop() => break Leave::Drain(why),
                };
                if let Some(old) = old {
                    leaving.spawn(old.leave(Leave::HandOn("reload")));
                }
            }
        }
    };
    notify::stopping();
    // Its streams have no end of their own, and would hold the drain up.
    drop(demo);
    now.instance.ready.set(false);
    if matches!(how, Leave::HandOn(_)) {
        // The new gateway is asked from now on, whether it is well and whether it is ready.
        process.operations.end();
        process.claim.hand_on();
    }
    leaving.spawn(now.instance.leave(how));
    // Otherwise visitors would go on to queue on a listener that nobody accepts on.
    drop(now.bound);
    leaving.join_all().await;
    tracing::info!(event = "stopped");
    process.kept.writer.finish().await;
    Ok(())
}

/// Starts an instance on these listeners.
async fn start(settings: &Settings, bound: &Bound, kept: &Kept, greets: bool) -> Result<(Names, Instance), Failure> {
    let (at, listeners) = (bound.at()?, bound.listeners()?);
    let first = |at: &[SocketAddr]| at.first().map(SocketAddr::port);
    let names = settings.names(first(&at.plain), first(&at.tls));
    let plan = Plan {
        settings: settings.clone(),
        plain: listeners.plain,
        tls: listeners.tls,
        names: names.clone(),
        own: [at.plain, at.tls, vec![at.ops]].concat(),
        kept: kept.clone(),
        greets,
    };
    Ok((names, Instance::start(plan).await?))
}

/// What stays while configurations come and go.
struct Process<'a> {
    flags: &'a Flags,
    claim: Claim,
    kept: Kept,
    style: Style,
    operations: Operations,
}

/// The configuration that is served under, and what serves.
struct Current {
    settings: Settings,
    bound: Bound,
    instance: Instance,
}

impl Process<'_> {
    /// Reads the configuration again and has what it says take the place of `now`; gives what served until then. What cannot
    /// be used changes nothing.
    async fn reload(&mut self, now: &mut Current, cause: &'static str) -> Option<Instance> {
        notify::reloading();
        let old = match self.replacement(now).await {
            Ok((names, fresh)) => {
                fresh.instance.ready.set(true);
                let old = std::mem::replace(now, fresh);
                self.style.follow(&now.settings.log);
                if let Err(failure) = self.announce(&names, &now.bound) {
                    failure.log("commands do not find the gateway");
                }
                reload::count("loaded", 1);
                tracing::info!(event = "reloaded", cause, control = %names.control.origin());
                Some(old.instance)
            }
            Err(failure) => {
                reload::count("refused", 1);
                failure.log("refused, and the old configuration stays");
                None
            }
        };
        notify::ready();
        old
    }

    /// What takes the place of `now`, with the configuration as it is written now.
    async fn replacement(&mut self, now: &Current) -> Result<(Names, Current), Failure> {
        let flags = self.flags.clone();
        // A file may be on another machine.
        let read = tokio::task::spawn_blocking(move || Settings::of_process(&flags)).await?;
        let settings = read.map_err(|problems| Failure::configuration(&problems))?;
        if settings.data != now.settings.data {
            let (old, new) = (now.settings.data.display(), settings.data.display());
            return Err(Failure::failed(format!(
                "data: a running gateway keeps its folder {old}; {new} needs a restart"
            )));
        }
        let bound = Bound::new(&settings, now.bound.listeners()?)?;
        let (names, instance) = start(&settings, &bound, &self.kept, false).await?;
        self.operations.show(bound.ops()?, &instance.ready)?;
        Ok((names, Current { settings, bound, instance }))
    }

    /// Tells commands and the log where this is.
    fn announce(&self, names: &Names, bound: &Bound) -> Result<(), Failure> {
        let at = bound.at()?;
        for (listener, addresses) in [("plain", &at.plain), ("tls", &at.tls), ("ops", &vec![at.ops])] {
            for address in addresses {
                tracing::info!(event = "listening", listener, %address);
            }
        }
        self.claim
            .announce(&Running::new(names, at.ops, at.plain, at.tls))
            .map_err(|error| Failure::failed(format!("cannot write to the data folder: {error}")))
    }
}

/// What the process does next.
enum Next {
    Stop(&'static str),
    HandedOn,
    Reload(&'static str),
}

async fn next(now: &Current, claim: &Claim, signals: &mut Signals, reloads: &mut Reloads) -> Result<Next, Failure> {
    let lock = claim.lock().map_err(|error| Failure::failed(format!("cannot keep the lock: {error}")))?;
    let listeners = now.bound.listeners()?;
    let succeeded = async {
        if let Err(error) = handover::succeeded(&now.settings.data, listeners, lock).await {
            tracing::warn!(event = "handover", %error, "no other gateway can take over from this one");
            pending::<()>().await;
        }
    };
    Ok(tokio::select! {
        why = signals.stop() => Next::Stop(why),
        () = succeeded => Next::HandedOn,
        cause = reloads.next() => Next::Reload(cause),
    })
}

/// The signals that end the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        Ok(Self { terminate: signal_of(SignalKind::terminate())?, interrupt: signal_of(SignalKind::interrupt())? })
    }

    async fn stop(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

fn signal_of(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::failed(format!("cannot wait for signals: {error}")))
}
