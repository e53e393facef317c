//! Telling a collector of traced requests, by OTLP over HTTP. What cannot be told is dropped and counted: no request waits
//! for it.
//!
//! The protocol and its encoding are OpenTelemetry's own crates; what a span says of a request is decided here, by the
//! semantic conventions for HTTP servers. Which requests are traced is not known here.

use std::time::Duration;

use metrics::counter;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use portway_proxy::span::Span;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::config::traces::Traces;
use crate::output::Failure;

/// Batches that may wait: one each second from every core.
const QUEUE: usize = 64;
/// The most spans of one request to the collector.
const BATCH: usize = 2048;
/// How long the collector may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where cores hand spans over.
pub(super) type Sink = mpsc::Sender<Vec<Span>>;

/// Starts telling a collector, if there is one; the task ends once nobody hands over any more.
///
/// # Errors
/// That the exporter cannot be made of what the settings and the environment (`OTEL_EXPORTER_OTLP_…`) say.
pub(super) fn start(traces: Option<&Traces>) -> Result<(Option<Sink>, JoinHandle<()>), Failure> {
    let Some(traces) = traces else { return Ok((None, tokio::spawn(async {}))) };
    let (host, port) = (&traces.collector.host, traces.collector.port);
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(HyperClient::with_default_connector(PATIENCE, None))
        .with_endpoint(format!("http://{host}:{port}/v1/traces"))
        .with_timeout(PATIENCE)
        .build()
        .map_err(|error| Failure::failed(format!("traces: {error}")))?;
    // Nothing of the machine or the process: who runs it adds that at the collector.
    exporter.set_resource(
        &Resource::builder_empty()
            .with_service_name("portway")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build(),
    );
    for result in ["told", "failed"] {
        counter!("portway_spans_total", "result" => result).increment(0);
    }
    let (sink, spans) = mpsc::channel(QUEUE);
    Ok((Some(sink), tokio::spawn(tell(exporter, spans))))
}

async fn tell(exporter: SpanExporter, mut spans: mpsc::Receiver<Vec<Span>>) {
    let mut away = false;
    while let Some(mut batch) = spans.recv().await {
        while batch.len() < BATCH
            && let Ok(more) = spans.try_recv()
        {
            batch.extend(more);
        }
        let count = batch.len() as u64;
        let told = exporter.export(batch.into_iter().map(data).collect()).await;
        let result = if told.is_ok() { "told" } else { "failed" };
        counter!("portway_spans_total", "result" => result).increment(count);
        match told {
            Err(error) if !away => tracing::warn!(event = "traces-down", %error, "spans are dropped until it answers"),
            Ok(()) if away => tracing::info!(event = "traces-up"),
            Ok(()) | Err(_) => {}
        }
        away = result == "failed";
    }
}

fn data(span: Span) -> SpanData {
    let context = span.context;
    let span_context = SpanContext::new(
        TraceId::from(context.trace),
        SpanId::from(context.span),
        TraceFlags::SAMPLED,
        false,
        TraceState::default(),
    );
    let text = |key: &'static str, value: String| KeyValue::new(key, value);
    let bytes = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let mut attributes = vec![
        text("http.request.method", span.method.clone()),
        text("url.scheme", if span.secure { "https" } else { "http" }.to_owned()),
        text("url.path", span.path),
        text("server.address", span.host),
        text("client.address", span.client.to_string()),
        text("network.protocol.version", if span.http2 { "2" } else { "1.1" }.to_owned()),
        KeyValue::new("http.request.body.size", bytes(span.body_in)),
        KeyValue::new("http.response.body.size", bytes(span.body_out)),
        text("portway.reason", span.reason.to_owned()),
    ];
    if span.status > 0 {
        attributes.push(KeyValue::new("http.response.status_code", i64::from(span.status)));
    }
    attributes.extend(span.workspace.map(|id| text("portway.workspace", id.to_string())));
    attributes.extend(span.user.map(|id| text("user.id", id.to_string())));
    let failed = span.status == 0 || span.status >= 500;
    SpanData {
        span_context,
        parent_span_id: context.parent.map_or(SpanId::INVALID, SpanId::from),
        parent_span_is_remote: context.parent.is_some(),
        span_kind: SpanKind::Server,
        name: span.method.into(),
        start_time: span.begun,
        end_time: span.begun.checked_add(span.took).unwrap_or(span.begun),
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: if failed { Status::error(span.reason) } else { Status::Unset },
        instrumentation_scope: InstrumentationScope::builder("portway").build(),
    }
}
