//! The access decision: `decide(snapshot, rules, target, visitor, now)`, total, pure, default deny (R52).
//!
//! A yes is a [`Permit`], which nothing else can make; it carries the endpoint, so that what was not decided cannot be
//! dialled. Status codes, cookies and headers are not known here.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::Timestamp;
use crate::host::{Names, Scheme, Target};
use crate::snapshot::{Diff, HostSession, Snapshot, Token};
use crate::workspace::{Address, Cors, Grants, Level, PortPolicy, Profile, State, UserId, Workspace};

#[cfg(test)]
mod tests;

/// Ports whose usual server writes the name it is told into its pages, where no answer of it can be mapped back: Gradio.
const WANTS_PUBLIC: [u16; 1] = [7860];

/// The administrator's bounds. They are applied when a share is read, whatever a row says.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The most open level a share may have.
    pub ceiling: Level,
    /// Ports that only the owner opens, whatever is shared: an IDE gives a shell (R32).
    pub protected: BTreeSet<u16>,
    /// Ports that are never served.
    pub denied: BTreeSet<u16>,
}

impl Default for Rules {
    fn default() -> Self {
        Self { ceiling: Level::Public, protected: [8080].into(), denied: [22].into() }
    }
}

/// Who is asking.
#[derive(Clone, Debug)]
pub enum Visitor {
    Anonymous,
    /// Holds the session of some host. Ambient: the browser policy applies.
    Session(Arc<HostSession>),
    /// Sent a token with this very request.
    Token(Arc<Token>),
}

/// The answer.
#[derive(Debug)]
pub enum Decision {
    Permit(Permit),
    /// Known, and may, but the workspace is not running: it can be waited for, or woken.
    Wait(Waiting),
    /// Not known to be anybody: log in first. Given for every well-formed name, so that it tells nothing (R54).
    Challenge,
    /// Known, and may not; or there is nothing. The two look alike to the visitor.
    Deny(Reason),
}

/// Why not: for the log and the audit, never for the visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    PortDenied,
    NoWorkspace,
    /// Its source has been silent for too long.
    SourceStale,
    Stopped,
    NoGrant,
    Suspended,
    UnknownUser,
    TokenScope,
    Expired,
}

impl Reason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PortDenied => "port-denied",
            Self::NoWorkspace => "no-workspace",
            Self::SourceStale => "source-stale",
            Self::Stopped => "stopped",
            Self::NoGrant => "no-grant",
            Self::Suspended => "suspended",
            Self::UnknownUser => "unknown-user",
            Self::TokenScope => "token-scope",
            Self::Expired => "expired",
        }
    }
}

/// What a permit rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The port is public: nobody in particular.
    Public,
    Owner(UserId),
    Shared(UserId),
    Token(UserId),
    /// It is no workspace: the API server of the control host, which knows its visitors itself.
    Front,
}

impl Basis {
    /// The user it rests on; `None` on a public port.
    pub fn user(&self) -> Option<&UserId> {
        match self {
            Self::Public | Self::Front => None,
            Self::Owner(user) | Self::Shared(user) | Self::Token(user) => Some(user),
        }
    }
}

/// The API server in front of which the gateway stands on the control host. There is one, and only the settings name it.
#[derive(Clone, Debug)]
pub struct Front {
    server: Arc<Workspace>,
    port: u16,
}

impl Front {
    /// The server at this address.
    pub fn new(address: Address, port: u16) -> Self {
        // No id of a workspace is empty, so that nothing in a snapshot is meant by it.
        let none: Arc<str> = "".into();
        let server = Workspace {
            key: none.clone(),
            id: none.clone(),
            name: None,
            owner: None,
            state: State::Running,
            address,
            generation: none.clone(),
            grants: None,
            source: none,
        };
        Self { server: Arc::new(server), port }
    }

    /// The permit for a request to the control host.
    pub fn permit(&self, names: &Names) -> Permit {
        let target = Target {
            host: names.control.host.clone(),
            workspace: String::new(),
            port: self.port,
            tls: false,
            domain: usize::MAX,
        };
        Permit {
            workspace: self.server.clone(),
            port: self.port,
            scheme: Scheme::Http,
            profile: Profile::Public,
            unsettled: false,
            cors: Cors::Passthrough,
            basis: Basis::Front,
            visitor: Visitor::Anonymous,
            target,
        }
    }
}

/// Who may open a port of a workspace that is not running, and could be told so. It cannot be dialled.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub workspace: Arc<Workspace>,
    pub basis: Basis,
    pub visitor: Visitor,
    pub target: Target,
}

/// A positive decision: the only thing that can be dialled. Not `Clone`, and made only here.
#[derive(Debug)]
pub struct Permit {
    workspace: Arc<Workspace>,
    port: u16,
    scheme: Scheme,
    profile: Profile,
    /// Nobody has chosen the profile, and no refusal has.
    unsettled: bool,
    cors: Cors,
    basis: Basis,
    visitor: Visitor,
    target: Target,
}

impl Permit {
    pub fn workspace(&self) -> &Arc<Workspace> {
        &self.workspace
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// How the upstream is spoken to.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Whether the profile is only the usual one, so that a dev server which refuses it may be told the other.
    pub fn is_unsettled(&self) -> bool {
        self.unsettled
    }

    /// Who answers for CORS towards other ports of the workspace.
    pub fn cors(&self) -> Cors {
        self.cors
    }

    pub fn basis(&self) -> &Basis {
        &self.basis
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The user it rests on; `None` on a public port.
    pub fn user(&self) -> Option<&UserId> {
        self.basis.user()
    }

    /// Whether it leads to the API server instead of a workspace.
    pub fn is_front(&self) -> bool {
        self.basis == Basis::Front
    }

    /// Whether it rests on what a browser sends by itself, so that the browser policy must agree.
    pub fn is_ambient(&self) -> bool {
        matches!(self.basis, Basis::Owner(_) | Basis::Shared(_))
    }

    /// When the session or token behind it ends.
    pub fn expires_at(&self) -> Option<Timestamp> {
        match (&self.basis, &self.visitor) {
            (Basis::Public, _) | (_, Visitor::Anonymous) => None,
            (_, Visitor::Session(session)) => Some(session.expires_at),
            (_, Visitor::Token(token)) => Some(token.expires_at),
        }
    }

    /// Whether a change might end this permit, so that it must be decided again.
    pub fn is_touched_by(&self, diff: &Diff) -> bool {
        diff.workspaces.contains(&self.workspace.key)
            || diff.sources.contains(&self.workspace.source)
            || self.user().is_some_and(|user| diff.users.contains(user))
            || match &self.visitor {
                Visitor::Anonymous => false,
                Visitor::Session(session) => diff.secrets.contains(&session.hash),
                Visitor::Token(token) => diff.secrets.contains(&token.hash),
            }
    }

    /// Decides again in a later world: whether bytes may go on between the same two ends. Another generation or address is
    /// another workspace, even under the same name (R36).
    pub fn still_holds(&self, snapshot: &Snapshot, rules: &Rules, now: Timestamp) -> bool {
        if self.is_front() {
            return true;
        }
        let alive = match &self.visitor {
            Visitor::Anonymous => true,
            Visitor::Session(session) => snapshot.session(&session.hash).is_some_and(|s| s == session),
            Visitor::Token(token) => snapshot.token(&token.hash).is_some_and(|t| t == token),
        };
        let visitor = if alive { &self.visitor } else { &Visitor::Anonymous };
        match decide(snapshot, rules, &self.target, visitor, now) {
            Decision::Permit(permit) => {
                // What was opened because the port was public passed no browser policy and has no end: it dies with that.
                (self.basis != Basis::Public || permit.basis == Basis::Public)
                    && permit.workspace.generation == self.workspace.generation
                    && permit.workspace.address == self.workspace.address
                    && permit.scheme == self.scheme
            }
            Decision::Wait(_) | Decision::Challenge | Decision::Deny(_) => false,
        }
    }
}

/// Decides whether `visitor` may open `target`.
pub fn decide(snapshot: &Snapshot, rules: &Rules, target: &Target, visitor: &Visitor, now: Timestamp) -> Decision {
    let known = match visitor {
        Visitor::Anonymous => false,
        // A session is good for its own host alone; anywhere else it is nobody's.
        Visitor::Session(session) => *session.host == *target.host && now < session.expires_at,
        Visitor::Token(_) => true,
    };
    match look(snapshot, rules, target, visitor, known, now) {
        Ok(Found::Open(permit)) => Decision::Permit(permit),
        // Nobody in particular learns what a workspace does, not even on a public port.
        Ok(Found::Asleep(waiting)) if known => Decision::Wait(waiting),
        Ok(Found::Asleep(_)) => Decision::Challenge,
        Err(_) if !known => Decision::Challenge,
        Err(reason) => Decision::Deny(reason),
    }
}

enum Found {
    Open(Permit),
    Asleep(Waiting),
}

fn look(
    snapshot: &Snapshot,
    rules: &Rules,
    target: &Target,
    visitor: &Visitor,
    known: bool,
    now: Timestamp,
) -> Result<Found, Reason> {
    let workspace = find(snapshot, rules, target)?;
    let policy = snapshot.port(&target.workspace, target.port);
    let level = effective_level(rules, target.port, workspace.grants.as_deref(), policy);
    let basis = if level == Level::Public {
        Basis::Public
    } else {
        match visitor {
            Visitor::Session(session) if known => user_basis(snapshot, workspace, policy, level, &session.user)?,
            Visitor::Session(_) | Visitor::Anonymous => return Err(Reason::NoGrant),
            Visitor::Token(token) => {
                if now >= token.expires_at {
                    return Err(Reason::Expired);
                }
                if token.workspace != workspace.key || token.port != target.port {
                    return Err(Reason::TokenScope);
                }
                user_basis(snapshot, workspace, policy, level, &token.user)?;
                Basis::Token(token.user.clone())
            }
        }
    };
    // After the grant, so that a stranger cannot tell a stopped workspace from one that is not there.
    match workspace.state {
        State::Running => {}
        State::Stopped => return Err(Reason::Stopped),
        State::Starting | State::Standby | State::Archived | State::Stopping | State::Error => {
            // A public port rests on nobody, but its owner is not nobody in particular to what sleeps.
            let basis = match visitor {
                Visitor::Session(session) if known && basis == Basis::Public => {
                    let own = user_basis(snapshot, workspace, policy, level, &session.user).ok();
                    own.filter(|own| matches!(own, Basis::Owner(_))).unwrap_or(basis)
                }
                _ => basis,
            };
            let (workspace, visitor, target) = (workspace.clone(), visitor.clone(), target.clone());
            return Ok(Found::Asleep(Waiting { workspace, basis, visitor, target }));
        }
    }
    let scheme = if target.tls { Some(Scheme::Https) } else { policy.and_then(|p| p.scheme) };
    let wants_public = rules.protected.contains(&target.port) || WANTS_PUBLIC.contains(&target.port);
    let noticed = || snapshot.noticed(&target.workspace).and_then(|noticed| noticed.profile(target.port));
    let chosen = policy.and_then(|p| p.profile).or_else(noticed);
    Ok(Found::Open(Permit {
        workspace: workspace.clone(),
        port: target.port,
        scheme: scheme.unwrap_or(Scheme::Http),
        profile: chosen.unwrap_or(if wants_public { Profile::Public } else { Profile::Localhost }),
        unsettled: chosen.is_none(),
        cors: policy.and_then(|p| p.cors).unwrap_or_default(),
        basis,
        visitor: visitor.clone(),
        target: target.clone(),
    }))
}

/// The workspace, if it may be opened at all, whoever asks.
fn find<'a>(snapshot: &'a Snapshot, rules: &Rules, target: &Target) -> Result<&'a Arc<Workspace>, Reason> {
    if rules.denied.contains(&target.port) {
        return Err(Reason::PortDenied);
    }
    let workspace = snapshot.workspace(&target.workspace).ok_or(Reason::NoWorkspace)?;
    if snapshot.is_stale(&workspace.source) { Err(Reason::SourceStale) } else { Ok(workspace) }
}

/// Whether `user`, who has logged in, may open a port: the authoriser asks this before it issues a ticket.
///
/// # Errors
/// The reason, for the audit.
pub fn user_may(snapshot: &Snapshot, rules: &Rules, target: &Target, user: &UserId) -> Result<Basis, Reason> {
    let workspace = find(snapshot, rules, target)?;
    let policy = snapshot.port(&target.workspace, target.port);
    let level = effective_level(rules, target.port, workspace.grants.as_deref(), policy);
    let basis = user_basis(snapshot, workspace, policy, level, user)?;
    // What sleeps is waited for on its own host.
    if workspace.state == State::Stopped { Err(Reason::Stopped) } else { Ok(basis) }
}

/// The level in force: the more open of what the source and the owner share, clamped by protection and ceiling.
pub fn effective_level(rules: &Rules, port: u16, grants: Option<&Grants>, policy: Option<&PortPolicy>) -> Level {
    if rules.protected.contains(&port) {
        return Level::Owner;
    }
    let by_source = grants.map_or(Level::Owner, Grants::wanted);
    let by_owner = policy.map_or(Level::Owner, PortPolicy::wanted);
    by_source.max(by_owner).min(rules.ceiling)
}

fn user_basis(
    snapshot: &Snapshot,
    workspace: &Workspace,
    policy: Option<&PortPolicy>,
    level: Level,
    user: &UserId,
) -> Result<Basis, Reason> {
    let person = snapshot.user(user).ok_or(Reason::UnknownUser)?;
    if person.suspended {
        return Err(Reason::Suspended);
    }
    if workspace.owner.as_ref() == Some(user) {
        return Ok(Basis::Owner(user.clone()));
    }
    let named = policy.is_some_and(|policy| policy.users.contains(user))
        || workspace.grants.as_ref().is_some_and(|grants| grants.names(person));
    match level {
        Level::Public | Level::Authenticated => Ok(Basis::Shared(user.clone())),
        Level::Users if named => Ok(Basis::Shared(user.clone())),
        Level::Users | Level::Owner => Err(Reason::NoGrant),
    }
}
