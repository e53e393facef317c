//! The engine: one thread, one runtime and one pool for each core, and the way in and out of all of them.
//!
//! A fresh socket goes to the core with the fewest connections before a byte is read, because long-lived sockets pile up
//! otherwise. Listeners are bound by the caller, exclusively, so that a second gateway fails loudly.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use portway_core::snapshot::Update;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::busy::Busy;
use crate::control::Control;
use crate::core::Core;
use crate::directory::Directory;
use crate::durations::Durations;
use crate::http::edge::{self, Tls};
use crate::leases::Leases;
use crate::ledger::{Ledger, LogStyle};
use crate::limits::sharing::Tally;
use crate::limits::{CountedSocket, Limits};
use crate::settings::Shared;
use crate::trace::Traces;
use crate::upstream::{Dialer, Pool};

/// How often a core looks at what only time ends.
const TICK: Duration = Duration::from_secs(1);
/// How often a full gateway looks whether a connection has ended.
const FULL: Duration = Duration::from_millis(20);
/// Sockets that may wait to be taken over by another core.
const HANDED: usize = 1024;

/// What the engine is started with.
#[derive(Debug)]
pub struct Parts {
    pub settings: Shared,
    pub directory: Directory,
    pub control: Control,
    pub log: LogStyle,
    pub durations: Durations,
    /// One channel of changes for each core; their number is the number of cores.
    pub updates: Vec<mpsc::Receiver<Update>>,
    pub plain: Vec<StdListener>,
    pub tls: Vec<StdListener>,
    /// What the TLS listeners show from the next connection on; whoever started the engine may put others in.
    pub certificates: Option<Arc<ArcSwap<Tls>>>,
    pub upstream_tls: Arc<rustls::ClientConfig>,
}

/// The running cores.
#[derive(Debug)]
pub struct Engine {
    threads: Vec<JoinHandle<()>>,
    limits: Limits,
    draining: watch::Sender<bool>,
    handed_on: Arc<AtomicBool>,
    loads: Loads,
}

/// Keeps new work out of every core, or lets it in.
#[derive(Debug)]
pub struct Gate {
    limits: Limits,
    draining: watch::Sender<bool>,
}

impl Gate {
    /// With `sheds`, what is open goes on, requests are refused, connections wait in the backlog, and idle ones end.
    pub fn shed(&self, sheds: bool) {
        self.limits.shed(sheds);
        // Nothing has changed about the drain, but idle connections look at both.
        self.draining.send_modify(|_| ());
    }
}

/// Connections of each core.
#[derive(Clone, Debug)]
struct Loads(Arc<[AtomicUsize]>);

/// One connection counted on one core.
#[derive(Debug)]
struct Load {
    loads: Loads,
    core: usize,
}

/// A fresh socket on its way to its core.
#[derive(Debug)]
struct Fresh {
    tcp: std::net::TcpStream,
    peer: SocketAddr,
    tls: bool,
    load: Load,
    socket: CountedSocket,
}

impl Engine {
    /// Starts every core.
    ///
    /// # Errors
    /// Where a thread, a runtime or a listener cannot be had.
    pub fn start(parts: Parts) -> io::Result<Self> {
        let count = parts.updates.len().max(1);
        let loads = Loads((0..count).map(|_| AtomicUsize::new(0)).collect());
        let limits = Limits::new(parts.settings.allowed);
        let (draining, drain_seen) = watch::channel(false);
        let handed_on = Arc::new(AtomicBool::new(false));
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::channel(HANDED)).unzip();
        let mut threads = Vec::with_capacity(count);
        for ((index, updates), handed) in parts.updates.into_iter().enumerate().zip(receivers) {
            let seat = Seat {
                index,
                settings: parts.settings.clone(),
                directory: parts.directory.clone(),
                control: parts.control.clone(),
                log: parts.log,
                durations: parts.durations.clone(),
                plain: clone_all(&parts.plain)?,
                tls: clone_all(&parts.tls)?,
                certificates: parts.certificates.clone(),
                upstream_tls: parts.upstream_tls.clone(),
                loads: loads.clone(),
                limits: limits.clone(),
                others: senders.clone(),
                draining: drain_seen.clone(),
                handed_on: handed_on.clone(),
            };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let thread = std::thread::Builder::new().name(format!("core-{index}")).spawn(move || {
                LocalSet::new().block_on(&runtime, seat.run(updates, handed));
            })?;
            threads.push(thread);
        }
        Ok(Self { threads, limits, draining, handed_on, loads })
    }

    /// For whoever counts together with other gateways.
    pub fn tally(&self) -> Tally {
        Tally::new(self.limits.clone())
    }

    /// For whoever watches memory.
    pub fn gate(&self) -> Gate {
        Gate { limits: self.limits.clone(), draining: self.draining.clone() }
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.loads.total()
    }

    /// Stops taking connections, lets what is under way finish until the drain limit, then cuts the rest.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// As [`Engine::drain`], where another process accepts on the same listeners: what waits in their backlog is its to
    /// serve.
    pub fn hand_on(&self) {
        self.handed_on.store(true, Ordering::Release);
        self.drain();
    }

    /// Waits for every core to end; call it after [`Engine::drain`].
    pub fn join(self) {
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

fn clone_all(listeners: &[StdListener]) -> io::Result<Vec<StdListener>> {
    listeners.iter().map(StdListener::try_clone).collect()
}

impl Loads {
    fn total(&self) -> usize {
        self.0.iter().map(|load| load.load(Ordering::Relaxed)).sum()
    }

    /// Counts a connection on the core with the fewest, `own` where it is one of them.
    fn assign(&self, own: usize) -> Load {
        let of = |core: usize| self.0.get(core).map_or(usize::MAX, |load| load.load(Ordering::Relaxed));
        let least = (0..self.0.len()).min_by_key(|core| of(*core)).unwrap_or(own);
        let core = if of(own) <= of(least) { own } else { least };
        if let Some(load) = self.0.get(core) {
            load.fetch_add(1, Ordering::Relaxed);
        }
        Load { loads: self.clone(), core }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Some(load) = self.loads.0.get(self.core) {
            load.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// What one core's thread is given.
struct Seat {
    index: usize,
    settings: Shared,
    directory: Directory,
    control: Control,
    log: LogStyle,
    durations: Durations,
    plain: Vec<StdListener>,
    tls: Vec<StdListener>,
    certificates: Option<Arc<ArcSwap<Tls>>>,
    upstream_tls: Arc<rustls::ClientConfig>,
    loads: Loads,
    limits: Limits,
    others: Vec<mpsc::Sender<Fresh>>,
    draining: watch::Receiver<bool>,
    handed_on: Arc<AtomicBool>,
}

impl Seat {
    async fn run(mut self, mut updates: mpsc::Receiver<Update>, mut handed: mpsc::Receiver<Fresh>) {
        let traces = Traces::new(self.settings.trace_field.clone(), self.settings.traced_one_in);
        let core = Rc::new(Core {
            settings: self.settings.clone(),
            directory: self.directory.clone(),
            leases: Rc::new(Leases::default()),
            limits: self.limits.clone(),
            pool: Pool::default(),
            dialer: Dialer::new(
                self.settings.clone(),
                self.control.clone(),
                self.upstream_tls.clone(),
                self.limits.clone(),
            ),
            control: self.control.clone(),
            tokens: RefCell::default(),
            repaired: RefCell::default(),
            notices: Cell::default(),
            used: RefCell::default(),
            held: Busy::default(),
            ledger: Ledger::new(self.control.clone(), self.log, traces, self.durations.clone()),
            draining: self.draining.clone(),
        });
        // Owned by those who accept on them alone, so that a drain closes them.
        let listeners = [(std::mem::take(&mut self.plain), false), (std::mem::take(&mut self.tls), true)];
        let seat = Rc::new(self);
        for (listeners, tls) in listeners {
            for listener in listeners {
                let Ok(listener) = TcpListener::from_std(listener) else { continue };
                spawn_local(accept(seat.clone(), core.clone(), listener, tls));
            }
        }
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut draining = seat.draining.clone();
        loop {
            tokio::select! {
                biased;
                update = updates.recv() => {
                    let Some(update) = update else { break };
                    apply(&core, &update);
                }
                Some(fresh) = handed.recv() => seat.serve(&core, fresh),
                _ = tick.tick() => {
                    core.ledger.cut(core.leases.expire(core.now()));
                    if core.limits.sheds() {
                        core.pool.clear();
                        core.ledger.stalled(core.leases.cut_stalled(core.settings.timeouts.stalled));
                    }
                    core.pool.sweep();
                    core.ledger.idle(core.pool.len());
                    core.report_activity();
                    core.ledger.flush();
                }
                _ = draining.wait_for(|draining| *draining) => break,
            }
        }
        seat.leave(&core, updates, handed).await;
        core.report_activity();
        core.ledger.flush();
    }

    /// The drain: changes still count, and so do sockets that were accepted before.
    async fn leave(&self, core: &Rc<Core>, mut updates: mpsc::Receiver<Update>, mut handed: mpsc::Receiver<Fresh>) {
        let drained = async {
            let mut poll = interval(Duration::from_millis(20));
            loop {
                tokio::select! {
                    Some(update) = updates.recv() => apply(core, &update),
                    Some(fresh) = handed.recv() => self.serve(core, fresh),
                    _ = poll.tick() => {
                        if self.loads.0.get(self.index).is_none_or(|load| load.load(Ordering::Relaxed) == 0) {
                            return;
                        }
                    }
                }
            }
        };
        if timeout(core.settings.timeouts.drain, drained).await.is_err() {
            core.ledger.cut(core.leases.cut_all());
            // One more moment in which the resets leave.
            sleep(Duration::from_millis(100)).await;
        }
    }

    fn place(&self, core: &Rc<Core>, tcp: TcpStream, peer: SocketAddr, tls: bool) {
        let load = self.loads.assign(self.index);
        let Ok(tcp) = tcp.into_std() else { return };
        let fresh = Fresh { tcp, peer, tls, load, socket: self.limits.socket() };
        if fresh.load.core == self.index {
            return self.serve(core, fresh);
        }
        let other = self.others.get(fresh.load.core).cloned();
        match other.map(|other| other.try_send(fresh)) {
            None | Some(Ok(())) => {}
            // It is overloaded or gone: better here than not at all.
            Some(Err(mpsc::error::TrySendError::Full(fresh) | mpsc::error::TrySendError::Closed(fresh))) => {
                self.serve(core, fresh);
            }
        }
    }

    fn serve(&self, core: &Rc<Core>, fresh: Fresh) {
        let tls = if fresh.tls { self.certificates.as_ref().map(|newest| newest.load_full()) } else { None };
        if fresh.tls && tls.is_none() {
            return;
        }
        let Ok(tcp) = TcpStream::from_std(fresh.tcp) else { return };
        let core = core.clone();
        let (peer, open) = (fresh.peer.ip().to_canonical(), (fresh.load, fresh.socket));
        spawn_local(async move {
            edge::serve(core, tcp, peer, tls).await;
            drop(open);
        });
    }
}

fn apply(core: &Core, update: &Update) {
    core.pool.forget(&update.diff);
    let cut = core.leases.recheck(&update.snapshot, &update.diff, &core.settings.rules, core.now());
    core.ledger.cut(cut);
}

async fn accept(seat: Rc<Seat>, core: Rc<Core>, listener: TcpListener, tls: bool) {
    let mut draining = seat.draining.clone();
    loop {
        // At a limit the next ones wait in the backlog.
        let next = async {
            while seat.loads.total() >= seat.settings.connections || seat.limits.is_full() || seat.limits.sheds() {
                sleep(FULL).await;
            }
            listener.accept().await
        };
        let accepted = tokio::select! {
            accepted = next => accepted,
            _ = draining.wait_for(|draining| *draining) => break,
        };
        match accepted {
            Ok((tcp, peer)) => seat.place(&core, tcp, peer, tls),
            Err(error) if is_exhaustion(&error) => {
                // Waiting lets descriptors come back; leaving the loop would end the gateway.
                tracing::warn!(%error, "cannot accept connections");
                sleep(Duration::from_millis(100)).await;
            }
            // A peer's own failure between its handshake and our accept.
            Err(_) => {}
        }
    }
    if seat.handed_on.load(Ordering::Acquire) {
        return;
    }
    // Whoever got into the backlog is served, so that a restart refuses nobody; but only for a moment, because under load it is
    // never empty, and who is let in late is cut when the drain ends.
    let backlog = async {
        while let Ok(Ok((tcp, peer))) = timeout(Duration::from_millis(1), listener.accept()).await {
            seat.place(&core, tcp, peer, tls);
        }
    };
    let _ = timeout(core.last_request(), backlog).await;
}

/// EMFILE, ENFILE, ENOBUFS, ENOMEM.
fn is_exhaustion(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(24 | 23 | 105 | 12))
}
