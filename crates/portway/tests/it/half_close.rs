//! An end of one direction is passed on as an end, and the other direction goes on.

use bytes::BytesMut;
use portway_testkit::upstream::{Gate, Server};
use portway_testkit::{Ending, Recorder, Step, WebSocket, message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::stage::private;

#[tokio::test]
async fn a_visitor_that_has_ended_its_side_gets_its_answer() {
    let gate = Gate::new();
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";
    let steps =
        vec![Step::ReadRequest, Step::write(answer), Step::write("la"), Step::Wait(gate.clone()), Step::write("te")];
    let recorder = Recorder::start(steps).await;
    let (stage, door) = private(recorder.port());
    let mut client = door.connect().await;
    client.send(door.head("POST /", "Content-Length: 5\r\n")).await;
    client.send("hello").await;
    client.finish().await;
    recorder.saw("hello").await;
    client.read_until(b"\r\n\r\nla").await;
    gate.open();
    let (rest, ending) = client.read_to_close().await;
    assert_eq!((&rest[..], ending), (&b"te"[..], Ending::Clean));
    stage.gateway.stop();
}

#[tokio::test]
async fn a_dev_server_that_has_ended_its_side_is_not_cut_off() {
    // It answers by closing, and half of its connection stays open.
    let steps = vec![Step::ReadHead, Step::write("HTTP/1.1 200 OK\r\n\r\nto the end"), Step::Finish];
    let recorder = Recorder::start(steps).await;
    let (stage, door) = private(recorder.port());
    let mut client = door.connect().await;
    let answer = client.round_trip("GET", door.head("GET /", "")).await;
    assert_eq!((answer.field("transfer-encoding").as_deref(), answer.text().as_str()), (Some("chunked"), "to the end"));
    // A length that is known by an end is no reason to end the visitor's connection.
    let again = client.round_trip("GET", door.head("GET /", "")).await;
    assert_eq!(again.text(), "to the end");
    recorder.all_ended(2).await;
    stage.gateway.stop();
}

#[tokio::test]
async fn each_direction_of_a_tunnel_ends_by_itself() {
    // After the visitor's end the dev server still says something, and then ends.
    let server = Server::start(None, |mut stream| async move {
        let mut buffer = BytesMut::new();
        let request = message::read_head(&mut stream, &mut buffer).await?.expect("a handshake");
        let accept = portway_testkit::websocket::accept_value(&request.field("sec-websocket-key").unwrap_or_default());
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        let mut heard = buffer.to_vec();
        stream.read_to_end(&mut heard).await?;
        stream.write_all(b"heard ").await?;
        stream.write_all(&heard).await?;
        stream.shutdown().await
    })
    .await;
    let (stage, door) = private(server.port());
    let mut client = door.connect().await;
    client
        .send(door.head(
            "GET /",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        ))
        .await;
    assert_eq!(client.response_head().await.unwrap().status(), 101);
    client.send("goodbye").await;
    client.finish().await;
    assert_eq!(client.read_to_close().await, ("heard goodbye".into(), Ending::Clean));
    stage.gateway.stop();
}

#[tokio::test]
async fn a_reset_is_passed_on_as_a_reset() {
    let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    let gate = Gate::new();
    let steps = vec![Step::ReadHead, Step::write(head), Step::Wait(gate.clone()), Step::Reset];
    let recorder = Recorder::start(steps).await;
    let (stage, door) = private(recorder.port());
    let client = door.connect().await;
    let socket = WebSocket::open(client, &door.host, "/", &door.auth).await;
    let mut socket = socket.expect("a 101");
    gate.open();
    assert_eq!(socket.next().await, None);
    recorder.all_ended(1).await;
    stage.gateway.stop();
}
