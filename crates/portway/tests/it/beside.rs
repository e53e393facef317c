//! Beside a control plane: its workspaces and logins out of a real PostgreSQL with code-hub's tables, by the preset and
//! nothing else.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use portway_testkit::upstream::Server;
use portway_testkit::{Echo, Visitor, eventually_async};

use crate::hub::{ALICE, BOB, CONTROL, HERS, HIS, Hub, NOBODY, SESSION, hub, json_api, people, reason};

#[tokio::test]
async fn whoever_is_logged_in_there_opens_a_port_of_their_own_workspace_and_nobody_elses() {
    let echo = Echo::start().await;
    let hub = Hub::start(people());
    let mut alice = hub.alice();
    let mine = hub.url(echo.port(), HERS, "/a?b=c");
    let arrived = alice.open(&mine).await;
    assert_eq!((arrived.url.as_str(), arrived.answer.status()), (mine.as_str(), 200), "{}", arrived.answer.text());
    assert!(!arrived.answer.text().contains(SESSION), "the control plane's session reached a workspace");
    let theirs = alice.open(&hub.url(echo.port(), HIS, "/")).await;
    assert_eq!(reason(&theirs), "404 not-found");
    // Leaving is for the ports; the login is the control plane's.
    let host = format!("{}-{HERS}.{CONTROL}", echo.port());
    let session = alice.cookies(&host);
    let home = format!("http://{CONTROL}:{}/.portway/logout", hub.gateway.plain().port());
    let left = alice.submit(&home, "").await;
    assert!(left.answer.text().contains("You have left every port"), "{}", left.answer.text());
    let mut client = portway_testkit::Client::connect(hub.gateway.plain()).await;
    let port = hub.gateway.plain().port();
    let request = format!("GET / HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {session}\r\nConnection: close\r\n\r\n");
    assert_eq!(client.round_trip("GET", request).await.status(), 401, "the session was not ended");
    assert_eq!(alice.open(&mine).await.answer.status(), 200);
    hub.gateway.stop();
}

#[tokio::test]
async fn a_visit_without_a_login_waits_on_a_page_and_goes_on_once_there_is_one() {
    let echo = Echo::start().await;
    let hub = Hub::start(people());
    let mut nobody = Visitor::new(hub.gateway.plain());
    let wanted = hub.url(echo.port(), HERS, "/deep?x=1");
    let page = nobody.open(&wanted).await;
    assert!(page.url.contains("/.portway/login?next="), "{}", page.url);
    let text = page.answer.text();
    assert!(text.contains("/login\"") && text.contains(&format!("{}-{HERS}", echo.port())), "{text}");
    assert!(!text.contains("has ended"), "{text}");
    nobody.keep(CONTROL, "session", SESSION);
    let arrived = nobody.open(&page.url).await;
    assert_eq!((arrived.url.as_str(), arrived.answer.status()), (wanted.as_str(), 200));
    hub.gateway.stop();
}

#[tokio::test]
async fn a_session_that_ends_there_ends_here_and_the_page_says_so() {
    for change in [
        format!("UPDATE sessions SET revoked_at = now() WHERE id = '{SESSION}'"),
        format!("DELETE FROM sessions WHERE id = '{SESSION}'"),
        format!("UPDATE sessions SET expires_at = now() WHERE id = '{SESSION}'"),
    ] {
        let server = Hub::events().await;
        let hub = Hub::start(people());
        let mut alice = hub.alice();
        let mut stream = hub.stream(&mut alice, &server).await;
        let since = std::time::Instant::now();
        hub.postgres.sql(&change);
        assert_eq!(stream.read_to_close().await.1, portway_testkit::Ending::Reset, "{change}");
        println!("{change}: cut after {:?}", since.elapsed());
        let page = alice.open(&hub.url(server.port(), HERS, "/")).await;
        assert!(page.url.contains("/.portway/login"), "{}", page.url);
        assert!(page.answer.text().contains("Your login has ended"), "{}", page.answer.text());
        hub.gateway.stop();
    }
}

#[tokio::test]
async fn changes_are_seen_whether_they_are_notified_or_not() {
    let echo = Echo::start().await;
    let hub = Hub::start(people());
    let mut alice = hub.alice();
    let url = hub.url(echo.port(), HERS, "/");
    assert_eq!(alice.open(&url).await.answer.status(), 200);
    // By its trigger.
    hub.postgres.sql(&format!("UPDATE workspaces SET deleted_at = now() WHERE id = '{HERS}'"));
    eventually_async("the workspace to be gone", async || alice.open(&url).await.answer.status() == 404).await;
    hub.postgres.sql(&format!("UPDATE workspaces SET deleted_at = NULL WHERE id = '{HERS}'"));
    eventually_async("the workspace to be back", async || alice.open(&url).await.answer.status() == 200).await;
    // How long they took is told; publishing is a part of it.
    let told = async |name: &str| hub.metric(&format!("portway_{name}{{source=\"postgres\"}}")).await;
    eventually_async("a change to be measured", async || told("change_seconds_count").await >= Some(1.0)).await;
    let (publishing, whole) = (told("change_publish_seconds_sum").await, told("change_seconds_sum").await);
    assert!(publishing > Some(0.0) && publishing <= whole, "{publishing:?} of {whole:?}");
    // No trigger tells of a new owner, nor of a row that is gone.
    hub.postgres.sql(&format!("UPDATE workspaces SET owner_user_id = '{BOB}' WHERE id = '{HERS}'"));
    eventually_async("the new owner to be known", async || alice.open(&url).await.answer.status() == 404).await;
    hub.postgres.sql(&format!("UPDATE workspaces SET owner_user_id = '{ALICE}' WHERE id = '{HERS}'"));
    eventually_async("the old owner to be known", async || alice.open(&url).await.answer.status() == 200).await;
    hub.postgres.sql(&format!("DELETE FROM workspaces WHERE id = '{HERS}'"));
    eventually_async("the row to be missed", async || alice.open(&url).await.answer.status() == 404).await;
    hub.gateway.stop();
}

#[tokio::test]
async fn no_port_of_a_workspace_leads_to_what_the_gateway_relies_on() {
    let hub = Hub::start(people());
    let mut alice = hub.alice();
    // The workspace is this machine, and so is the database.
    let arrived = alice.open(&hub.url(hub.postgres.port(), HERS, "/")).await;
    assert_eq!(reason(&arrived), "502 address-refused");
    let arrived = alice.open(&hub.url(NOBODY, HERS, "/")).await;
    assert_eq!(reason(&arrived), "502 address-refused", "the API server");
    hub.gateway.stop();
}

#[tokio::test]
async fn a_visit_that_comes_again_asks_the_database_nothing() {
    let echo = Echo::start().await;
    let postgres = people();
    postgres.sql("CREATE EXTENSION pg_stat_statements");
    let settings =
        [("PORTWAY_SESSIONS_CHECK", "60s"), ("PORTWAY_POSTGRES_STALE", "1h"), ("PORTWAY_WORKSPACES_POLL", "1h")];
    let hub = Hub::with(postgres, NOBODY, &settings);
    let mut alice = hub.alice();
    let url = hub.url(echo.port(), HERS, "/");
    assert_eq!(alice.open(&url).await.answer.status(), 200);
    // All but what keeps the connection alive: that runs by the clock, not by visits.
    let asked = || {
        hub.postgres.sql(
        "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query <> 'SELECT $1' AND query !~ 'pg_stat_statements'",
    )
    };
    let before = asked();
    assert_ne!(before, "0", "nothing is counted");
    for _ in 0..200 {
        assert_eq!(alice.open(&url).await.answer.status(), 200);
    }
    assert_eq!(asked(), before);
    hub.gateway.stop();
}

#[tokio::test]
async fn its_workspaces_are_shared_like_any_other() {
    let echo = Echo::start().await;
    let hub = Hub::start(people());
    let mut nobody = Visitor::new(hub.gateway.plain());
    let url = hub.url(echo.port(), HERS, "/");
    assert!(nobody.open(&url).await.url.contains("/.portway/login"));
    assert!(hub.gateway.run(&["workspace", "list"]).contains(HERS));
    hub.gateway.run(&["share", "set", HERS, &echo.port().to_string(), "public"]);
    eventually_async("the port to be public", async || nobody.open(&url).await.answer.status() == 200).await;
    // What a public port's workspace does is nobody's business.
    hub.phase(HERS, "STANDBY");
    eventually_async("a stranger to be sent to log in", async || {
        nobody.open(&url).await.url.contains("/.portway/login")
    })
    .await;
    hub.gateway.stop();
}

/// An API that knows alice's session until it is told to forget it.
async fn session_api(holds: Arc<AtomicBool>) -> Server {
    json_api(move |request| {
        let cookie = request.field("cookie").unwrap_or_default();
        let known = cookie == format!("session={SESSION}") && holds.load(Ordering::Relaxed);
        let asked = request.start_line().starts_with("GET /api/v1/session ");
        (known && asked).then(|| format!("{{\"id\":\"{ALICE}\",\"username\":\"alice\"}}"))
    })
    .await
}

// The API answers while the gateway starts, which this thread waits for.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_looked_up_by_an_api_as_well() {
    let (echo, holds) = (Echo::start().await, Arc::new(AtomicBool::new(true)));
    let api = session_api(holds.clone()).await;
    let postgres = people();
    // Nothing is read of the table.
    postgres.sql("DROP TABLE sessions");
    let settings = [
        ("PORTWAY_SESSIONS_API", "/api/v1/session"),
        ("PORTWAY_SESSIONS_API_NAME", "/username"),
        ("PORTWAY_SESSIONS_CHECK", "200ms"),
        ("PORTWAY_POSTGRES_STALE", "2s"),
    ];
    let hub = Hub::with(postgres, api.port(), &settings);
    let mut alice = hub.alice();
    let url = hub.url(echo.port(), HERS, "/");
    assert_eq!(alice.open(&url).await.answer.status(), 200);
    assert_eq!(reason(&alice.open(&hub.url(echo.port(), HIS, "/")).await), "404 not-found");
    holds.store(false, Ordering::Relaxed);
    eventually_async("the login to end", async || alice.open(&url).await.url.contains("/.portway/login")).await;
    holds.store(true, Ordering::Relaxed);
    assert_eq!(alice.open(&url).await.answer.status(), 200);
    // When nobody can tell who is logged in, what was told is believed for a while and no longer.
    drop(api);
    eventually_async("everybody to be refused", async || reason(&alice.open(&url).await) == "503 unavailable").await;
    hub.gateway.stop();
}

#[tokio::test]
async fn a_database_that_dies_leaves_visitors_alone_and_lets_nobody_in() {
    let echo = Echo::start().await;
    let mut hub = Hub::start(people());
    let mut alice = hub.alice();
    let url = hub.url(echo.port(), HERS, "/");
    assert_eq!(alice.open(&url).await.answer.status(), 200);
    hub.postgres.kill();
    // Who is here stays; who is new is told to come again.
    assert_eq!(alice.open(&url).await.answer.status(), 200);
    let fresh = hub.alice().open(&url).await;
    assert_eq!(reason(&fresh), "503 unavailable");
    hub.postgres.start_again();
    let mut fresh = hub.alice();
    eventually_async("logins to work again", async || fresh.open(&url).await.answer.status() == 200).await;
    hub.gateway.stop();
}

#[tokio::test]
async fn what_is_stale_opens_nothing_until_the_database_answers_again() {
    let echo = Echo::start().await;
    let settings = [("PORTWAY_POSTGRES_STALE", "2s"), ("PORTWAY_SESSIONS_CHECK", "500ms")];
    let hub = Hub::with(people(), NOBODY, &settings);
    let mut alice = hub.alice();
    let url = hub.url(echo.port(), HERS, "/");
    assert_eq!(alice.open(&url).await.answer.status(), 200);
    // Stopped in its tracks: connections stay open and nobody answers.
    hub.postgres.service().pause();
    eventually_async("stale workspaces to be refused", async || reason(&alice.open(&url).await) == "503 unavailable")
        .await;
    hub.postgres.service().resume();
    eventually_async("everything to recover", async || alice.open(&url).await.answer.status() == 200).await;
    hub.gateway.stop();
}

#[test]
fn check_compares_the_configuration_with_the_database() {
    let postgres = people();
    postgres.sql(include_str!("../../../../docs/reference/postgres-roles.sql"));
    assert_eq!(postgres.sql("SELECT has_table_privilege('portway', 'sessions', 'SELECT')"), "f");
    assert_eq!(postgres.sql("SELECT has_table_privilege('portway_sessions', 'workspaces', 'SELECT')"), "f");
    let config = format!(
        "preset = \"code-hub\"\n[postgres]\nurl = \"{}\"\n[sessions]\nurl = \"{}\"\n\
         [workspaces]\naddress = \"localhost\"\nallow = [\"127.0.0.1\"]\n",
        postgres.url_of("portway"),
        postgres.url_of("portway_sessions")
    );
    // Two roles: the one that reads workspaces may not read sessions, and the other way round.
    let gateway = hub(&config).start();
    let good = gateway.try_run(&["check"]);
    let said = String::from_utf8_lossy(&good.stdout).into_owned();
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    assert!(
        said.contains("role portway, 2 workspaces, sessions can be looked up, the cookie is like 1 of them"),
        "{said}"
    );
    let lengthen = format!("UPDATE sessions SET id = '{SESSION}00'");
    for (change, wanted, back) in [
        (
            "REVOKE SELECT (phase) ON workspaces FROM portway",
            "workspaces.query: PostgreSQL says: permission denied for table workspaces",
            "GRANT SELECT (phase) ON workspaces TO portway",
        ),
        (
            "REVOKE SELECT (expires_at) ON sessions FROM portway_sessions",
            "sessions.query: PostgreSQL says: permission denied",
            "GRANT SELECT (expires_at) ON sessions TO portway_sessions",
        ),
        (
            &lengthen,
            "sessions.cookie_length: 1 of 1 sessions in the database have another length, such as 28",
            &format!("UPDATE sessions SET id = '{SESSION}'"),
        ),
        (
            "UPDATE sessions SET id = replace(id, '0', '-')",
            "sessions.cookie_length: 1 of 1 sessions in the database are not of letters and digits alone",
            &format!("UPDATE sessions SET id = '{SESSION}'"),
        ),
        (
            "REVOKE SELECT (revoked_at) ON sessions FROM portway_sessions",
            "sessions.cookie_sample: PostgreSQL says: permission denied",
            "GRANT SELECT (revoked_at) ON sessions TO portway_sessions",
        ),
        ("DELETE FROM sessions", "there is no session yet to compare", ""),
        ("DROP TRIGGER workspaces_notify ON workspaces; DROP FUNCTION notify_workspace", "notifies on `ws_sse`", ""),
    ] {
        postgres.sql(change);
        let said = gateway.try_run(&["check"]);
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.contains(wanted), "{said}");
        postgres.sql(back);
    }
    gateway.stop();
}

#[test]
fn what_does_not_fit_the_database_is_told_precisely_before_anything_is_served() {
    let postgres = people();
    for (change, wanted, back) in [
        (
            "ALTER TABLE workspaces RENAME COLUMN owner_user_id TO owner_id",
            "owner_user_id",
            "ALTER TABLE workspaces RENAME COLUMN owner_id TO owner_user_id",
        ),
        ("ALTER TABLE sessions RENAME TO logins", "sessions", "ALTER TABLE logins RENAME TO sessions"),
        (
            "UPDATE sessions SET id = id || '0'",
            "sessions.cookie_length: 1 of 1 sessions in the database have another length",
            "",
        ),
    ] {
        postgres.sql(change);
        let config = format!(
            "preset = \"code-hub\"\n[postgres]\nurl = \"{}\"\n[workspaces]\naddress = \"localhost\"\n",
            postgres.url()
        );
        let (status, said) = hub(&config).start_refused();
        assert_eq!(status.code(), Some(1));
        assert!(said.contains(wanted) && said.contains("portway check"), "{said}");
        postgres.sql(back);
    }
}

#[tokio::test]
async fn notifications_that_come_twice_late_or_broken_change_nothing_that_is_not_so() {
    let echo = Echo::start().await;
    // A poll is far away: only notifications are seen.
    let hub = Hub::with(people(), NOBODY, &[("PORTWAY_WORKSPACES_POLL", "1h")]);
    let mut alice = hub.alice();
    let url = hub.url(echo.port(), HERS, "/");
    assert_eq!(alice.open(&url).await.answer.status(), 200);
    let notify = |payload: &str| format!("SELECT pg_notify('ws_sse', '{payload}')");
    let same = notify(&format!("{{\"id\": \"{HERS}\"}}"));
    // The same row again and again, rows that never were, and what is no JSON: the row is what counts.
    hub.postgres.sql(&vec![same.as_str(); 200].join(";"));
    for payload in ["{\"id\": \"nobody\"}", "{\"id\": 7}", "{\"id\": ", "{}", "", "nobody", "[]"] {
        hub.postgres.sql(&notify(payload));
    }
    assert_eq!(alice.open(&url).await.answer.status(), 200);
    // Late: told of a change that has long been undone.
    hub.postgres.sql("ALTER TABLE workspaces DISABLE TRIGGER ALL");
    hub.phase(HERS, "ERROR");
    hub.phase(HERS, "RUNNING");
    hub.postgres.sql(&same);
    // A look at everything, which the broken ones asked for, may have come in between.
    eventually_async("the row as it is", async || alice.open(&url).await.answer.status() == 200).await;
    // And of one that was made long before.
    hub.postgres.sql(&format!("UPDATE workspaces SET owner_user_id = '{BOB}' WHERE id = '{HERS}'"));
    hub.postgres.sql(&same);
    eventually_async("the late news", async || reason(&alice.open(&url).await) == "404 not-found").await;
    // What names no row has everything read again.
    hub.postgres.sql(&format!("UPDATE workspaces SET owner_user_id = '{ALICE}' WHERE id = '{HERS}'"));
    hub.postgres.sql(&notify("something happened"));
    hub.postgres.sql(&notify("{\"what\": \"something\"}"));
    eventually_async("all rows to be read", async || alice.open(&url).await.answer.status() == 200).await;
    let errors: Vec<_> = hub.gateway.log().into_iter().filter(|line| line["level"] == "error").collect();
    assert!(errors.is_empty(), "{errors:?}");
    hub.gateway.stop();
}

#[tokio::test]
async fn too_many_clients_are_waited_out() {
    let echo = Echo::start().await;
    let mut postgres = people();
    postgres.limit_connections(12);
    postgres.kill();
    postgres.start_again();
    // Somebody else takes all that there is, as the control plane's own workers may.
    let hog = || {
        let mut command = std::process::Command::new("psql");
        command.args(["-X", "-q", "-h", "127.0.0.1", "-U", "postgres", "-p", &postgres.port().to_string()]);
        // It waits for its input with its connection open.
        command.args(["-d", "codehub"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        portway_testkit::service::Service::spawn(&mut command)
    };
    let mut hogs: Vec<_> = (0..20).map(|_| hog()).collect();
    // Those that found no place have ended.
    portway_testkit::eventually("the server to be full", || hogs.iter_mut().any(|hog| hog.ended().is_some()));
    let config = crate::hub::config(&postgres, NOBODY);
    let gateway = hub(&config).start();
    let mut alice = Visitor::new(gateway.plain());
    alice.keep(CONTROL, "session", SESSION);
    let url = format!("http://{}-{HERS}.{CONTROL}:{}/", echo.port(), gateway.plain().port());
    let refused = alice.open(&url).await;
    assert_eq!(refused.answer.status(), 503, "{}", refused.answer.text());
    drop(hogs);
    eventually_async("a place to be free", async || alice.open(&url).await.answer.status() == 200).await;
    gateway.stop();
}

#[tokio::test]
async fn a_row_that_came_and_went_between_two_looks_opens_nothing() {
    let echo = Echo::start().await;
    let id = "33333333-3333-4333-8333-333333333333";
    let hub = Hub::with(people(), NOBODY, &[("PORTWAY_WORKSPACES_POLL", "2s")]);
    let mut alice = hub.alice();
    let url = hub.url(echo.port(), id, "/");
    // Notified, and then gone without a word: more often than a look comes, so that some fall between two of them.
    for _ in 0..3 {
        hub.postgres.sql(&format!(
            "INSERT INTO workspaces (id, owner_user_id, name, phase) VALUES ('{id}', '{ALICE}', 'Short', 'RUNNING')"
        ));
        eventually_async("it to be there", async || alice.open(&url).await.answer.status() == 200).await;
        hub.postgres.sql(&format!("DELETE FROM workspaces WHERE id = '{id}'"));
        eventually_async("it to be gone", async || alice.open(&url).await.answer.status() == 404).await;
    }
    // Changed and told, and changed back without a word.
    let mine = hub.url(echo.port(), HERS, "/");
    assert_eq!(alice.open(&mine).await.answer.status(), 200);
    hub.postgres.sql(&format!("UPDATE workspaces SET phase = 'ERROR' WHERE id = '{HERS}'"));
    eventually_async("the error to be known", async || alice.open(&mine).await.answer.status() == 503).await;
    hub.postgres.sql(&format!(
        "ALTER TABLE workspaces DISABLE TRIGGER ALL;
         UPDATE workspaces SET phase = 'RUNNING' WHERE id = '{HERS}'"
    ));
    eventually_async("the row as it is", async || alice.open(&mine).await.answer.status() == 200).await;
    hub.gateway.stop();
}
