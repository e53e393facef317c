//! Where bytes may go: addresses are checked at the moment they are dialled (R34, R35).
//!
//! Default deny. A configured range opens addresses, loopback included; some classes can never be opened, and Portway's
//! own listeners and servers are refused at every address. No socket is opened here, no name resolved.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

#[cfg(test)]
mod tests;

/// An address range, `10.0.0.0/8` or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    base: IpAddr,
    bits: u8,
}

/// Why a range was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not an address range: write `10.0.0.0/8`, `fd00::/8` or a single address, with no bits set behind the prefix"
)]
pub struct CidrError {
    pub text: String,
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let refuse = || CidrError { text: text.to_owned() };
        let (base, bits) = match text.split_once('/') {
            Some((base, bits)) => (base, Some(bits)),
            None => (text, None),
        };
        let base: IpAddr = base.parse().map_err(|_| refuse())?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(text) => {
                text.parse::<u8>().ok().filter(|n| *n <= most && *text == n.to_string()).ok_or_else(refuse)?
            }
            None => most,
        };
        let range = Self { base, bits };
        if range.mask(base) == number(base) { Ok(range) } else { Err(refuse()) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

impl Cidr {
    /// Whether the range holds `ip`; families never mix.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.base.is_ipv4() == ip.is_ipv4() && self.mask(ip) == number(self.base)
    }

    /// Whether some address is in both ranges.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.base) || other.contains(self.base)
    }

    /// Whether the range is one address.
    pub fn is_single(&self) -> bool {
        self.bits == if self.base.is_ipv4() { 32 } else { 128 }
    }

    fn mask(&self, ip: IpAddr) -> u128 {
        let width: u32 = if ip.is_ipv4() { 32 } else { 128 };
        let keep = u32::from(self.bits);
        if keep == 0 { 0 } else { number(ip) >> (width - keep) << (width - keep) }
    }
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    }
}

/// The part of an address that one party commands: an IPv4 address, or an IPv6 /64.
pub fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
    }
}

/// What may be dialled.
#[derive(Clone, Debug, Default)]
pub struct DialRules {
    /// Where workspaces are.
    pub allow: Vec<Cidr>,
    /// Sockets of Portway itself: listeners, operations. An unspecified address stands for every local one.
    pub own: Vec<SocketAddr>,
}

/// Why an address was not dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialRefusal {
    #[error("no configured range allows this address")]
    NotAllowed,
    #[error("this kind of address is never a workspace")]
    Forbidden,
    #[error("this is one of the gateway's own sockets")]
    Own,
    #[error("this is an address of the gateway's own machine")]
    Local,
}

impl DialRules {
    /// Decides about one address. `local` says whether `ip` is assigned to an interface of this machine; loopback need
    /// not be marked.
    ///
    /// # Errors
    /// The first rule that forbids it.
    pub fn check(&self, ip: IpAddr, port: u16, local: bool) -> Result<SocketAddr, DialRefusal> {
        if never(ip) {
            return Err(DialRefusal::Forbidden);
        }
        if is_one_of(&self.own, ip, port, local) {
            return Err(DialRefusal::Own);
        }
        let mut allowed = self.allow.iter().filter(|range| range.contains(ip)).peekable();
        if allowed.peek().is_none() {
            return Err(DialRefusal::NotAllowed);
        }
        // A wide range (a container network, or everything) must not open the machine's own foot in it; naming the
        // address does, and for loopback naming loopback.
        let names = |range: &Cidr| match ip.is_loopback() {
            true => range.base.is_loopback(),
            false => !local || range.is_single(),
        };
        if !allowed.any(names) {
            return Err(DialRefusal::Local);
        }
        Ok(SocketAddr::new(ip, port))
    }
}

/// Whether a socket is one of these, which an unspecified or loopback address names by every address of this machine.
pub fn is_one_of(sockets: &[SocketAddr], ip: IpAddr, port: u16, local: bool) -> bool {
    let here = local || ip.is_loopback();
    sockets.iter().any(|own| {
        let own_ip = own.ip().to_canonical();
        own.port() == port && (own_ip == ip || here && (own_ip.is_unspecified() || own_ip.is_loopback()))
    })
}

/// Classes that no configuration opens: they are never a workspace, or only another spelling of one.
fn never(ip: IpAddr) -> bool {
    if METADATA.contains(&ip) {
        return true;
    }
    match ip {
        IpAddr::V4(ip) => {
            ip.is_unspecified()
                || ip.octets()[0] == 0
                || ip.is_link_local()
                || ip.is_multicast()
                || ip.is_broadcast()
                || ip.octets()[0] >= 240
        }
        IpAddr::V6(ip) => {
            let head = ip.segments();
            ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_unicast_link_local()
                || head[0] & 0xffc0 == 0xfec0 // site-local, deprecated
                || ip.to_ipv4_mapped().is_some()
                || (ip != Ipv6Addr::LOCALHOST && head[..6] == [0; 6]) // v4-compatible
                || head[..6] == [0, 0, 0, 0, 0xffff, 0] // v4-translated (RFC 2765)
                || head[..6] == [0x64, 0xff9b, 0, 0, 0, 0] // NAT64
                || head[..3] == [0x64, 0xff9b, 1] // NAT64, local use
                || head[0] == 0x2002 // 6to4
                || (head[0] == 0x2001 && head[1] == 0) // Teredo
        }
    }
}

/// Metadata services, which hand out a machine's credentials, where they are not link-local: Alibaba, Azure, Oracle, then
/// AWS and Google over IPv6.
const METADATA: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// Both families of this machine, in the order they are tried.
pub const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
