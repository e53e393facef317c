//! Sessions of the control plane that are signed tokens, against a key set that its API server gives.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::Algorithm;
use portway_testkit::signer::key_set;
use portway_testkit::upstream::Server;
use portway_testkit::{Client, Echo, Ending, Recorder, Signer, Step, Visitor, eventually_async};
use serde_json::json;

use crate::hub::{ALICE, CONTROL, HERS, HIS, Hub, json_api, people, reason};

fn token(signer: &Signer, user: &str, seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs();
    signer.sign(&json!({"sub": user, "name": "alice", "exp": now + seconds}))
}

/// A server of the keys that are in the hand of the test.
async fn keys(set: &Arc<Mutex<String>>) -> Server {
    let set = set.clone();
    json_api(move |request| request.start_line().starts_with("GET /jwks ").then(|| set.lock().expect("a lock").clone()))
        .await
}

fn hub(api: &Server) -> Hub {
    let postgres = people();
    // Nothing is read of the table.
    postgres.sql("DROP TABLE sessions");
    let settings = [
        ("PORTWAY_SESSIONS_JWKS", "/jwks"),
        ("PORTWAY_SESSIONS_JWT_NAME", "/name"),
        ("PORTWAY_SESSIONS_CHECK", "200ms"),
    ];
    Hub::with(postgres, api.port(), &settings)
}

fn visitor(hub: &Hub, token: &str) -> Visitor {
    let mut visitor = Visitor::new(hub.gateway.plain());
    visitor.keep(CONTROL, "session", token);
    visitor
}

/// Whether a visit ends where it was going; the login page is a page as well.
async fn opens(visitor: &mut Visitor, url: &str) -> bool {
    let arrived = visitor.open(url).await;
    arrived.url == url && arrived.answer.status() == 200
}

// The API answers while the gateway starts, which this thread waits for.
#[tokio::test(flavor = "multi_thread")]
async fn a_signed_token_logs_in_and_never_reaches_a_workspace() {
    let (echo, signer) = (Echo::start().await, Signer::new(Algorithm::RS256, "one"));
    let set = Arc::new(Mutex::new(key_set(&[&signer])));
    let api = keys(&set).await;
    let hub = hub(&api);
    let mine = hub.url(echo.port(), HERS, "/a");
    let token = token(&signer, ALICE, 3600);
    let mut alice = visitor(&hub, &token);
    // A shared cookie of the platform would be sent here as well.
    alice.keep(&format!("{}-{HERS}.{CONTROL}", echo.port()), "session", &token);
    let arrived = alice.open(&mine).await;
    assert_eq!((arrived.url.as_str(), arrived.answer.status()), (mine.as_str(), 200), "{}", arrived.answer.text());
    assert!(!arrived.answer.text().contains(&token), "the token reached a workspace");
    assert_eq!(reason(&alice.open(&hub.url(echo.port(), HIS, "/")).await), "404 not-found");
    let forged = crate::jwt::token(&Signer::new(Algorithm::RS256, "one"), ALICE, 3600);
    let mut mallory = visitor(&hub, &forged);
    assert!(mallory.open(&mine).await.url.contains("/.portway/login"), "a forged token logged in");
    hub.gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_replaced_while_it_runs_and_what_an_old_one_signed_ends() {
    let echo = Echo::start().await;
    let (old, new) = (Signer::new(Algorithm::ES256, "old"), Signer::new(Algorithm::ES256, "new"));
    let set = Arc::new(Mutex::new(key_set(&[&old])));
    let api = keys(&set).await;
    let hub = hub(&api);
    let url = hub.url(echo.port(), HERS, "/");
    let mut first = visitor(&hub, &token(&old, ALICE, 3600));
    assert!(opens(&mut first, &url).await);
    // A key that nobody knew is looked for at once.
    *set.lock().unwrap() = key_set(&[&new]);
    let mut second = visitor(&hub, &token(&new, ALICE, 3600));
    eventually_async("the new key to count", async || opens(&mut second, &url).await).await;
    eventually_async("the old one's logins to end", async || first.open(&url).await.url.contains("/.portway/login"))
        .await;
    assert!(opens(&mut second, &url).await);
    hub.gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_token() {
    let events =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n8\r\ndata: 1\n\r\n";
    let server = Recorder::start(vec![Step::ReadHead, Step::write(events)]).await;
    let signer = Signer::new(Algorithm::EdDSA, "one");
    let set = Arc::new(Mutex::new(key_set(&[&signer])));
    let api = keys(&set).await;
    let hub = hub(&api);
    let url = hub.url(server.port(), HERS, "/.portway/port");
    let cookie = visitor(&hub, &token(&signer, ALICE, 3)).session_for(&url).await;
    let host = format!("{}-{HERS}.{CONTROL}:{}", server.port(), hub.gateway.plain().port());
    let mut stream = Client::connect(hub.gateway.plain()).await;
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nSec-Fetch-Site: same-origin\r\n\r\n");
    stream.send(request).await;
    stream.read_until(b"data: 1\n").await;
    assert_eq!(stream.read_to_close().await.1, Ending::Reset);
    hub.gateway.stop();
}
