//! HTTP/2 requests that no library would send, as raw frames: each is refused, and no dev server is asked (R43).

use portway_testkit::frames::{
    DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame,
    literal, string,
};
use portway_testkit::{Recorder, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stage::{Door, private};

/// The pseudo-fields and the token of an ordinary request; a case replaces, adds or leaves out some.
pub(crate) struct Block {
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    body: Option<&'static [u8]>,
}

impl Block {
    pub(crate) fn new(door: &Door) -> Self {
        let (name, token) = door.auth.trim_end().split_once(": ").expect("a token");
        let fields = [
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/one"),
            (":authority", &door.host),
            (&name.to_ascii_lowercase(), token),
        ];
        let fields = fields.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect();
        Self { fields, body: None }
    }

    pub(crate) fn set(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let place = self.fields.iter_mut().find(|(known, _)| known == name.as_bytes()).expect("a known field");
        place.1 = value.as_ref().to_vec();
        self
    }

    fn add(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.fields.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(known, _)| known != name.as_bytes());
        self
    }

    fn body(mut self, body: &'static [u8]) -> Self {
        self.body = Some(body);
        self
    }

    /// As the fields of a HEADERS frame.
    pub(crate) fn fields(&self) -> Vec<u8> {
        self.fields.iter().flat_map(|(name, value)| literal(name, value)).collect()
    }

    fn headers(&self, stream: u32, end: u8) -> Vec<u8> {
        frame(HEADERS, END_HEADERS | end, stream, &self.fields())
    }

    fn bytes(&self) -> Vec<u8> {
        let end = if self.body.is_none() { END_STREAM } else { 0 };
        let mut bytes = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &self.headers(1, end)].concat();
        if let Some(body) = self.body {
            bytes.extend(frame(DATA, END_STREAM, 1, body));
        }
        bytes
    }
}

/// How the gateway took it: the status of its answer, or 0 for a reset of the stream or the connection.
async fn verdict(door: &Door, block: &Block) -> u16 {
    verdict_on(door, &block.bytes(), 1).await
}

/// The same for one stream of whatever is sent.
async fn verdict_on(door: &Door, bytes: &[u8], asked: u32) -> u16 {
    let mut tcp = TcpStream::connect(door.address).await.expect("connect");
    tcp.write_all(bytes).await.expect("send the frames");
    within("a verdict", async {
        loop {
            let Some((kind, stream, payload)) = next(&mut tcp).await else { return 0 };
            match kind {
                HEADERS if stream == asked => return status(&payload),
                RST_STREAM if stream == asked => return 0,
                GOAWAY => return 0,
                _ => {}
            }
        }
    })
    .await
}

/// The next frame: its type, its stream and what is in it.
async fn next(tcp: &mut TcpStream) -> Option<(u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    tcp.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; usize::try_from(length).expect("a short frame")];
    tcp.read_exact(&mut payload).await.ok()?;
    Some((head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
}

/// The status of a response: it comes first, from the static table or as a literal (RFC 7541 appendix A).
fn status(block: &[u8]) -> u16 {
    match block.first() {
        Some(0x88) => 200,
        Some(0x89) => 204,
        Some(0x8a) => 206,
        Some(0x8b) => 304,
        Some(0x8c) => 400,
        Some(0x8d) => 404,
        Some(0x8e) => 500,
        // Another, with the name of one of these and its value spelled.
        _ => 999,
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_nobody_is_asked() {
    let recorder = Recorder::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let (stage, door) = private(recorder.port());
    // The frames are right: ordinary requests pass.
    let ordinary = || Block::new(&door).set(":path", "/ordinary");
    assert_eq!(verdict(&door, &ordinary()).await, 200);
    assert_eq!(verdict(&door, &ordinary().set(":method", "POST").body(b"hello")).await, 200);
    // The h2 crate drops a fragment before we see it; it never arrives.
    assert_eq!(verdict(&door, &ordinary().set(":path", "/ordinary#two")).await, 200);
    assert!(!recorder.text().contains('#'), "{}", recorder.text());

    let fresh = || Block::new(&door);
    let smuggled = "x\r\nGET /two HTTP/1.1\r\nHost: a\r\n\r\n";
    let long = "a".repeat(9000);
    let cases: Vec<(&str, Block)> = vec![
        ("CR LF in a value", fresh().add("x-a", smuggled)),
        ("LF in a value", fresh().add("x-a", "b\nc")),
        ("CR in a value", fresh().add("x-a", "b\rc")),
        ("NUL in a value", fresh().add("x-a", "b\0c")),
        ("a control in a value", fresh().add("x-a", "b\x01c")),
        ("CR LF in a name", fresh().add("x-a\r\nx-b", "c")),
        ("a colon in a name", fresh().add("x-a: b", "c")),
        ("a space in a name", fresh().add("x a", "b")),
        ("NUL in a name", fresh().add("x\0a", "b")),
        ("an empty name", fresh().add("", "b")),
        ("capitals in a name", fresh().add("X-A", "b")),
        ("a byte past ASCII in a name", fresh().add([b'x', 0xfc], "b")),
        ("CR LF in the path", fresh().set(":path", "/one HTTP/1.1\r\nX-A: b\r\n\r\n")),
        ("a space in the path", fresh().set(":path", "/o ne")),
        ("NUL in the path", fresh().set(":path", "/o\0ne")),
        ("an empty path", fresh().set(":path", "")),
        ("a relative path", fresh().set(":path", "one")),
        ("an absolute path", fresh().set(":path", "http://evil.example/")),
        ("an asterisk with GET", fresh().set(":path", "*")),
        ("no path", fresh().without(":path")),
        ("two paths", fresh().add(":path", "/two")),
        ("no method", fresh().without(":method")),
        ("an empty method", fresh().set(":method", "")),
        ("a space in the method", fresh().set(":method", "GET /two")),
        ("CR LF in the method", fresh().set(":method", "GET /two HTTP/1.1\r\nX-A: ")),
        ("two methods", fresh().add(":method", "POST")),
        ("no scheme", fresh().without(":scheme")),
        ("CR LF in the authority", fresh().set(":authority", format!("{}\r\nX-A: b", door.host))),
        ("a space in the authority", fresh().set(":authority", format!("{} x", door.host))),
        ("user information in the authority", fresh().set(":authority", format!("a@{}", door.host))),
        ("a path in the authority", fresh().set(":authority", format!("{}/x", door.host))),
        ("no authority and no host", fresh().without(":authority")),
        ("another host than the authority", fresh().add("host", "evil.example")),
        ("two hosts", fresh().add("host", &door.host).add("host", "evil.example")),
        ("a pseudo-field behind a field", fresh().add("x-a", "b").add(":authority", "evil.example")),
        ("a pseudo-field that nobody knows", fresh().add(":other", "b")),
        ("a pseudo-field of responses", fresh().add(":status", "200")),
        ("an extended CONNECT that was not offered", fresh().set(":method", "CONNECT").add(":protocol", "websocket")),
        ("Connection", fresh().add("connection", "x-portway-token")),
        ("Keep-Alive", fresh().add("keep-alive", "timeout=5")),
        ("Proxy-Connection", fresh().add("proxy-connection", "keep-alive")),
        (
            "Transfer-Encoding",
            fresh()
                .set(":method", "POST")
                .add("transfer-encoding", "chunked")
                .body(b"0\r\n\r\nGET /two HTTP/1.1\r\n\r\n"),
        ),
        ("Upgrade", fresh().add("upgrade", "websocket")),
        ("TE for a coding", fresh().add("te", "gzip")),
        ("a length of more than there is", fresh().set(":method", "POST").add("content-length", "50").body(b"hello")),
        ("a length of less than there is", fresh().set(":method", "POST").add("content-length", "2").body(b"hello")),
        ("a length without a body", fresh().add("content-length", "5")),
        ("a length that is none", fresh().set(":method", "POST").add("content-length", "5x").body(b"hello")),
        (
            "two lengths",
            fresh().set(":method", "POST").add("content-length", "5").add("content-length", "6").body(b"hello"),
        ),
        ("101 fields", (0..101).fold(fresh(), |block, n| block.add(format!("x-{n}"), "v"))),
        ("more than 32 KiB of fields", (0..4).fold(fresh(), |block, n| block.add(format!("x-{n}"), &long))),
        ("an expectation", fresh().add("expect", "foo")),
    ];
    let mut faults = Vec::new();
    for (name, block) in &cases {
        let verdict = verdict(&door, block).await;
        if verdict == 200 || verdict == 304 || verdict == 204 || verdict == 206 {
            faults.push(format!("{name}: answered {verdict}"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    // A head whose body then failed may have gone out; nothing whole did, and nothing else.
    let text = recorder.text();
    let asked: Vec<&str> =
        text.lines().filter(|line| line.ends_with(" HTTP/1.1") && !line.contains("/ordinary")).collect();
    assert!(asked.iter().all(|line| *line == "POST /one HTTP/1.1") && asked.len() <= 2, "{asked:?}");
    assert!(!text.contains("/two") && !text.contains("evil.example"), "{text}");
    assert!(cases.len() >= 50);
    stage.gateway.stop();
}

/// Rapid reset (CVE-2023-44487) and MadeYouReset (CVE-2025-8671) cost a dev server nothing (R46).
#[tokio::test]
async fn a_stream_that_is_reset_at_once_is_not_passed_on() {
    let recorder = Recorder::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let (stage, door) = private(recorder.port());
    let window = 0x7fff_ffff_u32.to_be_bytes();
    let on_itself = [&3_u32.to_be_bytes()[..], &[0]].concat();
    let cases = [
        ("by the visitor", frame(RST_STREAM, 0, 3, &[0, 0, 0, 8])),
        ("by a window past its limit", frame(WINDOW_UPDATE, 0, 3, &window)),
        ("by a priority on itself", frame(PRIORITY, 0, 3, &on_itself)),
    ];
    for (name, trigger) in &cases {
        let reset = Block::new(&door).set(":path", "/reset").headers(3, 0);
        let after = Block::new(&door).set(":path", "/after").headers(5, END_STREAM);
        let before = Block::new(&door).set(":path", "/before").bytes();
        let status = verdict_on(&door, &[&before[..], &reset, trigger, &after].concat(), 5).await;
        assert_eq!(status, 200, "{name}: the connection goes on");
    }
    let text = recorder.text();
    assert_eq!(text.matches("GET /after ").count(), cases.len(), "{text}");
    assert!(!text.contains("/reset"), "{text}");
    stage.gateway.stop();
}

/// As many fields as one frame can name, on every stream, while no answer of ours may be sent (CVE-2026-49975, R47).
#[tokio::test]
async fn heads_of_many_fields_cost_little_while_the_window_is_shut() {
    const CONNECTIONS: usize = 20;
    const STREAMS: usize = 100;
    /// Each head is some 80 KB as a map of its fields: 190 MiB, when all were held at once; 40 since.
    const BOUND: u64 = 96 << 20;
    let recorder = Recorder::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let (stage, door) = private(recorder.port());
    // INITIAL_WINDOW_SIZE 0; then a crumb of a cookie enters the table, and one byte stands for each more.
    let mut bytes = [PREFACE, &frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])].concat();
    let crumb = [&[0x40][..], &string(b"cookie"), &string(b"")].concat();
    for stream in (1..).step_by(2).take(STREAMS) {
        let plain: Vec<u8> = Block::new(&door).fields.iter().flat_map(|(name, value)| literal(name, value)).collect();
        let more = if stream == 1 { &crumb[..] } else { &[0x80 | 62; 800] };
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &[&plain, more].concat()));
    }
    let before = stage.gateway.peak_memory();
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut tcp = TcpStream::connect(door.address).await.expect("connect");
        tcp.write_all(&bytes).await.expect("send the frames");
        open.push(tcp);
    }
    for tcp in &mut open {
        within("every head to be answered", async {
            let mut answered = 0;
            while answered < STREAMS {
                let (kind, ..) = next(tcp).await.expect("the connection goes on");
                answered += usize::from(kind == HEADERS);
            }
        })
        .await;
    }
    let grown = stage.gateway.peak_memory().saturating_sub(before);
    assert!(grown < BOUND, "{} KiB", grown >> 10);
    stage.gateway.stop();
}
