//! What the data plane is told once, at start. Read-only and shared by every core.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use portway_core::access::{Front, Rules};
use portway_core::cookie::ControlCookie;
use portway_core::dial::{Cidr, DialRules};
use portway_core::host::Names;

use crate::limits::Allowed;

/// Everything that does not change while the process runs.
#[derive(Debug)]
pub struct Settings {
    pub names: Names,
    pub rules: Rules,
    pub dial: DialRules,
    /// Where the servers are that the gateway relies on: database, API server. No workspace is dialled there; they are
    /// looked up again now and then.
    pub relied_on: Arc<ArcSwap<Vec<SocketAddr>>>,
    pub timeouts: Timeouts,
    /// The control plane's own cookie, where one could be sent to workspace hosts.
    pub control_cookie: Option<ControlCookie>,
    /// The API server to which everything of the control host goes that is not Portway's own.
    pub front: Option<Front>,
    /// Origins whose pages may show ports in frames, beside the control host's and the workspace's own.
    pub embed: Vec<String>,
    /// The port on which each workspace runs an IDE of code-server's kind that carries connections to ports which only
    /// listen on its loopback; `None` where that is not wanted.
    pub ide: Option<u16>,
    /// Where a workspace's IDE is, `{workspace}` standing for its id; `None` for its default port.
    pub ide_page: Option<String>,
    /// Who wakes workspaces, besides their owners.
    pub wake_by: WakeBy,
    /// Whether the control host lists what runs and can stop it.
    pub can_stop: bool,
    /// How long a request that is no navigation waits for its workspace to start.
    pub hold: Duration,
    /// Whether other gateways share the state, so that a visitor may bring a session that this one is yet to hear of.
    pub shared: bool,
    /// Whether workspaces are read when they are asked for, so that one which is not known may be there all the same.
    pub on_demand: bool,
    /// Whether somebody wants to know which workspaces are used.
    pub reports_activity: bool,
    /// The field that carries a request's id, in answers of ours and to the API server.
    pub trace_field: Option<String>,
    /// One of so many requests is traced; 0 for none.
    pub traced_one_in: u64,
    /// Answer plain HTTP with a redirect to the public https origin instead of serving it.
    pub redirect_to_https: bool,
    /// `Strict-Transport-Security: max-age=…` on TLS answers, in seconds; 0 for none.
    pub hsts: u64,
    /// Who stands in front and is believed.
    pub proxies: Proxies,
    /// What one address, visitor or workspace may have.
    pub allowed: Allowed,
    /// The most connections at once, over all cores.
    pub connections: usize,
}

/// Proxies in front of the gateway.
#[derive(Clone, Debug)]
pub struct Proxies {
    /// Where they are; what they say of who called them is believed.
    pub trusted: Arc<[Cidr]>,
    /// Every connection to the plain listener begins with the PROXY protocol, and comes from one of them.
    pub before_plain: bool,
    /// The same for the TLS listener.
    pub before_tls: bool,
}

/// Who wakes a workspace by coming, besides its owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WakeBy {
    /// Everybody it is shared with, by a navigation.
    pub shared: bool,
    /// Whoever holds a token, by any request with it.
    pub token: bool,
}

/// One limit for each phase in which a peer may keep us waiting. There is none on a response or a tunnel: those end by
/// lease, drain or TCP keep-alive.
#[derive(Clone, Debug)]
pub struct Timeouts {
    pub tls_handshake: Duration,
    /// From the first byte of a request to the end of its head.
    pub request_head: Duration,
    /// Between requests, and before the first.
    pub keep_alive: Duration,
    /// A request body that stands still before the response head.
    pub body_idle: Duration,
    /// The least a request body must bring after `body_idle`, in bytes a second.
    pub body_rate: u64,
    pub connect: Duration,
    /// From the end of the request to the response head.
    pub response_head: Duration,
    /// How long a visitor that has shut down its sending side is answered without a byte moving.
    pub half_closed: Duration,
    /// How long a visitor may leave what waits for them while memory is short.
    pub stalled: Duration,
    /// The most that a drain takes.
    pub drain: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            tls_handshake: Duration::from_secs(10),
            request_head: Duration::from_secs(10),
            keep_alive: Duration::from_secs(60),
            body_idle: Duration::from_secs(30),
            body_rate: 240,
            connect: Duration::from_secs(3),
            response_head: Duration::from_secs(120),
            half_closed: Duration::from_secs(30),
            stalled: Duration::from_secs(60),
            drain: Duration::from_secs(30),
        }
    }
}

/// Shared settings.
pub type Shared = Arc<Settings>;
