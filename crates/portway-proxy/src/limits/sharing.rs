//! What several gateways count together: what each cell has admitted since the last look, for the others, and what all of
//! them have let through, for this one (R50).
//!
//! Gateways that hash with the same secret put a key into the same cells, so cells can be added up and nobody need be named.
//! It knows not how others are told.

use std::cmp::Reverse;
use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{BURST, CELLS, Limits, SECOND, Table, Who, hash};

/// What is less than this part of a second's rate is not worth telling.
const WORTH: u32 = 16;
/// The most cells of a table that are told at once: two for each key.
const TOLD: usize = 512;
/// The longest that others' use keeps a key waiting, whatever they say: a burst, and a minute.
pub const OWED_MAX: Duration = Duration::from_secs(BURST + 60);

/// Which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Visitors,
    Workspaces,
}

/// What one cell has admitted since the last look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    kind: Kind,
    at: usize,
    /// How long it takes to pay that off at the allowed rate.
    pub takes: Duration,
}

impl fmt::Display for Use {
    /// The cell's name, which is the same on every gateway with the same secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Visitors => 'v',
            Kind::Workspaces => 'w',
        };
        write!(f, "{kind}{}", self.at)
    }
}

/// Looks at the counters of one gateway again and again.
#[derive(Debug)]
pub struct Tally {
    limits: Limits,
    visitors: Vec<u32>,
    workspaces: Vec<u32>,
}

impl Tally {
    /// Counts from now on.
    pub fn new(limits: Limits) -> Self {
        let mut tally = Self { limits, visitors: vec![0; CELLS], workspaces: vec![0; CELLS] };
        tally.look();
        tally
    }

    /// What cells are chosen by.
    pub fn secret(&self) -> u64 {
        self.limits.0.secret.load(Ordering::Relaxed)
    }

    /// Chooses cells by another secret from now on. What is under way stays where it was counted; what was admitted before is
    /// forgotten.
    pub fn agree(&mut self, secret: u64) {
        self.limits.0.secret.store(secret, Ordering::Relaxed);
        self.look();
    }

    /// What the busiest cells have admitted since the last look, about a second ago.
    pub fn look(&mut self) -> Vec<Use> {
        let shared = &*self.limits.0;
        let mut uses = admitted(&shared.visitors, &mut self.visitors, Kind::Visitors, shared.allowed.visitor_rate);
        let rate = shared.allowed.workspace_rate;
        uses.extend(admitted(&shared.workspaces, &mut self.workspaces, Kind::Workspaces, rate));
        uses
    }

    /// Notes how long what all gateways have let through takes to pay off. What this one knows itself may be more.
    pub fn owe(&self, of: &Use, owed: Duration) {
        let shared = &*self.limits.0;
        let table = match of.kind {
            Kind::Visitors => &shared.visitors,
            Kind::Workspaces => &shared.workspaces,
        };
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        if let Some(cell) = table.0.get(of.at) {
            let paid = nanos(shared.started.elapsed()).saturating_add(nanos(owed.min(OWED_MAX)));
            cell.paid.fetch_max(paid, Ordering::Relaxed);
        }
    }
}

fn admitted(table: &Table, seen: &mut [u32], kind: Kind, rate: u32) -> Vec<Use> {
    let mut busy = Vec::new();
    for (at, (cell, seen)) in table.0.iter().zip(seen).enumerate() {
        let now = cell.admitted();
        let count = now.wrapping_sub(std::mem::replace(seen, now));
        if count > 0 && u64::from(count) * u64::from(WORTH) >= u64::from(rate) {
            busy.push((count, at));
        }
    }
    if rate == 0 {
        return Vec::new();
    }
    busy.sort_unstable_by_key(|(count, _)| Reverse(*count));
    busy.truncate(TOLD);
    let takes = |count| Duration::from_nanos(u64::from(count) * (SECOND / u64::from(rate)));
    busy.into_iter().map(|(count, at)| Use { kind, at, takes: takes(count) }).collect()
}

/// A word that differs where cells are chosen in another way, as another version might: such gateways share nothing.
pub fn scheme() -> String {
    let keys = (Who::User("user"), Who::Address(std::net::Ipv6Addr::LOCALHOST.into()), "workspace");
    format!("{:016x}", hash(CELLS as u64, keys))
}

#[cfg(test)]
mod tests {
    use super::super::Allowed;
    use super::*;

    fn tally(allowed: Allowed) -> Tally {
        let mut tally = Tally::new(Limits::new(allowed));
        tally.agree(7);
        tally
    }

    fn ask(tally: &Tally, user: &str) -> bool {
        tally.limits.request(Who::User(user), "a").is_ok()
    }

    #[test]
    fn what_is_admitted_is_told_once_and_what_is_refused_is_not() {
        let mut tally = tally(Allowed { visitor_rate: 10, workspace_rate: 1000, ..Allowed::default() });
        let admitted = (0..1000).filter(|_| ask(&tally, "alice")).count();
        let uses = tally.look();
        let names: Vec<_> = uses.iter().map(Use::to_string).collect();
        assert_eq!(names.iter().filter(|name| name.starts_with('v')).count(), 2, "{names:?}");
        assert_eq!(names.iter().filter(|name| name.starts_with('w')).count(), 2, "{names:?}");
        let takes = Duration::from_millis(100) * u32::try_from(admitted).unwrap();
        assert!(uses.iter().filter(|it| it.kind == Kind::Visitors).all(|it| it.takes == takes), "{uses:?}");
        assert_eq!(tally.look(), []);
        while tally.limits.answer(Who::User("stranger")) {}
        assert_eq!(tally.look().len(), 2, "answers of ours count for the visitor");
    }

    #[test]
    fn what_is_hardly_used_or_not_limited_is_not_told() {
        let mut little = tally(Allowed { visitor_rate: 160, ..Allowed::default() });
        assert!((0..9).all(|_| ask(&little, "alice")));
        assert_eq!(little.look(), []);
        assert!((0..10).all(|_| ask(&little, "alice")));
        assert_eq!(little.look().len(), 2, "and no workspace, because their rate has no limit");
    }

    #[test]
    fn what_others_have_used_up_is_used_up_here_and_a_neighbour_goes_on() {
        let allowed = Allowed { visitor_rate: 10, ..Allowed::default() };
        let (mut one, two) = (tally(allowed), tally(allowed));
        while ask(&one, "alice") {}
        for it in one.look() {
            two.owe(&it, Duration::from_secs(BURST + 1));
        }
        assert!(!ask(&two, "alice"), "gateways with the same secret choose other cells");
        assert!(ask(&two, "bob"));
        // Whatever a Redis says, nobody waits for longer than a burst and a minute.
        two.owe(&Use { kind: Kind::Visitors, at: 0, takes: Duration::ZERO }, Duration::MAX);
        let paid = two.limits.0.visitors.0[0].paid.load(Ordering::Relaxed);
        let now = two.limits.0.started.elapsed();
        assert!(Duration::from_nanos(paid) <= now + OWED_MAX, "{paid}");
    }

    #[test]
    fn what_was_counted_under_another_secret_still_ends() {
        let mut tally = tally(Allowed { visitor_requests: 2, ..Allowed::default() });
        let open = tally.limits.request(Who::User("alice"), "a").unwrap();
        tally.agree(8);
        drop(open);
        let counted = |table: &Table| {
            table.0.iter().any(|cell| super::super::Cell::under_way(cell.count.load(Ordering::Relaxed)) > 0)
        };
        assert!(!counted(&tally.limits.0.visitors) && !counted(&tally.limits.0.workspaces));
    }
}
