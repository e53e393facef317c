//! The operations listener: `/healthz`, `/readyz`, `/metrics`. Its own port, never reachable through a workspace host.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::output::Failure;

/// How often measured times are summed up. Until then each is kept, whether somebody reads the metrics or not.
const SUM_UP: Duration = Duration::from_secs(5);

/// Whether new visits should come here.
#[derive(Clone, Debug)]
pub(super) struct Readiness(Arc<Flags>);

#[derive(Debug)]
struct Flags {
    serving: AtomicBool,
    /// What the control plane said can be believed.
    fresh: AtomicBool,
}

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(Flags { serving: AtomicBool::new(false), fresh: AtomicBool::new(true) }))
    }
}

impl Readiness {
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
    metrics::describe_counter!("portway_limited_total", "Connections and requests that were one too many.");
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

/// Serves on the control runtime, until it is told to stop.
pub(super) fn serve(
    listener: TcpListener,
    ready: Readiness,
    metrics: PrometheusHandle,
) -> Result<AbortHandle, Failure> {
    let listener = tokio::net::TcpListener::from_std(listener)
        .map_err(|error| Failure::failed(format!("cannot use the operations listener: {error}")))?;
    let summed = metrics.clone();
    tokio::spawn(async move {
        loop {
            sleep(SUM_UP).await;
            summed.run_upkeep();
        }
    });
    let app = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .with_state(ready)
        .route("/metrics", get(async move || metrics.render()));
    let serving = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            tracing::error!(event = "ops", %error);
        }
    });
    Ok(serving.abort_handle())
}

async fn readyz(State(ready): State<Readiness>) -> (StatusCode, &'static str) {
    if !ready.0.serving.load(Ordering::Relaxed) {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    } else if !ready.0.fresh.load(Ordering::Relaxed) {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready: the control plane's database does not answer\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}
