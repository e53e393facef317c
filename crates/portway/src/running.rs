//! What a running gateway tells the command line: a lock that says it runs, and a file with the names it answers to.
//!
//! Both are in the data folder. It knows no socket and no database.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use portway_core::host::{ControlHost, Domain, Names, Scheme, origin};
use serde::{Deserialize, Serialize};

const LOCK: &str = "gateway.lock";
const FACTS: &str = "gateway.json";
/// A command holds the lock for an instant while it looks whether a gateway does; a start waits that long.
const LOOKS: u32 = 20;
const LOOK: Duration = Duration::from_millis(25);

/// The facts of a running gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Running {
    pub(crate) pid: u32,
    /// `http://portway.localhost:8080`.
    pub(crate) control_origin: String,
    /// The operations listener.
    pub(crate) ops: SocketAddr,
    pub(crate) plain: Vec<SocketAddr>,
    pub(crate) tls: Vec<SocketAddr>,
    domains: Vec<DomainFacts>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct DomainFacts {
    name: String,
    pattern: String,
    public: String,
    default_port: u16,
}

impl Running {
    /// The facts of this process.
    pub(crate) fn new(names: &Names, ops: SocketAddr, plain: Vec<SocketAddr>, tls: Vec<SocketAddr>) -> Self {
        let facts = |domain: &Domain| DomainFacts {
            name: domain.name.clone(),
            pattern: domain.pattern.to_string(),
            public: origin(domain.scheme, &domain.name, domain.port),
            default_port: domain.default_port,
        };
        Self {
            pid: std::process::id(),
            control_origin: names.control.origin(),
            ops,
            plain,
            tls,
            domains: names.domains.iter().map(facts).collect(),
        }
    }

    /// The facts of the gateway that runs on this data folder now, if one does and has bound its listeners.
    pub(crate) fn find(data: &Path) -> Option<Self> {
        let facts = std::fs::read(data.join(FACTS)).ok()?;
        let lock = File::open(data.join(LOCK)).ok()?;
        match lock.try_lock_shared() {
            Err(TryLockError::WouldBlock) => serde_json::from_slice(&facts).ok(),
            // What a gateway left behind that did not end by itself.
            Ok(()) | Err(TryLockError::Error(_)) => None,
        }
    }

    /// The names it answers to; `None` where another version wrote them in another way.
    pub(crate) fn names(&self) -> Option<Names> {
        let domain = |facts: &DomainFacts| {
            let (scheme, _, port) = read_origin(&facts.public)?;
            let pattern = facts.pattern.parse().ok()?;
            Some(Domain { name: facts.name.clone(), pattern, scheme, port, default_port: facts.default_port })
        };
        let domains = self.domains.iter().map(domain).collect::<Option<Vec<_>>>()?;
        let (scheme, host, port) = read_origin(&self.control_origin)?;
        Some(Names { domains, control: ControlHost { host, scheme, port } })
    }
}

fn read_origin(text: &str) -> Option<(Scheme, String, u16)> {
    let (scheme, rest) = text.split_once("://")?;
    let scheme: Scheme = scheme.parse().ok()?;
    match rest.split_once(':') {
        Some((host, port)) => Some((scheme, host.to_owned(), port.parse().ok()?)),
        None => Some((scheme, rest.to_owned(), scheme.default_port())),
    }
}

/// The right to run a gateway on a data folder; given back when dropped, and by the system when the process ends.
#[derive(Debug)]
pub(crate) struct Claim {
    folder: PathBuf,
    /// Locked while it is open, by this process or by one that it was handed to.
    lock: File,
    /// Another gateway has it now, and its facts stand there.
    handed_on: bool,
}

impl Claim {
    /// Makes the folder, readable by its owner alone, and locks it.
    ///
    /// # Errors
    /// A sentence: another gateway runs on it, or the folder cannot be used.
    pub(crate) fn take(data: &Path) -> Result<Self, String> {
        let unusable = |error: io::Error| format!("cannot use the data folder {}: {error}", data.display());
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(unusable)?;
        let path = data.join(LOCK);
        let open = || OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut lock = open().map_err(unusable)?;
        for look in 0.. {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if look < LOOKS => std::thread::sleep(LOOK),
                Err(TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    drop(lock.read_to_string(&mut holder));
                    let holder = holder.trim();
                    let holder = if holder.is_empty() { String::new() } else { format!(" (process {holder})") };
                    return Err(format!("another gateway{holder} runs on the data folder {}", data.display()));
                }
                Err(TryLockError::Error(error)) => return Err(unusable(error)),
            }
        }
        Self::inherit(data, lock)
    }

    /// Takes over a lock that another gateway has handed on.
    ///
    /// # Errors
    /// A sentence: the folder cannot be used.
    pub(crate) fn inherit(data: &Path, mut lock: File) -> Result<Self, String> {
        let mut write = || {
            lock.set_len(0)?;
            lock.rewind()?;
            write!(lock, "{}", std::process::id())
        };
        write().map_err(|error| format!("cannot use the data folder {}: {error}", data.display()))?;
        Ok(Self { folder: data.to_owned(), lock, handed_on: false })
    }

    /// Another handle on the lock, to be handed on.
    ///
    /// # Errors
    /// Where there are no descriptors left.
    pub(crate) fn lock(&self) -> io::Result<File> {
        self.lock.try_clone()
    }

    /// Leaves the folder to the gateway that the lock was handed to.
    pub(crate) fn hand_on(mut self) {
        self.handed_on = true;
    }

    /// Tells commands where the gateway is.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn announce(&self, running: &Running) -> io::Result<()> {
        let fresh = self.folder.join(format!("{FACTS}.new"));
        std::fs::write(&fresh, serde_json::to_vec_pretty(running)?)?;
        std::fs::rename(fresh, self.folder.join(FACTS))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.handed_on {
            return;
        }
        // Without the lock nobody believes the file; removing it is tidiness.
        drop(std::fs::remove_file(self.folder.join(FACTS)));
    }
}

#[cfg(test)]
mod tests {
    use portway_core::host::PortForm;
    use portway_testkit::TempDir;

    use super::*;
    use crate::config::{Flags, Settings};

    fn facts(plain: u16) -> (Names, Running) {
        let names = Settings::load(&Flags::default(), []).unwrap().names(Some(plain), None);
        let running = Running::new(&names, "127.0.0.1:9".parse().unwrap(), Vec::new(), Vec::new());
        (names, running)
    }

    #[test]
    fn a_command_finds_the_names_of_the_gateway_that_runs() {
        let dir = TempDir::new();
        let data = dir.join("data");
        let (names, running) = facts(41234);
        let claim = Claim::take(&data).unwrap();
        assert_eq!(Running::find(&data), None, "nothing is announced yet");
        claim.announce(&running).unwrap();
        let found = Running::find(&data).unwrap();
        assert_eq!(found, running);
        assert_eq!(found.control_origin, "http://portway.localhost:41234");
        assert_eq!(found.names().unwrap(), names);
        let url = found.names().unwrap().url(0, "local", PortForm::Number { port: 3000, tls: false });
        assert_eq!(url.unwrap(), "http://3000-local.portway.localhost:41234/");
        drop(claim);
        assert_eq!(Running::find(&data), None);
        assert!(!data.join(FACTS).exists());
    }

    #[test]
    fn what_a_killed_gateway_left_behind_is_not_believed() {
        let dir = TempDir::new();
        let claim = Claim::take(dir.path()).unwrap();
        claim.announce(&facts(1).1).unwrap();
        let stale = std::fs::read(dir.join(FACTS)).unwrap();
        drop(claim);
        dir.write(FACTS, stale);
        assert_eq!(Running::find(dir.path()), None);
    }

    #[test]
    fn a_second_gateway_on_the_same_data_is_refused_and_told_by_whom() {
        let dir = TempDir::new();
        let claim = Claim::take(dir.path()).unwrap();
        let refused = Claim::take(dir.path()).unwrap_err();
        assert!(refused.contains(&format!("another gateway (process {})", std::process::id())), "{refused}");
        drop(claim);
        Claim::take(dir.path()).unwrap();
    }

    #[test]
    fn the_folder_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = TempDir::new();
        let data = dir.join("a/b");
        drop(Claim::take(&data).unwrap());
        assert_eq!(std::fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
