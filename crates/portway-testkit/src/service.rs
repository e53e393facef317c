//! A server of somebody else's as a child process: found, started on a fresh port, paused, killed, always ended.
//!
//! It knows no protocol. PostgreSQL and Redis are in files of their own.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};

use crate::eventually;

/// A port of 127.0.0.1 that was free a moment ago.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// Whether something accepts connections on a port of 127.0.0.1.
#[must_use]
pub fn is_listening(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// The first of these programs that is there.
///
/// # Panics
/// When none is: `scripts/test install` brings them.
#[must_use]
pub fn program(candidates: &[PathBuf]) -> PathBuf {
    let found = candidates.iter().find(|path| path.exists());
    found.cloned().unwrap_or_else(|| panic!("none of {candidates:?}: run `scripts/test install`"))
}

/// A child process and those it started.
#[derive(Debug)]
pub struct Service {
    child: Child,
}

impl Service {
    /// Starts it.
    pub fn spawn(command: &mut Command) -> Self {
        Self { child: command.spawn().unwrap_or_else(|error| panic!("start {command:?}: {error}")) }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("wait for a service")
    }

    /// Stops it and its children in their tracks (SIGSTOP): connections stay open and nobody answers.
    pub fn pause(&self) {
        self.signal_all("STOP");
    }

    /// Lets them go on (SIGCONT).
    pub fn resume(&self) {
        self.signal_all("CONT");
    }

    /// Sends a signal and waits for the end.
    pub fn end(&mut self, signal: &str) {
        if self.ended().is_some() {
            return;
        }
        self.resume();
        kill(signal, &[self.pid()]);
        eventually("a service to end", || self.ended().is_some());
    }

    fn signal_all(&self, signal: &str) {
        let pid = self.pid();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let mut all = vec![pid];
        all.extend(children.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
        kill(signal, &all);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
            return;
        }
        self.resume();
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn kill(signal: &str, pids: &[u32]) {
    let pids = pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    drop(Command::new("sh").args(["-c", &format!("kill -s {signal} -- {pids} 2>/dev/null")]).status());
}

/// `/usr/lib/postgresql/15/bin/initdb` and its like, newest first.
pub(crate) fn versions(folder: &str, below: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(Path::new(folder))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join(below))
        .collect();
    found.sort();
    found.reverse();
    found
}
