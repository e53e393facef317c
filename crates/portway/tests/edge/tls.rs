//! The TLS edge: which certificate, which alert, which protocol, whose request; the way from plain HTTP; TLS to dev servers
//! (R60, R61). Two domains whose certificates come from two authorities, so that a wrong choice cannot pass.

use bytes::Bytes;
use portway_testkit::{Client, Echo, Ending, Gateway, Recorder, Step, TestCa, within};

use crate::hello::{TLS11, TLS12, client_hello};
use crate::stage::{Plan, plan, request, verdict};

const CONFIG: &str = r#"
control = "https://one.test"
[[domains]]
name = "one.test"
[[domains]]
name = "two.test"
public = "https://two.test:8443"
[tls]
listen = ["127.0.0.1:0"]
hsts = "1d"
[[tls.certificates]]
cert = "one.crt"
key = "one.key"
[[tls.certificates]]
cert = "two.crt"
key = "two.key"
[workspaces]
allow = ["127.0.0.1", "::1"]
"#;

/// Alert descriptions, RFC 8446 section 6.
const PROTOCOL_VERSION: u8 = 70;
const NO_APPLICATION_PROTOCOL: u8 = 120;

/// The authorities of `one.test` and `two.test`.
struct Authorities {
    one: TestCa,
    two: TestCa,
}

/// A gateway to be, with a workspace `ws` that is this machine.
fn secure() -> (Plan, Authorities) {
    let (one, two) = (TestCa::new(), TestCa::new());
    let (first, second) = (one.leaf(&["one.test", "*.one.test"]), two.leaf(&["*.two.test", "two.test"]));
    let files = [
        ("one.crt", first.certificate_pem.as_str()),
        ("one.key", first.key_pem.as_str()),
        ("two.crt", second.certificate_pem.as_str()),
        ("two.key", second.key_pem.as_str()),
    ];
    let plan = plan(CONFIG, &files);
    plan.workspace("ws", "localhost");
    (plan, Authorities { one, two })
}

async fn connect(gateway: &Gateway, ca: &TestCa, sni: &str, alpn: &[&str]) -> Client {
    Client::connect_tls(gateway.tls(), sni, ca.client(alpn)).await
}

/// What the gateway says to a ClientHello, up to its end: a fatal alert's description, or the handshake it goes on with.
async fn answer_to(gateway: &Gateway, hello: &[u8]) -> Result<(), u8> {
    let mut client = Client::connect(gateway.tls()).await;
    client.send(hello).await;
    // RFC 8446 section 5.1: a record's type, version and length. Handshake messages are of type 22.
    client.read_until(&[3, 3]).await;
    client.finish().await;
    let (rest, ending) = client.read_to_close().await;
    match rest[..] {
        // The length, then level and description: a fatal alert, and nothing after it.
        [0, 2, 2, description] if ending == Ending::Clean => Err(description),
        // ServerHello.
        [_, _, 2, ..] => Ok(()),
        _ => panic!("neither alert nor ServerHello: {rest:?}, {ending:?}"),
    }
}

#[tokio::test]
async fn each_domain_shows_the_certificate_of_its_own_authority() {
    let (plan, ca) = secure();
    let gateway = plan.start();
    for (right, wrong, names) in [
        (&ca.one, &ca.two, ["one.test", "3000-ws.one.test", "3000-WS.One.Test"]),
        (&ca.two, &ca.one, ["two.test", "3000-ws.two.test", "nobody.two.test"]),
    ] {
        for name in names {
            drop(connect(&gateway, right, name, &["http/1.1"]).await);
            let error = Client::try_connect_tls(gateway.tls(), name, wrong.client(&["http/1.1"])).await;
            let error = error.expect_err("a certificate of the other authority").to_string();
            assert!(error.contains("UnknownIssuer") || error.contains("invalid peer certificate"), "{name}: {error}");
        }
    }
    gateway.stop();
}

#[tokio::test]
async fn a_hello_without_a_name_of_ours_gets_an_alert() {
    let (plan, _) = secure();
    let gateway = plan.start();
    assert_eq!(answer_to(&gateway, &client_hello(TLS12, Some("ws.one.test"), &[])).await, Ok(()));
    for sni in [
        None,
        Some("one.test.example"),
        Some("a.b.one.test"),
        Some("xone.test"),
        Some("test"),
        Some("localhost"),
        Some("portway.localhost"),
        Some("127.0.0.1"),
        Some("*.one.test.one.test"),
    ] {
        let answer = answer_to(&gateway, &client_hello(TLS12, sni, &[])).await;
        assert!(answer.is_err(), "{sni:?} was answered with a certificate");
    }
    gateway.stop();
}

#[tokio::test]
async fn an_old_version_or_a_foreign_protocol_gets_its_alert() {
    let (plan, _) = secure();
    let gateway = plan.start();
    let name = Some("3000-ws.one.test");
    for alpn in [&["h2"][..], &["http/1.1"], &["ftp", "http/1.1"], &[]] {
        assert_eq!(answer_to(&gateway, &client_hello(TLS12, name, alpn)).await, Ok(()), "{alpn:?}");
    }
    // RFC 7301 section 3.2: no overlap is an error, never a guess.
    for alpn in [&["ftp"][..], &["http/1.0"], &["h2c", "HTTP/1.1", "H2"], &["http/1.1 "], &["h3"]] {
        let answer = answer_to(&gateway, &client_hello(TLS12, name, alpn)).await;
        assert_eq!(answer, Err(NO_APPLICATION_PROTOCOL), "{alpn:?}");
    }
    for version in [TLS11, 0x0301, 0x0300] {
        let answer = answer_to(&gateway, &client_hello(version, name, &["http/1.1"])).await;
        assert_eq!(answer, Err(PROTOCOL_VERSION), "{version:#06x}");
    }
    gateway.stop();
}

#[tokio::test]
async fn the_protocol_spoken_is_the_one_agreed_on() {
    let echo = Echo::start().await;
    let (plan, ca) = secure();
    let token = plan.token("ws", echo.port());
    let gateway = plan.start();
    let host = format!("{}-ws.one.test", echo.port());
    // Without ALPN it is HTTP/1.1: WebSocket libraries still connect like that.
    let answer = connect(&gateway, &ca.one, &host, &[]).await.round_trip("GET", request(&host, "/", &token)).await;
    assert_eq!(answer.status(), 200);
    for (alpn, bytes) in [
        (&["h2"][..], request(&host, "/", &token)),
        (&["http/1.1"], "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_owned()),
        (&[], "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_owned()),
    ] {
        let mut client = connect(&gateway, &ca.one, &host, alpn).await;
        client.send(bytes).await;
        let (said, _) = client.read_to_close().await;
        // HTTP/1.1 may be answered 400; what was not agreed on is never served.
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(!said.contains("200 OK") && !said.contains("X-Portway-Token"), "{alpn:?}: {said}");
        assert!(alpn != ["h2"] || !said.contains("HTTP/1"), "{said}");
    }
    gateway.stop();
}

#[tokio::test]
async fn an_authority_outside_the_certificate_is_421() {
    let recorder = Recorder::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let (plan, ca) = secure();
    let token = plan.token("ws", recorder.port());
    let gateway = plan.start();
    let (one, two) = (format!("{}-ws.one.test", recorder.port()), format!("{}-ws.two.test:8443", recorder.port()));
    let mut client = connect(&gateway, &ca.one, &one, &["http/1.1"]).await;
    for misdirected in [two.as_str(), "two.test:8443"] {
        let answer = client.round_trip("GET", request(misdirected, "/", &token)).await;
        assert_eq!(answer.status(), 421, "{misdirected}");
        if answer.field("connection").as_deref() == Some("close") {
            client = connect(&gateway, &ca.one, &one, &["http/1.1"]).await;
        }
    }
    assert!(recorder.connections().is_empty(), "{}", recorder.text());
    // The same name by its own certificate is served.
    let sni = two.trim_end_matches(":8443");
    let answer =
        connect(&gateway, &ca.two, sni, &["http/1.1"]).await.round_trip("GET", request(&two, "/", &token)).await;
    assert_eq!(answer.status(), 200);
    gateway.stop();
}

#[tokio::test]
async fn every_stream_of_one_connection_is_authorised_by_its_own_authority() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let (mine, other) = (Recorder::answering(ok).await, Recorder::answering(ok).await);
    let (plan, ca) = secure();
    plan.workspace("second", "localhost");
    let token = plan.token("ws", mine.port());
    let gateway = plan.start();
    let host = format!("{}-ws.one.test", mine.port());
    let (stream, _) = connect(&gateway, &ca.one, &host, &["h2"]).await.into_parts();
    let (mut sender, connection) = within("HTTP/2", h2::client::handshake(stream)).await.expect("HTTP/2");
    let driver = tokio::spawn(connection);
    let mut ask = async |host: &str, token: Option<&str>| {
        let mut request = http::Request::get(format!("https://{host}/"));
        if let Some(token) = token {
            request = request.header("x-portway-token", token);
        }
        std::future::poll_fn(|cx| sender.poll_ready(cx)).await.expect("room for a stream");
        let (response, _): (_, h2::SendStream<Bytes>) =
            sender.send_request(request.body(()).expect("a request"), true).expect("send");
        within("an answer", response).await.expect("an answer").status().as_u16()
    };
    // Interleaved: what one stream may do is no other stream's business.
    for _ in 0..3 {
        assert_eq!(ask(&host, Some(&token)).await, 200);
        assert_eq!(ask(&format!("{}-ws.one.test", other.port()), Some(&token)).await, 404);
        assert_eq!(ask(&format!("{}-second.one.test", mine.port()), Some(&token)).await, 404);
        assert_eq!(ask(&format!("{}-second.one.test", other.port()), None).await, 401);
        assert_eq!(ask(&host, None).await, 401);
        assert_eq!(ask(&format!("{}-ws.two.test:8443", mine.port()), Some(&token)).await, 421);
    }
    assert_eq!(mine.text().matches("GET / HTTP/1.1").count(), 3, "{}", mine.text());
    assert!(other.connections().is_empty(), "{}", other.text());
    // Gone before the stop, which would wait for it.
    driver.abort();
    drop(driver.await);
    gateway.stop();
}

#[tokio::test]
async fn plain_http_is_308_to_the_public_origin_and_says_nothing_of_hsts() {
    let recorder = Recorder::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let (plan, _) = secure();
    let token = plan.token("ws", recorder.port());
    let gateway = plan.start();
    let port = recorder.port();
    for (host, path, to) in [
        (
            format!("{port}-ws.one.test"),
            "/a/%2e%2E//b?c=d%20&e=?",
            format!("https://{port}-ws.one.test/a/%2e%2E//b?c=d%20&e=?"),
        ),
        (format!("{port}-ws.two.test:8443"), "/x?", format!("https://{port}-ws.two.test:8443/x?")),
        (format!("{port}-ws.one.test"), "//evil.example/", format!("https://{port}-ws.one.test//evil.example/")),
        ("one.test".to_owned(), "/", "https://one.test/".to_owned()),
    ] {
        let answer = Client::connect(gateway.plain()).await.round_trip("GET", request(&host, path, &token)).await;
        let told = (answer.status(), answer.field("location"));
        assert_eq!(told, (308, Some(to)), "{host}{path}");
        // RFC 6797 section 7.2: not over plain HTTP.
        assert_eq!(answer.field("strict-transport-security"), None);
        assert!(answer.all("set-cookie").is_empty());
    }
    assert!(recorder.connections().is_empty(), "{}", recorder.text());
    gateway.stop();
}

#[tokio::test]
async fn every_answer_over_tls_carries_the_configured_hsts() {
    // A dev server's own opinion does not get past the gateway's.
    let recorder =
        Recorder::answering("HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=0\r\nContent-Length: 0\r\n\r\n")
            .await;
    let (plan, ca) = secure();
    let token = plan.token("ws", recorder.port());
    let gateway = plan.start();
    let host = format!("{}-ws.one.test", recorder.port());
    for (host, path, token, status) in [
        (host.as_str(), "/", token.as_str(), 200),
        (&host, "/", "", 401),
        ("9-ws.one.test", "/", &token, 404),
        ("one.test", "/.portway/nothing", "", 404),
        ("x.two.test", "/", "", 421),
    ] {
        let mut client = connect(&gateway, &ca.one, "3000-ws.one.test", &["http/1.1"]).await;
        let answer = client.round_trip("GET", request(host, path, token)).await;
        let hsts = answer.all("strict-transport-security");
        assert_eq!((answer.status(), hsts), (status, vec!["max-age=86400".to_owned()]), "{host}{path}");
    }
    gateway.stop();
}

#[tokio::test]
async fn a_dev_server_is_spoken_to_in_tls_by_name_or_by_setting() {
    // Signed by nobody that the gateway knows, for a name that is not its own.
    let leaf = TestCa::new().leaf(&["dev.example"]);
    let by_name = Echo::start_tls(leaf.server(&["http/1.1"])).await;
    let by_setting = Echo::start_tls(leaf.server(&[])).await;
    // What a plain server says to a ClientHello.
    let plain = Recorder::start(vec![
        Step::Read(6),
        Step::write("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
        Step::Close,
    ])
    .await;
    let (plan, ca) = secure();
    plan.run(&["port", "set", "ws", &by_setting.port().to_string(), "--scheme", "https"]);
    let ports = [by_name.port(), by_setting.port(), plain.port()];
    let tokens = ports.map(|port| plan.token("ws", port));
    let gateway = plan.start();
    for (form, token) in [(format!("{}s", ports[0]), &tokens[0]), (ports[1].to_string(), &tokens[1])] {
        let host = format!("{form}-ws.one.test");
        let answer =
            connect(&gateway, &ca.one, &host, &["http/1.1"]).await.round_trip("GET", request(&host, "/x", token)).await;
        assert_eq!(answer.status(), 200, "{host}: {}", answer.text());
        assert_eq!(Echo::reflected(&answer).start_line(), "GET /x HTTP/1.1");
        assert!(!answer.text().contains(token.as_str()), "the token reached the dev server");
    }
    let host = format!("{}s-ws.one.test", ports[2]);
    let answer = connect(&gateway, &ca.one, &host, &["http/1.1"])
        .await
        .round_trip("GET", request(&host, "/x", &tokens[2]))
        .await;
    assert_eq!(verdict(&answer), (502, "upstream-tls".to_owned()));
    // It was asked in TLS, and the request was not tried in clear afterwards.
    for one in plain.connections() {
        assert_eq!(one.bytes.first(), Some(&22), "{:?}", one.bytes.escape_ascii().to_string());
    }
    assert!(!plain.connections().is_empty() && !plain.text().contains("GET /x"));
    gateway.stop();
}

#[test]
fn a_certificate_that_cannot_be_used_refuses_the_start_and_names_its_file() {
    let ca = TestCa::new();
    let (leaf, other) = (ca.leaf(&["one.test"]), ca.leaf(&["one.test"]));
    let (cert, key) = (Some(leaf.certificate_pem.as_str()), Some(leaf.key_pem.as_str()));
    let broken = leaf.certificate_pem.replace("MII", "!!!");
    let refused = |cert: Option<&str>, key: Option<&str>| {
        let config = "domain = \"one.test\"\n[[tls.certificates]]\ncert = \"the.crt\"\nkey = \"the.key\"\n[tls]\nlisten = [\"127.0.0.1:0\"]\n";
        let mut builder = Gateway::builder(crate::stage::binary()).config(config);
        for (name, content) in [("the.crt", cert), ("the.key", key)] {
            if let Some(content) = content {
                builder = builder.file(name, content);
            }
        }
        builder.start_refused()
    };
    for (what, cert, key, named) in [
        ("no certificate file", None, key, "the.crt"),
        ("no key file", cert, None, "the.key"),
        ("an empty certificate file", Some(""), key, "the.crt"),
        ("an empty key file", cert, Some(""), "the.key"),
        ("a key of another certificate", cert, Some(other.key_pem.as_str()), "the.key"),
        ("the files the wrong way round", key, cert, "the.crt"),
        ("a certificate for a key", cert, cert, "the.key"),
        ("a broken certificate", Some(broken.as_str()), key, "the.crt"),
    ] {
        let (status, errors) = refused(cert, key);
        assert_eq!(status.code(), Some(2), "{what}: {status} {errors}");
        assert!(errors.contains(named), "{what}: {errors}");
        assert!(!errors.contains("PRIVATE KEY"), "{what} printed a key: {errors}");
    }
}
