//! Domains and public origins: which names the gateway has, as configured.
//!
//! How a name is read and made belongs to `portway_core::host`; which ports are bound is not known here.

use portway_core::host::{Domain, LABEL_MAX, NAME_MAX, Pattern, Scheme, canonical_port};

use super::file::{Entries, Raw};
use super::keys::{self, Key, Kind};
use super::problem::{Complaint, Place};
use super::read::{self, Read, Reader};

/// A domain before its listeners are bound.
#[derive(Clone, Debug)]
pub(crate) struct DomainSetting {
    pub(crate) name: String,
    pub(crate) pattern: Pattern,
    /// Scheme and port, where configured.
    pub(crate) public: Option<(Scheme, u16)>,
    pub(crate) default_port: u16,
}

/// `https://code-hub.com:8443` in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) scheme: Scheme,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl DomainSetting {
    /// Whether browsers resolve it to loopback and trust plain http there.
    pub(crate) fn is_local(&self) -> bool {
        is_local(&self.name)
    }

    /// The domain with its public origin; `plain` and `tls` are the ports of the listeners.
    pub(crate) fn resolve(&self, plain: Option<u16>, tls: Option<u16>) -> Domain {
        let (scheme, port) = match (self.public, self.is_local(), tls, plain) {
            (Some(public), ..) => public,
            (None, true, Some(tls), _) => (Scheme::Https, tls),
            (None, true, None, Some(plain)) => (Scheme::Http, plain),
            (None, ..) => (Scheme::Https, Scheme::Https.default_port()),
        };
        Domain { name: self.name.clone(), pattern: self.pattern.clone(), scheme, port, default_port: self.default_port }
    }
}

/// What `{workspace}.{domain}` opens: the IDE, except under .localhost, where 8080 is the gateway itself.
fn usual_port(domain: &str) -> u16 {
    if is_local(domain) { 3000 } else { 8080 }
}

fn is_local(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

/// The domains: those of `[[domains]]`, or the one of the top-level keys, which a flag or variable can name too.
pub(crate) fn read(r: &mut Reader) -> Vec<DomainSetting> {
    let mut several: Vec<DomainSetting> = Vec::new();
    let tables = r.tables("domains");
    for table in &tables {
        let domain = read_table(r, table);
        if let Some(domain) = domain {
            if several.iter().any(|known| known.name == domain.name) {
                let complaint = Complaint::new(format!("`{}` is given twice", domain.name));
                r.complain(complaint, &table.place, &keys::DOMAINS_NAME);
            }
            several.push(domain);
        }
    }
    let name = r.read(&keys::DOMAIN, parse_with(domain_name));
    let pattern = r.read(&keys::PATTERN, read::parsed(str::parse::<Pattern>));
    let default_port = r.read(&keys::DEFAULT_PORT, read::port);
    let public = r.read(&keys::PUBLIC, parse_with(origin));
    let overridden = name.as_ref().is_some_and(|name| matches!(name.place, Place::Flag(_) | Place::Variable(_)));
    if !tables.is_empty() && !overridden {
        let given = [
            (&keys::DOMAIN, name.map(|it| it.place)),
            (&keys::PATTERN, pattern.map(|it| it.place)),
            (&keys::PUBLIC, public.map(|it| it.place)),
            (&keys::DEFAULT_PORT, default_port.map(|it| it.place)),
        ];
        for (key, place) in given {
            if let Some(place) = place.filter(|_| r.is_given(key)) {
                let complaint =
                    Complaint::new("has no meaning beside [[domains]]").hint("write it in each [[domains]] table");
                r.complain(complaint, &place, key);
            }
        }
        return several;
    }
    let (Some(name), Some(pattern)) = (name, pattern) else { return several };
    let default_port = default_port.map_or_else(|| usual_port(&name.value), |port| port.value);
    let public = public.and_then(|public| fitting(r, &name.value, public, &keys::PUBLIC));
    vec![DomainSetting { name: name.value, pattern: pattern.value, public, default_port }]
}

fn read_table(r: &mut Reader, table: &Read<Entries>) -> Option<DomainSetting> {
    let entries = &table.value;
    let name = r.read_in(entries, &keys::DOMAINS_NAME, parse_with(domain_name));
    let pattern = r.read_in(entries, &keys::DOMAINS_PATTERN, read::parsed(str::parse::<Pattern>));
    let default_port = r.read_in(entries, &keys::DOMAINS_DEFAULT_PORT, read::port);
    let public = r.read_in(entries, &keys::DOMAINS_PUBLIC, parse_with(origin));
    if !entries.contains_key(keys::DOMAINS_NAME.path) {
        r.missing(&table.place, &keys::DOMAINS_NAME);
    }
    let name = name?;
    let public = public.and_then(|public| fitting(r, &name.value, public, &keys::DOMAINS_PUBLIC));
    let default_port = default_port.map_or_else(|| usual_port(&name.value), |port| port.value);
    Some(DomainSetting { name: name.value, pattern: pattern?.value, public, default_port })
}

/// The control host, where configured.
pub(crate) fn read_control(r: &mut Reader) -> Option<Origin> {
    let control = r.read(&keys::CONTROL, parse_with(origin))?;
    refuse_plain(r, &control, &keys::CONTROL);
    Some(control.value)
}

/// A public origin must be the domain's own: only scheme and port are free.
fn fitting(r: &mut Reader, domain: &str, public: Read<Origin>, key: &Key) -> Option<(Scheme, u16)> {
    if public.value.host != domain {
        let message = format!("is an origin of `{}`, but the domain is `{domain}`", public.value.host);
        let hint = "it says which scheme and port browsers use for the domain; its host is the domain";
        r.complain(Complaint::new(message).hint(hint), &public.place, key);
        return None;
    }
    refuse_plain(r, &public, key);
    Some((public.value.scheme, public.value.port))
}

fn refuse_plain(r: &mut Reader, origin: &Read<Origin>, key: &Key) {
    if origin.value.scheme == Scheme::Http && !is_local(&origin.value.host) {
        let complaint =
            Complaint::new("plain http is refused except under .localhost: logins would cross the network readable")
                .hint("write https://, and let [tls] or an ingress in front answer it");
        r.complain(complaint, &origin.place, key);
    }
}

fn parse_with<T>(parse: impl Fn(&str) -> Result<T, Complaint>) -> impl Fn(&Raw) -> Result<T, Complaint> {
    move |raw| parse(&read::text(raw)?)
}

/// A host name in lower case, short enough for labels below it.
fn domain_name(text: &str) -> Result<String, Complaint> {
    let refuse = |why: &str| Err(Complaint::new(format!("`{text}` is not a domain: {why}")));
    let name = text.to_ascii_lowercase();
    if text.contains("://") || text.contains(':') || text.contains('/') {
        return refuse("give the bare name, without scheme, port or path")
            .map_err(|it| it.hint("scheme and port belong to `public`"));
    }
    if name.starts_with("*.") {
        return refuse("give it without `*.`");
    }
    if name.ends_with('.') {
        return refuse("give it without the final dot");
    }
    let label_ok = |label: &str| {
        (1..=LABEL_MAX).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if !name.split('.').all(label_ok) {
        return refuse("its labels are 1 to 63 letters, digits and inner dashes");
    }
    if name.split('.').next_back().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit())) {
        return refuse("an IP address has no names below it");
    }
    if name.len() > NAME_MAX - LABEL_MAX - 1 {
        return refuse("it leaves no room for a label below it");
    }
    Ok(name)
}

/// Origins of other sites, each in the spelling that browsers use.
pub(crate) fn origins(raw: &Raw) -> Result<Vec<String>, Complaint> {
    let one = |raw: &Raw| {
        let Origin { scheme, host, port } = origin(&read::text(raw)?)?;
        Ok(portway_core::host::origin(scheme, &host, port))
    };
    read::list(Kind::Texts, one)(raw)
}

/// `http://host`, `https://host:8443`.
fn origin(text: &str) -> Result<Origin, Complaint> {
    let refuse = || {
        Complaint::new(format!("`{text}` is not an origin"))
            .hint("write https://NAME or https://NAME:PORT, and nothing behind it")
    };
    let (scheme, rest) = text.split_once("://").ok_or_else(refuse)?;
    let scheme: Scheme = scheme.to_ascii_lowercase().parse().map_err(|_| refuse())?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.split_once(':') {
        Some((host, port)) => (host, canonical_port(port).ok_or_else(refuse)?),
        None => (rest, scheme.default_port()),
    };
    let host = domain_name(host).map_err(|_| refuse())?;
    Ok(Origin { scheme, host, port })
}
