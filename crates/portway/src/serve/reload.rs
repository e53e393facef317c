//! When the configuration is read again: on SIGHUP, and when its file has changed.
//!
//! What is in the file is not known here, nor what comes of reading it.

use std::future::pending;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::signal::unix::{Signal, SignalKind};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::signal_of;
use crate::config::Settings;
use crate::output::Failure;

/// How often the file is looked at. Two looks that agree have to follow a change, so that none is read half written.
const LOOK: Duration = Duration::from_millis(500);

/// What tells one content from another; nothing where the file cannot be read, as between two steps of replacing it.
type Content = Option<[u8; 32]>;

/// What asks for the configuration to be read again.
#[derive(Debug)]
pub(super) struct Reloads {
    hangup: Signal,
    file: Option<PathBuf>,
    look: Interval,
    before: Content,
    /// What was read last.
    read: Content,
}

impl Reloads {
    /// The file of `settings` was read just now.
    ///
    /// # Errors
    /// That signals cannot be waited for.
    pub(super) fn new(settings: &Settings) -> Result<Self, Failure> {
        let file = settings.config.clone();
        let now = file.as_deref().and_then(content);
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self { hangup: signal_of(SignalKind::hangup())?, file, look, before: now, read: now })
    }

    /// Waits for a cause, and gives it in a word. Nothing is lost where it is no longer waited for.
    pub(super) async fn next(&mut self) -> &'static str {
        let Self { hangup, file, look, before, read } = self;
        tokio::select! {
            _ = hangup.recv() => "SIGHUP",
            () = changed(file.as_deref(), look, before, read) => "change",
        }
    }

    /// What the file holds now is about to be read.
    pub(super) async fn mark(&mut self) {
        if let Some(file) = self.file.clone() {
            let now = tokio::task::spawn_blocking(move || content(&file)).await.ok().flatten();
            (self.before, self.read) = (now, now);
        }
    }
}

async fn changed(file: Option<&Path>, look: &mut Interval, before: &mut Content, read: &mut Content) {
    let Some(file) = file else { return pending().await };
    loop {
        look.tick().await;
        let looked_at = file.to_owned();
        let now = tokio::task::spawn_blocking(move || content(&looked_at)).await.ok().flatten();
        let settled = now.is_some() && now == std::mem::replace(before, now);
        if settled && now != *read {
            *read = now;
            return;
        }
    }
}

fn content(file: &Path) -> Content {
    Some(Sha256::digest(std::fs::read(file).ok()?).into())
}

/// Counts configurations that were read again.
pub(super) fn count(result: &'static str, times: u64) {
    metrics::counter!("portway_configuration_reloads_total", "result" => result).increment(times);
}
