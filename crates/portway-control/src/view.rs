//! What one person sees of the world: their workspaces and ports, what others share with them, their tokens.
//!
//! Plain values, the same for the home page and the JSON API. Pure: a snapshot, a user and a clock in, a view out.

use portway_core::Timestamp;
use portway_core::access::{self, Rules};
use portway_core::host::{Names, PortForm, Target};
use portway_core::snapshot::Snapshot;
use portway_core::workspace::{Cors, Level, PortPolicy, Profile, State, UserId, Workspace};
use portway_sources::TokenRow;
use serde::Serialize;

/// A workspace, as its owner sees it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct WorkspaceView {
    /// The id as its source spells it.
    pub(crate) id: String,
    /// What people call it: its name, or its id.
    pub(crate) name: String,
    pub(crate) running: bool,
    /// It counts as one that runs, and can be stopped.
    #[serde(skip)]
    pub(crate) takes_room: bool,
    /// `running`, `starting`, `standby`, `archived`, `stopping`, `error` or `stopped`.
    pub(crate) state: &'static str,
    /// Where its default port is; `None` where DNS cannot carry the name.
    pub(crate) url: Option<String>,
    pub(crate) ports: Vec<PortView>,
}

/// A configured port, as the owner of the workspace sees it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PortView {
    pub(crate) port: u16,
    pub(crate) url: Option<String>,
    /// Who besides the owner may open it, as configured.
    pub(crate) level: &'static str,
    /// The level in force: protection and the administrator's ceiling applied.
    pub(crate) effective_level: &'static str,
    pub(crate) users: Vec<String>,
    pub(crate) profile: Option<&'static str>,
    pub(crate) scheme: Option<&'static str>,
    pub(crate) cors: Option<&'static str>,
    /// The administrator keeps it for the owner alone.
    pub(crate) protected: bool,
    /// The levels that the owner may choose.
    pub(crate) levels: Vec<&'static str>,
}

/// A port of somebody else's workspace that is shared with somebody in particular.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SharedPort {
    pub(crate) workspace: String,
    pub(crate) owner: Option<String>,
    pub(crate) port: u16,
    pub(crate) url: Option<String>,
}

/// A token, without its secret.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TokenView {
    pub(crate) id: String,
    pub(crate) workspace: String,
    pub(crate) port: u16,
    pub(crate) label: Option<String>,
    /// Seconds since the Unix epoch, like the other times here.
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) last_used: Option<Timestamp>,
    /// `in 29 days`.
    #[serde(skip)]
    pub(crate) expires: String,
    /// `5 minutes ago`, `never`.
    #[serde(skip)]
    pub(crate) used: String,
}

/// Everything configuration adds to a view.
#[derive(Clone, Copy)]
pub(crate) struct Lens<'a> {
    pub(crate) world: &'a Snapshot,
    pub(crate) names: &'a Names,
    pub(crate) rules: &'a Rules,
}

impl Lens<'_> {
    /// The workspaces that `user` owns, by id.
    pub(crate) fn workspaces(self, user: &UserId) -> Vec<WorkspaceView> {
        let mut mine: Vec<_> =
            self.world.workspaces().filter(|w| w.owner.as_ref() == Some(user)).map(|w| self.workspace(w)).collect();
        mine.sort_by(|a, b| a.id.cmp(&b.id));
        mine
    }

    /// One workspace.
    pub(crate) fn workspace(self, workspace: &Workspace) -> WorkspaceView {
        let table = self.world.ports(&workspace.key);
        let ports = table.into_iter().flat_map(|table| table.iter());
        WorkspaceView {
            id: workspace.id.to_string(),
            name: workspace.name.as_ref().unwrap_or(&workspace.id).to_string(),
            running: workspace.state == State::Running,
            takes_room: workspace.state.takes_room(),
            state: workspace.state.as_str(),
            url: self.names.url(0, &workspace.key, PortForm::Default).ok(),
            ports: ports.map(|(port, policy)| self.port(workspace, *port, policy)).collect(),
        }
    }

    /// One port of it.
    pub(crate) fn port(self, workspace: &Workspace, port: u16, policy: &PortPolicy) -> PortView {
        let protected = self.rules.protected.contains(&port);
        PortView {
            port,
            url: self.url(&workspace.key, port),
            level: policy.wanted().as_str(),
            effective_level: access::effective_level(self.rules, port, workspace.grants.as_deref(), Some(policy))
                .as_str(),
            users: policy.users.iter().map(ToString::to_string).collect(),
            profile: policy.profile.map(Profile::as_str),
            scheme: policy.scheme.map(portway_core::host::Scheme::as_str),
            cors: policy.cors.map(Cors::as_str),
            protected,
            levels: self.levels(port).into_iter().map(Level::as_str).collect(),
        }
    }

    /// The levels that a share of this port may have.
    pub(crate) fn levels(self, port: u16) -> Vec<Level> {
        let most = if self.rules.protected.contains(&port) { Level::Owner } else { self.rules.ceiling };
        [Level::Owner, Level::Users, Level::Authenticated, Level::Public].into_iter().filter(|l| *l <= most).collect()
    }

    /// The ports of others that name `user` or a group of theirs, and that they may open now. Of what a source shares, all
    /// ports that are configured.
    pub(crate) fn shared_with(self, user: &UserId) -> Vec<SharedPort> {
        let mut shared = Vec::new();
        let Some(person) = self.world.user(user) else { return shared };
        for workspace in self.world.workspaces().filter(|w| w.owner.as_ref() != Some(user)) {
            let Some(table) = self.world.ports(&workspace.key) else { continue };
            let by_source = workspace.grants.as_ref().is_some_and(|grants| grants.names(person));
            for (port, _) in table.iter().filter(|(_, policy)| by_source || policy.users.contains(user)) {
                if !self.may_open(user, workspace, *port) {
                    continue;
                }
                shared.push(SharedPort {
                    workspace: workspace.id.to_string(),
                    owner: workspace.owner.as_deref().map(str::to_owned),
                    port: *port,
                    url: self.url(&workspace.key, *port),
                });
            }
        }
        shared.sort_by(|a, b| (&a.workspace, a.port).cmp(&(&b.workspace, b.port)));
        shared
    }

    /// Whether `user` may open a port now.
    pub(crate) fn may_open(self, user: &UserId, workspace: &Workspace, port: u16) -> bool {
        let target = Target { host: String::new(), workspace: workspace.key.to_string(), port, tls: false, domain: 0 };
        access::user_may(self.world, self.rules, &target, user).is_ok()
    }

    fn url(self, key: &str, port: u16) -> Option<String> {
        self.names.url(0, key, PortForm::Number { port, tls: false }).ok()
    }
}

impl TokenView {
    pub(crate) fn of(row: TokenRow, now: Timestamp) -> Self {
        Self {
            expires: format!("in {}", span(row.expires_at.saturating_sub(now))),
            used: row
                .last_used
                .map_or_else(|| "never".to_owned(), |at| format!("{} ago", span(now.saturating_sub(at)))),
            id: row.id,
            workspace: row.workspace.to_string(),
            port: row.port,
            label: row.label,
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used: row.last_used,
        }
    }
}

/// A span of seconds in its largest unit, rounded to the nearest: `30 days`.
fn span(seconds: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(86_400, "day"), (3_600, "hour"), (60, "minute")];
    for (length, unit) in UNITS {
        if seconds >= length {
            let count = (seconds + length / 2) / length;
            return format!("{count} {unit}{}", if count == 1 { "" } else { "s" });
        }
    }
    "less than a minute".to_owned()
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn spans_read_as_people_say_them() {
        for (seconds, text) in [
            (0, "less than a minute"),
            (59, "less than a minute"),
            (60, "1 minute"),
            (90, "2 minutes"),
            (3_600, "1 hour"),
            (86_399, "24 hours"),
            (86_400, "1 day"),
            (30 * 86_400 - 5, "30 days"),
        ] {
            assert_eq!(span(seconds), text, "{seconds}");
        }
    }
}
