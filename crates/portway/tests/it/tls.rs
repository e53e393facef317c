//! Whole visits over TLS: a login, a WebSocket, and a response that breaks off. The handshake itself is `edge`'s.

use portway_testkit::{
    Client, Echo, Ending, Gateway, Recorder, Step, TestCa, Visitor, WebSocket, WebSocketEcho, eventually_async,
};

use crate::stage::{OWNER, WORKSPACE, over_tls};

/// A gateway with a certificate for its domain.
struct Secure {
    gateway: Gateway,
    ca: TestCa,
}

impl Secure {
    fn start() -> Self {
        let ca = TestCa::new();
        let gateway = over_tls(&ca, "").start();
        drop(gateway.add_user(OWNER));
        gateway.run(&["workspace", "add", WORKSPACE, "--address", "localhost", "--owner", OWNER]);
        Self { gateway, ca }
    }

    async fn connect(&self, sni: &str, alpn: &[&str]) -> Client {
        Client::connect_tls(self.gateway.tls(), sni, self.ca.client(alpn)).await
    }
}

#[tokio::test]
async fn people_log_in_and_websockets_open_over_tls() {
    let secure = Secure::start();
    let (echo, sockets) = (Echo::start().await, WebSocketEcho::start().await);
    let link = secure.gateway.run(&["user", "link", OWNER]);
    let mut visitor = Visitor::over_tls(secure.gateway.tls(), secure.ca.client(&["http/1.1"]));
    visitor.log_in(link.trim()).await;
    let arrived = visitor.open(&format!("https://{}-{WORKSPACE}.hub.test/x", echo.port())).await;
    assert_eq!(arrived.answer.status(), 200, "{}", arrived.url);
    assert!(!arrived.answer.text().contains("__Host-"), "{}", arrived.answer.text());

    let host = format!("{}-{WORKSPACE}.hub.test", sockets.port());
    drop(visitor.open(&format!("https://{host}/")).await);
    let extra = format!("Cookie: {}\r\nOrigin: https://{host}\r\n", visitor.cookies(&host));
    let client = secure.connect(&host, &["http/1.1"]).await;
    let mut socket = WebSocket::open(client, &host, "/", &extra).await.expect("a 101");
    socket.send_text("grüezi").await;
    assert_eq!(socket.next_text().await, "grüezi");
    drop(socket);
    secure.gateway.stop();
}

#[tokio::test]
async fn a_connection_cut_without_a_goodbye_is_no_end() {
    let secure = Secure::start();
    let server = Recorder::start(vec![
        Step::ReadHead,
        Step::write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"),
        Step::Close,
    ])
    .await;
    secure.gateway.run(&["share", "set", WORKSPACE, &server.port().to_string(), "public"]);
    let host = format!("{}-{WORKSPACE}.hub.test", server.port());
    // What is not shared yet asks nobody.
    let mut client = secure.connect(&host, &["http/1.1"]).await;
    eventually_async("the share to be noticed", async || {
        client = secure.connect(&host, &["http/1.1"]).await;
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        client.response_head().await.expect("a head").status() == 200
    })
    .await;
    // No close_notify: a reader that goes to the end sees that there was none.
    assert_eq!(client.read_to_close().await.1, Ending::Reset);
    secure.gateway.stop();
}
