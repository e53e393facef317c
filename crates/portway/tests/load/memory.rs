//! Slow peers: a hundred visitors that do not read and a hundred dev servers that do not, and the gateway holds only what
//! fits its buffers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use portway_testkit::upstream::Server;
use portway_testkit::{Bulk, Client, Stream, eventually_async, message, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Barrier, watch};
use tokio::task::JoinSet;

use super::http2::{self, Http2};
use super::stage::{Door, Stage, WAYS, Way};

/// Slow peers at once.
const PEERS: usize = 100;
/// Of these, over HTTP/2, so many share a connection.
const SHARING: usize = 25;
/// What the gateway may hold for one of them, in bytes: a few buffers of 64 KiB, as allocators round them.
const HELD: u64 = 768 * 1024;
/// What an HTTP/2 connection may have under way towards the gateway: its window, by design.
const WINDOW: u64 = 16 << 20;
/// What a slow peer takes after its rest, in bytes.
const SIP: usize = 2 << 20;
const BLOCK: Bytes = Bytes::from_static(&[b'x'; 64 * 1024]);

/// Bytes that went into sockets so far.
type Moved = Arc<AtomicU64>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn visitors_that_do_not_read_cost_no_memory() {
    for way in WAYS {
        let moved = Moved::default();
        let server = {
            let moved = Arc::clone(&moved);
            Server::start(None, move |stream| pour(stream, Arc::clone(&moved))).await
        };
        let bound = PEERS as u64 * HELD;
        let stage = slow(way, server.port(), &moved, bound, "visitors that read slowly", |door, go, sipped| {
            let mut visitors = JoinSet::new();
            if way.http2 {
                (0..PEERS / SHARING).for_each(|_| {
                    visitors.spawn(read_slowly_http2(door.clone(), go.clone(), Arc::clone(&sipped)));
                });
            } else {
                (0..PEERS).for_each(|_| {
                    visitors.spawn(read_slowly_http1(door.clone(), go.clone(), Arc::clone(&sipped)));
                });
            }
            visitors
        })
        .await;
        stage.all_closed().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dev_servers_that_do_not_read_cost_no_memory() {
    for way in WAYS {
        let moved = Moved::default();
        let cup = Arc::new(Mutex::new(None));
        let server = {
            let cup = Arc::clone(&cup);
            Server::start(None, move |stream| swallow_slowly(stream, Arc::clone(&cup))).await
        };
        let windows = if way.http2 { (PEERS / SHARING) as u64 * WINDOW } else { 0 };
        let bound = PEERS as u64 * HELD + windows;
        let stage = slow(way, server.port(), &moved, bound, "dev servers that read slowly", |door, go, sipped| {
            *cup.lock().expect("cup") = Some((go, sipped));
            let mut visitors = JoinSet::new();
            if way.http2 {
                (0..PEERS / SHARING).for_each(|_| {
                    visitors.spawn(write_fast_http2(door.clone(), Arc::clone(&moved)));
                });
            } else {
                (0..PEERS).for_each(|_| {
                    visitors.spawn(write_fast_http1(door.clone(), Arc::clone(&moved)));
                });
            }
            visitors
        })
        .await;
        // While a dev server does not read, nobody notices that its visitor has gone.
        drop(server);
        stage.all_closed().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn visitors_that_write_byte_by_byte_cost_no_memory() {
    const LENGTH: usize = 500;
    let bulk = Bulk::start().await;
    for way in WAYS {
        let stage = Stage::start(&[bulk.port()], way.tls, "");
        stage.forget_peak();
        let before = stage.gateway.peak_memory();
        let mut visitors = JoinSet::new();
        for _ in 0..PEERS {
            let door = stage.door(bulk.port(), way);
            visitors.spawn(async move {
                let answer = if way.http2 { drip_http2(door, LENGTH).await } else { drip_http1(door, LENGTH).await };
                assert!(answer.starts_with(&format!("{LENGTH} ")), "{way}: {answer}");
            });
        }
        visitors.join_all().await;
        bounded(&stage, before, PEERS as u64 * HELD, &format!("{way}: {PEERS} visitors that write byte by byte"));
    }
}

/// The gateway between slow peers and fast ones, the visitors of `begin` among them, who have gone in the end: everything
/// stands still, the slow take a sip, everything stands still again.
async fn slow(
    way: Way,
    port: u16,
    moved: &Moved,
    bound: u64,
    what: &str,
    begin: impl FnOnce(Door, watch::Receiver<bool>, Arc<Barrier>) -> JoinSet<()>,
) -> Stage {
    let stage = Stage::start(&[port], way.tls, "");
    let (go, gone) = watch::channel(false);
    let sipped = Arc::new(Barrier::new(PEERS + 1));
    stage.forget_peak();
    let before = stage.gateway.peak_memory();
    let mut fast = begin(stage.door(port, way), gone, Arc::clone(&sipped));
    settled(moved, "everything to stand still").await;
    let still = moved.load(Ordering::Relaxed);
    go.send_replace(true);
    within("everybody to take a sip", sipped.wait()).await;
    settled(moved, "everything to stand still again").await;
    let sips = (moved.load(Ordering::Relaxed) - still) >> 20;
    bounded(&stage, before, bound, &format!("{way}: {PEERS} {what}, {} MiB and then {sips} MiB", still >> 20));
    fast.abort_all();
    while fast.join_next().await.is_some() {}
    stage
}

/// Prints and bounds what the peers cost.
fn bounded(stage: &Stage, before: u64, bound: u64, what: &str) {
    let grown = stage.gateway.peak_memory().saturating_sub(before);
    let mebibytes = |bytes: u64| bytes as f64 / 1048576.0;
    println!(
        "{what}: {:.1} MiB more than the {:.1} MiB before ({} KiB each)",
        mebibytes(grown),
        mebibytes(before),
        grown / 1024 / PEERS as u64
    );
    assert!(grown <= bound, "{what}: {grown} bytes more, not {bound}");
}

/// Waits until bytes have moved, and then none for a while.
async fn settled(moved: &Moved, what: &str) {
    let (mut last, mut since) = (0, std::time::Instant::now());
    eventually_async(what, async || {
        let now = moved.load(Ordering::Relaxed);
        if now != last {
            (last, since) = (now, std::time::Instant::now());
        }
        now > 0 && since.elapsed() > Duration::from_millis(700)
    })
    .await;
}

/// A dev server that answers without an end.
async fn pour(mut stream: Box<dyn Stream>, moved: Moved) -> std::io::Result<()> {
    let mut buffer = BytesMut::new();
    drop(message::read_head(&mut stream, &mut buffer).await?);
    stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
    loop {
        stream.write_all(&[b"10000\r\n", &BLOCK[..], b"\r\n"].concat()).await?;
        moved.fetch_add(BLOCK.len() as u64, Ordering::Relaxed);
    }
}

async fn read_slowly_http1(door: Door, mut go: watch::Receiver<bool>, sipped: Arc<Barrier>) {
    let mut client = door.connect().await;
    client.send(door.head("GET /", "")).await;
    let head = client.response_head().await.expect("a response");
    drop(go.wait_for(|go| *go).await);
    let mut body = Client::body_of(&head, "GET");
    let mut taken = 0;
    while taken < SIP {
        taken += client.body_piece(&mut body).await.expect("content").expect("content").len();
    }
    sipped.wait().await;
    std::future::pending().await
}

async fn read_slowly_http2(door: Door, go: watch::Receiver<bool>, sipped: Arc<Barrier>) {
    let mut visitor = Http2::connect(&door).await;
    let mut readers = JoinSet::new();
    for _ in 0..SHARING {
        let (mut go, sipped) = (go.clone(), Arc::clone(&sipped));
        let mut body = visitor.get("/").await.expect("a response").into_body();
        readers.spawn(async move {
            drop(go.wait_for(|go| *go).await);
            let mut taken = 0;
            while taken < SIP {
                taken += http2::next(&mut body).await.expect("content").expect("content").len();
            }
            sipped.wait().await;
            std::future::pending::<()>().await;
        });
    }
    readers.join_all().await;
}

/// When to take a sip, and where to say so.
type Cup = Arc<Mutex<Option<(watch::Receiver<bool>, Arc<Barrier>)>>>;

/// A dev server that reads a head, rests, takes a sip, and rests for good.
async fn swallow_slowly(mut stream: Box<dyn Stream>, cup: Cup) -> std::io::Result<()> {
    let (mut go, sipped) = cup.lock().expect("cup").clone().expect("set before anybody comes");
    let mut buffer = BytesMut::new();
    drop(message::read_head(&mut stream, &mut buffer).await?);
    drop(go.wait_for(|go| *go).await);
    stream.read_exact(&mut vec![0; SIP]).await?;
    sipped.wait().await;
    std::future::pending().await
}

async fn drip_http1(door: Door, length: usize) -> String {
    let mut client = door.connect().await;
    client.send(door.head("POST /", "Transfer-Encoding: chunked\r\n")).await;
    for _ in 0..length {
        client.send("1\r\nx\r\n").await;
        tokio::task::yield_now().await;
    }
    client.round_trip("POST", "0\r\n\r\n").await.text()
}

async fn drip_http2(door: Door, length: usize) -> String {
    let mut visitor = Http2::connect(&door).await;
    let (response, mut stream) = visitor.begin("POST", "/", None, true).await;
    for _ in 0..length {
        http2::send(&mut stream, Bytes::from_static(b"x")).await.expect("the gateway takes it");
        tokio::task::yield_now().await;
    }
    stream.send_data(Bytes::new(), true).expect("the end");
    let mut body = within("a response", response).await.expect("a response").into_body();
    String::from_utf8(http2::next(&mut body).await.expect("a body").expect("a word").to_vec()).expect("text")
}

async fn write_fast_http1(door: Door, moved: Moved) {
    let mut stream = door.connect().await.into_parts().0;
    let head = door.head("POST /", "Content-Length: 1000000000000\r\n");
    stream.write_all(head.as_bytes()).await.expect("send a head");
    while stream.write_all(&BLOCK).await.is_ok() {
        moved.fetch_add(BLOCK.len() as u64, Ordering::Relaxed);
    }
    panic!("the gateway gave up");
}

async fn write_fast_http2(door: Door, moved: Moved) {
    let mut visitor = Http2::connect(&door).await;
    let mut writers = JoinSet::new();
    for _ in 0..SHARING {
        let moved = Arc::clone(&moved);
        let (response, mut stream) = visitor.begin("POST", "/", None, true).await;
        writers.spawn(async move {
            while http2::send(&mut stream, BLOCK).await.is_ok() {
                moved.fetch_add(BLOCK.len() as u64, Ordering::Relaxed);
            }
            drop(response);
            panic!("the gateway gave up");
        });
    }
    writers.join_all().await;
}
