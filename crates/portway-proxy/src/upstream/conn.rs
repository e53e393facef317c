//! One HTTP/1.1 connection to a dev server, between requests or in one.
//!
//! It remembers what decides about reuse: whether bytes are left over, what `Keep-Alive` the server announced, and since
//! when it has been idle. It knows neither pool nor visitor.

use std::future::poll_fn;
use std::net::IpAddr;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use portway_http1::{Framing, HeadParser, Limits, Name, ResponseHead};
use tokio::time::timeout;

use crate::io::Duplex;
use crate::limits::CountedSocket;

/// What is believed of a server that announces nothing. Some close after two seconds (gunicorn), most after five.
const UNANNOUNCED: Duration = Duration::from_secs(2);
/// A connection is not used for what cannot be repeated in the last second before the server may close it.
const MARGIN: Duration = Duration::from_secs(1);
/// How long a connection may stay idle for requests that can be repeated.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// How much of a body is looked at, in bytes: Rails says why it refuses after a style sheet.
const PEEK_MAX: usize = 8 * 1024;
/// How long a body may keep its head from being passed on.
const PEEK_TIME: Duration = Duration::from_millis(500);

/// A connection to a dev server.
#[derive(Debug)]
pub struct Connection {
    pub io: Duplex,
    /// Bytes read and not yet used.
    pub buf: BytesMut,
    pub parser: HeadParser,
    /// The address that was checked and dialled.
    pub peer: IpAddr,
    /// Whether a request was sent on it before.
    pub reused: bool,
    idle_since: Instant,
    announced: Option<Duration>,
    _socket: CountedSocket,
}

impl Connection {
    pub fn new(io: Duplex, peer: IpAddr, socket: CountedSocket) -> Self {
        Self {
            io,
            buf: BytesMut::new(),
            parser: HeadParser::new(Limits::response()),
            peer,
            reused: false,
            idle_since: Instant::now(),
            announced: None,
            _socket: socket,
        }
    }

    /// Notes what the server says about keeping the connection (`Keep-Alive: timeout=5`). Its time begins when it has written
    /// the response, not when the visitor has read it; the head is the last of it that is known not to be late.
    pub fn learn(&mut self, head: &ResponseHead) {
        self.idle_since = Instant::now();
        if let Some(value) = head.fields().get(Name::KeepAlive) {
            self.announced = announced_timeout(value);
        }
    }

    /// Whether the body that is about to come says one of these near its beginning. What is read of it stays in the buffer,
    /// for whoever passes it on.
    pub async fn body_says(&mut self, framing: Framing, words: &[&str]) -> bool {
        let _ = timeout(PEEK_TIME, self.peek(framing)).await;
        let body = self.buf.get(..PEEK_MAX).unwrap_or(&self.buf);
        words.iter().any(|words| body.windows(words.len()).any(|part| part == words.as_bytes()))
    }

    async fn peek(&mut self, framing: Framing) {
        let want = match framing {
            Framing::None => 0,
            Framing::Length(length) => usize::try_from(length).unwrap_or(PEEK_MAX).min(PEEK_MAX),
            Framing::Chunked | Framing::UntilClose => PEEK_MAX,
        };
        while self.buf.len() < want && !(framing == Framing::Chunked && self.buf.ends_with(b"\r\n0\r\n\r\n")) {
            if !matches!(self.io.fill(&mut self.buf).await, Ok(1..)) {
                return;
            }
        }
    }

    /// Marks the end of an exchange after which the connection is clean.
    pub fn rest(&mut self) {
        self.reused = true;
    }

    /// Whether a request may be sent on it now. `repeatable` requests may take more of a risk, because they can be sent
    /// again (RFC 9110 9.2.2).
    pub fn may_carry(&self, repeatable: bool) -> bool {
        let idle = self.idle_since.elapsed();
        let safe = self.announced.unwrap_or(UNANNOUNCED).saturating_sub(MARGIN);
        if repeatable { idle < self.announced.unwrap_or(IDLE_MAX).min(IDLE_MAX) } else { idle < safe }
    }

    /// Whether it is of no more use to anybody.
    pub fn is_stale(&self) -> bool {
        self.idle_since.elapsed() >= self.announced.unwrap_or(IDLE_MAX).min(IDLE_MAX)
    }

    /// Whether an idle connection is still silent and open: an end of stream, or a byte nobody asked for, ends its life (R42).
    pub async fn is_quiet(&mut self) -> bool {
        let io = self.io.clone();
        poll_fn(|cx| Poll::Ready(io.poll_read_with(cx, 1, |_, _| ()).is_pending())).await && self.buf.is_empty()
    }
}

fn announced_timeout(value: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?;
    let seconds = text.split(',').find_map(|part| {
        let (name, number) = part.trim().split_once('=')?;
        name.trim().eq_ignore_ascii_case("timeout").then(|| number.trim().parse::<u32>().ok())?
    })?;
    Some(Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announced_timeouts_are_read() {
        let seconds = |text: &str| announced_timeout(text.as_bytes()).map(|d| d.as_secs());
        assert_eq!(seconds("timeout=5"), Some(5));
        assert_eq!(seconds("Timeout = 7, max=100"), Some(7));
        assert_eq!(seconds("max=3,timeout=0"), Some(0));
        for nonsense in ["", "max=3", "timeout", "timeout=", "timeout=-1", "timeout=x"] {
            assert_eq!(seconds(nonsense), None, "{nonsense}");
        }
    }
}
