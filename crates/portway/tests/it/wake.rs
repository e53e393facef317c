//! Workspaces that sleep: who wakes them, by a scripted API server or by a statement, how often, and what is said where
//! they may not run (R68).

use portway_testkit::{Client, Echo, Postgres, Recorder, Redis, Step, Visitor, eventually_async};
use tokio::task::JoinSet;

use crate::hub::{ALICE, BOB, CONTROL, HERS, HIS, Hub, NOBODY, SESSION, config, hub, people, reason};

const BOBS: &str = "01HSESSIONBOB0000000000000";
/// Wakes a workspace of somebody who runs less than two.
const START: &str = "WITH running AS (
  SELECT count(*) AS n FROM workspaces JOIN workspaces AS this USING (owner_user_id)
  WHERE this.id = $1 AND workspaces.id <> $1 AND workspaces.deleted_at IS NULL
  AND 'RUNNING' IN (workspaces.phase, workspaces.desired_state)
), woken AS (
  UPDATE workspaces SET desired_state = 'RUNNING', updated_at = now() FROM running
  WHERE id = $1 AND deleted_at IS NULL AND n < 2 RETURNING id
) SELECT CASE WHEN EXISTS (SELECT FROM woken) THEN 'done' ELSE 'limit' END AS outcome";
const STOP: &str = "WITH stopped AS (
  UPDATE workspaces SET desired_state = 'STANDBY', operation = 'STOPPING', updated_at = now() WHERE id = $1 RETURNING id
) SELECT 'done' AS outcome FROM stopped";

fn by_statements<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&[("PORTWAY_WAKE_QUERY", START), ("PORTWAY_WAKE_STOP_QUERY", STOP)], more].concat()
}

/// Bob, who is logged in as well.
fn bob_too() -> Postgres {
    let postgres = people();
    postgres.sql(&format!(
        "INSERT INTO sessions (id, user_id, expires_at) VALUES ('{BOBS}', '{BOB}', now() + interval '1 day')"
    ));
    postgres
}

/// What the control plane is asked to be.
fn desired(postgres: &Postgres, workspace: &str) -> String {
    postgres.sql(&format!("SELECT desired_state FROM workspaces WHERE id = '{workspace}'"))
}

#[tokio::test]
async fn what_sleeps_is_woken_by_its_owners_visit_alone() {
    let echo = Echo::start().await;
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    let api = Recorder::start(vec![Step::ReadRequest, Step::write(answer)]).await;
    let (postgres, redis) = (people(), Redis::start());
    // Changes are seen by notification here, long before a poll.
    let settings =
        [("PORTWAY_WORKSPACES_POLL", "1m"), ("PORTWAY_REDIS_URL", &*redis.url()), ("PORTWAY_ACTIVITY_FLUSH", "100ms")];
    let hub = Hub::with(postgres, api.port(), &settings);
    let mut alice = hub.alice();
    let url = hub.url(echo.port(), HERS, "/");
    assert_eq!(alice.open(&url).await.answer.status(), 200);
    let host = format!("{}-{HERS}.{CONTROL}", echo.port());
    let cookie = alice.cookies(&host);
    hub.phase(HERS, "STANDBY");
    let fetch = async |path: &str| {
        let port = hub.gateway.plain().port();
        let fields = "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nConnection: close\r\n";
        hub.ask(&format!("GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\n{fields}\r\n")).await
    };
    // A page that was left open calls in vain, and wakes nothing.
    let mut last = String::new();
    eventually_async("the workspace to be asleep", async || {
        last = fetch("/api").await.field("portway-reason").unwrap_or_default();
        last == "workspace-asleep"
    })
    .await;
    assert!(api.connections().is_empty(), "a fetch woke the workspace");

    // What was told of it before is forgotten, as the control plane does when it has read it.
    redis.ask(&["DEL", "codehub:activity"]);
    let page = alice.open(&url).await;
    assert_eq!(reason(&page), "503 workspace-starting", "{}", page.answer.text());
    assert_eq!(page.answer.field("retry-after").as_deref(), Some("1"));
    api.saw(&format!("PATCH /api/v1/workspaces/{HERS} HTTP/1.1")).await;
    let sent = String::from_utf8_lossy(&api.connections()[0].bytes).into_owned();
    assert!(
        sent.contains(&format!("session={SESSION}")) && sent.ends_with("{\"desired_state\": \"RUNNING\"}"),
        "{sent}"
    );

    // Or it would be stopped again at once.
    eventually_async("the wake to be told", async || !redis.ask(&["ZSCORE", "codehub:activity", HERS]).is_empty())
        .await;

    // On its way up: what comes too early is held, and served once it runs.
    hub.postgres
        .sql(&format!("UPDATE workspaces SET desired_state = 'RUNNING', operation = 'STARTING' WHERE id = '{HERS}'"));
    eventually_async("the workspace to be starting", async || {
        fetch("/.portway/port").await.field("portway-reason").is_some_and(|reason| reason == "workspace-starting")
    })
    .await;
    let mut client = Client::connect(hub.gateway.plain()).await;
    let port = hub.gateway.plain().port();
    client
        .send(format!(
            "GET /held HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\nSec-Fetch-Site: same-origin\r\n\r\n"
        ))
        .await;
    hub.postgres.sql(&format!("UPDATE workspaces SET phase = 'RUNNING', operation = 'NONE' WHERE id = '{HERS}'"));
    let held = client.response("GET").await.expect("an answer");
    assert_eq!(held.status(), 200, "{}", held.text());
    assert_eq!(alice.open(&url).await.answer.status(), 200);
    hub.gateway.stop();
}

#[tokio::test]
async fn a_hundred_visits_at_once_hardly_ask_twice_and_a_limit_is_said() {
    let answer = "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\n\r\n{}";
    let api = Recorder::start(vec![Step::ReadRequest, Step::write(answer)]).await;
    let hub = Hub::with(people(), api.port(), &[]);
    let alice = hub.alice();
    let url = hub.url(3000, HERS, "/");
    hub.phase(HERS, "STANDBY");
    // The visit logs in first; those who follow hold the session.
    let mut first = alice.clone();
    eventually_async("the limit to be said", async || reason(&first.open(&url).await) == "429 workspace-limit").await;
    let before = api.connections().len();
    let visits = (0..100).map(|_| {
        let (mut visitor, url) = (first.clone(), url.clone());
        tokio::spawn(async move { reason(&visitor.open(&url).await) })
    });
    for visit in visits.collect::<Vec<_>>() {
        assert_eq!(visit.await.expect("a visit"), "429 workspace-limit");
    }
    let after = api.connections().len();
    println!("100 visits at once: the API server was asked {} times", after - before);
    assert!(after - before <= 2, "{before} {after}");
    hub.gateway.stop();
}

#[tokio::test]
async fn states_have_pages_of_their_own_for_the_owner_and_none_for_strangers() {
    let hub = Hub::start(people());
    let mut alice = hub.alice();
    let url = hub.url(3000, HERS, "/");
    for (change, wanted) in [
        ("phase = 'ERROR'", "503 workspace-error"),
        ("phase = 'RUNNING', operation = 'STOPPING'", "503 workspace-stopping"),
        ("phase = 'PENDING', operation = 'PROVISIONING'", "503 workspace-starting"),
        ("phase = 'DELETING'", "404 not-found"),
    ] {
        hub.postgres.sql(&format!("UPDATE workspaces SET {change} WHERE id IN ('{HERS}', '{HIS}')"));
        let mut last = String::new();
        eventually_async(wanted, async || {
            last = reason(&alice.open(&url).await);
            last == wanted
        })
        .await;
        assert_eq!(reason(&alice.open(&hub.url(3000, HIS, "/")).await), "404 not-found", "{change}");
    }
    hub.gateway.stop();
}

#[tokio::test]
async fn a_statement_wakes_within_the_limit_however_many_come_to_however_many_gateways() {
    let postgres = people();
    let ids: Vec<String> = (0..6).map(|n| format!("{n}aaaaaaa-1111-4111-8111-111111111111")).collect();
    for id in &ids {
        postgres.sql(&format!(
            "INSERT INTO workspaces (id, owner_user_id, name, phase, desired_state)
             VALUES ('{id}', '{ALICE}', 'Six', 'STANDBY', 'STANDBY')"
        ));
    }
    postgres.sql(&format!("UPDATE workspaces SET phase = 'STANDBY', desired_state = 'STANDBY' WHERE id = '{HERS}'"));
    let other = hub(&config(&postgres, NOBODY)).env("PORTWAY_WAKE_QUERY", START).start();
    let hub = Hub::with(postgres, NOBODY, &by_statements(&[]));
    let mut visits = JoinSet::new();
    for (number, id) in ids.iter().enumerate() {
        let at = if number % 2 == 0 { hub.gateway.plain() } else { other.plain() };
        let mut visitor = hub.alice().at(at);
        let url = format!("http://3000-{id}.{CONTROL}:{}/", at.port());
        visits.spawn(async move { reason(&visitor.open(&url).await) });
    }
    let mut said = visits.join_all().await;
    said.sort();
    assert_eq!(said[..4], ["429 workspace-limit"; 4], "{said:?}");
    assert_eq!(said[4..], ["503 workspace-starting"; 2], "{said:?}");
    let sql = format!("SELECT count(*) FROM workspaces WHERE owner_user_id = '{ALICE}' AND desired_state = 'RUNNING'");
    assert_eq!(hub.postgres.sql(&sql), "2");
    hub.gateway.stop();
    other.stop();
}

#[tokio::test]
async fn guests_wake_what_is_shared_with_them_only_where_that_is_wanted() {
    let echo = Echo::start().await;
    for (by, wanted) in [("owner", "503 workspace-asleep"), ("owner,shared", "503 workspace-starting")] {
        let hub = Hub::with(bob_too(), NOBODY, &by_statements(&[("PORTWAY_WAKE_BY", by)]));
        let mut bob = Visitor::new(hub.gateway.plain());
        bob.keep(CONTROL, "session", BOBS);
        let url = hub.url(echo.port(), HERS, "/");
        // Everybody knows bob once he has been here.
        assert_eq!(reason(&bob.open(&url).await), "404 not-found");
        hub.gateway.run(&["share", "set", HERS, &echo.port().to_string(), "--user", BOB]);
        eventually_async("the share", async || bob.agree(&url).await.answer.status() == 200).await;
        hub.phase(HERS, "STANDBY");
        eventually_async(wanted, async || reason(&bob.open(&url).await) == wanted).await;
        assert_eq!(desired(&hub.postgres, HERS) == "RUNNING", by == "owner,shared", "{by}");
        hub.gateway.stop();
    }
}

#[tokio::test]
async fn an_owner_wakes_their_public_port_and_nobody_in_particular_does() {
    let echo = Echo::start().await;
    let hub = Hub::with(people(), NOBODY, &by_statements(&[("PORTWAY_WAKE_BY", "owner,shared")]));
    let (mut alice, url) = (hub.alice(), hub.url(echo.port(), HERS, "/"));
    assert_eq!(alice.open(&url).await.answer.status(), 200);
    hub.gateway.run(&["share", "set", HERS, &echo.port().to_string(), "public"]);
    let mut nobody = Visitor::new(hub.gateway.plain());
    eventually_async("the port to be public", async || nobody.open(&url).await.answer.status() == 200).await;
    hub.phase(HERS, "STANDBY");
    eventually_async("the login", async || nobody.open(&url).await.url.contains("/.portway/login")).await;
    assert_eq!(desired(&hub.postgres, HERS), "STANDBY");
    eventually_async("the start", async || reason(&alice.open(&url).await) == "503 workspace-starting").await;
    assert_eq!(desired(&hub.postgres, HERS), "RUNNING");
    hub.gateway.stop();
}

#[tokio::test]
async fn a_programs_call_is_held_until_the_workspace_it_woke_is_up() {
    let echo = Echo::start().await;
    for (by, wakes) in [("owner", false), ("owner,token", true)] {
        let hub = Hub::with(people(), NOBODY, &by_statements(&[("PORTWAY_WAKE_BY", by)]));
        assert_eq!(hub.alice().open(&hub.url(echo.port(), HERS, "/")).await.answer.status(), 200);
        let port = echo.port().to_string();
        let token = hub.gateway.run(&["token", "create", "--user", ALICE, "--workspace", HERS, "--port", &port]);
        let call = async || {
            let host = format!("{port}-{HERS}.{CONTROL}:{}", hub.gateway.plain().port());
            let head = format!("POST /api HTTP/1.1\r\nHost: {host}\r\nX-Portway-Token: {}\r\n", token.trim());
            hub.ask(&format!("{head}Content-Length: 5\r\nConnection: close\r\n\r\nhello")).await
        };
        eventually_async("the token", async || call().await.status() == 200).await;
        hub.phase(HERS, "STANDBY");
        if wakes {
            let up = async {
                eventually_async("the wake", async || desired(&hub.postgres, HERS) == "RUNNING").await;
                hub.phase(HERS, "RUNNING");
            };
            // Until the change is seen, the call meets a workspace that still runs.
            let held = async {
                loop {
                    let answer = call().await;
                    if desired(&hub.postgres, HERS) == "RUNNING" {
                        break answer;
                    }
                }
            };
            let (answer, ()) = tokio::join!(held, up);
            assert_eq!(answer.status(), 200, "{}", answer.text());
        } else {
            let mut last = String::new();
            eventually_async("the refusal", async || {
                last = call().await.field("portway-reason").unwrap_or_default();
                last == "workspace-asleep"
            })
            .await;
            assert_eq!(desired(&hub.postgres, HERS), "STANDBY");
        }
        hub.gateway.stop();
    }
}

#[tokio::test]
async fn a_workspace_is_woken_so_often_and_no_more() {
    let hub = Hub::with(people(), NOBODY, &by_statements(&[("PORTWAY_WAKE_BUDGET", "2")]));
    let (mut alice, url) = (hub.alice(), hub.url(3000, HERS, "/"));
    // What is refused costs nothing.
    hub.postgres.sql(&format!(
        "INSERT INTO workspaces (id, owner_user_id, name, phase)
         SELECT 'busy-' || n, '{ALICE}', 'Busy', 'RUNNING' FROM generate_series(1, 2) AS n"
    ));
    hub.phase(HERS, "STANDBY");
    eventually_async("the limit", async || reason(&alice.open(&url).await) == "429 workspace-limit").await;
    hub.postgres.sql("DELETE FROM workspaces WHERE name = 'Busy'");
    for wake in ["first", "second"] {
        eventually_async(wake, async || {
            alice.open(&url).await;
            desired(&hub.postgres, HERS) == "RUNNING"
        })
        .await;
        hub.phase(HERS, "STANDBY");
    }
    let mut last = None;
    eventually_async("the budget to be spent", async || {
        let page = alice.open(&url).await;
        let spent = reason(&page) == "429 woken-too-often";
        last = Some(page);
        spent
    })
    .await;
    assert_eq!(last.and_then(|page| page.answer.field("retry-after")).as_deref(), Some("600"));
    assert_eq!(desired(&hub.postgres, HERS), "STANDBY");
    hub.gateway.stop();
}

#[tokio::test]
async fn whoever_may_run_no_more_sees_what_runs_stops_it_and_goes_on() {
    let hub = Hub::with(bob_too(), NOBODY, &by_statements(&[]));
    hub.postgres.sql(&format!(
        "INSERT INTO workspaces (id, owner_user_id, name, phase)
         SELECT 'busy-' || n, '{ALICE}', 'Workshop ' || n, 'RUNNING' FROM generate_series(1, 2) AS n"
    ));
    hub.phase(HERS, "STANDBY");
    let (mut alice, url) = (hub.alice(), hub.url(3000, HERS, "/deep?a=1"));
    let mut page = String::new();
    eventually_async("the limit", async || {
        let arrived = alice.open(&url).await;
        page = arrived.answer.text();
        reason(&arrived) == "429 workspace-limit"
    })
    .await;
    // That page belongs to the workspace's code.
    assert!(!page.contains("Workshop"), "{page}");
    let link = page.split("href=\"").find(|link| link.contains("/.portway/running?")).expect("a link");
    let link = link.split('"').next().unwrap_or_default().replace("&#38;", "&").replace("&amp;", "&");
    let running = alice.open(&link).await;
    let text = running.answer.text();
    assert!(text.contains("Workshop 1") && text.contains("Workshop 2") && !text.contains("Atelier"), "{text}");

    let (control, visit) = link.split_once("/.portway/running?").expect("a query");
    let stop = format!("{control}/.portway/stop");
    let mut bob = Visitor::new(hub.gateway.plain());
    bob.keep(CONTROL, "session", BOBS);
    assert_eq!(reason(&bob.submit(&stop, "workspace=busy-1").await), "404 not-found");
    let asked = alice.submit(&stop, &format!("workspace=busy-1&{visit}")).await;
    assert!(asked.answer.text().contains("Stopping Workshop 1"), "{}", asked.answer.text());
    assert_eq!([desired(&hub.postgres, "busy-1"), desired(&hub.postgres, "busy-2")], ["STANDBY", "RUNNING"]);
    // The page looks again by itself, until there is room.
    assert!(asked.answer.text().contains("http-equiv=\"refresh\""), "{}", asked.answer.text());
    hub.postgres.sql("UPDATE workspaces SET phase = 'STANDBY', operation = 'NONE' WHERE id = 'busy-1'");
    let back = format!("href=\"{url}\"");
    eventually_async("the way back", async || alice.open(&asked.url).await.answer.text().contains(&back)).await;
    eventually_async("the start", async || reason(&alice.open(&url).await) == "503 workspace-starting").await;
    hub.gateway.stop();
}
