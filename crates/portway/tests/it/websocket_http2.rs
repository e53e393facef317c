//! WebSocket over HTTP/2 (RFC 8441): the browser's extended CONNECT becomes the dev server's HTTP/1.1 handshake, and the
//! stream an opaque tunnel whose ends mean what they say.

use bytes::Bytes;
use h2::Reason;
use portway_testkit::upstream::Server;
use portway_testkit::websocket::{accept_value, opcode};
use portway_testkit::{Recorder, Step, Stream, WebSocketEcho, eventually_async, message, within};
use tokio::io::AsyncWriteExt;

use crate::http2_client::{Http2, finish};
use crate::stage::{Stage, private};

/// Waits for the access line of a WebSocket over HTTP/2 that ended so.
async fn logged(stage: &Stage, reason: &str) {
    eventually_async(&format!("the end of the tunnel: {reason}"), async || {
        stage.gateway.log().iter().any(|line| line["reason"] == reason && line["protocol"] == "h2")
    })
    .await;
}

#[tokio::test]
async fn frames_of_every_size_come_back_beside_other_requests() {
    let echo = WebSocketEcho::start().await;
    let (stage, door) = private(echo.port());
    let mut http2 = Http2::connect(&door).await;
    let (headers, mut socket) =
        http2.websocket(&door, "/ws?x=y", "sec-websocket-version: 13\r\n").await.expect("a 200");
    assert!(!headers.contains_key("sec-websocket-accept"), "it proves a key that the visitor never had");
    assert!(!headers.contains_key("connection") && !headers.contains_key("upgrade"));
    for size in [0, 1, 125, 126, 65_535, 65_536, 300_000] {
        let payload: Vec<u8> = (0..size).map(|n: usize| n.to_le_bytes()[0]).collect();
        socket.send(opcode::BINARY, &payload).await.unwrap();
        assert_eq!(socket.next().await.expect("an echo").payload, payload);
    }
    assert_eq!(http2.get(&door, "/.portway/nothing", "").await.status, 404);
    socket.send(opcode::CLOSE, &1000_u16.to_be_bytes()).await.unwrap();
    assert_eq!(socket.next().await.unwrap().opcode, opcode::CLOSE);
    assert_eq!(socket.next().await, None);
    socket.finish().await;
    logged(&stage, "tunnel").await;
    stage.gateway.stop();
}

#[tokio::test]
async fn the_dev_server_sees_an_ordinary_handshake() {
    let recorder =
        Recorder::start(vec![Step::ReadHead, Step::write("HTTP/1.1 426 Upgrade Required\r\n\r\n"), Step::Close]).await;
    let (stage, door) = private(recorder.port());
    let fields = "origin: http://evil.example\r\nsec-websocket-version: 13\r\nsec-websocket-key: mine\r\n\
                  sec-websocket-protocol: vite-hmr\r\ncookie: a=1\r\ncookie: __Host-portway=x\r\n";
    let answer = Http2::connect(&door).await.websocket(&door, "/hmr?a=%2F", fields).await.expect_err("a refusal");
    assert_eq!(answer.status, 426);
    let seen = recorder.text();
    let key = seen.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).expect("a key").to_owned();
    assert!(key.len() == 24 && key.ends_with("=="), "16 bytes in base64: {key}");
    let port = door.port;
    let wanted = format!(
        "GET /hmr?a=%2F HTTP/1.1\r\nHost: localhost:{port}\r\nSec-WebSocket-Key: {key}\r\n\
         origin: http://evil.example\r\nsec-websocket-version: 13\r\nsec-websocket-protocol: vite-hmr\r\ncookie: a=1\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nX-Forwarded-For: 127.0.0.1\r\n\
         X-Forwarded-Host: localhost:{port}\r\nX-Forwarded-Proto: http\r\nCDN-Loop: portway\r\n\r\n"
    );
    assert_eq!(seen, wanted);
    stage.gateway.stop();
}

/// Answers a handshake as `answer` says, in which `ACCEPT` stands for the right value.
async fn answering(answer: &'static str) -> Server {
    Server::start(None, move |mut stream: Box<dyn Stream>| async move {
        let mut buffer = bytes::BytesMut::new();
        let Some(request) = message::read_head(&mut stream, &mut buffer).await? else { return Ok(()) };
        let accept = accept_value(&request.field("sec-websocket-key").unwrap_or_default());
        stream.write_all(answer.replace("ACCEPT", &accept).as_bytes()).await?;
        // Until the visitor is done.
        message::read_head(&mut stream, &mut buffer).await.map(|_| ())
    })
    .await
}

#[tokio::test]
async fn only_a_right_101_opens_the_tunnel() {
    for (answer, wanted) in [
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", 403),
        // Over HTTP/2 a success would be the tunnel itself.
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 502),
        ("HTTP/1.1 204 No Content\r\n\r\n", 502),
        ("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 502),
        (
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: \
             s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            502,
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nSec-WebSocket-Accept: ACCEPT\r\n\r\n",
            502,
        ),
    ] {
        let server = answering(answer).await;
        let (stage, door) = private(server.port());
        let refusal = Http2::connect(&door).await.websocket(&door, "/", "").await.expect_err("a refusal");
        assert_eq!(refusal.status, wanted, "{answer}");
        stage.gateway.stop();
    }
    let server = answering(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ACCEPT\r\n\
         Sec-WebSocket-Protocol: b\r\nSet-Cookie: __Host-portway=evil\r\nX-Odd: 1\r\n\r\n\u{1}",
    )
    .await;
    let (stage, door) = private(server.port());
    let (headers, _socket) = Http2::connect(&door).await.websocket(&door, "/", "").await.expect("a 200");
    assert_eq!((&headers["sec-websocket-protocol"], &headers["x-odd"]), (&"b".parse().unwrap(), &"1".parse().unwrap()));
    assert!(!headers.contains_key("set-cookie"), "a cookie of ours was set by a dev server");
    stage.gateway.stop();
}

#[tokio::test]
async fn ends_and_resets_mean_what_they_say() {
    // The dev server ends: end of stream. It breaks off: a reset.
    let (ended, cut) =
        ("HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ACCEPT\r\n\r\n", true);
    for reset in [!cut, cut] {
        let server = Server::start(None, move |mut stream: Box<dyn Stream>| async move {
            let mut buffer = bytes::BytesMut::new();
            let Some(request) = message::read_head(&mut stream, &mut buffer).await? else { return Ok(()) };
            let accept = accept_value(&request.field("sec-websocket-key").unwrap_or_default());
            stream.write_all(ended.replace("ACCEPT", &accept).as_bytes()).await?;
            stream.write_all(b"last words").await?;
            if reset {
                // Closing with the visitor's bytes unread is a reset.
                let mut one = [0; 1];
                tokio::io::AsyncReadExt::read_exact(&mut stream, &mut one).await?;
                return Ok(());
            }
            stream.shutdown().await?;
            message::read_head(&mut stream, &mut buffer).await.map(|_| ())
        })
        .await;
        let (stage, door) = private(server.port());
        let mut http2 = Http2::connect(&door).await;
        let (response, mut stream) = http2.connect_to("websocket", &door, "/", "").await;
        stream.send_data(Bytes::from(vec![7; 4096]), false).unwrap();
        let answer = finish(response).await;
        assert_eq!(answer.status, 200);
        // A reset may overtake what was said before it; an end may not.
        assert!(reset || answer.body == b"last words", "{answer:?}");
        assert_eq!(answer.reset, reset.then_some(Reason::CANCEL), "{answer:?}");
        stage.gateway.stop();
    }
}

#[tokio::test]
async fn a_visitor_that_resets_the_stream_resets_the_dev_servers_connection() {
    let echo = WebSocketEcho::start().await;
    let (stage, door) = private(echo.port());
    let mut http2 = Http2::connect(&door).await;
    let (response, mut stream) = http2.connect_to("websocket", &door, "/", "").await;
    assert_eq!(within("a 200", response).await.unwrap().status(), 200);
    stream.send_reset(Reason::CANCEL);
    logged(&stage, "tunnel-reset").await;
    // The connection goes on.
    assert_eq!(http2.get(&door, "/.portway/nothing", "").await.status, 404);
    stage.gateway.stop();
}

#[tokio::test]
async fn other_tunnels_are_refused_and_nobody_is_asked() {
    let recorder = Recorder::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let (stage, door) = private(recorder.port());
    let mut http2 = Http2::connect(&door).await;
    for protocol in ["connect-udp", "webtransport", "WebSocket", "x"] {
        let (response, _stream) = http2.connect_to(protocol, &door, "/", "").await;
        assert_eq!(finish(response).await.status, 400, "{protocol}");
    }
    let (response, _stream) = http2.connect_to("websocket", &door, "/", "content-length: 0\r\n").await;
    assert_eq!(finish(response).await.status, 400);
    assert!(recorder.connections().is_empty(), "a dev server was asked");
    stage.gateway.stop();
}

#[tokio::test]
async fn a_session_opens_it_for_pages_of_the_workspace_alone() {
    let echo = WebSocketEcho::start().await;
    let (stage, door) = private(echo.port());
    let own = stage.door_by_session(echo.port()).await;
    let cookie = own.auth.lines().next().unwrap_or_default().to_owned();
    let mut http2 = Http2::connect(&door).await;
    let bare = crate::stage::Door { auth: String::new(), ..door.clone() };
    assert_eq!(http2.websocket(&bare, "/", "").await.expect_err("a refusal").status, 401);
    for (origin, wanted) in [
        (None, 403),
        (Some("null".to_owned()), 403),
        (Some("http://evil.example".to_owned()), 403),
        (Some(format!("http://3000-other.portway.localhost:{}", stage.gateway.plain().port())), 403),
        (Some(door.origin()), 200),
        (Some(format!("http://{}", stage.host("3001"))), 200),
    ] {
        let origin = origin.map(|origin| format!("origin: {origin}\r\n")).unwrap_or_default();
        let opened = http2.websocket(&bare, "/", &format!("{cookie}\r\n{origin}")).await;
        assert_eq!(opened.map_or_else(|refusal| refusal.status, |_| 200), wanted, "{origin}");
    }
    stage.gateway.stop();
}

#[tokio::test]
async fn the_end_of_the_permission_is_a_reset() {
    let echo = WebSocketEcho::start().await;
    let (stage, door) = private(echo.port());
    let mut http2 = Http2::connect(&door).await;
    let (_, mut socket) = http2.websocket(&door, "/", "").await.expect("a 200");
    socket.send_text("before").await;
    assert_eq!(socket.next_text().await, "before");
    stage.gateway.run(&["workspace", "set", "ws", "--stopped"]);
    assert_eq!(socket.next().await, None);
    logged(&stage, "revoked").await;
    stage.gateway.stop();
}
