//! How the gateway ends: work under way is finished, what does not end is cut, and a start that cannot be says why.

use portway_testkit::upstream::Gate;
use portway_testkit::{
    Client, Gateway, Recorder, Step, WebSocket, WebSocketEcho, eventually, eventually_async, patience, within,
};
use tokio::net::TcpStream;

use crate::stage::{binary, plan, request, visit};

const ALLOW: &str = "[workspaces]\nallow = [\"127.0.0.1\", \"::1\"]\n";

fn host(gateway: &Gateway, port: u16) -> String {
    format!("{port}-ws.portway.localhost:{}", gateway.plain().port())
}

async fn ops(gateway: &Gateway, path: &str) -> u16 {
    let request = format!("GET {path} HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n");
    Client::connect(gateway.ops()).await.round_trip("GET", request).await.status()
}

#[tokio::test]
async fn a_slow_response_is_finished_while_nobody_new_is_let_in() {
    let gate = Gate::new();
    let recorder = Recorder::start(vec![
        Step::ReadRequest,
        Step::Wait(gate.clone()),
        Step::write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate"),
    ])
    .await;
    let plan = plan(ALLOW, &[]);
    plan.workspace("ws", "127.0.0.1");
    let token = plan.token("ws", recorder.port());
    let gateway = plan.start();
    let (address, ops_address) = (gateway.plain(), gateway.ops());
    assert_eq!((ops(&gateway, "/readyz").await, ops(&gateway, "/healthz").await), (200, 200));

    // Not one byte of the answer is there when the signal comes.
    let mut client = Client::connect(address).await;
    client.send(request(&host(&gateway, recorder.port()), "/slow", &token)).await;
    recorder.saw("GET /slow").await;
    let pid = gateway.pid();
    let stopping = tokio::task::spawn_blocking(move || {
        let mut gateway = gateway;
        (gateway.terminate(), gateway)
    });
    eventually_async("new connections to be refused", async || TcpStream::connect(address).await.is_err()).await;
    for (path, status) in [("/readyz", 503), ("/healthz", 200)] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n");
        let answer = Client::connect(ops_address).await.round_trip("GET", request).await;
        assert_eq!(answer.status(), status, "{path} during the drain");
    }
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists() && !stopping.is_finished(), "it did not wait");

    gate.open();
    let answer = client.response("GET").await.expect("the whole answer");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "late"));
    let (status, gateway) = within("the gateway to stop", stopping).await.expect("stop");
    assert_eq!(status.code(), Some(0), "{}", gateway.errors());
    eventually("its last words", || gateway.log().iter().any(|line| line["event"] == "stopped"));
}

#[tokio::test]
async fn an_open_websocket_is_cut_at_the_drain_limit() {
    let echo = WebSocketEcho::start().await;
    let plan = plan(&format!("{ALLOW}[limits]\ndrain = \"400ms\"\n"), &[]);
    plan.workspace("ws", "127.0.0.1");
    let token = plan.token("ws", echo.port());
    let gateway = plan.start();
    let fields = format!("X-Portway-Token: {token}\r\n");
    let client = Client::connect(gateway.plain()).await;
    let opened = WebSocket::open(client, &host(&gateway, echo.port()), "/", &fields).await;
    let mut socket = opened.expect("a 101");
    socket.send_text("before").await;
    assert_eq!(socket.next_text().await, "before");

    let since = std::time::Instant::now();
    let stopping = tokio::task::spawn_blocking(move || gateway.stop());
    // A tunnel that is open works until it is cut: the limit is a limit, not a delay.
    assert_eq!(socket.next().await, None, "a frame that nobody sent");
    let lived = since.elapsed();
    within("the gateway to stop", stopping).await.expect("exit code 0");
    assert!(lived >= std::time::Duration::from_millis(300), "cut before the limit, after {lived:?}");
    assert!(lived < patience(), "{lived:?}");
}

#[tokio::test]
async fn a_taken_port_ends_the_start_with_1_and_names_the_flag() {
    let first = plan(ALLOW, &[]).start();
    for (flag, taken, other) in [
        ("--listen", first.plain().to_string(), ["--ops", "127.0.0.1:0"]),
        ("--ops", first.ops().to_string(), ["--listen", "127.0.0.1:0"]),
    ] {
        let second = Gateway::builder(binary()).listeners_from_config();
        let second = second.arg(flag).arg(&taken).arg(other[0]).arg(other[1]);
        let (status, errors) = second.start_refused();
        assert_eq!(status.code(), Some(1), "{errors}");
        assert!(errors.contains(&taken) && errors.contains(flag), "{flag}: {errors}");
    }
    // The first one never noticed.
    assert_eq!(visit(&first, "3000-nobody", "").await.status(), 401);
    first.stop();
}

#[tokio::test]
async fn a_taken_data_folder_ends_the_start_with_1_until_its_gateway_ends() {
    let mut first = plan(ALLOW, &[]).start();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--ops", "127.0.0.1:0"];
    let second = first.try_run(&serve);
    let errors = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{errors}");
    assert!(errors.contains(&first.pid().to_string()) && errors.contains("--data"), "{errors}");
    assert_eq!(ops(&first, "/readyz").await, 200);

    // Nothing stays behind that keeps the next one out: it comes as far as the port, which is taken.
    assert!(first.terminate().success());
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("bind");
    let taken = listener.local_addr().expect("an address").to_string();
    let next = first.try_run(&["serve", "--listen", &taken, "--ops", "127.0.0.1:0"]);
    let errors = String::from_utf8_lossy(&next.stderr);
    assert!(errors.contains(&taken) && !errors.contains("another gateway"), "{errors}");
}
