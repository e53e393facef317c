//! A thousand WebSockets at once: every message of either side is unique, compared, and nobody else's.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::BytesMut;
use portway_testkit::upstream::Server;
use portway_testkit::websocket::opcode;
use portway_testkit::{Stream, WebSocket, eventually_async, message, within};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::stage::{Door, Stage, WAYS};

const SOCKETS: usize = 1000;
const ROUNDS: usize = 5;
/// 1000: normal closure, RFC 6455 section 7.4.1.
const NORMAL: [u8; 2] = 1000_u16.to_be_bytes();

/// What went wrong on the dev server's side.
type Faults = Arc<Mutex<Vec<String>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_websockets_keep_their_messages_apart() {
    let faults = Faults::default();
    let server = {
        let faults = Arc::clone(&faults);
        Server::start(None, move |stream| serve(stream, Arc::clone(&faults))).await
    };
    let stage = Stage::start(&[server.port()], true, "");
    let begun = Instant::now();
    let (all_open, all_done) = (Arc::new(Barrier::new(SOCKETS + 1)), Arc::new(Barrier::new(SOCKETS + 1)));
    let mut visitors = JoinSet::new();
    for socket in 0..SOCKETS {
        // Every tenth over TLS.
        let way = WAYS[if socket % 10 == 0 { 2 } else { 0 }];
        let door = stage.door(server.port(), way);
        visitors.spawn(visit(door, socket, Arc::clone(&all_open), Arc::clone(&all_done)));
    }
    within("every WebSocket to open", all_open.wait()).await;
    let opened = begun.elapsed();
    assert_eq!(stage.metric("portway_requests_open").await, SOCKETS as f64);
    within("every round to end", all_done.wait()).await;
    let done = begun.elapsed();
    let clean = visitors.join_all().await.len();
    assert_eq!(*faults.lock().expect("faults"), Vec::<String>::new());
    stage.all_closed().await;
    // A tunnel that a reset ended is logged otherwise.
    eventually_async("the log of every tunnel", async || {
        stage.gateway.log().iter().filter(|line| line["reason"] == "tunnel").count() == SOCKETS
    })
    .await;
    println!(
        "{SOCKETS} WebSockets: open after {opened:.1?}, {} messages compared after {done:.1?}, {clean} closed cleanly after \
         {:.1?}; peak {:.1} MiB",
        2 * SOCKETS * ROUNDS,
        begun.elapsed(),
        stage.gateway.peak_memory() as f64 / 1048576.0
    );
}

/// One visitor's part.
async fn visit(door: Door, socket: usize, all_open: Arc<Barrier>, all_done: Arc<Barrier>) {
    let path = format!("/{socket}");
    let mut ws = WebSocket::open(door.connect().await, &door.host, &path, &door.key_lines()).await.expect("101");
    all_open.wait().await;
    for round in 0..ROUNDS {
        ws.send_text(&text("up", socket, round)).await;
        assert_eq!(ws.next_text().await, text("down", socket, round), "socket {socket}, round {round}");
    }
    all_done.wait().await;
    ws.send(opcode::CLOSE, &NORMAL).await.expect("a close frame");
    let frame = ws.next().await.expect("a close frame");
    assert_eq!((frame.opcode, &frame.payload[..]), (opcode::CLOSE, &NORMAL[..]), "socket {socket}");
    assert_eq!(ws.next().await, None, "socket {socket}");
    ws.finish().await;
}

/// The dev server's part: it does not wait for the visitor's message before its own, so that they cross.
async fn serve(mut stream: Box<dyn Stream>, faults: Faults) -> std::io::Result<()> {
    let mut buffer = BytesMut::new();
    let Some(request) = message::read_head(&mut stream, &mut buffer).await? else { return Ok(()) };
    let socket: usize = request.start_line().split(['/', ' ']).nth(2).unwrap_or_default().parse().expect("a number");
    let mut ws = WebSocket::accept(stream, buffer, &request).await?;
    for round in 0..ROUNDS {
        ws.send_text(&text("down", socket, round)).await;
        let frame = ws.next().await;
        if frame.as_ref().is_none_or(|frame| frame.payload != text("up", socket, round)) {
            faults.lock().expect("faults").push(format!("socket {socket}, round {round}: {frame:?}"));
        }
    }
    let close = ws.next().await;
    if close.as_ref().is_none_or(|frame| frame.opcode != opcode::CLOSE) {
        faults.lock().expect("faults").push(format!("socket {socket}: not closed but {close:?}"));
    }
    ws.send(opcode::CLOSE, &NORMAL).await
}

/// A message that no other socket, round or side sends; a few are larger than any buffer on the way.
fn text(side: &str, socket: usize, round: usize) -> String {
    let length = match socket % 50 {
        0 => 100_000,
        1..10 => 5_000,
        _ => 10,
    };
    format!("{side} {round} of {socket} {}", format!("{socket:x}.").repeat(length / 4))
}
