//! The stage of most tests: a gateway, its user `alice`, and her workspace `ws`, which is this machine.
//!
//! Ports are declared before the gateway starts, so that no test waits for a change to be noticed. It knows the command
//! line and how a host name is made, and no rule of the gateway's.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use portway_testkit::gateway::Builder;
use portway_testkit::{Client, Gateway, TestCa, Visitor, eventually_async};

/// The workspace of [`Stage`].
pub(crate) const WORKSPACE: &str = "ws";

/// Who owns it.
pub(crate) const OWNER: &str = "alice";

/// Loopback may be dialled; everything else is the default.
const CONFIG: &str = "[workspaces]\nallow = [\"127.0.0.1\", \"::1\"]\n";

/// The binary under test.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("PORTWAY_BIN").map_or_else(|| env!("CARGO_BIN_EXE_portway").into(), PathBuf::from)
}

/// A gateway that is not started yet.
pub(crate) fn builder() -> Builder {
    Gateway::builder(binary())
}

/// A gateway of `hub.test` with a TLS listener and `more` in its configuration; its certificate, `hub.crt` and `hub.key` in its
/// folder, is of this authority.
pub(crate) fn over_tls(ca: &TestCa, more: &str) -> Builder {
    let config = format!(
        "domain = \"hub.test\"\n{more}{CONFIG}[tls]\nlisten = [\"127.0.0.1:0\"]\n\
         [[tls.certificates]]\ncert = \"hub.crt\"\nkey = \"hub.key\"\n"
    );
    let builder = builder().config(&config).env("PORTWAY_LIMITS_DRAIN", "500ms");
    drop(ca.leaf(&["*.hub.test", "hub.test"]).write(builder.dir(), "hub"));
    builder
}

/// A stage under construction.
pub(crate) struct Plan {
    builder: Builder,
    config: String,
    private: Vec<u16>,
    public: Vec<u16>,
}

/// A running gateway and the keys to its doors.
pub(crate) struct Stage {
    pub(crate) gateway: Gateway,
    tokens: BTreeMap<u16, String>,
}

/// One port of the workspace as a visitor reaches it.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    /// The gateway's plain listener.
    pub(crate) address: SocketAddr,
    /// The `Host` value.
    pub(crate) host: String,
    /// The field line that opens it, with CRLF; empty for a public port.
    pub(crate) auth: String,
    /// The dev server's port.
    pub(crate) port: u16,
}

/// Begins a stage.
pub(crate) fn plan() -> Plan {
    // A test that keeps something open until the end need not be waited for.
    let builder = builder().env("PORTWAY_LIMITS_DRAIN", "500ms");
    Plan { builder, config: CONFIG.to_owned(), private: Vec::new(), public: Vec::new() }
}

/// A stage with one private port.
pub(crate) fn private(port: u16) -> (Stage, Door) {
    let stage = plan().private(port).start();
    let door = stage.door(port);
    (stage, door)
}

impl Plan {
    /// A port that a token opens.
    pub(crate) fn private(mut self, port: u16) -> Self {
        self.private.push(port);
        self
    }

    /// A port that everybody opens.
    pub(crate) fn public(mut self, port: u16) -> Self {
        self.public.push(port);
        self
    }

    /// More lines of the configuration file. Tables must be new ones.
    pub(crate) fn config(mut self, toml: &str) -> Self {
        // Keys of no table come first.
        self.config =
            if toml.starts_with('[') { format!("{}{toml}", self.config) } else { format!("{toml}{}", self.config) };
        self
    }

    /// Changes how the gateway is started.
    pub(crate) fn with(mut self, change: impl FnOnce(Builder) -> Builder) -> Self {
        self.builder = change(self.builder);
        self
    }

    /// Adds user, workspace, tokens and shares, then starts the gateway.
    pub(crate) fn start(self) -> Stage {
        let builder = self.builder.config(&self.config);
        let data = builder.dir().join("data");
        let config = builder.dir().join("portway.toml");
        let run = |arguments: &[&str]| {
            let mut command = Command::new(binary());
            command.args(arguments).arg("--data").arg(&data).arg("--config").arg(&config).stdin(Stdio::null());
            let output = command.output().expect("run the binary");
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "portway {arguments:?}: {}\n{errors}", output.status);
            String::from_utf8(output.stdout).expect("UTF-8 output").trim().to_owned()
        };
        run(&["user", "add", OWNER]);
        run(&["workspace", "add", WORKSPACE, "--address", "localhost", "--owner", OWNER]);
        let mut tokens = BTreeMap::new();
        for port in &self.private {
            tokens.insert(*port, run(&token_arguments(&port.to_string())));
        }
        for port in &self.public {
            run(&["share", "set", WORKSPACE, &port.to_string(), "public"]);
        }
        Stage { gateway: builder.start(), tokens }
    }
}

fn token_arguments(port: &str) -> [&str; 8] {
    ["token", "create", "--user", OWNER, "--workspace", WORKSPACE, "--port", port]
}

impl Stage {
    /// The way to a port, with its token where it has one.
    pub(crate) fn door(&self, port: u16) -> Door {
        let address = self.gateway.plain();
        let auth = self.tokens.get(&port).map_or_else(String::new, |token| format!("X-Portway-Token: {token}\r\n"));
        Door { address, host: self.host(&port.to_string()), auth, port }
    }

    /// The `Host` value of a port form (`3000`, `8443s`).
    pub(crate) fn host(&self, port: &str) -> String {
        format!("{port}-{WORKSPACE}.portway.localhost:{}", self.gateway.plain().port())
    }

    /// Logs a user in by a fresh link.
    pub(crate) async fn log_in(&self, user: &str) -> Visitor {
        let link = self.gateway.run(&["user", "link", user]);
        let mut visitor = Visitor::new(self.gateway.plain());
        visitor.log_in(link.trim()).await;
        visitor
    }

    /// A door that the owner's session opens, instead of a token.
    pub(crate) async fn door_by_session(&self, port: u16) -> Door {
        let door = Door { auth: String::new(), ..self.door(port) };
        let cookie = self.log_in(OWNER).await.session_for(&format!("{}/", door.origin())).await;
        Door { auth: format!("Cookie: {cookie}\r\nOrigin: {}\r\n", door.origin()), ..door }
    }

    /// Makes a token while the gateway runs, and waits until it opens the port. The waiting asks the dev server.
    pub(crate) async fn late_token(&self, port: u16) -> Door {
        let token = self.gateway.run(&token_arguments(&port.to_string()));
        let door = Door { auth: format!("X-Portway-Token: {}\r\n", token.trim()), ..self.door(port) };
        eventually_async("the token to work", async || door.get("/").await != 401).await;
        door
    }
}

impl Door {
    /// A fresh connection.
    pub(crate) async fn connect(&self) -> Client {
        Client::connect(self.address).await
    }

    /// A whole request head: `line` is method and target, `fields` are field lines with CRLF.
    pub(crate) fn head(&self, line: &str, fields: &str) -> String {
        format!("{line} HTTP/1.1\r\nHost: {}\r\n{}{fields}\r\n", self.host, self.auth)
    }

    /// The status of a GET on a connection of its own; 0 if it was cut, as a request is whose permission ends under way.
    pub(crate) async fn get(&self, path: &str) -> u16 {
        let mut client = self.connect().await;
        client.send(self.head(&format!("GET {path}"), "")).await;
        client.response("GET").await.map_or(0, |answer| answer.status())
    }

    /// What a browser calls this door.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.host)
    }
}
