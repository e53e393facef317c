//! Accounting of one core: counters, and one access-log line for each request, opened early and closed exactly once.
//!
//! Lines are collected here and handed to the control runtime in batches; where that does not keep up they are dropped and
//! counted. Queries, cookies and tokens never enter a line or a span (R59). This file alone knows
//! metric names, but for that of `durations`.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use metrics::{Counter, Gauge, counter, gauge};
use portway_core::access::{Permit, Reason};
use portway_http1::RequestHead;

use crate::control::Control;
use crate::core::Visit;
use crate::date::date_time;
use crate::durations::{CLASSES, Durations};
use crate::json::escape_into;
use crate::span::{Context, Span};
use crate::trace::Traces;

/// A batch is sent when it reaches this size, and at least once a second.
const BATCH: usize = 32 * 1024;

/// The most spans that wait for the next second.
const SPANS: usize = 1024;

/// How access-log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStyle {
    Off,
    Json,
    Human,
}

/// The reason of a request that the dev server has answered.
pub const RELAYED: &str = "relayed";

/// Something that counts as open until it is dropped.
#[derive(Debug)]
pub struct Open(Gauge);

impl Open {
    fn new(gauge: &Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// A share in a gauge that others count in as well; taken back when it is dropped.
#[derive(Debug)]
struct Share(Gauge, Cell<usize>);

impl Share {
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    fn set(&self, count: usize) {
        self.0.increment(count as f64 - self.1.replace(count) as f64);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// The books of one core.
#[derive(Debug)]
pub struct Ledger {
    control: Control,
    style: LogStyle,
    traces: Traces,
    lines: RefCell<String>,
    spans: RefCell<Vec<Span>>,
    lost_spans: Counter,
    durations: Durations,
    /// The last second formatted, because formatting a date costs more than a line.
    second: RefCell<(u64, String)>,
    requests: [Counter; CLASSES.len()],
    bytes_in: Counter,
    bytes_out: Counter,
    dropped: Counter,
    cut: Counter,
    refused: Counter,
    rejected: Counter,
    /// Streams of this core that are open now, and those that are tunnels.
    open: Gauge,
    tunnels: Gauge,
    /// Connections of visitors, plain and TLS.
    connections: [Gauge; 2],
    handshakes: [Counter; 2],
    /// Connections to dev servers that wait to be used again.
    idle: Share,
}

impl Ledger {
    /// `traces` names requests, and `durations` is where their times are counted.
    pub fn new(control: Control, style: LogStyle, traces: Traces, durations: Durations) -> Self {
        let class = |class: &'static str| counter!("portway_requests_total", "class" => class);
        Self {
            control,
            style,
            traces,
            lines: RefCell::default(),
            spans: RefCell::default(),
            lost_spans: counter!("portway_spans_total", "result" => "dropped"),
            durations,
            second: RefCell::default(),
            requests: CLASSES.map(class),
            bytes_in: counter!("portway_request_body_bytes_total"),
            bytes_out: counter!("portway_response_body_bytes_total"),
            dropped: counter!("portway_log_lines_dropped_total"),
            cut: counter!("portway_leases_cut_total"),
            refused: counter!("portway_access_denied_total"),
            rejected: counter!("portway_requests_rejected_total"),
            open: gauge!("portway_requests_open"),
            tunnels: gauge!("portway_tunnels_open"),
            connections: ["plain", "tls"].map(|listener| gauge!("portway_connections_open", "listener" => listener)),
            handshakes: ["failed", "done"].map(|result| counter!("portway_tls_handshakes_total", "result" => result)),
            idle: Share(gauge!("portway_upstream_idle"), Cell::default()),
        }
    }

    /// Notes a denial; the reason is for the log of whoever runs the gateway, never for the visitor.
    pub fn denied(&self, reason: Reason) {
        self.refused.increment(1);
        tracing::debug!(reason = reason.as_str(), "denied");
    }

    /// Counts a visitor's connection until it is dropped.
    pub fn connection(&self, tls: bool) -> Open {
        let [plain, secure] = &self.connections;
        Open::new(if tls { secure } else { plain })
    }

    /// Notes the end of a TLS handshake.
    pub fn handshake(&self, done: bool) {
        let [failed, succeeded] = &self.handshakes;
        if done { succeeded.increment(1) } else { failed.increment(1) }
    }

    /// Notes how many connections of this core to dev servers are idle now.
    pub fn idle(&self, count: usize) {
        self.idle.set(count);
    }

    /// Notes a connection or request that was one too many for whoever made it.
    pub fn limited(&self, limit: &'static str) {
        metrics::counter!("portway_limited_total", "limit" => limit).increment(1);
    }

    /// Notes a connection whose bytes were no request; there is no head to say more.
    pub fn rejected(&self, status: u16, reason: &'static str) {
        self.rejected.increment(1);
        if let Some(counter) = self.requests.get(usize::from(status / 100).min(5)) {
            counter.increment(1);
        }
        tracing::info!(event = "rejected", status, reason);
    }

    /// Notes leases that a change ended.
    pub fn cut(&self, leases: usize) {
        self.cut.increment(leases as u64);
    }

    /// Notes leases that a visitor's standstill ended.
    pub fn stalled(&self, leases: usize) {
        if leases > 0 {
            metrics::counter!("portway_limited_total", "limit" => "stalled").increment(leases as u64);
        }
    }

    /// Opens the record of a request.
    pub fn open<'a>(&'a self, visit: &'a Visit, head: &'a RequestHead) -> Record<'a> {
        self.open.increment(1.0);
        Record {
            ledger: self,
            visit,
            head,
            begun: Instant::now(),
            trace: self.traces.of(head),
            context: self.traces.context(head, visit.proxies.is_some()),
            status: Cell::new(0),
            reason: Cell::new("aborted"),
            tunnel: RefCell::default(),
            body_in: Cell::new(0),
            body_out: Cell::new(0),
            workspace: RefCell::default(),
        }
    }

    /// Hands collected lines over; called once a second and when there are many.
    pub fn flush(&self) {
        let lines = std::mem::take(&mut *self.lines.borrow_mut());
        if !lines.is_empty() {
            let count = lines.bytes().filter(|b| *b == b'\n').count();
            if !self.control.log(lines.into_bytes()) {
                self.dropped.increment(count as u64);
            }
        }
        let spans = std::mem::take(&mut *self.spans.borrow_mut());
        let count = spans.len() as u64;
        if count > 0 && !self.control.spans(spans) {
            self.lost_spans.increment(count);
        }
    }

    fn timestamp(&self, out: &mut String) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut cached = self.second.borrow_mut();
        if cached.0 != now.as_secs() || cached.1.is_empty() {
            *cached = (now.as_secs(), date_time(now.as_secs()));
        }
        let _ = write!(out, "{}.{:03}Z", cached.1, now.subsec_millis());
    }
}

/// Workspace id, and the user whose permit it was.
type Whose = (Arc<str>, Option<Arc<str>>);

/// One request, from its head to its end. Dropping it closes it as `aborted`.
#[derive(Debug)]
pub struct Record<'a> {
    ledger: &'a Ledger,
    visit: &'a Visit,
    head: &'a RequestHead,
    begun: Instant,
    trace: Option<Rc<str>>,
    context: Option<Context>,
    status: Cell<u16>,
    reason: Cell<&'static str>,
    tunnel: RefCell<Option<Open>>,
    body_in: Cell<u64>,
    body_out: Cell<u64>,
    workspace: RefCell<Option<Whose>>,
}

impl Record<'_> {
    /// Which workspace it goes to, and on whose behalf.
    pub fn permitted(&self, permit: &Permit) {
        if permit.is_front() {
            return;
        }
        *self.workspace.borrow_mut() = Some((permit.workspace().id.clone(), permit.user().cloned()));
    }

    /// It has become a tunnel.
    pub fn tunnels(&self) {
        *self.tunnel.borrow_mut() = Some(Open::new(&self.ledger.tunnels));
    }

    /// The request's id, where ids are configured.
    pub fn trace(&self) -> Option<Rc<str>> {
        self.trace.clone()
    }

    /// Its context, where it is traced.
    pub fn context(&self) -> Option<Context> {
        self.context
    }

    pub fn moved(&self, body_in: u64, body_out: u64) {
        self.body_in.set(body_in);
        self.body_out.set(body_out);
    }

    /// Closes the record.
    pub fn close(self, status: u16, reason: &'static str) {
        self.status.set(status);
        self.reason.set(reason);
    }

    fn span(&self, context: Context, took: Duration) {
        let (ledger, head) = (self.ledger, self.head);
        let mut spans = ledger.spans.borrow_mut();
        if spans.len() >= SPANS {
            return ledger.lost_spans.increment(1);
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (workspace, user) = self.workspace.borrow_mut().take().unzip();
        spans.push(Span {
            context,
            begun: SystemTime::now().checked_sub(took).unwrap_or(UNIX_EPOCH),
            took,
            method: text(head.method()),
            host: text(head.authority().unwrap_or_default()),
            path: text(logged_path(head.path_and_query())),
            http2: self.visit.http2,
            secure: self.visit.secure,
            client: self.visit.client(head),
            status: self.status.get(),
            reason: self.reason.get(),
            workspace,
            user: user.flatten(),
            body_in: self.body_in.get(),
            body_out: self.body_out.get(),
        });
    }

    fn line(&self, out: &mut String) {
        let head = self.head;
        let status = self.status.get();
        let micros = self.begun.elapsed().as_micros();
        let path = logged_path(head.path_and_query());
        let workspace = self.workspace.borrow();
        if self.ledger.style == LogStyle::Human {
            self.ledger.timestamp(out);
            let _ = write!(out, " {status} {:.1}ms ", micros as f64 / 1000.0);
            for part in [head.method(), b" ", head.authority().unwrap_or_default(), path] {
                escape_into(out, part);
            }
            let _ = writeln!(out, " {}", self.reason.get());
            return;
        }
        out.push_str("{\"timestamp\":\"");
        self.ledger.timestamp(out);
        out.push_str("\",\"level\":\"info\",\"service\":\"portway\",\"schema_version\":\"1.0\",\"event\":\"request\",\"method\":\"");
        escape_into(out, head.method());
        out.push_str("\",\"host\":\"");
        escape_into(out, head.authority().unwrap_or_default());
        out.push_str("\",\"path\":\"");
        escape_into(out, path);
        let protocol = if self.visit.http2 { "h2" } else { "http/1.1" };
        let _ = write!(
            out,
            "\",\"protocol\":\"{protocol}\",\"status\":{status},\"reason\":\"{}\",\"duration_ms\":{}.{:03},\"bytes_in\":{},\"bytes_out\":{},\"peer\":\"{}\"",
            self.reason.get(),
            micros / 1000,
            micros % 1000,
            self.body_in.get(),
            self.body_out.get(),
            self.visit.client(head),
        );
        if let Some(trace) = &self.trace {
            let _ = write!(out, ",\"trace_id\":\"{trace}\"");
        } else if let Some(context) = &self.context {
            let _ = write!(out, ",\"trace_id\":\"{:032x}\"", context.trace);
        }
        if let Some((workspace, user)) = &*workspace {
            out.push_str(",\"ws_id\":\"");
            escape_into(out, workspace.as_bytes());
            if let Some(user) = user {
                out.push_str("\",\"user_id\":\"");
                escape_into(out, user.as_bytes());
            }
            out.push('"');
        }
        out.push_str("}\n");
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        let ledger = self.ledger;
        ledger.open.decrement(1.0);
        let class = usize::from(self.status.get() / 100).min(5);
        if let Some(counter) = ledger.requests.get(class) {
            counter.increment(1);
        }
        let took = self.begun.elapsed();
        if self.tunnel.get_mut().is_none() {
            ledger.durations.record(class, took);
        }
        // Most are, and the classes above have them.
        if self.reason.get() != RELAYED {
            counter!("portway_request_reasons_total", "reason" => self.reason.get()).increment(1);
        }
        ledger.bytes_in.increment(self.body_in.get());
        ledger.bytes_out.increment(self.body_out.get());
        if ledger.style != LogStyle::Off {
            let full = {
                let mut lines = ledger.lines.borrow_mut();
                self.line(&mut lines);
                lines.len() >= BATCH
            };
            if full {
                ledger.flush();
            }
        }
        if let Some(context) = self.context {
            self.span(context, took);
        }
    }
}

/// The path as it may stand in a log: no query, and none of what is a secret in a path of ours (R13, R59).
fn logged_path(path_and_query: &[u8]) -> &[u8] {
    const LINK: &[u8] = b"/.portway/link/";
    let path = path_and_query.split(|b| *b == b'?').next().unwrap_or_default();
    if path.starts_with(LINK) { LINK } else { path }
}

#[cfg(test)]
mod tests {
    use super::logged_path;

    #[test]
    fn secrets_in_paths_and_queries_are_not_logged() {
        assert_eq!(logged_path(b"/a/b?token=x"), b"/a/b");
        assert_eq!(logged_path(b"/.portway/link/secret?x"), b"/.portway/link/");
        assert_eq!(logged_path(b"/.portway/callback?t=secret"), b"/.portway/callback");
    }
}
