//! Who the visitor is where proxies stand in front: the last address in `X-Forwarded-For` that no trusted proxy has (R28).
//!
//! Each proxy adds the address that it was called from at the right. Whatever stands left of the first one that is not
//! trusted was written by nobody we know. It knows addresses only.

use std::net::{IpAddr, SocketAddr};

use portway_core::dial::Cidr;

/// The proxies that are looked past; more are a mistake, or somebody's game.
const HOPS_MAX: usize = 16;

/// The visitor behind a peer that is a trusted proxy. `lists` are the values of every such field, in their order.
pub(crate) fn client<'a>(peer: IpAddr, trusted: &[Cidr], lists: impl DoubleEndedIterator<Item = &'a [u8]>) -> IpAddr {
    let mut client = peer;
    for entry in lists.rev().flat_map(|list| list.rsplit(|byte| *byte == b',')).take(HOPS_MAX) {
        // What a proxy of ours has written and cannot be read names nobody; the proxy itself is known.
        let Some(ip) = address(entry) else { return client };
        client = ip;
        if !is_trusted(trusted, ip) {
            return client;
        }
    }
    client
}

/// Whether a peer's word on who it was called by is taken.
pub(crate) fn is_trusted(trusted: &[Cidr], peer: IpAddr) -> bool {
    trusted.iter().any(|range| range.contains(peer))
}

/// An address, with or without a port: `192.0.2.7`, `192.0.2.7:80`, `2001:db8::7`, `[2001:db8::7]:80`.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim_matches([' ', '\t']);
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    let ip: IpAddr = text.parse().ok().or_else(bracketed).or_else(with_port)?;
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(peer: &str, lists: &[&str]) -> String {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|range| range.parse().unwrap());
        client(peer.parse().unwrap(), &trusted, lists.iter().map(|list| list.as_bytes())).to_string()
    }

    #[test]
    fn the_right_most_address_that_is_no_proxy_of_ours_is_the_visitor() {
        assert_eq!(found("10.0.0.1", &["192.0.2.7"]), "192.0.2.7");
        assert_eq!(found("10.0.0.1", &["192.0.2.7, 10.0.0.2"]), "192.0.2.7");
        assert_eq!(found("10.0.0.1", &["192.0.2.7", "10.9.0.2 , fd00::1"]), "192.0.2.7", "several fields");
        assert_eq!(
            found("10.0.0.1", &["203.0.113.1, 192.0.2.7"]),
            "192.0.2.7",
            "what the visitor wrote is not believed"
        );
        assert_eq!(found("10.0.0.1", &["10.0.0.9, 192.0.2.7"]), "192.0.2.7");
        assert_eq!(found("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3", "a visit from among the proxies");
    }

    #[test]
    fn addresses_are_written_in_several_ways() {
        for entry in ["2001:db8::7", "[2001:db8::7]", "[2001:db8::7]:443", "\t2001:db8::7 "] {
            assert_eq!(found("10.0.0.1", &[entry]), "2001:db8::7", "{entry}");
        }
        assert_eq!(found("10.0.0.1", &["192.0.2.7:51234"]), "192.0.2.7");
        assert_eq!(found("10.0.0.1", &["::ffff:192.0.2.7"]), "192.0.2.7");
        assert_eq!(found("10.0.0.1", &["192.0.2.7, ::ffff:10.0.0.2"]), "192.0.2.7", "a proxy in another spelling");
    }

    #[test]
    fn what_cannot_be_read_names_nobody() {
        for entry in ["", "unknown", "_hidden", "192.0.2", "192.0.2.7 192.0.2.8", "[192.0.2.7", "a, ", "é"] {
            assert_eq!(found("10.0.0.1", &[entry]), "10.0.0.1", "{entry}");
        }
        assert_eq!(found("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(found("10.0.0.1", &["192.0.2.7, unknown, 10.0.0.2"]), "10.0.0.2");
        let long = vec!["10.0.0.2"; 1000].join(",");
        assert_eq!(found("10.0.0.1", &[&format!("192.0.2.7,{long}")]), "10.0.0.2");
    }
}
