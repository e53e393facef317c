//! The decision against a table of who may what, permits to the second, and permits through changing worlds.

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::snapshot::Event;
use crate::testing::{hash, session, target, token, workspace};
use crate::workspace::{Address, PortTable, User};

mod grants;
mod histories;
mod matrix;

fn user(id: &str, suspended: bool) -> Event {
    Event::User(Arc::new(User { id: id.into(), suspended, groups: Default::default() }))
}

fn ports(key: &str, rows: &[(u16, PortPolicy)]) -> Event {
    let table: PortTable = rows.iter().cloned().collect();
    Event::Ports { key: key.into(), table: Arc::new(table) }
}

fn shared(level: Level, users: &[&str]) -> PortPolicy {
    PortPolicy { level, users: users.iter().map(|user| UserId::from(*user)).collect(), ..PortPolicy::default() }
}

/// Ann's workspace `a`, and nothing shared.
fn world(more: impl IntoIterator<Item = Event>) -> Snapshot {
    let events = [
        Event::Workspace(Arc::new(workspace("a", Some("ann")))),
        user("ann", false),
        user("bob", false),
        user("eve", false),
    ];
    Snapshot::default().apply(events.into_iter().chain(more)).0
}

fn logged_in(user: &str, port: u16) -> Visitor {
    Visitor::Session(session(1, user, &target("a", port).host, 100))
}

fn permit(snapshot: &Snapshot, rules: &Rules, target: &Target, visitor: &Visitor, now: Timestamp) -> Permit {
    match decide(snapshot, rules, target, visitor, now) {
        Decision::Permit(permit) => permit,
        other => panic!("{visitor:?} at {target:?}: {other:?}"),
    }
}

/// A decision in one word.
fn verdict(decision: &Decision) -> String {
    let ground = |basis: &Basis| match basis {
        Basis::Public => "public".to_owned(),
        Basis::Owner(user) => format!("owner {user}"),
        Basis::Shared(user) => format!("shared {user}"),
        Basis::Token(user) => format!("token {user}"),
        Basis::Front => "front".to_owned(),
    };
    match decision {
        Decision::Permit(permit) => ground(permit.basis()),
        Decision::Wait(waiting) => format!("wait {}", ground(&waiting.basis)),
        Decision::Challenge => "challenge".to_owned(),
        Decision::Deny(reason) => reason.as_str().to_owned(),
    }
}

#[test]
fn a_session_or_token_ends_in_the_second_it_names() {
    let snapshot = world([]);
    let rules = Rules::default();
    let at = target("a", 3000);
    let token = Visitor::Token(token(1, "ann", "a", 3000, 100));
    for (now, session_says, token_says) in [
        (0, "owner ann", "token ann"),
        (99, "owner ann", "token ann"),
        (100, "challenge", "expired"),
        (101, "challenge", "expired"),
        (Timestamp::MAX, "challenge", "expired"),
    ] {
        assert_eq!(verdict(&decide(&snapshot, &rules, &at, &logged_in("ann", 3000), now)), session_says, "{now}");
        assert_eq!(verdict(&decide(&snapshot, &rules, &at, &token, now)), token_says, "{now}");
    }
}

#[test]
fn a_session_is_good_on_exactly_its_host() {
    let snapshot = world([]);
    for host in
        ["5000-a.example.com", "3000-b.example.com", "example.com", "3000-a.example.com.", "3000-A.example.com", ""]
    {
        let visitor = Visitor::Session(session(1, "ann", host, 100));
        let decision = decide(&snapshot, &Rules::default(), &target("a", 3000), &visitor, 0);
        assert_eq!(verdict(&decision), "challenge", "{host}");
    }
}

#[test]
fn a_permit_says_what_it_was_made_from() {
    let policy =
        PortPolicy { profile: Some(Profile::Public), scheme: Some(Scheme::Https), ..shared(Level::Public, &[]) };
    let snapshot = world([ports(
        "a",
        &[(3000, shared(Level::Users, &["bob"])), (4000, shared(Level::Public, &[])), (5000, policy)],
    )]);
    let rules = Rules::default();
    let token = Visitor::Token(token(1, "bob", "a", 3000, 70));

    let owner = permit(&snapshot, &rules, &target("a", 3000), &logged_in("ann", 3000), 0);
    assert_eq!((owner.port(), owner.scheme(), owner.profile()), (3000, Scheme::Http, Profile::Localhost));
    assert_eq!((owner.user(), owner.is_ambient(), owner.expires_at()), (Some(&"ann".into()), true, Some(100)));
    assert_eq!(owner.target(), &target("a", 3000));
    assert_eq!(Some(owner.workspace()), snapshot.workspace("a"));

    let guest = permit(&snapshot, &rules, &target("a", 3000), &logged_in("bob", 3000), 0);
    assert_eq!((guest.user(), guest.is_ambient(), guest.expires_at()), (Some(&"bob".into()), true, Some(100)));

    let program = permit(&snapshot, &rules, &target("a", 3000), &token, 0);
    assert_eq!((program.user(), program.is_ambient(), program.expires_at()), (Some(&"bob".into()), false, Some(70)));

    // A public port is nobody's, whoever asks.
    for visitor in [Visitor::Anonymous, logged_in("ann", 4000), token] {
        let open = permit(&snapshot, &rules, &target("a", 4000), &visitor, 0);
        assert_eq!((open.user(), open.is_ambient(), open.expires_at()), (None, false, None), "{visitor:?}");
    }

    let set = permit(&snapshot, &rules, &target("a", 5000), &Visitor::Anonymous, 0);
    assert_eq!((set.scheme(), set.profile()), (Scheme::Https, Profile::Public));
}

#[test]
fn the_name_chooses_tls_and_the_row_the_rest() {
    let row = |scheme, profile| PortPolicy { scheme, profile, ..PortPolicy::default() };
    for (port, tls, policy, scheme, profile) in [
        (3000, false, None, Scheme::Http, Profile::Localhost),
        (3000, true, None, Scheme::Https, Profile::Localhost),
        (3000, true, Some(row(Some(Scheme::Http), None)), Scheme::Https, Profile::Localhost),
        (3000, false, Some(row(Some(Scheme::Https), None)), Scheme::Https, Profile::Localhost),
        (3000, false, Some(row(None, Some(Profile::Public))), Scheme::Http, Profile::Public),
        (8080, false, None, Scheme::Http, Profile::Public),
        (8080, false, Some(row(None, Some(Profile::Localhost))), Scheme::Http, Profile::Localhost),
        (8080, true, Some(row(None, None)), Scheme::Https, Profile::Public),
    ] {
        let snapshot = world(policy.map(|policy| ports("a", &[(port, policy)])));
        let at = Target { tls, ..target("a", port) };
        let got = permit(&snapshot, &Rules::default(), &at, &logged_in("ann", port), 0);
        assert_eq!((got.scheme(), got.profile()), (scheme, profile), "{port} tls={tls}");
    }
}

#[test]
fn an_owner_is_compared_byte_for_byte() {
    let snapshot = world([user("Ann", false), user("an", false), user("", false)]);
    for (name, says) in [("ann", "owner ann"), ("Ann", "no-grant"), ("an", "no-grant"), ("", "no-grant")] {
        let decision = decide(&snapshot, &Rules::default(), &target("a", 3000), &logged_in(name, 3000), 0);
        assert_eq!(verdict(&decision), says, "{name:?}");
    }
}

#[test]
fn the_default_rules_protect_the_ide_and_refuse_ssh() {
    let rules = Rules::default();
    let everyone = shared(Level::Public, &["bob"]);
    let snapshot = world([ports("a", &[(8080, everyone.clone()), (22, everyone.clone()), (23, everyone)])]);
    let says = |port, visitor: &Visitor| verdict(&decide(&snapshot, &rules, &target("a", port), visitor, 0));
    assert_eq!(says(8080, &logged_in("ann", 8080)), "owner ann");
    assert_eq!(says(8080, &logged_in("bob", 8080)), "no-grant");
    assert_eq!(says(8080, &Visitor::Anonymous), "challenge");
    assert_eq!(says(22, &logged_in("ann", 22)), "port-denied");
    assert_eq!(says(22, &Visitor::Anonymous), "challenge");
    assert_eq!(says(23, &Visitor::Anonymous), "public");
    let tls = Target { tls: true, ..target("a", 22) };
    assert_eq!(verdict(&decide(&snapshot, &rules, &tls, &logged_in("ann", 22), 0)), "port-denied");
}

#[test]
fn a_permit_ends_when_any_of_its_facts_does() {
    let rules = Rules::default();
    let at = target("a", 3000);
    let own = session(1, "ann", &at.host, 100);
    let key = token(2, "bob", "a", 3000, 100);
    let before = world([
        Event::Session(own.clone()),
        Event::Token(key.clone()),
        ports("a", &[(3000, shared(Level::Users, &["bob"]))]),
    ]);
    let (of_ann, of_bob) = (Visitor::Session(own.clone()), Visitor::Token(key.clone()));
    let a = workspace("a", Some("ann"));
    let next = |change: Workspace| Event::Workspace(Arc::new(change));
    let stops = |visitor: &Visitor, event: Event| {
        let permit = permit(&before, &rules, &at, visitor, 0);
        assert!(permit.still_holds(&before, &rules, 0));
        let (after, diff, _) = before.apply([event.clone()]);
        let held = permit.still_holds(&after, &rules, 0);
        assert!(held || permit.is_touched_by(&diff), "{event:?} was missed");
        !held
    };
    for visitor in [&of_ann, &of_bob] {
        for event in [
            Event::WorkspaceGone { key: "a".into(), source: "sqlite".into() },
            next(Workspace { state: State::Stopped, ..a.clone() }),
            next(Workspace { generation: "2".into(), ..a.clone() }),
            next(Workspace { address: Address::Ip(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2))), ..a.clone() }),
            next(Workspace { address: Address::Loopback, ..a.clone() }),
            ports("a", &[(3000, PortPolicy { scheme: Some(Scheme::Https), ..shared(Level::Users, &["bob"]) })]),
        ] {
            assert!(stops(visitor, event.clone()), "{event:?}");
        }
        for event in [
            user("eve", true),
            Event::SessionGone(hash(9)),
            Event::WorkspaceGone { key: "a".into(), source: "file".into() },
            next(Workspace { id: "A".into(), ..a.clone() }),
            ports("b", &[(3000, shared(Level::Public, &[]))]),
            ports("a", &[(3000, shared(Level::Users, &["bob", "eve"]))]),
        ] {
            assert!(!stops(visitor, event.clone()), "{event:?}");
        }
    }
    for event in [
        Event::SessionGone(own.hash),
        Event::Session(Arc::new(HostSession { expires_at: 99, ..(*own).clone() })),
        user("ann", true),
        Event::UserGone("ann".into()),
        next(Workspace { owner: Some("eve".into()), ..a.clone() }),
        next(Workspace { owner: None, ..a.clone() }),
    ] {
        assert!(stops(&of_ann, event.clone()), "{event:?}");
    }
    for event in [
        Event::TokenGone(key.hash),
        Event::Token(Arc::new(Token { port: 5000, ..(*key).clone() })),
        user("bob", true),
        Event::UserGone("bob".into()),
        ports("a", &[(3000, shared(Level::Users, &["eve"]))]),
        ports("a", &[]),
    ] {
        assert!(stops(&of_bob, event.clone()), "{event:?}");
    }
    assert!(!stops(&of_ann, ports("a", &[])) && !stops(&of_ann, Event::TokenGone(key.hash)));
    assert!(!stops(&of_bob, next(Workspace { owner: None, ..a })) && !stops(&of_bob, Event::SessionGone(own.hash)));
    // And with time alone.
    for visitor in [&of_ann, &of_bob] {
        let permit = permit(&before, &rules, &at, visitor, 0);
        assert!(permit.still_holds(&before, &rules, 99) && !permit.still_holds(&before, &rules, 100));
    }
}

#[test]
fn what_a_public_port_opened_does_not_outlive_it() {
    let rules = Rules::default();
    let at = target("a", 3000);
    let (own, key) = (session(1, "ann", &at.host, 100), token(2, "ann", "a", 3000, 100));
    let open = world([
        Event::Session(own.clone()),
        Event::Token(key.clone()),
        ports("a", &[(3000, shared(Level::Public, &[]))]),
    ]);
    let (closed, diff, _) = open.apply([ports("a", &[])]);
    // Nobody asked which page opened it, and it would never expire: so not even the owner keeps it.
    for visitor in [Visitor::Anonymous, Visitor::Session(own.clone()), Visitor::Token(key)] {
        let permit = permit(&open, &rules, &at, &visitor, 0);
        assert!(permit.still_holds(&open, &rules, Timestamp::MAX));
        assert!(!permit.still_holds(&closed, &rules, 0) && permit.is_touched_by(&diff), "{visitor:?}");
    }
    // A logout alone leaves a public stream as it is; a port that becomes public cuts nobody.
    let visitor = Visitor::Session(own.clone());
    let public = permit(&open, &rules, &at, &visitor, 0);
    assert!(public.still_holds(&open.apply([Event::SessionGone(own.hash)]).0, &rules, 0));
    let private = permit(&closed, &rules, &at, &visitor, 0);
    assert!(private.still_holds(&open, &rules, 0));
}

#[test]
fn a_permit_is_touched_by_its_own_facts_alone() {
    let at = target("a", 3000);
    let key = Visitor::Token(token(2, "bob", "a", 3000, 100));
    let private = world([ports("a", &[(3000, shared(Level::Users, &["bob"]))])]);
    let public = world([ports("a", &[(3000, shared(Level::Public, &[]))])]);
    let rules = Rules::default();
    let workspaces = |key: &str| Diff { workspaces: [key.into()].into(), ..Diff::default() };
    let users = |id: &str| Diff { users: [id.into()].into(), ..Diff::default() };
    let secrets = |n| Diff { secrets: [hash(n)].into(), ..Diff::default() };
    // Which of: workspace a, workspace b, user ann, user bob, secret 1, secret 2.
    for (snapshot, visitor, wanted) in [
        (&private, logged_in("ann", 3000), [true, false, true, false, true, false]),
        (&private, logged_in("bob", 3000), [true, false, false, true, true, false]),
        (&private, key.clone(), [true, false, false, true, false, true]),
        (&public, Visitor::Anonymous, [true, false, false, false, false, false]),
        (&public, logged_in("ann", 3000), [true, false, false, false, true, false]),
        (&public, key, [true, false, false, false, false, true]),
    ] {
        let permit = permit(snapshot, &rules, &at, &visitor, 0);
        let diffs = [workspaces("a"), workspaces("b"), users("ann"), users("bob"), secrets(1), secrets(2)];
        assert_eq!(diffs.map(|diff| permit.is_touched_by(&diff)), wanted, "{visitor:?}");
        assert!(!permit.is_touched_by(&Diff::default()));
    }
}

#[test]
fn reasons_have_names_of_their_own() {
    use Reason::{Expired, NoGrant, NoWorkspace, PortDenied, SourceStale, Stopped, Suspended, TokenScope, UnknownUser};
    let all = [PortDenied, NoWorkspace, SourceStale, Stopped, NoGrant, Suspended, UnknownUser, TokenScope, Expired];
    let names: BTreeSet<&str> = all.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(names.len(), all.len());
    assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
}
