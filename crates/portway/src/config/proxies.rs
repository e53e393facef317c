//! Who stands in front of the gateway and is believed; never whoever may be a workspace (R28).

use portway_core::dial::Cidr;
use portway_proxy::settings::Proxies;

use super::file::Raw;
use super::keys::{self, Kind};
use super::problem::Complaint;
use super::read::{self, Reader};

/// A listener that the PROXY protocol can be on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Listener {
    Plain,
    Tls,
}

/// Reads the table; `allow` is where workspaces may be.
pub(super) fn read(r: &mut Reader, allow: &[Cidr]) -> Option<Proxies> {
    let trusted = r.read(&keys::PROXIES_TRUSTED, read::list(Kind::Texts, read::parsed(str::parse::<Cidr>)));
    let protocol = r.read(&keys::PROXIES_PROTOCOL, read::list(Kind::Texts, listener));
    if let Some(trusted) = &trusted
        && let Some(range) = trusted.value.iter().find(|range| allow.iter().any(|allow| allow.overlaps(range)))
    {
        let complaint = Complaint::new(format!(
            "{range} is where workspaces may be, by workspaces.allow: code in one could say that it is anybody"
        ))
        .hint("name the ingress alone, at an address outside of workspaces.allow");
        r.complain(complaint, &trusted.place, &keys::PROXIES_TRUSTED);
    }
    if let Some(protocol) = &protocol
        && !protocol.value.is_empty()
        && trusted.as_ref().is_none_or(|trusted| trusted.value.is_empty())
    {
        let complaint = Complaint::new("has no meaning without proxies.trusted: it would let nobody in")
            .hint("name there where the load balancer is");
        r.complain(complaint, &protocol.place, &keys::PROXIES_PROTOCOL);
    }
    let listeners = protocol.map(|protocol| protocol.value).unwrap_or_default();
    Some(Proxies {
        trusted: trusted.map(|trusted| trusted.value).unwrap_or_default().into(),
        before_plain: listeners.contains(&Listener::Plain),
        before_tls: listeners.contains(&Listener::Tls),
    })
}

fn listener(raw: &Raw) -> Result<Listener, Complaint> {
    let text = read::text(raw)?;
    match text.as_str() {
        "plain" => Ok(Listener::Plain),
        "tls" => Ok(Listener::Tls),
        other => Err(Complaint::new(format!("`{other}` is no listener")).hint("\"plain\" and \"tls\" are")),
    }
}
