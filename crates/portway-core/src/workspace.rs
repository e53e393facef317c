//! What a workspace is: its record, the policy of its ports, and who it may be shared with.
//!
//! Records come from sources; this file only gives them a shape and says which texts are well formed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use crate::host::Scheme;

/// A user's id, compared byte for byte.
pub type UserId = Arc<str>;

/// The name of a group of users, compared byte for byte.
pub type Group = Arc<str>;

/// A workspace as its source describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// The id in lower case: unique ignoring case.
    pub key: Arc<str>,
    /// The id as its source spells it.
    pub id: Arc<str>,
    /// What people call it; `None` where the id is all there is.
    pub name: Option<Arc<str>>,
    pub owner: Option<UserId>,
    pub state: State,
    pub address: Address,
    /// Which life of the workspace this is. Connections never outlive it (R36).
    pub generation: Arc<str>,
    /// Whom its source shares it with; `None` for nobody, which is usual and costs little.
    pub grants: Option<Box<Grants>>,
    /// The source that owns the record: `sqlite`, `file`, `postgres`.
    pub source: Arc<str>,
}

/// Whether a workspace can be dialled, and if not, what would have to happen first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The only state in which anything is dialled.
    Running,
    /// On its way up.
    Starting,
    /// Down, and up again within seconds once it is woken.
    Standby,
    /// Put away: waking it takes minutes.
    Archived,
    /// On its way down.
    Stopping,
    /// It failed, and a person has to look.
    Error,
    /// Down, and nobody here can wake it.
    Stopped,
}

impl State {
    /// Whether it can be woken.
    pub fn sleeps(self) -> bool {
        matches!(self, Self::Standby | Self::Archived)
    }

    /// Whether it counts as one that runs.
    pub fn takes_room(self) -> bool {
        matches!(self, Self::Running | Self::Starting)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Starting => "starting",
            Self::Standby => "standby",
            Self::Archived => "archived",
            Self::Stopping => "stopping",
            Self::Error => "error",
            Self::Stopped => "stopped",
        }
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "running" => Ok(Self::Running),
            "starting" => Ok(Self::Starting),
            "standby" => Ok(Self::Standby),
            "archived" => Ok(Self::Archived),
            "stopping" => Ok(Self::Stopping),
            "error" => Ok(Self::Error),
            "stopped" => Ok(Self::Stopped),
            other => Err(format!(
                "`{other}` is not a state: use `running`, `starting`, `standby`, `archived`, `stopping`, `error` or `stopped`"
            )),
        }
    }
}

/// Where a workspace is, without a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// This machine: dialled on 127.0.0.1 and then ::1, because dev servers bind either.
    Loopback,
    Ip(IpAddr),
    /// A DNS name, resolved again within five seconds.
    Name(Arc<str>),
}

/// Why an address text was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an address: give an IP address in its usual spelling or a DNS name, without a port")]
pub struct AddressError {
    pub text: String,
}

impl FromStr for Address {
    type Err = AddressError;

    /// Accepts canonical IP literals and DNS names; refuses every other spelling of an address (`2130706433`, `0x7f.1`,
    /// `127.1`, zone ids), which resolvers would quietly turn into one (R34).
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let refuse = || AddressError { text: text.to_owned() };
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            if bare.len() != text.len() && ip.is_ipv4() {
                return Err(refuse());
            }
            return Ok(match ip {
                IpAddr::V4(Ipv4Addr::LOCALHOST) | IpAddr::V6(Ipv6Addr::LOCALHOST) => Self::Loopback,
                ip => Self::Ip(ip),
            });
        }
        if text.eq_ignore_ascii_case("localhost") {
            return Ok(Self::Loopback);
        }
        let label_ok = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // inet_aton reads names whose last label is a number as addresses.
        let numeric = |label: &str| {
            label.bytes().all(|b| b.is_ascii_digit()) || label.get(..2).is_some_and(|h| h.eq_ignore_ascii_case("0x"))
        };
        let mut labels = text.split('.');
        let last = labels.next_back().unwrap_or_default();
        if text.len() > 253 || !label_ok(last) || numeric(last) || !labels.all(label_ok) {
            return Err(refuse());
        }
        Ok(Self::Name(text.to_ascii_lowercase().into()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loopback => f.write_str("localhost"),
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Which names the dev server is told it is reached by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// `localhost:{port}`, over http: what dev servers trust.
    Localhost,
    /// The public host and scheme: what an IDE wants.
    Public,
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "localhost" => Ok(Self::Localhost),
            "public" => Ok(Self::Public),
            other => Err(format!("`{other}` is not a profile: use `localhost` or `public`")),
        }
    }
}

impl Profile {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Localhost => "localhost",
            Self::Public => "public",
        }
    }
}

/// Who answers for the CORS of a port (Fetch standard, 3.3) towards other ports of its workspace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cors {
    /// The gateway: any port of the workspace may call, with credentials.
    #[default]
    Gateway,
    /// The dev server: what it says passes.
    Passthrough,
}

impl FromStr for Cors {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "gateway" => Ok(Self::Gateway),
            "passthrough" => Ok(Self::Passthrough),
            other => Err(format!("`{other}` is not a way of CORS: use `gateway` or `passthrough`")),
        }
    }
}

impl Cors {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Passthrough => "passthrough",
        }
    }
}

impl FromStr for Scheme {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "http" => Ok(Self::Http),
            "https" => Ok(Self::Https),
            other => Err(format!("`{other}` is not a scheme: use `http` or `https`")),
        }
    }
}

/// Who besides the owner may open a port. The order is from closed to open, so that a ceiling is a `min`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The owner alone.
    #[default]
    Owner,
    /// The owner and the users named.
    Users,
    /// Everybody who can log in.
    Authenticated,
    /// Everybody.
    Public,
}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Users => "users",
            Self::Authenticated => "authenticated",
            Self::Public => "public",
        }
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "owner" => Ok(Self::Owner),
            "users" => Ok(Self::Users),
            "authenticated" => Ok(Self::Authenticated),
            "public" => Ok(Self::Public),
            other => Err(format!("`{other}` is not a share level: use `owner`, `users`, `authenticated` or `public`")),
        }
    }
}

/// Whom a workspace is shared with by its source, on every port that is not protected. What its owner shares comes on top.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    pub level: Level,
    pub users: BTreeSet<UserId>,
    /// Groups whose members may open it, as the control plane names them.
    pub groups: BTreeSet<Group>,
}

impl Grants {
    /// The level that this comes to: naming somebody is sharing with them.
    pub fn wanted(&self) -> Level {
        if self.users.is_empty() && self.groups.is_empty() { self.level } else { self.level.max(Level::Users) }
    }

    /// Whether it names somebody, or a group of theirs.
    pub fn names(&self, user: &User) -> bool {
        self.users.contains(&user.id) || !self.groups.is_disjoint(&user.groups)
    }
}

/// What is configured for one port of a workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortPolicy {
    pub level: Level,
    /// Users who may open the port whatever the level (bounded by the ceiling).
    pub users: BTreeSet<UserId>,
    pub profile: Option<Profile>,
    /// The scheme the dev server speaks; a trailing `s` in the name overrides it.
    pub scheme: Option<Scheme>,
    pub cors: Option<Cors>,
}

impl PortPolicy {
    /// The level that this comes to: naming somebody is sharing with them.
    pub fn wanted(&self) -> Level {
        if self.users.is_empty() { self.level } else { self.level.max(Level::Users) }
    }
}

/// Every configured port of one workspace.
pub type PortTable = BTreeMap<u16, PortPolicy>;

/// A person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    /// A suspended user is refused at once, whatever session they hold.
    pub suspended: bool,
    /// The groups that the control plane says they are in.
    pub groups: BTreeSet<Group>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_configuration_are_read_as_they_are_printed() {
        for (text, level) in [
            ("owner", Level::Owner),
            ("users", Level::Users),
            ("authenticated", Level::Authenticated),
            ("public", Level::Public),
        ] {
            assert_eq!((text.parse(), level.as_str()), (Ok(level), text));
        }
        for state in [
            State::Running,
            State::Starting,
            State::Standby,
            State::Archived,
            State::Stopping,
            State::Error,
            State::Stopped,
        ] {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        for (text, profile) in [("localhost", Profile::Localhost), ("public", Profile::Public)] {
            assert_eq!((text.parse(), profile.as_str()), (Ok(profile), text));
        }
        for (text, cors) in [("gateway", Cors::Gateway), ("passthrough", Cors::Passthrough)] {
            assert_eq!((text.parse(), cors.as_str()), (Ok(cors), text));
        }
        for (text, scheme) in [("http", Scheme::Http), ("https", Scheme::Https)] {
            assert_eq!((text.parse(), scheme.as_str()), (Ok(scheme), text));
        }
    }

    #[test]
    fn unknown_words_are_refused_with_the_known_ones() {
        for text in ["", "Owner", "PUBLIC", " public", "org", "everyone"] {
            let error = text.parse::<Level>().unwrap_err();
            assert!(error.contains(&format!("`{text}`")) && error.contains("`authenticated`"), "{error}");
            let error = text.parse::<Profile>().unwrap_err();
            assert!(error.contains(&format!("`{text}`")) && error.contains("`localhost`"), "{error}");
            let error = text.parse::<Scheme>().unwrap_err();
            assert!(error.contains(&format!("`{text}`")) && error.contains("`https`"), "{error}");
        }
    }

    #[test]
    fn naming_a_user_or_a_group_is_sharing_with_them() {
        let named = |users: &[&str], groups: &[&str], level| Grants {
            level,
            users: users.iter().map(|user| UserId::from(*user)).collect(),
            groups: groups.iter().map(|group| Group::from(*group)).collect(),
        };
        assert_eq!(named(&[], &[], Level::Owner).wanted(), Level::Owner);
        assert_eq!(named(&["ann"], &[], Level::Owner).wanted(), Level::Users);
        assert_eq!(named(&[], &["web"], Level::Owner).wanted(), Level::Users);
        assert_eq!(named(&[], &["web"], Level::Public).wanted(), Level::Public);
        let user = |id: &str, groups: &[&str]| User {
            id: id.into(),
            suspended: false,
            groups: groups.iter().map(|group| Group::from(*group)).collect(),
        };
        let grants = named(&["ann"], &["web", "ops"], Level::Owner);
        assert!(grants.names(&user("ann", &[])) && grants.names(&user("bob", &["dba", "ops"])));
        assert!(!grants.names(&user("bob", &["dba", "Web"])) && !grants.names(&user("web", &[])));
        assert!(!named(&[], &[], Level::Users).names(&user("ann", &["web"])));
    }

    #[test]
    fn what_nobody_configured_is_the_owners() {
        assert_eq!(PortPolicy::default().level, Level::Owner);
        assert!(PortPolicy::default().users.is_empty());
        let order = [Level::Owner, Level::Users, Level::Authenticated, Level::Public];
        assert!(order.is_sorted() && order[0] < order[1] && order[1] < order[2] && order[2] < order[3]);
    }
}
