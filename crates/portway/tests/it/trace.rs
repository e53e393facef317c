//! The id of a request: in answers and logs, at the API server, and not in workspaces.

use portway_testkit::{Client, Echo, Recorder, Visitor, eventually_async};

use crate::hub::{CONTROL, HERS, Hub, SESSION, people};

const GIVEN: &str = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6";

fn is_fresh(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The id of an answer and the one in the log of its request.
async fn ids(hub: &Hub, host: &str, path: &str, given: &str) -> (String, String) {
    let port = hub.gateway.plain().port();
    let mut client = Client::connect(hub.gateway.plain()).await;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{given}Connection: close\r\n\r\n");
    let answer = client.round_trip("GET", request).await;
    let line = hub.gateway.wait_for_log("the request", |line| line["event"] == "request" && line["path"] == path);
    let logged = line["trace_id"].as_str().unwrap_or_default().to_owned();
    (answer.field("x-trace-id").unwrap_or_default(), logged)
}

#[tokio::test]
async fn answers_of_ours_and_their_log_lines_have_one_id() {
    let hub = Hub::start(people());
    let workspace = format!("3000-{HERS}.{CONTROL}");
    let (answer, logged) = ids(&hub, &workspace, "/fresh", "").await;
    assert!(is_fresh(&answer) && answer == logged, "{answer} {logged}");
    let (other, _) = ids(&hub, &workspace, "/other", "").await;
    assert_ne!(answer, other);
    let (answer, logged) = ids(&hub, &workspace, "/given", &format!("X-Trace-ID: {GIVEN}\r\n")).await;
    assert_eq!((answer.as_str(), logged.as_str()), (GIVEN, GIVEN));
    let (answer, logged) = ids(&hub, &workspace, "/bad", "X-Trace-ID: a\"b,c{d}e f\r\n").await;
    assert!(is_fresh(&answer) && answer == logged, "{answer} {logged}");
    let (answer, logged) = ids(&hub, CONTROL, "/.portway/login", &format!("x-trace-id: {GIVEN}\r\n")).await;
    assert_eq!((answer.as_str(), logged.as_str()), (GIVEN, GIVEN), "the control host");
    for line in hub.gateway.log() {
        for name in ["timestamp", "level", "event"] {
            assert!(line[name].is_string(), "{name} of {line}");
        }
        assert_eq!((&line["service"], &line["schema_version"]), (&"portway".into(), &"1.0".into()), "{line}");
        let level = line["level"].as_str().unwrap_or_default();
        assert_eq!(level, level.to_ascii_lowercase(), "{line}");
    }
    hub.gateway.stop();
}

#[tokio::test]
async fn the_api_server_is_told_the_id_and_a_workspace_gets_what_the_visitor_sent() {
    let echo = Echo::start().await;
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    let api = Recorder::answering(answer).await;
    let hub = Hub::with(people(), api.port(), &[]);
    let sent = || {
        let all: Vec<_> = api.connections().into_iter().flat_map(|one| one.bytes).collect();
        String::from_utf8_lossy(&all).into_owned()
    };
    // As the front.
    ids(&hub, CONTROL, "/api/v1/session", &format!("X-Trace-ID: {GIVEN}\r\n")).await;
    assert_eq!(sent().matches(&format!("X-Trace-ID: {GIVEN}\r\n")).count(), 1, "{}", sent());
    let (_, logged) = ids(&hub, CONTROL, "/api/v1/events", "X-Trace-ID: x y\r\n").await;
    assert!(is_fresh(&logged) && sent().contains(&format!("X-Trace-ID: {logged}\r\n")), "{logged}: {}", sent());
    assert!(!sent().contains("x y"), "{}", sent());

    // Waking, for the navigation that wanted it.
    let mut alice = Visitor::new(hub.gateway.plain());
    alice.keep(CONTROL, "session", SESSION);
    let url = hub.url(echo.port(), HERS, "/app");
    let arrived = alice.open(&url).await;
    assert!(!arrived.answer.text().to_lowercase().contains("x-trace-id"), "{}", arrived.answer.text());
    assert_eq!(arrived.answer.field("x-trace-id"), None, "a dev server's answer is its own");
    hub.phase(HERS, "STANDBY");
    eventually_async("the workspace to be woken", async || {
        alice.open(&url).await;
        sent().contains("PATCH ")
    })
    .await;
    let woken = hub.gateway.wait_for_log("the wake", |line| line["event"] == "wake");
    let id = woken["trace_id"].as_str().unwrap_or_default();
    assert!(is_fresh(id) && sent().to_lowercase().contains(&format!("x-trace-id: {id}\r\n")), "{woken}: {}", sent());
    hub.gateway.wait_for_log("its request", |line| line["event"] == "request" && line["trace_id"] == id);
    hub.gateway.stop();
}
