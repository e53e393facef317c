//! W3C Trace Context: which requests are traced, what a dev server is told of it, and what is told of a request afterwards.
//!
//! A request that is not traced passes with the fields it came with: the visitor and the dev server may trace it between
//! themselves. It knows nothing of who collects spans.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use portway_http1::RequestHead;

/// The field that carries the context (W3C Trace Context 3.2).
pub const FIELD: &str = "traceparent";

/// The context of one traced request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    pub trace: u128,
    pub span: u64,
    /// The span of whoever sent it.
    pub parent: Option<u64>,
}

/// A traced request that has ended.
#[derive(Clone, Debug)]
pub struct Span {
    pub context: Context,
    pub begun: SystemTime,
    pub took: Duration,
    pub method: String,
    /// As the visitor named it.
    pub host: String,
    /// Without its query, and without secrets of ours.
    pub path: String,
    pub http2: bool,
    pub secure: bool,
    pub client: IpAddr,
    /// 0 where there was no answer.
    pub status: u16,
    pub reason: &'static str,
    pub workspace: Option<Arc<str>>,
    pub user: Option<Arc<str>>,
    pub body_in: u64,
    pub body_out: u64,
}

/// What a sender said of its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given {
    pub trace: u128,
    pub span: u64,
    pub sampled: bool,
}

impl Given {
    /// What a request says; nothing where it says nothing that can be read, or says it twice.
    pub fn of(head: &RequestHead) -> Option<Self> {
        let mut all = head.fields().all_named(FIELD.as_bytes());
        let (first, second) = (all.next()?, all.next());
        if second.is_some() { None } else { Self::parse(first) }
    }

    /// `00-{32 hex}-{16 hex}-{2 hex}`, in lower case; a later version may go on behind that (3.2.4).
    fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let mut parts = text.split('-');
        let version = hex(parts.next()?, 2)?;
        let (trace, span, flags) = (hex(parts.next()?, 32)?, hex(parts.next()?, 16)?, hex(parts.next()?, 2)?);
        let whole = parts.next().is_none() || version > 0;
        let valid = version != 0xff && trace != 0 && span != 0 && whole;
        valid.then_some(Self { trace, span: u64::try_from(span).ok()?, sampled: flags & 1 == 1 })
    }
}

fn hex(text: &str, length: usize) -> Option<u128> {
    let fits = text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if fits { u128::from_str_radix(text, 16).ok() } else { None }
}

impl Context {
    /// What the dev server is told: this trace, our span, and that it is recorded.
    pub fn field(&self) -> String {
        let mut value = String::with_capacity(55);
        // Writing to a text cannot fail.
        let _ = write!(value, "00-{:032x}-{:016x}-01", self.trace, self.span);
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_context_comes_out_as_it_went_in() {
        let given = Given::parse(GOOD.as_bytes()).unwrap();
        assert!(given.sampled);
        let context = Context { trace: given.trace, span: given.span, parent: None };
        assert_eq!(context.field(), GOOD);
        let unsampled = format!("{}00", &GOOD[..53]);
        assert!(!Given::parse(unsampled.as_bytes()).unwrap().sampled);
        let later = format!("01{}-more", &GOOD[2..]);
        assert_eq!(Given::parse(later.as_bytes()), Some(given));
    }

    #[test]
    fn what_is_no_context_is_none() {
        let more = format!("{GOOD}-00");
        let upper = GOOD.to_ascii_uppercase();
        let short = &GOOD[..54];
        let version = format!("ff{}", &GOOD[2..]);
        let trace = format!("00-{}{}", "0".repeat(32), &GOOD[35..]);
        let span = format!("{}{}-01", &GOOD[..36], "0".repeat(16));
        for bad in ["", "00", "-", &more, &upper, short, &version, &trace, &span, "00-\u{e9}-b7ad6b7169203331-01"] {
            assert_eq!(Given::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
