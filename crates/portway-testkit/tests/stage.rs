//! The stage itself is tested: what these servers and clients claim to do on the wire, they do.

use portway_testkit::tls::TestCa;
use portway_testkit::upstream::{Gate, digest_of};
use portway_testkit::websocket::opcode;
use portway_testkit::{Bulk, Client, Echo, Ending, Recorder, Step, WebSocket, WebSocketEcho};

fn loopback(port: u16) -> std::net::SocketAddr {
    ([127, 0, 0, 1], port).into()
}

#[tokio::test]
async fn echo_reflects_head_body_and_trailers() {
    let echo = Echo::start().await;
    let mut client = Client::connect(loopback(echo.port())).await;
    let head = "POST /a?b HTTP/1.1\r\nHost: x\r\nX-OdD: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let request = format!("{head}3\r\nabc\r\n0\r\nT: 1\r\n\r\n");
    let answer = client.round_trip("POST", &request).await;
    let reflected = Echo::reflected(&answer);
    assert_eq!(reflected.head, head.as_bytes());
    assert_eq!(reflected.text(), "abc");
    assert_eq!(&reflected.trailers[..], b"T: 1\r\n");
    // And the connection still works.
    let again = client.round_trip("HEAD", "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!((again.status(), again.body.len()), (200, 0));
}

#[tokio::test]
async fn recorder_keeps_every_byte_after_its_script() {
    let recorder = Recorder::start(vec![Step::ReadHead, Step::write("HTTP/1.1 200 OK\r\n\r\n")]).await;
    let mut client = Client::connect(recorder.address()).await;
    client.send("GET / HTTP/1.1\r\n\r\nand more").await;
    assert_eq!(client.response_head().await.unwrap().status(), 200);
    client.send(" and more").await;
    recorder.saw("and more and more").await;
    drop(client);
    recorder.all_ended(1).await;
    assert_eq!(recorder.text(), "GET / HTTP/1.1\r\n\r\nand more and more");
}

#[tokio::test]
async fn recorder_plays_another_script_on_the_next_connection() {
    let first = vec![Step::ReadHead, Step::Close];
    let second = vec![Step::ReadHead, Step::write("HTTP/1.1 204 No Content\r\n\r\n")];
    let recorder = Recorder::start_with(None, vec![first, second]).await;
    let mut client = Client::connect(recorder.address()).await;
    client.send("GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(client.read_to_close().await, (bytes::Bytes::new(), Ending::Clean));
    for _ in 0..2 {
        let mut client = Client::connect(recorder.address()).await;
        assert_eq!(client.round_trip("GET", "GET / HTTP/1.1\r\n\r\n").await.status(), 204);
    }
}

#[tokio::test]
async fn reset_and_half_close_are_told_apart() {
    let gate = Gate::new();
    let reset = vec![Step::ReadHead, Step::write("cut"), Step::Wait(gate.clone()), Step::Reset];
    let half = vec![Step::ReadHead, Step::write("half"), Step::Finish];

    let recorder = Recorder::start(reset).await;
    let mut client = Client::connect(recorder.address()).await;
    client.send("GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(client.read_until(b"cut").await, "cut");
    gate.open();
    assert_eq!(client.read_to_close().await.1, Ending::Reset);

    let recorder = Recorder::start(half).await;
    let mut client = Client::connect(recorder.address()).await;
    client.send("GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(client.read_to_close().await, ("half".into(), Ending::Clean));
    client.send("still heard").await;
    recorder.saw("still heard").await;
}

#[tokio::test]
async fn bulk_moves_what_it_says_over_tls() {
    const LENGTH: u64 = 3 * 64 * 1024 + 5;
    let ca = TestCa::new();
    let leaf = ca.leaf(&["*.hub.test"]);
    let bulk = Bulk::start_tls(leaf.server(&["http/1.1"])).await;
    let address = loopback(bulk.port());
    let config = ca.client(&["http/1.1"]);
    let mut client = Client::connect_tls(address, "3000-a.hub.test", config).await;

    let mut bodies = Vec::new();
    for path in ["bytes", "chunked"] {
        let request = format!("GET /{path}/{LENGTH} HTTP/1.1\r\nHost: x\r\n\r\n");
        bodies.push(client.round_trip("GET", request).await.body);
    }
    assert_eq!(bodies[0], bodies[1]);
    let mut upload = format!("POST / HTTP/1.1\r\nContent-Length: {LENGTH}\r\n\r\n").into_bytes();
    upload.extend_from_slice(&bodies[0]);
    let answer = client.round_trip("POST", upload).await;
    assert_eq!(answer.text(), format!("{LENGTH} {}", digest_of(LENGTH)));
}

#[tokio::test]
async fn a_stranger_to_the_authority_is_refused_by_tls() {
    let leaf = TestCa::new().leaf(&["*.hub.test"]);
    let bulk = Bulk::start_tls(leaf.server(&["http/1.1"])).await;
    let other = TestCa::new().client(&["http/1.1"]);
    let address = loopback(bulk.port());
    assert!(Client::try_connect_tls(address, "3000-a.hub.test", other).await.is_err());
}

#[tokio::test]
async fn websocket_frames_of_every_length_form_come_back() {
    let server = WebSocketEcho::start().await;
    let client = Client::connect(loopback(server.port())).await;
    let mut socket = WebSocket::open(client, "x", "/", "").await.expect("101");
    for size in [0, 1, 125, 126, 65_535, 65_536, 200_000] {
        let payload = vec![b'p'; size];
        socket.send(opcode::BINARY, &payload).await.unwrap();
        assert_eq!(socket.next().await.expect("an echo").payload, payload);
    }
    socket.send_text("grüezi").await;
    assert_eq!(socket.next_text().await, "grüezi");
    socket.send(opcode::CLOSE, &1000_u16.to_be_bytes()).await.unwrap();
    assert_eq!(socket.next().await.expect("a close frame").opcode, opcode::CLOSE);
    assert_eq!(socket.next().await, None);
}
