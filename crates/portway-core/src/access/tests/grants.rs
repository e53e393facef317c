//! What a source shares of a workspace, beside what its owner shares of a port: against a table.

use super::*;
use crate::workspace::{Grants, Group};

fn granted(level: Level, users: &[&str], groups: &[&str]) -> Event {
    let grants = Grants {
        level,
        users: users.iter().map(|user| UserId::from(*user)).collect(),
        groups: groups.iter().map(|group| Group::from(*group)).collect(),
    };
    Event::Workspace(Arc::new(Workspace { grants: Some(Box::new(grants)), ..workspace("a", Some("ann")) }))
}

fn member(id: &str, groups: &[&str]) -> Event {
    let groups = groups.iter().map(|group| Group::from(*group)).collect();
    Event::User(Arc::new(User { id: id.into(), suspended: false, groups }))
}

/// What the source shares (level, users, groups); the ceiling; what bob of the group `web`, and eve of none, get at 3000.
type Row = (Level, &'static [&'static str], &'static [&'static str], Level, &'static str, &'static str);

#[test]
fn what_a_source_shares_opens_every_port_but_protected_ones() {
    let table: [Row; 10] = [
        (Level::Owner, &[], &[], Level::Public, "no-grant", "no-grant"),
        (Level::Owner, &[], &["web"], Level::Public, "shared bob", "no-grant"),
        (Level::Owner, &[], &["ops"], Level::Public, "no-grant", "no-grant"),
        (Level::Owner, &["eve"], &[], Level::Public, "no-grant", "shared eve"),
        (Level::Users, &[], &["web"], Level::Users, "shared bob", "no-grant"),
        (Level::Owner, &["eve"], &["web"], Level::Owner, "no-grant", "no-grant"),
        (Level::Authenticated, &[], &[], Level::Public, "shared bob", "shared eve"),
        (Level::Authenticated, &[], &["web"], Level::Users, "shared bob", "no-grant"),
        (Level::Public, &[], &[], Level::Public, "public", "public"),
        (Level::Public, &[], &[], Level::Authenticated, "shared bob", "shared eve"),
    ];
    for (level, users, groups, ceiling, bob, eve) in table {
        let snapshot = world([granted(level, users, groups), member("bob", &["web", "dba"])]);
        let rules = Rules { ceiling, ..Rules::default() };
        for (person, wanted) in
            [("bob", bob), ("eve", eve), ("ann", if bob == "public" { "public" } else { "owner ann" })]
        {
            let got = |port| verdict(&decide(&snapshot, &rules, &target("a", port), &logged_in(person, port), 50));
            assert_eq!(got(3000), wanted, "{level:?} {users:?} {groups:?} under {ceiling:?}: {person}");
            assert_eq!(
                got(8080),
                if person == "ann" { "owner ann" } else { "no-grant" },
                "8080 is protected: {person}"
            );
            assert_eq!(got(22), "port-denied");
        }
    }
}

#[test]
fn the_owner_can_share_more_of_a_port_and_never_less() {
    let snapshot = world([granted(Level::Owner, &[], &["web"]), member("bob", &["web"])]);
    let rules = Rules::default();
    let see = |snapshot: &Snapshot, person| {
        verdict(&decide(snapshot, &rules, &target("a", 3000), &logged_in(person, 3000), 50))
    };
    let (more, ..) = snapshot.apply([ports("a", &[(3000, shared(Level::Authenticated, &[]))])]);
    assert_eq!((see(&more, "bob"), see(&more, "eve")), ("shared bob".to_owned(), "shared eve".to_owned()));
    let (less, ..) = snapshot.apply([ports("a", &[(3000, shared(Level::Owner, &[]))])]);
    assert_eq!((see(&less, "bob"), see(&less, "eve")), ("shared bob".to_owned(), "no-grant".to_owned()));
}

#[test]
fn leaving_a_group_or_losing_a_grant_ends_a_permit() {
    let snapshot = world([granted(Level::Owner, &[], &["web"]), member("bob", &["web"])]);
    let rules = Rules::default();
    // `still_holds` looks the session up.
    let held = session(1, "bob", &target("a", 3000).host, 100);
    let (snapshot, ..) = snapshot.apply([Event::Session(held)]);
    let permit = permit(&snapshot, &rules, &target("a", 3000), &logged_in("bob", 3000), 50);
    for (event, holds) in [
        (member("bob", &["web", "more"]), true),
        (member("bob", &["more"]), false),
        (granted(Level::Owner, &[], &["web", "more"]), true),
        (granted(Level::Owner, &[], &["more"]), false),
        (granted(Level::Owner, &["bob"], &[]), true),
        (Event::Workspace(Arc::new(workspace("a", Some("ann")))), false),
    ] {
        let (next, diff, _) = snapshot.apply([event.clone()]);
        assert!(permit.is_touched_by(&diff), "{event:?}");
        assert_eq!(permit.still_holds(&next, &rules, 50), holds, "{event:?}");
    }
}
