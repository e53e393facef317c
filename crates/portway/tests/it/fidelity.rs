//! What passes unchanged: paths, queries, names and values of fields, their order and repetition, and bodies of every
//! framing, in both directions. Random heads, the same ones in every run.

use std::fmt::Write as _;

use portway_testkit::{Echo, Message};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use proptest::{collection, sample};

use crate::stage::private;
use crate::upstreams;

/// Random heads in one run.
const HEADS: usize = 300;

/// Names that a relay has no business with, among them some that look as if it had.
const NAMES: &[&str] = &[
    "Accept",
    "accept-LANGUAGE",
    "User-Agent",
    "X-Custom",
    "x-custom",
    "If-None-Match",
    "Range",
    "X-Request-Id",
    "DNT",
    "Content-Type",
    "Content-Encoding",
    "Authorization",
    "X-Host",
    "X-Upgrade",
    "Sec-Fetch-Mode",
    "Pragma",
    "Cookie2",
    "X-Connection",
    "_under_score",
    "dotted.name",
    "Access-Control-Request-Headers",
    "Traceparent",
    "A",
    "x-auth",
];

fn field() -> impl Strategy<Value = (String, String)> {
    let name = proptest::prop_oneof![
        3 => sample::select(NAMES).prop_map(str::to_owned),
        1 => "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,20}".prop_map(|name| format!("x-{name}q")),
    ];
    // Printable, with blanks and tabs within; what stands around a value is not part of it.
    (name, "([!-~]([ -~\t]{0,40}[!-~])?)?")
}

fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
    collection::vec(field(), 0..20)
}

fn lines(fields: &[(String, String)]) -> String {
    fields.iter().fold(String::new(), |mut text, (name, value)| {
        write!(text, "{name}: {value}\r\n").expect("text grows");
        text
    })
}

/// The fields of a head without those that the gateway sets itself.
fn foreign(head: &Message, own: &[&str]) -> Vec<(String, String)> {
    let mut fields = head.fields();
    fields.retain(|(name, _)| !own.iter().any(|own| name.eq_ignore_ascii_case(own)));
    fields
}

fn pick<S: Strategy>(strategy: &S, runner: &mut TestRunner) -> S::Value {
    strategy.new_tree(runner).expect("a value").current()
}

#[tokio::test]
async fn every_request_arrives_as_it_was_sent() {
    let echo = Echo::start().await;
    let (stage, door) = private(echo.port());
    let mut runner = TestRunner::deterministic();
    let target = "/[!\"$-~]{0,60}(\\?[!\"$-~]{0,60})?";
    let heads = (sample::select(&["GET", "POST", "PUT", "PATCH", "DELETE", "QUERY"][..]), target, fields());
    let bodies = (sample::select(&["length", "chunks", "none"][..]), collection::vec(proptest::num::u8::ANY, 0..3000));
    let mut client = door.connect().await;
    let mut shadowed = 0;
    for _ in 0..HEADS {
        let (method, target, fields) = pick(&heads, &mut runner);
        let (framing, body) = pick(&bodies, &mut runner);
        let (framing, wire, body) = match framing {
            "length" => (format!("Content-Length: {}\r\n", body.len()), body.clone(), body),
            "chunks" => ("Transfer-Encoding: chunked\r\n".to_owned(), chunks(&body), body),
            _ => (String::new(), Vec::new(), Vec::new()),
        };
        let mut request =
            door.head(&format!("{method} {target}"), &format!("{}{framing}", lines(&fields))).into_bytes();
        request.extend(wire);
        let answer = client.round_trip(method, &request).await;
        if answer.field("portway-reason").as_deref() == Some("not-found") {
            // The one prefix that is ours, spelled by chance.
            shadowed += 1;
            client = door.connect().await;
            continue;
        }
        let seen = Echo::reflected(&answer);
        let shown = request.escape_ascii();
        assert_eq!(seen.start_line(), format!("{method} {target} HTTP/1.1"), "{shown}");
        let own = [
            "host",
            "content-length",
            "transfer-encoding",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "cdn-loop",
        ];
        let wanted: Vec<_> = fields.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        assert_eq!(foreign(&seen, &own), wanted, "{shown}");
        assert_eq!(seen.body, body, "{shown}");
    }
    assert!(shadowed < HEADS / 10, "{shadowed} were not relayed at all");
    stage.gateway.stop();
}

fn chunks(body: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    for chunk in body.chunks(700) {
        wire.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        wire.extend_from_slice(chunk);
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b"0\r\n\r\n");
    wire
}

#[tokio::test]
async fn every_response_arrives_as_it_was_sent() {
    let parrot = upstreams::parrot().await;
    let (stage, door) = private(parrot.port());
    let mut runner = TestRunner::deterministic();
    const STATUSES: &[u16] = &[200, 201, 203, 206, 226, 300, 400, 401, 404, 409, 418, 451, 500, 503, 599];
    let heads = (sample::select(STATUSES), "[ -~]{0,30}", fields());
    let bodies = (proptest::bool::ANY, collection::vec(proptest::num::u8::ANY, 0..3000));
    let mut client = door.connect().await;
    for _ in 0..HEADS {
        let (status, reason, fields) = pick(&heads, &mut runner);
        let (chunked, body) = pick(&bodies, &mut runner);
        let (framing, wire) = if chunked {
            ("Transfer-Encoding: chunked".to_owned(), chunks(&body))
        } else {
            (format!("Content-Length: {}", body.len()), body.clone())
        };
        let mut told = format!("HTTP/1.1 {status} {reason}\r\n{}{framing}\r\n\r\n", lines(&fields)).into_bytes();
        told.extend(wire);
        let mut request = door.head("POST /", &format!("Content-Length: {}\r\n", told.len())).into_bytes();
        request.extend(&told);
        let answer = client.round_trip("POST", &request).await;
        let shown = told.escape_ascii();
        assert_eq!(answer.start_line(), format!("HTTP/1.1 {status} {reason}"), "{shown}");
        assert_eq!(foreign(&answer, &["content-length", "transfer-encoding"]), fields, "{shown}");
        assert_eq!(answer.body, body, "{shown}");
    }
    stage.gateway.stop();
}
