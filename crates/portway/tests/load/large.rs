//! Two gibibytes each way, over every protocol, with equal hashes at both ends and no memory to speak of.
//!
//! Every block of a body carries its own number, so that a lost, doubled or swapped one changes the hash. A body announces
//! its length one way and does not the other, and over TLS the other way round.

use std::sync::LazyLock;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use portway_testkit::message::{self, BodyReader, Length};
use portway_testkit::upstream::{block, digest_of};
use portway_testkit::{Bulk, patience};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use super::http2::{self, Http2};
use super::stage::{Door, Stage, Way};

const LARGE: u64 = 2 << 30;
const SMALL: u64 = 1 << 20;
const BLOCK: u64 = 64 * 1024;
/// What one read of a body may bring, in bytes.
const READ: usize = 64 * 1024;
/// What a transfer may need more than a small one, in bytes.
const GROWTH: u64 = 16 << 20;

/// What arrives when everything does, as the dev server puts it. Hashed once for every transfer of a process.
static LARGE_WHOLE: LazyLock<String> = LazyLock::new(|| format!("{LARGE} {}", digest_of(LARGE)));
static SMALL_WHOLE: LazyLock<String> = LazyLock::new(|| format!("{SMALL} {}", digest_of(SMALL)));

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gigabytes_pass_over_http1() {
    both_ways(Way { tls: false, http2: false }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gigabytes_pass_over_http2() {
    both_ways(Way { tls: false, http2: true }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gigabytes_pass_over_http1_and_tls() {
    both_ways(Way { tls: true, http2: false }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gigabytes_pass_over_http2_and_tls() {
    both_ways(Way { tls: true, http2: true }).await;
}

async fn both_ways(way: Way) {
    let bulk = Bulk::start().await;
    // Plain: length up, chunks down. TLS: chunks up, length down. HTTP/2 the other way round.
    let announced_up = way.tls == way.http2;
    measured(&bulk, way, "up", announced_up, async |door, length| upload(door, way, length, announced_up).await).await;
    measured(&bulk, way, "down", !announced_up, async |door, length| download(door, way, length, !announced_up).await)
        .await;
}

/// A small transfer and a large one through one gateway, and what the large one needed more.
async fn measured(
    bulk: &Bulk,
    way: Way,
    direction: &str,
    announced: bool,
    transfer: impl AsyncFn(Door, u64) -> String,
) {
    let stage = Stage::start(&[bulk.port()], way.tls, "");
    let door = || stage.door(bulk.port(), way);
    stage.forget_peak();
    assert_eq!(transfer(door(), SMALL).await, *SMALL_WHOLE, "{way}, {direction}, small");
    let small = stage.gateway.peak_memory();
    stage.forget_peak();
    let begun = Instant::now();
    let arrived = tokio::time::timeout(20 * patience(), transfer(door(), LARGE)).await.expect("a transfer that ends");
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(arrived, *LARGE_WHOLE, "{way}, {direction}");
    let large = stage.gateway.peak_memory();
    println!(
        "{way}, 2 GiB {direction}, {}: {seconds:.1} s, {:.0} MiB/s, peak {:.1} MiB against {:.1} MiB for 1 MiB",
        if announced { "length announced" } else { "no length" },
        LARGE as f64 / seconds / 1048576.0,
        large as f64 / 1048576.0,
        small as f64 / 1048576.0,
    );
    assert!(large <= small + GROWTH, "{way}, {direction}: peak {large} bytes, {small} for a small transfer");
}

/// Sends the pattern; gives the dev server's word on what arrived.
async fn upload(door: Door, way: Way, length: u64, announced: bool) -> String {
    if way.http2 {
        let mut visitor = Http2::connect(&door).await;
        let (response, mut stream) = visitor.begin("POST", "/", announced.then_some(length), true).await;
        for (number, left) in blocks(length) {
            http2::send(&mut stream, block(number, left).into()).await.expect("the gateway takes it");
        }
        stream.send_data(Bytes::new(), true).expect("the end");
        let (parts, mut body) = response.await.expect("a response").into_parts();
        assert_eq!(parts.status, 200);
        return String::from_utf8(http2::next(&mut body).await.expect("a body").expect("a word").to_vec())
            .expect("text");
    }
    let (mut stream, mut buffer) = door.connect().await.into_parts();
    let framing =
        if announced { format!("Content-Length: {length}\r\n") } else { "Transfer-Encoding: chunked\r\n".into() };
    stream.write_all(door.head("POST /", &framing).as_bytes()).await.expect("send a head");
    for (number, left) in blocks(length) {
        let data = block(number, left);
        if announced {
            stream.write_all(&data).await.expect("the gateway takes it");
        } else {
            let chunk = [format!("{:x}\r\n", data.len()).as_bytes(), &data, b"\r\n"].concat();
            stream.write_all(&chunk).await.expect("the gateway takes it");
        }
    }
    if !announced {
        stream.write_all(b"0\r\n\r\n").await.expect("send the end");
    }
    stream.flush().await.expect("flush");
    let mut answer = message::read_head(&mut stream, &mut buffer).await.expect("read").expect("a response");
    let framed = answer.response_length("POST");
    message::read_body(&mut stream, &mut buffer, &mut answer, framed).await.expect("a whole response");
    assert_eq!(answer.status(), 200, "{}", answer.text());
    answer.text()
}

/// Fetches the pattern; gives what arrived in the dev server's words.
async fn download(door: Door, way: Way, length: u64, announced: bool) -> String {
    let path = format!("/{}/{length}", if announced { "bytes" } else { "chunked" });
    let (mut hash, mut arrived) = (Sha256::new(), 0);
    if way.http2 {
        let mut visitor = Http2::connect(&door).await;
        let (parts, mut body) = visitor.get(&path).await.expect("a response").into_parts();
        assert_eq!(http2::number(&parts.headers, "content-length"), announced.then_some(length));
        while let Some(data) = http2::next(&mut body).await.expect("a whole response") {
            hash.update(&data);
            arrived += data.len();
        }
    } else {
        let (mut stream, mut buffer) = door.connect().await.into_parts();
        stream.write_all(door.head(&format!("GET {path}"), "").as_bytes()).await.expect("send a head");
        stream.flush().await.expect("flush");
        let head = message::read_head(&mut stream, &mut buffer).await.expect("read").expect("a response");
        let framing = head.response_length("GET");
        assert_eq!(framing, if announced { Length::Known(length) } else { Length::Chunked });
        let mut body = BodyReader::new(framing);
        while let Some(data) = next_large(&mut body, &mut stream, &mut buffer).await {
            hash.update(&data);
            arrived += data.len();
        }
    }
    let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{arrived} {hex}")
}

/// [`BodyReader::next`] with room for a whole block in one read.
async fn next_large(
    body: &mut BodyReader,
    stream: &mut Box<dyn portway_testkit::Stream>,
    buffer: &mut BytesMut,
) -> Option<Bytes> {
    buffer.reserve(READ);
    body.next(stream, buffer).await.expect("a whole response")
}

/// The numbers of the pattern's blocks, each with the bytes left from its beginning on.
fn blocks(length: u64) -> impl Iterator<Item = (u64, u64)> {
    (0..length.div_ceil(BLOCK)).map(move |number| (number, length - number * BLOCK))
}
