//! One core: everything its requests share, used by one thread only.
//!
//! What cores share with each other is the settings, the snapshot, the counters of loads and limits and the control channel;
//! nothing else.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portway_core::Timestamp;
use portway_core::access::Permit;
use portway_core::activity::Attention;
use portway_core::dial::Cidr;
use portway_core::noticed::Notice;
use portway_core::secret::SecretHash;
use portway_http1::RequestHead;
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;

use crate::busy::Busy;
use crate::control::Control;
use crate::directory::Directory;
use crate::http::forwarded;
use crate::leases::Leases;
use crate::ledger::Ledger;
use crate::limits::Limits;
use crate::settings::Shared;
use crate::tls::Certificates;
use crate::upstream::{Dialer, Pool};

/// Seconds between two reports of one token's use.
const TOKEN_REPORT: Timestamp = 60;
/// Seconds between two visits of the authoriser for the sake of one session's siblings.
const REPAIR: Timestamp = 60;
/// Sessions remembered before old ones are dropped.
const SESSIONS_MAX: usize = 4096;
/// How long an idle connection outlives the beginning of a drain, or of a shortage of memory.
pub const LAST_REQUEST: Duration = Duration::from_secs(1);
/// Notices a second of one core.
const NOTICES: u32 = 4;
/// Tokens remembered before old ones are dropped.
const TOKENS_MAX: usize = 4096;

/// The state of one core.
#[derive(Debug)]
pub struct Core {
    pub settings: Shared,
    pub directory: Directory,
    pub leases: Rc<Leases>,
    pub limits: Limits,
    pub pool: Pool,
    pub dialer: Dialer,
    pub control: Control,
    /// When each token's use was last reported.
    pub tokens: RefCell<HashMap<SecretHash, Timestamp>>,
    /// When each session was last sent to fetch logins for siblings.
    pub repaired: RefCell<HashMap<SecretHash, Timestamp>>,
    /// Notices of this second.
    pub notices: Cell<(Timestamp, u32)>,
    pub ledger: Ledger,
    /// Workspaces used since the last report.
    pub used: RefCell<HashMap<Arc<str>, Attention>>,
    /// Requests that wait for their workspace to start.
    pub held: Busy,
    /// True once the gateway is leaving: finish what is under way and take nothing new.
    pub draining: watch::Receiver<bool>,
}

impl Core {
    /// The wall clock, in seconds.
    pub fn now(&self) -> Timestamp {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
    }

    /// Reports the use of a token, once a minute at most: its owner reads minutes, not requests.
    pub fn token_used(&self, token: SecretHash) {
        let now = self.now();
        let mut tokens = self.tokens.borrow_mut();
        if tokens.get(&token).is_some_and(|at| now < at + TOKEN_REPORT) {
            return;
        }
        if tokens.len() >= TOKENS_MAX {
            tokens.retain(|_, at| now < *at + TOKEN_REPORT);
        }
        tokens.insert(token, now);
        self.control.token_used(token);
    }

    /// Tells every core of something noticed. A stranger can cause notices, so there are only so many a second.
    /// What it gives, where it is told at all, resolves when every core knows.
    pub fn notice(&self, workspace: &str, notice: Notice) -> Option<oneshot::Receiver<()>> {
        let (now, (second, count)) = (self.now(), self.notices.get());
        let count = if second == now { count + 1 } else { 1 };
        self.notices.set((now, count));
        (count <= NOTICES).then(|| self.control.noticed(workspace.into(), notice))
    }

    /// Whether a session may be sent away once more to fetch logins for siblings; it is then noted that it was.
    pub fn may_repair(&self, session: SecretHash) -> bool {
        let now = self.now();
        let mut repaired = self.repaired.borrow_mut();
        if repaired.get(&session).is_some_and(|at| now < at + REPAIR) {
            return false;
        }
        if repaired.len() >= SESSIONS_MAX {
            repaired.retain(|_, at| now < *at + REPAIR);
        }
        // Where there is no room to remember it, it might go in circles.
        let room = repaired.len() < SESSIONS_MAX;
        if room {
            repaired.insert(session, now);
        }
        room
    }

    /// Notes that a workspace is used. Said again before the next report, it costs a look-up.
    pub fn active(&self, permit: &Permit, attention: Attention) {
        if !self.settings.reports_activity || permit.is_front() {
            return;
        }
        let id = &permit.workspace().id;
        let mut used = self.used.borrow_mut();
        match used.get_mut(id) {
            Some(known) => *known = attention.max(*known),
            None => drop(used.insert(id.clone(), attention)),
        }
    }

    /// Reports what was used since the last time; kept where it cannot be handed over.
    pub fn report_activity(&self) {
        if !self.settings.reports_activity {
            return;
        }
        self.leases.look(self.now(), |permit, attention| self.active(permit, attention));
        let mut used = self.used.borrow_mut();
        if !used.is_empty()
            && self.control.active(used.iter().map(|(id, attention)| (id.clone(), *attention)).collect())
        {
            used.clear();
        }
    }

    /// How long new requests are still served in a drain.
    pub fn last_request(&self) -> Duration {
        LAST_REQUEST.min(self.settings.timeouts.drain / 4)
    }

    /// Resolves a moment after the gateway begins to leave, or its memory is short: until then an idle connection is kept,
    /// because the visitor's next request may be on its way. It is answered, and told that the connection closes (RFC 9112 9.6).
    pub async fn leaves(&self) {
        let mut draining = self.draining.clone();
        let _ = draining.wait_for(|draining| *draining || self.limits.sheds()).await;
        sleep(self.last_request()).await;
    }

    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Whether a connection may wait for another request.
    pub fn keeps_idle(&self) -> bool {
        !self.is_draining() && !self.limits.sheds()
    }
}

/// One visitor's connection.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Who it comes from, or whom a trusted proxy announced.
    pub peer: IpAddr,
    /// The proxies whose word is taken, where the peer is one.
    pub proxies: Option<Arc<[Cidr]>>,
    /// It came over TLS.
    pub secure: bool,
    pub http2: bool,
    /// The certificate it was shown: SNI and the set it was chosen from.
    pub shown: Option<(Arc<str>, Arc<Certificates>)>,
}

impl Visit {
    /// The address of whoever sent a request.
    pub fn client(&self, head: &RequestHead) -> IpAddr {
        let Some(proxies) = &self.proxies else { return self.peer };
        let lists: Vec<&[u8]> = head.fields().all_named(b"x-forwarded-for").collect();
        forwarded::client(self.peer, proxies, lists.into_iter())
    }

    /// Whether this connection may carry requests for `host` (RFC 9110 7.4).
    pub fn certificate_covers(&self, host: &str) -> bool {
        self.shown.as_ref().is_none_or(|(sni, certificates)| certificates.covers(sni, host))
    }
}
