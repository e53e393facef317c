//! The gateway as a process: started on fresh ports, read through its JSON log, always ended.
//!
//! It knows the binary's command line, its `listening` and `ready` events and its exit code, and
//! nothing of what it serves. One process group per gateway, so that nothing outlives a test.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;

use crate::{TempDir, eventually};

/// How a gateway is to be started; see [`Gateway::builder`].
#[derive(Clone, Debug)]
pub struct Builder {
    binary: PathBuf,
    dir: Arc<TempDir>,
    config: Option<PathBuf>,
    listen: Vec<String>,
    extra: Vec<String>,
    environment: Vec<(String, String)>,
    passed: Option<Arc<TcpListener>>,
}

/// A running gateway; killed and waited for when dropped.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    made: Builder,
    log: Arc<Mutex<Vec<Value>>>,
    errors: Arc<Mutex<String>>,
    /// The threads that read its output, until it ends.
    readers: Vec<JoinHandle<()>>,
}

impl Gateway {
    /// A gateway of this binary (usually `env!("CARGO_BIN_EXE_portway")`) with a data folder of its
    /// own, the plain listener on a fresh loopback port, and the operations listener likewise.
    #[must_use]
    pub fn builder(binary: impl AsRef<Path>) -> Builder {
        Builder {
            binary: binary.as_ref().to_owned(),
            dir: Arc::new(TempDir::new()),
            config: None,
            listen: vec!["--listen".into(), "127.0.0.1:0".into(), "--ops".into(), "127.0.0.1:0".into()],
            extra: Vec::new(),
            environment: Vec::new(),
            passed: None,
        }
    }

    /// The addresses of a listener (`plain`, `tls` or `ops`), in the order they were logged.
    #[must_use]
    pub fn addresses(&self, listener: &str) -> Vec<SocketAddr> {
        let log = self.log();
        let lines = log.iter().filter(|line| is_event(line, "listening") && line["listener"] == listener);
        lines.filter_map(|line| line["address"].as_str()?.parse().ok()).collect()
    }

    /// The first plain HTTP address.
    #[must_use]
    pub fn plain(&self) -> SocketAddr {
        self.addresses("plain").first().copied().expect("a plain listener")
    }

    /// The first TLS address.
    #[must_use]
    pub fn tls(&self) -> SocketAddr {
        self.addresses("tls").first().copied().expect("a TLS listener")
    }

    /// The first operations address.
    #[must_use]
    pub fn ops(&self) -> SocketAddr {
        self.addresses("ops").first().copied().expect("an operations listener")
    }

    /// Sends a signal, by its name without SIG.
    pub fn signal(&self, name: &str) {
        signal(name, &self.pid().to_string());
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The folder that holds the data folder and every file of the builder.
    #[must_use]
    pub fn dir(&self) -> &TempDir {
        &self.made.dir
    }

    /// How this one was started, for another on the same data folder.
    #[must_use]
    pub fn again(&self) -> Builder {
        self.made.clone()
    }

    /// Every JSON line of standard output so far.
    #[must_use]
    pub fn log(&self) -> Vec<Value> {
        self.log.lock().expect("log").clone()
    }

    /// Standard error so far.
    #[must_use]
    pub fn errors(&self) -> String {
        self.errors.lock().expect("errors").clone()
    }

    /// Waits for a log line that `wanted` accepts, and gives the first.
    pub fn wait_for_log(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut found = None;
        eventually(what, || {
            found = self.log().into_iter().find(|line| wanted(line));
            found.is_some()
        });
        found.expect("just found")
    }

    /// Runs a command of the same binary on the same data, and gives its standard output.
    ///
    /// # Panics
    /// When the command fails.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> String {
        let output = self.try_run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        let shown: Vec<_> = arguments.iter().map(AsRef::as_ref).collect();
        assert!(output.status.success(), "portway {shown:?}: {}\n{errors}", output.status);
        String::from_utf8(output.stdout).expect("UTF-8 output")
    }

    /// [`Gateway::run`] for a command that may fail.
    pub fn try_run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Output {
        let mut command = command_of(&self.made.binary);
        command.args(arguments).arg("--data").arg(self.made.dir.join("data"));
        if let Some(config) = &self.made.config {
            command.arg("--config").arg(config);
        }
        command.stdin(Stdio::null()).output().expect("run the binary")
    }

    /// Makes a user and gives the one-time login link that is printed.
    #[must_use]
    pub fn add_user(&self, name: &str) -> String {
        let output = self.run(&["user", "add", name]);
        let link = output.split_whitespace().find(|word| word.starts_with("http"));
        link.unwrap_or_else(|| panic!("no login link in: {output}")).to_owned()
    }

    /// Peak resident memory so far, in bytes (`VmHWM`).
    #[must_use]
    pub fn peak_memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(path).expect("the process's status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
        kibibytes * 1024
    }

    /// Asks it to stop (SIGTERM) and waits for its end.
    ///
    /// Open tunnels are drained first, for as long as the gateway's settings say: a test that waits for a quick
    /// end closes its own beforehand.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn terminate(&mut self) -> ExitStatus {
        signal("TERM", &self.pid().to_string());
        let mut status = None;
        eventually("the gateway to stop after SIGTERM", || {
            status = self.child.try_wait().expect("wait for the gateway");
            status.is_some()
        });
        status.expect("just ended")
    }

    /// Stops it as an operator would and checks that it says it went well.
    ///
    /// # Panics
    /// When its exit code is not 0.
    pub fn stop(mut self) {
        let status = self.terminate();
        assert!(status.success(), "{status}\n{}", self.errors());
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            signal("KILL", &format!("-{}", self.pid()));
            // And without the shell, so that the wait below always ends.
            drop(self.child.kill());
            drop(self.child.wait());
        }
        if std::thread::panicking() {
            let tail = self.log().into_iter().rev().take(20).map(|line| line.to_string());
            let tail: Vec<_> = tail.collect();
            let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
            // The test harness shows standard error of a failed test only.
            #[expect(clippy::print_stderr, reason = "what the gateway said explains the failure")]
            {
                eprintln!("--- gateway log\n{tail}\n--- gateway errors\n{}", self.errors());
            }
        }
    }
}

impl Builder {
    /// Uses this configuration file; `{dir}` in it stands for the gateway's folder.
    #[must_use]
    pub fn config(mut self, toml: &str) -> Self {
        let toml = toml.replace("{dir}", &self.dir.path().display().to_string());
        self.config = Some(self.dir.write("portway.toml", toml));
        self
    }

    /// Leaves all listeners to the configuration file.
    #[must_use]
    pub fn listeners_from_config(mut self) -> Self {
        self.listen.clear();
        self
    }

    /// Adds an argument to `serve`.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.extra.push(argument.into());
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Passes a listener as systemd does (sd_listen_fds(3)).
    #[must_use]
    pub fn passed(mut self, listener: Arc<TcpListener>) -> Self {
        self.passed = Some(listener);
        self
    }

    /// Writes a file into the gateway's folder, before it starts.
    #[must_use]
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        drop(self.dir.write(name, content));
        self
    }

    /// The gateway's folder, for files that others write.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts it and waits until it says `ready`.
    ///
    /// # Panics
    /// When it ends before that, with what it printed.
    #[must_use]
    pub fn start(self) -> Gateway {
        let mut gateway = self.spawn();
        eventually("the gateway to be ready", || {
            let ended = gateway.child.try_wait().expect("wait for the gateway");
            assert!(ended.is_none(), "ended before it was ready: {ended:?}\n{}", gateway.errors());
            gateway.log.lock().expect("log").iter().any(|line| is_event(line, "ready"))
        });
        gateway
    }

    /// Starts it and waits for its end: for configurations that must be refused.
    ///
    /// Gives the exit status and standard error.
    #[must_use]
    pub fn start_refused(self) -> (ExitStatus, String) {
        let mut gateway = self.spawn();
        let mut status = None;
        eventually("the gateway to refuse to start", || {
            status = gateway.child.try_wait().expect("wait for the gateway");
            status.is_some()
        });
        for reader in gateway.readers.drain(..) {
            reader.join().expect("read all it printed");
        }
        (status.expect("just ended"), gateway.errors())
    }

    fn spawn(self) -> Gateway {
        let mut command = match &self.passed {
            None => command_of(&self.binary),
            Some(listener) => activated(&self.binary, listener),
        };
        command.arg("serve").arg("--data").arg(self.dir.join("data"));
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        command.args(&self.listen).args(&self.extra).envs(self.environment.clone());
        if self.passed.is_none() {
            command.stdin(Stdio::null());
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.process_group(0).spawn().expect("start the gateway");
        let (log, errors) = (Arc::default(), Arc::default());
        let readers = vec![
            follow_log(child.stdout.take().expect("standard output"), Arc::clone(&log)),
            follow_errors(child.stderr.take().expect("standard error"), Arc::clone(&errors)),
        ];
        Gateway { child, made: self, log, errors, readers }
    }
}

/// The binary, without settings of the gateway's that happen to be in the environment.
fn command_of(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PORTWAY_") {
            command.env_remove(name);
        }
    }
    command
}

/// The binary with a listener as its third descriptor. A shell puts it there: this workspace has no unsafe code to do so.
fn activated(binary: &Path, listener: &TcpListener) -> Command {
    let mut command = command_of(Path::new("sh"));
    let script = "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\"";
    command.args(["-c", script, "sh"]).arg(binary);
    command.stdin(OwnedFd::from(listener.try_clone().expect("another handle on a listener")));
    command
}

fn is_event(line: &Value, event: &str) -> bool {
    line["event"] == event
}

fn follow_log(output: impl Read + Send + 'static, log: Arc<Mutex<Vec<Value>>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
            log.lock().expect("log").push(value);
        }
    })
}

fn follow_errors(output: impl Read + Send + 'static, errors: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let mut errors = errors.lock().expect("errors");
            errors.push_str(&line);
            errors.push('\n');
        }
    })
}

/// Sends a signal by the shell's own `kill`: this workspace has no unsafe code to call it with.
fn signal(name: &str, target: &str) {
    let command = format!("kill -s {name} -- {target}");
    drop(Command::new("sh").args(["-c", &command]).stderr(Stdio::null()).status());
}
