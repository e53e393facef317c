//! TLS on both sides: which certificate, which protocol, which authority; and the way there from plain HTTP (R60, R61).

use portway_testkit::{
    Client, Echo, Ending, Gateway, Recorder, Step, TestCa, Visitor, WebSocket, WebSocketEcho, eventually_async,
};

use crate::http2_client::Http2;
use crate::stage::{Door, OWNER, WORKSPACE, builder};

/// Two domains, each with a certificate of its own.
struct Secure {
    gateway: Gateway,
    ca: TestCa,
}

const CONFIG: &str = r#"
control = "https://hub.test"
[[domains]]
name = "hub.test"
[[domains]]
name = "other.test"
[tls]
listen = ["127.0.0.1:0"]
[[tls.certificates]]
cert = "hub.crt"
key = "hub.key"
[[tls.certificates]]
cert = "other.crt"
key = "other.key"
[workspaces]
allow = ["127.0.0.1", "::1"]
"#;

impl Secure {
    fn start() -> Self {
        let ca = TestCa::new();
        let builder = builder().config(CONFIG).env("PORTWAY_LIMITS_DRAIN", "500ms");
        drop(ca.leaf(&["*.hub.test", "hub.test"]).write(builder.dir(), "hub"));
        drop(ca.leaf(&["*.other.test"]).write(builder.dir(), "other"));
        let gateway = builder.start();
        drop(gateway.add_user(OWNER));
        gateway.run(&["workspace", "add", WORKSPACE, "--address", "localhost", "--owner", OWNER]);
        Self { gateway, ca }
    }

    /// A door over TLS; the origin's port is 443, whatever the listener's.
    async fn door(&self, port: u16, domain: &str, form: &str) -> Door {
        let text = port.to_string();
        let token = self.gateway.run(&["token", "create", "--user", OWNER, "--workspace", WORKSPACE, "--port", &text]);
        let door = Door {
            address: self.gateway.tls(),
            host: format!("{port}{form}-{WORKSPACE}.{domain}"),
            auth: format!("X-Portway-Token: {}\r\n", token.trim()),
            port,
        };
        eventually_async("the token to be known", async || {
            let mut client = self.connect(&door.host, &["http/1.1"]).await;
            client.round_trip("GET", door.head("GET /.portway/port", "")).await.status() != 401
        })
        .await;
        door
    }

    async fn connect(&self, sni: &str, alpn: &[&str]) -> Client {
        Client::connect_tls(self.gateway.tls(), sni, self.ca.client(alpn)).await
    }

    async fn http2(&self, sni: &str) -> Http2 {
        let (stream, early) = self.connect(sni, &["h2"]).await.into_parts();
        assert!(early.is_empty());
        Http2::over(stream).await
    }
}

#[tokio::test]
async fn both_protocols_are_spoken_by_alpn_and_by_certificate() {
    let secure = Secure::start();
    let echo = Echo::start().await;
    for domain in ["hub.test", "other.test"] {
        let door = secure.door(echo.port(), domain, "").await;
        for alpn in [&["http/1.1"][..], &["unknown", "http/1.1"], &[]] {
            let answer = secure.connect(&door.host, alpn).await.round_trip("GET", door.head("GET /", "")).await;
            assert_eq!(answer.status(), 200, "{domain} {alpn:?}");
            let hsts = answer.field("strict-transport-security");
            assert!(hsts.is_some_and(|value| value.starts_with("max-age=")), "{domain}");
            assert_eq!(Echo::reflected(&answer).all("host"), [format!("localhost:{}", door.port)]);
        }
        let answer = secure.http2(&door.host).await.get(&door, "/", "").await;
        assert_eq!(answer.status, 200, "{domain}: {answer:?}");
    }
    secure.gateway.stop();
}

#[tokio::test]
async fn a_name_without_a_certificate_gets_no_handshake() {
    let secure = Secure::start();
    for sni in ["3000-ws.evil.test", "hub.test.evil", "a.b.hub.test", "other.test"] {
        let refused = Client::try_connect_tls(secure.gateway.tls(), sni, secure.ca.client(&["http/1.1"])).await;
        assert!(refused.is_err(), "{sni} was served");
    }
    // No name at all.
    let refused = Client::try_connect_tls(secure.gateway.tls(), "127.0.0.1", secure.ca.client(&["http/1.1"])).await;
    assert!(refused.is_err(), "a connection without SNI was served");
    secure.gateway.stop();
}

#[tokio::test]
async fn another_protocol_is_closed() {
    let secure = Secure::start();
    for alpn in [&["ftp"][..], &["h3", "spdy/3.1"], &["HTTP/1.1"]] {
        let refused = Client::try_connect_tls(secure.gateway.tls(), "3000-ws.hub.test", secure.ca.client(alpn)).await;
        assert!(refused.is_err(), "{alpn:?} was spoken");
    }
    // Agreed on HTTP/2, and then spoke HTTP/1.1.
    let mut client = secure.connect("3000-ws.hub.test", &["h2"]).await;
    client.send("GET / HTTP/1.1\r\nHost: 3000-ws.hub.test\r\n\r\n").await;
    let (bytes, _) = client.read_to_close().await;
    assert!(!bytes.starts_with(b"HTTP/"), "{:?}", bytes.escape_ascii().to_string());
    // Plain HTTP on the TLS listener.
    let mut client = Client::connect(secure.gateway.tls()).await;
    client.send("GET / HTTP/1.1\r\nHost: 3000-ws.hub.test\r\n\r\n").await;
    let (bytes, _) = client.read_to_close().await;
    assert!(!bytes.starts_with(b"HTTP/"), "{:?}", bytes.escape_ascii().to_string());
    secure.gateway.stop();
}

#[tokio::test]
async fn an_authority_outside_the_certificate_is_misdirected() {
    let secure = Secure::start();
    let echo = Echo::start().await;
    let (hub, other) =
        (secure.door(echo.port(), "hub.test", "").await, secure.door(echo.port(), "other.test", "").await);
    for (shown, asked) in [(&hub, &other), (&other, &hub)] {
        let answer = secure.connect(&shown.host, &["http/1.1"]).await.round_trip("GET", asked.head("GET /", "")).await;
        assert_eq!(answer.status(), 421, "{} by the certificate of {}", asked.host, shown.host);
        let answer = secure.http2(&shown.host).await.get(asked, "/", "").await;
        assert_eq!(answer.status, 421, "{} by the certificate of {}", asked.host, shown.host);
    }
    secure.gateway.stop();
}

#[tokio::test]
async fn each_request_of_a_coalesced_connection_is_decided_for_itself() {
    let secure = Secure::start();
    let (mine, not_mine) = (Echo::start().await, Echo::start().await);
    let door = secure.door(mine.port(), "hub.test", "").await;
    let foreign = Door { host: format!("{}-{WORKSPACE}.hub.test", not_mine.port()), ..door.clone() };
    let absent = Door { host: format!("{}-nobody.hub.test", mine.port()), ..door.clone() };
    // A browser sends all of these over one connection, whose certificate is right for each.
    let mut http2 = secure.http2(&door.host).await;
    for _ in 0..3 {
        assert_eq!(http2.get(&door, "/", "").await.status, 200);
        assert_eq!(http2.get(&foreign, "/", "").await.status, 404, "a token for another port");
        assert_eq!(http2.get(&absent, "/", "").await.status, 404);
        let nobody = Door { auth: String::new(), ..door.clone() };
        assert_eq!(http2.get(&nobody, "/", "").await.status, 401);
    }
    secure.gateway.stop();
}

#[tokio::test]
async fn plain_http_is_sent_to_https() {
    let secure = Secure::start();
    for (method, host, path, to) in [
        ("GET", "3000-ws.hub.test", "/a%2Fb?c=d&e", "https://3000-ws.hub.test/a%2Fb?c=d&e"),
        ("POST", "3000-ws.other.test", "/", "https://3000-ws.other.test/"),
        ("GET", "hub.test", "/.portway/", "https://hub.test/.portway/"),
        ("GET", "3000-nobody.hub.test", "/", "https://3000-nobody.hub.test/"),
    ] {
        // The authority of a request that came to port 80.
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n");
        let answer = Client::connect(secure.gateway.plain()).await.round_trip(method, request).await;
        assert_eq!((answer.status(), answer.field("location").as_deref()), (308, Some(to)), "{method} {host}{path}");
        assert!(answer.all("set-cookie").is_empty(), "a cookie over plain HTTP");
    }
    secure.gateway.stop();
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
async fn a_dev_server_that_speaks_tls_is_spoken_to_in_tls() {
    let secure = Secure::start();
    // Its certificate is nobody's business: it is for another name, by an authority that nobody knows.
    let echo = Echo::start_tls(TestCa::new().leaf(&["localhost.example"]).server(&["http/1.1"])).await;
    let plain =
        Recorder::start(vec![Step::Read(1), Step::write("HTTP/1.1 400 Bad Request\r\n\r\n"), Step::Close]).await;
    let door = secure.door(echo.port(), "hub.test", "s").await;
    let answer = secure.connect(&door.host, &["http/1.1"]).await.round_trip("GET", door.head("GET /secure", "")).await;
    assert_eq!(answer.status(), 200);
    let seen = Echo::reflected(&answer);
    assert_eq!(
        (seen.start_line().as_str(), seen.field("x-forwarded-proto").as_deref()),
        ("GET /secure HTTP/1.1", Some("https"))
    );

    // The other way round it is said, not guessed.
    for (port, form, reason) in [(plain.port(), "s", "upstream-tls"), (echo.port(), "", "bad-upstream")] {
        let door = secure.door(port, "hub.test", form).await;
        let answer = secure.connect(&door.host, &["http/1.1"]).await.round_trip("GET", door.head("GET /", "")).await;
        assert_eq!((answer.status(), answer.field("portway-reason").as_deref()), (502, Some(reason)), "{}", door.host);
    }
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
    let door = secure.door(server.port(), "hub.test", "").await;
    let mut client = secure.connect(&door.host, &["http/1.1"]).await;
    client.send(door.head("GET /", "")).await;
    // No close_notify: a reader that goes to the end sees that there was none.
    assert_eq!(client.read_to_close().await.1, Ending::Reset);
    secure.gateway.stop();
}
