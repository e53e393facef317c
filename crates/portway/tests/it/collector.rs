//! A collector of traces: takes OTLP over HTTP as protobuf, decodes it with OpenTelemetry's own messages, keeps everything.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// What was taken.
#[derive(Clone, Debug, Default)]
struct Taken(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

/// A running collector; ends when dropped.
#[derive(Debug)]
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    taken: Taken,
    serving: AbortHandle,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.expect("a port"))
    }

    pub(crate) fn on(listener: TcpListener) -> Self {
        let address = listener.local_addr().expect("its address");
        let taken = Taken::default();
        let keep = taken.clone();
        let take = async move |body: Bytes| match ExportTraceServiceRequest::decode(body) {
            Ok(request) => {
                keep.0.lock().expect("taken").push(request);
                StatusCode::OK
            }
            Err(_) => StatusCode::BAD_REQUEST,
        };
        let app = Router::new().route("/v1/traces", post(take));
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.expect("serve") }).abort_handle();
        Self { address, taken, serving }
    }

    /// Every request that it was sent.
    pub(crate) fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        self.taken.0.lock().expect("taken").clone()
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        let resources = self.requests().into_iter().flat_map(|request| request.resource_spans);
        resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }

    /// The lines that send traces here, one of so many.
    pub(crate) fn config(&self, one_in: u64) -> String {
        format!("[traces]\ncollector = \"http://{}\"\none_in = {one_in}\n", self.address)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// An attribute as text.
pub(crate) fn attribute(all: &[KeyValue], key: &str) -> Option<String> {
    let value = all.iter().find(|attribute| attribute.key == key)?.value.clone()?.value?;
    Some(match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}
