//! Counting what is under way on one core: the streams of a connection, the requests that are held.
//!
//! It knows not what it counts.

use std::cell::Cell;
use std::rc::Rc;

/// How many of something are under way. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Busy(Rc<Cell<usize>>);

impl Busy {
    pub fn enter(&self) -> BusyGuard {
        self.0.set(self.0.get() + 1);
        BusyGuard(self.0.clone())
    }

    pub fn count(&self) -> usize {
        self.0.get()
    }
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct BusyGuard(Rc<Cell<usize>>);

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}
