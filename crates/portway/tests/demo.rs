//! `portway serve --demo` as a newcomer meets it: what is printed, what answers, and what is left alone.
#![expect(clippy::unwrap_used, reason = "a stage that cannot be set is a failed test")]

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use portway_testkit::gateway::Builder;
use portway_testkit::{Client, Gateway, Message, Visitor, WebSocket, eventually};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

fn builder() -> Builder {
    Gateway::builder(env!("CARGO_BIN_EXE_portway"))
}

fn with_demo() -> Builder {
    builder().arg("--demo")
}

/// Where the page and the API are.
fn ports(gateway: &Gateway) -> (u16, u16) {
    let line = gateway.wait_for_log("the sample's ports", |line| line["event"] == "demo");
    let port = |name: &str| line[name].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap();
    (port("page"), port("api"))
}

/// What is printed for people, once it is complete.
fn greeting(gateway: &Gateway) -> String {
    eventually("the greeting", || gateway.errors().contains("Stop: Ctrl-C"));
    gateway.errors()
}

/// The address in the line below the one that contains `step`.
fn address_below(greeting: &str, step: &str) -> String {
    let below = greeting.lines().skip_while(|line| !line.contains(step)).nth(1);
    below.unwrap_or_else(|| panic!("nothing below {step:?} in {greeting}")).trim().to_owned()
}

fn here(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// One request to a server of the sample, without a gateway.
async fn direct(port: u16, method: &str, path: &str, fields: &str, body: &[u8]) -> Message {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: {length}\r\n{fields}Connection: close\r\n\r\n"
    );
    Client::connect(here(port)).await.round_trip(method, [head.as_bytes(), body].concat()).await
}

fn listed_ports(gateway: &Gateway) -> Vec<u64> {
    let rows: Value = serde_json::from_str(&gateway.run(&["port", "list", "demo", "--json"])).unwrap();
    rows.as_array().unwrap().iter().map(|row| row["port"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn what_is_printed_leads_to_the_page() {
    let gateway = with_demo().start();
    let (page, api) = ports(&gateway);
    let greeting = greeting(&gateway);
    assert!(greeting.contains("Portway is running, with a sample workspace."), "{greeting}");
    let origin = format!("portway.localhost:{}", gateway.plain().port());
    let link = address_below(&greeting, "1. Log in as ");
    let sample = address_below(&greeting, "2. Open the sample");
    assert!(link.starts_with(&format!("http://{origin}/.portway/link/")), "{greeting}");
    assert_eq!(sample, format!("http://{page}-demo.{origin}/"));
    assert!(greeting.contains(&format!("Home page: http://{origin}/ ")), "{greeting}");

    let mut visitor = Visitor::new(gateway.plain());
    visitor.log_in(&link).await;
    let arrived = visitor.open(&sample).await;
    assert_eq!((arrived.url, arrived.answer.status()), (sample, 200));
    assert!(arrived.answer.text().contains(&format!("data-page=\"{page}\" data-api=\"{api}\"")));
    // The home page lists both.
    assert_eq!(listed_ports(&gateway), if page < api { [page, api] } else { [api, page] }.map(u64::from));
}

#[tokio::test]
async fn the_page_server_answers_everything_that_its_page_tries() {
    let gateway = with_demo().start();
    let (port, _) = ports(&gateway);
    for (path, kind, word) in [
        ("/", "text/html", "<script src=\"page.js\""),
        ("/page.js", "text/javascript", "EventSource"),
        ("/page.css", "text/css", "prefers-color-scheme"),
    ] {
        let answer = direct(port, "GET", path, "", b"").await;
        assert_eq!(answer.status(), 200, "{path}");
        assert!(answer.field("content-type").unwrap().starts_with(kind) && answer.text().contains(word), "{path}");
    }
    let hello = direct(port, "GET", "/hello", "Cookie: a=1; b=2\r\n", b"").await;
    let hello: Value = serde_json::from_slice(&hello.body).unwrap();
    assert_eq!(hello, json!({ "host": format!("localhost:{port}"), "cookies": 2 }));

    let body = vec![7; 1_000_000];
    let received = direct(port, "POST", "/upload", "", &body).await;
    let received: Value = serde_json::from_slice(&received.body).unwrap();
    let expected: String = Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(received, json!({ "bytes": 1_000_000, "sha256": expected }));

    let mut events = Client::connect(here(port)).await;
    events.send(format!("GET /events HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n")).await;
    let head = events.response_head().await.unwrap();
    assert_eq!(head.field("content-type").as_deref(), Some("text/event-stream"));
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        drop(events.read_until(event.as_bytes()).await);
    }

    let client = Client::connect(here(port)).await;
    let mut socket = WebSocket::open(client, &format!("localhost:{port}"), "/echo", "").await.unwrap();
    for text in ["one", "grüezi", &"x".repeat(60_000)] {
        socket.send_text(text).await;
        assert_eq!(socket.next_text().await, text);
    }
}

#[tokio::test]
async fn the_api_keeps_notes_and_knows_nothing_of_other_origins() {
    let gateway = with_demo().start();
    let (_, port) = ports(&gateway);
    let kind = "Content-Type: application/json\r\nOrigin: http://localhost:3000\r\n";
    let kept = direct(port, "PUT", "/notes/page", kind, b"{\"text\":\"one\"}").await;
    assert_eq!(kept.field("access-control-allow-origin"), None);
    let kept: Value = serde_json::from_slice(&kept.body).unwrap();
    assert_eq!(kept, json!({ "name": "page", "text": "one", "count": 1 }));
    let list: Value = serde_json::from_slice(&direct(port, "GET", "/", "", b"").await.body).unwrap();
    assert_eq!(list, json!({ "count": 1, "notes": { "page": "one" } }));

    let preflight = "Origin: http://localhost:3000\r\nAccess-Control-Request-Method: PUT\r\n";
    let answer = direct(port, "OPTIONS", "/notes/page", preflight, b"").await;
    assert_eq!((answer.status(), answer.field("access-control-allow-origin")), (405, None));
    let long = format!("{{\"text\":\"{}\"}}", "x".repeat(1001));
    assert_eq!(direct(port, "PUT", "/notes/long", kind, long.as_bytes()).await.status(), 413);
}

#[test]
fn both_servers_are_on_127_0_0_1_and_on_ports_that_nobody_had() {
    // Whoever has them already has them as well as this test would.
    let _held = [3000, 5000].map(|port| TcpListener::bind(here(port)));
    let gateway = with_demo().start();
    let (page, api) = ports(&gateway);
    assert!(page != 3000 && api != 5000, "{page} {api}");
    for port in [page, api] {
        // An address of loopback that a server on every address would have too.
        let other = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), port));
        assert!(other.is_ok(), "{port}: {other:?}");
    }
}

#[test]
fn a_second_start_on_the_same_data_works_and_forgets_the_ports_of_the_first() {
    let mut first = with_demo().start();
    let (page, api) = ports(&first);
    drop(first.run(&["share", "set", "demo", &api.to_string(), "public"]));
    assert!(first.terminate().success());

    // The ports of the first are somebody else's now.
    let _held = [page, api].map(|port| TcpListener::bind(here(port)));
    let again = with_demo();
    std::fs::rename(first.dir().join("data"), again.dir().join("data")).unwrap();
    let second = again.start();
    let now = ports(&second);
    assert!(now.0 != page && now.1 != api, "{now:?}");
    let greeting = greeting(&second);
    assert!(greeting.contains(&format!("http://{}-demo.portway.localhost", now.0)), "{greeting}");
    // The one that is shared is somebody's wish.
    let mut expected = [now.0, now.1, api].map(u64::from);
    expected.sort_unstable();
    assert_eq!(listed_ports(&second), expected);
}

#[test]
fn a_workspace_that_somebody_called_demo_is_not_touched() {
    for arguments in [&["--address", "127.0.0.5", "--owner"][..], &["--address", "localhost"]] {
        let mut first = builder().start();
        let users: Value = serde_json::from_str(&first.run(&["user", "list", "--json"])).unwrap();
        let mut command = [&["workspace", "add", "demo"], arguments].concat();
        if command.last() == Some(&"--owner") {
            command.push(users[0]["name"].as_str().unwrap());
        }
        drop(first.run(&command));
        assert!(first.terminate().success());

        let again = with_demo();
        std::fs::rename(first.dir().join("data"), again.dir().join("data")).unwrap();
        let (status, said) = again.start_refused();
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.contains("there is a workspace `demo` already") && said.contains("--data DIR"), "{said}");
    }
}

#[test]
fn a_workspace_of_the_file_called_demo_is_not_touched() {
    let builder = with_demo().file("workspaces.toml", "[[workspace]]\nid = \"demo\"\naddress = \"127.0.0.5\"\n");
    let file = builder.dir().join("workspaces.toml").display().to_string();
    let (status, said) = builder.env("PORTWAY_WORKSPACES_FILE", &file).start_refused();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("there is a workspace `demo` already"), "{said}");
}

#[tokio::test]
async fn an_open_page_does_not_hold_up_the_end() {
    // Longer than any test waits: what ends before is not the limit's doing.
    let mut gateway = with_demo().env("PORTWAY_LIMITS_DRAIN", "10m").start();
    let (page, _) = ports(&gateway);
    let host = format!("{page}-demo.portway.localhost:{}", gateway.plain().port());
    let mut visitor = Visitor::new(gateway.plain());
    visitor.log_in(&address_below(&greeting(&gateway), "1. Log in as ")).await;
    let cookie = visitor.session_for(&format!("http://{host}/")).await;
    let mut events = Client::connect(gateway.plain()).await;
    let fields = format!("Cookie: {cookie}\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\n");
    events.send(format!("GET /events HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n")).await;
    drop(events.read_until(b"data: 1\n\n").await);
    assert!(gateway.terminate().success());
}
