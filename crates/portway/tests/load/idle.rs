//! Silence that no limit ends: streams that have begun live for ten times every limit of the gateway's and then deliver.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use portway_testkit::message;
use portway_testkit::upstream::{Gate, Recorder, Server, Step};
use portway_testkit::{Client, Stream, TestCa, WebSocket, WebSocketEcho, within};
use tokio::io::AsyncWriteExt;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::http2::{self, Http2};
use super::stage::{Door, Stage, WAYS};

/// Every limit that could end a stream, each below [`LONGEST`].
pub(crate) const LIMITS: &str = "[limits]\nrequest_head = \"600ms\"\nkeep_alive = \"600ms\"\nbody_idle = \"600ms\"\n\
                                 connect = \"600ms\"\nresponse_head = \"700ms\"\n";
pub(crate) const LONGEST: Duration = Duration::from_millis(700);
/// How long nothing happens. The time itself is what is tested; nothing is waited for.
const SILENCE: Duration = LONGEST.saturating_mul(10);

const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const FIRST: &str = "d\r\ndata: first\n\n\r\n";
const LAST: &str = "c\r\ndata: last\n\n\r\n0\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_outlive_ten_times_every_limit() {
    let begun = Instant::now();
    let (speak, spoken) = watch::channel(false);
    let server = Server::start(None, move |stream| events(stream, spoken.clone())).await;
    let echo = WebSocketEcho::start().await;
    let stage = Stage::start(&[server.port(), echo.port()], true, LIMITS);

    let mut streams = JoinSet::new();
    let under_way = Arc::new(Semaphore::new(0));
    for way in WAYS {
        let door = stage.door(server.port(), way);
        if way.http2 {
            streams.spawn(events_over_http2(door.clone(), under_way.clone()));
            streams.spawn(body_over_http2(door, under_way.clone()));
        } else {
            streams.spawn(events_over_http1(door.clone(), under_way.clone()));
            streams.spawn(body_over_http1(door, under_way.clone()));
            streams.spawn(websocket(stage.door(echo.port(), way), under_way.clone()));
        }
    }
    let count = streams.len();
    let all = u32::try_from(count).expect("few streams");
    drop(within("every stream to begin", under_way.acquire_many(all)).await.expect("open"));
    tokio::time::sleep(SILENCE + LONGEST).await;
    speak.send_replace(true);
    streams.join_all().await;
    stage.all_closed().await;
    println!(
        "{count} streams without a byte for {SILENCE:?}, limits up to {LONGEST:?}; {:.1?} in all",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dev_server_that_does_not_read_is_not_the_visitors_fault() {
    /// More than sockets hold.
    const BODY: usize = 64 << 20;
    let ca = TestCa::new();
    let leaf = ca.leaf(&["localhost"]);
    let mut uploads = JoinSet::new();
    for tls in [false, true] {
        let gate = Gate::new();
        let script = vec![
            Step::ReadHead,
            Step::Wait(gate.clone()),
            Step::Read(BODY),
            Step::write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nread"),
        ];
        let server = Recorder::start_with(tls.then(|| leaf.server(&["http/1.1"])), vec![script]).await;
        let stage = Stage::start(&[server.port()], false, LIMITS);
        let way = WAYS[0];
        let door = if tls { stage.door_to_tls(server.port(), way) } else { stage.door(server.port(), way) };
        uploads.spawn(async move {
            let (stream, buffer) = door.connect().await.into_parts();
            let (mut read, mut write) = tokio::io::split(stream);
            assert!(buffer.is_empty());
            let head = door.head("POST /", &format!("Content-Length: {BODY}\r\n"));
            let sending = tokio::spawn(async move {
                write.write_all(&[head.as_bytes(), &vec![b'x'; BODY]].concat()).await?;
                write.flush().await
            });
            tokio::time::sleep(SILENCE).await;
            assert!(!sending.is_finished(), "the gateway cut it, or it fits into sockets and nothing is tested");
            gate.open();
            let mut buffer = BytesMut::new();
            let answer = within("an answer", message::read_head(&mut read, &mut buffer));
            let answer = answer.await.expect("read").expect("an answer");
            assert_eq!(answer.status(), 200, "TLS to the dev server: {tls}: {}", answer.start_line());
            sending.await.expect("sending").expect("the whole body is taken");
            drop((server, stage));
        });
    }
    uploads.join_all().await;
}

async fn events_over_http1(door: Door, begun: Arc<Semaphore>) {
    let mut client = door.connect().await;
    client.send(door.head("GET /events", "")).await;
    let head = client.response_head().await.expect("a response");
    let mut body = Client::body_of(&head, "GET");
    assert_eq!(client.body_piece(&mut body).await.expect("content").expect("content"), "data: first\n\n");
    begun.add_permits(1);
    silent(client.body_piece(&mut body)).await;
    assert_eq!(client.body_piece(&mut body).await.expect("content").expect("content"), "data: last\n\n");
    assert_eq!(client.body_piece(&mut body).await.expect("the end"), None);
}

async fn events_over_http2(door: Door, begun: Arc<Semaphore>) {
    let mut visitor = Http2::connect(&door).await;
    let mut body = visitor.get("/events").await.expect("a response").into_body();
    assert_eq!(http2::next(&mut body).await.expect("content").expect("content"), "data: first\n\n");
    begun.add_permits(1);
    silent(http2::next(&mut body)).await;
    assert_eq!(http2::next(&mut body).await.expect("content").expect("content"), "data: last\n\n");
    assert_eq!(http2::next(&mut body).await.expect("the end"), None);
}

/// Once the response has begun, the request body may be as silent as it likes.
async fn body_over_http1(door: Door, begun: Arc<Semaphore>) {
    let mut client = door.connect().await;
    client.send(door.head("POST /events", "Transfer-Encoding: chunked\r\n")).await;
    let head = client.response_head().await.expect("a response");
    client.send("5\r\nearly\r\n").await;
    let mut body = Client::body_of(&head, "POST");
    assert_eq!(client.body_piece(&mut body).await.expect("content").expect("content"), "data: first\n\n");
    begun.add_permits(1);
    silent(client.body_piece(&mut body)).await;
    client.send("4\r\nlate\r\n0\r\n\r\n").await;
    assert_eq!(client.body_piece(&mut body).await.expect("content").expect("content"), "data: last\n\n");
    assert_eq!(client.body_piece(&mut body).await.expect("the end"), None);
}

async fn body_over_http2(door: Door, begun: Arc<Semaphore>) {
    let mut visitor = Http2::connect(&door).await;
    let (response, mut stream) = visitor.begin("POST", "/events", None, true).await;
    let mut body = response.await.expect("a response").into_body();
    http2::send(&mut stream, "early".into()).await.expect("the gateway takes it");
    assert_eq!(http2::next(&mut body).await.expect("content").expect("content"), "data: first\n\n");
    begun.add_permits(1);
    silent(http2::next(&mut body)).await;
    stream.send_data("late".into(), true).expect("the gateway takes it");
    assert_eq!(http2::next(&mut body).await.expect("content").expect("content"), "data: last\n\n");
    assert_eq!(http2::next(&mut body).await.expect("the end"), None);
}

async fn websocket(door: Door, begun: Arc<Semaphore>) {
    let mut socket = WebSocket::open(door.connect().await, &door.host, "/", &door.key_lines()).await.expect("101");
    socket.send_text("first").await;
    assert_eq!(socket.next_text().await, "first");
    begun.add_permits(1);
    silent(socket.next()).await;
    socket.send_text("last").await;
    assert_eq!(socket.next_text().await, "last");
}

/// Lets the silence pass, in which `nothing` must not come to anything.
async fn silent<T>(nothing: impl Future<Output = T>) {
    assert!(tokio::time::timeout(SILENCE, nothing).await.is_err(), "a byte or an end in the silence");
}

/// Answers at once with one event; with the other when `spoken` or, to a POST, when its body has ended.
async fn events(mut stream: Box<dyn Stream>, mut spoken: watch::Receiver<bool>) -> std::io::Result<()> {
    let mut buffer = BytesMut::new();
    let Some(mut request) = message::read_head(&mut stream, &mut buffer).await? else { return Ok(()) };
    stream.write_all(format!("{EVENTS}{FIRST}").as_bytes()).await?;
    if request.start_line().starts_with("POST") {
        let length = request.request_length();
        message::read_body(&mut stream, &mut buffer, &mut request, length).await?;
        assert_eq!(request.text(), "earlylate");
    } else {
        drop(spoken.wait_for(|spoken| *spoken).await);
    }
    stream.write_all(LAST.as_bytes()).await
}
