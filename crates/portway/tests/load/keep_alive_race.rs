//! Upstream connections that the dev server is about to close: nobody sees a 502 for it, and nothing is sent twice that must
//! not be.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use portway_testkit::upstream::{Gate, Recorder, Step};
use portway_testkit::{Client, message};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::node::Node;
use super::stage::{Door, Stage, WAYS};

/// What the dev servers close their idle connections after, in milliseconds. Of the second, even a POST may use one again.
const KEPT_MS: [u64; 2] = [1000, 2000];
/// Visitors who come all at once, again and again, so that many connections grow old together.
const CROWD: usize = 48;
/// Visitors who come whenever they like.
const STRAYS: usize = 16;
const ROUNDS: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_around_the_keep_alive_timeout_are_answered_and_posts_arrive_once() {
    let mut servers = JoinSet::new();
    for kept in KEPT_MS {
        servers.spawn(race(kept));
    }
    servers.join_all().await;
}

async fn race(kept: u64) {
    let node = Node::start("keep_alive_race.mjs", &[&kept.to_string()]);
    let stage = Stage::start(&[node.port()], false, "");
    let door = stage.door(node.port(), WAYS[0]);
    let posts = Arc::new(AtomicUsize::new(0));
    let together = Arc::new(Barrier::new(CROWD));
    let begun = Instant::now();
    let mut visitors = JoinSet::new();
    for visitor in 0..CROWD + STRAYS {
        let (door, posts, together) = (door.clone(), Arc::clone(&posts), Arc::clone(&together));
        visitors.spawn(async move {
            let mut client = door.connect().await;
            let mut ids = BTreeSet::new();
            for round in 0..ROUNDS {
                if visitor < CROWD {
                    together.wait().await;
                }
                let id = format!("{visitor}-{round}");
                if (visitor + round) % 2 == 0 {
                    post(&mut client, &door, &id).await;
                    posts.fetch_add(1, Ordering::Relaxed);
                    ids.insert(id);
                } else {
                    get(&mut client, &door).await;
                }
                tokio::time::sleep(pause(kept, visitor, round)).await;
            }
            ids
        });
    }
    let sent: BTreeSet<String> = visitors.join_all().await.into_iter().flatten().collect();
    let took = begun.elapsed();
    // Asked directly, so that the gateway cannot embellish it.
    let mut direct = Client::connect(([127, 0, 0, 1], node.port()).into()).await;
    let report = direct.round_trip("GET", "GET /report HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let report: serde_json::Value = serde_json::from_str(&report.text()).expect("a report");
    let seen = report["ids"].as_object().expect("ids");
    let twice: Vec<_> = seen.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "posted once, seen more often: {twice:?}");
    assert_eq!(seen.keys().cloned().collect::<BTreeSet<_>>(), sent, "every POST arrives");
    let number = |name: &str| report[name].as_u64().expect("a number");
    println!(
        "keep-alive of {kept} ms: {} requests with {} POSTs in {took:.1?}, {} on used connections (the oldest idle for {} ms) \
         of {}; every answer 200, every POST seen once",
        number("requests"),
        posts.load(Ordering::Relaxed),
        number("reused"),
        number("oldest"),
        number("connections")
    );
    assert!(number("reused") > 0, "no connection was used twice: nothing was raced");
}

/// How long a visitor rests: the crowd around the timeout, to the millisecond; strays anything up to it.
fn pause(kept: u64, visitor: usize, round: usize) -> Duration {
    let spread = (visitor * 7919 + round * 104_729) as u64;
    Duration::from_millis(if visitor < CROWD {
        // The crowd waits for its slowest, so it is the longest rest of a round that counts.
        let at = kept - 12 + 2 * round as u64;
        at - spread % 3
    } else {
        spread % kept
    })
}

async fn post(client: &mut Client, door: &Door, id: &str) {
    let request = door.head("POST /", &format!("Content-Length: {}\r\n", id.len())) + id;
    let answer = client.round_trip("POST", request).await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, id), "{}", answer.start_line());
}

async fn get(client: &mut Client, door: &Door) {
    let answer = client.round_trip("GET", door.head("GET /", "")).await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "nothing"), "{}", answer.start_line());
}

/// A server begins to count when it has written its response, however long a visitor takes to read it.
#[tokio::test]
async fn idle_time_begins_with_the_response_not_with_its_reading() {
    /// More than sockets hold, so that the gateway cannot have passed everything on before it is read.
    const BODY: usize = 48 << 20;
    let gate = Gate::new();
    let head = format!("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=3\r\nContent-Length: {BODY}\r\n\r\n");
    let late = vec![
        Step::ReadRequest,
        Step::write(head),
        Step::write(vec![b'x'; BODY / 2]),
        Step::Wait(gate.clone()),
        Step::write(vec![b'x'; BODY / 2]),
        // Its time is up: whatever comes now is met by a reset.
        Step::Read(1),
        Step::Reset,
    ];
    let next = vec![Step::ReadRequest, Step::write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext")];
    let server = Recorder::start_with(None, vec![late, next]).await;
    let stage = Stage::start(&[server.port()], false, "[limits]\nrequest_head = \"10s\"\n");
    let door = stage.door(server.port(), WAYS[0]);
    let mut client = door.connect().await;
    client.send(door.head("GET /", "")).await;
    let answer = client.response_head().await.expect("a response");
    // Longer than the announced time less a second. The time itself is what is tested.
    tokio::time::sleep(Duration::from_millis(2200)).await;
    gate.open();
    let (mut stream, mut buffer) = client.into_parts();
    let mut whole = answer.clone();
    message::read_body(&mut stream, &mut buffer, &mut whole, answer.response_length("GET"))
        .await
        .expect("a whole body");
    assert_eq!(whole.body.len(), BODY);
    let mut client = Client::over(stream);
    let answer = client.round_trip("POST", door.head("POST /", "Content-Length: 2\r\n") + "hi").await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "next"), "{}", answer.start_line());
}
