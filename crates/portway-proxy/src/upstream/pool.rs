//! Idle connections of one core, by who may use them: one workspace generation, one port, one visitor (R36, R42).
//!
//! Sharing a connection between visitors would let what one of them left in it answer another; only public ports share.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use portway_core::access::Permit;
use portway_core::host::Scheme;
use portway_core::snapshot::Diff;

use super::conn::Connection;
use super::dial::Door;

/// The most idle connections for one key. It must hold what a burst leaves behind: with 64, a thousand visitors' connections
/// cost twice nginx's CPU a request, because most of theirs were dialled anew.
const PER_KEY: usize = 1024;
/// The most idle connections of one core.
const TOTAL: usize = 4096;

/// Who may reuse a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PoolKey {
    workspace: Arc<str>,
    generation: Arc<str>,
    port: u16,
    tls: bool,
    door: Door,
    /// `None` on a public port.
    user: Option<Arc<str>>,
}

impl PoolKey {
    pub fn of(permit: &Permit, door: Door) -> Self {
        Self {
            workspace: permit.workspace().key.clone(),
            generation: permit.workspace().generation.clone(),
            port: permit.port(),
            tls: permit.scheme() == Scheme::Https,
            door,
            user: permit.user().cloned(),
        }
    }
}

/// The idle connections of one core.
#[derive(Debug, Default)]
pub struct Pool {
    idle: RefCell<HashMap<PoolKey, Vec<Connection>>>,
    count: Cell<usize>,
}

impl Pool {
    /// Takes the connection used last that may carry the request and goes to one of `addresses`.
    pub async fn take(&self, key: &PoolKey, repeatable: bool, addresses: &[IpAddr]) -> Option<Connection> {
        loop {
            let mut connection = {
                let mut idle = self.idle.borrow_mut();
                let list = idle.get_mut(key)?;
                // Newest first: the oldest are then the ones that age out.
                let at = list.iter().rposition(|c| c.may_carry(repeatable) && addresses.contains(&c.peer))?;
                self.count.set(self.count.get() - 1);
                list.remove(at)
            };
            if connection.is_quiet().await {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection after a clean exchange.
    pub fn put(&self, key: PoolKey, mut connection: Connection) {
        connection.rest();
        let mut idle = self.idle.borrow_mut();
        if self.count.get() >= TOTAL {
            return;
        }
        let list = idle.entry(key).or_default();
        if list.len() < PER_KEY {
            list.push(connection);
            self.count.set(self.count.get() + 1);
        }
    }

    /// Drops what a change may have given another tenant.
    pub fn forget(&self, diff: &Diff) {
        self.idle.borrow_mut().retain(|key, _| {
            !diff.workspaces.contains(&key.workspace)
                && !key.user.as_ref().is_some_and(|user| diff.users.contains(user))
        });
        self.recount();
    }

    /// Drops everything.
    pub fn clear(&self) {
        self.idle.borrow_mut().clear();
        self.count.set(0);
    }

    /// Drops what has been idle too long.
    pub fn sweep(&self) {
        self.idle.borrow_mut().retain(|_, list| {
            list.retain(|connection| !connection.is_stale());
            !list.is_empty()
        });
        self.recount();
    }

    /// How many connections are idle.
    pub fn len(&self) -> usize {
        self.count.get()
    }

    fn recount(&self) {
        self.count.set(self.idle.borrow().values().map(Vec::len).sum());
    }
}
