//! Which workspaces are used, as a real Redis is told: by what people do, and for a while by what goes on without them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use portway_testkit::upstream::Server;
use portway_testkit::{Echo, Redis, Stream, WebSocket, WebSocketEcho, eventually_async, message};
use tokio::io::AsyncWriteExt as _;

use crate::hub::{HERS, Hub, NOBODY, people};
use crate::stage::{Door, Plan, WORKSPACE, plan};

const KEY: &str = "hub:activity";
/// For how long what goes on by itself counts, in seconds.
const BACKGROUND: u64 = 1;

fn reporting(redis: &Redis) -> Plan {
    reporting_for(redis, BACKGROUND)
}

fn reporting_for(redis: &Redis, background: u64) -> Plan {
    plan().config(&format!(
        "[redis]\nurl = \"{}\"\n[activity]\nredis_key = \"{KEY}\"\nflush = \"100ms\"\nbackground = \"{background}s\"\n\
         [limits]\nvisitor_rate = 0\n",
        redis.url()
    ))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The last use that Redis was told of.
fn score(redis: &Redis) -> u64 {
    redis.ask(&["ZSCORE", KEY, WORKSPACE]).parse().unwrap_or(0)
}

async fn navigate(door: &Door) -> u16 {
    let mut client = door.connect().await;
    let navigation = "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
    client.round_trip("GET", door.head("GET /", navigation)).await.status()
}

async fn told(redis: &Redis, since: u64) {
    eventually_async("the use to be told", async || score(redis) >= since).await;
}

#[tokio::test]
async fn a_visit_is_told_by_the_workspaces_own_id_and_never_takes_a_newer_ones_place() {
    let (redis, echo) = (Redis::start(), Echo::start().await);
    let stage = reporting(&redis).private(echo.port()).start();
    let door = stage.door(echo.port());
    let before = now();
    assert_eq!(navigate(&door).await, 200);
    told(&redis, before).await;
    let later = (now() + 1000).to_string();
    redis.ask(&["ZADD", KEY, "XX", &later, WORKSPACE]);
    // Another one after it: both were told, and the newer time stays.
    redis.ask(&["CONFIG", "RESETSTAT"]);
    assert_eq!(navigate(&door).await, 200);
    eventually_async("another report", async || redis.ask(&["INFO", "commandstats"]).contains("cmdstat_zadd:")).await;
    assert_eq!(score(&redis).to_string(), later);
    stage.gateway.stop();
}

#[tokio::test]
async fn a_page_that_polls_keeps_a_workspace_for_a_while_and_no_longer() {
    let (redis, echo) = (Redis::start(), Echo::start().await);
    let stage = reporting(&redis).private(echo.port()).start();
    let door = stage.door(echo.port());
    let before = now();
    navigate(&door).await;
    told(&redis, before).await;
    let attended = now();
    let until = Instant::now() + Duration::from_secs(4 * BACKGROUND);
    while Instant::now() < until {
        assert_eq!(door.get("/poll").await, 200);
    }
    assert!(score(&redis) < attended + 1 + BACKGROUND, "polling alone is still told after {BACKGROUND} s");
    // Somebody is back.
    let back = now();
    let mut client = door.connect().await;
    let answer = client.round_trip("POST", door.head("POST /", "Content-Length: 0\r\n")).await;
    assert_eq!(answer.status(), 200);
    told(&redis, back).await;
    stage.gateway.stop();
}

#[tokio::test]
async fn a_socket_that_only_pings_does_not_count_and_one_that_is_typed_into_does() {
    let (redis, server) = (Redis::start(), WebSocketEcho::start().await);
    let stage = reporting(&redis).private(server.port()).start();
    let door = stage.door(server.port());
    let mut socket = WebSocket::open(door.connect().await, &door.host, "/", &door.auth).await.expect("a 101");
    let until = Instant::now() + Duration::from_secs(4 * BACKGROUND);
    let mut pings = 0;
    while Instant::now() < until && pings < 20 {
        socket.send_text("2").await;
        assert_eq!(socket.next_text().await, "2");
        tokio::time::sleep(Duration::from_millis(200)).await;
        pings += 1;
    }
    assert_eq!(score(&redis), 0, "pings alone were told");
    let before = now();
    socket.send_text(&"x".repeat(300)).await;
    socket.next_text().await;
    told(&redis, before).await;
    drop(socket);
    stage.gateway.stop();
}

#[tokio::test]
async fn a_long_download_counts_while_it_runs() {
    let redis = Redis::start();
    let piece = "x".repeat(1000);
    let server = Server::start(None, move |mut stream: Box<dyn Stream>| {
        let piece = piece.clone();
        async move {
            message::read_head(&mut stream, &mut BytesMut::new()).await?;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await?;
            loop {
                stream.write_all(piece.as_bytes()).await?;
                stream.flush().await?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    })
    .await;
    let stage = reporting_for(&redis, 3600).private(server.port()).start();
    let door = stage.door(server.port());
    let mut client = door.connect().await;
    let before = now();
    client.send(door.head("GET /image.iso", "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\n")).await;
    told(&redis, before).await;
    // Nothing but the download goes on from here.
    for _ in 0..3 {
        redis.ask(&["DEL", KEY]);
        told(&redis, before).await;
    }
    stage.gateway.stop();
}

#[tokio::test]
async fn a_redis_that_is_away_fails_no_request_and_is_told_afterwards() {
    let (mut redis, echo) = (Redis::start(), Echo::start().await);
    let stage = reporting(&redis).private(echo.port()).start();
    let door = stage.door(echo.port());
    let before = now();
    navigate(&door).await;
    told(&redis, before).await;
    redis.service().pause();
    let paused = now();
    for _ in 0..20 {
        assert_eq!(navigate(&door).await, 200);
    }
    redis.service().resume();
    told(&redis, paused).await;
    redis.kill();
    let killed = now();
    assert_eq!(navigate(&door).await, 200);
    stage.gateway.wait_for_log("the failure to be logged", |line| line["event"] == "activity-down");
    redis.start_again();
    told(&redis, killed).await;
    stage.gateway.stop();
}

// The server answers while this thread waits for the log.
#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_is_told_with_a_secret_until_it_takes_it() {
    const SECRET: &str = "s3cret-of-the-webhook";
    let (echo, taken) = (Echo::start().await, Arc::new(AtomicBool::new(false)));
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let (takes, heard) = (taken.clone(), told.clone());
    let api = Server::start(None, move |mut stream: Box<dyn Stream>| {
        let (takes, heard) = (takes.clone(), heard.clone());
        async move {
            let mut buffer = BytesMut::new();
            let Some(request) = message::read_head(&mut stream, &mut buffer).await? else { return Ok(()) };
            let mut body = message::BodyReader::new(request.request_length());
            let mut said = format!("{} {}\n", request.start_line(), request.field("authorization").unwrap_or_default());
            while let Some(piece) = body.next(&mut stream, &mut buffer).await? {
                said.push_str(&String::from_utf8_lossy(&piece));
            }
            heard.lock().expect("what was told").push(said);
            let status = if takes.load(Ordering::Relaxed) { "204 No Content" } else { "503 Service Unavailable" };
            stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await?;
            stream.flush().await
        }
    })
    .await;
    let settings = [
        ("PORTWAY_ACTIVITY_WEBHOOK", "/internal/activity"),
        ("PORTWAY_ACTIVITY_WEBHOOK_TOKEN", SECRET),
        ("PORTWAY_ACTIVITY_FLUSH", "100ms"),
    ];
    let hub = Hub::with(people(), api.port(), &settings);
    let mut alice = hub.alice();
    let before = now();
    assert_eq!(alice.open(&hub.url(echo.port(), HERS, "/")).await.answer.status(), 200);
    hub.gateway.wait_for_log("the refusal", |line| line["event"] == "activity-down");
    taken.store(true, Ordering::Relaxed);
    hub.gateway.wait_for_log("the report", |line| line["event"] == "activity-up");
    let told = told.lock().expect("what was told").clone();
    let last = told.last().expect("a report");
    let (head, body) = last.split_once('\n').expect("a body");
    assert_eq!(head, format!("POST /internal/activity HTTP/1.1 Bearer {SECRET}"));
    let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(body["workspaces"][0]["id"], HERS);
    assert!(body["workspaces"][0]["used_at"].as_u64() >= Some(before), "{body}");
    assert!(!format!("{:?}", hub.gateway.log()).contains(SECRET));
    hub.gateway.stop();
}

/// Gives workspaces the time of their last use, and never an older one.
const USED: &str = "UPDATE workspaces SET last_access_at = greatest(last_access_at, to_timestamp(s)) \
                    FROM unnest($1::text[], $2::bigint[]) AS used (i, s) WHERE id = i";

#[tokio::test]
async fn a_table_is_told_by_a_statement_of_ones_own() {
    let (echo, postgres) = (Echo::start().await, people());
    postgres.sql(
        "CREATE ROLE teller LOGIN; GRANT UPDATE (last_access_at), SELECT (id, last_access_at) ON workspaces TO teller",
    );
    let teller = postgres.url_of("teller");
    let settings =
        [("PORTWAY_ACTIVITY_QUERY", USED), ("PORTWAY_ACTIVITY_URL", &*teller), ("PORTWAY_ACTIVITY_FLUSH", "100ms")];
    let hub = Hub::with(postgres, NOBODY, &settings);
    let mut alice = hub.alice();
    let url = hub.url(echo.port(), HERS, "/");
    let used = || {
        let seconds = "SELECT coalesce(floor(extract(epoch FROM last_access_at)), 0)::bigint FROM workspaces";
        hub.postgres.sql(&format!("{seconds} WHERE id = '{HERS}'")).parse::<u64>().expect("seconds")
    };
    let before = now();
    assert_eq!(alice.open(&url).await.answer.status(), 200);
    eventually_async("the use to be told", async || used() >= before).await;
    assert_eq!(hub.postgres.sql("SELECT count(*) FROM workspaces WHERE last_access_at IS NOT NULL"), "1");
    // What cannot be told is kept until it can.
    hub.postgres.sql("UPDATE workspaces SET last_access_at = NULL; REVOKE ALL ON workspaces FROM teller; REVOKE UPDATE (last_access_at) ON workspaces FROM teller");
    let later = now();
    assert_eq!(alice.open(&url).await.answer.status(), 200);
    hub.gateway.wait_for_log("the refusal", |line| line["event"] == "activity-down");
    hub.postgres.sql("GRANT UPDATE (last_access_at), SELECT (id, last_access_at) ON workspaces TO teller");
    eventually_async("the use to be told after all", async || used() >= later).await;
    hub.gateway.stop();
}
