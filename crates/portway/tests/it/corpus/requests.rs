//! What a visitor may send, and what becomes of it. The items of an outcome:
//!
//! - `400`: refused with this status and closed; the dev server sees no connection and no byte
//! - `answer 404`: the gateway's own answer; the dev server sees nothing; the connection may go on
//! - `cut 400`: the body is malformed: answered so and closed, or reset where it is `cut`; no whole request arrives
//! - `closed`: closed without an answer; no whole request arrives
//! - `relayed`, `relayed 2`: so many requests arrive whole, each field as it was sent, and are answered 200; then
//!   `close`: the gateway closes; `then 400`: the next one is refused; `then answer 404`; else the connection goes on
//! - with `-Name`: this field does not arrive; `target=`, `body=`, `trailers=`, `fields=`: what arrives instead
//! - `upgrade`: the dev server is asked to upgrade; `te`: Connection nominates TE, as its sender must
//! - `private`: says nothing about public ports

use bytes::Bytes;
use portway_testkit::message::{self, BodyReader};
use portway_testkit::{Client, Ending, Message, within};

use super::case::{Case, Then};
use super::stand::{NEXT_PATH, Seen, Stand};
use super::{REQUESTS, cases, lanes};
use crate::stage::{Door, plan};

/// Requests longer than this are not sent byte by byte.
const BYTEWISE: usize = 1500;

#[tokio::test]
async fn every_request_has_its_outcome() {
    let lanes = lanes(cases(REQUESTS, 4));
    let mut stands = Vec::new();
    let mut plan = plan();
    for _ in &lanes {
        let (private, public) = (Stand::start().await, Stand::start().await);
        plan = plan.private(private.port()).public(public.port());
        stands.push((private, public));
    }
    let stage = plan.start();
    let runs = lanes.into_iter().zip(stands).map(|(cases, (private, public))| {
        let doors = (stage.door(private.port()), stage.door(public.port()));
        tokio::spawn(async move {
            let mut faults = Vec::new();
            for case in &cases {
                faults.extend(run(case, &doors.0, &private, false).await);
                if !case.wants().contains(&"private") {
                    faults.extend(run(case, &doors.1, &public, true).await);
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

/// Runs one case; a sentence if it went otherwise than it must.
async fn run(case: &Case, door: &Door, stand: &Stand, bytewise: bool) -> Option<String> {
    stand.begin();
    let attempt = tokio::spawn(attempt(*case, door.clone(), bytewise)).await;
    let outcome = match attempt {
        Ok(Ok(())) => judge(case, door, stand).await,
        Ok(Err(fault)) => Err(fault),
        Err(panic) => Err(format!("hangs or breaks: {panic}")),
    };
    // Whatever is under way must not be taken for the next case's.
    let seen = stand.seen();
    outcome.err().map(|fault| {
        let port = if door.auth.is_empty() { "public" } else { "private" };
        let lines: Vec<String> = seen.requests.iter().map(Message::start_line).collect();
        let Case { class, name, rfc, want, .. } = case;
        format!(
            "{class} / {name} ({port}): wanted {want} ({rfc}), but {fault}; upstream saw {lines:?}, {} bytes",
            seen.bytes
        )
    })
}

/// The visitor's side: sends the bytes and compares what comes back.
async fn attempt(case: Case, door: Door, bytewise: bool) -> Result<(), String> {
    let (bytes, then) = case.bytes(&door);
    let mut client = door.connect().await;
    // A strict peer closes at the first wrong byte, so that the rest may not go out.
    let sent = if bytewise && bytes.len() <= BYTEWISE {
        client.send_bytewise(&bytes).await
    } else {
        client.try_send(&bytes).await
    };
    if then == Then::End && sent.is_ok() {
        client.finish().await;
    }
    let wants = case.wants();
    let (kind, rest) = wants[0].split_once(' ').unwrap_or((wants[0], ""));
    match kind {
        "answer" => answered(&mut client, &bytes, rest).await,
        "cut" if rest.is_empty() => {
            let (bytes, ending) = client.read_to_close().await;
            if ending == Ending::Reset && bytes.is_empty() {
                Ok(())
            } else {
                Err(format!("it ended {ending:?} after {}", show(&bytes)))
            }
        }
        "cut" => refused(&mut client, rest).await,
        "closed" => {
            let (bytes, _) = client.read_to_close().await;
            if bytes.is_empty() { Ok(()) } else { Err(format!("it answered {}", show(&bytes))) }
        }
        "relayed" => relayed(&mut client, &case, &door, &bytes, rest).await,
        status => refused(&mut client, status).await,
    }
}

/// Exactly one answer with this status, then a proper close.
async fn refused(client: &mut Client, status: &str) -> Result<(), String> {
    let (bytes, ending) = client.read_to_close().await;
    let mut messages = read_all(&bytes).await?;
    let (Some(answer), true) = (messages.pop(), messages.is_empty()) else {
        return Err(format!("it answered {}", show(&bytes)));
    };
    if answer.status().to_string() != status {
        return Err(format!("it answered {} {}", answer.status(), answer.field("portway-reason").unwrap_or_default()));
    }
    if answer.field("connection").as_deref() != Some("close") || ending != Ending::Clean {
        return Err(format!("it ended {ending:?} with Connection: {:?}", answer.field("connection")));
    }
    well_made(&answer)
}

async fn answered(client: &mut Client, bytes: &[u8], status: &str) -> Result<(), String> {
    let answer = client.response(method(bytes)).await.map_err(|error| format!("no answer came: {error}"))?;
    if answer.status().to_string() != status {
        return Err(format!("it answered {} {:?}", answer.status(), answer.field("portway-reason")));
    }
    well_made(&answer)
}

/// Every answer of the gateway's own has these (design: "Answers of our own").
fn well_made(answer: &Message) -> Result<(), String> {
    let has = |name: &str| answer.field(name).is_some_and(|value| !value.is_empty());
    if answer.field("cache-control").as_deref() == Some("no-store") && has("portway-reason") {
        return Ok(());
    }
    Err(format!("the answer lacks a field: {}", show(&answer.head)))
}

async fn relayed(client: &mut Client, case: &Case, door: &Door, bytes: &[u8], count: &str) -> Result<(), String> {
    let count: usize = if count.is_empty() { 1 } else { count.parse().expect("a number") };
    for number in 0..count {
        // Of several requests only the first may be a HEAD.
        let method = if number == 0 { method(bytes) } else { "GET" };
        let answer = within("an answer", final_answer(client, method)).await;
        let answer = answer.map_err(|error| format!("answer {number} did not come: {error}"))?;
        if answer.status() != 200 || method != "HEAD" && answer.text() != "ok" {
            let reason = answer.field("portway-reason").unwrap_or_default();
            return Err(format!("answer {number} was {} {reason}", answer.status()));
        }
    }
    let wants = case.wants();
    if let Some(then) = wants.iter().find_map(|item| item.strip_prefix("then ")) {
        return match then.strip_prefix("answer ") {
            Some(status) => answered(client, bytes, status).await,
            None => refused(client, then).await,
        };
    }
    if wants.contains(&"close") {
        let (bytes, ending) = client.read_to_close().await;
        let clean = bytes.is_empty() && ending == Ending::Clean;
        return if clean { Ok(()) } else { Err(format!("it ended {ending:?} after {}", show(&bytes))) };
    }
    // Both sides still agree on where messages begin.
    client.try_send(door.head(&format!("GET {NEXT_PATH}"), "")).await.map_err(|error| format!("it closed: {error}"))?;
    let next = client.response("GET").await.map_err(|error| format!("the connection did not go on: {error}"))?;
    if next.text() == "next" { Ok(()) } else { Err(format!("the next request got {}", show(&next.head))) }
}

async fn final_answer(client: &mut Client, method: &str) -> std::io::Result<Message> {
    loop {
        let answer = client.response(method).await?;
        if answer.status() >= 200 {
            return Ok(answer);
        }
    }
}

/// The dev server's side: what must have arrived, and nothing else.
async fn judge(case: &Case, door: &Door, stand: &Stand) -> Result<(), String> {
    let wants = case.wants();
    let (kind, rest) = wants[0].split_once(' ').unwrap_or((wants[0], ""));
    match kind {
        "relayed" => {
            let count: usize = if rest.is_empty() { 1 } else { rest.parse().expect("a number") };
            let Seen { mut requests, partial, .. } = stand.seen();
            requests.retain(|request| !request.start_line().starts_with(&format!("GET {NEXT_PATH} ")));
            if requests.len() != count || partial != 0 {
                return Err(format!("{} requests arrived", requests.len()));
            }
            let request = requests.first().expect("at least one request");
            compare(case, door, &case.bytes(door).0, request)
        }
        "cut" | "closed" => {
            stand.until("the cut request to end", |seen| seen.partial == 0).await?;
            let seen = stand.seen();
            if seen.requests.is_empty() { Ok(()) } else { Err("a whole request arrived".to_owned()) }
        }
        _ => {
            let seen = stand.seen();
            let nothing = seen.requests.is_empty() && seen.bytes == 0 && seen.connections == 0;
            if nothing { Ok(()) } else { Err(format!("{} connections were made", seen.connections)) }
        }
    }
}

/// The first request as it arrived, against what was sent.
fn compare(case: &Case, door: &Door, sent: &[u8], arrived: &Message) -> Result<(), String> {
    let end = message::find(sent, b"\r\n\r\n").expect("a relayed head has an end") + 4;
    let sent = Message { head: Bytes::copy_from_slice(&sent[..end]), ..Message::default() };
    let words = sent.start_line();
    let words: Vec<&str> = words.split(' ').collect();
    let target = case.value("target").unwrap_or_else(|| words[1].as_bytes().to_vec());
    let line = [words[0].as_bytes(), b" ", &target, b" HTTP/1.1"].concat();
    if arrived.start_line().as_bytes() != line {
        return Err(format!("the request line was {:?}", arrived.start_line()));
    }
    let local = format!("localhost:{}", door.port);
    for (name, value) in [
        ("Host", &*local),
        ("X-Forwarded-Host", &local),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-For", "127.0.0.1"),
    ] {
        if arrived.all(name) != [value] {
            return Err(format!("{name} was {:?}", arrived.all(name)));
        }
    }
    let wants = case.wants();
    let (options, protocols): (&[&str], &[&str]) = match () {
        () if wants.contains(&"upgrade") => (&["Upgrade"], &["websocket"]),
        () if wants.contains(&"te") => (&["TE"], &[]),
        () => (&[], &[]),
    };
    if arrived.all("connection") != options || arrived.all("upgrade") != protocols {
        return Err(format!("Connection was {:?}, Upgrade {:?}", arrived.all("connection"), arrived.all("upgrade")));
    }
    if let Some(body) = case.value("body")
        && arrived.body != body
    {
        return Err(format!("the body was {}", show(&arrived.body)));
    }
    if arrived.trailers != case.value("trailers").unwrap_or_default() {
        return Err(format!("the trailers were {}", show(&arrived.trailers)));
    }
    let wanted = match case.value("fields") {
        Some(fields) => fields,
        None => end_to_end(&sent, &case.wants()),
    };
    let found = end_to_end(arrived, &[]);
    if wanted == found { Ok(()) } else { Err(format!("the fields were {}, not {}", show(&found), show(&wanted))) }
}

/// The field lines that are neither framing nor the gateway's own, as `name: value` lines in their order.
fn end_to_end(head: &Message, wants: &[&str]) -> Vec<u8> {
    const OWN: &[&str] = &[
        "host",
        "connection",
        "upgrade",
        "content-length",
        "transfer-encoding",
        "x-portway-token",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "cdn-loop",
    ];
    let dropped = |name: &[u8]| {
        let own = OWN.iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes()));
        own || wants
            .iter()
            .any(|item| item.strip_prefix('-').is_some_and(|it| name.eq_ignore_ascii_case(it.as_bytes())))
    };
    let mut lines = Vec::new();
    for line in head.head.split(|byte| *byte == b'\n').skip(1) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
        if !dropped(name) {
            lines.extend([name, b": ", value, b"\r\n"].concat());
        }
    }
    lines
}

fn trim(value: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !blank(byte)).map_or(start, |at| at + 1);
    &value[start..end]
}

/// Every message in `bytes`; an error if there is anything else.
async fn read_all(bytes: &[u8]) -> Result<Vec<Message>, String> {
    let (mut stream, mut buffer) = (&b""[..], bytes::BytesMut::from(bytes));
    let mut messages = Vec::new();
    while !buffer.is_empty() {
        let fault = |error: std::io::Error| format!("what came back is no answer ({error}): {}", show(bytes));
        let Some(mut answer) = message::read_head(&mut stream, &mut buffer).await.map_err(fault)? else { break };
        let mut reader = BodyReader::new(answer.response_length("GET"));
        let mut body = Vec::new();
        while let Some(piece) = reader.next(&mut stream, &mut buffer).await.map_err(fault)? {
            body.extend_from_slice(&piece);
        }
        answer.body = body.into();
        messages.push(answer);
    }
    Ok(messages)
}

fn method(bytes: &[u8]) -> &'static str {
    if bytes.starts_with(b"HEAD ") { "HEAD" } else { "GET" }
}

pub(super) fn show(bytes: &[u8]) -> String {
    let text = bytes[..bytes.len().min(300)].escape_ascii().to_string();
    format!("\"{text}\"")
}
