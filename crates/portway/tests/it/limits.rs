//! What one address, visitor or workspace may have: the one too many is told so, and nobody else notices.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use portway_testkit::upstream::Gate;
use portway_testkit::{Client, Echo, Ending, Gateway, Recorder, Step, TempDir, eventually_async};
use tokio::net::TcpStream;

use crate::http2_client::{Http2, finish};
use crate::hub::metric_of;
use crate::stage::{Door, Stage, binary, plan};

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\n";

/// A dev server that begins every answer and ends it when the gate opens.
async fn slow(gate: &Gate) -> Recorder {
    Recorder::start(vec![Step::ReadHead, Step::write(HEAD), Step::Wait(gate.clone()), Step::write("done")]).await
}

/// A request whose answer has begun.
async fn begin(door: &Door) -> Client {
    let mut client = door.connect().await;
    client.send(door.head("GET /", "")).await;
    client.read_until(b"\r\n\r\n").await;
    client
}

async fn reason(door: &Door) -> (u16, String, String) {
    let answer = door.connect().await.round_trip("GET", door.head("GET /", "")).await;
    let field = |name| answer.field(name).unwrap_or_default();
    (answer.status(), field("Portway-Reason"), field("Retry-After"))
}

async fn limited(stage: &Stage, limit: &str) -> f64 {
    metric_of(&stage.gateway, &format!("portway_limited_total{{limit=\"{limit}\"}}")).await.unwrap_or_default()
}

#[tokio::test]
async fn a_visitor_with_too_much_under_way_is_told_so_and_others_go_on() {
    let (gate, echo) = (Gate::new(), Echo::start().await);
    let server = slow(&gate).await;
    let stage = plan().private(server.port()).public(echo.port()).config("[limits]\nvisitor_requests = 3\n").start();
    let (door, public) = (stage.door(server.port()), stage.door(echo.port()));
    let open = [begin(&door).await, begin(&door).await, begin(&door).await];
    assert_eq!(reason(&door).await, (429, "too-many-requests".into(), "1".into()));
    assert_eq!(limited(&stage, "visitor").await, 1.0);
    assert_eq!(public.get("/").await, 200, "another visitor");
    gate.open();
    eventually_async("the end of one to make room", async || {
        let mut client = door.connect().await;
        client.send(door.head("GET /", "")).await;
        client.response_head().await.is_ok_and(|head| head.status() == 200)
    })
    .await;
    drop(open);
    stage.gateway.stop();
}

#[tokio::test]
async fn a_workspace_with_too_much_under_way_is_busy_and_no_other_is() {
    let (gate, echo) = (Gate::new(), Echo::start().await);
    let server = slow(&gate).await;
    let stage = plan()
        .private(server.port())
        .public(echo.port())
        .config("[limits]\nworkspace_requests = 2\nvisitor_requests = 0\n")
        .start();
    let gateway = &stage.gateway;
    gateway.run(&["workspace", "add", "quiet", "--address", "localhost", "--owner", "alice"]);
    gateway.run(&["share", "set", "quiet", &echo.port().to_string(), "public"]);
    let (door, noisy) = (stage.door(server.port()), stage.door(echo.port()));
    let quiet = Door { host: noisy.host.replace("-ws.", "-quiet."), ..noisy.clone() };
    eventually_async("the other workspace to be there", async || quiet.get("/").await == 200).await;
    let open = [begin(&door).await, begin(&door).await];
    assert_eq!(reason(&noisy).await, (503, "workspace-busy".into(), "1".into()), "a visitor of the same workspace");
    assert_eq!(quiet.get("/").await, 200, "a neighbour");
    assert_eq!(limited(&stage, "workspace").await, 1.0);
    drop(open);
    stage.gateway.stop();
}

#[tokio::test]
async fn an_address_with_too_many_connections_is_reset() {
    let echo = Echo::start().await;
    let stage = plan().public(echo.port()).config("[limits]\naddress_connections = 2\n").start();
    let door = stage.door(echo.port());
    let mut open = [door.connect().await, door.connect().await];
    for client in &mut open {
        assert_eq!(client.round_trip("GET", door.head("GET /", "")).await.status(), 200);
    }
    // It may be reset before anybody looks.
    if let Ok(tcp) = TcpStream::connect(door.address).await {
        assert_eq!(Client::over(tcp).read_to_close().await, ("".into(), Ending::Reset));
    }
    assert_eq!(limited(&stage, "address-connections").await, 1.0, "and the operations listener answers");
    drop(open);
    eventually_async("the end of one to make room", async || {
        let Ok(tcp) = TcpStream::connect(door.address).await else { return false };
        let mut client = Client::over(tcp);
        client.try_send(door.head("GET /", "")).await.is_ok() && client.response("GET").await.is_ok()
    })
    .await;
    stage.gateway.stop();
}

#[tokio::test]
async fn a_visitor_who_asks_too_fast_waits_and_others_do_not() {
    let echo = Echo::start().await;
    let stage = plan().private(echo.port()).config("[limits]\nvisitor_rate = 2\n").start();
    let door = stage.door(echo.port());
    let mut client = door.connect().await;
    let mut answers = Vec::new();
    // Twenty at once, and two a second: no machine takes a minute for these.
    for _ in 0..200 {
        answers.push(client.round_trip("GET", door.head("GET /", "")).await.status());
    }
    assert!(answers.iter().take(20).all(|status| *status == 200), "{answers:?}");
    assert!(answers.contains(&429), "nothing was too fast: {answers:?}");
    let stranger = Door { auth: String::new(), ..door.clone() };
    assert_eq!(stranger.get("/").await, 401, "somebody who is not logged in, at the same address");
    eventually_async("the visitor to be admitted again", async || door.get("/").await == 200).await;
    stage.gateway.stop();
}

#[tokio::test]
async fn a_stranger_who_asks_too_fast_takes_nothing_from_those_who_are_logged_in() {
    let echo = Echo::start().await;
    let stage = plan().private(echo.port()).config("[limits]\nvisitor_rate = 2\n").start();
    let door = stage.door(echo.port());
    let host = format!("portway.localhost:{}", door.address.port());
    let mut client = door.connect().await;
    let page = format!("GET /.portway/login HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let mut last = 0;
    for _ in 0..200 {
        last = client.round_trip("GET", &page).await.status();
    }
    assert_eq!(last, 429, "pages of our own have no limit");
    assert_eq!(Door { auth: String::new(), ..door.clone() }.get("/").await, 429, "nor have our refusals");
    assert_eq!(door.get("/").await, 200);
    stage.gateway.stop();
}

/// Descriptors run out before anything else does, and whoever looks after the gateway still reaches it.
#[tokio::test]
async fn visitors_use_up_their_part_of_the_descriptors_and_no_more() {
    let gate = Gate::new();
    let server = slow(&gate).await;
    let script = TempDir::new();
    let limited = script.write("portway", format!("#!/bin/sh\nulimit -n 400\nexec {} \"$@\"\n", binary().display()));
    std::fs::set_permissions(&limited, Permissions::from_mode(0o755)).expect("an executable");
    let stage = plan()
        .private(server.port())
        .with(|_| Gateway::builder(limited).env("PORTWAY_LIMITS_DRAIN", "500ms").env("PORTWAY_THREADS", "2"))
        .start();
    stage.gateway.wait_for_log("a warning", |line| {
        line["event"] == "configuration"
            && line["message"].as_str().is_some_and(|text| text.contains("may open 400 files"))
    });
    let door = stage.door(server.port());
    let (mut connections, mut under_way) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let mut http2 = Http2::connect(&door).await;
        for _ in 0..100 {
            under_way.push(http2.begin("GET", &format!("{}/", door.origin()), &door.auth, true).await.0);
        }
        connections.push(http2);
    }
    let mut answers = Vec::new();
    for response in under_way {
        let head = response.await.expect("a head");
        answers.push((head.status().as_u16(), head.headers().get("portway-reason").cloned(), head));
    }
    let count = |status| answers.iter().filter(|(found, ..)| *found == status).count();
    assert!(count(200) > 150 && count(200) < 400 && count(200) + count(503) == 400, "{} {}", count(200), count(503));
    assert!(
        answers.iter().all(|(status, reason, _)| *status == 200 || reason.as_ref().is_some_and(|r| r == "overloaded"))
    );
    let mut well = Vec::new();
    for _ in 0..20 {
        let mut ops = Client::connect(stage.gateway.ops()).await;
        assert_eq!(ops.round_trip("GET", "GET /healthz HTTP/1.1\r\nHost: ops\r\n\r\n").await.status(), 200);
        well.push(ops);
    }
    drop((answers, connections));
    eventually_async("room again", async || {
        let mut http2 = Http2::connect(&door).await;
        let (response, _) = http2.begin("GET", &format!("{}/", door.origin()), &door.auth, true).await;
        response.await.is_ok_and(|head| head.status() == 200)
    })
    .await;
    drop(well);
    stage.gateway.stop();
}

/// Vite's modules and a page of images, with the limits that are the default.
#[tokio::test]
async fn the_defaults_let_a_large_page_through() {
    let echo = Echo::start().await;
    let stage = plan().private(echo.port()).start();
    let door = stage.door(echo.port());
    let mut connections = Vec::new();
    for _ in 0..3 {
        connections.push(Http2::connect(&door).await);
    }
    for _ in 0..10 {
        let mut under_way = Vec::new();
        for http2 in &mut connections {
            for n in 0..100 {
                under_way.push(http2.begin("GET", &format!("{}/module-{n}", door.origin()), &door.auth, true).await.0);
            }
        }
        for response in under_way {
            assert_eq!(finish(response).await.status, 200);
        }
    }
    assert_eq!(limited(&stage, "visitor").await, 0.0);
    assert_eq!(limited(&stage, "workspace").await, 0.0);
    drop(connections);
    stage.gateway.stop();
}
