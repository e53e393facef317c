//! A new gateway takes the listeners of the old one: no connection is refused, and what is open lives on in the old one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use portway_testkit::gateway::Builder;
use portway_testkit::upstream::Gate;
use portway_testkit::{Client, Echo, Gateway, Recorder, Step, WebSocket, WebSocketEcho, eventually, within};
use tokio::task::JoinSet;

use crate::stage::{Door, builder, plan};

/// Visitors who come without a pause, each on a connection of its own.
pub(crate) struct Load {
    visitors: JoinSet<Vec<String>>,
    stop: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
}

impl Load {
    pub(crate) fn start(door: &Door) -> Self {
        let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut visitors = JoinSet::new();
        for _ in 0..4 {
            let (door, stop, served) = (door.clone(), stop.clone(), served.clone());
            visitors.spawn(async move {
                let mut failed = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    match visit(&door).await {
                        Ok(200) => drop(served.fetch_add(1, Ordering::Relaxed)),
                        other => failed.push(format!("{other:?}")),
                    }
                }
                failed
            });
        }
        Self { visitors, stop, served }
    }

    /// Waits for so many more visits.
    pub(crate) fn goes_on(&self, more: usize) {
        let now = self.served.load(Ordering::Relaxed);
        eventually("visitors to be served", || self.served.load(Ordering::Relaxed) >= now + more);
    }

    pub(crate) async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        let failed = within("the visitors to end", self.visitors.join_all()).await.concat();
        let (served, first) = (self.served.load(Ordering::Relaxed), failed.iter().take(5));
        assert!(failed.is_empty(), "{} of {served} failed: {:?}", failed.len(), first.collect::<Vec<_>>());
    }
}

/// The visitors of [`Load`] are one to the gateway, and ask more often than one may.
pub(crate) fn unlimited(builder: Builder) -> Builder {
    builder.env("PORTWAY_LIMITS_VISITOR_RATE", "0").env("PORTWAY_LIMITS_WORKSPACE_RATE", "0")
}

async fn visit(door: &Door) -> std::io::Result<u16> {
    let mut client = Client::over(tokio::net::TcpStream::connect(door.address).await?);
    client.try_send(door.head("GET /", "Connection: close\r\n")).await?;
    Ok(client.response("GET").await?.status())
}

/// A gateway with streams that are open, while another takes its place.
pub(crate) struct World {
    pub(crate) gateway: Gateway,
    /// A port that anybody may ask, and the WebSocket's.
    pub(crate) door: Door,
    pub(crate) tunnel: Door,
    pub(crate) streams: Streams,
    pub(crate) servers: (Echo, WebSocketEcho, Recorder),
}

/// A WebSocket, and a download that waits.
pub(crate) struct Streams {
    socket: WebSocket,
    download: Client,
    gate: Gate,
}

impl World {
    pub(crate) async fn open() -> Self {
        let gate = Gate::new();
        let slow = Recorder::start(vec![
            Step::ReadHead,
            Step::write("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nfirst "),
            Step::Wait(gate.clone()),
            Step::write("second"),
        ])
        .await;
        let (echo, sockets) = (Echo::start().await, WebSocketEcho::start().await);
        let stage = plan()
            .public(echo.port())
            .public(slow.port())
            .private(sockets.port())
            .with(|builder| unlimited(builder).env("PORTWAY_LIMITS_DRAIN", "10m"))
            .start();
        let (door, late, tunnel) = (stage.door(echo.port()), stage.door(slow.port()), stage.door(sockets.port()));
        let socket = WebSocket::open(tunnel.connect().await, &tunnel.host, "/", &tunnel.auth).await.expect("a 101");
        let mut download = late.connect().await;
        download.send(late.head("GET /", "")).await;
        download.read_until(b"first ").await;
        let streams = Streams { socket, download, gate };
        Self { gateway: stage.gateway, door, tunnel, streams, servers: (echo, sockets, slow) }
    }
}

impl Streams {
    /// They are served on.
    pub(crate) async fn live_on(&mut self) {
        self.socket.send_text("still here").await;
        assert_eq!(self.socket.next_text().await, "still here");
        self.gate.open();
        self.download.read_until(b"second").await;
    }
}

fn is_draining(gateway: &Gateway) {
    gateway.wait_for_log("the old one to drain", |line| line["event"] == "draining" && line["why"] == "handover");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_refuses_no_connection_and_streams_live_on() {
    let World { gateway: first, door, mut streams, servers: _servers, .. } = World::open().await;
    let load = Load::start(&door);
    load.goes_on(50);
    let second = first.again().arg("--take-over").start();
    let said = second.wait_for_log("where it came from", |line| line["event"] == "took-over");
    assert_eq!(said["from"], first.pid());
    assert_eq!((second.plain(), second.ops()), (first.plain(), first.ops()), "other addresses");
    is_draining(&first);
    load.goes_on(50);

    // What was open is served by the old one, and commands ask the new one.
    streams.live_on().await;
    let health = second.run(&["health", "--json"]);
    assert!(health.contains(&second.ops().to_string()), "{health}");
    let ready = "GET /readyz HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n";
    for _ in 0..20 {
        assert_eq!(Client::connect(second.ops()).await.round_trip("GET", ready).await.status(), 200);
    }
    drop(streams);
    ended(first);

    // Once more, and from the one that took over itself.
    let third = second.again().start();
    is_draining(&second);
    ended(second);
    load.goes_on(50);
    load.end().await;
    third.stop();
}

/// The old one ends by itself once nothing of it is open; the signal finds nobody.
fn ended(mut gateway: Gateway) {
    gateway.wait_for_log("its end", |line| line["event"] == "stopped");
    let status = gateway.terminate();
    assert!(status.success(), "{status}\n{}", gateway.errors());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_one_that_does_not_start_changes_nothing() {
    let echo = Echo::start().await;
    let stage = plan().public(echo.port()).with(unlimited).start();
    let (door, first) = (stage.door(echo.port()), stage.gateway);
    let load = Load::start(&door);
    let bad = first.again().arg("--take-over").env("PORTWAY_WORKSPACES_FILE", "/nowhere/workspaces.toml");
    let (status, errors) = bad.start_refused();
    assert_eq!(status.code(), Some(1), "{errors}");
    assert!(errors.contains("/nowhere/workspaces.toml"), "{errors}");
    first.wait_for_log("its word on it", |line| line["event"] == "handover" && line["level"] == "warn");
    load.goes_on(20);
    // Without the flag it is refused as ever, and the next that is well takes over.
    let (_, errors) = first.again().start_refused();
    assert!(errors.contains("is taken by another process") || errors.contains("another gateway"), "{errors}");
    let second = first.again().arg("--take-over").start();
    is_draining(&first);
    load.goes_on(20);
    load.end().await;
    ended(first);
    second.stop();
}

#[test]
fn where_none_runs_it_starts_as_ever() {
    let gateway = builder().arg("--take-over").start();
    assert!(gateway.log().iter().all(|line| line["event"] != "took-over"));
    gateway.stop();
}
