//! Two hundred secrets, sent in every place where people and programs put them, and none of them in a log, a metric or a span
//! (R59).

use std::collections::BTreeSet;
use std::fmt::Write as _;

use portway_testkit::{Client, Gateway, Recorder, Visitor, WebSocket, eventually};

use crate::collector::Collector;
use crate::http2_client::Http2;
use crate::stage::{Door, OWNER, WORKSPACE, plan};

/// What the dev server answers: it has secrets as well.
const ANSWER: &str = "HTTP/1.1 200 OK\r\nSet-Cookie: app=CANARY-of-the-app\r\nX-Secret: CANARY-in-an-answer\r\n\
                      Location: /next?code=CANARY-in-a-location\r\nContent-Length: 19\r\n\r\nCANARY-in-the-answer";

/// Fields that carry secrets, `@` where the secret stands.
const FIELDS: &[&str] = &[
    "Authorization: Bearer @",
    "Authorization: Basic @",
    "Authorization: Bearer pwy_@",
    "Proxy-Authorization: Basic @",
    "X-Portway-Token: pwy_@",
    "X-Portway-Token: @",
    "Cookie: session=@",
    "Cookie: a=1; __Host-portway=@",
    "Cookie: __Host-portway_login=@; __Host-portway_txn=@",
    "X-Api-Key: @",
    "X-Csrf-Token: @",
    "Referer: http://elsewhere.test/?token=@",
    "Origin: http://@.elsewhere.test",
    "Sec-WebSocket-Protocol: bearer.@",
    "If-None-Match: \"@\"",
    "tracestate: vendor=@",
    "baggage: user=@",
    "X-Forwarded-For: @",
];

/// Targets that carry secrets.
const TARGETS: &[&str] = &[
    "/?token=@",
    "/callback?code=@&state=@",
    "/a/b?x=1&password=@#@",
    "/.portway/callback?ticket=@",
    "/.portway/callback?ticket=@&to=@",
    "/.portway/link/@",
    "/.portway/authorize?host=@&nonce=@",
    "/.portway/nothing?@",
    "/.portway/login?next=@",
];

/// Bytes that are no request.
const MALFORMED: &[&str] = &[
    "GET /?@ HTTP/1.1\r\nHost: a\r\nHost: @\r\n\r\n",
    "GET /?@ HTTP/1.1\nHost: @\r\n\r\n",
    "GET /?@ HTTP/1.1\r\nCookie : session=@\r\n\r\n",
    "POST /?@ HTTP/1.1\r\nHost: @.test\r\nContent-Length: @\r\n\r\n",
    "GET /?@ HTTP/9.9\r\nAuthorization: Bearer @\r\n\r\n",
    "@",
];

/// Makes secrets, and keeps them.
#[derive(Default)]
struct Canaries(BTreeSet<String>);

impl Canaries {
    /// The text with a fresh secret in each of its gaps.
    fn fill(&mut self, text: &str) -> String {
        let mut filled = String::new();
        for (index, part) in text.split('@').enumerate() {
            if index > 0 {
                let canary = format!("cAnary{:03}zQ7", self.0.len());
                filled.push_str(&canary);
                self.0.insert(canary);
            }
            filled.push_str(part);
        }
        filled
    }
}

/// Everything that a gateway has said so far.
async fn said(gateway: &Gateway, collector: &Collector) -> String {
    let mut all = gateway.errors();
    for line in gateway.log() {
        let _ = writeln!(all, "{line}");
    }
    let request = "GET /metrics HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n";
    all.push_str(&Client::connect(gateway.ops()).await.round_trip("GET", request).await.text());
    let _ = write!(all, "{:?}", collector.requests());
    all
}

async fn send(door: &Door, bytes: String) {
    let mut client = door.connect().await;
    client.send(bytes).await;
    // Some are refused, some are answered, some are cut: only what is said of them counts.
    let _ = client.response("GET").await;
}

async fn in_every_place(canaries: &mut Canaries, door: &Door, closed: &Door) {
    for field in FIELDS {
        let field = canaries.fill(field);
        for door in [door, closed] {
            send(door, door.head("GET /", &format!("{field}\r\nConnection: close\r\n"))).await;
        }
        Http2::connect(door).await.get(door, &canaries.fill("/h2?@"), &format!("{field}\r\n")).await;
    }
    let control = door.host.split_once('.').map_or("", |(_, rest)| rest);
    for target in TARGETS {
        for host in [door.host.as_str(), closed.host.as_str(), control] {
            let target = canaries.fill(target);
            let fields = format!("Host: {host}\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n");
            send(door, format!("GET {target} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n")).await;
        }
    }
    for bytes in MALFORMED {
        send(door, canaries.fill(bytes)).await;
    }
    for path in ["/.portway/login", "/.portway/api/v1/tokens", "/.portway/consent"] {
        let body = canaries.fill("user=alice&password=@&token=@");
        let head = format!("POST {path} HTTP/1.1\r\nHost: {control}\r\nOrigin: http://{control}\r\n");
        let fields = format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n", body.len());
        send(door, format!("{head}{fields}Connection: close\r\n\r\n{body}")).await;
    }
    let body = canaries.fill("a body with @ in it");
    send(door, door.head(&canaries.fill("POST /form?@"), &format!("Content-Length: {}\r\n", body.len())) + &body).await;
    let extra = format!("{}{}\r\n", door.auth, canaries.fill("Sec-WebSocket-Protocol: @"));
    let _ = WebSocket::open(door.connect().await, &door.host, &canaries.fill("/socket?@"), &extra).await;
}

async fn none_is_told(to_people: bool) {
    let (app, collector) = (Recorder::answering(ANSWER).await, Collector::start().await);
    let log = format!("[log]\nlevel = \"debug\"\nformat = \"json\"\n{}", collector.config(1));
    // One core tells of requests in their order, so that with the last all are told.
    let stage = plan().private(app.port()).private(1).config(&log).config("threads = 1\n").start();
    let (door, closed) = (stage.door(app.port()), stage.door(1));
    if to_people {
        // Of requests; events keep their form until a restart.
        let file = stage.gateway.dir().join("portway.toml");
        let text = std::fs::read_to_string(&file).expect("read the configuration");
        std::fs::write(&file, text.replace("\"json\"", "\"human\"")).expect("write the configuration");
        stage.gateway.wait_for_log("the other form", |line| line["event"] == "reloaded");
    }
    let mut canaries = Canaries::default();
    in_every_place(&mut canaries, &door, &closed).await;
    while canaries.0.len() < 200 {
        let target = canaries.fill("GET /more?a=@&b=@");
        send(&door, door.head(&target, "Connection: close\r\n")).await;
    }
    // And what is secret of ours: links, logins, sessions, tickets, tokens.
    let link = stage.gateway.run(&["user", "link", OWNER]);
    let mut visitor = Visitor::new(stage.gateway.plain());
    visitor.log_in(link.trim()).await;
    let session = visitor.session_for(&format!("{}/", door.origin())).await;
    let control = door.host.split_once('.').map_or("", |(_, rest)| rest).split(':').next().unwrap_or_default();
    let mut secrets = canaries.0.clone();
    secrets.extend(["CANARY", "pwy_"].map(str::to_owned));
    secrets.extend(link.trim().rsplit('/').next().map(str::to_owned));
    for cookies in [session, visitor.cookies(control)] {
        secrets.extend(cookies.split("; ").filter_map(|pair| Some(pair.split_once('=')?.1.to_owned())));
    }
    for door in [&door, &closed] {
        secrets.extend(door.auth.split_once(": ").map(|(_, token)| token.trim().to_owned()));
    }
    assert!(secrets.len() > 205 && secrets.iter().all(|secret| secret.len() > 3), "{secrets:?}");

    assert_eq!(door.get("/last").await, 200);
    eventually("the last span", || format!("{:?}", collector.requests()).contains("/last"));
    eventually("the last line", || stage.gateway.log().iter().any(|line| line.to_string().contains("/last")));
    let said = said(&stage.gateway, &collector).await;
    assert_eq!(stage.gateway.log().iter().any(serde_json::Value::is_string), to_people);
    // What is looked through has the requests in it.
    for word in ["/callback", "/form", "/more", "/socket", WORKSPACE, "portway_requests_total"] {
        assert!(said.contains(word), "{word} is not in what was said");
    }
    let told: Vec<_> = secrets.iter().filter(|secret| said.contains(secret.as_str())).collect();
    let lines = said.lines().filter(|line| told.iter().any(|secret| line.contains(secret.as_str())));
    let lines: Vec<_> = lines.take(5).map(|line| line.chars().take(400).collect::<String>()).collect();
    assert!(told.is_empty(), "{told:?} in {lines:#?}");
    stage.gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_a_json_log_a_metric_or_a_span() {
    none_is_told(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_a_log_for_people() {
    none_is_told(true).await;
}
