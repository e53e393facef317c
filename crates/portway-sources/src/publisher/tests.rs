use std::convert::Infallible;
use std::pin::Pin;

use portway_core::snapshot::OwnState;
use portway_core::workspace::{Address, Level, State, User};
use portway_testkit::{eventually_async, within};

use super::*;
use crate::store::tests::Stage;

fn workspace(source: &str, id: &str, generation: &str) -> Arc<Workspace> {
    Arc::new(Workspace {
        key: id.to_ascii_lowercase().into(),
        id: id.into(),
        owner: None,
        state: State::Running,
        address: Address::Loopback,
        generation: generation.into(),
        grants: None,
        name: None,
        source: source.into(),
    })
}

fn listing(source: &str, ids: &[&str]) -> Listing {
    let workspaces = ids.iter().map(|id| workspace(source, id, "1")).collect();
    Listing { source: source.into(), workspaces, own: None }
}

fn user(id: &str) -> Event {
    Event::User(Arc::new(User { id: id.into(), suspended: false, groups: Default::default() }))
}

/// `source/generation` of who holds a key.
fn holder(publisher: &Publisher, key: &str) -> Option<String> {
    publisher.current().workspace(key).map(|held| format!("{}/{}", held.source, held.generation))
}

#[tokio::test]
async fn a_change_is_seen_when_publish_returns_and_told_with_its_diff() {
    let publisher = Publisher::new();
    let mut updates = publisher.subscribe();
    let directory = publisher.directory();
    assert_eq!(publisher.publish(vec![user("alice")]).await, []);
    assert!(directory.load().user("alice").is_some());
    let update = updates.try_recv().unwrap();
    assert!(update.snapshot.user("alice").is_some());
    assert_eq!(update.diff.users, ["alice".into()].into());
}

#[tokio::test]
async fn what_changes_nothing_is_not_told() {
    let publisher = Publisher::new();
    publisher.publish(vec![user("alice")]).await;
    let mut updates = publisher.subscribe();
    publisher.publish(vec![user("alice"), Event::UserGone("bob".into())]).await;
    assert!(updates.try_recv().is_err());
}

#[tokio::test]
async fn every_subscriber_hears_every_change_in_order() {
    let publisher = Publisher::new();
    let mut cores = [publisher.subscribe(), publisher.subscribe(), publisher.subscribe()];
    for number in 0..100 {
        publisher.publish(vec![user(&format!("u{number}"))]).await;
    }
    for core in &mut cores {
        for number in 0..100 {
            let update = core.try_recv().unwrap();
            assert_eq!(update.diff.users, [format!("u{number}").into()].into());
        }
    }
}

#[tokio::test]
async fn a_full_core_is_waited_for_and_delays_no_other() {
    let publisher = Publisher::new();
    let mut full = publisher.subscribe();
    let mut quick = publisher.subscribe();
    for number in 0..BEHIND_MAX {
        publisher.publish(vec![user(&format!("u{number}"))]).await;
        quick.try_recv().unwrap();
    }
    let publishing = tokio::spawn({
        let publisher = publisher.clone();
        async move { publisher.publish(vec![user("late")]).await }
    });
    let update = within("the other core's update", quick.recv()).await.unwrap();
    assert!(update.snapshot.user("late").is_some());
    assert!(!publishing.is_finished(), "the full core has not heard");
    full.recv().await.unwrap();
    within("publish", publishing).await.unwrap();
    let mut last = None;
    while let Ok(update) = full.try_recv() {
        last = Some(update);
    }
    assert!(last.unwrap().snapshot.user("late").is_some());
}

#[tokio::test]
async fn a_core_that_has_ended_is_forgotten() {
    let publisher = Publisher::new();
    drop(publisher.subscribe());
    let _kept = publisher.subscribe();
    within("publish", publisher.publish(vec![user("alice")])).await;
    assert_eq!(publisher.shared.subscribers().len(), 1);
}

#[tokio::test]
async fn a_change_goes_on_when_its_caller_stops_waiting() {
    let publisher = Publisher::new();
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    {
        let change = async move {
            gone.await.unwrap();
            Ok::<_, Infallible>(vec![user("alice")])
        };
        let committing = publisher.commit(change);
        tokio::pin!(committing);
        tokio::select! {
            biased;
            _ = &mut committing => panic!("it has nothing to commit yet"),
            () = tokio::task::yield_now() => {}
        }
    }
    go.send(()).unwrap();
    eventually_async("the change", async || publisher.current().user("alice").is_some()).await;
}

#[tokio::test]
async fn a_failed_change_publishes_nothing() {
    let publisher = Publisher::new();
    let failed: Result<Vec<Event>, &str> = publisher.commit(async { Err("no") }).await;
    assert_eq!(failed, Err("no"));
    assert_eq!(*publisher.current(), Snapshot::default());
    publisher.publish(vec![user("alice")]).await;
    let failed = publisher.replace_with(async { Err::<Listing, _>("down") }).await;
    assert_eq!(failed, Err("down"));
    assert!(publisher.current().user("alice").is_some());
}

#[tokio::test]
async fn commit_takes_the_events_and_gives_the_rest() {
    let publisher = Publisher::new();
    let change = async { Ok::<_, Infallible>((7, vec![user("alice")])) };
    assert_eq!(publisher.commit(change).await, Ok((7, vec![])));
    let change = async { Ok::<Result<Vec<Event>, (u8, Vec<Event>)>, Infallible>(Err((8, vec![user("bob")]))) };
    assert_eq!(publisher.commit(change).await, Ok(Err((8, vec![]))));
    let world = publisher.current();
    assert!(world.user("alice").is_some() && world.user("bob").is_some());
}

#[tokio::test]
async fn no_change_begins_before_the_one_in_hand_is_published() {
    let publisher = Publisher::new();
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let commit = |change: Pin<Box<dyn Future<Output = Result<Vec<Event>, Infallible>> + Send>>| {
        let publisher = publisher.clone();
        tokio::spawn(async move { publisher.commit(change).await })
    };
    let first = commit(Box::pin(async move {
        gone.await.unwrap();
        Ok(vec![user("alice")])
    }));
    let seen = publisher.directory();
    let second = commit(Box::pin(async move {
        assert!(seen.load().user("alice").is_some(), "begun too early");
        Ok(vec![user("bob")])
    }));
    let seen = publisher.directory();
    let listing = async move {
        assert!(seen.load().user("bob").is_some(), "listed too early");
        Ok::<_, Infallible>(listing("file", &[]))
    };
    let listed = tokio::spawn({
        let publisher = publisher.clone();
        async move { publisher.replace_with(listing).await }
    });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!second.is_finished() && !listed.is_finished());
    go.send(()).unwrap();
    within("the first", first).await.unwrap().unwrap();
    within("the second", second).await.unwrap().unwrap();
    within("the listing", listed).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_later_of_two_changes_of_a_row_is_the_later_one_seen() {
    let stage = Stage::new().await;
    let levels = [Level::Owner, Level::Authenticated, Level::Public];
    let changing: Vec<_> = (0..90)
        .map(|number: usize| {
            let (store, publisher) = (stage.store.clone(), stage.publisher.clone());
            tokio::spawn(async move {
                // Listings come between, as from the watch.
                if number.is_multiple_of(9) {
                    let listed = store.clone();
                    publisher.replace_with(async move { listed.listing().await }).await.unwrap();
                }
                let level = Some(levels[number % 3]);
                let change = async move { store.set_share("w", 3000, level, &[], &[]).await };
                publisher.commit(change).await.unwrap();
            })
        })
        .collect();
    for change in changing {
        change.await.unwrap();
    }
    let own = stage.store.listing().await.unwrap().own.unwrap();
    assert_eq!(stage.publisher.current().ports("w"), Some(&own.ports[0].1));
}

#[tokio::test]
async fn a_listing_replaces_its_own_source_only() {
    let publisher = Publisher::new();
    publisher.replace(listing("one", &["a", "b"])).await;
    publisher.replace(listing("two", &["c"])).await;
    publisher.publish(vec![user("alice")]).await;
    publisher.replace(listing("one", &["b", "d"])).await;
    let world = publisher.current();
    let mut keys: Vec<_> = world.workspaces().map(|workspace| workspace.key.to_string()).collect();
    keys.sort();
    assert_eq!(keys, ["b", "c", "d"]);
    assert!(world.user("alice").is_some(), "a listing without own state leaves it alone");
    let own = Some(OwnState::default());
    publisher.replace(Listing { source: "one".into(), workspaces: vec![], own }).await;
    assert!(publisher.current().user("alice").is_none());
}

#[tokio::test]
async fn the_same_id_in_two_sources_names_both_and_the_first_stays() {
    let publisher = Publisher::new();
    assert_eq!(publisher.replace(listing("file", &["Box"])).await, []);
    let conflicts = publisher.replace(listing("sqlite", &["bOX", "other"])).await;
    assert_eq!(
        conflicts.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["workspace `bOX` is in two sources, `file` and `sqlite`; remove one (the one from `file` stays in use)"]
    );
    assert_eq!(holder(&publisher, "box").as_deref(), Some("file/1"));
    assert_eq!(holder(&publisher, "other").as_deref(), Some("sqlite/1"), "the rest is in use");
}

#[tokio::test]
async fn when_the_first_source_lets_go_the_second_ones_record_comes_into_use() {
    let publisher = Publisher::new();
    publisher.replace(listing("file", &["box"])).await;
    publisher.replace(listing("sqlite", &["box"])).await;
    publisher.publish(vec![Event::Workspace(workspace("sqlite", "box", "2"))]).await;
    assert_eq!(holder(&publisher, "box").as_deref(), Some("file/1"));
    let mut updates = publisher.subscribe();
    publisher.replace(listing("file", &[])).await;
    assert_eq!(holder(&publisher, "box").as_deref(), Some("sqlite/2"), "as it is by now");
    assert!(updates.try_recv().unwrap().diff.workspaces.contains("box"));
    assert!(updates.try_recv().is_err(), "one change, with nothing between");

    // The other way round, and once it is gone from both it is gone.
    assert_eq!(publisher.replace(listing("file", &["box"])).await.len(), 1);
    publisher.replace(listing("file", &[])).await;
    let gone = Event::WorkspaceGone { key: "box".into(), source: "sqlite".into() };
    publisher.publish(vec![gone]).await;
    assert_eq!(holder(&publisher, "box"), None);
}

#[tokio::test]
async fn a_record_that_left_while_it_waited_does_not_come_back() {
    let publisher = Publisher::new();
    publisher.replace(listing("file", &["box", "crate"])).await;
    publisher.replace(listing("sqlite", &["box", "crate"])).await;
    let gone = Event::WorkspaceGone { key: "box".into(), source: "sqlite".into() };
    publisher.publish(vec![gone]).await;
    publisher.replace(listing("sqlite", &[])).await;
    publisher.replace(listing("file", &[])).await;
    assert_eq!(holder(&publisher, "box"), None);
    assert_eq!(holder(&publisher, "crate"), None);
}
