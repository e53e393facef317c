//! What a running gateway notices of a workspace's ports, beside what is configured: which of them people open, which a
//! page wanted and did not get, and which refused the name they were told.
//!
//! Hints, never rights: who may open a port is decided without them. They are bounded, and forgotten at a restart.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Timestamp;
use crate::workspace::Profile;

/// The most hosts of one kind that are remembered of a workspace: as many siblings as one login takes along.
pub const HOSTS_MAX: usize = 8;
/// How long a call that was refused asks for a login, in seconds.
pub const MISSED_AGE: Timestamp = 600;
/// Within how many seconds the same notice says nothing new.
const REPEAT: Timestamp = 60;
/// The most ports whose profile was switched.
const PROFILES_MAX: usize = 64;

/// One thing noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Somebody has got a session on this host.
    Opened(Arc<str>),
    /// A page of the same workspace called this host and had no session there.
    Missed(Arc<str>),
    /// The dev server on this port refused the name it was told; it is told the other one from now on.
    Switched { port: u16, profile: Profile },
}

/// Everything noticed of one workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Noticed {
    /// Newest first.
    opened: Vec<(Arc<str>, Timestamp)>,
    /// Newest first.
    missed: Vec<(Arc<str>, Timestamp)>,
    profiles: BTreeMap<u16, Profile>,
}

impl Noticed {
    /// With one notice more; `None` where it says nothing new.
    pub fn with(&self, notice: &Notice, now: Timestamp) -> Option<Self> {
        let mut next = self.clone();
        match notice {
            Notice::Opened(host) => {
                let missed = self.missed.iter().any(|(known, _)| known == host);
                if !missed && is_known(&self.opened, host, now) {
                    return None;
                }
                next.missed.retain(|(known, _)| known != host);
                put(&mut next.opened, host, now);
            }
            Notice::Missed(host) => {
                if is_known(&self.missed, host, now) {
                    return None;
                }
                put(&mut next.missed, host, now);
            }
            Notice::Switched { port, profile } => {
                // Once: a server that refuses both names would have it switched back and forth.
                if self.profiles.contains_key(port) || self.profiles.len() >= PROFILES_MAX {
                    return None;
                }
                next.profiles.insert(*port, *profile);
            }
        }
        Some(next)
    }

    /// In the workspace's next life other servers run on its ports.
    pub fn reborn(&self) -> Self {
        Self { profiles: BTreeMap::new(), ..self.clone() }
    }

    /// The profile that a port was switched to.
    pub fn profile(&self, port: u16) -> Option<Profile> {
        self.profiles.get(&port).copied()
    }

    /// The hosts that people have sessions on, the latest first.
    pub fn opened(&self) -> impl Iterator<Item = &Arc<str>> {
        self.opened.iter().map(|(host, _)| host)
    }

    /// The hosts that a page called in vain a short while ago, the latest first.
    pub fn missed(&self, now: Timestamp) -> impl Iterator<Item = &Arc<str>> {
        self.missed.iter().filter(move |(_, at)| now < at.saturating_add(MISSED_AGE)).map(|(host, _)| host)
    }
}

fn is_known(list: &[(Arc<str>, Timestamp)], host: &Arc<str>, now: Timestamp) -> bool {
    list.iter().any(|(known, at)| known == host && now < at.saturating_add(REPEAT))
}

fn put(list: &mut Vec<(Arc<str>, Timestamp)>, host: &Arc<str>, now: Timestamp) {
    list.retain(|(known, _)| known != host);
    list.insert(0, (host.clone(), now));
    list.truncate(HOSTS_MAX);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(steps: &[(Notice, Timestamp)]) -> Noticed {
        let mut noticed = Noticed::default();
        for (notice, now) in steps {
            noticed = noticed.with(notice, *now).unwrap_or(noticed);
        }
        noticed
    }

    fn opened(host: &str) -> Notice {
        Notice::Opened(host.into())
    }

    fn missed(host: &str) -> Notice {
        Notice::Missed(host.into())
    }

    fn names<'a>(hosts: impl Iterator<Item = &'a Arc<str>>) -> Vec<&'a str> {
        hosts.map(AsRef::as_ref).collect()
    }

    #[test]
    fn what_is_opened_is_no_longer_missed() {
        let noticed = noted(&[(missed("a"), 1), (missed("b"), 2), (opened("a"), 3)]);
        assert_eq!(names(noticed.missed(3)), ["b"]);
        assert_eq!(names(noticed.opened()), ["a"]);
        // Opened a moment ago, and missed again since: that is news.
        let again = noted(&[(opened("a"), 1), (missed("a"), 2), (opened("a"), 3)]);
        assert_eq!((names(again.missed(3)), names(again.opened())), (Vec::new(), vec!["a"]));
    }

    #[test]
    fn a_missed_host_is_forgotten_in_time() {
        let noticed = noted(&[(missed("a"), 100)]);
        assert_eq!(names(noticed.missed(100 + MISSED_AGE - 1)), ["a"]);
        assert!(noticed.missed(100 + MISSED_AGE).next().is_none());
    }

    #[test]
    fn lists_are_bounded_and_newest_first() {
        let many: Vec<_> = (0..20).map(|n| (missed(&n.to_string()), n)).collect();
        let noticed = noted(&many);
        assert_eq!(names(noticed.missed(20)), ["19", "18", "17", "16", "15", "14", "13", "12"]);
    }

    #[test]
    fn the_same_notice_soon_again_changes_nothing() {
        let noticed = noted(&[(missed("a"), 100), (opened("b"), 100)]);
        assert_eq!(noticed.with(&missed("a"), 100 + REPEAT - 1), None);
        assert_eq!(noticed.with(&opened("b"), 100 + REPEAT - 1), None);
        assert!(noticed.with(&missed("a"), 100 + REPEAT).is_some());
    }

    #[test]
    fn a_profile_is_switched_once_in_a_life() {
        let to = |profile| Notice::Switched { port: 8080, profile };
        let noticed = noted(&[(to(Profile::Localhost), 1), (to(Profile::Public), 2)]);
        assert_eq!(noticed.profile(8080), Some(Profile::Localhost));
        assert_eq!(noticed.profile(3000), None);
        assert_eq!(noticed.reborn().profile(8080), None);
    }
}
