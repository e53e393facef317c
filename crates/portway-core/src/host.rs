//! Host names: what a name asks for, and how one is made.
//!
//! One grammar serves routing, redirects and links, so `names.host(parse(x)) == x`. Names are compared as ASCII strings
//! ignoring case and never decoded (RFC 9110 4.2.3; R30). This file knows neither which workspaces exist nor any header.

use std::fmt;

mod pattern;
#[cfg(test)]
mod tests;

pub use pattern::{Pattern, PatternError};

/// The longest label DNS carries (RFC 1035 2.3.4), in bytes.
pub const LABEL_MAX: usize = 63;
/// The longest host name (RFC 1035 2.3.4), in bytes, as text without the trailing dot.
pub const NAME_MAX: usize = 253;

/// How a public origin, or an upstream, is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that an authority of this scheme may leave out (RFC 9110 4.2.1, 4.2.2).
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// One domain under which workspaces have names, with the single public origin that browsers see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Lower-case name, without a trailing dot: `code-hub.com`.
    pub name: String,
    /// How labels under it are made and read.
    pub pattern: Pattern,
    /// Scheme of the public origin; redirects and cookies follow it, never the listener.
    pub scheme: Scheme,
    /// Port of the public origin: behind an ingress this is not the listener's.
    pub port: u16,
    /// The port that `{workspace}.{domain}` opens.
    pub default_port: u16,
}

/// The host people log in on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlHost {
    /// Lower-case host name.
    pub host: String,
    pub scheme: Scheme,
    pub port: u16,
}

impl ControlHost {
    /// `https://code-hub.com`, with the port only where it is not the scheme's own.
    pub fn origin(&self) -> String {
        origin(self.scheme, &self.host, self.port)
    }
}

/// Every name that Portway answers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    pub domains: Vec<Domain>,
    pub control: ControlHost,
}

/// Which port a name asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PortForm {
    /// `{workspace}.{domain}`: the domain's default port.
    Default,
    /// `{port}` in the label; `tls` for a trailing `s`.
    Number { port: u16, tls: bool },
}

/// What a workspace's host name asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The canonical (lower-case) host name without a port. Sessions and tickets are bound to these bytes.
    pub host: String,
    /// The workspace id, lower case: the key of the snapshot.
    pub workspace: String,
    /// The port to dial.
    pub port: u16,
    /// A trailing `s`: speak TLS to the upstream, its certificate unverified.
    pub tls: bool,
    /// Index into [`Names::domains`].
    pub domain: usize,
}

/// What an authority names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The control host.
    Control,
    /// A port of a workspace.
    Workspace(Target),
}

/// Why an authority names nothing of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostError {
    /// Not a host name at all: wrong bytes, empty, too long, a trailing dot.
    Malformed,
    /// A host of another domain, or another port than the public origin's.
    NotOurs,
    /// Under one of our domains, but no form of its pattern (`03000-x`, `65536-x`, two labels).
    NoSuchForm,
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not a host name",
            Self::NotOurs => "not a host of this gateway",
            Self::NoSuchForm => "not a name of the form this domain uses",
        })
    }
}

/// A name that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// DNS labels end at 63 bytes (RFC 1035 2.3.4).
    #[error(
        "the host label `{label}` would be {length} bytes long, but DNS allows {LABEL_MAX}; give the workspace a shorter id"
    )]
    LabelTooLong { label: String, length: usize },
    /// Whole names end at 253 bytes.
    #[error("the host name `{name}` would be longer than the {NAME_MAX} bytes DNS allows")]
    NameTooLong { name: String },
    /// Not letters, digits and inner dashes.
    #[error(
        "`{id}` cannot be part of a host name: a workspace id is 1 to 63 ASCII letters, digits and dashes, beginning and ending with a letter or digit, and not beginning with `xn--`"
    )]
    BadId { id: String },
    /// `3000-abc` as an id would be read as port 3000 of `abc`.
    #[error(
        "`{id}` reads as a port of another workspace under the pattern `{pattern}`; choose an id that does not begin or end like a port"
    )]
    ReadsAsPort { id: String, pattern: String },
    /// The control host comes first, so a workspace can never answer there.
    #[error("`{name}` is the host people log in on, so it cannot be a workspace's; choose another id")]
    IsControl { name: String },
}

impl Names {
    /// Reads an authority (`host[:port]`, RFC 9110 7.2) as it stands in `Host` or `:authority`.
    ///
    /// # Errors
    /// [`HostError`] for everything that is not byte for byte one of our names; nothing is guessed.
    pub fn parse(&self, authority: &[u8]) -> Result<Place, HostError> {
        let text = std::str::from_utf8(authority).map_err(|_| HostError::Malformed)?;
        let (host, port) = split_authority(text)?;
        let host = host.to_ascii_lowercase();
        if host == self.control.host {
            // On another port too it is no workspace's: cookies do not separate ports (RFC 6265 8.5).
            let ours = port_fits(port, self.control.scheme, self.control.port);
            return if ours { Ok(Place::Control) } else { Err(HostError::NotOurs) };
        }
        let mut found = HostError::NotOurs;
        for (index, domain) in self.domains.iter().enumerate() {
            let Some(label) = host.strip_suffix(domain.name.as_str()).and_then(|rest| rest.strip_suffix('.')) else {
                continue;
            };
            if !port_fits(port, domain.scheme, domain.port) {
                continue;
            }
            let Some((workspace, form)) = domain.pattern.read(label) else {
                found = HostError::NoSuchForm;
                continue;
            };
            let (port, tls) = match form {
                PortForm::Default => (domain.default_port, false),
                PortForm::Number { port, tls } => (port, tls),
            };
            let workspace = workspace.to_owned();
            return Ok(Place::Workspace(Target { host, workspace, port, tls, domain: index }));
        }
        Err(found)
    }

    /// The target of a canonical host name: one that stands without a port and reads back to itself.
    pub fn target_of(&self, host: &str) -> Option<Target> {
        self.domains.iter().find_map(|domain| {
            let authority = format!("{host}:{}", domain.port);
            match self.parse(authority.as_bytes()) {
                Ok(Place::Workspace(target)) if target.host == host => Some(target),
                Ok(Place::Workspace(_) | Place::Control) | Err(_) => None,
            }
        })
    }

    /// Reads an `Origin` or the origin part of a `Referer`: scheme, host and port must be exactly a public origin's.
    pub fn parse_origin(&self, origin: &[u8]) -> Option<Place> {
        let text = std::str::from_utf8(origin).ok()?;
        let (scheme, rest) = text.split_once("://")?;
        let place = self.parse(rest.as_bytes()).ok()?;
        let ours = match &place {
            Place::Control => self.control.scheme,
            Place::Workspace(target) => self.domains.get(target.domain)?.scheme,
        };
        (scheme == ours.as_str()).then_some(place)
    }

    /// The canonical host name of a port (`form` [`PortForm::Default`] for the bare name) under domain `domain`.
    ///
    /// # Errors
    /// [`NameError`] where DNS could not carry the name or it would read as another.
    pub fn host(&self, domain: usize, workspace: &str, form: PortForm) -> Result<String, NameError> {
        let Some(domain) = self.domains.get(domain) else {
            return Err(NameError::BadId { id: workspace.to_owned() });
        };
        domain.check_id(workspace)?;
        let label = domain.pattern.write(&workspace.to_ascii_lowercase(), form);
        if is_punycode(&label) {
            return Err(NameError::BadId { id: label });
        }
        if label.len() > LABEL_MAX {
            return Err(NameError::LabelTooLong { length: label.len(), label });
        }
        let name = format!("{label}.{}", domain.name);
        if name.len() > NAME_MAX {
            return Err(NameError::NameTooLong { name });
        }
        if name == self.control.host {
            return Err(NameError::IsControl { name });
        }
        Ok(name)
    }

    /// The public URL of a port, with a trailing slash: what `portway url` and the home page show.
    ///
    /// # Errors
    /// As [`Names::host`].
    pub fn url(&self, domain: usize, workspace: &str, form: PortForm) -> Result<String, NameError> {
        let host = self.host(domain, workspace, form)?;
        Ok(format!("{}/", self.origin_of(domain, &host)))
    }

    /// The public URL of any port of a workspace, with `place` where the number goes: what code-server's Ports panel and
    /// other programs are configured with.
    ///
    /// # Errors
    /// As [`Names::host`], for the longest port.
    pub fn url_template(&self, domain: usize, workspace: &str, place: &str) -> Result<String, NameError> {
        let longest = PortForm::Number { port: u16::MAX, tls: false };
        self.host(domain, workspace, longest)?;
        let Some(found) = self.domains.get(domain) else {
            return Err(NameError::BadId { id: workspace.to_owned() });
        };
        let label = found.pattern.fill(&workspace.to_ascii_lowercase(), place);
        Ok(format!("{}/", self.origin_of(domain, &format!("{label}.{}", found.name))))
    }

    /// The public origin of a target's host.
    pub fn origin(&self, target: &Target) -> String {
        self.origin_of(target.domain, &target.host)
    }

    fn origin_of(&self, domain: usize, host: &str) -> String {
        match self.domains.get(domain) {
            Some(domain) => origin(domain.scheme, host, domain.port),
            None => origin(Scheme::Https, host, 443),
        }
    }
}

impl Domain {
    /// Whether `id` can name a workspace under this domain.
    ///
    /// # Errors
    /// [`NameError::BadId`] or [`NameError::ReadsAsPort`].
    pub fn check_id(&self, id: &str) -> Result<(), NameError> {
        if !valid_id(id) {
            return Err(NameError::BadId { id: id.to_owned() });
        }
        let lower = id.to_ascii_lowercase();
        if !matches!(self.pattern.read(&lower), Some((_, PortForm::Default))) {
            return Err(NameError::ReadsAsPort { id: id.to_owned(), pattern: self.pattern.to_string() });
        }
        Ok(())
    }
}

/// `https://host`, with `:port` only where it is not the scheme's own.
pub fn origin(scheme: Scheme, host: &str, port: u16) -> String {
    if port == scheme.default_port() {
        format!("{}://{host}", scheme.as_str())
    } else {
        format!("{}://{host}:{port}", scheme.as_str())
    }
}

/// Whether `id` fits a DNS label: letters, digits, inner dashes, and not punycode.
pub(crate) fn valid_id(id: &str) -> bool {
    let bytes = id.as_bytes();
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    bytes.len() <= LABEL_MAX
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
        && !is_punycode(id)
}

/// Whether browsers would read a label as punycode (RFC 5890 2.3.2.1) and refuse or change it.
fn is_punycode(label: &str) -> bool {
    label.as_bytes().get(..4).is_some_and(|head| head.eq_ignore_ascii_case(b"xn--"))
}

/// A port in its one canonical spelling: decimal, 1 to 65535, no sign, no leading zero.
pub fn canonical_port(text: &str) -> Option<u16> {
    let canonical = !text.starts_with('0') && (1..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if canonical { text.parse().ok() } else { None }
}

fn split_authority(text: &str) -> Result<(&str, Option<u16>), HostError> {
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(canonical_port(port).ok_or(HostError::Malformed)?)),
        None => (text, None),
    };
    let well_formed = !host.is_empty()
        && host.len() <= NAME_MAX
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.' || b == b'_')
        && !host.ends_with('.')
        && host.split('.').all(|label| !label.is_empty() && label.len() <= LABEL_MAX);
    if well_formed { Ok((host, port)) } else { Err(HostError::Malformed) }
}

fn port_fits(port: Option<u16>, scheme: Scheme, public: u16) -> bool {
    port.unwrap_or(scheme.default_port()) == public
}
