//! What an attack writes into: HTTP/2 frames and heads of HTTP/1.1, made by hand; and the frames that come back.
//!
//! Nothing is checked, since what no library would send is the point. It knows no sockets.

use std::collections::BTreeMap;

use portway_testkit::frames::{END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE, RST_STREAM, SETTINGS, frame, string};

/// Bytes before a frame's payload.
const HEAD: usize = 9;

/// What one connection sends next, and how far it has come.
pub(crate) struct Script {
    pub(crate) out: Vec<u8>,
    pub(crate) frames: u64,
    /// The newest stream.
    pub(crate) stream: u32,
    /// A counter for what is no stream: fields' names, streams that are never opened.
    pub(crate) idle: u32,
    host: String,
}

impl Script {
    pub(crate) fn new(host: &str) -> Self {
        // The first stream follows on the last; those that are never opened are far from those that are.
        Self { out: Vec::new(), frames: 0, stream: u32::MAX, idle: 0x3fff_ffff, host: host.to_owned() }
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// The beginning of an HTTP/1.1 head.
    pub(crate) fn http1(&mut self, line: &str, rest: &str) {
        let head = format!("{line}\r\nHost: {}\r\n{rest}", self.host);
        self.text(&head);
    }

    pub(crate) fn preface(&mut self, settings: &[u8]) {
        self.out.extend_from_slice(PREFACE);
        self.frame(SETTINGS, 0, 0, settings);
    }

    pub(crate) fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.out.extend(frame(kind, flags, stream, payload));
        self.frames += 1;
    }

    /// A request on a new stream: GET where it ends with its head, else POST. `more` is encoded already.
    pub(crate) fn request(&mut self, path: &[u8], flags: u8, more: &[u8]) {
        self.begin_request(path, flags | END_HEADERS, more);
    }

    pub(crate) fn next_stream(&mut self) {
        self.stream = self.stream.wrapping_add(2);
    }

    /// Whether no stream has been opened.
    pub(crate) fn is_fresh(&self) -> bool {
        self.stream == u32::MAX
    }

    pub(crate) fn begin_request(&mut self, path: &[u8], flags: u8, more: &[u8]) {
        self.next_stream();
        // Indices of the static table (RFC 7541 appendix A): method, :scheme https; then :path and :authority by name.
        let method = if flags & END_STREAM == 0 { 0x83 } else { 0x82 };
        let block = [&[method, 0x87, 4][..], &string(path), &[1], &string(self.host.as_bytes()), more].concat();
        self.frame(HEADERS, flags, self.stream, &block);
    }
}

/// What came back over HTTP/2.
#[derive(Default)]
pub(crate) struct Seen {
    buffer: Vec<u8>,
    pub(crate) greeted: bool,
    pub(crate) resets: u64,
    /// How often each code was given as the reason to end the connection.
    pub(crate) goaway: BTreeMap<u32, u64>,
}

impl Seen {
    pub(crate) fn take(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
        let mut at = 0;
        while let Some(head) = self.buffer.get(at..at + HEAD) {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let kind = head[3];
            let Some(payload) = self.buffer.get(at + HEAD..at + HEAD + length) else { break };
            match kind {
                SETTINGS => self.greeted = true,
                RST_STREAM => self.resets += 1,
                GOAWAY => {
                    let code = payload
                        .get(4..8)
                        .map_or(u32::MAX, |four| u32::from_be_bytes([four[0], four[1], four[2], four[3]]));
                    *self.goaway.entry(code).or_default() += 1;
                }
                _ => {}
            }
            at += HEAD + length;
        }
        self.buffer.drain(..at);
    }
}
