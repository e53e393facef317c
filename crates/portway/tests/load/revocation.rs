//! A logout while a thousand streams are open: all of them are cut, and nobody else's.

use std::sync::Arc;

use std::time::Instant;

use bytes::BytesMut;
use portway_testkit::upstream::Server;
use portway_testkit::{Client, Ending, Stream, WebSocket, message, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::http2::{self, Http2};
use super::stage::{Door, Stage, WAYS};

/// Streams over HTTP/1.1, WebSockets, and streams over HTTP/2 on this many connections.
const EVENTS: usize = 400;
const WEBSOCKETS: usize = 400;
const HTTP2_CONNECTIONS: usize = 2;
const HTTP2_EACH: usize = 100;
const STREAMS: usize = EVENTS + WEBSOCKETS + HTTP2_CONNECTIONS * HTTP2_EACH;
/// WebSockets of a program with a token, which the logout does not concern.
const OTHERS: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_cuts_a_thousand_open_streams() {
    let server = Server::start(None, serve).await;
    let stage = Stage::start(&[server.port()], false, "");
    let (mut visitor, door) = stage.log_in(server.port(), WAYS[0]).await;
    let http2_door = Door { http2: true, ..door.clone() };

    let open = Arc::new(Semaphore::new(0));
    let mut streams: JoinSet<Vec<Instant>> = JoinSet::new();
    for _ in 0..EVENTS {
        streams.spawn(events(door.clone(), Arc::clone(&open)));
    }
    for _ in 0..WEBSOCKETS {
        streams.spawn(websocket(door.clone(), Arc::clone(&open)));
    }
    for _ in 0..HTTP2_CONNECTIONS {
        streams.spawn(events_over_http2(http2_door.clone(), Arc::clone(&open)));
    }
    let mut others = Vec::new();
    for _ in 0..OTHERS {
        let door = stage.door(server.port(), WAYS[0]);
        others.push(WebSocket::open(door.connect().await, &door.host, "/", &door.key_lines()).await.expect("101"));
    }
    let all = u32::try_from(STREAMS).expect("a thousand");
    drop(within("every stream to begin", open.acquire_many(all)).await.expect("open"));
    assert_eq!(stage.metric("portway_requests_open").await, (STREAMS + OTHERS) as f64);

    let begun = Instant::now();
    let control = format!("http://portway.localhost:{}/.portway/logout", stage.gateway.plain().port());
    let arrived = visitor.submit(&control, "").await;
    let answered = begun.elapsed();
    assert!(arrived.url.ends_with("/.portway/login"), "logged out: {}", arrived.url);
    let ends: Vec<Instant> = within("every stream to be cut", streams.join_all()).await.into_iter().flatten().collect();
    assert_eq!(ends.len(), STREAMS);
    assert!(ends.iter().all(|end| *end >= begun), "a stream ended before the logout");
    let after = |end: Option<&Instant>| end.expect("an end").duration_since(begun);
    println!(
        "{STREAMS} streams: logout answered after {answered:.1?}, the first cut after {:.1?}, the last after {:.1?}",
        after(ends.iter().min()),
        after(ends.iter().max())
    );
    for (number, other) in others.iter_mut().enumerate() {
        other.send_text(&number.to_string()).await;
        assert_eq!(other.next_text().await, number.to_string(), "a stream of somebody else was cut");
    }
    assert_eq!(stage.metric("portway_leases_cut_total").await, STREAMS as f64);
    drop(others);
    stage.all_closed().await;
}

async fn events(door: Door, open: Arc<Semaphore>) -> Vec<Instant> {
    let mut client = door.connect().await;
    client.send(door.head("GET /events", "Sec-Fetch-Site: same-origin\r\n")).await;
    let head = client.response_head().await.expect("a response");
    let mut body = Client::body_of(&head, "GET");
    assert_eq!(client.body_piece(&mut body).await.expect("content").expect("content"), "data: first\n\n");
    open.add_permits(1);
    let (rest, ending) = client.read_to_close().await;
    assert_eq!((rest.len(), ending), (0, Ending::Reset));
    vec![Instant::now()]
}

async fn websocket(door: Door, open: Arc<Semaphore>) -> Vec<Instant> {
    let mut socket = WebSocket::open(door.connect().await, &door.host, "/", &door.key_lines()).await.expect("101");
    socket.send_text("hello").await;
    assert_eq!(socket.next_text().await, "hello");
    open.add_permits(1);
    assert_eq!(socket.next().await, None);
    vec![Instant::now()]
}

async fn events_over_http2(door: Door, open: Arc<Semaphore>) -> Vec<Instant> {
    let mut visitor = Http2::connect(&door).await;
    let mut streams = JoinSet::new();
    for _ in 0..HTTP2_EACH {
        let mut body = visitor.get("/events").await.expect("a response").into_body();
        assert_eq!(http2::next(&mut body).await.expect("content").expect("content"), "data: first\n\n");
        open.add_permits(1);
        streams.spawn(async move {
            let error = http2::next(&mut body).await.expect_err("a reset");
            assert!(error.is_reset() && error.is_remote(), "{error}");
            Instant::now()
        });
    }
    streams.join_all().await
}

/// An endless stream of events, or an echo of WebSocket messages.
async fn serve(mut stream: Box<dyn Stream>) -> std::io::Result<()> {
    let mut buffer = BytesMut::new();
    let Some(request) = message::read_head(&mut stream, &mut buffer).await? else { return Ok(()) };
    if request.start_line().starts_with("GET / ") && request.field("upgrade").is_none() {
        // The visit that logs in.
        return stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok").await;
    }
    if request.field("upgrade").is_some() {
        let mut socket = WebSocket::accept(stream, buffer, &request).await?;
        while let Some(frame) = socket.next().await {
            socket.send(frame.opcode, &frame.payload).await?;
        }
        return Ok(());
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(format!("{head}d\r\ndata: first\n\n\r\n").as_bytes()).await?;
    drop(stream.read(&mut [0; 1]).await);
    Ok(())
}
