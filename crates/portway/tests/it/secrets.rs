//! Nothing of a login reaches a dev server, on any transport, while the apps' own cookies do (R1, R56).
//!
//! Each secret of ours holds a canary; after all requests none is among the bytes that arrived.

use portway_testkit::{Recorder, Step, WebSocket};

use crate::http2_client::Http2;
use crate::stage::{Door, plan, private};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// What a visitor sends, and what of it arrives as Cookie (`None`: no Cookie at all).
const COOKIES: &[(&str, Option<&str>)] = &[
    ("Cookie: a=1; __Host-portway=CANARY; b=2", Some("a=1; b=2")),
    ("Cookie: __Host-portway=CANARY", None),
    ("Cookie: __Host-portway=CANARY; a=1", Some("a=1")),
    ("Cookie: a=1; __Host-portway=\"CANARY\"", Some("a=1")),
    ("Cookie: a=1;__Host-portway=CANARY;b=2", Some("a=1;b=2")),
    ("Cookie: a=1; __HOST-PORTWAY=CANARY", Some("a=1")),
    ("Cookie: a=1; __Host-portway_txn=CANARY; b=2", Some("a=1; b=2")),
    ("Cookie: a=1; __Host-portway_login=CANARY", Some("a=1")),
    ("Cookie: a=1; =__Host-portway=CANARY", Some("a=1")),
    ("Cookie: a=1; __Host-portway =CANARY", Some("a=1")),
    ("Cookie: a=1;\t__Host-portway=CANARY", Some("a=1")),
    ("Cookie: a=1; \u{2000}__Host-portway=CANARY", Some("a=1")),
    ("Cookie: a=1; __Host-portway=CANARY; __Host-portway=CANARY; b=2", Some("a=1; b=2")),
    (
        "Cookie: session=eyJfZnJlc2giOmZhbHNlfQ.Zz9x.AbC-_d; csrftoken=x",
        Some("session=eyJfZnJlc2giOmZhbHNlfQ.Zz9x.AbC-_d; csrftoken=x"),
    ),
    ("Cookie: a=\"b c\"; d={\"e\":1}; portway=1", Some("a=\"b c\"; d={\"e\":1}; portway=1")),
];

/// Other fields, and whether they arrive.
const FIELDS: &[(&str, bool)] = &[
    ("Authorization: Bearer pwy_CANARY", false),
    ("Authorization: bearer pwy_CANARY", false),
    ("Authorization: Basic YTpi", true),
    ("Authorization: Bearer x", true),
    ("Proxy-Authorization: Bearer pwy_CANARY", false),
    ("X-Portway-User: CANARY", false),
    ("X_Portway_Token: CANARY", false),
    ("X-Csrf-Token: y", true),
];

/// The heads that arrived, one after the other.
fn heads(recorder: &Recorder) -> Vec<String> {
    recorder.text().split_inclusive("\r\n\r\n").map(str::to_owned).collect()
}

fn cookies_of(head: &str) -> Vec<String> {
    let cookies = head.lines().filter(|line| line.to_ascii_lowercase().starts_with("cookie:"));
    cookies.map(|line| line[7..].trim().to_owned()).collect()
}

fn judge(recorder: &Recorder, door: &Door, what: &str, cookie: Option<&str>) {
    let last = heads(recorder).pop().expect("a request arrived");
    let wanted: Vec<String> = cookie.into_iter().map(str::to_owned).collect();
    assert_eq!(cookies_of(&last), wanted, "{what}");
    let secret = door.auth.split(['=', ':', ';', ' ', '\r']).find(|part| part.len() > 40).expect("a secret");
    for canary in ["CANARY", "pwy_", secret] {
        assert!(!recorder.text().contains(canary), "{what}: {canary} arrived: {}", recorder.text());
    }
}

#[tokio::test]
async fn no_credential_of_ours_arrives_over_http1() {
    let recorder = Recorder::answering(OK).await;
    // One core, and so one connection to the dev server: what arrived last stands last.
    let stage = plan().private(recorder.port()).config("threads = 1\n").start();
    let by_token = stage.door(recorder.port());
    for (cookie, arrives) in COOKIES {
        let status =
            by_token.connect().await.round_trip("GET", by_token.head("GET /", &format!("{cookie}\r\n"))).await.status();
        assert_eq!(status, 200, "{cookie}");
        judge(&recorder, &by_token, cookie, *arrives);
    }
    // Two lines stay two, and each is read.
    let two = "Cookie: a=1; __Host-portway=CANARY\r\nCookie: __Host-portway=CANARY; b=2\r\n";
    by_token.connect().await.round_trip("GET", by_token.head("GET /", two)).await;
    assert_eq!(cookies_of(&heads(&recorder).pop().unwrap()), ["a=1", "b=2"]);
    for (field, arrives) in FIELDS {
        by_token.connect().await.round_trip("GET", by_token.head("GET /", &format!("{field}\r\n"))).await;
        judge(&recorder, &by_token, field, None);
        assert_eq!(heads(&recorder).pop().unwrap().contains(field), *arrives, "{field}");
    }
    // In the query a token is nothing to us, and stays the visitor's own words.
    assert_eq!(by_token.get("/?token=x&a=b").await, 200);
    assert!(recorder.text().contains("GET /?token=x&a=b HTTP/1.1\r\n"));

    let by_session = stage.door_by_session(recorder.port()).await;
    for extra in ["", "X-A: b\r\n"] {
        by_session.connect().await.round_trip("GET", by_session.head("GET /", extra)).await;
        judge(&recorder, &by_session, "a session", None);
    }
    // The app's own cookies stand beside ours.
    let beside = by_session.auth.replacen("Cookie: ", "Cookie: session=eyJhIjoxfQ.Zz.x; ", 1);
    let beside = Door { auth: beside, ..by_session.clone() };
    assert_eq!(beside.get("/").await, 200);
    judge(&recorder, &by_session, "a session beside Flask's", Some("session=eyJhIjoxfQ.Zz.x"));
    stage.gateway.stop();
}

#[tokio::test]
async fn no_credential_of_ours_arrives_by_a_websocket() {
    let recorder = Recorder::start(vec![Step::ReadHead, Step::write(SWITCH)]).await;
    let (stage, door) = private(recorder.port());
    for (cookie, arrives) in COOKIES {
        let extra = format!("{}{cookie}\r\n", door.auth);
        let socket = WebSocket::open(door.connect().await, &door.host, "/", &extra).await.expect("a 101");
        judge(&recorder, &door, cookie, *arrives);
        drop(socket);
    }
    stage.gateway.stop();
}

#[tokio::test]
async fn no_credential_of_ours_arrives_over_http2() {
    let recorder = Recorder::answering(OK).await;
    let (stage, door) = private(recorder.port());
    let mut http2 = Http2::connect(&door).await;
    for (cookie, arrives) in COOKIES {
        let answer = http2.get(&door, "/", &format!("{cookie}\r\n")).await;
        assert_eq!(answer.status, 200, "{cookie}");
        judge(&recorder, &door, cookie, *arrives);
    }
    // Crumbs are one cookie (RFC 9113 8.2.3).
    let crumbs = "Cookie: a=1\r\nCookie: __Host-portway=CANARY\r\nCookie: b=2\r\nCookie: c=3\r\n";
    assert_eq!(http2.get(&door, "/", crumbs).await.status, 200);
    judge(&recorder, &door, "crumbs", Some("a=1; b=2; c=3"));
    for (field, arrives) in FIELDS {
        assert_eq!(http2.get(&door, "/", &format!("{field}\r\n")).await.status, 200, "{field}");
        judge(&recorder, &door, field, None);
        let last = heads(&recorder).pop().unwrap().to_ascii_lowercase();
        assert_eq!(last.contains(&field.to_ascii_lowercase()), *arrives, "{field}");
    }
    stage.gateway.stop();
}
