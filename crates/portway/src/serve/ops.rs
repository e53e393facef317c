//! The operations listener: `/healthz`, `/readyz`, `/metrics`. Its own port, never reachable through a workspace host.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use portway_proxy::durations::Durations;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::reload;
use crate::output::Failure;

/// How often measured times are summed up. Until then each is kept, whether somebody reads the metrics or not.
const SUM_UP: Duration = Duration::from_secs(5);

/// Whether an instance is well, and whether new visits should come to it.
#[derive(Clone, Debug)]
pub(super) struct Readiness(Arc<Flags>);

#[derive(Debug)]
struct Flags {
    serving: AtomicBool,
    /// What the control plane said can be believed.
    fresh: AtomicBool,
    control: Handle,
}

impl Readiness {
    /// Of the instance on this control runtime; nothing serves yet.
    pub(super) fn new(control: Handle) -> Self {
        Self(Arc::new(Flags { serving: AtomicBool::new(false), fresh: AtomicBool::new(true), control }))
    }

    pub(super) fn set(&self, ready: bool) {
        self.0.serving.store(ready, Ordering::Relaxed);
    }

    pub(super) fn set_fresh(&self, fresh: bool) {
        self.0.fresh.store(fresh, Ordering::Relaxed);
    }
}

/// Installs the recorder that every counter goes to. It comes before the engine, whose counters are made at its start.
pub(super) fn recorder() -> Result<PrometheusHandle, Failure> {
    let handle = PrometheusBuilder::new()
        .install_recorder()
        .map_err(|error| Failure::failed(format!("cannot record metrics: {error}")))?;
    metrics::describe_counter!("portway_requests_total", "Requests by class of status.");
    metrics::describe_counter!("portway_request_body_bytes_total", metrics::Unit::Bytes, "Body bytes from visitors.");
    metrics::describe_counter!("portway_response_body_bytes_total", metrics::Unit::Bytes, "Body bytes to visitors.");
    metrics::describe_counter!("portway_log_lines_dropped_total", "Log lines that did not fit the queue.");
    metrics::describe_counter!("portway_leases_cut_total", "Streams ended because their permission ended.");
    metrics::describe_counter!("portway_access_denied_total", "Visits of known visitors that were denied.");
    metrics::describe_counter!("portway_activity_reports_total", "Reports of activity, told and failed.");
    metrics::describe_counter!("portway_requests_rejected_total", "Connections that sent what is no request.");
    metrics::describe_counter!("portway_certificate_reloads_total", "Changes of certificate files, loaded and failed.");
    metrics::describe_counter!("portway_configuration_reloads_total", "Configurations read again, loaded and refused.");
    metrics::describe_gauge!(
        "portway_source_age_seconds",
        metrics::Unit::Seconds,
        "Since the control plane's database last answered."
    );
    metrics::describe_counter!(
        "portway_request_reasons_total",
        "Requests that a dev server did not simply answer, by reason."
    );
    metrics::describe_counter!("portway_tls_handshakes_total", "TLS handshakes of visitors, done and failed.");
    metrics::describe_counter!("portway_spans_total", "Traced requests, told, failed and dropped.");
    metrics::describe_counter!("portway_limited_total", "Connections and requests that were one too many.");
    metrics::describe_gauge!("portway_limits_shared", "Whether rates are counted with other gateways now.");
    metrics::describe_gauge!("portway_memory_bytes", metrics::Unit::Bytes, "Resident memory of the process.");
    metrics::describe_gauge!("portway_memory_limit_bytes", metrics::Unit::Bytes, "The most it may have, if limited.");
    metrics::describe_gauge!("portway_requests_open", "Requests and tunnels under way.");
    metrics::describe_gauge!("portway_tunnels_open", "WebSockets that are open.");
    metrics::describe_gauge!("portway_connections_open", "Connections of visitors.");
    metrics::describe_gauge!("portway_upstream_idle", "Connections to dev servers that wait to be used again.");
    metrics::describe_histogram!(
        "portway_change_seconds",
        metrics::Unit::Seconds,
        "From a notification to the snapshot with its change."
    );
    metrics::describe_histogram!(
        "portway_change_publish_seconds",
        metrics::Unit::Seconds,
        "The part of it after the rows were read."
    );
    Ok(handle)
}

/// What is measured.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    pub(super) recorded: PrometheusHandle,
    pub(super) durations: Durations,
}

impl Metrics {
    /// In Prometheus' text format.
    fn text(&self) -> String {
        let mut text = self.recorded.render();
        self.durations.render(&mut text);
        text
    }
}

/// The operations listener, serving. It tells of whichever instance was shown last.
#[derive(Debug)]
pub(super) struct Operations {
    shown: watch::Sender<Readiness>,
    metrics: Metrics,
    at: SocketAddr,
    serving: AbortHandle,
}

impl Operations {
    /// Serves until it is told to end.
    ///
    /// # Errors
    /// That the listener cannot be used.
    pub(super) fn serve(listener: TcpListener, ready: &Readiness, metrics: Metrics) -> Result<Self, Failure> {
        let summed = metrics.recorded.clone();
        tokio::spawn(async move {
            loop {
                sleep(SUM_UP).await;
                summed.run_upkeep();
            }
        });
        let shown = watch::Sender::new(ready.clone());
        let (at, serving) = listen(listener, &shown, &metrics)?;
        ["loaded", "refused"].into_iter().for_each(|result| reload::count(result, 0));
        Ok(Self { shown, metrics, at, serving })
    }

    /// Tells of another instance from now on, on its listener.
    ///
    /// # Errors
    /// That the listener cannot be used; nothing has changed then.
    pub(super) fn show(&mut self, listener: TcpListener, ready: &Readiness) -> Result<(), Failure> {
        if listener.local_addr().ok() != Some(self.at) {
            let (at, serving) = listen(listener, &self.shown, &self.metrics)?;
            std::mem::replace(&mut self.serving, serving).abort();
            self.at = at;
        }
        self.shown.send_replace(ready.clone());
        Ok(())
    }

    /// Accepts no more.
    pub(super) fn end(&self) {
        self.serving.abort();
    }
}

fn listen(
    listener: TcpListener,
    shown: &watch::Sender<Readiness>,
    metrics: &Metrics,
) -> Result<(SocketAddr, AbortHandle), Failure> {
    let told = |error: std::io::Error| Failure::failed(format!("cannot use the operations listener: {error}"));
    let at = listener.local_addr().map_err(told)?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(told)?;
    let metrics = metrics.clone();
    let app = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(shown.subscribe())
        .route("/metrics", get(async move || metrics.text()));
    let serving = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            tracing::error!(event = "ops", %error);
        }
    });
    Ok((at, serving.abort_handle()))
}

/// Answers when the control runtime does.
async fn healthz(State(shown): State<watch::Receiver<Readiness>>) -> (StatusCode, &'static str) {
    let control = shown.borrow().0.control.clone();
    match control.spawn(async {}).await {
        Ok(()) => (StatusCode::OK, "ok\n"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the control runtime has ended\n"),
    }
}

async fn readyz(State(shown): State<watch::Receiver<Readiness>>) -> (StatusCode, &'static str) {
    let ready = shown.borrow().clone();
    if !ready.0.serving.load(Ordering::Relaxed) {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    } else if !ready.0.fresh.load(Ordering::Relaxed) {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready: the control plane's database does not answer\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}
