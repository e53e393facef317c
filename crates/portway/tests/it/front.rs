//! As the front of the control host: everything that is not Portway's own goes to the API server as it came, and nothing of
//! it that a workspace's page asks (R21).

use portway_testkit::{Bulk, Echo, Recorder, Step, WebSocket, WebSocketEcho, eventually_async};

use crate::http2_client::Http2;
use crate::stage::{Door, Stage, plan};

/// A gateway in front of an API server on this port, and the door to the control host.
fn front(port: u16) -> (Stage, Door) {
    let stage = plan().config(&format!("control_upstream = \"http://127.0.0.1:{port}\"\n")).start();
    let address = stage.gateway.plain();
    let host = format!("portway.localhost:{}", address.port());
    (stage, Door { address, host, auth: String::new(), port })
}

async fn reason(door: &Door, line: &str, fields: &str) -> String {
    let mut client = door.connect().await;
    let method = line.split(' ').next().unwrap_or_default();
    let answer = client.round_trip(method, door.head(line, &format!("{fields}Connection: close\r\n"))).await;
    format!("{} {}", answer.status(), answer.field("portway-reason").unwrap_or_default()).trim_end().to_owned()
}

#[tokio::test]
async fn requests_and_answers_pass_as_they_are() {
    let answer = "HTTP/1.1 201 Made\r\nX-Trace-ID: t1\r\nset-cookie: session=01HX; HttpOnly; Domain=hub.test\r\n\
                  Set-Cookie: other=2; Path=/\r\nStrict-Transport-Security: max-age=9\r\nLocation: http://localhost:8000/x\r\n\
                  Content-Length: 2\r\n\r\nok";
    let api = Recorder::answering(answer).await;
    let (stage, door) = front(api.port());
    let mut client = door.connect().await;
    let origin = door.origin();
    let fields = format!(
        "Origin: {origin}\r\nx-custom: One\r\nCookie: session=01HX; theme=dark\r\nAuthorization: Bearer pat_1\r\n\
         X-Forwarded-For: 9.9.9.9\r\nContent-Length: 4\r\n"
    );
    client.send(door.head("POST /api/v1/workspaces?a=%2F&b", &fields)).await;
    client.send("body").await;
    let got = client.response("POST").await.expect("an answer");
    let wanted = format!(
        "POST /api/v1/workspaces?a=%2F&b HTTP/1.1\r\nHost: {}\r\nOrigin: {origin}\r\nx-custom: One\r\n\
         Cookie: session=01HX; theme=dark\r\nAuthorization: Bearer pat_1\r\nContent-Length: 4\r\n\
         X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: {}\r\nX-Forwarded-Proto: http\r\n\
         CDN-Loop: portway\r\n\r\nbody",
        door.host, door.host
    );
    assert_eq!(api.text(), wanted);
    assert_eq!((got.status(), got.text().as_str()), (201, "ok"));
    let cookies = ["session=01HX; HttpOnly; Domain=hub.test", "other=2; Path=/"];
    assert_eq!(got.all("set-cookie"), cookies);
    for (name, value) in
        [("x-trace-id", "t1"), ("strict-transport-security", "max-age=9"), ("location", "http://localhost:8000/x")]
    {
        assert_eq!(got.field(name).as_deref(), Some(value), "{name}");
    }
    stage.gateway.stop();
}

#[tokio::test]
async fn what_is_ours_stays_ours() {
    let api = Recorder::answering("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\napi").await;
    let (stage, door) = front(api.port());
    for (path, wanted) in [
        ("/.portway/api/v1/me", "401 not-logged-in"),
        ("/.portway", "303 home"),
        ("/w/ws/proxy/3000/x", "307 moved"),
        ("/w/ws/absproxy/3000/x", "307 moved"),
    ] {
        assert_eq!(reason(&door, &format!("GET {path}"), "").await, wanted, "{path}");
    }
    assert!(api.connections().is_empty(), "{}", api.text());
    for path in ["/", "/login", "/w/ws/", "/w/ws/static/proxy", "/portway", "/.portwayx"] {
        assert_eq!(reason(&door, &format!("GET {path}"), "").await, "200", "{path}");
    }
    // Nobody reaches it by a port of a workspace, which is this machine.
    let port = stage.host(&api.port().to_string());
    let door = Door { host: port, auth: String::new(), ..door };
    assert_eq!(reason(&door, "GET /", "").await, "401 not-logged-in");
    stage.gateway.stop();
}

#[tokio::test]
async fn a_page_of_a_workspace_asks_the_api_server_nothing() {
    let api = Recorder::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let (stage, door) = front(api.port());
    let ours = format!("Origin: {}\r\n", door.origin());
    let theirs = format!("Origin: http://{}\r\n", stage.host("3000"));
    let refused = [
        ("POST /api/v1/logout", theirs.clone()),
        ("POST /api/v1/logout", "Origin: null\r\nSec-Fetch-Site: same-site\r\n".to_owned()),
        (
            "POST /api/v1/logout",
            "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n".to_owned(),
        ),
        ("POST /api/v1/logout", format!("Referer: http://{}/\r\n", stage.host("3000"))),
        ("GET /api/v1/session", theirs.clone()),
        (
            "GET /api/v1/session",
            "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\n".to_owned(),
        ),
        ("GET /", "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n".to_owned()),
        ("OPTIONS /api/v1/session", format!("{theirs}Access-Control-Request-Method: DELETE\r\n")),
        ("GET /w/ws/socket", format!("{theirs}{HANDSHAKE}")),
    ];
    for (line, fields) in refused {
        assert_eq!(reason(&door, line, &fields).await, "403 other-origin", "{line} {fields}");
    }
    assert!(api.connections().is_empty(), "{}", api.text());
    let passed = [
        ("POST /api/v1/login", String::new()),
        ("POST /api/v1/login", format!("{ours}Sec-Fetch-Site: same-origin\r\n")),
        ("GET /api/v1/session", "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\n".to_owned()),
        ("GET /", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n".to_owned()),
        ("GET /", "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n".to_owned()),
    ];
    for (line, fields) in passed {
        let fields = if line.starts_with("POST") { format!("{fields}Content-Length: 0\r\n") } else { fields };
        assert_eq!(reason(&door, line, &fields).await, "200", "{line} {fields}");
    }
    stage.gateway.stop();
}

const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[tokio::test]
async fn streams_sockets_and_http2_pass() {
    let events =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n8\r\ndata: 1\n\r\n";
    let api = Recorder::start(vec![Step::ReadHead, Step::write(events)]).await;
    let (stage, door) = front(api.port());
    let mut client = door.connect().await;
    client.send(door.head("GET /api/v1/events", "")).await;
    client.read_until(b"data: 1\n").await;
    drop(client);
    stage.gateway.stop();

    let sockets = WebSocketEcho::start().await;
    let (stage, door) = front(sockets.port());
    let extra = format!("Origin: {}\r\n", door.origin());
    let mut socket = WebSocket::open(door.connect().await, &door.host, "/w/ws/", &extra).await.expect("a 101");
    socket.send_text("one").await;
    assert_eq!(socket.next_text().await, "one");
    let fields = format!("sec-websocket-version: 13\r\norigin: {}\r\n", door.origin());
    let mut http2 = Http2::connect(&door).await;
    let (_, mut over) = http2.websocket(&door, "/w/ws/", &fields).await.expect("a 200");
    over.send(portway_testkit::websocket::opcode::TEXT, b"two").await.unwrap();
    assert_eq!(&over.next().await.expect("an echo").payload[..], b"two");
    drop((socket, over, http2));
    stage.gateway.stop();

    let echo = Echo::start().await;
    let (stage, door) = front(echo.port());
    let mut http2 = Http2::connect(&door).await;
    let answer = http2.post(&door, "/api", "", b"over HTTP/2").await;
    assert_eq!(answer.status, 200);
    assert!(String::from_utf8_lossy(&answer.body).contains("over HTTP/2"));
    drop(http2);
    stage.gateway.stop();
}

#[tokio::test]
async fn an_api_server_that_is_away_has_a_page_of_its_own_and_is_found_again() {
    let api = Bulk::start().await;
    let port = api.port();
    let (stage, door) = front(port);
    drop(api);
    eventually_async("the API server to be missed", async || {
        reason(&door, "GET /", "").await == "502 control-upstream"
    })
    .await;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("its port again");
    let answer = vec![Step::ReadRequest, Step::write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), Step::Repeat];
    let _api = Recorder::on(listener, None, vec![answer]);
    assert_eq!(reason(&door, "GET /", "").await, "200");
    stage.gateway.stop();
}
