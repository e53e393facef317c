//! The leases of one core: every permit under which bytes move, so that a change can end it (R53).
//!
//! A lease owns its permit; dropping it deregisters. Decision and registration happen in one turn of the core, and a
//! change is heard in a later one, so nothing falls between. It also counts the bytes that move under it, so that an open
//! stream can be told from a busy one. It knows no HTTP: a cut lease just resolves `revoked`.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use portway_core::Timestamp;
use portway_core::access::{Permit, Rules};
use portway_core::activity::{Attention, KEEP_ALIVE_BYTES, KEEP_ALIVE_SPAN};
use portway_core::snapshot::{Diff, Snapshot};
use slab::Slab;

use crate::limits::Counted;
use crate::relay::visitor::Progress;

/// All leases of one core.
#[derive(Debug, Default)]
pub struct Leases {
    slots: RefCell<Slab<Rc<Slot>>>,
}

/// Why a lease was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The permission ended, or the drain's time is over.
    Revoked,
    /// The visitor takes nothing, and memory is short.
    Stalled,
}

impl Cut {
    /// For logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Stalled => "stalled",
        }
    }
}

struct Slot {
    permit: Permit,
    cut: Cell<Option<Cut>>,
    /// From the visitor, and to them.
    up: Progress,
    down: Progress,
    /// What was moved at the last look, and from the visitor at the beginning of this minute.
    seen: Cell<(u64, u64)>,
    minute: Cell<(Timestamp, u64)>,
    waker: RefCell<Option<Waker>>,
    /// What it counts for.
    _counted: Option<Counted>,
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("permit", &self.permit).field("cut", &self.cut).finish_non_exhaustive()
    }
}

/// A permit in use. Not `Clone`: one stream, one lease.
pub struct Lease {
    slot: Rc<Slot>,
    key: usize,
    home: Rc<Leases>,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.slot.fmt(f)
    }
}

impl Leases {
    /// Registers a permit. Call it in the same turn as the decision.
    pub fn register(self: &Rc<Self>, permit: Permit, counted: Option<Counted>) -> Lease {
        let slot = Rc::new(Slot {
            permit,
            cut: Cell::new(None),
            up: Progress::default(),
            down: Progress::default(),
            seen: Cell::default(),
            minute: Cell::default(),
            waker: RefCell::default(),
            _counted: counted,
        });
        let key = self.slots.borrow_mut().insert(slot.clone());
        Lease { slot, key, home: self.clone() }
    }

    /// How many streams hold a lease.
    pub fn len(&self) -> usize {
        self.slots.borrow().len()
    }

    /// Tells of every stream in which bytes have moved since the last look, and whether a person is behind them.
    pub fn look(&self, now: Timestamp, mut tell: impl FnMut(&Permit, Attention)) {
        for (_, slot) in self.slots.borrow().iter() {
            let (up, down) = (slot.up.moved.get(), slot.down.moved.get());
            if slot.seen.replace((up, down)) == (up, down) {
                continue;
            }
            let (began, before) = slot.minute.get();
            // What a stream sends by itself to stay open is little.
            let attended = up - before > KEEP_ALIVE_BYTES;
            if attended || now >= began + KEEP_ALIVE_SPAN {
                slot.minute.set((now, up));
            }
            tell(&slot.permit, if attended { Attention::Attended } else { Attention::Background });
        }
    }

    /// Decides again whatever `diff` touches; returns how many leases were cut.
    pub fn recheck(&self, snapshot: &Snapshot, diff: &Diff, rules: &Rules, now: Timestamp) -> usize {
        self.cut_where(Cut::Revoked, |slot| {
            slot.permit.is_touched_by(diff) && !slot.permit.still_holds(snapshot, rules, now)
        })
    }

    /// Cuts what has run out of time.
    pub fn expire(&self, now: Timestamp) -> usize {
        self.cut_where(Cut::Revoked, |slot| slot.permit.expires_at().is_some_and(|end| end <= now))
    }

    /// Cuts everything: the end of a drain.
    pub fn cut_all(&self) -> usize {
        self.cut_where(Cut::Revoked, |_| true)
    }

    /// Cuts streams whose visitor has kept what was read for them waiting for longer than `patience`.
    pub fn cut_stalled(&self, patience: Duration) -> usize {
        self.cut_where(Cut::Stalled, |slot| slot.down.waited().is_some_and(|waited| waited > patience))
    }

    fn cut_where(&self, why: Cut, doomed: impl Fn(&Slot) -> bool) -> usize {
        let slots = self.slots.borrow();
        let mut count = 0;
        for (_, slot) in slots.iter().filter(|(_, slot)| slot.cut.get().is_none() && doomed(slot)) {
            slot.cut.set(Some(why));
            count += 1;
            if let Some(waker) = slot.waker.borrow_mut().take() {
                waker.wake();
            }
        }
        count
    }
}

impl Lease {
    pub fn permit(&self) -> &Permit {
        &self.slot.permit
    }

    /// Bytes from the visitor.
    pub(crate) fn up(&self) -> &Progress {
        &self.slot.up
    }

    /// Bytes to the visitor.
    pub(crate) fn down(&self) -> &Progress {
        &self.slot.down
    }

    /// Why it was cut, if it was.
    pub fn cut(&self) -> Option<Cut> {
        self.slot.cut.get()
    }

    /// Resolves when the lease is cut; bytes must stop then.
    pub async fn revoked(&self) -> Cut {
        poll_fn(|cx| {
            if let Some(why) = self.slot.cut.get() {
                return Poll::Ready(why);
            }
            let mut waker = self.slot.waker.borrow_mut();
            if !waker.as_ref().is_some_and(|old| old.will_wake(cx.waker())) {
                *waker = Some(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.home.slots.borrow_mut().try_remove(self.key);
    }
}
