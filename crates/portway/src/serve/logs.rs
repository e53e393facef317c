//! Logs: events and access lines, written to standard output by one thread, so that no core ever waits for a terminal.
//!
//! The queue is bounded; what does not fit is dropped and counted.

mod event;

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use portway_proxy::ledger::LogStyle;
use tracing_subscriber::fmt::MakeWriter;

use self::event::JsonLine;
use crate::config::settings::{Log, LogFormat};

/// Batches that may wait.
const QUEUE: usize = 1024;

/// A handle on the writing thread.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    lines: Option<SyncSender<Vec<u8>>>,
    thread: Arc<std::sync::Mutex<Option<JoinHandle<()>>>>,
}

/// Starts the thread and makes it the sink of events.
pub(super) fn start(log: &Log) -> Writer {
    let (sender, receiver) = sync_channel(QUEUE);
    let thread = std::thread::Builder::new().name("log".into()).spawn(move || write(&receiver)).ok();
    let writer = Writer { lines: Some(sender), thread: Arc::new(std::sync::Mutex::new(thread)) };
    let events = tracing_subscriber::fmt().with_max_level(log.level).with_writer(Events(writer.clone()));
    // Tests that start several gateways in one process keep the first sink.
    let _ = if style(log) == LogStyle::Human || !is_json(log) {
        tracing::subscriber::set_global_default(
            events.with_ansi(io::stdout().is_terminal()).with_target(false).finish(),
        )
    } else {
        tracing::subscriber::set_global_default(events.event_format(JsonLine).finish())
    };
    writer
}

/// How access lines look.
pub(super) fn style(log: &Log) -> LogStyle {
    match (log.access, is_json(log)) {
        (false, _) => LogStyle::Off,
        (true, true) => LogStyle::Json,
        (true, false) => LogStyle::Human,
    }
}

fn is_json(log: &Log) -> bool {
    match log.format {
        LogFormat::Auto => !io::stdout().is_terminal(),
        LogFormat::Json => true,
        LogFormat::Human => false,
    }
}

fn write(lines: &Receiver<Vec<u8>>) {
    while let Ok(batch) = lines.recv() {
        if batch.is_empty() {
            return;
        }
        // Nobody reads any more; the gateway goes on without a log.
        let mut out = io::stdout().lock();
        let _ = out.write_all(&batch).and_then(|()| out.flush());
    }
}

impl Writer {
    /// Queues whole lines.
    pub(super) fn send(&self, lines: Vec<u8>) {
        if let Some(queue) = &self.lines
            && let Err(TrySendError::Full(lost)) = queue.try_send(lines)
        {
            let count = lost.iter().filter(|b| **b == b'\n').count();
            metrics::counter!("portway_log_lines_dropped_total").increment(count as u64);
        }
    }

    /// Writes what is queued and ends the thread.
    pub(super) async fn finish(self) {
        let _ = tokio::task::spawn_blocking(move || {
            if let Some(queue) = &self.lines {
                // An empty batch is the end.
                let _ = queue.send(Vec::new());
            }
            let thread = self.thread.lock().ok().and_then(|mut thread| thread.take());
            if let Some(thread) = thread {
                let _ = thread.join();
            }
        })
        .await;
    }
}

#[derive(Clone)]
struct Events(Writer);

/// One event, sent as a whole when it is complete.
struct Line {
    writer: Writer,
    text: Vec<u8>,
}

impl<'a> MakeWriter<'a> for Events {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { writer: self.0.clone(), text: Vec::new() }
    }
}

impl io::Write for Line {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.text.is_empty() {
            self.writer.send(std::mem::take(&mut self.text));
        }
    }
}
