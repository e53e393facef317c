//! The other side of [`super::idle`]: peers that keep the gateway waiting before anything has begun are let go.

use std::net::SocketAddr;

use portway_testkit::upstream::{Recorder, Step};
use portway_testkit::{Client, Ending, Message, eventually, within};
use socket2::{Domain, Socket, Type};
use tokio::task::JoinSet;

use super::http2::{self, Http2};
use super::idle::LIMITS;
use super::stage::{Stage, WAYS, Way};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn http1_ways() -> impl Iterator<Item = Way> {
    WAYS.into_iter().filter(|way| !way.http2)
}

#[tokio::test]
async fn a_body_that_stands_still_before_the_response_answers_408() {
    let server = Recorder::start(vec![Step::ReadHead]).await;
    let stage = Stage::start(&[server.port()], true, LIMITS);
    for way in http1_ways() {
        let door = stage.door(server.port(), way);
        for (framing, part) in [("Content-Length: 10\r\n", "some"), ("Transfer-Encoding: chunked\r\n", "4\r\nsome\r\n")]
        {
            let mut client = door.connect().await;
            client.send(door.head("POST /", framing) + part).await;
            refused(&mut client, 408, "request-timeout").await;
        }
    }
    assert!(server.text().contains("some"), "what had come was passed on");
}

#[tokio::test]
async fn a_body_below_the_floor_answers_408() {
    let server = Recorder::start(vec![Step::ReadHead]).await;
    let stage = Stage::start(&[server.port()], false, LIMITS);
    let door = stage.door(server.port(), WAYS[0]);
    let mut client = door.connect().await;
    client.send(door.head("POST /", "Content-Length: 100000\r\n")).await;
    let (mut reading, mut sending) = tokio::io::split(client.into_parts().0);
    // Twenty bytes a second; the floor is 240.
    let dripping = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        while sending.write_all(b"x").await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
    let mut buffer = bytes::BytesMut::new();
    let answer = within("an answer", portway_testkit::message::read_head(&mut reading, &mut buffer)).await;
    assert_eq!(answer.expect("read").expect("an answer").status(), 408);
    dripping.abort();
}

#[tokio::test]
async fn a_body_over_http2_has_no_such_limit() {
    let body = ["first", "last"];
    let whole = vec![Step::ReadRequest, Step::write(OK), Step::Repeat];
    let server = Recorder::start(whole).await;
    let stage = Stage::start(&[server.port()], true, LIMITS);
    let mut uploads = JoinSet::new();
    for way in WAYS.into_iter().filter(|way| way.http2) {
        let door = stage.door(server.port(), way);
        uploads.spawn(async move {
            let mut visitor = Http2::connect(&door).await;
            let (response, mut stream) = visitor.begin("POST", "/", None, true).await;
            http2::send(&mut stream, body[0].into()).await.expect("the gateway takes it");
            // Longer than every limit: the time itself is what is tested.
            tokio::time::sleep(super::idle::LONGEST * 3).await;
            stream.send_data(body[1].into(), true).expect("the gateway takes it");
            assert_eq!(within("a response", response).await.expect("a response").status(), 200, "{way}");
        });
    }
    uploads.join_all().await;
}

#[tokio::test]
async fn an_unfinished_head_answers_408() {
    let server = Recorder::answering(OK).await;
    let stage = Stage::start(&[server.port()], true, LIMITS);
    for way in http1_ways() {
        let door = stage.door(server.port(), way);
        let mut client = door.connect().await;
        let head = door.head("GET /", "");
        client.send(&head[..head.len() - 2]).await;
        refused(&mut client, 408, "request-timeout").await;
    }
    assert!(server.connections().is_empty(), "nothing was asked");
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let server = Recorder::answering(OK).await;
    let stage = Stage::start(&[server.port()], true, LIMITS);
    for way in http1_ways() {
        let door = stage.door(server.port(), way);
        // Before its first request, and after one.
        let mut client = door.connect().await;
        assert_eq!(client.read_to_close().await, (bytes::Bytes::new(), Ending::Clean), "{way}");
        let mut client = door.connect().await;
        assert_eq!(client.round_trip("GET", door.head("GET /", "")).await.text(), "ok");
        assert_eq!(client.read_to_close().await, (bytes::Bytes::new(), Ending::Clean), "{way}");
    }
}

#[tokio::test]
async fn an_idle_http2_connection_is_closed() {
    let server = Recorder::answering(OK).await;
    let stage = Stage::start(&[server.port()], true, LIMITS);
    for way in WAYS.into_iter().filter(|way| way.http2) {
        let door = stage.door(server.port(), way);
        for requests in [0, 1, 3] {
            let mut visitor = Http2::connect(&door).await;
            for _ in 0..requests {
                assert_eq!(visitor.fetch("/").await.1, b"ok");
            }
            let ended = within("an idle connection to be closed", &mut visitor.driver).await.expect("the driver");
            // The gateway may have closed before the client's own farewell; it must not have found fault.
            assert!(ended.as_ref().map_or_else(h2::Error::is_io, |()| true), "{way}, {requests} requests: {ended:?}");
        }
    }
}

#[tokio::test]
async fn a_dev_server_that_says_nothing_answers_504() {
    let server = Recorder::start(vec![Step::ReadHead]).await;
    let stage = Stage::start(&[server.port()], true, LIMITS);
    for way in http1_ways() {
        let door = stage.door(server.port(), way);
        let mut client = door.connect().await;
        let answer = client.round_trip("GET", door.head("GET /", "")).await;
        assert_eq!((answer.status(), reason(&answer)), (504, "upstream-timeout".to_owned()), "{way}");
    }
}

#[tokio::test]
async fn a_dev_server_that_does_not_accept_answers_504() {
    // A backlog of nothing, and what it holds all the same: the kernel then drops every further SYN.
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("bind");
    listener.listen(0).expect("listen");
    let address = listener.local_addr().expect("address").as_socket().expect("IPv4");
    let mut held = Vec::new();
    eventually("the backlog to be full", || {
        match std::net::TcpStream::connect_timeout(&address, std::time::Duration::from_millis(200)) {
            Ok(stream) => held.push(stream),
            Err(_) => return true,
        }
        false
    });
    let stage = Stage::start(&[address.port()], false, LIMITS);
    let door = stage.door(address.port(), WAYS[0]);
    let mut client = door.connect().await;
    let answer = client.round_trip("GET", door.head("GET /", "")).await;
    assert_eq!((answer.status(), reason(&answer)), (504, "connect-timeout".to_owned()));
    drop((listener, held));
}

/// Waits for an answer of the gateway's own and for the end of the connection.
async fn refused(client: &mut Client, status: u16, why: &str) {
    let answer = client.response("POST").await.expect("an answer");
    assert_eq!((answer.status(), reason(&answer)), (status, why.to_owned()));
    assert_eq!(client.read_to_close().await.1, Ending::Clean);
}

fn reason(answer: &Message) -> String {
    answer.field("portway-reason").unwrap_or_default()
}
