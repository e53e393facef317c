//! When a source last answered: for readiness, and for how long it is believed (R70). And the clock of this crate.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use portway_core::Timestamp;

/// The wall clock, in seconds.
pub fn now() -> Timestamp {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// When something last answered. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Freshness(Arc<AtomicU64>);

impl Freshness {
    /// Seconds since it last answered; `None` before the first time.
    pub fn age(&self) -> Option<u64> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            at => Some(now().saturating_sub(at)),
        }
    }

    /// It has just answered.
    pub fn touch(&self) {
        self.0.store(now(), Ordering::Relaxed);
    }
}
