//! Tickets: bound to a host, a browser and a login, good once and for half a minute (R9, R10, R11).

use portway_core::ticket::{LIFETIME, TicketError};

use super::*;

on_both! {
    a_ticket_becomes_a_session_on_its_host,
    a_session_does_not_outlive_its_login,
    a_second_use_ends_the_session_of_the_first,
    a_replay_is_recognised_as_long_as_the_session_lives,
    a_wrong_attempt_gets_nothing_and_uses_the_ticket_up,
    a_ticket_lives_its_lifetime_by_the_databases_clock,
    a_ticket_needs_a_living_login_of_its_user,
    of_two_hundred_who_redeem_a_ticket_one_wins,
    of_two_hundred_who_redeem_a_ticket_in_two_processes_one_wins,
    consent_is_for_one_port_of_one_workspace_of_one_owner,
}

const HOST: &str = "3000-box.example.com";

async fn a_ticket_becomes_a_session_on_its_host(stage: Stage) {
    stage.people().await;
    let login = stage.login("bob").await;
    let (ticket, nonce) = stage.ticket(login, "bob", HOST).await;
    let session = secret().hash();
    let redeemed = stage.store.redeem_ticket(&ticket, HOST, Some(&nonce), &session, 600).await;
    let redeemed = redeemed.unwrap().unwrap();
    assert_eq!((&*redeemed.user, redeemed.return_to.as_str()), ("bob", "/here?x=1"));
    let made = redeemed.session.clone();
    assert_eq!((made.hash, &*made.user, &*made.host), (session, "bob", HOST));
    let left = made.expires_at - stage.store.now().await.unwrap();
    assert!((590..=600).contains(&left), "{left} s");
    stage.see(redeemed.events).await;
    assert_eq!(stage.publisher.current().session(&session), Some(&made));
}

async fn a_session_does_not_outlive_its_login(stage: Stage) {
    stage.people().await;
    let login = secret().hash();
    stage.store.add_login(&login, "bob", 100).await.unwrap();
    let ends = stage.store.login(&login).await.unwrap().unwrap().expires_at;
    let (ticket, nonce) = stage.ticket(login, "bob", HOST).await;
    let session = secret().hash();
    let made = stage.store.redeem_ticket(&ticket, HOST, Some(&nonce), &session, u64::MAX).await;
    assert_eq!(made.unwrap().unwrap().session.expires_at, ends);
}

async fn a_second_use_ends_the_session_of_the_first(stage: Stage) {
    stage.people().await;
    let login = stage.login("bob").await;
    let other = stage.session(login, "bob", "5000-box.example.com").await;
    let (ticket, nonce) = stage.ticket(login, "bob", HOST).await;
    let session = secret().hash();
    let first = stage.store.redeem_ticket(&ticket, HOST, Some(&nonce), &session, 600).await;
    stage.see(first.unwrap().unwrap().events).await;
    assert!(stage.publisher.current().session(&session).is_some());

    // By whoever, from wherever: the ticket is out.
    let second = stage.store.redeem_ticket(&ticket, "evil.com", None, &secret().hash(), 600).await;
    let failure = second.unwrap().unwrap_err();
    assert_eq!(failure.error, TicketError::Unknown);
    assert_eq!(failure.user.as_deref(), Some("bob"));
    assert_eq!(failure.events, [Event::SessionGone(session)]);
    stage.see(failure.events).await;
    let world = stage.publisher.current();
    assert!(world.session(&session).is_none() && world.session(&other).is_some());

    let third = stage.store.redeem_ticket(&ticket, HOST, Some(&nonce), &session, 600).await;
    assert_eq!(third.unwrap().unwrap_err().events, []);
    stage.assert_same_world().await;
}

async fn a_replay_is_recognised_as_long_as_the_session_lives(stage: Stage) {
    stage.people().await;
    let login = stage.login("bob").await;
    let (ticket, nonce) = stage.ticket(login, "bob", HOST).await;
    let session = secret().hash();
    let first = stage.store.redeem_ticket(&ticket, HOST, Some(&nonce), &session, 600).await;
    stage.see(first.unwrap().unwrap().events).await;
    stage.sql("UPDATE tickets SET expires_at = unixepoch() - 60").await;
    stage.see(stage.store.sweep().await.unwrap()).await;
    let replay = stage.store.redeem_ticket(&ticket, HOST, Some(&nonce), &session, 600).await;
    assert_eq!(replay.unwrap().unwrap_err().events, [Event::SessionGone(session)]);
    stage.see(vec![Event::SessionGone(session)]).await;
    stage.see(stage.store.sweep().await.unwrap()).await;
    assert_eq!(stage.count("SELECT count(*) FROM tickets").await, 0, "then it is forgotten");
}

async fn a_wrong_attempt_gets_nothing_and_uses_the_ticket_up(stage: Stage) {
    stage.people().await;
    let login = stage.login("bob").await;
    let wrong = secret();
    for (host, nonce, error) in [
        ("5000-box.example.com", None, TicketError::WrongHost),
        ("3000-box.example.com:443", None, TicketError::WrongHost),
        (HOST, None, TicketError::WrongBrowser),
        (HOST, Some(&wrong), TicketError::WrongBrowser),
    ] {
        let (ticket, right) = stage.ticket(login, "bob", HOST).await;
        let attempt = stage.store.redeem_ticket(&ticket, host, nonce, &secret().hash(), 600).await;
        let failure = attempt.unwrap().unwrap_err();
        assert_eq!((failure.error, failure.events), (error, vec![]), "{host}");
        let late = stage.store.redeem_ticket(&ticket, HOST, Some(&right), &secret().hash(), 600).await;
        let failure = late.unwrap().unwrap_err();
        assert_eq!((failure.error, failure.events), (TicketError::Unknown, vec![]), "{host}");
    }
    assert_eq!(stage.count("SELECT count(*) FROM sessions").await, 0);
    let unknown = stage.store.redeem_ticket(&secret().hash(), HOST, None, &secret().hash(), 600).await;
    let failure = unknown.unwrap().unwrap_err();
    assert_eq!((failure.error, failure.user), (TicketError::Unknown, None));
}

async fn a_ticket_lives_its_lifetime_by_the_databases_clock(stage: Stage) {
    stage.people().await;
    let login = stage.login("bob").await;
    let (ticket, nonce) = stage.ticket(login, "bob", HOST).await;
    let lives = stage.count("SELECT expires_at - unixepoch() FROM tickets").await;
    let lifetime = i64::try_from(LIFETIME).unwrap();
    assert!((lifetime - 5..=lifetime).contains(&lives), "{lives} s, whatever the caller's clock says");

    stage.sql("UPDATE tickets SET expires_at = unixepoch()").await;
    let late = stage.store.redeem_ticket(&ticket, HOST, Some(&nonce), &secret().hash(), 600).await;
    assert_eq!(late.unwrap().unwrap_err().error, TicketError::Expired);
}

async fn a_ticket_needs_a_living_login_of_its_user(stage: Stage) {
    stage.people().await;
    let login = stage.login("bob").await;
    let ticket = |user: &str, login| Ticket {
        host: HOST.into(),
        challenge: secret().hash(),
        user: user.into(),
        login,
        return_to: "/".into(),
        expires_at: u64::MAX,
    };
    for bad in [ticket("alice", login), ticket("bob", secret().hash())] {
        let added = stage.store.add_ticket(&secret().hash(), &bad).await;
        assert!(matches!(added, Err(StoreError::LoginOver)));
    }

    // The login expires while the visitor is on the way.
    let (late, nonce) = stage.ticket(login, "bob", HOST).await;
    stage.sql("UPDATE logins SET expires_at = unixepoch()").await;
    let added = stage.store.add_ticket(&secret().hash(), &ticket("bob", login)).await;
    assert!(matches!(added, Err(StoreError::LoginOver)));
    let made = stage.store.redeem_ticket(&late, HOST, Some(&nonce), &secret().hash(), 600).await;
    assert_eq!(made.unwrap().unwrap_err().error, TicketError::Unknown);
    stage.assert_same_world().await;
}

/// Two hundred redeem one ticket, each for a session of its own. One wins; the others are second uses, so that what it
/// won is gone in the end.
async fn redeem_in_parallel(stage: &Stage, stores: &[Store]) {
    let login = stage.login("bob").await;
    let (ticket, nonce) = stage.ticket(login, "bob", HOST).await;
    let redeeming: Vec<_> = (0..200)
        .map(|number| {
            let store = stores[number % stores.len()].clone();
            let session = secret().hash();
            tokio::spawn(async move { store.redeem_ticket(&ticket, HOST, Some(&nonce), &session, 600).await.unwrap() })
        })
        .collect();
    let (mut won, mut ended) = (Vec::new(), Vec::new());
    for attempt in redeeming {
        match attempt.await.unwrap() {
            Ok(redeemed) => won.push(redeemed.session.hash),
            Err(failure) => {
                assert_eq!(failure.error, TicketError::Unknown);
                ended.extend(failure.events);
            }
        }
    }
    assert_eq!(won.len(), 1, "exactly one wins");
    assert_eq!(ended, [Event::SessionGone(won[0])], "the second use ends what it won");
    assert_eq!(stage.count("SELECT count(*) FROM sessions").await, 0);
}

async fn of_two_hundred_who_redeem_a_ticket_one_wins(stage: Stage) {
    stage.people().await;
    let stores = [stage.store.clone()];
    redeem_in_parallel(&stage, &stores).await;
}

async fn of_two_hundred_who_redeem_a_ticket_in_two_processes_one_wins(stage: Stage) {
    stage.people().await;
    let stores = [stage.store.clone(), stage.another().await];
    redeem_in_parallel(&stage, &stores).await;
}

async fn consent_is_for_one_port_of_one_workspace_of_one_owner(stage: Stage) {
    stage.people().await;
    let store = &stage.store;
    assert!(!store.has_consent("bob", "box", 3000).await.unwrap());
    store.add_consent("bob", "Box", 3000).await.unwrap();
    store.add_consent("bob", "box", 3000).await.unwrap();
    assert!(store.has_consent("bob", "BOX", 3000).await.unwrap());
    for (user, workspace, port) in [("alice", "box", 3000), ("bob", "box2", 3000), ("bob", "box", 3001)] {
        assert!(!store.has_consent(user, workspace, port).await.unwrap(), "{user} {workspace} {port}");
    }
    assert!(matches!(store.add_consent("carol", "box", 1).await, Err(StoreError::NotFound { .. })));

    let change = crate::WorkspaceChange { owner: Some(None), ..Default::default() };
    stage.see(store.set_workspace("box", change).await.unwrap()).await;
    assert!(!store.has_consent("bob", "box", 3000).await.unwrap(), "another owner, another question");
}
