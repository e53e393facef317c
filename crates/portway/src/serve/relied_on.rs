//! Where the servers are that the gateway relies on: the control plane's database, Redis and API server, the collector of
//! traces. The data plane dials no workspace there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use portway_sources::{Database, RedisServer};
use tokio::time::{sleep, timeout};

use crate::config::Settings;
use crate::config::control_plane::Way;
use crate::config::wake::WakeWay;

/// How often they are looked up again.
const LOOK_UP: Duration = Duration::from_secs(10);
/// How long one name may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Sockets that no workspace is dialled at.
pub(super) type ReliedOn = Arc<ArcSwap<Vec<SocketAddr>>>;

/// Where the servers that the settings name are, now and, by a task of its own, from now on: a container has another address
/// after each restart. What was known once stays known while a name does not resolve.
pub(super) async fn relied_on(settings: &Settings) -> ReliedOn {
    let plane = &settings.control_plane;
    let mut servers: BTreeSet<(String, u16)> = BTreeSet::new();
    servers.extend(plane.postgres.iter().flat_map(|postgres| Database::server(&postgres.url)));
    servers.extend(plane.sessions.iter().filter_map(|sessions| match &sessions.way {
        Way::Query { url, .. } => Database::server(url),
        Way::Api { .. } | Way::Jwt { .. } => None,
    }));
    servers.extend(plane.activity.iter().flat_map(|activity| activity.place.server()));
    servers.extend(plane.wake.iter().filter_map(|wake| match &wake.way {
        WakeWay::Query(statements) => Database::server(&statements.url),
        WakeWay::Api { .. } => None,
    }));
    servers.extend(settings.shared_limits.iter().flat_map(RedisServer::server));
    servers.extend(plane.upstream.iter().map(|upstream| (upstream.host.clone(), upstream.port)));
    servers.extend(settings.traces.iter().map(|traces| (traces.collector.host.clone(), traces.collector.port)));
    let found = ReliedOn::default();
    if servers.is_empty() {
        return found;
    }
    let mut known: BTreeMap<(String, u16), Vec<SocketAddr>> = BTreeMap::new();
    look_up(&servers, &mut known, &found).await;
    let keep = found.clone();
    tokio::spawn(async move {
        loop {
            sleep(LOOK_UP).await;
            look_up(&servers, &mut known, &keep).await;
        }
    });
    found
}

async fn look_up(
    servers: &BTreeSet<(String, u16)>,
    known: &mut BTreeMap<(String, u16), Vec<SocketAddr>>,
    found: &ArcSwap<Vec<SocketAddr>>,
) {
    for server in servers {
        let asked = tokio::net::lookup_host((server.0.as_str(), server.1));
        match timeout(PATIENCE, asked).await {
            Ok(Ok(addresses)) => drop(known.insert(server.clone(), addresses.collect())),
            Ok(Err(_)) | Err(_) => {
                tracing::debug!(host = server.0, "a server the gateway relies on has no address now")
            }
        }
    }
    found.store(Arc::new(known.values().flatten().copied().collect()));
}
