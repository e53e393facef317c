//! The configuration as meant: typed values, checked against each other.
//!
//! Where a value was written matters here only for messages. No socket is bound and no file named by a setting is opened.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portway_core::access::Rules;
use portway_core::dial::Cidr;
use portway_core::host::{ControlHost, Domain, Names, Scheme};
use portway_core::workspace::Level;
use portway_proxy::limits::Allowed;
use portway_proxy::settings::Proxies;
use portway_sources::{RedisServer, SharedPlace, StorePlace};
use tracing::level_filters::LevelFilter;

use super::control_plane::{self, ControlPlane};
use super::domains::{self, DomainSetting};
use super::file;
use super::keys::{self, Key, Kind};
use super::problem::{Complaint, Place, Problem, nearest};
use super::proxies;
use super::read::{self, Reader};
use super::traces::{self, Traces};
use super::values::{default_data, field_name, format, level, one_socket, resolve, sockets};

/// Flags that override settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    pub(crate) config: Option<PathBuf>,
    pub(crate) data: Option<PathBuf>,
    pub(crate) listen: Vec<String>,
    pub(crate) ops: Option<String>,
    pub(crate) domain: Option<String>,
}

/// Everything the gateway and the command line are told.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The file that was read.
    pub(crate) config: Option<PathBuf>,
    /// No configuration file, and every domain under `.localhost`: the gateway of a first try, which makes a user and a
    /// workspace by itself.
    pub(crate) embedded: bool,
    /// Folder of Portway's own state.
    pub(crate) data: PathBuf,
    /// Plain listeners; may be empty where there is TLS.
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) ops: SocketAddr,
    pub(crate) tls: Option<Tls>,
    pub(crate) rules: Rules,
    /// Origins whose pages may show ports in frames.
    pub(crate) embed: Vec<String>,
    /// The port of the IDE that carries connections to ports on a workspace's loopback; `None` where it does not.
    pub(crate) ide: Option<u16>,
    ide_page: Option<String>,
    /// Who stands in front and is believed.
    pub(crate) proxies: Proxies,
    /// Where workspaces may be dialled.
    pub(crate) allow: Vec<Cidr>,
    /// The control plane beside it.
    pub(crate) control_plane: ControlPlane,
    /// The static source.
    pub(crate) workspaces_file: Option<PathBuf>,
    pub(crate) login_lifetime: Duration,
    pub(crate) session_lifetime: Duration,
    pub(crate) limits: Limits,
    /// Where rates are counted together with other gateways.
    pub(crate) shared_limits: Option<RedisServer>,
    pub(crate) log: Log,
    /// The field that carries a request's id.
    pub(crate) trace_field: Option<String>,
    pub(crate) traces: Option<Traces>,
    pub(crate) threads: usize,
    /// What is allowed but probably not meant.
    pub(crate) warnings: Vec<String>,
    workspaces_file_place: Place,
    domains: Vec<DomainSetting>,
    control: Option<domains::Origin>,
}

/// TLS listeners and what they serve.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) certificates: Vec<CertificateFiles>,
    /// Whether the plain listener redirects to https.
    pub(crate) redirect: bool,
    /// `max-age` of Strict-Transport-Security (RFC 6797).
    pub(crate) hsts: Option<Duration>,
}

/// PEM files of one certificate.
#[derive(Clone, Debug)]
pub(crate) struct CertificateFiles {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    /// Where the configuration names them.
    pub(crate) place: Place,
}

/// Limits of connections, requests and phases.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) connections: usize,
    pub(crate) allowed: Allowed,
    /// Bytes; 0 for no limit, `None` for that of the control group.
    pub(crate) memory: Option<u64>,
    pub(crate) tls_handshake: Duration,
    pub(crate) request_head: Duration,
    pub(crate) keep_alive: Duration,
    pub(crate) body_idle: Duration,
    /// Bytes per second; 0 for no floor.
    pub(crate) body_rate: u64,
    pub(crate) connect: Duration,
    pub(crate) response_head: Duration,
    pub(crate) stalled: Duration,
    pub(crate) drain: Duration,
}

/// What is logged, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    pub(crate) level: LevelFilter,
    pub(crate) format: LogFormat,
    /// Each request.
    pub(crate) access: bool,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Human on a terminal, JSON elsewhere.
    Auto,
    Json,
    Human,
}

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// A phase that takes longer than this is not limited in any useful sense.
const PHASE_MAX: Duration = HOUR;
/// What browsers' preload lists take as the longest (two years).
const HSTS_MAX: Duration = Duration::from_secs(2 * 365 * 24 * 3600);
const HSTS_DEFAULT: Duration = Duration::from_secs(365 * 24 * 3600);

impl Settings {
    /// [`Settings::load`] with the environment of this process.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub(crate) fn of_process(flags: &Flags) -> Result<Self, Vec<Problem>> {
        // A variable that is not UTF-8 cannot be one of ours.
        let environment = std::env::vars_os();
        Self::load(
            flags,
            environment.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    /// Reads the configuration file that `flags` or `PORTWAY_CONFIG` names, if any, `environment` and `flags`.
    ///
    /// # Errors
    /// Every problem there is, in the order of their places.
    pub(crate) fn load(
        flags: &Flags,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Vec<Problem>> {
        let environment: Vec<(String, String)> =
            environment.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let variable = environment.iter().find(|(name, _)| name == "PORTWAY_CONFIG");
        let (config, named_by) = match (&flags.config, variable) {
            (Some(path), _) => (Some(path.clone()), Place::Flag("--config".to_owned())),
            (None, Some((name, path))) => (Some(PathBuf::from(path)), Place::Variable(name.clone())),
            (None, None) => (None, Place::Default),
        };
        let mut problems = Vec::new();
        let mut written = file::Written::default();
        if let Some(path) = &config {
            match std::fs::read_to_string(path) {
                Ok(text) => written = file::read(path, &text, &mut problems),
                Err(error) => {
                    let message = format!("cannot read {}: {error}", path.display());
                    return Err(vec![Complaint::new(message).at(&named_by, "")]);
                }
            }
        }
        let warnings = unknown_variables(&environment);
        let default_data = default_data(&environment);
        let texts = |value: &Option<String>| value.iter().cloned().collect();
        let data = flags.data.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        let listen = flags.listen.iter().flat_map(|text| text.split(',')).map(|text| text.trim().to_owned()).collect();
        let overrides: [(&'static Key, &'static str, Vec<String>); 4] = [
            (&keys::DATA, "--data", data),
            (&keys::LISTEN, "--listen", listen),
            (&keys::OPS, "--ops", texts(&flags.ops)),
            (&keys::DOMAIN, "--domain", texts(&flags.domain)),
        ];
        let mut reader = Reader::new(written, environment, overrides, problems);
        let settings = build(&mut reader, config, default_data, warnings);
        let mut problems = reader.problems;
        problems.sort();
        problems.dedup();
        match settings {
            Some(settings) if problems.is_empty() => Ok(settings),
            Some(_) => Err(problems),
            None => {
                if problems.is_empty() {
                    problems.push(
                        Complaint::new("a default is not valid; this is a defect of Portway").at(&Place::Default, ""),
                    );
                }
                Err(problems)
            }
        }
    }

    /// Where `workspaces_file` was named.
    pub(crate) fn workspaces_file_place(&self) -> &Place {
        &self.workspaces_file_place
    }

    /// Where Portway's own state is.
    pub(crate) fn store(&self) -> StorePlace {
        let postgres = self.control_plane.postgres.as_ref();
        match postgres.and_then(|postgres| Some((postgres, postgres.schema.as_ref()?))) {
            Some((postgres, schema)) => StorePlace::Shared(SharedPlace {
                url: postgres.url.clone(),
                schema: schema.clone(),
                connections: postgres.connections,
            }),
            None => StorePlace::Folder(self.data.clone()),
        }
    }

    /// Where a workspace's IDE is, as a URL with `{workspace}` in it; `None` for its default port.
    pub(crate) fn ide_page(&self, names: &Names) -> Option<String> {
        let page = self.ide_page.as_ref()?;
        Some(if page.starts_with('/') { format!("{}{page}", names.control.origin()) } else { page.clone() })
    }

    /// The names this gateway answers to. The ports are those really bound, which matters where the configured one is 0;
    /// `None` for the configured ones.
    pub(crate) fn names(&self, plain_port: Option<u16>, tls_port: Option<u16>) -> Names {
        let configured = |listen: &[SocketAddr]| listen.first().map(SocketAddr::port);
        let plain = plain_port.or_else(|| configured(&self.listen));
        let tls = self.tls.as_ref().and_then(|tls| tls_port.or_else(|| configured(&tls.listen)));
        let domains: Vec<Domain> = self.domains.iter().map(|domain| domain.resolve(plain, tls)).collect();
        let control = match (&self.control, domains.first()) {
            (Some(control), _) => {
                ControlHost { host: control.host.clone(), scheme: control.scheme, port: control.port }
            }
            (None, Some(first)) => ControlHost { host: first.name.clone(), scheme: first.scheme, port: first.port },
            // There is always a domain: the default, at least.
            (None, None) => ControlHost { host: String::new(), scheme: Scheme::Https, port: 443 },
        };
        Names { domains, control }
    }
}

fn build(
    r: &mut Reader,
    config: Option<PathBuf>,
    default_data: PathBuf,
    mut warnings: Vec<String>,
) -> Option<Settings> {
    control_plane::take_preset(r);
    let folder = config.as_deref().and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
    let data = match r.read(&keys::DATA, read::text) {
        Some(data) => resolve(&folder, &data.value, &data.place),
        None => default_data,
    };
    let listen = r.read(&keys::LISTEN, sockets)?;
    let ops = r.read(&keys::OPS, one_socket)?;
    let tls = build_tls(r, &folder);
    let domains = domains::read(r);
    let local = domains.iter().all(DomainSetting::is_local);
    let control = domains::read_control(r);
    check_listeners(r, &listen, &ops, tls.as_ref());
    let tls = tls.map(|tls| Tls { hsts: if local && !r.is_given(&keys::TLS_HSTS) { None } else { tls.hsts }, ..tls });

    let embedded = config.is_none() && local;
    let allow = match r.read(&keys::WORKSPACES_ALLOW, read::list(Kind::Texts, read::parsed(str::parse::<Cidr>))) {
        Some(allow) => allow.value,
        None if embedded => ["127.0.0.0/8", "::1"].iter().filter_map(|range| range.parse().ok()).collect(),
        None => Vec::new(),
    };
    let proxies = proxies::read(r, &allow)?;
    let workspaces_file = r.read(&keys::WORKSPACES_FILE, read::text);
    let ports = || read::list(Kind::Integers, read::port);
    let rules = Rules {
        ceiling: r.read(&keys::ACCESS_CEILING, read::parsed(str::parse::<Level>))?.value,
        protected: r.read(&keys::ACCESS_PROTECTED, ports())?.value.into_iter().collect(),
        denied: r.read(&keys::ACCESS_DENIED, ports())?.value.into_iter().collect(),
    };
    let embed = r.read(&keys::ACCESS_EMBED, domains::origins)?.value;
    let ide_port = r.read(&keys::IDE_PORT, read::port)?.value;
    let ide = r.read(&keys::IDE_CARRY, read::flag)?.value.then_some(ide_port);
    let ide_page = r.read(&keys::IDE_PAGE, read::parsed(control_plane::login_page)).map(|page| page.value);
    for domain in domains.iter().filter(|domain| rules.denied.contains(&domain.default_port)) {
        warnings.push(format!(
            "the default port {} of {} is in access.denied, so that `{{workspace}}.{}` never opens",
            domain.default_port, domain.name, domain.name
        ));
    }
    if config.is_some() && allow.is_empty() {
        warnings.push(
            "workspaces.allow is empty, so that no workspace can be reached; name the ranges they are in".to_owned(),
        );
    }
    let control_plane = control_plane::read_all(r, &folder)?;
    let phase = || read::duration(Duration::from_millis(1), PHASE_MAX);
    let allowed = Allowed {
        address_connections: r.read(&keys::LIMITS_ADDRESS_CONNECTIONS, count)?.value,
        visitor_requests: r.read(&keys::LIMITS_VISITOR_REQUESTS, count)?.value,
        visitor_rate: r.read(&keys::LIMITS_VISITOR_RATE, count)?.value,
        workspace_requests: r.read(&keys::LIMITS_WORKSPACE_REQUESTS, count)?.value,
        workspace_rate: r.read(&keys::LIMITS_WORKSPACE_RATE, count)?.value,
        // What the process may open is known when it runs.
        sockets: 0,
    };
    let limits = Limits {
        connections: size(r.read(&keys::LIMITS_CONNECTIONS, read::integer(1, 10_000_000))?.value),
        allowed,
        memory: r.read(&keys::LIMITS_MEMORY, read::integer(0, 1 << 50)).map(|memory| memory.value),
        tls_handshake: r.read(&keys::LIMITS_TLS_HANDSHAKE, phase())?.value,
        request_head: r.read(&keys::LIMITS_REQUEST_HEAD, phase())?.value,
        keep_alive: r.read(&keys::LIMITS_KEEP_ALIVE, phase())?.value,
        body_idle: r.read(&keys::LIMITS_BODY_IDLE, phase())?.value,
        body_rate: r.read(&keys::LIMITS_BODY_RATE, read::integer(0, 1 << 40))?.value,
        connect: r.read(&keys::LIMITS_CONNECT, phase())?.value,
        response_head: r.read(&keys::LIMITS_RESPONSE_HEAD, phase())?.value,
        stalled: r.read(&keys::LIMITS_STALLED, phase())?.value,
        drain: r.read(&keys::LIMITS_DRAIN, read::duration(Duration::ZERO, DAY))?.value,
    };
    let log = Log {
        level: r.read(&keys::LOG_LEVEL, level)?.value,
        format: r.read(&keys::LOG_FORMAT, format)?.value,
        access: r.read(&keys::LOG_ACCESS, read::flag)?.value,
    };
    let trace_field = r.read(&keys::LOG_TRACE_HEADER, read::parsed(field_name)).map(|name| name.value);
    let traces = traces::read_all(r)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Some(Settings {
        embedded,
        data,
        listen: listen.value,
        ops: ops.value,
        tls,
        rules,
        embed,
        ide,
        ide_page,
        allow,
        proxies,
        control_plane,
        workspaces_file_place: workspaces_file.as_ref().map_or(Place::Default, |file| file.place.clone()),
        workspaces_file: workspaces_file.map(|file| resolve(&folder, &file.value, &file.place)),
        login_lifetime: r.read(&keys::SESSIONS_LOGIN, read::duration(Duration::from_secs(1), 30 * DAY))?.value,
        session_lifetime: r.read(&keys::SESSIONS_SESSION, read::duration(Duration::from_secs(1), 8 * HOUR))?.value,
        limits,
        shared_limits: r.read(&keys::LIMITS_SHARED, read::parsed(str::parse)).map(|server| server.value),
        log,
        trace_field,
        traces,
        threads: r.read(&keys::THREADS, read::integer(1, 1024)).map_or(cores, |threads| size(threads.value)),
        warnings,
        domains,
        control,
        config,
    })
}

fn build_tls(r: &mut Reader, folder: &Path) -> Option<Tls> {
    let mut certificates = Vec::new();
    for table in r.tables("tls.certificates") {
        let cert = r.read_in(&table.value, &keys::TLS_CERTIFICATES_CERT, read::text);
        let key = r.read_in(&table.value, &keys::TLS_CERTIFICATES_KEY, read::text);
        for (name, value) in [(&keys::TLS_CERTIFICATES_CERT, &cert), (&keys::TLS_CERTIFICATES_KEY, &key)] {
            if value.is_none() && !table.value.contains_key(name.path) {
                r.missing(&table.place, name);
            }
        }
        if let (Some(cert), Some(key)) = (cert, key) {
            certificates.push(CertificateFiles {
                cert: resolve(folder, &cert.value, &cert.place),
                key: resolve(folder, &key.value, &key.place),
                place: cert.place,
            });
        }
    }
    let given = r.is_given(&keys::TLS_LISTEN);
    let listen = r.read(&keys::TLS_LISTEN, sockets)?;
    let redirect = r.read(&keys::TLS_REDIRECT, read::flag)?.value;
    let hsts = r.read(&keys::TLS_HSTS, read::duration(Duration::ZERO, HSTS_MAX));
    if certificates.is_empty() {
        if given && r.tables("tls.certificates").is_empty() {
            r.missing(&listen.place, &keys::TLS_CERTIFICATES_CERT);
        }
        return None;
    }
    let hsts = Some(hsts.map_or(HSTS_DEFAULT, |hsts| hsts.value)).filter(|hsts| !hsts.is_zero());
    Some(Tls { listen: listen.value, certificates, redirect, hsts })
}

/// Every socket once, and at least one for visitors.
fn check_listeners(
    r: &mut Reader,
    plain: &read::Read<Vec<SocketAddr>>,
    ops: &read::Read<SocketAddr>,
    tls: Option<&Tls>,
) {
    if plain.value.is_empty() && tls.is_none_or(|tls| tls.listen.is_empty()) {
        let complaint =
            Complaint::new("is empty, and there is no TLS listener either").hint("write listen = [\"127.0.0.1:8080\"]");
        r.complain(complaint, &plain.place, &keys::LISTEN);
    }
    let tls = tls.map_or(&[][..], |tls| &tls.listen);
    let mut seen: Vec<SocketAddr> = Vec::new();
    for socket in plain.value.iter().chain(tls).chain([&ops.value]) {
        if socket.port() != 0 && seen.contains(socket) {
            // Told where somebody wrote it, not at a default.
            let (place, key) = if *socket == ops.value && ops.place != Place::Default {
                (&ops.place, &keys::OPS)
            } else {
                (&plain.place, &keys::LISTEN)
            };
            r.complain(
                Complaint::new(format!("{socket} is given twice")).hint("each listener needs a socket of its own"),
                place,
                key,
            );
        }
        seen.push(*socket);
    }
}

/// Warnings about variables that look like a misspelt setting. An unknown one is no error: Kubernetes sets
/// `PORTWAY_PORT` and its like in every container beside a service named `portway`.
fn unknown_variables(environment: &[(String, String)]) -> Vec<String> {
    let mut known: Vec<String> = keys::KEYS.iter().map(Key::variable).collect();
    known.extend(["PORTWAY_CONFIG", "PORTWAY_MIGRATE_URL"].map(str::to_owned));
    let bare = |name: &'_ str| name.trim_start_matches("PORTWAY_").to_owned();
    let candidates: Vec<String> = known.iter().map(|name| bare(name)).collect();
    let unknown = environment.iter().filter(|(name, _)| name.starts_with("PORTWAY_") && !known.contains(name));
    let warning = |name: &String| {
        let meant = nearest(&bare(name), candidates.iter().map(String::as_str))?.to_owned();
        Some(format!("the environment variable {name} is not a setting; did you mean PORTWAY_{meant}?"))
    };
    unknown.filter_map(|(name, _)| warning(name)).collect()
}

/// A number of requests, connections or such a second; 0 for no limit.
fn count(raw: &file::Raw) -> Result<u32, Complaint> {
    let number = read::integer(0, 1_000_000_000)(raw)?;
    Ok(u32::try_from(number).unwrap_or(u32::MAX))
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
