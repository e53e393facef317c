//! Workspaces read when somebody asks for them, where there are too many to hold: by statements that PostgreSQL counts.

use portway_testkit::{Echo, Ending, Postgres, Visitor, eventually_async};
use tokio::task::JoinSet;

use crate::hub::{ALICE, BOB, CONTROL, HERS, HIS, Hub, NOBODY, people, reason};

const MANY: u32 = 2000;

/// The people with many more workspaces than are held, and statements that are counted.
fn crowd() -> Postgres {
    let postgres = people();
    postgres.sql(&format!(
        "CREATE EXTENSION pg_stat_statements;
         INSERT INTO workspaces (id, owner_user_id, name, phase)
         SELECT 'crowd-' || n, '{BOB}', 'Crowd', 'RUNNING' FROM generate_series(1, {MANY}) AS n"
    ));
    postgres
}

fn on_demand(postgres: Postgres, more: &[(&str, &str)]) -> Hub {
    let settings = [&[("PORTWAY_WORKSPACES_LOAD", "demand"), ("PORTWAY_SESSIONS_CHECK", "500ms")], more].concat();
    Hub::with(postgres, NOBODY, &settings)
}

/// How often the workspaces were asked for, and how many rows that gave.
fn asked(hub: &Hub) -> (u32, u32) {
    let counted = hub.postgres.sql(
        "SELECT coalesce(sum(calls), 0) || ' ' || coalesce(sum(rows), 0) FROM pg_stat_statements
         WHERE query ~ 'owner_user_id AS owner' AND query !~ 'pg_stat_statements'",
    );
    let (calls, rows) = counted.split_once(' ').expect("two numbers");
    (calls.parse().expect("a number"), rows.parse().expect("a number"))
}

#[tokio::test]
async fn a_visit_reads_the_one_row_it_needs_and_strangers_read_none() {
    let echo = Echo::start().await;
    let hub = on_demand(crowd(), &[("PORTWAY_WORKSPACES_POLL", "1h")]);
    let (_, before) = asked(&hub);
    assert_eq!(before, 0, "rows were read before anybody asked");
    let mut strangers = JoinSet::new();
    for n in 0..200 {
        let (mut stranger, url) = (Visitor::new(hub.gateway.plain()), hub.url(echo.port(), &format!("crowd-{n}"), "/"));
        strangers.spawn(async move { stranger.step(&url).await.status() });
    }
    assert!(strangers.join_all().await.iter().all(|status| *status == 302));
    assert_eq!(asked(&hub).1, 0, "strangers had rows read");

    let mut alice = hub.alice();
    let url = hub.url(echo.port(), HERS, "/");
    assert_eq!(alice.open(&url).await.answer.status(), 200);
    let (calls, rows) = asked(&hub);
    assert!(rows <= 4, "{rows} rows for one visit");
    for _ in 0..50 {
        assert_eq!(alice.open(&url).await.answer.status(), 200);
    }
    assert_eq!(asked(&hub), (calls, rows), "a visit that comes again asked");
    // What is not hers and what is not there look alike, and are asked for once in a while.
    for url in [hub.url(echo.port(), HIS, "/"), hub.url(echo.port(), "not-there", "/")] {
        assert_eq!(reason(&alice.open(&url).await), "404 not-found");
    }
    let home = alice.open(&format!("http://{CONTROL}:{}/.portway/", hub.gateway.plain().port())).await;
    assert!(home.answer.text().contains("Atelier") && !home.answer.text().contains("Den"));
    hub.gateway.stop();
}

#[tokio::test]
async fn what_is_held_is_kept_up_like_everything_else() {
    let (echo, server) = (Echo::start().await, Hub::events().await);
    let hub = on_demand(crowd(), &[]);
    let mut alice = hub.alice();
    let url = hub.url(echo.port(), HERS, "/");
    assert_eq!(alice.open(&url).await.answer.status(), 200);
    // By a notification, and by a look for what is not notified.
    hub.phase(HERS, "ERROR");
    eventually_async("the state", async || reason(&alice.open(&url).await) == "503 workspace-error").await;
    hub.phase(HERS, "RUNNING");
    eventually_async("the state", async || alice.open(&url).await.answer.status() == 200).await;
    let mut stream = hub.stream(&mut alice, &server).await;
    hub.postgres.sql(&format!("UPDATE workspaces SET owner_user_id = '{BOB}' WHERE id = '{HERS}'"));
    let (_, ending) = stream.read_to_close().await;
    assert_eq!(ending, Ending::Reset);
    eventually_async("the new owner", async || reason(&alice.open(&url).await) == "404 not-found").await;
    // One that is made while somebody waits for it.
    let made = hub.url(echo.port(), "made-later", "/");
    assert_eq!(reason(&alice.open(&made).await), "404 not-found");
    hub.postgres.sql(&format!(
        "INSERT INTO workspaces (id, owner_user_id, name, phase) VALUES ('made-later', '{ALICE}', 'New', 'RUNNING')"
    ));
    eventually_async("the new workspace", async || alice.open(&made).await.answer.status() == 200).await;
    hub.postgres.sql("DELETE FROM workspaces WHERE id = 'made-later'");
    eventually_async("the deletion", async || reason(&alice.open(&made).await) == "404 not-found").await;
    hub.gateway.stop();
}

#[tokio::test]
async fn room_is_made_by_giving_up_what_was_quiet_and_nobody_is_refused_for_it() {
    let echo = Echo::start().await;
    let hub = on_demand(crowd(), &[("PORTWAY_WORKSPACES_HELD", "2"), ("PORTWAY_WORKSPACES_POLL", "1h")]);
    hub.postgres.sql(&format!("UPDATE workspaces SET owner_user_id = '{ALICE}' WHERE id IN ('crowd-1', 'crowd-2')"));
    let mut alice = hub.alice();
    for _ in 0..3 {
        for id in [HERS, "crowd-1", "crowd-2"] {
            let arrived = alice.open(&hub.url(echo.port(), id, "/")).await;
            assert_eq!(arrived.answer.status(), 200, "{id}: {}", arrived.answer.text());
        }
    }
    // A port shared with everybody opens for whoever comes first.
    let port = echo.port().to_string();
    hub.gateway.run(&["share", "set", "crowd-1", &port, "public"]);
    for id in [HERS, "crowd-2", HERS, "crowd-2"] {
        assert_eq!(alice.open(&hub.url(echo.port(), id, "/")).await.answer.status(), 200);
    }
    let mut nobody = Visitor::new(hub.gateway.plain());
    let public = hub.url(echo.port(), "crowd-1", "/");
    eventually_async("the public port", async || nobody.open(&public).await.answer.status() == 200).await;
    hub.gateway.stop();
}

#[tokio::test]
async fn a_database_that_is_silent_is_said_so_and_what_is_held_goes_on() {
    let echo = Echo::start().await;
    let hub = on_demand(crowd(), &[("PORTWAY_WORKSPACES_HELD", "1")]);
    hub.postgres.sql(&format!("UPDATE workspaces SET owner_user_id = '{ALICE}' WHERE id = 'crowd-1'"));
    let mut alice = hub.alice();
    let (first, second) = (hub.url(echo.port(), "crowd-1", "/"), hub.url(echo.port(), HERS, "/"));
    assert_eq!(alice.open(&first).await.answer.status(), 200);
    assert_eq!(alice.open(&second).await.answer.status(), 200);
    hub.postgres.service().pause();
    assert_eq!(alice.open(&second).await.answer.status(), 200, "what is held needs no database");
    assert_eq!(reason(&alice.open(&first).await), "503 unavailable");
    hub.postgres.service().resume();
    eventually_async("the first again", async || alice.open(&first).await.answer.status() == 200).await;
    hub.gateway.stop();
}
