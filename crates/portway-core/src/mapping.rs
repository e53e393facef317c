//! The two names of one port, and how a value passes from one to the other (design: header profiles).
//!
//! A browser knows `https://3000-blue.example.com`; under the profile `localhost` the dev server knows
//! `http://localhost:3000`. Requests are mapped inward, answers outward, and what went in comes out the same. Only names
//! of one workspace are ever mapped. It knows values, not fields.

use std::borrow::Cow;

use crate::browser::origin_part;
use crate::host::{Names, Place, PortForm, Scheme, Target, canonical_port};
use crate::workspace::Profile;

#[cfg(test)]
mod tests;

/// The hosts by which a dev server calls its own machine. Some print the address that they are bound to.
const LOCAL: [&str; 4] = ["localhost", "127.0.0.1", "[::1]", "0.0.0.0"];

/// How one port is called on both sides.
#[derive(Clone, Copy, Debug)]
pub struct Mapping<'a> {
    pub names: &'a Names,
    pub target: &'a Target,
    pub port: u16,
    /// What the dev server speaks.
    pub scheme: Scheme,
    pub profile: Profile,
}

impl Mapping<'_> {
    /// The `host[:port]` that the dev server is told it is reached by.
    pub fn host(&self) -> String {
        match self.profile {
            Profile::Localhost => format!("localhost:{}", self.port),
            Profile::Public => {
                let origin = self.names.origin(self.target);
                origin.split_once("://").map_or_else(String::new, |(_, authority)| authority.to_owned())
            }
        }
    }

    /// The scheme that the dev server is told it is reached by.
    pub fn scheme(&self) -> Scheme {
        match self.profile {
            Profile::Localhost => self.scheme,
            Profile::Public => self.names.domains.get(self.target.domain).map_or(Scheme::Https, |domain| domain.scheme),
        }
    }

    /// `value`, an origin or a URL, as the dev server knows it. What is not on a port of this workspace stays as it is.
    pub fn inward<'v>(&self, value: &'v [u8]) -> Cow<'v, [u8]> {
        if self.profile == Profile::Public {
            return Cow::Borrowed(value);
        }
        let origin = origin_part(value);
        match self.names.parse_origin(origin) {
            Some(Place::Workspace(from)) if from.workspace == self.target.workspace => {
                let scheme = if from.port == self.port {
                    self.scheme
                } else if from.tls {
                    Scheme::Https
                } else {
                    Scheme::Http
                };
                let mut local = format!("{}://localhost:{}", scheme.as_str(), from.port).into_bytes();
                local.extend_from_slice(value.get(origin.len()..).unwrap_or_default());
                Cow::Owned(local)
            }
            Some(Place::Workspace(_) | Place::Control) | None => Cow::Borrowed(value),
        }
    }

    /// `value`, an origin or a URL of the dev server's, as the browser must know it; `None` where nothing changes.
    pub fn outward(&self, value: &[u8]) -> Option<Vec<u8>> {
        if self.profile == Profile::Public {
            return None;
        }
        // `//localhost:3000/` takes the scheme of the page.
        let (origin, scheme, authority) = if value.starts_with(b"//") {
            let end =
                value.iter().skip(2).position(|b| matches!(b, b'/' | b'?' | b'#')).map_or(value.len(), |at| at + 2);
            let origin = value.get(..end)?;
            (origin, self.scheme, std::str::from_utf8(origin.get(2..)?).ok()?)
        } else {
            let origin = origin_part(value);
            let (scheme, authority) = std::str::from_utf8(origin).ok()?.split_once("://")?;
            (origin, scheme.to_ascii_lowercase().parse().ok()?, authority)
        };
        let (host, port) = local_authority(authority, scheme)?;
        if !LOCAL.iter().any(|local| host.eq_ignore_ascii_case(local)) {
            return None;
        }
        let mut public = self.public_origin(port, scheme)?.into_bytes();
        public.extend_from_slice(value.get(origin.len()..).unwrap_or_default());
        Some(public)
    }

    /// `5; url=http://localhost:3000/`, the value of a `Refresh` field, with its URL mapped outward.
    pub fn refresh_outward(&self, value: &[u8]) -> Option<Vec<u8>> {
        let start = value.windows(4).position(|part| part.eq_ignore_ascii_case(b"url="))? + 4;
        let (before, url) = value.split_at_checked(start)?;
        let quote = usize::from(matches!(url.first(), Some(b'"' | b'\'')));
        let public = self.outward(url.get(quote..)?)?;
        Some([before, url.get(..quote)?, &public].concat())
    }

    /// The public origin of a port of this workspace; its own port keeps the name by which it was asked for.
    fn public_origin(&self, port: u16, scheme: Scheme) -> Option<String> {
        if port == self.port {
            return Some(self.names.origin(self.target));
        }
        let form = PortForm::Number { port, tls: scheme == Scheme::Https };
        let host = self.names.host(self.target.domain, &self.target.workspace, form).ok()?;
        Some(self.names.origin(&Target { host, ..self.target.clone() }))
    }
}

/// Host and port of an authority; the scheme's own port where none is said. `None` where it is not one.
fn local_authority(authority: &str, scheme: Scheme) -> Option<(&str, u16)> {
    let after_host = authority.find(']').map_or(0, |end| end + 1);
    match authority.get(after_host..)?.rfind(':') {
        Some(colon) => {
            let (host, port) = authority.split_at_checked(after_host + colon)?;
            Some((host, canonical_port(port.get(1..)?)?))
        }
        None => Some((authority, scheme.default_port())),
    }
}
