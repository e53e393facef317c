//! A real PostgreSQL of a test's own: fresh data folder, fresh port, gone when dropped. With code-hub's tables on request.

use std::os::unix::fs::DirBuilderExt as _;
use std::process::{Command, Stdio};

use crate::service::{Service, free_port, program, versions};
use crate::{TempDir, eventually};

/// The control plane's tables and trigger, as its migrations make them, without the columns that nobody reads.
const CODEHUB: &str = include_str!("codehub.sql");

/// A running server with the database `codehub`.
#[derive(Debug)]
pub struct Postgres {
    service: Option<Service>,
    dir: TempDir,
    port: u16,
    connections: u16,
}

impl Postgres {
    /// Makes a cluster and starts it.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start.
    #[must_use]
    pub fn start() -> Self {
        let dir = data_folder();
        let data = dir.join("pg");
        let initdb = command("initdb")
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .status();
        assert!(initdb.expect("run initdb").success(), "initdb");
        let mut postgres = Self { service: None, dir, port: 0, connections: 40 };
        postgres.launch();
        postgres.run_in("postgres", "CREATE DATABASE codehub");
        postgres
    }

    /// [`Postgres::start`] with code-hub's tables and trigger.
    #[must_use]
    pub fn codehub() -> Self {
        let postgres = Self::start();
        postgres.sql(CODEHUB);
        postgres
    }

    /// Another server that follows this one and can be read from.
    ///
    /// # Panics
    /// When it cannot be copied or does not start.
    #[must_use]
    pub fn standby(&self) -> Self {
        let dir = data_folder();
        let copied = command("pg_basebackup")
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
                "-U",
                "postgres",
                "-X",
                "stream",
                "-c",
                "fast",
                "-R",
                "-D",
            ])
            .arg(dir.join("pg"))
            .status();
        assert!(copied.expect("run pg_basebackup").success(), "pg_basebackup");
        let mut standby = Self { service: None, dir, port: 0, connections: self.connections };
        standby.launch();
        standby
    }

    /// Waits until a standby has all that this server has now.
    pub fn is_followed_by(&self, standby: &Self) {
        let here = self.sql("SELECT pg_current_wal_lsn()");
        let there = format!("SELECT pg_last_wal_replay_lsn() >= '{here}'");
        eventually("the standby to follow", || standby.sql(&there) == "t");
    }

    /// Makes a standby the server that is written to.
    pub fn promote(&self) {
        assert_eq!(self.sql("SELECT pg_promote()"), "t", "it was not promoted");
    }

    /// How the superuser connects to the database `codehub`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// How a role connects; nobody needs a password.
    #[must_use]
    pub fn url_of(&self, role: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/codehub", self.port)
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs SQL as the superuser; gives unaligned rows, values parted by `|`.
    ///
    /// # Panics
    /// When a statement fails.
    pub fn sql(&self, sql: &str) -> String {
        self.run_in("codehub", sql)
    }

    fn run_in(&self, database: &str, sql: &str) -> String {
        let output = Command::new("psql")
            .args(["-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres"])
            .args(["-p", &self.port.to_string(), "-d", database, "-c", sql])
            .stdin(Stdio::null())
            .output()
            .expect("run psql");
        assert!(output.status.success(), "{sql}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8").trim_end().to_owned()
    }

    /// The running process.
    ///
    /// # Panics
    /// When it was stopped.
    #[must_use]
    pub fn service(&self) -> &Service {
        self.service.as_ref().expect("a running server")
    }

    /// How many may connect, from its next start on.
    pub fn limit_connections(&mut self, connections: u16) {
        self.connections = connections;
    }

    /// Ends it at once and without manners (SIGQUIT); connections break.
    pub fn kill(&mut self) {
        if let Some(mut service) = self.service.take() {
            service.end("QUIT");
        }
    }

    /// Starts it again on the same port, after [`Postgres::kill`].
    pub fn start_again(&mut self) {
        assert!(self.service.is_none(), "it runs");
        eventually("PostgreSQL to start again", || self.try_launch());
    }

    fn launch(&mut self) {
        // Another process may take the port between the look and the start.
        eventually("PostgreSQL to start", || {
            self.port = free_port();
            self.try_launch()
        });
    }

    fn try_launch(&mut self) -> bool {
        let log = std::fs::File::create(self.dir.join("postgres.log")).expect("a log");
        let mut server = command("postgres");
        server.arg("-D").arg(self.dir.join("pg")).args(["-k", "", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
        for setting in [
            "fsync=off",
            "shared_buffers=16MB",
            &format!("max_connections={}", self.connections),
            "log_min_messages=warning",
            "shared_preload_libraries=pg_stat_statements",
        ] {
            server.args(["-c", setting]);
        }
        let mut service = Service::spawn(server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log));
        let port = self.port.to_string();
        let mut ready = false;
        eventually("PostgreSQL to answer or to end", || {
            let asked = command("pg_isready").args(["-q", "-h", "127.0.0.1", "-p", &port]).status();
            ready = asked.is_ok_and(|status| status.success());
            ready || service.ended().is_some()
        });
        // Somebody else's server may be what answers.
        let ours = ready && service.ended().is_none();
        if ours {
            self.service = Some(service);
        }
        ours
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Its own way of ending at once takes its children along; a kill would leave them for a moment.
        self.kill();
    }
}

/// A folder with a folder that belongs to the server's user.
fn data_folder() -> TempDir {
    let dir = TempDir::new();
    let data = dir.join("pg");
    std::fs::DirBuilder::new().mode(0o700).create(&data).expect("a data folder");
    if is_root() {
        let chown = Command::new("chown").arg("postgres").arg(&data).status().expect("chown");
        assert!(chown.success(), "chown to postgres");
    }
    dir
}

/// A program of the newest PostgreSQL here. It does not run as root.
fn command(name: &str) -> Command {
    let mut candidates = versions("/usr/lib/postgresql", &format!("bin/{name}"));
    candidates.push(format!("/usr/bin/{name}").into());
    let path = program(&candidates);
    if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(path);
        return command;
    }
    Command::new(path)
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_starts_answers_and_comes_back_with_its_rows() {
        let mut postgres = Postgres::codehub();
        postgres.sql("INSERT INTO users (id, username, password_hash) VALUES ('01A', 'alice', '')");
        postgres.kill();
        postgres.start_again();
        assert_eq!(postgres.sql("SELECT username FROM users"), "alice");
    }
}
