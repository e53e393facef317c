//! What happens when memory is short: what is open goes on, nothing new begins, and it ends when there is memory again.

use portway_testkit::frames::{END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, WINDOW_UPDATE, frame};
use portway_testkit::{Bulk, Client, Echo, WebSocket, WebSocketEcho, eventually_async, within};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::http2_client::Http2;
use crate::http2_frames::Block;
use crate::hub::metric_of;
use crate::stage::{Door, Stage, plan};

/// More than a gateway has that nobody visits, and less than a few visitors can have it keep.
const LIMIT: u32 = 100_000_000;
/// Streams of one HTTP/2 connection at once.
const STREAMS: u32 = 100;

/// A visitor that asks for a lot, promises to take it, and reads nothing: the gateway keeps what HTTP/2 lets it.
async fn greedy(door: &Door) -> TcpStream {
    let most = 0x7fff_ffff_u32;
    let stream_window = [&[0, 4][..], &most.to_be_bytes()].concat();
    let more = (most - 0xffff).to_be_bytes();
    let mut bytes = [PREFACE, &frame(SETTINGS, 0, 0, &stream_window), &frame(WINDOW_UPDATE, 0, 0, &more)].concat();
    let asked = Block::new(door).set(":path", "/bytes/1000000").fields();
    for n in 0..STREAMS {
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &asked));
    }
    let mut tcp = TcpStream::connect(door.address).await.expect("connect");
    tcp.write_all(&bytes).await.expect("send the frames");
    tcp
}

/// Opens greedy connections until memory is short.
async fn press(stage: &Stage, door: &Door) -> Vec<TcpStream> {
    let mut greedies = Vec::new();
    for _ in 0..8 {
        greedies.push(within("a greedy visitor to be heard", greedy(door)).await);
    }
    logged(stage, "event", "shedding").await;
    greedies
}

/// Waits for a line of the log, and lets the dev servers work meanwhile.
async fn logged(stage: &Stage, field: &str, word: &str) {
    let found = async || stage.gateway.log().iter().any(|line| line[field] == word);
    eventually_async(&format!("{word} in the log"), found).await;
}

fn limited(memory: &str) -> String {
    format!("[limits]\nmemory = {LIMIT}\n{memory}")
}

async fn metric(stage: &Stage, name: &str) -> f64 {
    metric_of(&stage.gateway, name).await.unwrap_or_default()
}

#[tokio::test]
async fn what_is_open_goes_on_and_what_is_new_is_refused_until_there_is_memory_again() {
    let (bulk, echo, sockets) = (Bulk::start().await, Echo::start().await, WebSocketEcho::start().await);
    let stage = plan().private(bulk.port()).private(echo.port()).private(sockets.port()).config(&limited("")).start();
    let (door, talk) = (stage.door(echo.port()), stage.door(sockets.port()));
    let mut open = WebSocket::open(talk.connect().await, &talk.host, "/ws", &talk.auth).await.expect("a 101");
    let mut idle = door.connect().await;
    assert_eq!(idle.round_trip("GET", door.head("GET /", "")).await.status(), 200);
    let mut http2 = Http2::connect(&door).await;
    let (_, mut also_open) = http2.websocket(&talk, "/ws", "").await.expect("a 200");
    assert_eq!(metric(&stage, "portway_memory_limit_bytes").await, f64::from(LIMIT));
    assert!(metric(&stage, "portway_memory_bytes").await < f64::from(LIMIT) * 0.6, "a gateway needs more than it did");

    let greedies = press(&stage, &stage.door(bulk.port())).await;
    for round in ["one", "two"] {
        open.send_text(round).await;
        assert_eq!(open.next_text().await, round);
        also_open.send_text(round).await;
        assert_eq!(also_open.next_text().await, round);
    }
    let control =
        Door { host: format!("portway.localhost:{}", door.address.port()), auth: String::new(), ..door.clone() };
    for (door, path) in [(&door, "/"), (&control, "/.portway/login")] {
        let refused = http2.get(door, path, "").await;
        let field = |name| refused.headers.get(name).map(|value| value.as_bytes());
        assert_eq!(refused.status, 503, "{path}");
        assert_eq!(field("portway-reason"), Some(&b"overloaded"[..]));
        assert_eq!(field("retry-after"), Some(&b"1"[..]));
    }
    assert!(
        metric(&stage, "portway_limited_total{limit=\"memory\"}").await >= 2.0,
        "and the operations listener answers"
    );
    assert_eq!(idle.read_to_close().await.0, "", "an idle connection is closed");
    eventually_async("idle connections to dev servers to be closed", async || {
        metric(&stage, "portway_upstream_idle").await == 0.0
    })
    .await;
    let mut late = Client::connect(door.address).await;
    late.send(door.head("GET /", "")).await;

    drop(greedies);
    logged(&stage, "event", "shedding-over").await;
    // It waited in the backlog, or was the one that had been accepted already.
    let late = late.response("GET").await.expect("an answer").status();
    assert!([200, 503].contains(&late), "{late}");
    eventually_async("new requests to be served again", async || door.get("/").await == 200).await;
    open.send_text("three").await;
    assert_eq!(open.next_text().await, "three");
    drop((open, also_open, http2));
    stage.gateway.stop();
}

#[tokio::test]
async fn visitors_who_take_nothing_are_cut_while_memory_is_short_and_others_are_not() {
    let (bulk, sockets) = (Bulk::start().await, WebSocketEcho::start().await);
    let stage = plan().private(bulk.port()).private(sockets.port()).config(&limited("stalled = \"1s\"\n")).start();
    let talk = stage.door(sockets.port());
    let mut open = WebSocket::open(talk.connect().await, &talk.host, "/ws", &talk.auth).await.expect("a 101");
    let greedies = press(&stage, &stage.door(bulk.port())).await;
    // They are all still there, and what they hold is let go.
    logged(&stage, "event", "shedding-over").await;
    let cut = metric(&stage, "portway_limited_total{limit=\"stalled\"}").await;
    assert!(cut >= f64::from(STREAMS), "{cut}");
    logged(&stage, "reason", "stalled").await;
    open.send_text("still here").await;
    assert_eq!(open.next_text().await, "still here");
    drop((open, greedies));
    stage.gateway.stop();
}
