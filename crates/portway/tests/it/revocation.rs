//! Whoever may no longer see a port stops seeing it at once: open event streams and WebSockets are cut, never ended as if
//! they were whole, and the dev server hears it (R53). How long each took is printed.

use std::time::{Duration, Instant};

use portway_testkit::message::BodyReader;
use portway_testkit::{Client, Ending, Recorder, Step, Visitor, WebSocket, eventually_async};

use crate::http2_client::Http2;
use crate::stage::{Door, OWNER, Stage, WORKSPACE, plan};

/// The most that a change may take to cut what is open.
const BOUND: Duration = Duration::from_secs(5);

const EVENTS: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n8\r\ndata: 1\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x01";
const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A dev server that begins an event stream, and one that opens a WebSocket; neither ever ends by itself.
struct Servers {
    events: Recorder,
    sockets: Recorder,
}

impl Servers {
    async fn start() -> Self {
        let begin = |answer: &str| vec![Step::ReadHead, Step::write(answer)];
        Self { events: Recorder::start(begin(EVENTS)).await, sockets: Recorder::start(begin(SWITCH)).await }
    }

    fn stage(&self) -> Stage {
        plan().private(self.events.port()).private(self.sockets.port()).start()
    }
}

/// What is open when the change comes.
struct Open {
    events: Client,
    body: BodyReader,
    socket: Client,
    http2: h2::RecvStream,
    _connection: Http2,
}

async fn open(events: &Door, sockets: &Door) -> Open {
    let mut one = events.connect().await;
    one.send(events.head("GET /events", "")).await;
    let head = one.response_head().await.expect("a stream");
    assert_eq!(head.status(), 200, "{}", events.auth);
    let mut body = Client::body_of(&head, "GET");
    assert!(one.body_piece(&mut body).await.expect("an event").is_some());

    let mut two = sockets.connect().await;
    two.send(sockets.head("GET /", HANDSHAKE)).await;
    assert_eq!(two.response_head().await.expect("a 101").status(), 101);
    two.read_until(b"\x01").await;

    let mut connection = Http2::connect(events).await;
    let url = format!("{}/events", events.origin());
    let (response, _) = connection.begin("GET", &url, &events.auth, true).await;
    let response = portway_testkit::within("a stream over HTTP/2", response).await.expect("a stream");
    let mut http2 = response.into_body();
    assert!(http2.data().await.expect("an event").is_ok());
    Open { events: one, body, socket: two, http2, _connection: connection }
}

/// Waits for all of them to be cut, and asserts that they were and that the dev servers heard of it.
async fn cut(what: &str, since: Instant, mut open: Open, servers: &Servers) {
    let ended = open.events.body_piece(&mut open.body).await.expect_err("the stream ended as if it were whole");
    assert_eq!(ended.kind(), std::io::ErrorKind::ConnectionReset, "{what}");
    let (rest, ending) = open.socket.read_to_close().await;
    assert_eq!((&rest[..], ending), (&b""[..], Ending::Reset), "{what}");
    let data = portway_testkit::within("the HTTP/2 stream to be cut", open.http2.data()).await;
    assert!(data.expect("the stream ended as if it were whole").is_err(), "{what}");
    let took = since.elapsed();
    println!("{what}: cut after {took:?}");
    assert!(took < BOUND, "{what} took {took:?}");
    servers.events.all_ended(2).await;
    servers.sockets.all_ended(1).await;
}

/// Afterwards the same visitor gets this and nobody is asked.
async fn refused(door: &Door, status: u16, recorder: &Recorder) {
    let before = recorder.connections().len();
    assert_eq!(door.get("/again").await, status);
    assert_eq!(recorder.connections().len(), before, "the dev server was asked");
}

/// Doors that a login opens.
async fn by_login(visitor: &mut Visitor, stage: &Stage, servers: &Servers) -> (Door, Door) {
    let mut doors = Vec::new();
    for port in [servers.events.port(), servers.sockets.port()] {
        let door = Door { auth: String::new(), ..stage.door(port) };
        // Our own page of that host: nothing is asked of the dev server.
        let cookie = session(visitor, &door).await;
        doors.push(Door { auth: format!("Cookie: {cookie}\r\nOrigin: {}\r\n", door.origin()), ..door });
    }
    let sockets = doors.pop().expect("two doors");
    (doors.pop().expect("two doors"), sockets)
}

/// The session cookie, by a visit to a page that asks only whether the port is open.
async fn session(visitor: &mut Visitor, door: &Door) -> String {
    visitor.session_for(&format!("{}/.portway/port", door.origin())).await
}

#[tokio::test]
async fn logging_out_cuts_what_the_login_opened() {
    let servers = Servers::start().await;
    let stage = servers.stage();
    let mut visitor = stage.log_in(OWNER).await;
    let (events, sockets) = by_login(&mut visitor, &stage, &servers).await;
    // The same person elsewhere is another login.
    let mut other = stage.log_in(OWNER).await;
    let (kept, _) = by_login(&mut other, &stage, &servers).await;
    let open = open(&events, &sockets).await;
    let home = format!("http://portway.localhost:{}/.portway/logout", stage.gateway.plain().port());
    let since = Instant::now();
    visitor.submit(&home, "").await;
    cut("logout", since, open, &servers).await;
    assert_eq!(events.get("/again").await, 401);
    assert_eq!(kept.get("/.portway/port").await, 200, "another login was ended with it");
    stage.gateway.stop();
}

#[tokio::test]
async fn taking_a_share_back_cuts_what_it_opened() {
    let servers = Servers::start().await;
    let stage = servers.stage();
    stage.gateway.run(&["user", "add", "bob"]);
    let ports = [servers.events.port().to_string(), servers.sockets.port().to_string()];
    for port in &ports {
        stage.gateway.run(&["share", "set", WORKSPACE, port, "--user", "bob"]);
    }
    let mut doors = Vec::new();
    for port in [servers.events.port(), servers.sockets.port()] {
        let text = port.to_string();
        let token = stage.gateway.run(&["token", "create", "--user", "bob", "--workspace", WORKSPACE, "--port", &text]);
        let door = Door { auth: format!("X-Portway-Token: {}\r\n", token.trim()), ..stage.door(port) };
        eventually_async("bob's token to work", async || door.get("/.portway/port").await == 200).await;
        doors.push(door);
    }
    // The owner's own go on.
    let own = stage.door(servers.events.port());
    let mut kept = own.connect().await;
    kept.send(own.head("GET /kept", "")).await;
    kept.read_until(b"data: 1\n\r\n").await;
    servers.events.saw("GET /kept").await;

    let open = open(&doors[0], &doors[1]).await;
    let since = Instant::now();
    for port in &ports {
        stage.gateway.run(&["share", "remove", WORKSPACE, port]);
    }
    cut_but("unshare", since, open, 1, &servers).await;
    refused(&doors[0], 404, &servers.events).await;
    // Still open: it would say so if it had ended.
    assert_eq!(servers.events.connections().iter().filter(|one| !one.ended).count(), 1);
    drop(kept);
    stage.gateway.stop();
}

/// [`cut`] where so many event streams of others go on.
async fn cut_but(what: &str, since: Instant, mut open: Open, kept: usize, servers: &Servers) {
    assert!(open.events.body_piece(&mut open.body).await.is_err(), "{what}: the stream ended as if it were whole");
    assert_eq!(open.socket.read_to_close().await.1, Ending::Reset, "{what}");
    let data = portway_testkit::within("the HTTP/2 stream to be cut", open.http2.data()).await;
    assert!(data.expect("the stream ended as if it were whole").is_err(), "{what}");
    let took = since.elapsed();
    println!("{what}: cut after {took:?}");
    assert!(took < BOUND, "{what} took {took:?}");
    eventually_async("the dev servers to hear it", async || {
        servers.events.connections().iter().filter(|one| !one.ended).count() == kept
    })
    .await;
}

#[tokio::test]
async fn a_port_that_is_public_no_longer_cuts_strangers() {
    let servers = Servers::start().await;
    let stage = plan().public(servers.events.port()).public(servers.sockets.port()).start();
    let (events, sockets) = (stage.door(servers.events.port()), stage.door(servers.sockets.port()));
    let open = open(&events, &sockets).await;
    let since = Instant::now();
    for port in [servers.events.port(), servers.sockets.port()] {
        stage.gateway.run(&["share", "set", WORKSPACE, &port.to_string(), "owner"]);
    }
    cut("public no longer", since, open, &servers).await;
    refused(&events, 401, &servers.events).await;
    stage.gateway.stop();
}

#[tokio::test]
async fn revoking_a_token_cuts_what_it_opened() {
    let servers = Servers::start().await;
    let stage = servers.stage();
    let (events, sockets) = (stage.door(servers.events.port()), stage.door(servers.sockets.port()));
    let open = open(&events, &sockets).await;
    let listed: serde_json::Value =
        serde_json::from_str(&stage.gateway.run(&["token", "list", "--json"])).expect("JSON");
    let tokens = listed.as_array().expect("a list");
    assert_eq!(tokens.len(), 2);
    let since = Instant::now();
    for token in tokens {
        stage.gateway.run(&["token", "remove", token["id"].as_str().expect("an id")]);
    }
    cut("token revoked", since, open, &servers).await;
    refused(&events, 401, &servers.events).await;
    stage.gateway.stop();
}

#[tokio::test]
async fn removing_a_workspace_cuts_everything_of_it() {
    let servers = Servers::start().await;
    let stage = servers.stage();
    let (events, sockets) = (stage.door(servers.events.port()), stage.door(servers.sockets.port()));
    let open = open(&events, &sockets).await;
    let since = Instant::now();
    stage.gateway.run(&["workspace", "remove", WORKSPACE]);
    cut("workspace removed", since, open, &servers).await;
    let before = servers.events.connections().len();
    let status = events.get("/again").await;
    assert!(matches!(status, 401 | 404), "{status}");
    assert_eq!(servers.events.connections().len(), before, "the dev server was asked");
    stage.gateway.stop();
}

#[tokio::test]
async fn stopping_a_workspace_cuts_everything_of_it() {
    let servers = Servers::start().await;
    let stage = servers.stage();
    let (events, sockets) = (stage.door(servers.events.port()), stage.door(servers.sockets.port()));
    let open = open(&events, &sockets).await;
    let since = Instant::now();
    stage.gateway.run(&["workspace", "set", WORKSPACE, "--stopped"]);
    cut("workspace stopped", since, open, &servers).await;
    refused(&events, 404, &servers.events).await;
    stage.gateway.stop();
}

#[tokio::test]
async fn suspending_a_user_cuts_sessions_and_tokens() {
    let servers = Servers::start().await;
    let stage = servers.stage();
    let mut visitor = stage.log_in(OWNER).await;
    let (by_session, _) = by_login(&mut visitor, &stage, &servers).await;
    let (events, sockets) = (stage.door(servers.events.port()), stage.door(servers.sockets.port()));
    let open = open(&events, &sockets).await;
    let mut session = by_session.connect().await;
    session.send(by_session.head("GET /session", "")).await;
    session.read_until(b"data: 1\n\r\n").await;
    let since = Instant::now();
    stage.gateway.run(&["user", "set", OWNER, "--suspend"]);
    assert_eq!(session.read_to_close().await.1, Ending::Reset);
    cut_but("user suspended", since, open, 0, &servers).await;
    let before = servers.events.connections().len();
    for door in [&events, &by_session] {
        let status = door.get("/again").await;
        assert!(matches!(status, 401 | 404), "{status}");
    }
    assert_eq!(servers.events.connections().len(), before, "the dev server was asked");
    stage.gateway.stop();
}

#[tokio::test]
async fn a_token_ends_when_its_time_is_over() {
    let servers = Servers::start().await;
    let stage = servers.stage();
    let mut doors = Vec::new();
    for port in [servers.events.port(), servers.sockets.port()] {
        let text = port.to_string();
        let arguments =
            ["token", "create", "--user", OWNER, "--workspace", WORKSPACE, "--port", &text, "--expires", "4s"];
        let token = stage.gateway.run(&arguments);
        doors.push(Door { auth: format!("X-Portway-Token: {}\r\n", token.trim()), ..stage.door(port) });
    }
    for door in &doors {
        eventually_async("the token to work", async || door.get("/.portway/port").await == 200).await;
    }
    let since = Instant::now();
    let open = open(&doors[0], &doors[1]).await;
    cut_but("token expired", since, open, 0, &servers).await;
    assert_eq!(doors[0].get("/again").await, 401);
    stage.gateway.stop();
}

#[tokio::test]
async fn a_request_without_an_answer_yet_is_told_that_it_was_interrupted() {
    let silent = Recorder::start(vec![Step::ReadHead]).await;
    let stage = plan().private(silent.port()).start();
    let door = stage.door(silent.port());
    let mut one = door.connect().await;
    one.send(door.head("GET /waits", "")).await;
    silent.saw("GET /waits").await;
    let mut connection = Http2::connect(&door).await;
    let url = format!("{}/waits-too", door.origin());
    let (two, _) = connection.begin("GET", &url, &door.auth, true).await;
    silent.saw("GET /waits-too").await;
    stage.gateway.run(&["workspace", "set", WORKSPACE, "--stopped"]);
    let answer = one.response("GET").await.expect("an answer");
    assert_eq!((answer.status(), answer.field("portway-reason")), (503, Some("revoked".into())));
    let answer = portway_testkit::within("an answer over HTTP/2", two).await.expect("an answer");
    assert_eq!(answer.status(), 503);
    silent.all_ended(2).await;
    stage.gateway.stop();
}

/// A WebSocket of the test kit, so that what a cut looks like to a frame reader is known too.
#[tokio::test]
async fn a_cut_websocket_ends_between_frames() {
    let server = portway_testkit::WebSocketEcho::start().await;
    let stage = plan().private(server.port()).start();
    let door = stage.door(server.port());
    let mut socket = WebSocket::open(door.connect().await, &door.host, "/", &door.auth).await.expect("a 101");
    socket.send_text("one").await;
    assert_eq!(socket.next_text().await, "one");
    stage.gateway.run(&["workspace", "remove", WORKSPACE]);
    assert_eq!(socket.next().await, None);
    stage.gateway.stop();
}
