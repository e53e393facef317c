//! A small world for tests: few enough names that random events meet, and the shapes to make them from.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use proptest::prelude::*;

use crate::host::{Scheme, Target};
use crate::noticed::Notice;
use crate::secret::SecretHash;
use crate::snapshot::{Event, HostSession, Listing, OwnState, Token};
use crate::workspace::{Address, Cors, Grants, Group, Level, PortPolicy, PortTable, Profile, State, User, Workspace};

pub(crate) const USERS: [&str; 3] = ["ann", "bob", "eve"];
pub(crate) const KEYS: [&str; 2] = ["a", "b"];
pub(crate) const SOURCES: [&str; 2] = ["file", "sqlite"];
pub(crate) const PORTS: [u16; 2] = [3000, 8080];

pub(crate) fn hash(n: u8) -> SecretHash {
    SecretHash([n; 32])
}

pub(crate) fn target(workspace: &str, port: u16) -> Target {
    Target {
        host: format!("{port}-{workspace}.example.com"),
        workspace: workspace.to_owned(),
        port,
        tls: false,
        domain: 0,
    }
}

pub(crate) fn workspace(key: &str, owner: Option<&str>) -> Workspace {
    Workspace {
        key: key.into(),
        id: key.into(),
        owner: owner.map(Arc::from),
        state: State::Running,
        address: Address::Ip(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))),
        generation: "1".into(),
        grants: None,
        name: None,
        source: "sqlite".into(),
    }
}

pub(crate) fn session(n: u8, user: &str, host: &str, expires_at: u64) -> Arc<HostSession> {
    Arc::new(HostSession { hash: hash(n), user: user.into(), host: host.into(), expires_at })
}

pub(crate) fn token(n: u8, user: &str, workspace: &str, port: u16, expires_at: u64) -> Arc<Token> {
    Arc::new(Token { hash: hash(n), user: user.into(), workspace: workspace.into(), port, expires_at })
}

fn any_of<const N: usize>(names: [&'static str; N]) -> impl Strategy<Value = Arc<str>> {
    prop::sample::select(names.to_vec()).prop_map(Arc::from)
}

fn level() -> impl Strategy<Value = Level> {
    prop::sample::select(vec![Level::Owner, Level::Users, Level::Authenticated, Level::Public])
}

fn scheme() -> impl Strategy<Value = Scheme> {
    prop::sample::select(vec![Scheme::Http, Scheme::Https])
}

fn groups() -> impl Strategy<Value = BTreeSet<Group>> {
    prop::collection::btree_set(any_of(["web", "ops"]), 0..2)
}

fn grants() -> impl Strategy<Value = Option<Box<Grants>>> {
    let grants = (level(), prop::collection::btree_set(any_of(USERS), 0..2), groups())
        .prop_map(|(level, users, groups)| Box::new(Grants { level, users, groups }));
    prop::option::weighted(0.3, grants)
}

fn any_workspace(source: impl Strategy<Value = Arc<str>>) -> impl Strategy<Value = Arc<Workspace>> {
    let state = prop_oneof![3 => Just(State::Running), 1 => Just(State::Stopped), 1 => Just(State::Standby)];
    (any_of(KEYS), prop::option::weighted(0.8, any_of(USERS)), state, 1..3_u8, 1..3_u8, source, grants()).prop_map(
        |(key, owner, state, address, generation, source, grants)| {
            Arc::new(Workspace {
                owner,
                state,
                address: Address::Ip(IpAddr::V4(Ipv4Addr::new(10, 0, 0, address))),
                generation: generation.to_string().into(),
                grants,
                name: None,
                source,
                ..workspace(&key, None)
            })
        },
    )
}

fn any_table() -> impl Strategy<Value = Arc<PortTable>> {
    let users = prop::collection::btree_set(any_of(USERS), 0..2);
    let profile = prop::option::of(prop::sample::select(vec![Profile::Localhost, Profile::Public]));
    let cors = prop::option::of(prop::sample::select(vec![Cors::Gateway, Cors::Passthrough]));
    let policy = (level(), users, profile, prop::option::of(scheme()), cors)
        .prop_map(|(level, users, profile, scheme, cors)| PortPolicy { level, users, profile, scheme, cors });
    prop::collection::btree_map(prop::sample::select(PORTS.to_vec()), policy, 0..3).prop_map(Arc::new)
}

fn any_user() -> impl Strategy<Value = Arc<User>> {
    (any_of(USERS), prop::bool::weighted(0.2), groups())
        .prop_map(|(id, suspended, groups)| Arc::new(User { id, suspended, groups }))
}

fn any_session() -> impl Strategy<Value = Arc<HostSession>> {
    let host = (prop::sample::select(KEYS.to_vec()), prop::sample::select(PORTS.to_vec()));
    (0..3_u8, prop::sample::select(USERS.to_vec()), host, 50..150_u64)
        .prop_map(|(n, user, (key, port), end)| session(n, user, &target(key, port).host, end))
}

fn any_token() -> impl Strategy<Value = Arc<Token>> {
    let scope = (prop::sample::select(KEYS.to_vec()), prop::sample::select(PORTS.to_vec()));
    (10..13_u8, prop::sample::select(USERS.to_vec()), scope, 50..150_u64)
        .prop_map(|(n, user, (key, port), end)| token(n, user, key, port, end))
}

fn any_notice() -> impl Strategy<Value = Notice> {
    let host = prop::sample::select(PORTS.to_vec()).prop_map(|port| Arc::from(target("a", port).host));
    let port = prop::sample::select(PORTS.to_vec());
    let profile = prop::sample::select(vec![Profile::Localhost, Profile::Public]);
    prop_oneof![
        host.clone().prop_map(Notice::Opened),
        host.prop_map(Notice::Missed),
        (port, profile).prop_map(|(port, profile)| Notice::Switched { port, profile }),
    ]
}

pub(crate) fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => any_workspace(any_of(SOURCES)).prop_map(Event::Workspace),
        1 => (any_of(KEYS), any_of(SOURCES)).prop_map(|(key, source)| Event::WorkspaceGone { key, source }),
        4 => (any_of(KEYS), any_table()).prop_map(|(key, table)| Event::Ports { key, table }),
        4 => any_user().prop_map(Event::User),
        1 => any_of(USERS).prop_map(Event::UserGone),
        4 => any_session().prop_map(Event::Session),
        1 => (0..3_u8).prop_map(|n| Event::SessionGone(hash(n))),
        3 => any_token().prop_map(Event::Token),
        1 => (10..13_u8).prop_map(|n| Event::TokenGone(hash(n))),
        1 => (any_of(SOURCES), any::<bool>()).prop_map(|(source, stale)| Event::Stale { source, stale }),
        3 => (any_of(KEYS), any_notice(), 50..150_u64).prop_map(|(key, notice, at)| Event::Noticed { key, notice, at }),
    ]
}

/// A complete listing of one source; the one named `sqlite` also keeps Portway's own state.
pub(crate) fn any_listing() -> impl Strategy<Value = Listing> {
    let own = (
        prop::collection::vec((any_of(KEYS), any_table()), 0..3),
        prop::collection::vec(any_user(), 0..4),
        prop::collection::vec(any_session(), 0..4),
        prop::collection::vec(any_token(), 0..4),
    );
    (prop::sample::select(SOURCES.to_vec()), own)
        .prop_flat_map(|(source, (ports, users, sessions, tokens))| {
            let workspaces = prop::collection::vec(any_workspace(Just(source.into())), 0..3);
            (Just(source), workspaces, Just((ports, users, sessions, tokens)))
        })
        .prop_map(|(source, workspaces, (ports, users, sessions, tokens))| Listing {
            source: source.into(),
            workspaces: once_each(workspaces, |w| w.key.clone()),
            own: (source == "sqlite").then(|| OwnState {
                ports: once_each(ports, |(key, _)| key.clone()),
                users: once_each(users, |user| user.id.clone()),
                sessions: once_each(sessions, |session| session.hash),
                tokens: once_each(tokens, |token| token.hash),
            }),
        })
}

/// A listing holds each key once.
fn once_each<T, K: Ord>(items: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    let mut seen = BTreeSet::new();
    items.into_iter().filter(|item| seen.insert(key(item))).collect()
}
