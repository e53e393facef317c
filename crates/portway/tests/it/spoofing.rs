//! Identity and forwarding fields that a visitor makes up never arrive, in any spelling, over any transport (R25); what a
//! dev server is told about its visitor is the gateway's word alone.

use portway_testkit::{Client, Echo, Message, Recorder, Step, WebSocket, message};

use crate::http2_client::Http2;
use crate::stage::{Door, private};

/// Names as they are usually written.
const NAMES: &[&str] = &[
    "Forwarded",
    "X-Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Port",
    "X-Forwarded-Scheme",
    "X-Forwarded-Server",
    "X-Forwarded-Prefix",
    "X-Forwarded-Path",
    "X-Forwarded-Uri",
    "X-Forwarded-Method",
    "X-Forwarded-By",
    "X-Forwarded-Ssl",
    "X-Forwarded-Protocol",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Access-Token",
    "X-Forwarded-Client-Cert",
    "X-Forwarded-Tls-Client-Cert",
    "X-Forwarded-For-Original",
    "X-Real-IP",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-Portway-User",
    "X-Portway-Email",
    "X-Portway-Identity",
    "X-Portway-Host",
    "X-Portway-Secret",
    "Remote-User",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Auth-Request-Groups",
    "X-Auth-Request-Access-Token",
    "X-Auth-User",
    "X-Auth-Username",
    "X-Auth-Token",
    "X-Auth-Key",
];

/// What tells a made-up value.
const FAKE: &str = "spoofed-value";

/// Other spellings that some servers take for the same name.
fn spellings(name: &str) -> Vec<String> {
    let mut all = vec![name.to_owned(), name.to_ascii_lowercase(), name.to_ascii_uppercase()];
    all.extend([name.replace('-', "_"), name.replace('-', "."), name.to_ascii_lowercase().replace('-', "_")]);
    all.push(name.replacen('-', "_", 1));
    all
}

fn judge(seen: &Message, door: &Door, what: &str) {
    let head = String::from_utf8_lossy(&seen.head).into_owned();
    assert!(!head.contains(FAKE), "{what} arrived: {head}");
    let local = format!("localhost:{}", door.port);
    for (name, value) in [("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-Host", &local), ("X-Forwarded-Proto", "http")]
    {
        assert_eq!(seen.all(name), [value], "{what}: {head}");
    }
}

async fn ask(client: &mut Client, door: &Door, fields: &str) -> Message {
    let answer = client.round_trip("GET", door.head("GET /", fields)).await;
    assert_eq!(answer.status(), 200, "{fields}");
    Echo::reflected(&answer)
}

#[tokio::test]
async fn made_up_identities_do_not_arrive_over_http1() {
    assert!(NAMES.len() >= 40);
    let echo = Echo::start().await;
    let (stage, door) = private(echo.port());
    let mut client = door.connect().await;
    for name in NAMES {
        for spelling in spellings(name) {
            let seen = ask(&mut client, &door, &format!("{spelling}: {FAKE}\r\n")).await;
            judge(&seen, &door, &spelling);
        }
        // Twice, in two spellings, with an honest field between, and nominated so that it might take ours away.
        let fields =
            format!("{name}: {FAKE}\r\nX-Honest: 1\r\n{}: {FAKE}\r\nConnection: {name}\r\n", name.replace('-', "_"));
        let seen = ask(&mut client, &door, &fields).await;
        judge(&seen, &door, name);
        assert_eq!(seen.all("x-honest"), ["1"]);
    }
    // As trailers.
    for name in NAMES {
        let head = door.head("POST /", "Transfer-Encoding: chunked\r\n");
        let request = format!("{head}0\r\n{name}: {FAKE}\r\nX-Honest: 1\r\n\r\n");
        let answer = client.round_trip("POST", request).await;
        assert_eq!(&answer.trailers[..], b"X-Honest: 1\r\n", "{name} as a trailer");
    }
    // Names that only look like ours are the app's.
    for name in ["X-Forward", "X-Forwardedx", "XForwarded-For", "X-Portways", "X-Real", "X-Authx", "Remote-Users"] {
        let seen = ask(&mut client, &door, &format!("{name}: app\r\n")).await;
        assert_eq!(seen.all(name), ["app"], "{name}");
    }
    stage.gateway.stop();
}

#[tokio::test]
async fn made_up_identities_do_not_arrive_by_a_websocket() {
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                  Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    let recorder = Recorder::start(vec![Step::ReadHead, Step::write(switch)]).await;
    let (stage, door) = private(recorder.port());
    for name in NAMES {
        let fields: String = spellings(name).iter().map(|spelling| format!("{spelling}: {FAKE}\r\n")).collect();
        let extra = format!("{}{fields}", door.auth);
        let socket = WebSocket::open(door.connect().await, &door.host, "/", &extra).await.expect("a 101");
        let bytes = recorder.connections().pop().expect("a connection").bytes;
        let end = message::find(&bytes, b"\r\n\r\n").expect("a whole head") + 4;
        let seen = Message { head: bytes[..end].to_vec().into(), ..Message::default() };
        judge(&seen, &door, name);
        drop(socket);
    }
    stage.gateway.stop();
}

#[tokio::test]
async fn made_up_identities_do_not_arrive_over_http2() {
    let echo = Echo::start().await;
    let (stage, door) = private(echo.port());
    let mut http2 = Http2::connect(&door).await;
    for name in NAMES {
        for spelling in [
            name.to_ascii_lowercase(),
            name.to_ascii_lowercase().replace('-', "_"),
            name.to_ascii_lowercase().replace('-', "."),
        ] {
            let answer = http2.get(&door, "/", &format!("{spelling}: {FAKE}\r\n{spelling}: {FAKE}\r\n")).await;
            assert_eq!(answer.status, 200, "{spelling}");
            let seen = Message { head: answer.body.into(), ..Message::default() };
            judge(&seen, &door, &spelling);
        }
    }
    stage.gateway.stop();
}

#[tokio::test]
async fn host_origin_and_referer_are_one_consistent_set() {
    let echo = Echo::start().await;
    let stage = crate::stage::plan().private(echo.port()).start();
    let door = stage.door(echo.port());
    let (here, sibling) = (door.origin(), format!("http://{}", stage.host("5000")));
    let local = format!("http://localhost:{}", door.port);
    let mut client = door.connect().await;
    for (origin, wanted) in [
        (here.clone(), local.clone()),
        (sibling.clone(), "http://localhost:5000".into()),
        ("https://example.com".into(), "https://example.com".into()),
        ("null".into(), "null".into()),
    ] {
        let fields = format!("Origin: {origin}\r\nReferer: {origin}/a?b\r\n");
        let seen = ask(&mut client, &door, &fields).await;
        assert_eq!(seen.all("origin").join(", "), wanted);
        assert_eq!(seen.all("referer"), [format!("{wanted}/a?b")]);
        judge(&seen, &door, &origin);
    }
    // The other profile tells the truth.
    stage.gateway.run(&["port", "set", crate::stage::WORKSPACE, &door.port.to_string(), "--profile", "public"]);
    portway_testkit::eventually_async("the profile to change", async || {
        let seen = ask(&mut door.connect().await, &door, &format!("Origin: {sibling}\r\n")).await;
        seen.all("host") == [door.host.clone()]
            && seen.all("x-forwarded-host") == [door.host.clone()]
            && seen.all("x-forwarded-proto") == ["http"]
            && seen.all("origin") == [sibling.clone()]
    })
    .await;
    stage.gateway.stop();
}
