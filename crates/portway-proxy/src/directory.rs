//! The gateway's in-memory answer to "which workspace is this": a lock-free read of the newest snapshot.
//!
//! It is swapped by the one publisher, before any core hears of the change. No source is known here.

use std::sync::Arc;

use arc_swap::ArcSwap;
use portway_core::snapshot::Snapshot;

/// A handle on the current snapshot.
#[derive(Clone, Debug)]
pub struct Directory(Arc<ArcSwap<Snapshot>>);

impl Directory {
    pub fn new(current: Arc<ArcSwap<Snapshot>>) -> Self {
        Self(current)
    }

    /// The newest snapshot. Hold it for one decision, not for the life of a stream.
    pub fn load(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.0.load()
    }
}
