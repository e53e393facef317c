//! The stage: a gateway, its user `alice`, her workspace `ws`, which is this machine, and a door to each of its ports.
//!
//! It knows the command line and the ways a visitor can come in, and no rule of the gateway's.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use portway_testkit::gateway::Builder;
use portway_testkit::{Client, Gateway, TestCa, Visitor};
use rustls::ClientConfig;

/// The owner of everything.
pub(crate) const OWNER: &str = "alice";
/// Her workspace.
const WORKSPACE: &str = "ws";
/// Loopback may be dialled; everything else is the default.
const CONFIG: &str = "[workspaces]\nallow = [\"127.0.0.1\", \"::1\"]\n";
/// A TLS listener beside the plain one, which serves the same.
const TLS: &str = "[tls]\nlisten = [\"127.0.0.1:0\"]\nredirect = false\n\
                   [[tls.certificates]]\ncert = \"{dir}/own.crt\"\nkey = \"{dir}/own.key\"\n";
/// Descriptors a test may need: thousands of sockets, and the gateway inherits the limit.
const DESCRIPTORS: u64 = 16 * 1024;

/// How a visitor comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) tls: bool,
    pub(crate) http2: bool,
}

/// All of them: HTTP/2 by prior knowledge on the plain listener, and by ALPN over TLS.
pub(crate) const WAYS: [Way; 4] = [
    Way { tls: false, http2: false },
    Way { tls: false, http2: true },
    Way { tls: true, http2: false },
    Way { tls: true, http2: true },
];

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.http2 { "HTTP/2" } else { "HTTP/1.1" }, if self.tls { " over TLS" } else { "" })
    }
}

/// A running gateway and the keys to its doors.
pub(crate) struct Stage {
    pub(crate) gateway: Gateway,
    tokens: BTreeMap<u16, String>,
    ca: Option<TestCa>,
}

/// One private port of the workspace, for one way in.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    pub(crate) scheme: &'static str,
    /// The `Host` value.
    pub(crate) host: String,
    /// The fields that open it.
    pub(crate) keys: Vec<(&'static str, String)>,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) http2: bool,
}

/// Limits that are for many visitors.
const UNLIMITED: [&str; 5] =
    ["ADDRESS_CONNECTIONS", "VISITOR_REQUESTS", "VISITOR_RATE", "WORKSPACE_REQUESTS", "WORKSPACE_RATE"];

impl Stage {
    /// Starts a gateway for these private ports, with `more` in its configuration; with a TLS listener where `tls` says so.
    pub(crate) fn start(ports: &[u16], tls: bool, more: &str) -> Self {
        raise_descriptor_limit();
        let binary =
            std::env::var_os("PORTWAY_BIN").map_or_else(|| env!("CARGO_BIN_EXE_portway").into(), PathBuf::from);
        // One user and one machine are everybody here.
        let unlimited = |builder: Builder, limit: &&str| builder.env(&format!("PORTWAY_LIMITS_{limit}"), "0");
        let builder = UNLIMITED.iter().fold(Gateway::builder(&binary), unlimited);
        let mut builder = builder.config(&format!("{CONFIG}{}{more}", if tls { TLS } else { "" }));
        let ca = tls.then(TestCa::new);
        if let Some(ca) = &ca {
            let leaf = ca.leaf(&["*.portway.localhost", "portway.localhost"]);
            builder = builder.file("own.crt", leaf.certificate_pem).file("own.key", leaf.key_pem);
        }
        let data = builder.dir().join("data");
        let config = builder.dir().join("portway.toml");
        let run = |arguments: &[&str]| {
            let mut command = Command::new(&binary);
            command.args(arguments).arg("--data").arg(&data).arg("--config").arg(&config).stdin(Stdio::null());
            let output = command.output().expect("run the binary");
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "portway {arguments:?}: {}\n{errors}", output.status);
            String::from_utf8(output.stdout).expect("UTF-8 output").trim().to_owned()
        };
        run(&["user", "add", OWNER]);
        run(&["workspace", "add", WORKSPACE, "--address", "localhost", "--owner", OWNER]);
        let token = |port: &u16| {
            let port_text = port.to_string();
            let of = ["token", "create", "--user", OWNER, "--workspace", WORKSPACE, "--port", port_text.as_str()];
            (*port, run(&of))
        };
        let tokens = ports.iter().map(token).collect();
        Self { gateway: builder.start(), tokens, ca }
    }

    /// The way to a port, opened by its token.
    pub(crate) fn door(&self, port: u16, way: Way) -> Door {
        let token = self.tokens.get(&port).expect("a port of this stage").clone();
        let keys = vec![("x-portway-token", token)];
        self.door_of(&port.to_string(), way, keys)
    }

    /// The same port as [`Stage::door`], with a TLS handshake towards the dev server.
    pub(crate) fn door_to_tls(&self, port: u16, way: Way) -> Door {
        self.door_of(&format!("{port}s"), way, self.door(port, way).keys)
    }

    fn door_of(&self, port: &str, way: Way, keys: Vec<(&'static str, String)>) -> Door {
        let address = if way.tls { self.gateway.tls() } else { self.gateway.plain() };
        let alpn = if way.http2 { "h2" } else { "http/1.1" };
        let tls = way.tls.then(|| self.ca.as_ref().expect("a stage with TLS").client(&[alpn]));
        // Where there is TLS, the public origin is the TLS listener's.
        let origin = if self.ca.is_some() { self.gateway.tls() } else { self.gateway.plain() };
        let host = format!("{port}-{WORKSPACE}.portway.localhost:{}", origin.port());
        Door { address, scheme: if way.tls { "https" } else { "http" }, host, keys, tls, http2: way.http2 }
    }

    /// Logs the owner in over the plain listener; gives the browser and a door that its session opens.
    pub(crate) async fn log_in(&self, port: u16, way: Way) -> (Visitor, Door) {
        let link = self.gateway.run(&["user", "link", OWNER]);
        let mut visitor = Visitor::new(self.gateway.plain());
        visitor.log_in(link.trim()).await;
        let mut door = self.door_of(&port.to_string(), way, Vec::new());
        let cookie = visitor.session_for(&format!("{}/", door.origin())).await;
        door.keys = vec![("cookie", cookie), ("origin", door.origin())];
        (visitor, door)
    }

    /// The value of a metric without labels, from the operations listener.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let request = "GET /metrics HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n";
        let answer = Client::connect(self.gateway.ops()).await.round_trip("GET", request).await.text();
        let value = answer.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.unwrap_or_else(|| panic!("no {name} in:\n{answer}"))
    }

    /// Waits until no request and no tunnel is open.
    pub(crate) async fn all_closed(&self) {
        let name = "portway_requests_open";
        portway_testkit::eventually_async(name, async || self.metric(name).await == 0.0).await;
    }

    /// Makes the present resident memory the peak, so that the next peak is what follows. Without the kernel's leave the
    /// old peak stands, which can only hide growth below it.
    pub(crate) fn forget_peak(&self) {
        drop(std::fs::write(format!("/proc/{}/clear_refs", self.gateway.pid()), "5"));
    }
}

impl Door {
    /// A fresh HTTP/1.1 connection.
    pub(crate) async fn connect(&self) -> Client {
        assert!(!self.http2, "the door is for HTTP/2");
        self.stream().await
    }

    /// A fresh connection on which nothing was sent.
    pub(crate) async fn stream(&self) -> Client {
        match &self.tls {
            None => Client::connect(self.address).await,
            Some(config) => {
                let (name, _) = self.host.split_once(':').expect("a host with a port");
                Client::connect_tls(self.address, name, Arc::clone(config)).await
            }
        }
    }

    /// A whole HTTP/1.1 request head: `line` is method and target, `fields` are field lines with CRLF.
    pub(crate) fn head(&self, line: &str, fields: &str) -> String {
        format!("{line} HTTP/1.1\r\nHost: {}\r\n{}{fields}\r\n", self.host, self.key_lines())
    }

    /// The fields that open it, as lines with CRLF.
    pub(crate) fn key_lines(&self) -> String {
        self.keys.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
    }

    /// What a browser calls this door.
    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.host)
    }
}

/// Raises this process's soft limit on descriptors as far as is needed and allowed, by util-linux's own command.
fn raise_descriptor_limit() {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("this process's limits");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("the limit on descriptors");
    let mut words = line.split_whitespace().map(|word| word.parse().unwrap_or(u64::MAX));
    let (soft, hard) = (words.next().unwrap_or(0), words.next().unwrap_or(0));
    let wanted = DESCRIPTORS.min(hard);
    if soft < wanted {
        let pid = std::process::id().to_string();
        let status = Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={wanted}:")]).status();
        assert!(status.expect("prlimit of util-linux").success(), "raise the limit on descriptors");
    }
}
