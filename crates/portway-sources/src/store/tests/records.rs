//! Workspaces, ports, shares, tokens, audit and sweep.

use portway_core::host::Scheme;
use portway_core::workspace::{Address, Cors, Level, PortPolicy, Profile, State};

use super::*;
use crate::store::audit::{Audit, KEPT};
use crate::store::ports::PortChange;
use crate::store::tokens::TOKEN_LIFETIME_MAX;
use crate::store::workspaces::WorkspaceChange;

on_both! {
    a_workspace_is_unique_ignoring_case_and_keeps_its_spelling,
    every_kind_of_address_is_kept,
    a_new_address_or_state_is_a_new_generation_and_nothing_else_is,
    a_removed_workspace_leaves_nothing_for_the_next_of_its_name,
    port_settings_change_one_by_one_and_go_back_to_the_default,
    a_share_grows_and_shrinks_and_closes,
    taking_a_share_back_keeps_the_ports_settings_only,
    a_token_is_made_listed_touched_and_revoked,
    a_token_outside_its_rules_is_refused,
    expired_rows_are_not_listed_and_the_sweep_says_so,
    a_row_that_cannot_be_read_opens_nothing_and_hides_nothing_else,
    the_audit_keeps_the_newest_entries_and_cuts_long_texts,
}

async fn a_workspace_is_unique_ignoring_case_and_keeps_its_spelling(stage: Stage) {
    stage.people().await;
    let world = stage.publisher.current();
    let found = world.workspace("box").unwrap();
    assert_eq!((&*found.id, &*found.key, &*found.source), ("Box", "box", STORE_SOURCE));
    assert_eq!((found.state, found.owner.as_deref()), (State::Running, Some("alice")));
    assert_eq!(stage.store.workspace("BOX").await.unwrap().as_ref(), Some(found));
    assert_eq!(stage.store.workspaces().await.unwrap(), std::slice::from_ref(found));

    let again = NewWorkspace { id: "bOX".into(), owner: None, address: Address::Loopback };
    let error = stage.store.add_workspace(&again).await.unwrap_err();
    assert!(matches!(&error, StoreError::Exists { what: "workspace", name } if name == "bOX"));
    let unowned = NewWorkspace { id: "x".into(), owner: Some("carol".into()), address: Address::Loopback };
    let error = stage.store.add_workspace(&unowned).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { what: "user", .. }));
    stage.assert_same_world().await;
}

async fn every_kind_of_address_is_kept(stage: Stage) {
    for (number, text) in ["localhost", "127.0.0.1", "::1", "10.1.2.3", "fd00::5", "pod-1.ns.svc"].iter().enumerate() {
        let address: Address = text.parse().unwrap();
        let new = NewWorkspace { id: format!("w{number}"), owner: None, address: address.clone() };
        stage.see(stage.store.add_workspace(&new).await.unwrap()).await;
        assert_eq!(stage.publisher.current().workspace(&new.id).unwrap().address, address, "{text}");
    }
}

async fn a_new_address_or_state_is_a_new_generation_and_nothing_else_is(stage: Stage) {
    stage.people().await;
    let change = async |change: WorkspaceChange| {
        stage.see(stage.store.set_workspace("BOX", change).await.unwrap()).await;
        (**stage.publisher.current().workspace("box").unwrap()).clone()
    };
    let first = change(WorkspaceChange::default()).await;
    let owned = change(WorkspaceChange { owner: Some(Some("bob".into())), ..Default::default() }).await;
    assert_eq!((owned.owner.as_deref(), &owned.generation), (Some("bob"), &first.generation));
    let same = Address::Ip([10, 0, 0, 1].into());
    let same = change(WorkspaceChange { address: Some(same), state: Some(State::Running), owner: None }).await;
    assert_eq!(same, owned);
    let moved = change(WorkspaceChange { address: Some(Address::Loopback), ..Default::default() }).await;
    assert_eq!(moved.address, Address::Loopback);
    assert_ne!(moved.generation, first.generation);
    let stopped = change(WorkspaceChange { state: Some(State::Stopped), ..Default::default() }).await;
    assert_eq!(stopped.state, State::Stopped);
    assert_ne!(stopped.generation, moved.generation);
    let unowned = change(WorkspaceChange { owner: Some(None), ..Default::default() }).await;
    assert_eq!(unowned.owner, None);

    let nobody = WorkspaceChange { owner: Some(Some("carol".into())), ..Default::default() };
    assert!(matches!(stage.store.set_workspace("box", nobody).await, Err(StoreError::NotFound { what: "user", .. })));
    let nothing = stage.store.set_workspace("other", WorkspaceChange::default()).await;
    assert!(matches!(nothing, Err(StoreError::NotFound { what: "workspace", .. })));
}

async fn a_removed_workspace_leaves_nothing_for_the_next_of_its_name(stage: Stage) {
    stage.people().await;
    let store = &stage.store;
    stage.see(store.set_share("box", 3000, Some(Level::Public), &["bob".into()], &[]).await.unwrap()).await;
    stage.see(store.set_share("other", 3000, Some(Level::Public), &[], &[]).await.unwrap()).await;
    let (token, kept) = (secret().hash(), secret().hash());
    stage.see(store.add_token(&token, "bob", "box", 3000, 60, None).await.unwrap().1).await;
    stage.see(store.add_token(&kept, "bob", "other", 3000, 60, None).await.unwrap().1).await;
    store.add_consent("bob", "box", 3000).await.unwrap();

    stage.see(store.remove_workspace("BOX").await.unwrap()).await;
    let world = stage.publisher.current();
    assert!(world.workspace("box").is_none() && world.ports("box").is_none());
    assert!(world.token(&token).is_none() && world.token(&kept).is_some());
    assert!(world.ports("other").is_some());
    assert!(!store.has_consent("bob", "box", 3000).await.unwrap());
    assert!(matches!(store.remove_workspace("box").await, Err(StoreError::NotFound { .. })));
}

async fn port_settings_change_one_by_one_and_go_back_to_the_default(stage: Stage) {
    stage.people().await;
    let set = async |change: PortChange| {
        stage.see(stage.store.set_port("Box", 3000, change).await.unwrap()).await;
        stage.publisher.current().port("box", 3000).unwrap().clone()
    };
    assert_eq!(set(PortChange::default()).await, PortPolicy::default(), "declared, with every default");
    let one = set(PortChange { profile: Some(Some(Profile::Public)), ..PortChange::default() }).await;
    assert_eq!((one.profile, one.scheme), (Some(Profile::Public), None));
    let two = set(PortChange { scheme: Some(Some(Scheme::Https)), ..PortChange::default() }).await;
    assert_eq!((two.profile, two.scheme), (Some(Profile::Public), Some(Scheme::Https)));
    let three =
        set(PortChange { profile: Some(None), cors: Some(Some(Cors::Passthrough)), ..PortChange::default() }).await;
    assert_eq!((three.profile, three.scheme, three.cors), (None, Some(Scheme::Https), Some(Cors::Passthrough)));
    let four = set(PortChange { cors: Some(None), ..PortChange::default() }).await;
    assert_eq!((four.scheme, four.cors), (Some(Scheme::Https), None));

    stage.see(stage.store.remove_port("BOX", 3000).await.unwrap()).await;
    assert_eq!(stage.publisher.current().ports("box"), None);
    let again = stage.store.remove_port("box", 3000).await;
    assert!(matches!(again, Err(StoreError::NotFound { what: "port", .. })));
    let zero = stage.store.set_port("box", 0, PortChange::default()).await;
    assert!(matches!(zero, Err(StoreError::Invalid(_))));
}

async fn a_share_grows_and_shrinks_and_closes(stage: Stage) {
    stage.people().await;
    let set = async |level, add: &[&str], remove: &[&str]| {
        let add: Vec<_> = add.iter().map(|user| (*user).into()).collect();
        let remove: Vec<_> = remove.iter().map(|user| (*user).into()).collect();
        stage.see(stage.store.set_share("Box", 3000, level, &add, &remove).await.unwrap()).await;
        let policy = stage.publisher.current().port("box", 3000).unwrap().clone();
        (policy.level, policy.users.iter().map(|user| user.to_string()).collect::<Vec<_>>())
    };
    assert_eq!(set(None, &["bob"], &[]).await, (Level::Owner, vec!["bob".to_owned()]));
    assert_eq!(set(Some(Level::Authenticated), &["ALICE", "bob"], &[]).await.0, Level::Authenticated);
    assert_eq!(set(None, &[], &["Bob"]).await, (Level::Authenticated, vec!["alice".to_owned()]));
    assert_eq!(set(Some(Level::Public), &[], &[]).await.0, Level::Public);
    assert_eq!(set(Some(Level::Owner), &[], &[]).await, (Level::Owner, vec![]), "owner means nobody else");

    let nobody = stage.store.set_share("box", 3000, Some(Level::Public), &["carol".into()], &[]).await;
    assert!(matches!(nobody, Err(StoreError::NotFound { what: "user", .. })));
    stage.assert_same_world().await;
    assert_eq!(stage.publisher.current().port("box", 3000).unwrap().level, Level::Owner, "nothing of it was done");
}

async fn taking_a_share_back_keeps_the_ports_settings_only(stage: Stage) {
    stage.people().await;
    let store = &stage.store;
    let https = PortChange { scheme: Some(Some(Scheme::Https)), ..PortChange::default() };
    stage.see(store.set_port("box", 3000, https).await.unwrap()).await;
    for port in [3000, 5000] {
        let users = ["bob".into()];
        stage.see(store.set_share("box", port, Some(Level::Public), &users, &[]).await.unwrap()).await;
        stage.see(store.remove_share("box", port).await.unwrap()).await;
    }
    let world = stage.publisher.current();
    let left = PortPolicy { scheme: Some(Scheme::Https), ..PortPolicy::default() };
    assert_eq!(world.port("box", 3000), Some(&left));
    assert_eq!(world.port("box", 5000), None);
    let again = store.remove_share("box", 5000).await;
    assert!(matches!(again, Err(StoreError::NotFound { what: "share", .. })));
}

async fn a_token_is_made_listed_touched_and_revoked(stage: Stage) {
    stage.people().await;
    let store = &stage.store;
    let (token, other) = (secret().hash(), secret().hash());
    let (row, events) = store.add_token(&token, "Bob", "Box", 3000, 3600, Some("laptop")).await.unwrap();
    stage.see(events).await;
    let alices = store.add_token(&other, "alice", "box", 5000, TOKEN_LIFETIME_MAX, None).await.unwrap();
    stage.see(alices.1).await;
    assert_eq!((&*row.user, &*row.workspace, row.port), ("bob", "box", 3000));
    assert_eq!((row.label.as_deref(), row.last_used), (Some("laptop"), None));
    assert_eq!(row.expires_at, row.created_at + 3600);
    let seen = stage.publisher.current().token(&token).unwrap().clone();
    assert_eq!((&*seen.user, &*seen.workspace, seen.port, seen.expires_at), ("bob", "box", 3000, row.expires_at));
    assert_eq!(store.tokens(Some("BOB")).await.unwrap(), std::slice::from_ref(&row));
    assert_eq!(store.tokens(None).await.unwrap().len(), 2);

    store.touch_token(&token).await.unwrap();
    let used = store.tokens(Some("bob")).await.unwrap()[0].last_used.unwrap();
    assert!(used >= row.created_at);
    stage.sql("UPDATE tokens SET last_used = last_used - 30").await;
    store.touch_token(&token).await.unwrap();
    assert_eq!(store.tokens(Some("bob")).await.unwrap()[0].last_used, Some(used - 30), "once a minute");
    stage.sql("UPDATE tokens SET last_used = last_used - 30").await;
    store.touch_token(&token).await.unwrap();
    assert!(store.tokens(Some("bob")).await.unwrap()[0].last_used >= Some(used));

    stage.see(store.remove_token(&row.id).await.unwrap()).await;
    assert!(stage.publisher.current().token(&token).is_none());
    assert!(stage.publisher.current().token(&other).is_some());
    assert!(matches!(store.remove_token(&row.id).await, Err(StoreError::NotFound { .. })));
}

async fn a_token_outside_its_rules_is_refused(stage: Stage) {
    stage.people().await;
    let add = async |user: &str, port, lifetime, label: Option<&str>| {
        stage.store.add_token(&secret().hash(), user, "box", port, lifetime, label).await.unwrap_err()
    };
    for lifetime in [0, TOKEN_LIFETIME_MAX + 1, u64::MAX] {
        assert!(matches!(add("bob", 3000, lifetime, None).await, StoreError::Invalid(_)), "{lifetime}");
    }
    assert!(matches!(add("bob", 0, 60, None).await, StoreError::Invalid(_)));
    assert!(matches!(add("bob", 3000, 60, Some("\x1b[2J")).await, StoreError::Invalid(_)));
    assert!(matches!(add("bob", 3000, 60, Some(&"x".repeat(101))).await, StoreError::Invalid(_)));
    assert!(matches!(add("carol", 3000, 60, None).await, StoreError::NotFound { .. }));
    stage.assert_same_world().await;
}

async fn expired_rows_are_not_listed_and_the_sweep_says_so(stage: Stage) {
    stage.people().await;
    let store = &stage.store;
    let login = stage.login("bob").await;
    let session = stage.session(login, "bob", "3000-box.example.com").await;
    let token = secret().hash();
    stage.see(store.add_token(&token, "bob", "box", 3000, 60, None).await.unwrap().1).await;
    stage.sql("UPDATE sessions SET expires_at = unixepoch()").await;
    stage.sql("UPDATE tokens SET expires_at = unixepoch()").await;

    let listed = fresh(store).await;
    assert!(listed.session(&session).is_none() && listed.token(&token).is_none());
    assert!(store.tokens(None).await.unwrap().is_empty());
    assert!(stage.publisher.current().session(&session).is_some(), "nobody has said so yet");
    let events = store.sweep().await.unwrap();
    assert_eq!(events, [Event::SessionGone(session), Event::TokenGone(token)]);
    stage.see(events).await;
    assert!(store.login(&login).await.unwrap().is_some());
    assert_eq!(store.sweep().await.unwrap(), []);
}

async fn a_row_that_cannot_be_read_opens_nothing_and_hides_nothing_else(stage: Stage) {
    stage.people().await;
    stage.sql("INSERT INTO workspaces (key, id, address, generation) VALUES ('bad', 'bad', '0x7f.1', 'g')").await;
    if stage.is_shared() {
        stage.sql("ALTER TABLE ports DROP CONSTRAINT ports_level_check, DROP CONSTRAINT ports_port_check").await;
    } else {
        stage.sql("PRAGMA ignore_check_constraints = 1").await;
    }
    stage.sql("INSERT INTO ports (workspace, port, level) VALUES ('box', 3000, 'everybody')").await;
    stage.sql("INSERT INTO ports (workspace, port, level) VALUES ('box', 70000, 'public')").await;
    stage.sql("INSERT INTO ports (workspace, port, level) VALUES ('box', 5000, 'public')").await;
    let listed = fresh(&stage.store).await;
    assert!(listed.workspace("bad").is_none() && listed.workspace("box").is_some());
    assert_eq!(listed.ports("box").unwrap().keys().collect::<Vec<_>>(), [&5000]);
}

async fn the_audit_keeps_the_newest_entries_and_cuts_long_texts(stage: Stage) {
    let long = "ä".repeat(1000);
    let mut entry = Audit {
        event: "login",
        user: Some("alice"),
        host: Some("portway.localhost"),
        peer: Some([127, 0, 0, 1].into()),
        detail: "by link",
    };
    stage.store.audit(&entry).await.unwrap();
    entry = Audit { event: "denied", user: None, host: None, peer: None, detail: &long };
    stage.store.audit(&entry).await.unwrap();
    let rows = stage.store.audit_rows(10).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.event.as_str()).collect::<Vec<_>>(), ["denied", "login"]);
    assert_eq!(rows[0].detail, "ä".repeat(512));
    assert_eq!(rows[1].user.as_deref(), Some("alice"));
    assert_eq!(rows[1].host.as_deref(), Some("portway.localhost"));
    assert_eq!(rows[1].peer.as_deref(), Some("127.0.0.1"));
    assert_eq!(rows[1].detail, "by link");
    assert!(rows[1].at <= stage.store.now().await.unwrap());

    // As if many had been made since.
    if stage.is_shared() {
        stage.sql("ALTER TABLE audit ALTER COLUMN id RESTART WITH 100002").await;
    } else {
        stage.sql("UPDATE sqlite_sequence SET seq = 100001 WHERE name = 'audit'").await;
    }
    stage.store.audit(&entry).await.unwrap();
    let rows = stage.store.audit_rows(10).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [KEPT + 2], "ids up to {} went", 2);
}
