//! Who a visitor is where proxies stand in front (R28): believed from those that were named, by header or by the PROXY
//! protocol, and from nobody else. nginx and HAProxy are real ones.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use portway_testkit::service::{Service, free_port, is_listening, program};
use portway_testkit::{Client, Echo, Ending, Recorder, Step, TempDir, TestCa, eventually};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};

use crate::stage::{Door, Stage, over_tls, plan};

/// Where a workspace may be too, so that it is believed nothing.
const WORKSPACE: &str = "127.0.0.1";
const PROXY: &str = "127.0.0.2";
const VISITOR: &str = "127.0.0.3";

const TRUSTED: &str = "[proxies]\ntrusted = [\"127.0.0.2\"]\n";
const ANNOUNCED: &str = "[proxies]\ntrusted = [\"127.0.0.2\"]\nprotocol = [\"plain\"]\n";

pub(crate) async fn from(source: &str, address: SocketAddr) -> TcpStream {
    try_from(source, address).await.expect("connect")
}

async fn try_from(source: &str, address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4().expect("a socket");
    let source: IpAddr = source.parse().expect("an address");
    socket.bind(SocketAddr::new(source, 0)).expect("bind");
    socket.connect(address).await
}

/// Whom the dev server and the log are told of. The server answers with the request's head.
async fn told(stage: &Stage, door: &Door, mut client: Client, path: &str, fields: &str) -> (String, String) {
    let answer = client.round_trip("GET", door.head(&format!("GET {path}"), fields)).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let head = answer.text();
    let forwarded =
        head.lines().filter_map(|line| line.strip_prefix("X-Forwarded-For: ")).collect::<Vec<_>>().join("|");
    let line = stage.gateway.wait_for_log("the request", |line| line["event"] == "request" && line["path"] == path);
    (forwarded, line["peer"].as_str().unwrap_or_default().to_owned())
}

fn both(address: &str) -> (String, String) {
    (address.to_owned(), address.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forwarded_address_is_believed_from_a_named_proxy_alone() {
    let echo = Echo::start().await;
    let stage = plan().public(echo.port()).config(TRUSTED).start();
    let door = stage.door(echo.port());
    let connect = async |source| Client::over(from(source, door.address).await);
    let cases = [
        ("/1", PROXY, "X-Forwarded-For: 192.0.2.7\r\n", "192.0.2.7"),
        ("/2", PROXY, "X-Forwarded-For: 203.0.113.9, 192.0.2.7\r\nx-forwarded-for: 127.0.0.2\r\n", "192.0.2.7"),
        ("/3", PROXY, "X-Forwarded-For: unknown\r\n", PROXY),
        ("/4", PROXY, "", PROXY),
        ("/5", PROXY, "X-Real-IP: 192.0.2.7\r\nForwarded: for=192.0.2.7\r\n", PROXY),
        ("/6", WORKSPACE, "X-Forwarded-For: 192.0.2.7\r\n", WORKSPACE),
        ("/7", VISITOR, "X-Forwarded-For: 192.0.2.7, 127.0.0.2\r\n", VISITOR),
    ];
    for (path, source, fields, expected) in cases {
        assert_eq!(told(&stage, &door, connect(source).await, path, fields).await, both(expected), "{path} {fields:?}");
    }
    // No request is one, where the protocol was not asked for.
    let mut client = connect(PROXY).await;
    client.send(format!("PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n{}", door.head("GET /8", ""))).await;
    assert_eq!(client.response("GET").await.expect("an answer").status(), 400);
    stage.gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_protocol_is_a_must_where_it_is_asked_for_and_believed_from_proxies_alone() {
    let echo = Echo::start().await;
    let silent = Recorder::start(vec![Step::ReadHead]).await;
    let stage = plan().public(echo.port()).public(silent.port()).config(ANNOUNCED).start();
    let (door, other) = (stage.door(echo.port()), stage.door(silent.port()));
    let announced = async |source, header: &[u8]| {
        let mut client = Client::over(from(source, door.address).await);
        client.send(header).await;
        client
    };
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\xc8\x22\x01\xbb";
    for (path, header, expected) in [
        ("/1", &b"PROXY TCP4 192.0.2.7 10.0.0.1 51234 443\r\n"[..], "192.0.2.7"),
        ("/2", b"PROXY TCP6 2001:db8::7 ::1 51234 443\r\n", "2001:db8::7"),
        ("/3", v2, "192.0.2.7"),
        ("/4", b"PROXY UNKNOWN\r\n", PROXY),
        ("/5", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", PROXY),
    ] {
        let client = announced(PROXY, header).await;
        assert_eq!(told(&stage, &door, client, path, "").await, both(expected), "{path}");
    }
    // A proxy before the proxy, which was announced, and says whom it was called by.
    let client = announced(PROXY, b"PROXY TCP4 127.0.0.2 10.0.0.1 51234 443\r\n").await;
    assert_eq!(told(&stage, &door, client, "/6", "X-Forwarded-For: 192.0.2.9\r\n").await, both("192.0.2.9"));

    let request = other.head("GET /", "");
    for (source, header) in [
        (PROXY, ""),
        (PROXY, "PROXY TCP4 192.0.2.7\r\n"),
        (WORKSPACE, "PROXY TCP4 192.0.2.7 10.0.0.1 51234 443\r\n"),
        (VISITOR, ""),
    ] {
        // It may be reset before everything was sent, or anything.
        let Ok(tcp) = try_from(source, door.address).await else { continue };
        let mut client = Client::over(tcp);
        let _ = client.try_send(format!("{header}{request}")).await;
        let (answer, ending) = client.read_to_close().await;
        assert_eq!((&answer[..], ending), (&b""[..], Ending::Reset), "{source} {header}");
    }
    assert_eq!(silent.text(), "", "something came through");
    stage.gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_protocol_comes_before_tls() {
    let ca = TestCa::new();
    let more = "[proxies]\ntrusted = [\"127.0.0.2\"]\nprotocol = [\"tls\"]\n";
    let gateway = over_tls(&ca, more).start();
    let mut tcp = from(PROXY, gateway.tls()).await;
    tcp.write_all(b"PROXY TCP4 192.0.2.7 10.0.0.1 51234 443\r\n").await.expect("send");
    let mut client = Client::tls_over(tcp, "hub.test", ca.client(&["http/1.1"])).await.expect("TLS");
    let page = "GET /.portway/login HTTP/1.1\r\nHost: hub.test\r\n\r\n";
    assert_eq!(client.round_trip("GET", page).await.status(), 200);
    let line = gateway.wait_for_log("the request", |line| line["event"] == "request");
    assert_eq!(line["peer"], "192.0.2.7");
    let refused = Client::try_connect_tls(gateway.tls(), "hub.test", ca.client(&["http/1.1"])).await;
    assert!(refused.is_err(), "TLS without the protocol");
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_announces_by_both_versions() {
    let echo = Echo::start().await;
    let stage = plan().public(echo.port()).config(ANNOUNCED).start();
    let door = stage.door(echo.port());
    for (path, version) in [("/1", "send-proxy"), ("/2", "send-proxy-v2")] {
        let (dir, port) = (TempDir::new(), free_port());
        let config = format!(
            "defaults\n mode tcp\n timeout connect 10s\n timeout client 60s\n timeout server 60s\n\
             listen front\n bind 127.0.0.1:{port}\n server portway {} source {PROXY} {version}\n",
            door.address
        );
        std::fs::write(dir.path().join("haproxy.cfg"), config).expect("write the configuration");
        let haproxy = program(&[PathBuf::from("/usr/sbin/haproxy")]);
        let service = run(Command::new(haproxy).arg("-db").arg("-f").arg(dir.path().join("haproxy.cfg")), port);
        let client = Client::over(from(VISITOR, SocketAddr::new(WORKSPACE.parse().expect("an address"), port)).await);
        assert_eq!(told(&stage, &door, client, path, "").await, both(VISITOR), "{version}");
        drop(service);
    }
    stage.gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_adds_to_what_the_visitor_wrote() {
    let echo = Echo::start().await;
    let stage = plan().public(echo.port()).config(TRUSTED).start();
    let door = stage.door(echo.port());
    let port = free_port();
    let passes_on = format!("proxy_bind {PROXY}; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;");
    let nginx = Nginx::start(port, &door, "$http_host", &passes_on);
    let client = Client::over(from(VISITOR, SocketAddr::new(WORKSPACE.parse().expect("an address"), port)).await);
    let lie = "X-Forwarded-For: 192.0.2.66\r\n";
    assert_eq!(told(&stage, &door, client, "/1", lie).await, both(VISITOR));
    drop(nginx);
    stage.gateway.stop();
}

/// nginx in front of a door; its folder has its access log.
pub(crate) struct Nginx {
    // It ends before its folder does.
    _service: Service,
    dir: TempDir,
}

impl Nginx {
    /// Listens on a port and passes requests to the door's gateway, for this host; `more` are further lines of how.
    pub(crate) fn start(port: u16, door: &Door, host: &str, more: &str) -> Self {
        let dir = TempDir::new();
        let config = format!(
            "daemon off; master_process off; pid nginx.pid; error_log stderr;\nevents {{}}\nhttp {{ access_log access.log;\n\
             client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;\n\
             server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://{}; proxy_http_version 1.1;\n\
             proxy_set_header Host {host}; {more} }} }} }}\n",
            door.address
        );
        drop(dir.write("nginx.conf", config));
        let nginx = program(&[PathBuf::from("/usr/sbin/nginx")]);
        let service = run(Command::new(nginx).arg("-p").arg(dir.path()).args(["-c", "nginx.conf"]), port);
        Self { _service: service, dir }
    }

    /// Ends it; gives its access log.
    pub(crate) fn end(self) -> String {
        let Self { _service: service, dir } = self;
        drop(service);
        std::fs::read_to_string(dir.join("access.log")).expect("the access log")
    }
}

/// A proxy that listens.
fn run(command: &mut Command, port: u16) -> Service {
    let service = Service::spawn(command.stdout(Stdio::null()).stderr(Stdio::null()));
    eventually("the proxy to listen", || is_listening(port));
    service
}
