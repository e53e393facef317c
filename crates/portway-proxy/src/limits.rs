//! What one address, visitor or workspace may have at once and within a second, so that nobody takes what is their
//! neighbours' (R50).
//!
//! Counters are shared by all cores, because a visitor is on one core and their workspace's others on another. They are
//! tables of fixed size without a lock: a key has two cells of its table, chosen by a hash with a secret, and its
//! count is the lesser of the two. So whoever shares one cell with a busy key is not counted with it, memory is
//! bounded however many keys there are, and nothing has to be forgotten. It knows neither requests nor what is answered.

pub mod sharing;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use portway_core::dial::network;

/// Cells of a table. Two busy keys hide behind each other's cells once in a hundred million pairs.
const CELLS: usize = 16_384;
/// A second's rate may be used up this many times over at once: a page is a burst, and then somebody reads it.
const BURST: u64 = 10;
/// In nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// How much is allowed; 0 for as much as there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Open connections from one address.
    pub address_connections: u32,
    /// Requests and streams under way of one visitor.
    pub visitor_requests: u32,
    /// Requests of one visitor, a second.
    pub visitor_rate: u32,
    /// Requests and streams under way to one workspace.
    pub workspace_requests: u32,
    /// Requests to one workspace, a second.
    pub workspace_rate: u32,
    /// Open sockets to visitors and dev servers together: what the process has descriptors for.
    pub sockets: usize,
}

/// Whose limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    Visitor,
    Workspace,
}

/// Who is counted: a user, or an address where nobody has logged in.
#[derive(Clone, Copy, Debug, Hash)]
pub enum Who<'a> {
    User(&'a str),
    Address(IpAddr),
}

/// All counters of the gateway. Clones share them.
#[derive(Clone, Debug)]
pub struct Limits(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    allowed: Allowed,
    /// What cells are chosen with.
    secret: AtomicU64,
    started: Instant,
    /// Memory is short: what is open goes on, and nothing new begins.
    sheds: AtomicBool,
    sockets: AtomicUsize,
    connections: Table,
    visitors: Table,
    workspaces: Table,
}

/// Counts of one kind of key.
#[derive(Debug)]
struct Table(Box<[Cell]>);

#[derive(Debug, Default)]
struct Cell {
    /// How many are under way, in the lower half, and how many were admitted so far, in the upper one: one addition counts
    /// both. It goes round.
    count: AtomicU64,
    /// When what was admitted is paid off at the allowed rate, in nanoseconds since the start.
    paid: AtomicU64,
}

/// One more in the upper half of a cell's count, and in both halves.
const ADMITTED: u64 = 1 << 32;
const ENTERED: u64 = ADMITTED + 1;

impl Cell {
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
    fn under_way(count: u64) -> u32 {
        count as u32
    }

    /// How many were admitted so far, modulo 2^32.
    fn admitted(&self) -> u32 {
        (self.count.load(Ordering::Relaxed) >> 32) as u32
    }
}

/// The two cells of a key.
#[derive(Clone, Copy, Debug)]
struct Cells([usize; 2]);

/// One request or stream that counts, until it is dropped.
#[derive(Debug)]
pub struct Counted {
    limits: Limits,
    visitor: Option<Cells>,
    workspace: Option<Cells>,
}

/// One open socket, until it is dropped.
#[derive(Debug)]
pub struct CountedSocket(Limits);

/// One connection that counts for its address, until it is dropped.
#[derive(Debug)]
pub struct CountedConnection {
    limits: Limits,
    address: Cells,
}

impl Limits {
    pub fn new(allowed: Allowed) -> Self {
        Self(Arc::new(Shared {
            allowed,
            // The standard library has random bytes for its own tables.
            secret: AtomicU64::new(RandomState::new().hash_one(CELLS)),
            started: Instant::now(),
            sheds: AtomicBool::new(false),
            sockets: AtomicUsize::new(0),
            connections: Table::default(),
            visitors: Table::default(),
            workspaces: Table::default(),
        }))
    }

    /// Whether new work is refused, because memory is short.
    pub fn sheds(&self) -> bool {
        self.0.sheds.load(Ordering::Relaxed)
    }

    pub(crate) fn shed(&self, sheds: bool) {
        self.0.sheds.store(sheds, Ordering::Relaxed);
    }

    /// Whether no more sockets may be opened. Two cores that ask at once may each open one more.
    pub fn is_full(&self) -> bool {
        let most = self.0.allowed.sockets;
        most != 0 && self.0.sockets.load(Ordering::Relaxed) >= most
    }

    /// Counts an open socket.
    pub fn socket(&self) -> CountedSocket {
        self.0.sockets.fetch_add(1, Ordering::Relaxed);
        CountedSocket(self.clone())
    }

    /// Counts a connection; `None` where its address has as many as it may.
    pub fn connection(&self, peer: IpAddr) -> Option<CountedConnection> {
        let address = cells(self.secret(), network(peer));
        self.0
            .connections
            .enter(address, self.0.allowed.address_connections)
            .then(|| CountedConnection { limits: self.clone(), address })
    }

    /// Counts a request of a visitor to a workspace.
    ///
    /// # Errors
    /// Whose limit is reached; nothing is counted then.
    pub fn request(&self, who: Who<'_>, workspace: &str) -> Result<Counted, Limited> {
        let shared = &*self.0;
        let secret = self.secret();
        let (visitor, workspace) = (cells(secret, who), cells(secret, workspace));
        let mut counted = Counted { limits: self.clone(), visitor: None, workspace: None };
        // Whoever is dropped on the way out takes back what was counted before.
        if !shared.visitors.enter(visitor, shared.allowed.visitor_requests) {
            return Err(Limited::Visitor);
        }
        counted.visitor = Some(visitor);
        if !shared.workspaces.enter(workspace, shared.allowed.workspace_requests) {
            shared.visitors.add(visitor, ADMITTED.wrapping_neg());
            return Err(Limited::Workspace);
        }
        counted.workspace = Some(workspace);
        // What the workspace refuses has cost the visitor nothing but patience, so the visitor's own rate comes first.
        if !shared.visitors.pay(visitor, shared.allowed.visitor_rate, shared.started) {
            shared.visitors.add(visitor, ADMITTED.wrapping_neg());
            shared.workspaces.add(workspace, ADMITTED.wrapping_neg());
            return Err(Limited::Visitor);
        }
        if !shared.workspaces.pay(workspace, shared.allowed.workspace_rate, shared.started) {
            shared.workspaces.add(workspace, ADMITTED.wrapping_neg());
            return Err(Limited::Workspace);
        }
        Ok(counted)
    }

    /// Counts an answer of ours to somebody who has not shown who they are; false where it is one too many.
    pub fn answer(&self, who: Who<'_>) -> bool {
        let (table, cells) = (&self.0.visitors, cells(self.secret(), who));
        let admitted = table.pay(cells, self.0.allowed.visitor_rate, self.0.started);
        if admitted {
            table.add(cells, ADMITTED);
        }
        admitted
    }

    fn secret(&self) -> u64 {
        self.0.secret.load(Ordering::Relaxed)
    }
}

/// The two cells of a key.
#[expect(clippy::cast_possible_truncation, reason = "the upper half of a hash is as good as the lower")]
fn cells(secret: u64, key: impl Hash) -> Cells {
    let hash = hash(secret, key);
    let first = hash as usize % CELLS;
    // Never the same cell twice.
    let step = 1 + (hash >> 32) as usize % (CELLS - 1);
    Cells([first, (first + step) % CELLS])
}

fn hash(secret: u64, key: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(secret);
    key.hash(&mut hasher);
    hasher.finish()
}

impl Default for Table {
    fn default() -> Self {
        Self((0..CELLS).map(|_| Cell::default()).collect())
    }
}

impl Table {
    fn of(&self, cells: Cells) -> impl Iterator<Item = &Cell> {
        cells.0.into_iter().filter_map(|at| self.0.get(at))
    }

    /// Counts one more unless there are `most` already; 0 for no limit.
    fn enter(&self, cells: Cells, most: u32) -> bool {
        let enter = |cell: &Cell| Cell::under_way(cell.count.fetch_add(ENTERED, Ordering::Relaxed));
        let before = self.of(cells).map(enter).min();
        let admitted = most == 0 || before.is_none_or(|before| before < most);
        if !admitted {
            self.add(cells, ENTERED.wrapping_neg());
        }
        admitted
    }

    fn leave(&self, cells: Cells) {
        self.add(cells, 1_u64.wrapping_neg());
    }

    /// Adds to the counts of a key, or takes away what was added; both go round.
    fn add(&self, cells: Cells, count: u64) {
        for cell in self.of(cells) {
            cell.count.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// A leaky bucket in each cell; what one of the two still has room for is admitted.
    fn pay(&self, cells: Cells, rate: u32, started: Instant) -> bool {
        if rate == 0 {
            return true;
        }
        let now = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let cost = SECOND / u64::from(rate);
        let owed = self.of(cells).map(|cell| cell.paid.load(Ordering::Relaxed).saturating_sub(now)).min();
        if owed.is_some_and(|owed| owed + cost > BURST * SECOND) {
            return false;
        }
        for cell in self.of(cells) {
            let _ = cell.paid.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |paid| Some(paid.max(now) + cost));
        }
        true
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(cells) = self.visitor {
            self.limits.0.visitors.leave(cells);
        }
        if let Some(cells) = self.workspace {
            self.limits.0.workspaces.leave(cells);
        }
    }
}

impl Drop for CountedSocket {
    fn drop(&mut self) {
        self.0.0.sockets.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for CountedConnection {
    fn drop(&mut self) {
        self.limits.0.connections.leave(self.address);
    }
}

impl<'a> Who<'a> {
    /// A user if there is one, else an address, which is asked for only then.
    pub fn of(user: Option<&'a str>, peer: impl FnOnce() -> IpAddr) -> Self {
        user.map_or_else(|| Self::Address(network(peer())), Self::User)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn limits(allowed: Allowed) -> Limits {
        Limits::new(allowed)
    }

    #[test]
    fn what_is_under_way_is_counted_and_what_has_ended_is_not() {
        let limits = limits(Allowed { visitor_requests: 2, workspace_requests: 3, ..Allowed::default() });
        let ask = |user, workspace| limits.request(Who::User(user), workspace);
        let (first, second) = (ask("alice", "a").unwrap(), ask("alice", "b").unwrap());
        assert_eq!(ask("alice", "c").unwrap_err(), Limited::Visitor);
        let others = [ask("bob", "a").unwrap(), ask("carol", "a").unwrap()];
        assert_eq!(ask("dave", "a").unwrap_err(), Limited::Workspace);
        assert!(ask("dave", "b").is_ok(), "a refusal for one workspace counted for another");
        drop(first);
        assert!(ask("dave", "a").is_ok(), "an end was not counted");
        assert!(ask("alice", "a").is_ok());
        drop((second, others));
        for table in [&limits.0.visitors, &limits.0.workspaces] {
            assert!(
                table.0.iter().all(|cell| Cell::under_way(cell.count.load(Ordering::Relaxed)) == 0),
                "something is counted still"
            );
        }
    }

    #[test]
    fn a_rate_lets_a_burst_through_and_then_its_share() {
        let limits = limits(Allowed { visitor_rate: 10, ..Allowed::default() });
        let admitted = (0..1000).filter(|_| limits.request(Who::User("alice"), "a").is_ok()).count();
        assert!((100..110).contains(&admitted), "{admitted}");
        assert!(limits.request(Who::User("bob"), "a").is_ok(), "a neighbour was refused");
        assert!(limits.answer(Who::Address(ONE)));
    }

    #[test]
    fn a_busy_key_is_nobody_elses_trouble() {
        let limits = limits(Allowed { visitor_requests: 100, visitor_rate: 10, ..Allowed::default() });
        let busy: Vec<_> = (0..100).map(|_| limits.request(Who::User("busy"), "a")).collect();
        assert!(limits.request(Who::User("busy"), "a").is_err());
        // As many as the table has cells; about two of them share one cell with the busy key, none both but by chance.
        let refused = (0..CELLS).filter(|n| limits.request(Who::User(&n.to_string()), "a").is_err()).count();
        assert!(refused <= 1, "{refused}");
        drop(busy);
    }

    #[test]
    fn an_address_is_a_v4_address_or_a_v6_network() {
        let limits = limits(Allowed { address_connections: 1, ..Allowed::default() });
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let first = limits.connection(ip("192.0.2.1")).unwrap();
        assert!(limits.connection(ip("::ffff:192.0.2.1")).is_none());
        let other = limits.connection(ip("2001:db8::1")).unwrap();
        assert!(limits.connection(ip("2001:db8::ffff:2")).is_none());
        assert!(limits.connection(ip("2001:db8:0:1::1")).is_some());
        drop((first, other));
        assert!(limits.connection(ip("192.0.2.1")).is_some());
    }
}
