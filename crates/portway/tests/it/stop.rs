//! A stop with responses under way over both protocols, and an idle connection beside them.

use portway_testkit::upstream::Gate;
use portway_testkit::{Client, Ending, Recorder, Step, eventually, eventually_async, within};
use tokio::net::TcpStream;

use crate::http2_client::{Http2, finish};
use crate::stage::plan;

#[tokio::test]
async fn a_response_under_way_is_finished_and_the_exit_code_is_0() {
    let gate = Gate::new();
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nfirst ";
    let steps = vec![Step::ReadHead, Step::write(head), Step::Wait(gate.clone()), Step::write("second")];
    let recorder = Recorder::start(steps).await;
    let stage = plan().private(recorder.port()).with(|builder| builder.env("PORTWAY_LIMITS_DRAIN", "10m")).start();
    let door = stage.door(recorder.port());
    let mut client = door.connect().await;
    client.send(door.head("GET /slow", "")).await;
    client.read_until(b"first ").await;
    let mut http2 = Http2::connect(&door).await;
    let (response, _) = http2.begin("GET", &format!("{}/slow", door.origin()), &door.auth, true).await;
    recorder.saw("GET /slow").await;
    eventually_async("both requests to arrive", async || recorder.text().matches("GET /slow").count() == 2).await;
    let mut idle = door.connect().await;
    assert_eq!(idle.round_trip("GET", door.head("GET /.portway/nothing", "")).await.status(), 404);

    let mut gateway = stage.gateway;
    let ops = gateway.ops();
    let pid = gateway.pid();
    let stopping = tokio::task::spawn_blocking(move || {
        let status = gateway.terminate();
        (status, gateway)
    });
    // Idle connections end at once and properly.
    assert_eq!(idle.read_to_close().await, ("".into(), Ending::Clean));
    // Load balancers are told, and nobody new is let in.
    let unready = "GET /readyz HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n";
    assert_eq!(Client::connect(ops).await.round_trip("GET", unready).await.status(), 503);
    eventually_async("new connections to be refused", async || TcpStream::connect(door.address).await.is_err()).await;
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists(), "it did not wait");

    gate.open();
    client.read_until(b"second").await;
    let (rest, ending) = client.read_to_close().await;
    assert_eq!((&rest[..], ending), (&b""[..], Ending::Clean));
    gate.open();
    let answer = finish(response).await;
    assert_eq!((answer.status, answer.reset, &answer.body[..]), (200, None, &b"first second"[..]));
    let (status, gateway) = within("the gateway to stop", stopping).await.expect("stop");
    assert_eq!(status.code(), Some(0), "{}", gateway.errors());
    eventually("the last words", || gateway.log().iter().any(|line| line["event"] == "stopped"));
}
