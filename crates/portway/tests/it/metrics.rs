//! The metrics: what is open is counted while it is, every one is described, and promtool finds nothing to say.

use std::io::Write as _;
use std::process::{Command, Stdio};

use portway_testkit::{Client, Echo, TestCa, WebSocket, WebSocketEcho, eventually_async};

use crate::hub::metric_of;
use crate::stage::{Stage, over_tls, plan};

async fn value(stage: &Stage, name: &str) -> f64 {
    metric_of(&stage.gateway, name).await.unwrap_or_default()
}

#[tokio::test]
async fn what_is_open_is_counted_while_it_is() {
    let (echo, sockets) = (Echo::start().await, WebSocketEcho::start().await);
    let stage = plan().public(echo.port()).private(sockets.port()).start();
    let (door, tunnels) = (stage.door(echo.port()), stage.door(sockets.port()));
    assert_eq!(value(&stage, "portway_connections_open{listener=\"plain\"}").await, 0.0);
    let mut first = WebSocket::open(tunnels.connect().await, &tunnels.host, "/", &tunnels.auth).await.expect("a 101");
    first.send_text("here").await;
    assert_eq!(first.next_text().await, "here");
    assert_eq!(value(&stage, "portway_tunnels_open").await, 1.0);
    assert_eq!(value(&stage, "portway_requests_open").await, 1.0);
    let mut client = door.connect().await;
    assert_eq!(client.round_trip("GET", door.head("GET /", "")).await.status(), 200);
    assert_eq!(value(&stage, "portway_connections_open{listener=\"plain\"}").await, 2.0);
    eventually_async("the idle connection to be told", async || value(&stage, "portway_upstream_idle").await == 1.0)
        .await;
    drop((first, client));
    for name in ["portway_tunnels_open", "portway_requests_open", "portway_connections_open{listener=\"plain\"}"] {
        eventually_async(name, async || value(&stage, name).await == 0.0).await;
    }
    stage.gateway.stop();
}

#[tokio::test]
async fn reasons_are_counted_by_their_word() {
    let echo = Echo::start().await;
    let stage = plan().private(echo.port()).public(1).start();
    let (door, closed) = (stage.door(echo.port()), stage.door(1));
    assert_eq!((door.get("/").await, closed.get("/").await, closed.get("/").await), (200, 502, 502));
    let stranger = crate::stage::Door { auth: String::new(), ..door };
    assert_eq!(stranger.get("/").await, 401);
    let of = async |reason: &str| value(&stage, &format!("portway_request_reasons_total{{reason=\"{reason}\"}}")).await;
    assert_eq!((of("port-closed").await, of("not-logged-in").await, of("relayed").await), (2.0, 1.0, 0.0));
    stage.gateway.stop();
}

#[tokio::test]
async fn handshakes_that_fail_are_counted_and_promtool_finds_nothing_to_say() {
    let ca = TestCa::new();
    let gateway = over_tls(&ca, "").start();
    let connect = async |sni| Client::try_connect_tls(gateway.tls(), sni, ca.client(&["http/1.1"])).await;
    let mut client = connect("hub.test").await.expect("a handshake");
    assert!(connect("elsewhere.test").await.is_err());
    for name in ["portway_tls_handshakes_total{result=\"done\"}", "portway_tls_handshakes_total{result=\"failed\"}"] {
        eventually_async(name, async || metric_of(&gateway, name).await == Some(1.0)).await;
    }
    let page = "GET /.portway/nothing HTTP/1.1\r\nHost: hub.test\r\n\r\n";
    assert_eq!(client.round_trip("GET", page).await.status(), 404);

    let request = "GET /metrics HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n";
    let text = Client::connect(gateway.ops()).await.round_trip("GET", request).await.text();
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().expect("promtool: run `scripts/test install`");
    child.stdin.take().expect("its input").write_all(text.as_bytes()).expect("write");
    let output = child.wait_with_output().expect("its end");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
    let described = |name: &str| text.lines().any(|line| line.starts_with(&format!("# HELP {name} ")));
    for line in text.lines().filter(|line| line.starts_with("portway_")) {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        let name = name.strip_suffix("_bucket").unwrap_or(name);
        let name = name.strip_suffix("_sum").or_else(|| name.strip_suffix("_count")).unwrap_or(name);
        assert!(described(name), "{name} has no description");
    }
    gateway.stop();
}
