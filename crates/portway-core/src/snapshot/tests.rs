//! Applying events against a second bookkeeping in plain maps, and listings against what they say.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::testing::{KEYS, PORTS, USERS, any_event, any_listing, hash, session, target, token, workspace};
use crate::workspace::{Level, State};

/// The same facts in plain maps: a copy that shares nothing, and the rules of `apply` in their shortest form.
#[derive(Clone, Debug, Default, PartialEq)]
struct Book {
    workspaces: BTreeMap<Arc<str>, Workspace>,
    ports: BTreeMap<Arc<str>, PortTable>,
    users: BTreeMap<UserId, User>,
    sessions: BTreeMap<SecretHash, HostSession>,
    tokens: BTreeMap<SecretHash, Token>,
    noticed: BTreeMap<Arc<str>, Noticed>,
    stale: BTreeSet<Arc<str>>,
}

impl Book {
    fn of(snapshot: &Snapshot) -> Self {
        Self {
            workspaces: snapshot.workspaces.iter().map(|(k, v)| (k.clone(), (**v).clone())).collect(),
            ports: snapshot.ports.iter().map(|(k, v)| (k.clone(), (**v).clone())).collect(),
            users: snapshot.users.iter().map(|(k, v)| (k.clone(), (**v).clone())).collect(),
            sessions: snapshot.sessions.iter().map(|(k, v)| (*k, (**v).clone())).collect(),
            tokens: snapshot.tokens.iter().map(|(k, v)| (*k, (**v).clone())).collect(),
            noticed: snapshot.noticed.iter().map(|(k, v)| (k.clone(), (**v).clone())).collect(),
            stale: snapshot.stale.iter().cloned().collect(),
        }
    }

    /// Whether the event was in conflict.
    fn write(&mut self, event: &Event) -> bool {
        match event {
            Event::Workspace(new) => {
                let taken = self.workspaces.get(&new.key).is_some_and(|old| old.source != new.source);
                if taken {
                    return true;
                }
                let old = self.workspaces.insert(new.key.clone(), (**new).clone());
                if old.is_some_and(|old| old.generation != new.generation) {
                    self.noticed.entry(new.key.clone()).and_modify(|noticed| *noticed = noticed.reborn());
                }
            }
            Event::WorkspaceGone { key, source } => {
                self.workspaces.retain(|k, old| k != key || old.source != *source);
                self.noticed.retain(|k, _| self.workspaces.contains_key(k));
            }
            Event::Ports { key, table } => {
                self.ports.insert(key.clone(), (**table).clone());
                self.ports.retain(|_, table| !table.is_empty());
            }
            Event::User(user) => {
                self.users.insert(user.id.clone(), (**user).clone());
            }
            Event::UserGone(id) => {
                self.users.remove(id);
            }
            Event::Session(session) => {
                self.sessions.insert(session.hash, (**session).clone());
            }
            Event::SessionGone(hash) => {
                self.sessions.remove(hash);
            }
            Event::Token(token) => {
                self.tokens.insert(token.hash, (**token).clone());
            }
            Event::TokenGone(hash) => {
                self.tokens.remove(hash);
            }
            Event::Noticed { key, notice, at } if self.workspaces.contains_key(key) => {
                let old = self.noticed.get(key).cloned().unwrap_or_default();
                self.noticed.extend(old.with(notice, *at).map(|next| (key.clone(), next)));
            }
            Event::Noticed { .. } => {}
            Event::Stale { source, stale: true } => drop(self.stale.insert(source.clone())),
            Event::Stale { source, stale: false } => drop(self.stale.remove(source)),
        }
        false
    }

    fn diff(&self, other: &Self) -> Diff {
        let mut diff = Diff::default();
        diff.workspaces.extend(changed(&self.workspaces, &other.workspaces));
        diff.workspaces.extend(changed(&self.ports, &other.ports));
        diff.users.extend(changed(&self.users, &other.users));
        diff.secrets.extend(changed(&self.sessions, &other.sessions));
        diff.secrets.extend(changed(&self.tokens, &other.tokens));
        diff.sources.extend(self.stale.symmetric_difference(&other.stale).cloned());
        // What goes or begins anew with its workspace is told by the workspace.
        let noticed = changed(&self.noticed, &other.noticed).into_iter();
        diff.noticed.extend(noticed.filter(|key| !diff.workspaces.contains(key)));
        diff
    }
}

fn changed<K: Ord + Clone, V: PartialEq>(one: &BTreeMap<K, V>, two: &BTreeMap<K, V>) -> Vec<K> {
    one.keys().chain(two.keys()).filter(|key| one.get(key) != two.get(key)).cloned().collect()
}

fn built(events: Vec<Event>) -> Snapshot {
    Snapshot::default().apply(events).0
}

proptest! {
    #[test]
    fn applying_events_is_what_the_book_says(before in prop::collection::vec(any_event(), 0..20), event in any_event()) {
        let old = built(before.clone());
        let mut book = Book::default();
        for event in &before {
            book.write(event);
        }
        prop_assert_eq!(&Book::of(&old), &book);

        let kept = book.clone();
        let conflict = book.write(&event);
        let (new, diff, conflicts) = old.apply([event]);
        prop_assert_eq!(&Book::of(&new), &book);
        prop_assert_eq!(conflicts.len(), usize::from(conflict));
        // One event touches exactly what it changed, and an event that says nothing new touches nothing.
        prop_assert_eq!(&diff, &kept.diff(&book));
        prop_assert_eq!(diff.is_empty(), kept == book);
        prop_assert_eq!(diff.is_empty(), old == new);
        // The old world is as it was.
        prop_assert_eq!(Book::of(&old), kept);
    }

    #[test]
    fn many_events_at_once_are_the_same_as_one_by_one(events in prop::collection::vec(any_event(), 0..30)) {
        let (at_once, diff, conflicts) = Snapshot::default().apply(events.clone());
        let mut one_by_one = Snapshot::default();
        let mut all = Diff::default();
        let mut told = Vec::new();
        for event in events {
            let (next, diff, conflicts) = one_by_one.apply([event]);
            one_by_one = next;
            all.workspaces.extend(diff.workspaces);
            all.users.extend(diff.users);
            all.secrets.extend(diff.secrets);
            all.sources.extend(diff.sources);
            all.noticed.extend(diff.noticed);
            told.extend(conflicts);
        }
        prop_assert_eq!(at_once, one_by_one);
        prop_assert_eq!(diff, all);
        prop_assert_eq!(conflicts, told);
    }

    #[test]
    fn a_world_rebuilt_from_its_facts_is_the_same_world(events in prop::collection::vec(any_event(), 0..30)) {
        // Notices grow from one another; here they come again in their order, after all facts.
        let notices: Vec<_> = events.iter().filter(|e| matches!(e, Event::Noticed { .. })).cloned().collect();
        let facts: Vec<_> = events.into_iter().filter(|e| !matches!(e, Event::Noticed { .. })).collect();
        let grown = built([facts, notices.clone()].concat());
        let book = Book::of(&grown);
        let facts = book.workspaces.into_values().map(|w| Event::Workspace(Arc::new(w)))
            .chain(book.ports.into_iter().map(|(key, table)| Event::Ports { key, table: Arc::new(table) }))
            .chain(book.users.into_values().map(|user| Event::User(Arc::new(user))))
            .chain(book.sessions.into_values().map(|session| Event::Session(Arc::new(session))))
            .chain(book.tokens.into_values().map(|token| Event::Token(Arc::new(token))))
            .chain(book.stale.into_iter().map(|source| Event::Stale { source, stale: true }))
            .chain(notices.into_iter())
            .collect();
        prop_assert_eq!(built(facts), grown);
    }

    #[test]
    fn a_listing_is_reached_exactly(events in prop::collection::vec(any_event(), 0..30), listing in any_listing()) {
        let old = built(events);
        let before = Book::of(&old);
        let (new, diff, conflicts) = old.apply(old.reconcile(listing.clone()));
        let after = Book::of(&new);

        // Other sources keep theirs; this one has what it lists, but for ids that others had first.
        let foreign = |book: &Book| -> BTreeMap<Arc<str>, Workspace> {
            book.workspaces.clone().into_iter().filter(|(_, w)| w.source != listing.source).collect()
        };
        prop_assert_eq!(foreign(&before), foreign(&after));
        let (taken, free): (Vec<_>, Vec<_>) =
            listing.workspaces.iter().partition(|w| foreign(&before).contains_key(&w.key));
        let mine: Vec<Workspace> = after.workspaces.values().filter(|w| w.source == listing.source).cloned().collect();
        let mut wanted: Vec<Workspace> = free.into_iter().map(|w| (**w).clone()).collect();
        wanted.sort_by(|one, two| one.key.cmp(&two.key));
        prop_assert_eq!(mine, wanted);
        prop_assert_eq!(conflicts.len(), taken.len());

        match listing.own.clone() {
            None => {
                prop_assert_eq!(&before.ports, &after.ports);
                prop_assert_eq!(&before.users, &after.users);
                prop_assert_eq!(&before.sessions, &after.sessions);
                prop_assert_eq!(&before.tokens, &after.tokens);
            }
            Some(own) => {
                let ports = own.ports.into_iter().filter(|(_, table)| !table.is_empty());
                prop_assert_eq!(&after.ports, &ports.map(|(key, table)| (key, (*table).clone())).collect());
                prop_assert_eq!(&after.users, &own.users.iter().map(|u| (u.id.clone(), (**u).clone())).collect());
                prop_assert_eq!(&after.sessions, &own.sessions.iter().map(|s| (s.hash, (**s).clone())).collect());
                prop_assert_eq!(&after.tokens, &own.tokens.iter().map(|t| (t.hash, (**t).clone())).collect());
            }
        }
        // Nothing is said to be touched that was not, and a second reading of the same listing is silence.
        prop_assert_eq!(diff, before.diff(&after));
        let (again, diff, _) = new.apply(new.reconcile(listing));
        prop_assert!(diff.is_empty() && again == new);
    }
}

#[test]
fn of_two_sources_the_first_keeps_an_id() {
    let first = Arc::new(workspace("a", Some("ann")));
    let second =
        Arc::new(Workspace { id: "A".into(), owner: Some("eve".into()), source: "file".into(), ..(*first).clone() });
    let (one, diff, conflicts) =
        Snapshot::default().apply([Event::Workspace(first.clone()), Event::Workspace(second.clone())]);
    assert_eq!(one.workspace("a"), Some(&first));
    assert_eq!(diff.workspaces.len(), 1);
    let conflict = Conflict { id: "A".into(), first: "sqlite".into(), second: "file".into() };
    assert_eq!(conflicts, [conflict]);
    let text = conflicts[0].to_string();
    assert!(["`A`", "`sqlite`", "`file`"].iter().all(|name| text.contains(name)), "{text}");

    // The second source cannot remove what it does not have; when the first does, the second may have it.
    let gone = |source: &str| Event::WorkspaceGone { key: "a".into(), source: source.into() };
    let (two, diff, _) = one.apply([gone("file")]);
    assert!(diff.is_empty() && two == one);
    let (three, diff, conflicts) = two.apply([gone("sqlite"), Event::Workspace(second.clone())]);
    assert_eq!(three.workspace("a"), Some(&second));
    assert!(conflicts.is_empty() && diff.workspaces.len() == 1);
}

#[test]
fn what_is_in_a_snapshot_is_found_and_nothing_else() {
    let host = target("a", 3000).host;
    let policy = PortPolicy { level: Level::Public, ..PortPolicy::default() };
    let table = Arc::new(PortTable::from([(3000, policy.clone())]));
    let user = Arc::new(User { id: "ann".into(), suspended: false, groups: Default::default() });
    let stopped = Arc::new(Workspace { state: State::Stopped, ..workspace("b", None) });
    let snapshot = built(vec![
        Event::Workspace(Arc::new(workspace("a", Some("ann")))),
        Event::Workspace(stopped.clone()),
        Event::Ports { key: "a".into(), table: table.clone() },
        Event::User(user.clone()),
        Event::Session(session(1, "ann", &host, 9)),
        Event::Token(token(2, "ann", "a", 3000, 9)),
    ]);
    assert_eq!(snapshot.workspace("b"), Some(&stopped));
    assert_eq!(snapshot.workspace("A"), None);
    assert_eq!(snapshot.workspaces().count(), KEYS.len());
    assert_eq!(snapshot.port("a", PORTS[0]), Some(&policy));
    assert_eq!(snapshot.port("a", PORTS[1]), None);
    assert_eq!(snapshot.port("b", PORTS[0]), None);
    assert_eq!((snapshot.ports("a"), snapshot.ports("b")), (Some(&table), None));
    assert_eq!(snapshot.user(USERS[0]), Some(&user));
    assert_eq!(snapshot.user(USERS[1]), None);
    assert_eq!(snapshot.session(&hash(1)), Some(&session(1, "ann", &host, 9)));
    assert_eq!(snapshot.token(&hash(2)), Some(&token(2, "ann", "a", 3000, 9)));
    // A session is no token and a token no session, whatever the hash.
    assert_eq!((snapshot.session(&hash(2)), snapshot.token(&hash(1))), (None, None));
}

#[test]
fn a_diff_is_empty_only_without_any_part() {
    assert!(Diff::default().is_empty());
    assert!(!Diff { workspaces: ["a".into()].into(), ..Diff::default() }.is_empty());
    assert!(!Diff { users: ["ann".into()].into(), ..Diff::default() }.is_empty());
    assert!(!Diff { secrets: [hash(1)].into(), ..Diff::default() }.is_empty());
    assert!(!Diff { noticed: ["a".into()].into(), ..Diff::default() }.is_empty());
}

#[test]
fn an_update_is_printed_without_the_world_in_it() {
    let (snapshot, diff, _) = Snapshot::default().apply([Event::User(Arc::new(User {
        id: "ann".into(),
        suspended: false,
        groups: Default::default(),
    }))]);
    let update = Update { snapshot: Arc::new(snapshot), diff: Arc::new(diff) };
    let text = format!("{update:?}");
    assert!(text.contains("diff") && text.contains("ann") && !text.contains("suspended"), "{text}");
}
