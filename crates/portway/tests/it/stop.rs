//! A stop: what is under way is finished, nothing new is taken, and the exit code says that all went well.

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

#[tokio::test]
async fn what_does_not_end_by_itself_is_cut_at_the_limit() {
    let steps = vec![Step::ReadHead, Step::write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")];
    let recorder = Recorder::start(steps).await;
    let stage = plan().private(recorder.port()).with(|builder| builder.env("PORTWAY_LIMITS_DRAIN", "300ms")).start();
    let door = stage.door(recorder.port());
    let mut client = door.connect().await;
    client.send(door.head("GET /", "")).await;
    client.read_until(b"a\r\n").await;
    stage.gateway.stop();
    // Never as if it were whole.
    assert_eq!(client.read_to_close().await.1, Ending::Reset);
    recorder.all_ended(1).await;
}

#[tokio::test]
async fn a_second_gateway_on_the_same_port_or_data_is_told_why_it_cannot_start() {
    let stage = plan().start();
    let address = stage.gateway.plain().to_string();
    let other =
        crate::stage::builder().listeners_from_config().arg("--listen").arg(&address).arg("--ops").arg("127.0.0.1:0");
    let (status, errors) = other.start_refused();
    assert_eq!(status.code(), Some(1), "{errors}");
    assert!(errors.contains(&address) && errors.contains("--listen"), "{errors}");
    let output = stage.gateway.try_run(&["serve", "--listen", "127.0.0.1:0", "--ops", "127.0.0.1:0"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("another gateway"), "{errors}");
    stage.gateway.stop();
}
