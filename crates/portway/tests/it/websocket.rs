//! WebSocket over HTTP/1.1: frames pass whole and opaque, refusals pass as answers, and nothing the visitor says goes
//! upstream before a right 101.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use portway_testkit::upstream::Server;
use portway_testkit::websocket::{accept_value, opcode};
use portway_testkit::{Recorder, Step, WebSocket, WebSocketEcho, message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use crate::stage::{plan, private};

const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[tokio::test]
async fn frames_of_every_size_come_back() {
    let (one, two) = (WebSocketEcho::start().await, WebSocketEcho::start().await);
    let stage = plan().private(one.port()).public(two.port()).start();
    for door in [stage.door(one.port()), stage.door(two.port())] {
        let opened = WebSocket::open(door.connect().await, &door.host, "/ws?x=y", &door.auth).await;
        let mut socket = opened.expect("a 101");
        for size in [0, 1, 125, 126, 65_535, 65_536, 300_000] {
            let payload: Vec<u8> = (0..size).map(|n: usize| n.to_le_bytes()[0]).collect();
            socket.send(opcode::BINARY, &payload).await.unwrap();
            assert_eq!(socket.next().await.expect("an echo").payload, payload);
        }
        // Control frames and whatever else has a meaning between the two ends are theirs.
        socket.send(opcode::PING, b"p").await.unwrap();
        assert_eq!(socket.next().await.unwrap().opcode, opcode::PONG);
        socket.send(opcode::CLOSE, &1000_u16.to_be_bytes()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().opcode, opcode::CLOSE);
        assert_eq!(socket.next().await, None);
    }
    stage.gateway.stop();
}

#[tokio::test]
async fn the_handshake_arrives_as_it_was_sent() {
    let recorder =
        Recorder::start(vec![Step::ReadHead, Step::write("HTTP/1.1 426 Upgrade Required\r\n\r\n"), Step::Close]).await;
    let (stage, door) = private(recorder.port());
    let extra = "Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nX-oDD: 1\r\n";
    let answer =
        door.connect().await.round_trip("GET", door.head("GET /ws?a=%2F", &format!("{HANDSHAKE}{extra}"))).await;
    assert_eq!(answer.status(), 426);
    let port = door.port;
    let wanted = format!(
        "GET /ws?a=%2F HTTP/1.1\r\nHost: localhost:{port}\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extra}Connection: Upgrade\r\nUpgrade: websocket\r\n\
         X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: localhost:{port}\r\nX-Forwarded-Proto: http\r\nCDN-Loop: portway\r\n\r\n"
    );
    assert_eq!(recorder.text(), wanted);
    stage.gateway.stop();
}

#[tokio::test]
async fn the_dev_servers_choice_of_protocol_and_its_first_frame_pass() {
    let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: b\r\n\
                Set-Cookie: __Host-portway=evil\r\nX-Odd: 1\r\n\r\n";
    // The first frame comes in the same packet.
    let steps = vec![Step::ReadHead, Step::write([head.as_bytes(), b"\x81\x05first"].concat())];
    let recorder = Recorder::start(steps).await;
    let (stage, door) = private(recorder.port());
    let mut client = door.connect().await;
    client.send(door.head("GET /", &format!("{HANDSHAKE}Sec-WebSocket-Protocol: a, b\r\n"))).await;
    let answer = client.response_head().await.unwrap();
    assert_eq!(answer.status(), 101);
    assert_eq!(answer.field("sec-websocket-protocol").as_deref(), Some("b"));
    assert_eq!(answer.field("x-odd").as_deref(), Some("1"));
    assert!(answer.all("set-cookie").is_empty(), "a cookie of ours was set by a dev server");
    client.read_until(b"\x81\x05first").await;
    stage.gateway.stop();
}

#[tokio::test]
async fn nothing_goes_upstream_before_the_101() {
    const EARLY: &[u8] = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    let (asked, opened) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let early = Arc::new(std::sync::Mutex::new(Vec::new()));
    let server = {
        let (asked, opened, early) = (asked.clone(), opened.clone(), early.clone());
        Server::start(None, move |mut stream| {
            let (asked, opened, early) = (asked.clone(), opened.clone(), early.clone());
            async move {
                let mut buffer = BytesMut::new();
                let request = message::read_head(&mut stream, &mut buffer).await?.expect("a handshake");
                asked.notify_one();
                opened.notified().await;
                // Whatever came before the 101 is here by now.
                let mut more = [0; 1024];
                let read = tokio::time::timeout(Duration::from_millis(1), stream.read(&mut more)).await;
                early.lock().expect("early").extend_from_slice(&buffer);
                early.lock().expect("early").extend_from_slice(&more[..read.unwrap_or(Ok(0)).unwrap_or(0)]);
                let accept = accept_value(&request.field("sec-websocket-key").unwrap_or_default());
                let head = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Accept: {accept}\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).await?;
                let mut frame = vec![0; EARLY.len()];
                stream.read_exact(&mut frame).await?;
                // Back as it came.
                stream.write_all(&frame).await
            }
        })
        .await
    };
    let (stage, door) = private(server.port());
    let mut client = door.connect().await;
    let mut bytes = door.head("GET /", HANDSHAKE).into_bytes();
    bytes.extend_from_slice(EARLY);
    client.send(bytes).await;
    portway_testkit::within("the handshake", asked.notified()).await;
    // Another request through the same gateway: it had time for the frame, too.
    assert_eq!(door.get("/.portway/nothing").await, 404);
    opened.notify_one();
    assert_eq!(client.response_head().await.unwrap().status(), 101);
    client.read_until(EARLY).await;
    assert!(early.lock().unwrap().is_empty(), "went upstream early: {:?}", early.lock().unwrap());
    stage.gateway.stop();
}

#[tokio::test]
async fn a_visitor_without_a_login_is_told_so_and_nobody_is_asked() {
    let recorder = Recorder::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let (stage, door) = private(recorder.port());
    let answer = WebSocket::open(door.connect().await, &door.host, "/", "").await.expect_err("a refusal");
    assert_eq!(answer.status(), 401);
    let door = stage.door_by_session(recorder.port()).await;
    let asked = recorder.connections().len();
    let cookie = door.auth.lines().next().unwrap_or_default().to_owned();
    // The session alone is no permission: the page must be one of this workspace (R19).
    for origin in
        ["", "Origin: null\r\n", "Origin: http://evil.example\r\n", "Origin: http://3000-other.portway.localhost\r\n"]
    {
        let extra = format!("{cookie}\r\n{origin}");
        let answer = WebSocket::open(door.connect().await, &door.host, "/", &extra).await.expect_err("a refusal");
        assert_eq!(answer.status(), 403, "{origin}");
    }
    assert_eq!(recorder.connections().len(), asked, "a dev server was asked");
    stage.gateway.stop();
}
