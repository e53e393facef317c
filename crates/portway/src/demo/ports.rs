//! Which ports the sample's servers take: the usual ones, the next few, any.
//!
//! It knows nothing of what is served there.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};

/// Where the page is, unless something else is there.
pub(super) const PAGE: u16 = 3000;
/// Where the API is, unless something else is there.
pub(super) const API: u16 = 5000;
/// Ports tried from the usual one on before any will do, so that the addresses stay alike from start to start.
const NEAR: u16 = 10;

/// Binds `usual` on 127.0.0.1, or one of the next, or any free one.
pub(super) fn bind_near(usual: u16) -> io::Result<TcpListener> {
    let near = (usual..usual.saturating_add(NEAR)).find_map(bind_unused);
    let listener = near.map_or_else(|| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)), Ok)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A port that nobody uses on ::1 either. Many dev servers listen there alone, and the gateway dials 127.0.0.1 first: ours
/// would hide theirs.
fn bind_unused(port: u16) -> Option<TcpListener> {
    let other = TcpListener::bind((Ipv6Addr::LOCALHOST, port));
    // Any other error is a machine without IPv6.
    if other.as_ref().is_err_and(|error| error.kind() == ErrorKind::AddrInUse) {
        return None;
    }
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(listener: &TcpListener) -> u16 {
        listener.local_addr().unwrap().port()
    }

    #[test]
    fn a_port_that_somebody_uses_on_either_loopback_address_is_left_to_them() {
        let four = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert_ne!(port(&bind_near(port(&four)).unwrap()), port(&four));
        if let Ok(six) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
            let ours = bind_near(port(&six)).unwrap();
            assert_ne!(port(&ours), port(&six));
            assert_eq!(ours.local_addr().unwrap().ip(), Ipv4Addr::LOCALHOST);
        }
    }
}
