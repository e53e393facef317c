//! Where spans of traced requests go, and how many requests are traced.

use super::keys;
use super::read::{self, Reader};
use super::values::{Upstream, server};

/// Where OTLP over HTTP is taken by custom (OpenTelemetry Protocol Exporter, "Endpoint URLs").
const USUAL_PORT: u16 = 4318;

/// A collector of spans.
#[derive(Clone, Debug)]
pub(crate) struct Traces {
    pub(crate) collector: Upstream,
    /// One of so many requests is traced.
    pub(crate) one_in: u64,
}

pub(super) fn read_all(r: &mut Reader) -> Option<Option<Traces>> {
    let collector = r.read(&keys::TRACES_COLLECTOR, |raw| server(raw, "a collector", USUAL_PORT));
    let one_in = r.read(&keys::TRACES_ONE_IN, read::integer(1, 1_000_000_000))?.value;
    Some(collector.map(|collector| Traces { collector: collector.value, one_in }))
}
