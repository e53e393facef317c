//! When the configuration is read again: on SIGHUP, and when its file has changed.
//!
//! What is in the file is not known here, nor what comes of reading it.

use std::future::pending;

use tokio::signal::unix::{Signal, SignalKind};

use super::signal_of;
use super::watched::Watched;
use crate::config::Settings;
use crate::output::Failure;

/// What asks for the configuration to be read again.
#[derive(Debug)]
pub(super) struct Reloads {
    hangup: Signal,
    file: Option<Watched>,
}

impl Reloads {
    /// The file of `settings` was read just now.
    ///
    /// # Errors
    /// That signals cannot be waited for.
    pub(super) fn new(settings: &Settings) -> Result<Self, Failure> {
        let file = settings.config.clone().map(|file| Watched::new(vec![file]));
        Ok(Self { hangup: signal_of(SignalKind::hangup())?, file })
    }

    /// Waits for a cause, and gives it in a word. Nothing is lost where it is no longer waited for.
    pub(super) async fn next(&mut self) -> &'static str {
        let Self { hangup, file } = self;
        let changed = async {
            match file {
                Some(file) => file.changed().await,
                None => pending().await,
            }
        };
        tokio::select! {
            _ = hangup.recv() => "SIGHUP",
            () = changed => "change",
        }
    }

    /// What the file holds now is about to be read.
    pub(super) async fn mark(&mut self) {
        if let Some(file) = &mut self.file {
            file.mark().await;
        }
    }
}

/// Counts configurations that were read again.
pub(super) fn count(result: &'static str, times: u64) {
    metrics::counter!("portway_configuration_reloads_total", "result" => result).increment(times);
}
