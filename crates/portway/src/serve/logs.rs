//! Logs: events and access lines, written to standard output by one thread, so that no core ever waits for a terminal.
//!
//! The queue is bounded; what does not fit is dropped and counted.

mod event;

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use portway_proxy::ledger::LogStyle;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

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

/// What changes with the configuration.
pub(super) struct Style {
    level: reload::Handle<LevelFilter, Registry>,
    json: bool,
}

/// Starts the thread and makes it the sink of events.
pub(super) fn start(log: &Log) -> (Writer, Style) {
    let (sender, receiver) = sync_channel(QUEUE);
    let thread = std::thread::Builder::new().name("log".into()).spawn(move || write(&receiver)).ok();
    let writer = Writer { lines: Some(sender), thread: Arc::new(std::sync::Mutex::new(thread)) };
    let (filter, level) = reload::Layer::new(log.level);
    let (events, json) = (fmt::layer().with_writer(Events(writer.clone())), is_json(log));
    let subscriber = tracing_subscriber::registry().with(filter);
    // A sink that is there already stays.
    let _ = if json {
        subscriber.with(events.event_format(JsonLine)).try_init()
    } else {
        subscriber.with(events.with_ansi(io::stdout().is_terminal()).with_target(false)).try_init()
    };
    (writer, Style { level, json })
}

impl Style {
    /// Logs as this configuration says from now on, but for what needs a restart.
    pub(super) fn follow(&self, log: &Log) {
        // It fails where the sink is gone, and then nothing is logged.
        let _ = self.level.reload(log.level);
        if is_json(log) != self.json {
            tracing::warn!(event = "configuration", "log.format: events keep their form until a restart");
        }
    }
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
