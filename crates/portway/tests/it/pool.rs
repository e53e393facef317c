//! Connections to dev servers: when one is used again, for whom, and what is never sent twice.
//!
//! One core, because each has a pool of its own.

use std::sync::Arc;

use portway_testkit::upstream::Server;
use portway_testkit::{Recorder, Step, eventually_async, message};
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

use crate::stage::{Door, OWNER, Plan, WORKSPACE, plan};

fn one_core() -> Plan {
    plan().config("threads = 1\n")
}

/// A whole answer with this much to say about keeping the connection.
fn ok(keep_alive: &str) -> Step {
    Step::write(format!("HTTP/1.1 200 OK\r\n{keep_alive}Content-Length: 2\r\n\r\nok"))
}

fn answering(keep_alive: &str) -> Vec<Step> {
    vec![Step::ReadRequest, ok(keep_alive), Step::Repeat]
}

async fn send(door: &Door, method: &str) -> u16 {
    let mut client = door.connect().await;
    let request = door.head(&format!("{method} /{method}"), "Content-Length: 0\r\n");
    client.round_trip(method, request).await.status()
}

async fn get(door: &Door) -> u16 {
    door.get("/GET").await
}

#[tokio::test]
async fn a_connection_is_used_again_for_as_long_as_the_server_says() {
    // Node closes after its five seconds; what is sent in the last of them may be lost.
    for (said, posts_reuse) in [("Keep-Alive: timeout=600\r\n", true), ("Keep-Alive: timeout=1\r\n", false)] {
        let recorder = Recorder::start(answering(said)).await;
        let stage = one_core().private(recorder.port()).start();
        let door = stage.door(recorder.port());
        assert_eq!(get(&door).await, 200);
        assert_eq!(send(&door, "POST").await, 200);
        let connections = recorder.connections().len();
        assert_eq!(connections == 1, posts_reuse, "{said:?}: {connections} connections");
        stage.gateway.stop();
    }
}

#[tokio::test]
async fn a_post_is_never_sent_twice() {
    // The connection was used before, and ends when the POST comes: it may have been read, or not.
    let dying = vec![Step::ReadRequest, ok("Keep-Alive: timeout=600\r\n"), Step::ReadRequest, Step::Close];
    let recorder = Recorder::start_with(None, vec![dying, answering("")]).await;
    let stage = one_core().private(recorder.port()).start();
    let door = stage.door(recorder.port());
    assert_eq!(get(&door).await, 200);
    assert_eq!(send(&door, "POST").await, 502);
    assert_eq!(recorder.text().matches("POST /POST").count(), 1);
    assert_eq!(recorder.connections().len(), 1);
    stage.gateway.stop();
}

#[tokio::test]
async fn a_get_is_sent_once_more_and_not_twice_more() {
    let dying = || vec![Step::ReadRequest, ok("Keep-Alive: timeout=600\r\n"), Step::ReadRequest, Step::Close];
    let recorder = Recorder::start_with(None, vec![dying(), answering("")]).await;
    let stage = one_core().private(recorder.port()).start();
    let door = stage.door(recorder.port());
    assert_eq!((get(&door).await, get(&door).await), (200, 200));
    // One that was answered, one that was not, and the same once more.
    assert_eq!(recorder.text().matches("GET /GET").count(), 3);
    assert_eq!(recorder.connections().len(), 2);
    stage.gateway.stop();

    let silent = vec![Step::ReadRequest, Step::Close];
    let recorder = Recorder::start_with(None, vec![dying(), silent]).await;
    let stage = one_core().private(recorder.port()).start();
    let door = stage.door(recorder.port());
    assert_eq!((get(&door).await, get(&door).await), (200, 502));
    assert_eq!(recorder.text().matches("GET /GET").count(), 3);
    stage.gateway.stop();
}

#[tokio::test]
async fn a_request_on_a_fresh_connection_is_never_sent_again() {
    let recorder = Recorder::start(vec![Step::ReadRequest, Step::Close]).await;
    let stage = one_core().private(recorder.port()).start();
    let door = stage.door(recorder.port());
    assert_eq!(get(&door).await, 502);
    assert_eq!(recorder.connections().len(), 1);
    stage.gateway.stop();
}

#[tokio::test]
async fn an_idle_connection_that_the_server_closed_is_not_used() {
    let closing = vec![Step::ReadRequest, ok("Keep-Alive: timeout=600\r\n"), Step::Close];
    let recorder = Recorder::start(closing).await;
    let stage = one_core().private(recorder.port()).start();
    let door = stage.door(recorder.port());
    for number in 1..=5 {
        // A POST, which could not be repeated.
        assert_eq!(send(&door, "POST").await, 200);
        recorder.all_ended(number).await;
    }
    assert_eq!(recorder.connections().len(), 5);
    stage.gateway.stop();
}

#[tokio::test]
async fn an_answer_to_nobody_is_not_the_next_visitors() {
    let (push, pushed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let server = {
        let (push, pushed) = (push.clone(), pushed.clone());
        Server::start(None, move |mut stream| {
            let (push, pushed) = (push.clone(), pushed.clone());
            async move {
                let mut buffer = bytes::BytesMut::new();
                while message::read_head(&mut stream, &mut buffer).await?.is_some() {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine").await?;
                    push.notified().await;
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil").await?;
                    pushed.notify_one();
                }
                Ok(())
            }
        })
        .await
    };
    let stage = one_core().private(server.port()).start();
    let door = stage.door(server.port());
    for _ in 0..3 {
        let answer = door.connect().await.round_trip("GET", door.head("GET /", "")).await;
        assert_eq!(answer.text(), "mine");
        push.notify_one();
        portway_testkit::within("the answer to nobody", pushed.notified()).await;
    }
    stage.gateway.stop();
}

#[tokio::test]
async fn a_new_life_of_the_workspace_takes_new_connections() {
    let recorder = Recorder::start(answering("Keep-Alive: timeout=600\r\n")).await;
    let stage = one_core().private(recorder.port()).start();
    let door = stage.door(recorder.port());
    assert_eq!((get(&door).await, get(&door).await), (200, 200));
    assert_eq!(recorder.connections().len(), 1, "it was used again");
    stage.gateway.run(&["workspace", "set", WORKSPACE, "--stopped"]);
    // The next tenant of the address must not be spoken to on it.
    recorder.all_ended(1).await;
    eventually_async("the workspace to be stopped", async || get(&door).await == 404).await;
    stage.gateway.run(&["workspace", "set", WORKSPACE, "--running"]);
    eventually_async("the workspace to run again", async || get(&door).await == 200).await;
    assert_eq!(recorder.connections().len(), 2);
    stage.gateway.stop();
}

#[tokio::test]
async fn visitors_do_not_share_connections_unless_the_port_is_public() {
    let private = Recorder::start(answering("Keep-Alive: timeout=600\r\n")).await;
    let public = Recorder::start(answering("Keep-Alive: timeout=600\r\n")).await;
    let stage = one_core().private(private.port()).public(public.port()).start();
    let port = private.port().to_string();
    stage.gateway.run(&["user", "add", "bob"]);
    stage.gateway.run(&["share", "set", WORKSPACE, &port, "--user", "bob"]);
    let token = ["token", "create", "--user", "bob", "--workspace", WORKSPACE, "--port", &port];
    let token = stage.gateway.run(&token);
    let alice = stage.door(private.port());
    let bob = Door { auth: format!("X-Portway-Token: {}\r\n", token.trim()), ..alice.clone() };
    eventually_async("bob's token to work", async || get(&bob).await == 200).await;
    // One of his, however often he asked.
    assert_eq!(private.connections().len(), 1);
    assert_eq!((get(&alice).await, get(&alice).await), (200, 200));
    assert_eq!(private.connections().len(), 2, "{OWNER} was given bob's connection");
    assert_eq!((get(&bob).await, get(&alice).await), (200, 200));
    assert_eq!(private.connections().len(), 2);
    for both in private.connections() {
        let text = String::from_utf8_lossy(&both.bytes).into_owned();
        assert!(!text.contains("pwy_"), "{text}");
    }
    let everybody = stage.door(public.port());
    assert_eq!((get(&everybody).await, get(&everybody).await), (200, 200));
    assert_eq!(public.connections().len(), 1);
    stage.gateway.stop();
}
