//! What a dev server may answer, and what the visitor gets. The request is `GET`, `HEAD`, `POST` (without a body) or `WS`
//! (a WebSocket handshake with the key of RFC 6455's example). The items of an outcome:
//!
//! - `502`: the gateway's own answer; the dev server's connection is closed
//! - `reset`: it breaks off; never does it end as if it were whole
//! - `200` and the like: the response passes, with this status; `body=`: and this content (nothing if not given);
//!   `interim=103 103`: after these; `trailers=`
//! - `tunnel`: 101 passes and bytes flow both ways
//! - `h1`: says nothing about visitors over HTTP/2
//!
//! After each case the visitor asks again, on the same connection where it goes on, and must get its own answer.

use std::io::ErrorKind;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{Method, Request, Version};
use portway_testkit::{Client, Ending, within};
use tokio::net::TcpStream;

use super::case::Case;
use super::requests::show;
use super::stand::{NEXT_PATH, Stand};
use super::{RESPONSES, cases, lanes};
use crate::stage::{Door, plan};

/// The key of RFC 6455's example; the answer to it is `s3pPLMBiTxaQ9kYGzzhZRbK+xOo=`.
const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// What a visitor got.
#[derive(Debug, Default)]
struct Got {
    interim: Vec<u16>,
    status: u16,
    body: Vec<u8>,
    trailers: Vec<u8>,
    /// The gateway's own answer says why.
    reason: String,
    reset: bool,
    /// It ended properly in the middle: what `reset` is there to prevent.
    cut: bool,
}

impl Got {
    fn ended(&mut self, error: &std::io::Error) {
        self.reset = error.kind() == ErrorKind::ConnectionReset;
        self.cut = !self.reset;
    }
}

#[tokio::test]
async fn every_response_has_its_outcome_over_http1_and_http2() {
    let lanes = lanes(cases(RESPONSES, 5));
    let mut stands = Vec::new();
    let mut plan = plan();
    for _ in &lanes {
        let stand = Stand::start().await;
        plan = plan.private(stand.port());
        stands.push(stand);
    }
    let stage = plan.start();
    let runs = lanes.into_iter().zip(stands).map(|(cases, stand)| {
        let door = stage.door(stand.port());
        tokio::spawn(async move {
            let mut faults = Vec::new();
            for case in &cases {
                faults.extend(run(case, &door, &stand, false).await);
                if case.request != "WS" && !case.wants().contains(&"h1") {
                    faults.extend(run(case, &door, &stand, true).await);
                }
            }
            faults
        })
    });
    let mut faults = Vec::new();
    for lane in runs.collect::<Vec<_>>() {
        faults.extend(lane.await.expect("a lane"));
    }
    stage.gateway.stop();
    assert!(faults.is_empty(), "{} cases have another outcome:\n{}", faults.len(), faults.join("\n"));
}

async fn run(case: &Case, door: &Door, stand: &Stand, http2: bool) -> Option<String> {
    let (bytes, then) = case.bytes(door);
    stand.answering(bytes, then);
    let attempt = {
        let (case, door) = (*case, door.clone());
        tokio::spawn(async move { if http2 { over_http2(case, door).await } else { over_http1(case, door).await } })
    };
    let outcome = match attempt.await {
        Ok(Ok(())) => left_alone(case, stand).await,
        Ok(Err(fault)) => Err(fault),
        Err(panic) => Err(format!("hangs or breaks: {panic}")),
    };
    outcome.err().map(|fault| {
        let over = if http2 { "HTTP/2" } else { "HTTP/1.1" };
        let Case { class, name, rfc, want, .. } = case;
        format!("{class} / {name} (over {over}): wanted {want} ({rfc}), but {fault}")
    })
}

/// A connection that a dev server spoiled is closed, and each request was sent once.
async fn left_alone(case: &Case, stand: &Stand) -> Result<(), String> {
    let seen = stand.seen();
    let asked = seen.requests.iter().filter(|request| request.start_line().contains(" /one ")).count();
    // Where nothing at all came back, a request on a connection used before may be sent once more (RFC 9110 9.2.2).
    if asked != 1 && !(case.is_silent() && asked == 2) {
        return Err(format!("the dev server was asked {asked} times"));
    }
    if matches!(case.wants()[0], "502" | "reset") && case.value("body").is_none() {
        stand.until("the spoiled connection to be closed", |seen| seen.used == 0).await?;
    }
    Ok(())
}

async fn over_http1(case: Case, door: Door) -> Result<(), String> {
    let mut client = door.connect().await;
    let (method, extra) = match case.request {
        "WS" => ("GET", HANDSHAKE),
        "POST" => ("POST", "Content-Length: 0\r\n"),
        other => (other, ""),
    };
    client.send(door.head(&format!("{method} /one"), extra)).await;
    let wants = case.wants();
    if wants[0] == "tunnel" {
        return tunnel(&mut client).await;
    }
    let (got, close) = read_http1(&mut client, method).await;
    compare(&case, &got)?;
    // The next request must get its own answer, here if the connection goes on, else on another.
    if close || got.reset {
        if !got.reset {
            let (rest, ending) = client.read_to_close().await;
            if !rest.is_empty() || ending != Ending::Clean {
                return Err(format!("it ended {ending:?} after {}", show(&rest)));
            }
        }
        client = door.connect().await;
    }
    let next = door.head(&format!("GET {NEXT_PATH}"), "");
    client.try_send(next).await.map_err(|error| format!("the connection did not go on: {error}"))?;
    let next = client.response("GET").await.map_err(|error| format!("the next request got nothing: {error}"))?;
    if next.text() == "next" { Ok(()) } else { Err(format!("the next request got {}", show(&next.head))) }
}

async fn tunnel(client: &mut Client) -> Result<(), String> {
    let head = client.response_head().await.map_err(|error| format!("nothing came: {error}"))?;
    if head.status() != 101 {
        return Err(format!("it answered {} {:?}", head.status(), head.field("portway-reason")));
    }
    Ok(())
}

async fn read_http1(client: &mut Client, method: &str) -> (Got, bool) {
    let mut got = Got::default();
    loop {
        let head = match client.response_head().await {
            Ok(head) => head,
            Err(error) => {
                got.ended(&error);
                return (got, true);
            }
        };
        got.status = head.status();
        if got.status < 200 {
            got.interim.push(got.status);
            continue;
        }
        got.reason = head.field("portway-reason").unwrap_or_default();
        let mut body = Client::body_of(&head, method);
        loop {
            match client.body_piece(&mut body).await {
                Ok(Some(piece)) => got.body.extend_from_slice(&piece),
                Ok(None) => break,
                Err(error) => {
                    got.ended(&error);
                    break;
                }
            }
        }
        got.trailers = body.trailers.to_vec();
        let close = head.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        return (got, close);
    }
}

async fn over_http2(case: Case, door: Door) -> Result<(), String> {
    let tcp = TcpStream::connect(door.address).await.expect("connect");
    let (mut sender, connection) = h2::client::handshake(tcp).await.expect("an HTTP/2 handshake");
    let driver = tokio::spawn(connection);
    let method = Method::from_bytes(case.request.as_bytes()).expect("a method");
    let got = within("an answer over HTTP/2", read_http2(&mut sender, &door, method, "/one")).await;
    compare(&case, &got)?;
    // One stream's end is no other's.
    let next = within("the next answer", read_http2(&mut sender, &door, Method::GET, NEXT_PATH)).await;
    driver.abort();
    if next.body == b"next" && !next.reset { Ok(()) } else { Err(format!("the next request got {next:?}")) }
}

async fn read_http2(sender: &mut SendRequest<Bytes>, door: &Door, method: Method, path: &str) -> Got {
    let mut request =
        Request::builder().version(Version::HTTP_2).method(method).uri(format!("{}{path}", door.origin()));
    if let Some((name, value)) = door.auth.trim_end().split_once(": ") {
        request = request.header(name, value);
    }
    let request = request.body(()).expect("a request");
    let mut got = Got { reset: true, ..Got::default() };
    let Ok((mut response, _)) = sender.send_request(request, true) else { return got };
    while let Some(Ok(interim)) = std::future::poll_fn(|cx| response.poll_informational(cx)).await {
        got.interim.push(interim.status().as_u16());
    }
    let Ok(response) = response.await else { return got };
    got.status = response.status().as_u16();
    let reason = response.headers().get("portway-reason").map(|value| value.to_str().unwrap_or_default().to_owned());
    got.reason = reason.unwrap_or_default();
    let mut body = response.into_body();
    while let Some(data) = body.data().await {
        let Ok(data) = data else { return got };
        // Refused only on a connection that is gone, which the next read says.
        drop(body.flow_control().release_capacity(data.len()));
        got.body.extend_from_slice(&data);
    }
    let Ok(trailers) = body.trailers().await else { return got };
    for (name, value) in trailers.iter().flatten() {
        got.trailers.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    got.reset = false;
    got
}

fn compare(case: &Case, got: &Got) -> Result<(), String> {
    let fault = || {
        let end = if got.reset {
            ", then a reset"
        } else if got.cut {
            ", then an end in the middle"
        } else {
            ""
        };
        Err(format!("it got {} {:?} {} {}{end}", got.status, got.interim, got.reason, show(&got.body)))
    };
    if got.cut {
        return fault();
    }
    if case.wants()[0] == "reset" {
        return if got.reset { Ok(()) } else { fault() };
    }
    if got.reset || got.status.to_string() != case.wants()[0] {
        return fault();
    }
    if got.status == 502 && case.value("body").is_none() {
        // Ours, not the dev server's.
        return if got.reason == "bad-upstream" { Ok(()) } else { fault() };
    }
    let interim: Vec<String> = got.interim.iter().map(u16::to_string).collect();
    let wanted = case.value("interim").unwrap_or_default();
    let trailers = case.value("trailers").unwrap_or_default();
    let body = case.value("body").unwrap_or_default();
    let same = interim.join(" ").as_bytes() == wanted
        && body == got.body
        && got.trailers.eq_ignore_ascii_case(&trailers)
        && got.reason.is_empty();
    if same { Ok(()) } else { fault() }
}
