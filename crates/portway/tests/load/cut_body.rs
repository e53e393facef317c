//! A dev server that dies in the middle of a response: the visitor sees a reset, never a message that could pass for whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::BytesMut;
use portway_testkit::message::{self, BodyReader};
use portway_testkit::upstream::Server;
use portway_testkit::{Client, Ending, Stream, eventually_async};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::http2::{self, Http2};
use super::node::Node;
use super::stage::{Door, Stage, WAYS};

const REPETITIONS: usize = 200;
/// How a body is framed and how it breaks off. Without a length or chunks, a proper end is a proper end.
const KINDS: [&str; 5] = ["length/end", "length/reset", "chunked/end", "chunked/reset", "close/reset"];
/// Content that goes out before the end: nothing, less than a read, more than one, more than a window's worth.
const SIZES: [usize; 5] = [0, 1, 1000, 70_000, 1_500_000];
/// Requests under way at once.
const AT_ONCE: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dev_server_that_breaks_off_ends_in_a_reset() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("bind");
    // Whatever is dropped resets; a proper end is made by `shutdown`.
    let server = Server::on(listener, None, breaking, |socket| socket.set_zero_linger().expect("SO_LINGER"));
    let stage = Arc::new(Stage::start(&[server.port()], true, "[log]\naccess = true\n"));
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut visitors = JoinSet::new();
    let begun = Instant::now();
    for number in 0..REPETITIONS {
        let way = WAYS[number % WAYS.len()];
        let kind = KINDS[number / WAYS.len() % KINDS.len()];
        let size = SIZES[number / WAYS.len() / KINDS.len() % SIZES.len()];
        let door = stage.door(server.port(), way);
        let permits = Arc::clone(&permits);
        visitors.spawn(async move {
            let _permit = permits.acquire_owned().await.expect("open");
            let path = format!("/{kind}/{size}");
            let arrived = if way.http2 { cut_http2(&door, &path).await } else { cut_http1(&door, &path).await };
            // What was cut off may be lost with the reset, but nothing is made up.
            assert!(arrived <= size, "{way}, {path}: {arrived} bytes arrived");
            arrived == size
        });
    }
    let whole = visitors.join_all().await.into_iter().filter(|whole| *whole).count();
    println!(
        "{REPETITIONS} bodies broken off in {:.1} s: all resets; {whole} times everything before the break arrived",
        begun.elapsed().as_secs_f64()
    );
    // The log says the same of each.
    eventually_async("the log of every request", async || {
        let log = stage.gateway.log();
        log.iter().filter(|line| line["reason"] == "upstream-truncated").count() == REPETITIONS
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_dev_server_ends_in_resets() {
    /// Visitors of each way in.
    const EACH: usize = 10;
    let mut node = Node::start("endless.mjs", &[]);
    let stage = Stage::start(&[node.port()], true, "");
    let reading = Arc::new(AtomicUsize::new(0));
    // Nobody reads on before the end, so that only sockets hold what the dev server pours out.
    let (killed, kill_seen) = watch::channel(false);
    let mut visitors = JoinSet::new();
    for number in 0..WAYS.len() * EACH {
        let way = WAYS[number % WAYS.len()];
        let path = ["/length", "/chunked"][number / WAYS.len() % 2];
        let door = stage.door(node.port(), way);
        let (reading, mut killed) = (Arc::clone(&reading), kill_seen.clone());
        visitors.spawn(async move {
            if way.http2 {
                let mut visitor = Http2::connect(&door).await;
                let mut body = visitor.get(path).await.expect("a response").into_body();
                assert!(http2::next(&mut body).await.expect("content").is_some());
                reading.fetch_add(1, Ordering::Relaxed);
                drop(killed.wait_for(|killed| *killed).await);
                let error = loop {
                    match http2::next(&mut body).await {
                        Ok(data) => assert!(data.is_some(), "{way}, {path}: a clean end"),
                        Err(error) => break error,
                    }
                };
                assert!(error.is_reset() && error.is_remote(), "{way}, {path}: {error}");
            } else {
                let mut client = door.connect().await;
                client.send(door.head(&format!("GET {path}"), "")).await;
                let head = client.response_head().await.expect("a response");
                let mut body = Client::body_of(&head, "GET");
                assert!(client.body_piece(&mut body).await.expect("content").is_some());
                reading.fetch_add(1, Ordering::Relaxed);
                drop(killed.wait_for(|killed| *killed).await);
                let (rest, ending) = client.read_to_close().await;
                assert_eq!(ending, Ending::Reset, "{way}, {path}");
                assert!(!rest.ends_with(b"\r\n0\r\n\r\n"), "{way}, {path}: a last chunk");
            }
        });
    }
    eventually_async("everybody to read", async || reading.load(Ordering::Relaxed) == WAYS.len() * EACH).await;
    node.kill();
    killed.send_replace(true);
    let ended = visitors.join_all().await.len();
    println!("a killed process: {ended} of {} responses ended in a reset", WAYS.len() * EACH);
}

/// A request over HTTP/1.1 whose response must break off; how much content came.
async fn cut_http1(door: &Door, path: &str) -> usize {
    let mut client = door.connect().await;
    client.send(door.head(&format!("GET {path}"), "")).await;
    let (bytes, ending) = client.read_to_close().await;
    assert_eq!(ending, Ending::Reset, "{path}: {}", String::from_utf8_lossy(&bytes[..bytes.len().min(300)]));
    // The reset may overtake the head.
    let mut buffer = BytesMut::from(&bytes[..]);
    let mut nothing = tokio::io::empty();
    let Ok(Some(head)) = message::read_head(&mut nothing, &mut buffer).await else { return 0 };
    assert_eq!(head.status(), 200, "{path}");
    let mut body = BodyReader::new(head.response_length("GET"));
    let mut arrived = 0;
    loop {
        match body.next(&mut nothing, &mut buffer).await {
            Ok(Some(data)) => arrived += data.len(),
            Ok(None) => panic!("{path}: a message that could pass for whole"),
            Err(_) => return arrived,
        }
    }
}

/// The same over HTTP/2; other requests on the connection are not touched.
async fn cut_http2(door: &Door, path: &str) -> usize {
    let mut visitor = Http2::connect(door).await;
    let (mut arrived, mut error) = (0, None);
    match visitor.get(path).await {
        Err(early) => error = Some(early),
        Ok(response) => {
            assert_eq!(response.status(), 200, "{path}");
            let mut body = response.into_body();
            while error.is_none() {
                match http2::next(&mut body).await {
                    Ok(Some(data)) => arrived += data.len(),
                    Ok(None) => panic!("{path}: a clean end after {arrived} bytes"),
                    Err(reset) => error = Some(reset),
                }
            }
        }
    }
    let error = error.expect("a reset");
    assert!(error.is_reset() && error.is_remote(), "{path}: {error}");
    assert_eq!(error.reason(), Some(h2::Reason::INTERNAL_ERROR), "{path}");
    assert_eq!(visitor.fetch("/whole").await, (http::StatusCode::OK, b"whole".to_vec()));
    arrived
}

/// Answers `/FRAMING/ENDING/SIZE` with a body that breaks off after SIZE bytes.
async fn breaking(mut stream: Box<dyn Stream>) -> std::io::Result<()> {
    let mut buffer = BytesMut::new();
    while let Some(request) = message::read_head(&mut stream, &mut buffer).await? {
        let line = request.start_line();
        let mut parts = line.split(' ').nth(1).unwrap_or_default().split('/').skip(1);
        let (framing, ending) = (parts.next().unwrap_or_default(), parts.next());
        let Some(ending) = ending else {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole").await?;
            continue;
        };
        let content = vec![b'x'; parts.next().and_then(|size| size.parse().ok()).unwrap_or(0)];
        let (field, body) = match framing {
            // One byte more is announced than will come.
            "length" => (format!("Content-Length: {}\r\n", content.len() + 1), content),
            // One whole chunk and the beginning of another; then neither a chunk nor the last one.
            "chunked" => ("Transfer-Encoding: chunked\r\n".to_owned(), chunks(&content)),
            _ => (String::new(), content),
        };
        let head = format!("HTTP/1.1 200 OK\r\n{field}\r\n");
        stream.write_all(&[head.as_bytes(), &body].concat()).await?;
        if ending == "end" {
            stream.shutdown().await?;
            drop(stream.read(&mut [0; 1]).await);
        }
        return Ok(());
    }
    Ok(())
}

/// `content` in a whole chunk and in the beginning of one that promises more.
fn chunks(content: &[u8]) -> Vec<u8> {
    let (first, rest) = content.split_at(content.len() / 2);
    let mut out = Vec::new();
    if !first.is_empty() {
        out.extend_from_slice(format!("{:x}\r\n", first.len()).as_bytes());
        out.extend_from_slice(first);
        out.extend_from_slice(b"\r\n");
    }
    if !rest.is_empty() {
        out.extend_from_slice(format!("{:x}\r\n", rest.len() + 1).as_bytes());
        out.extend_from_slice(rest);
    }
    out
}
