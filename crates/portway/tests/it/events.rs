//! Server-sent events: each arrives before the next is made, over every protocol, and a visitor's end reaches the dev
//! server. No clock: the dev server waits for the test to have seen the one before.

use portway_testkit::upstream::Gate;
use portway_testkit::{Client, Recorder, Step, eventually_async, within};

use crate::http2_client::Http2;
use crate::stage::{Plan, plan};

const EVENTS: usize = 5;

/// A script that sends one event for each opening of the gate.
fn script(gate: &Gate, framing: &str, wrap: impl Fn(&str) -> String) -> Vec<Step> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{framing}\r\n");
    let mut steps = vec![Step::ReadHead, Step::write(head)];
    for number in 0..EVENTS {
        steps.push(Step::Wait(gate.clone()));
        steps.push(Step::write(wrap(&event(number))));
    }
    steps
}

fn event(number: usize) -> String {
    format!("id: {number}\ndata: {{\"n\": {number}}}\n\n")
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn stage_for(port: u16) -> Plan {
    plan().private(port)
}

#[tokio::test]
async fn each_event_arrives_before_the_next_is_made() {
    let gate = Gate::new();
    for (framing, wrap) in [("Transfer-Encoding: chunked\r\n", true), ("", false)] {
        let steps = script(&gate, framing, |text| if wrap { chunk(text) } else { text.to_owned() });
        let recorder = Recorder::start(steps).await;
        let stage = stage_for(recorder.port()).start();
        let door = stage.door(recorder.port());

        let mut client = door.connect().await;
        client.send(door.head("GET /events", "Accept: text/event-stream\r\n")).await;
        let head = client.response_head().await.unwrap();
        assert_eq!(head.field("content-type").as_deref(), Some("text/event-stream"));
        let mut body = Client::body_of(&head, "GET");
        for number in 0..EVENTS {
            gate.open();
            let mut got = Vec::new();
            while got.len() < event(number).len() {
                got.extend_from_slice(&client.body_piece(&mut body).await.unwrap().expect("the stream goes on"));
            }
            assert_eq!(String::from_utf8(got).unwrap(), event(number));
        }

        let mut http2 = Http2::connect(&door).await;
        let (response, _) = http2.begin("GET", &format!("{}/events", door.origin()), &door.auth, true).await;
        let mut body = within("the head", response).await.unwrap().into_body();
        for number in 0..EVENTS {
            gate.open();
            let mut got = Vec::new();
            while got.len() < event(number).len() {
                let data = within("an event", body.data()).await.expect("the stream goes on").unwrap();
                body.flow_control().release_capacity(data.len()).unwrap();
                got.extend_from_slice(&data);
            }
            assert_eq!(String::from_utf8(got).unwrap(), event(number));
        }
        drop(body);
        drop(http2);
        // Whoever makes events hears that nobody listens any more. (Over HTTP/1.1 an end may be half of one.)
        eventually_async("the dev server to hear it", async || recorder.connections()[1].ended).await;
        drop(client);
        stage.gateway.stop();
    }
}

#[tokio::test]
async fn a_stream_outlives_every_limit() {
    // The limits are half a second; the stream is silent for ten times as long, which is the one thing that needs a clock.
    let gate = Gate::new();
    let recorder = Recorder::start(script(&gate, "Transfer-Encoding: chunked\r\n", chunk)).await;
    let limits = "[limits]\nrequest_head = \"500ms\"\nkeep_alive = \"500ms\"\nbody_idle = \"500ms\"\nresponse_head = \"500ms\"\n";
    let stage = stage_for(recorder.port()).config(limits).start();
    let door = stage.door(recorder.port());
    let mut client = door.connect().await;
    client.send(door.head("GET /events", "")).await;
    let head = client.response_head().await.unwrap();
    let mut body = Client::body_of(&head, "GET");
    let mut http2 = Http2::connect(&door).await;
    let (response, _) = http2.begin("GET", &format!("{}/events", door.origin()), &door.auth, true).await;
    let mut other = within("the head", response).await.unwrap().into_body();
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    // One opening for each of the two streams, which wait at the same gate.
    gate.open();
    let first = tokio::select! {
        piece = client.body_piece(&mut body) => { assert!(piece.unwrap().is_some()); true }
        data = other.data() => { assert!(data.unwrap().is_ok()); false }
    };
    gate.open();
    if first {
        assert!(within("an event", other.data()).await.unwrap().is_ok());
    } else {
        assert!(client.body_piece(&mut body).await.unwrap().is_some());
    }
    drop(client);
    drop(http2);
    stage.gateway.stop();
}
