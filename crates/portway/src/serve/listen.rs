//! The listeners: bound exclusively, so that a second gateway on the same port is told which flag helps, or had from whoever
//! has bound them already (the gateway before, systemd).

use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;
use socket2::{Domain, Protocol, Socket, Type};

use super::handover::Listeners;
use crate::config::Settings;
use crate::output::Failure;

/// Connections that wait to be accepted; the kernel cuts it to its own limit.
const BACKLOG: i32 = 4096;

/// Every socket of the gateway, bound.
#[derive(Debug)]
pub(super) struct Bound {
    plain: Vec<TcpListener>,
    tls: Vec<TcpListener>,
    ops: TcpListener,
}

/// Where listeners really are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) plain: Vec<SocketAddr>,
    pub(super) tls: Vec<SocketAddr>,
    pub(super) ops: SocketAddr,
}

impl Bound {
    /// Binds what none of `handed` is bound to; those that the settings do not ask for are closed.
    ///
    /// # Errors
    /// An address that cannot be had, and what chooses another.
    pub(super) fn new(settings: &Settings, mut handed: Listeners) -> Result<Self, Failure> {
        let tls_listen = settings.tls.as_ref().map_or(&[][..], |tls| &tls.listen);
        Ok(Self {
            plain: bind_all(&settings.listen, "--listen ADDRESS:PORT", &mut handed.plain)?,
            tls: bind_all(tls_listen, "listen under [tls] in the configuration", &mut handed.tls)?,
            ops: bind(settings.ops, "--ops ADDRESS:PORT", &mut handed.ops)?,
        })
    }

    /// Other handles on every listener.
    ///
    /// # Errors
    /// That there are no descriptors left.
    pub(super) fn listeners(&self) -> Result<Listeners, Failure> {
        let all = |these: &[TcpListener]| these.iter().map(cloned).collect::<Result<Vec<_>, _>>();
        Ok(Listeners { plain: all(&self.plain)?, tls: all(&self.tls)?, ops: vec![self.ops()?] })
    }

    /// Another handle on the operations listener.
    ///
    /// # Errors
    /// That there are no descriptors left.
    pub(super) fn ops(&self) -> Result<TcpListener, Failure> {
        cloned(&self.ops)
    }

    /// Where they are.
    ///
    /// # Errors
    /// That the system does not say.
    pub(super) fn at(&self) -> Result<At, Failure> {
        let all = |these: &[TcpListener]| these.iter().map(address).collect::<Result<Vec<_>, _>>();
        Ok(At { plain: all(&self.plain)?, tls: all(&self.tls)?, ops: address(&self.ops)? })
    }
}

fn cloned(listener: &TcpListener) -> Result<TcpListener, Failure> {
    listener.try_clone().map_err(|error| Failure::failed(format!("cannot keep the listeners: {error}")))
}

/// The listeners that systemd has bound for this process (sd_listen_fds(3)), each where the settings have its address.
///
/// # Errors
/// That one is no TCP listener, or is where the settings have none.
pub(super) fn from_systemd(settings: &Settings) -> Result<Listeners, Failure> {
    let (mut passed, mut found) = (ListenFd::from_env(), Listeners::default());
    for index in 0..passed.len() {
        let listener = passed.take_tcp_listener(index).map_err(|error| {
            Failure::failed(format!("systemd passed a socket that is no TCP listener: {error}"))
                .hint("its unit needs ListenStream with an address and a port")
        })?;
        let Some(listener) = listener else { continue };
        listener.set_nonblocking(true)?;
        let at = address(&listener)?;
        let tls_listen = settings.tls.as_ref().map_or(&[][..], |tls| &tls.listen);
        let place = if settings.listen.contains(&at) {
            &mut found.plain
        } else if tls_listen.contains(&at) {
            &mut found.tls
        } else if settings.ops == at {
            &mut found.ops
        } else {
            return Err(Failure::failed(format!("systemd listens on {at}, and the configuration does not"))
                .hint("write the same address in the socket unit and in `listen`, `tls.listen` or `ops`"));
        };
        place.push(listener);
    }
    Ok(found)
}

fn bind_all(addresses: &[SocketAddr], flag: &str, handed: &mut Vec<TcpListener>) -> Result<Vec<TcpListener>, Failure> {
    addresses.iter().map(|address| bind(*address, flag, handed)).collect()
}

/// Binds one address, unless one of `handed` is bound to it; `flag` is what chooses another.
fn bind(address: SocketAddr, flag: &str, handed: &mut Vec<TcpListener>) -> Result<TcpListener, Failure> {
    let fits = |listener: &TcpListener| {
        let local = listener.local_addr();
        local.is_ok_and(|local| local.ip() == address.ip() && [0, local.port()].contains(&address.port()))
    };
    if let Some(at) = handed.iter().position(fits) {
        return Ok(handed.remove(at));
    }
    open(address).map_err(|error| {
        let failure = match error.kind() {
            io::ErrorKind::AddrInUse => Failure::failed(format!("the address {address} is taken by another process")),
            _ => Failure::failed(format!("cannot listen on {address}: {error}")),
        };
        failure.hint(format!("choose another with {flag}"))
    })
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart need not wait for old connections; it does not share a port that somebody listens on.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn address(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener.local_addr().map_err(|error| Failure::failed(format!("cannot read the address of a listener: {error}")))
}
