//! Users, logins and login links.

use portway_core::workspace::{Level, User};

use super::*;
use crate::store::users::user_id;

on_both! {
    a_user_is_added_once_whatever_the_case,
    passwords_are_set_and_taken_away_and_never_printed,
    suspending_ends_logins_sessions_and_links_and_letting_in_again_revives_none,
    removing_a_user_removes_all_that_names_them,
    an_owner_is_not_removed_and_the_workspaces_are_named,
    looking_at_a_login_link_consumes_nothing_and_taking_it_does,
    a_link_and_a_login_end_in_their_last_second,
    of_two_hundred_who_take_a_login_link_in_two_processes_one_gets_in,
    a_login_lives_until_it_ends_and_takes_its_own_sessions_with_it,
    ending_a_session_leaves_its_login_and_its_siblings,
}

async fn a_user_is_added_once_whatever_the_case(stage: Stage) {
    stage.see(stage.store.add_user("Alice").await.unwrap()).await;
    let error = stage.store.add_user("aLICE").await.unwrap_err();
    assert!(matches!(&error, StoreError::Exists { what: "user", name } if name == "alice"));
    assert_eq!(error.to_string(), "user `alice` exists already");
    let row = stage.store.user("ALICE").await.unwrap().unwrap();
    assert_eq!((&*row.id, row.password, row.suspended), ("alice", None, false));
    assert!(row.created_at <= stage.store.now().await.unwrap());
}

#[test]
fn user_names_have_an_alphabet_and_a_length() {
    for good in ["a", "alice", "A.b_c-d@example.com", &"x".repeat(64)] {
        assert_eq!(*user_id(good).unwrap(), *good.to_ascii_lowercase(), "{good}");
    }
    for bad in ["", " ", "a b", "a,b", "a/b", "ä", "a\n", "a'b", "<a>", &"x".repeat(65)] {
        assert!(matches!(user_id(bad), Err(StoreError::Invalid(_))), "{bad:?}");
    }
}

async fn passwords_are_set_and_taken_away_and_never_printed(stage: Stage) {
    stage.people().await;
    stage.store.set_password("alice", Some("$argon2id$secret")).await.unwrap();
    let row = stage.store.user("alice").await.unwrap().unwrap();
    assert_eq!(row.password.as_deref(), Some("$argon2id$secret"));
    assert!(!format!("{row:?}").contains("secret"));
    stage.store.set_password("alice", None).await.unwrap();
    assert_eq!(stage.store.user("alice").await.unwrap().unwrap().password, None);
    let nobody = stage.store.set_password("carol", None).await;
    assert!(matches!(nobody, Err(StoreError::NotFound { what: "user", .. })));
}

async fn suspending_ends_logins_sessions_and_links_and_letting_in_again_revives_none(stage: Stage) {
    stage.people().await;
    let login = stage.login("bob").await;
    let other = stage.login("alice").await;
    let session = stage.session(login, "bob", "3000-box.example.com").await;
    let kept = stage.session(other, "alice", "3000-box.example.com").await;
    let (ticket, nonce) = stage.ticket(login, "bob", "5000-box.example.com").await;
    let link = secret().hash();
    stage.store.add_login_link("bob", &link, 600).await.unwrap();

    stage.see(stage.store.set_suspended("bob", true).await.unwrap()).await;
    let world = stage.publisher.current();
    assert_eq!(world.user("bob").map(|user| user.suspended), Some(true));
    assert!(world.session(&session).is_none() && world.session(&kept).is_some());
    assert!(stage.store.login(&login).await.unwrap().is_none());
    assert!(stage.store.take_login_link(&link).await.unwrap().is_none());
    let new = secret().hash();
    assert!(matches!(stage.store.add_login(&new, "bob", 60).await, Err(StoreError::LoginOver)));
    assert!(matches!(stage.store.add_login_link("bob", &new, 60).await, Err(StoreError::LoginOver)));

    stage.see(stage.store.set_suspended("bob", false).await.unwrap()).await;
    assert_eq!(
        stage.publisher.current().user("bob").map(|user| (**user).clone()),
        Some(User { id: "bob".into(), suspended: false, groups: Default::default() })
    );
    assert!(stage.store.login(&login).await.unwrap().is_none());
    let host = "5000-box.example.com";
    let late = stage.store.redeem_ticket(&ticket, host, Some(&nonce), &new, 60).await.unwrap();
    assert!(late.is_err(), "a ticket went with its login");
    assert!(stage.store.set_suspended("carol", true).await.is_err());
}

async fn removing_a_user_removes_all_that_names_them(stage: Stage) {
    stage.people().await;
    let store = &stage.store;
    let login = stage.login("bob").await;
    let session = stage.session(login, "bob", "3000-box.example.com").await;
    let token = secret().hash();
    stage.see(store.add_token(&token, "bob", "box", 3000, 60, None).await.unwrap().1).await;
    let users = ["alice".into(), "bob".into()];
    stage.see(store.set_share("box", 3000, Some(Level::Users), &users, &[]).await.unwrap()).await;
    store.add_consent("bob", "box", 3000).await.unwrap();
    store.add_login_link("bob", &secret().hash(), 60).await.unwrap();

    stage.see(store.remove_user("Bob").await.unwrap()).await;
    let world = stage.publisher.current();
    assert!(world.user("bob").is_none());
    assert!(world.session(&session).is_none() && world.token(&token).is_none());
    let policy = world.port("box", 3000).unwrap();
    assert_eq!(policy.users, ["alice".into()].into());
    for table in [
        "SELECT count(*) FROM logins",
        "SELECT count(*) FROM login_links",
        "SELECT count(*) FROM consents",
        "SELECT count(*) FROM tickets",
        "SELECT count(*) FROM tokens",
    ] {
        assert_eq!(stage.count(table).await, 0, "{table}");
    }
    assert!(matches!(store.remove_user("bob").await, Err(StoreError::NotFound { .. })));
    // One who comes back under the name has none of it.
    stage.see(store.add_user("bob").await.unwrap()).await;
    assert!(!store.has_consent("bob", "box", 3000).await.unwrap());
    assert!(store.tokens(Some("bob")).await.unwrap().is_empty());
}

async fn an_owner_is_not_removed_and_the_workspaces_are_named(stage: Stage) {
    stage.people().await;
    let new = NewWorkspace { id: "Another".into(), owner: Some("alice".into()), address: "localhost".parse().unwrap() };
    stage.see(stage.store.add_workspace(&new).await.unwrap()).await;
    let error = stage.store.remove_user("alice").await.unwrap_err();
    assert!(error.to_string().contains("user `alice` owns workspaces (Another, Box)"), "{error}");
    stage.assert_same_world().await;
    assert!(stage.publisher.current().user("alice").is_some());
}

async fn looking_at_a_login_link_consumes_nothing_and_taking_it_does(stage: Stage) {
    stage.people().await;
    let (link, unknown) = (secret().hash(), secret().hash());
    stage.store.add_login_link("bob", &link, 600).await.unwrap();
    for _ in 0..3 {
        assert_eq!(stage.store.peek_login_link(&link).await.unwrap().as_deref(), Some("bob"));
    }
    assert_eq!(stage.store.peek_login_link(&unknown).await.unwrap(), None);
    assert_eq!(stage.store.take_login_link(&unknown).await.unwrap(), None);
    assert_eq!(stage.store.take_login_link(&link).await.unwrap().as_deref(), Some("bob"));
    assert_eq!(stage.store.take_login_link(&link).await.unwrap(), None);
    assert_eq!(stage.store.peek_login_link(&link).await.unwrap(), None);
    let nobody = stage.store.add_login_link("carol", &unknown, 600).await;
    assert!(matches!(nobody, Err(StoreError::NotFound { .. })));
}

async fn a_link_and_a_login_end_in_their_last_second(stage: Stage) {
    stage.people().await;
    let (link, login) = (secret().hash(), secret().hash());
    stage.store.add_login_link("bob", &link, 0).await.unwrap();
    stage.store.add_login(&login, "bob", 0).await.unwrap();
    assert_eq!(stage.store.peek_login_link(&link).await.unwrap(), None);
    assert_eq!(stage.store.take_login_link(&link).await.unwrap(), None);
    assert_eq!(stage.store.login(&login).await.unwrap(), None);
    assert_eq!(stage.count("SELECT count(*) FROM login_links").await, 1, "not swept yet");
    stage.see(stage.store.sweep().await.unwrap()).await;
    assert_eq!(stage.count("SELECT count(*) FROM login_links").await, 0);
    assert_eq!(stage.count("SELECT count(*) FROM logins").await, 0);
}

async fn of_two_hundred_who_take_a_login_link_in_two_processes_one_gets_in(stage: Stage) {
    stage.people().await;
    let other = stage.another().await;
    let link = secret().hash();
    stage.store.add_login_link("bob", &link, 600).await.unwrap();
    let taking: Vec<_> = (0..200)
        .map(|number| {
            let store = if number % 2 == 0 { stage.store.clone() } else { other.clone() };
            tokio::spawn(async move { store.take_login_link(&link).await.unwrap() })
        })
        .collect();
    let mut winners = 0;
    for taken in taking {
        winners += usize::from(taken.await.unwrap().is_some());
    }
    assert_eq!(winners, 1);
}

async fn a_login_lives_until_it_ends_and_takes_its_own_sessions_with_it(stage: Stage) {
    stage.people().await;
    let (one, two) = (stage.login("bob").await, stage.login("bob").await);
    let row = stage.store.login(&one).await.unwrap().unwrap();
    assert_eq!(&*row.user, "bob");
    let left = row.expires_at - stage.store.now().await.unwrap();
    assert!((3590..=3600).contains(&left), "{left} s");
    let first = stage.session(one, "bob", "3000-box.example.com").await;
    let second = stage.session(one, "bob", "5000-box.example.com").await;
    let kept = stage.session(two, "bob", "3000-box.example.com").await;

    stage.see(stage.store.end_login(&one).await.unwrap()).await;
    let world = stage.publisher.current();
    assert!(world.session(&first).is_none() && world.session(&second).is_none());
    assert!(world.session(&kept).is_some());
    assert!(stage.store.login(&one).await.unwrap().is_none());
    assert!(stage.store.login(&two).await.unwrap().is_some());
    assert_eq!(stage.store.end_login(&one).await.unwrap(), vec![], "it is over already");

    stage.see(stage.store.end_logins_of("bob").await.unwrap()).await;
    assert!(stage.publisher.current().session(&kept).is_none());
    assert!(stage.store.login(&two).await.unwrap().is_none());
}

async fn ending_a_session_leaves_its_login_and_its_siblings(stage: Stage) {
    stage.people().await;
    let login = stage.login("bob").await;
    let ended = stage.session(login, "bob", "3000-box.example.com").await;
    let kept = stage.session(login, "bob", "5000-box.example.com").await;
    stage.see(stage.store.end_session(&ended).await.unwrap()).await;
    let world = stage.publisher.current();
    assert!(world.session(&ended).is_none() && world.session(&kept).is_some());
    assert!(stage.store.login(&login).await.unwrap().is_some());
}
