//! A port that only listens on its workspace's own loopback is reached through the IDE beside it, and nothing of a visitor's
//! ever becomes a request to the IDE itself. (With the real code-server: e2e/devservers.)

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use portway_testkit::upstream::Server;
use portway_testkit::{Client, Gateway, Message, Stream, eventually_async, message};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket};

use crate::stage::{OWNER, builder};

/// Another address of this machine, which stands for another machine.
const FAR: &str = "127.0.0.2";

const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

struct Stage {
    gateway: Gateway,
    _ide: Server,
    ide_port: u16,
    /// Every request head that reached the IDE.
    asked: Arc<Mutex<Vec<String>>>,
    /// Bound and not listening.
    closed: TcpSocket,
    token: String,
}

/// What code-server does with `/proxy/{port}/…`: the path says how it ends. Anything else is the IDE itself.
async fn ide(mut stream: Box<dyn Stream>, asked: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
    let mut buffer = bytes::BytesMut::new();
    while let Some(mut request) = message::read_head(&mut stream, &mut buffer).await? {
        let length = request.request_length();
        message::read_body(&mut stream, &mut buffer, &mut request, length).await?;
        let head = String::from_utf8_lossy(&request.head).into_owned();
        asked.lock().expect("asked").push(head.clone());
        let path = head.split(' ').nth(1).unwrap_or_default();
        let prefix: String = path.split('/').take(3).collect::<Vec<_>>().join("/");
        let to = |location: String| format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let said =
            |status: &str, text: &str| format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{text}", text.len());
        let answer = match path.strip_prefix(&prefix) {
            Some("/moved") => to(format!("{prefix}/next?a")),
            Some("/bare") => to(prefix),
            Some("/query") => to(format!("{prefix}?x")),
            Some("/near") => to(format!("{prefix}1/x")),
            Some("/absolute") => to(format!("http://localhost:{}/x", &prefix["/proxy/".len()..])),
            Some("/login") => to("./../../login?a=b".to_owned()),
            Some("/password") => said("401 Unauthorized", "<h1>401 - code-server</h1>"),
            Some("/turned-off") => said("403 Forbidden", "<h1>403 - code-server</h1>"),
            // What an API says, and what the IDE says to one, is the same.
            Some("/api") => said("401 Unauthorized", r#"{"error":"Unauthorized"}"#),
            Some("/closed-socket") => {
                let port = &prefix["/proxy/".len()..];
                let answer = format!("HTTP/1.1 500 connect ECONNREFUSED 0.0.0.0:{port}\r\n\r\n");
                stream.write_all(answer.as_bytes()).await?;
                return Ok(());
            }
            Some("/closed") => {
                let text = format!("connect ECONNREFUSED 0.0.0.0:{}", &prefix["/proxy/".len()..]);
                said("500 Internal Server Error", &text)
            }
            // A database that the dev server cannot reach.
            Some("/broken") => said("500 Internal Server Error", "connect ECONNREFUSED 127.0.0.1:5432"),
            _ => said("200 OK", &head),
        };
        stream.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

/// A workspace `far` with an IDE and a closed port.
async fn stage(carry: bool) -> Stage {
    let listener = TcpListener::bind((FAR, 0)).await.expect("bind an IDE");
    let ide_port = listener.local_addr().expect("an address").port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let server = Server::on(listener, None, move |stream| ide(stream, Arc::clone(&log)), |_| {});
    let closed = TcpSocket::new_v4().expect("a socket");
    closed.bind(SocketAddr::new(FAR.parse().expect("an address"), 0)).expect("bind");
    let port = closed.local_addr().expect("an address").port();
    let config = format!(
        "[workspaces]\nallow = [\"127.0.0.0/8\"]\n[ide]\ncarry = {carry}\nport = {ide_port}\n\
         [access]\nprotected = [{ide_port}]\n"
    );
    let gateway = builder().env("PORTWAY_LIMITS_DRAIN", "500ms").config(&config).start();
    gateway.run(&["user", "add", OWNER]);
    gateway.run(&["workspace", "add", "far", "--address", FAR, "--owner", OWNER]);
    let token = gateway.run(&["token", "create", "--user", OWNER, "--workspace", "far", "--port", &port.to_string()]);
    let stage = Stage { gateway, _ide: server, ide_port, asked, closed, token: token.trim().to_owned() };
    eventually_async("the token to work", async || !matches!(stage.get("/ready").await.status(), 401 | 404)).await;
    stage.asked.lock().expect("asked").clear();
    stage
}

impl Stage {
    fn port(&self) -> u16 {
        self.closed.local_addr().expect("an address").port()
    }

    async fn ask(&self, line: &str, port: u16, fields: &str) -> Message {
        let plain = self.gateway.plain();
        let mut client = Client::connect(plain).await;
        client
            .send(format!(
                "{line} HTTP/1.1\r\nHost: {port}-far.portway.localhost:{}\r\nX-Portway-Token: {}\r\n{fields}\r\n",
                plain.port(),
                self.token
            ))
            .await;
        client.response("GET").await.expect("an answer")
    }

    async fn get(&self, path: &str) -> Message {
        self.ask(&format!("GET {path}"), self.port(), "").await
    }

    /// The request lines that reached the IDE since the last look.
    fn asked(&self) -> Vec<String> {
        let heads = std::mem::take(&mut *self.asked.lock().expect("asked"));
        heads.iter().filter_map(|head| head.lines().next().map(str::to_owned)).collect()
    }
}

#[tokio::test]
async fn the_ide_carries_to_a_closed_port_with_its_own_name_and_path() {
    let stage = stage(true).await;
    let port = stage.port();
    let answer = stage.ask("GET /a%2Fb//c?d=/../e", port, "X-Odd: 1\r\nCookie: a=1; __Host-portway=x\r\n").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(stage.asked(), [format!("GET /proxy/{port}/a%2Fb//c?d=/../e HTTP/1.1")]);
    let seen = answer.text();
    assert!(
        seen.contains(&format!("\r\nHost: localhost:{port}\r\n")) && seen.contains("\r\nCookie: a=1\r\n"),
        "{seen}"
    );
    let others = seen.replace("\r\nCDN-Loop: portway\r\n", "\r\n");
    assert!(!others.to_ascii_lowercase().contains("portway"), "{seen}");
    // A body goes once, and the next request uses the same way.
    let posted = stage.ask("POST /x", port, "Content-Length: 0\r\n").await;
    assert_eq!((posted.status(), stage.asked()), (200, vec![format!("POST /proxy/{port}/x HTTP/1.1")]));
    stage.gateway.stop();
}

#[tokio::test]
async fn redirects_lose_the_prefix_that_the_ide_put_in_front() {
    let stage = stage(true).await;
    let (port, plain) = (stage.port(), stage.gateway.plain().port());
    for (path, wanted) in [
        ("/moved", "/next?a".to_owned()),
        ("/bare", "/".to_owned()),
        ("/query", "?x".to_owned()),
        ("/near", format!("/proxy/{port}1/x")),
        ("/absolute", format!("http://{port}-far.portway.localhost:{plain}/x")),
    ] {
        assert_eq!(stage.get(path).await.all("location"), [wanted], "{path}");
    }
    stage.gateway.stop();
}

#[tokio::test]
async fn what_the_ide_says_of_itself_is_a_closed_port() {
    let stage = stage(true).await;
    for path in ["/closed", "/login", "/password", "/turned-off"] {
        let answer = stage.get(path).await;
        assert_eq!((answer.status(), answer.field("portway-reason").as_deref()), (502, Some("port-closed")), "{path}");
    }
    let socket = stage.ask("GET /closed-socket", stage.port(), HANDSHAKE).await;
    assert_eq!((socket.status(), socket.field("portway-reason").as_deref()), (502, Some("port-closed")));
    // What the dev server says passes, errors too.
    assert_eq!(stage.get("/api").await.status(), 401);
    let broken = stage.get("/broken").await;
    assert_eq!((broken.status(), broken.text().as_str()), (500, "connect ECONNREFUSED 127.0.0.1:5432"));
    stage.gateway.stop();
}

#[tokio::test]
async fn no_path_and_no_other_port_leads_to_the_ide() {
    let stage = stage(true).await;
    let port = stage.port();
    for path in
        ["/..", "/../", "/a/../../..", "/%2e%2e/", "/..%2f..%2f", "/..%5c", "/.", "/x/./y", "/%252e%252e/", "/..\\"]
    {
        let answer = stage.get(path).await;
        assert!([400, 502].contains(&answer.status()), "{path}: {}", answer.start_line());
    }
    assert_eq!(stage.ask("OPTIONS *", port, "").await.status(), 502);
    // The permission is for that port: the IDE's own, and every other one, stay closed to it.
    for other in [stage.ide_port, port.wrapping_add(1).max(1)] {
        assert_eq!(stage.ask("GET /", other, "").await.status(), 404, "{other}");
    }
    assert!(stage.asked().is_empty(), "the IDE was asked");
    stage.gateway.stop();
}

#[tokio::test]
async fn a_body_that_the_ide_would_turn_into_a_request_does_not_go_to_it() {
    let stage = stage(true).await;
    let port = stage.port();
    let chunked = "Transfer-Encoding: chunked\r\n\r\n0\r\n";
    for method in ["DELETE", "OPTIONS"] {
        assert_eq!(stage.ask(&format!("{method} /"), port, chunked).await.status(), 502, "{method}");
        assert!(stage.asked().is_empty(), "{method}: the IDE was asked");
        // One that says its length is passed on as it is.
        assert_eq!(stage.ask(&format!("{method} /"), port, "Content-Length: 0\r\n").await.status(), 200, "{method}");
        assert_eq!(stage.asked(), [format!("{method} /proxy/{port}/ HTTP/1.1")]);
    }
    assert_eq!(stage.ask("PUT /", port, chunked).await.status(), 200);
    stage.gateway.stop();
}

#[tokio::test]
async fn nothing_is_carried_unless_it_is_set() {
    let stage = stage(false).await;
    let answer = stage.get("/").await;
    assert_eq!((answer.status(), answer.field("portway-reason").as_deref()), (502, Some("port-closed")));
    assert!(stage.asked().is_empty(), "the IDE was asked");
    stage.gateway.stop();
}

#[tokio::test]
async fn a_websocket_of_a_sibling_page_passes_the_ides_own_check() {
    let stage = stage(true).await;
    let (port, plain) = (stage.port(), stage.gateway.plain().port());
    let origin = format!("Origin: http://5000-far.portway.localhost:{plain}\r\n");
    let seen = stage.ask("GET /ws", port, &format!("{HANDSHAKE}{origin}")).await.text();
    assert!(seen.contains("\r\nOrigin: http://localhost:5000\r\n"), "{seen}");
    assert!(seen.contains("\r\nX-Forwarded-Host: localhost:5000\r\n"), "{seen}");
    stage.gateway.stop();
}

#[tokio::test]
async fn the_waiting_page_hears_of_a_port_that_opens_behind_the_ide() {
    let stage = stage(true).await;
    let answer = stage.get("/.portway/port").await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "{\"open\":true}\n"));
    assert_eq!(stage.asked(), [format!("GET /proxy/{}/ HTTP/1.1", stage.port())]);
    stage.gateway.stop();
}
