//! Binding sockets, exclusively: a second gateway on the same port is told which flag helps.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use crate::output::Failure;

/// Connections that wait to be accepted; the kernel cuts it to its own limit.
const BACKLOG: i32 = 4096;

/// Binds every address that none of `handed` is bound to.
pub(super) fn bind_all(
    addresses: &[SocketAddr],
    flag: &str,
    handed: &mut Vec<TcpListener>,
) -> Result<Vec<TcpListener>, Failure> {
    addresses.iter().map(|address| bind(*address, flag, handed)).collect()
}

/// Binds one address, unless one of `handed` is bound to it; `flag` is what chooses another.
pub(super) fn bind(address: SocketAddr, flag: &str, handed: &mut Vec<TcpListener>) -> Result<TcpListener, Failure> {
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

/// Where a listener really is.
pub(super) fn address(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener.local_addr().map_err(|error| Failure::failed(format!("cannot read the address of a listener: {error}")))
}

/// Where listeners really are.
pub(super) fn addresses(listeners: &[TcpListener]) -> Result<Vec<SocketAddr>, Failure> {
    listeners.iter().map(address).collect()
}
