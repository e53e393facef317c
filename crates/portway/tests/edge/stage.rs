//! A gateway whose users, workspaces and tokens are made before it starts, so that no test waits for a change to be
//! noticed. It knows the command line and how a request is spelled, and no rule of the gateway's.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use portway_testkit::gateway::Builder;
use portway_testkit::{Client, Gateway, Message};

/// Who owns every workspace.
pub(crate) const OWNER: &str = "alice";

/// The binary under test.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("PORTWAY_BIN").map_or_else(|| env!("CARGO_BIN_EXE_portway").into(), PathBuf::from)
}

/// A gateway that is not started yet, with its owner.
pub(crate) struct Plan {
    builder: Builder,
}

/// Begins with this configuration file, and `files` beside it.
pub(crate) fn plan(config: &str, files: &[(&str, &str)]) -> Plan {
    let mut builder = Gateway::builder(binary()).config(config);
    for (name, content) in files {
        builder = builder.file(name, content);
    }
    let plan = Plan { builder };
    plan.run(&["user", "add", OWNER]);
    plan
}

impl Plan {
    /// Runs a command on the data folder.
    pub(crate) fn try_run(&self, arguments: &[&str]) -> Output {
        let dir = self.builder.dir();
        let mut command = Command::new(binary());
        command.args(arguments).arg("--data").arg(dir.join("data")).stdin(Stdio::null());
        command.arg("--config").arg(dir.join("portway.toml"));
        command.output().expect("run the binary")
    }

    /// [`Plan::try_run`] for a command that succeeds; gives its standard output.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.try_run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "portway {arguments:?}: {}\n{errors}", output.status);
        String::from_utf8(output.stdout).expect("UTF-8 output").trim().to_owned()
    }

    /// Adds a workspace of the owner's.
    pub(crate) fn workspace(&self, id: &str, address: &str) {
        self.run(&["workspace", "add", id, &format!("--address={address}"), "--owner", OWNER]);
    }

    /// Makes a token of the owner's.
    pub(crate) fn token(&self, workspace: &str, port: u16) -> String {
        self.run(&["token", "create", "--user", OWNER, "--workspace", workspace, "--port", &port.to_string()])
    }

    /// Starts the gateway.
    pub(crate) fn start(self) -> Gateway {
        self.builder.start()
    }
}

/// A GET with a token; an empty token sends none.
pub(crate) fn request(host: &str, path: &str, token: &str) -> String {
    let token = if token.is_empty() { String::new() } else { format!("X-Portway-Token: {token}\r\n") };
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{token}\r\n")
}

/// [`request`] on a fresh connection to the plain listener, for a name under the embedded domain.
pub(crate) async fn visit(gateway: &Gateway, label: &str, token: &str) -> Message {
    let address = gateway.plain();
    let host = format!("{label}.portway.localhost:{}", address.port());
    Client::connect(address).await.round_trip("GET", request(&host, "/", token)).await
}

/// Status and `Portway-Reason` of an answer.
pub(crate) fn verdict(answer: &Message) -> (u16, String) {
    (answer.status(), answer.field("portway-reason").unwrap_or_default())
}
