//! One core: everything its requests share, used by one thread only.
//!
//! What cores share with each other is the settings, the snapshot, the load counters and the control channel; nothing else.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use portway_core::Timestamp;
use portway_core::secret::SecretHash;
use tokio::sync::watch;

use crate::control::Control;
use crate::directory::Directory;
use crate::leases::Leases;
use crate::ledger::Ledger;
use crate::settings::Shared;
use crate::tls::Certificates;
use crate::upstream::{Dialer, Pool};

/// Seconds between two reports of one token's use.
const TOKEN_REPORT: Timestamp = 60;
/// Tokens remembered before old ones are dropped.
const TOKENS_MAX: usize = 4096;

/// The state of one core.
#[derive(Debug)]
pub struct Core {
    pub settings: Shared,
    pub directory: Directory,
    pub leases: Rc<Leases>,
    pub pool: Pool,
    pub dialer: Dialer,
    pub control: Control,
    /// When each token's use was last reported.
    pub tokens: RefCell<HashMap<SecretHash, Timestamp>>,
    pub ledger: Ledger,
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

    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }
}

/// One visitor's connection.
#[derive(Clone, Debug)]
pub struct Visit {
    pub peer: IpAddr,
    /// It came over TLS.
    pub secure: bool,
    pub http2: bool,
    /// The certificate it was shown: SNI and the set it was chosen from.
    pub shown: Option<(Arc<str>, Arc<Certificates>)>,
}

impl Visit {
    /// Whether this connection may carry requests for `host` (RFC 9110 7.4).
    pub fn certificate_covers(&self, host: &str) -> bool {
        self.shown.as_ref().is_none_or(|(sni, certificates)| certificates.covers(sni, host))
    }
}
