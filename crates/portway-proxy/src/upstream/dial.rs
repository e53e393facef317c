//! Dialling: from a permit's endpoint to a connected socket, checked at the address that is really dialled (R34, R35).
//!
//! The only way in takes a [`Permit`]. Names are resolved on the control runtime, and kept five seconds at most and no
//! longer than the workspace's generation.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portway_core::access::Permit;
use portway_core::dial::{DialRefusal, LOOPBACK, is_one_of};
use portway_core::host::Scheme;
use portway_core::workspace::{Address, Workspace};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::conn::Connection;
use crate::control::{Control, Resolved};
use crate::io::{Duplex, Io};
use crate::limits::Limits;
use crate::settings::Shared;

/// How long a resolved name is believed. A workspace's address can be another tenant's a moment later (R36).
const NAME_TTL: Duration = Duration::from_secs(5);
/// The most workspaces whose names one core remembers.
const NAMES_MAX: usize = 4096;

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialError {
    /// Nothing listens there.
    Closed,
    /// No answer within the connect timeout.
    Timeout,
    /// The name has no address, or has none in time.
    NoAddress,
    /// The rules forbid every address it has.
    Refused(DialRefusal),
    /// The port does not speak TLS, or breaks it off.
    Tls,
    /// Anything else the network says.
    Network,
    /// The gateway has as many sockets open as it may.
    Overloaded,
}

impl DialError {
    /// A stable word for logs and `Portway-Reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "port-closed",
            Self::Timeout => "connect-timeout",
            Self::NoAddress => "no-address",
            Self::Refused(_) => "address-refused",
            Self::Tls => "upstream-tls",
            Self::Network => "upstream-unreachable",
            Self::Overloaded => "overloaded",
        }
    }
}

/// By which port of the workspace a permit's port is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Door {
    /// Its own.
    Port,
    /// The IDE's, which carries to it.
    Ide(u16),
}

/// The addresses of one workspace at one moment.
#[derive(Clone, Debug)]
pub enum Addresses {
    Loopback,
    One([IpAddr; 1]),
    Resolved(Arc<[IpAddr]>),
}

impl std::ops::Deref for Addresses {
    type Target = [IpAddr];

    fn deref(&self) -> &[IpAddr] {
        match self {
            Self::Loopback => &LOOPBACK,
            Self::One(one) => one,
            Self::Resolved(all) => all,
        }
    }
}

/// What the name of a workspace was resolved to, and in which life of it (R36).
#[derive(Debug)]
struct Known {
    name: Arc<str>,
    generation: Arc<str>,
    resolved: Resolved,
}

impl Known {
    fn is_fresh(&self, now: Instant) -> bool {
        now.duration_since(self.resolved.asked) < NAME_TTL
    }
}

/// What a core dials with.
#[derive(Debug)]
pub struct Dialer {
    settings: Shared,
    control: Control,
    tls: Arc<rustls::ClientConfig>,
    limits: Limits,
    /// By the workspace's key.
    names: RefCell<HashMap<Arc<str>, Known>>,
}

impl Dialer {
    pub fn new(settings: Shared, control: Control, tls: Arc<rustls::ClientConfig>, limits: Limits) -> Self {
        Self { settings, control, tls, limits, names: RefCell::default() }
    }

    /// The addresses a permit's workspace has now, in the order to try them.
    pub async fn addresses(&self, permit: &Permit) -> Addresses {
        let workspace = permit.workspace();
        match &workspace.address {
            Address::Loopback => Addresses::Loopback,
            Address::Ip(ip) => Addresses::One([*ip]),
            Address::Name(name) => Addresses::Resolved(self.resolve(workspace, name).await),
        }
    }

    /// Dials the permit's endpoint, or by another door to it.
    ///
    /// # Errors
    /// [`DialError`]; of several addresses, the failure that says most.
    pub async fn dial(&self, permit: &Permit, addresses: &Addresses, door: Door) -> Result<Connection, DialError> {
        let mut error = DialError::NoAddress;
        for ip in addresses.iter().copied() {
            match self.dial_one(ip, permit, door).await {
                Ok(connection) => return Ok(connection),
                Err(next) => error = worse(error, next),
            }
        }
        Err(error)
    }

    async fn dial_one(&self, ip: IpAddr, permit: &Permit, door: Door) -> Result<Connection, DialError> {
        let rules = &self.settings.dial;
        let (port, scheme) = match door {
            Door::Port => (permit.port(), permit.scheme()),
            Door::Ide(port) => (port, Scheme::Http),
        };
        let local = is_local(ip);
        let relied_on = is_one_of(&self.settings.relied_on.load(), ip, port, local);
        let checked = match (permit.is_front(), relied_on) {
            // It is what the administrator named, and nobody else can be meant.
            (true, _) => Ok(SocketAddr::new(ip, port)),
            (false, true) => Err(DialRefusal::Own),
            (false, false) => rules.check(ip, port, local),
        };
        let address = checked.map_err(|refusal| {
            let workspace = &permit.workspace().id;
            tracing::warn!(event = "address-refused", ws_id = %workspace, address = %ip, port, %refusal);
            DialError::Refused(refusal)
        })?;
        if self.limits.is_full() {
            return Err(DialError::Overloaded);
        }
        let socket = self.limits.socket();
        let limit = self.settings.timeouts.connect;
        let tcp = match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => tcp,
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => return Err(DialError::Closed),
            Ok(Err(_)) => return Err(DialError::Network),
            Err(_) => return Err(DialError::Timeout),
        };
        // A small message must not wait for the acknowledgement of the one before.
        let _ = tcp.set_nodelay(true);
        keep_alive(&tcp);
        let io = match scheme {
            Scheme::Http => Io::Plain(tcp),
            Scheme::Https => {
                let name = ServerName::try_from("localhost").map_err(|_| DialError::Tls)?;
                let handshake = TlsConnector::from(self.tls.clone()).connect(name, tcp);
                match timeout(self.settings.timeouts.tls_handshake, handshake).await {
                    Ok(Ok(tls)) => Io::Tls(Box::new(tls.into())),
                    Ok(Err(_)) => return Err(DialError::Tls),
                    Err(_) => return Err(DialError::Timeout),
                }
            }
        };
        Ok(Connection::new(Duplex::new(io), address.ip(), socket))
    }

    async fn resolve(&self, workspace: &Workspace, name: &Arc<str>) -> Arc<[IpAddr]> {
        let (now, generation) = (Instant::now(), &workspace.generation);
        if let Some(known) = self.names.borrow().get(&workspace.key)
            && known.name == *name
            && known.generation == *generation
            && known.is_fresh(now)
        {
            return known.resolved.addresses.clone();
        }
        // A slow answer is "not running", never a hang.
        let limit = self.settings.timeouts.connect;
        let resolved = match timeout(limit, self.control.resolve(name, generation)).await {
            Ok(Some(resolved)) => resolved,
            // It says nothing about the name.
            Ok(None) => return Arc::new([]),
            Err(_) => Resolved { asked: now, addresses: Arc::new([]) },
        };
        let addresses = resolved.addresses.clone();
        let mut names = self.names.borrow_mut();
        if names.len() >= NAMES_MAX {
            names.retain(|_, known| known.is_fresh(now));
        }
        if names.len() < NAMES_MAX {
            let known = Known { name: name.clone(), generation: generation.clone(), resolved };
            names.insert(workspace.key.clone(), known);
        }
        addresses
    }
}

/// Dead peers of silent tunnels are found by the kernel: the only limit that idle streams have.
pub(crate) fn keep_alive(tcp: &TcpStream) {
    let probes = socket2::TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(20));
    let _ = socket2::SockRef::from(tcp).set_tcp_keepalive(&probes);
}

/// Whether `ip` is assigned to this machine: the kernel then chooses it as the source of a datagram to itself. No packet is
/// sent. What cannot be found out counts as local, which refuses more.
fn is_local(ip: IpAddr) -> bool {
    if ip.is_loopback() {
        return true;
    }
    let any: IpAddr = if ip.is_ipv4() { [0, 0, 0, 0].into() } else { [0; 16].into() };
    let Ok(socket) = UdpSocket::bind((any, 0)) else { return true };
    match socket.connect(SocketAddr::new(ip, 9)) {
        Ok(()) => socket.local_addr().is_ok_and(|source| source.ip() == ip),
        // No route: the connection will fail by itself.
        Err(_) => false,
    }
}

/// Of two failures the one that says more: a closed port on one family matters more than a missing other family.
fn worse(one: DialError, two: DialError) -> DialError {
    let rank = |error: DialError| match error {
        DialError::NoAddress => 0,
        DialError::Network => 1,
        DialError::Closed => 2,
        DialError::Timeout => 3,
        DialError::Tls => 4,
        DialError::Refused(_) => 5,
        DialError::Overloaded => 6,
    };
    if rank(two) >= rank(one) { two } else { one }
}
