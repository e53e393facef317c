//! The certificates that visitors are shown: read at start, and again when their files have changed.
//!
//! A file that is being written is waited for, and one that cannot be used leaves the last good set in place: whoever renews
//! certificates need not know of the gateway. It knows nothing of handshakes.

use std::sync::Arc;

use arc_swap::ArcSwap;
use portway_core::host::Names;
use portway_proxy::http::edge::Tls;
use portway_proxy::tls::{CertificateError, CertificateFiles, Certificates, server_config};

use super::watched::Watched;
use crate::commands::check::check_certificates;
use crate::config::settings::Tls as Configured;
use crate::output::Failure;

/// The files, and what they hold.
#[derive(Debug)]
pub(super) struct Identity {
    configured: Configured,
    names: Names,
    shown: Arc<ArcSwap<Tls>>,
    files: Watched,
}

impl Identity {
    /// Reads every file; what may not be meant is added to `warnings`.
    ///
    /// # Errors
    /// Every file that cannot be used, and why.
    pub(super) fn load(tls: &Configured, names: &Names, warnings: &mut Vec<String>) -> Result<Self, Failure> {
        let mut problems = Vec::new();
        check_certificates(tls, names, &mut problems, warnings);
        if !problems.is_empty() {
            return Err(Failure::configuration(&problems));
        }
        let files = files(tls);
        // Looked at before they are read: a change in between is then seen as one.
        let watched = Watched::new(files.iter().flat_map(|pair| [pair.cert.clone(), pair.key.clone()]).collect());
        let shown = read(&files).map_err(|error| {
            Failure::failed(error.to_string()).hint("look at [[tls.certificates]] in the configuration")
        })?;
        Ok(Self {
            configured: tls.clone(),
            names: names.clone(),
            shown: Arc::new(ArcSwap::from_pointee(shown)),
            files: watched,
        })
    }

    /// What the listeners show; it changes with the files.
    pub(super) fn shown(&self) -> Arc<ArcSwap<Tls>> {
        self.shown.clone()
    }

    /// Shows what the files hold, whenever that has changed. Connections that are open stay as they are.
    pub(super) async fn follow(mut self) {
        count("loaded", 0);
        count("failed", 0);
        loop {
            self.files.changed().await;
            self.show(files(&self.configured)).await;
        }
    }

    async fn show(&self, files: Vec<CertificateFiles>) {
        let (configured, names) = (self.configured.clone(), self.names.clone());
        let checked = move || {
            let (tls, mut warnings) = (read(&files)?, Vec::new());
            check_certificates(&configured, &names, &mut Vec::new(), &mut warnings);
            Ok::<_, CertificateError>((tls, warnings))
        };
        let Ok(result) = tokio::task::spawn_blocking(checked).await else { return };
        let (tls, warnings) = match result {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(event = "certificates", %error, "the last good ones stay in use");
                return count("failed", 1);
            }
        };
        for warning in warnings {
            tracing::warn!(event = "certificates", "{warning}");
        }
        let names = tls.certificates.names().collect::<Vec<_>>().join(" ");
        tracing::info!(event = "certificates", names, "shown from now on");
        self.shown.store(Arc::new(tls));
        count("loaded", 1);
    }
}

fn count(result: &'static str, times: u64) {
    metrics::counter!("portway_certificate_reloads_total", "result" => result).increment(times);
}

fn files(tls: &Configured) -> Vec<CertificateFiles> {
    tls.certificates.iter().map(|pair| CertificateFiles { cert: pair.cert.clone(), key: pair.key.clone() }).collect()
}

fn read(files: &[CertificateFiles]) -> Result<Tls, CertificateError> {
    let certificates = Arc::new(Certificates::load(files)?);
    Ok(Tls { config: Arc::new(server_config(certificates.clone())?), certificates })
}
