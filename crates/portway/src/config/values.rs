//! Values that need more than their kind: sockets, servers, log levels and formats, paths.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use portway_core::host::canonical_port;
use portway_core::workspace::Address;
use tracing::level_filters::LevelFilter;

use super::file::Raw;
use super::keys::Kind;
use super::problem::{Complaint, Place};
use super::read;
use super::settings::LogFormat;

/// `IP:PORT`; `localhost:PORT` for both loopback addresses.
fn socket(text: &str) -> Result<Vec<SocketAddr>, Complaint> {
    if let Some(port) = text.strip_prefix("localhost:").and_then(|port| port.parse::<u16>().ok()) {
        return Ok(portway_core::dial::LOOPBACK.iter().map(|ip| SocketAddr::new(*ip, port)).collect());
    }
    text.parse().map(|socket| vec![socket]).map_err(|_| {
        Complaint::new(format!("`{text}` is not a socket address"))
            .hint("write IP:PORT, such as 127.0.0.1:8080, [::1]:8080, 0.0.0.0:8080 or localhost:8080")
    })
}

/// A list of sockets.
pub(super) fn sockets(raw: &Raw) -> Result<Vec<SocketAddr>, Complaint> {
    let lists = read::list(Kind::Texts, |raw| socket(&read::text(raw)?))(raw)?;
    Ok(lists.into_iter().flatten().collect())
}

/// One socket; of `localhost` the IPv4 one.
pub(super) fn one_socket(raw: &Raw) -> Result<SocketAddr, Complaint> {
    let first = socket(&read::text(raw)?)?.into_iter().next();
    first.ok_or_else(|| Complaint::new("is empty"))
}

/// A level of the log.
pub(super) fn level(raw: &Raw) -> Result<LevelFilter, Complaint> {
    let text = read::text(raw)?;
    Ok(match text.as_str() {
        "error" => LevelFilter::ERROR,
        "warn" => LevelFilter::WARN,
        "info" => LevelFilter::INFO,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => return Err(choice(&text, &["error", "warn", "info", "debug", "trace"])),
    })
}

/// A format of the log.
pub(super) fn format(raw: &Raw) -> Result<LogFormat, Complaint> {
    let text = read::text(raw)?;
    Ok(match text.as_str() {
        "auto" => LogFormat::Auto,
        "json" => LogFormat::Json,
        "human" => LogFormat::Human,
        _ => return Err(choice(&text, &["auto", "json", "human"])),
    })
}

/// A token (RFC 9110 5.6.2), as far as people name fields, and none that HTTP or the gateway has a use for itself.
pub(super) fn field_name(text: &str) -> Result<String, String> {
    let good = text.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("x-"))
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let taken = ["x-forwarded", "x-portway", "x-real-ip"];
    if good && !taken.iter().any(|name| text.to_ascii_lowercase().starts_with(name)) {
        return Ok(text.to_owned());
    }
    Err(format!("`{}` is not a field for ids: write one that begins with X-, such as X-Trace-ID", text.escape_debug()))
}

fn choice(text: &str, choices: &[&str]) -> Complaint {
    Complaint::new(format!("must be one of {}, not \"{text}\"", choices.join(", ")))
}

/// A path in the file begins at the file's folder, one of a flag or variable where the command runs.
pub(super) fn resolve(folder: &Path, path: &str, place: &Place) -> PathBuf {
    match place {
        Place::File { .. } => folder.join(path),
        Place::Variable(_) | Place::Flag(_) | Place::Default => PathBuf::from(path),
    }
}

/// `$XDG_DATA_HOME/portway`, `/var/lib/portway` for root, `~/.local/share/portway` for others.
pub(super) fn default_data(environment: &[(String, String)]) -> PathBuf {
    use std::os::unix::fs::MetadataExt as _;
    let variable = |wanted| environment.iter().find(|(name, _)| name == wanted).map(|(_, value)| PathBuf::from(value));
    let root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    match (variable("XDG_DATA_HOME"), variable("HOME")) {
        (Some(data), _) => data.join("portway"),
        (None, Some(home)) if !root => home.join(".local/share/portway"),
        (None, _) => PathBuf::from("/var/lib/portway"),
    }
}

/// A server spoken to by plain http.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upstream {
    pub(crate) host: String,
    pub(crate) address: Address,
    pub(crate) port: u16,
}

/// `http://HOST[:PORT]`. Without TLS: it is the same network, and a certificate there would be checked against nothing.
pub(super) fn server(raw: &Raw, what: &str, usual_port: u16) -> Result<Upstream, Complaint> {
    let text = read::text(raw)?;
    let refuse = |why: &str| Complaint::new(format!("`{text}` {why}")).hint("write http://HOST:PORT");
    let Some(rest) = text.strip_prefix("http://") else {
        return Err(refuse(&format!("is not the address of {what}; only http is spoken to it")));
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, canonical_port(port).ok_or_else(|| refuse("has no port that exists"))?)
        }
        _ => (rest, usual_port),
    };
    // Checks the spelling; what a name leads to is asked each time.
    let address = host.parse().map_err(|_| refuse("names no host"))?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Ok(Upstream { host: bare.to_owned(), address, port })
}
