//! The world as one immutable value, and the only way it changes: `apply(&snapshot, events) -> (snapshot, diff)`.
//!
//! Maps are persistent, so that one change copies a path and not a hundred thousand records. Who sends the events and who
//! swaps the value is not known here.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use imbl::{HashMap, HashSet};

use crate::Timestamp;
use crate::noticed::{Notice, Noticed};
use crate::secret::SecretHash;
use crate::workspace::{PortPolicy, PortTable, User, UserId, Workspace};

#[cfg(test)]
mod tests;

/// A session on one workspace host (R3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSession {
    pub hash: SecretHash,
    pub user: UserId,
    /// The canonical host it is good for.
    pub host: Arc<str>,
    /// The first second in which it is no longer valid.
    pub expires_at: Timestamp,
}

/// A scoped API token (R56).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub hash: SecretHash,
    /// On whose behalf it acts: it never opens what this user may not.
    pub user: UserId,
    /// The key of the one workspace it opens.
    pub workspace: Arc<str>,
    /// The one port it opens.
    pub port: u16,
    pub expires_at: Timestamp,
}

/// Everything a decision is made from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    workspaces: HashMap<Arc<str>, Arc<Workspace>>,
    ports: HashMap<Arc<str>, Arc<PortTable>>,
    users: HashMap<UserId, Arc<User>>,
    sessions: HashMap<SecretHash, Arc<HostSession>>,
    tokens: HashMap<SecretHash, Arc<Token>>,
    noticed: HashMap<Arc<str>, Arc<Noticed>>,
    /// Sources that have been silent for too long to be believed (R70).
    stale: HashSet<Arc<str>>,
}

/// One fact that became true.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Workspace(Arc<Workspace>),
    /// The source named no longer has this workspace; another source's record of the same key is not touched.
    WorkspaceGone {
        key: Arc<str>,
        source: Arc<str>,
    },
    /// Every configured port of a workspace; empty for none.
    Ports {
        key: Arc<str>,
        table: Arc<PortTable>,
    },
    User(Arc<User>),
    UserGone(UserId),
    Session(Arc<HostSession>),
    SessionGone(SecretHash),
    Token(Arc<Token>),
    TokenGone(SecretHash),
    /// Whether a source has been silent for too long: nothing of it is opened until it speaks again.
    Stale {
        source: Arc<str>,
        stale: bool,
    },
    /// Something was noticed of a workspace while the gateway runs; of one that is not there it is nothing.
    Noticed {
        key: Arc<str>,
        notice: Notice,
        at: Timestamp,
    },
}

/// What an `apply` touched: enough to find the leases that must be decided again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    pub workspaces: BTreeSet<Arc<str>>,
    pub users: BTreeSet<UserId>,
    pub secrets: BTreeSet<SecretHash>,
    /// Sources that can no longer be believed, or can be again.
    pub sources: BTreeSet<Arc<str>>,
    /// Workspaces of which something was noticed. No decision rests on that.
    pub noticed: BTreeSet<Arc<str>>,
}

impl Diff {
    pub fn is_empty(&self) -> bool {
        self.workspaces.is_empty()
            && self.users.is_empty()
            && self.secrets.is_empty()
            && self.sources.is_empty()
            && self.noticed.is_empty()
    }
}

/// The same id in two sources. The first keeps it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "workspace `{id}` is in two sources, `{first}` and `{second}`; remove one (the one from `{first}` stays in use)"
)]
pub struct Conflict {
    pub id: Arc<str>,
    pub first: Arc<str>,
    pub second: Arc<str>,
}

impl Snapshot {
    /// A workspace by its lower-case key.
    pub fn workspace(&self, key: &str) -> Option<&Arc<Workspace>> {
        self.workspaces.get(key)
    }

    /// The policy of one port; `None` where nothing is configured.
    pub fn port(&self, key: &str, port: u16) -> Option<&PortPolicy> {
        self.ports.get(key)?.get(&port)
    }

    /// The workspaces, known or not, of which a configured port names this user.
    pub fn sharing_with<'a>(&'a self, user: &'a UserId) -> impl Iterator<Item = &'a Arc<str>> {
        let names = move |table: &PortTable| table.values().any(|policy| policy.users.contains(user));
        self.ports.iter().filter(move |(_, table)| names(table)).map(|(key, _)| key)
    }

    /// Every configured port of a workspace.
    pub fn ports(&self, key: &str) -> Option<&Arc<PortTable>> {
        self.ports.get(key)
    }

    pub fn user(&self, id: &str) -> Option<&Arc<User>> {
        self.users.get(id)
    }

    pub fn session(&self, hash: &SecretHash) -> Option<&Arc<HostSession>> {
        self.sessions.get(hash)
    }

    pub fn token(&self, hash: &SecretHash) -> Option<&Arc<Token>> {
        self.tokens.get(hash)
    }

    /// What was noticed of a workspace since the gateway started.
    pub fn noticed(&self, key: &str) -> Option<&Arc<Noticed>> {
        self.noticed.get(key)
    }

    /// Whether a source can no longer be believed.
    pub fn is_stale(&self, source: &str) -> bool {
        self.stale.contains(source)
    }

    pub fn workspaces(&self) -> impl Iterator<Item = &Arc<Workspace>> {
        self.workspaces.values()
    }

    /// Applies events in order. A conflicting workspace is left out and reported; the rest is applied.
    pub fn apply(&self, events: impl IntoIterator<Item = Event>) -> (Self, Diff, Vec<Conflict>) {
        let mut next = self.clone();
        let mut diff = Diff::default();
        let mut conflicts = Vec::new();
        for event in events {
            if let Err(conflict) = next.apply_one(event, &mut diff) {
                conflicts.push(conflict);
            }
        }
        (next, diff, conflicts)
    }

    fn apply_one(&mut self, event: Event, diff: &mut Diff) -> Result<(), Conflict> {
        match event {
            Event::Workspace(new) => {
                match self.workspaces.get(&new.key) {
                    Some(old) if old.source != new.source => {
                        return Err(Conflict {
                            id: new.id.clone(),
                            first: old.source.clone(),
                            second: new.source.clone(),
                        });
                    }
                    Some(old) if *old == new => return Ok(()),
                    Some(old) if old.generation != new.generation => {
                        if let Some(noticed) = self.noticed.get(&new.key) {
                            self.noticed.insert(new.key.clone(), Arc::new(noticed.reborn()));
                        }
                    }
                    Some(_) | None => {}
                }
                diff.workspaces.insert(new.key.clone());
                self.workspaces.insert(new.key.clone(), new);
            }
            Event::WorkspaceGone { key, source } => {
                if self.workspaces.get(&key).is_some_and(|old| old.source == source) {
                    self.workspaces.remove(&key);
                    self.noticed.remove(&key);
                    diff.workspaces.insert(key);
                }
            }
            Event::Ports { key, table } => {
                let same = match self.ports.get(&key) {
                    Some(old) => *old == table,
                    None => table.is_empty(),
                };
                if !same {
                    diff.workspaces.insert(key.clone());
                    if table.is_empty() {
                        self.ports.remove(&key);
                    } else {
                        self.ports.insert(key, table);
                    }
                }
            }
            Event::User(user) => {
                if self.users.get(&user.id) != Some(&user) {
                    diff.users.insert(user.id.clone());
                    self.users.insert(user.id.clone(), user);
                }
            }
            Event::UserGone(id) => {
                if self.users.remove(&id).is_some() {
                    diff.users.insert(id);
                }
            }
            Event::Session(session) => {
                if self.sessions.get(&session.hash) != Some(&session) {
                    diff.secrets.insert(session.hash);
                    self.sessions.insert(session.hash, session);
                }
            }
            Event::SessionGone(hash) => {
                if self.sessions.remove(&hash).is_some() {
                    diff.secrets.insert(hash);
                }
            }
            Event::Token(token) => {
                if self.tokens.get(&token.hash) != Some(&token) {
                    diff.secrets.insert(token.hash);
                    self.tokens.insert(token.hash, token);
                }
            }
            Event::TokenGone(hash) => {
                if self.tokens.remove(&hash).is_some() {
                    diff.secrets.insert(hash);
                }
            }
            Event::Stale { source, stale } => {
                let changed = if stale {
                    self.stale.insert(source.clone()).is_none()
                } else {
                    self.stale.remove(&source).is_some()
                };
                if changed {
                    diff.sources.insert(source);
                }
            }
            Event::Noticed { key, notice, at } => {
                let old = self.noticed.get(&key).map(AsRef::as_ref);
                let next = old.unwrap_or(&Noticed::default()).with(&notice, at);
                if let Some(next) = next.filter(|_| self.workspaces.contains_key(&key)) {
                    self.noticed.insert(key.clone(), Arc::new(next));
                    diff.noticed.insert(key);
                }
            }
        }
        Ok(())
    }

    /// The events that turn this snapshot into what a complete listing says. A restarted watch publishes these and never
    /// half a world.
    pub fn reconcile(&self, listing: Listing) -> Vec<Event> {
        let mut events = Vec::new();
        let source = listing.source;
        let keys: BTreeSet<Arc<str>> = listing.workspaces.iter().map(|w| w.key.clone()).collect();
        for old in self.workspaces.values().filter(|old| old.source == source && !keys.contains(&old.key)) {
            events.push(Event::WorkspaceGone { key: old.key.clone(), source: source.clone() });
        }
        events.extend(listing.workspaces.into_iter().map(Event::Workspace));
        let Some(own) = listing.own else {
            return events;
        };
        let empty = Arc::new(PortTable::new());
        let configured: BTreeSet<Arc<str>> = own.ports.iter().map(|(key, _)| key.clone()).collect();
        for key in self.ports.keys().filter(|key| !configured.contains(*key)) {
            events.push(Event::Ports { key: key.clone(), table: empty.clone() });
        }
        events.extend(own.ports.into_iter().map(|(key, table)| Event::Ports { key, table }));

        let users: BTreeSet<UserId> = own.users.iter().map(|user| user.id.clone()).collect();
        events.extend(self.users.keys().filter(|id| !users.contains(*id)).cloned().map(Event::UserGone));
        events.extend(own.users.into_iter().map(Event::User));

        let sessions: BTreeSet<SecretHash> = own.sessions.iter().map(|session| session.hash).collect();
        events.extend(self.sessions.keys().filter(|hash| !sessions.contains(hash)).copied().map(Event::SessionGone));
        events.extend(own.sessions.into_iter().map(Event::Session));

        let tokens: BTreeSet<SecretHash> = own.tokens.iter().map(|token| token.hash).collect();
        events.extend(self.tokens.keys().filter(|hash| !tokens.contains(hash)).copied().map(Event::TokenGone));
        events.extend(own.tokens.into_iter().map(Event::Token));
        events
    }
}

/// Everything one source has, in full.
#[derive(Clone, Debug)]
pub struct Listing {
    pub source: Arc<str>,
    pub workspaces: Vec<Arc<Workspace>>,
    /// Portway's own state, from the one store that keeps it; `None` from every other source.
    pub own: Option<OwnState>,
}

/// Portway's own tables.
#[derive(Clone, Debug, Default)]
pub struct OwnState {
    pub ports: Vec<(Arc<str>, Arc<PortTable>)>,
    pub users: Vec<Arc<User>>,
    pub sessions: Vec<Arc<HostSession>>,
    pub tokens: Vec<Arc<Token>>,
}

/// A snapshot and what led to it, as one message.
#[derive(Clone)]
pub struct Update {
    pub snapshot: Arc<Snapshot>,
    pub diff: Arc<Diff>,
}

impl fmt::Debug for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Update").field("diff", &self.diff).finish_non_exhaustive()
    }
}
