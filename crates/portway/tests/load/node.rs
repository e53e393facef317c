//! A dev server in Node, as a child process that cannot outlive its test.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A running script. It ends with its standard input, so also when this process is killed.
pub(crate) struct Node {
    child: Child,
    /// Held, because a script that writes to a closed pipe dies.
    _output: BufReader<ChildStdout>,
    port: u16,
}

impl Node {
    /// Runs a script of this folder, which prints the port it listens on.
    pub(crate) fn start(script: &str, arguments: &[&str]) -> Self {
        let path = format!("{}/tests/load/{script}", env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new("node");
        command.arg(path).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("node");
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let mut line = String::new();
        output.read_line(&mut line).expect("its first line");
        let port = line.trim().parse().unwrap_or_else(|_| panic!("{script} printed {line:?}, not its port"));
        Self { child, _output: output, port }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Ends it as the kernel ends a process without memory (SIGKILL).
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("kill the dev server");
        self.child.wait().expect("its end");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
