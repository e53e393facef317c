//! Changing a port: who may open it and how it is spoken to. The owner alone may, within the administrator's bounds (R32).
//!
//! One way for the home page and the API. Knows no HTML and no JSON.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::StatusCode;
use portway_core::access::Rules;
use portway_core::host::Scheme;
use portway_core::workspace::{Cors, Level, PortPolicy, Profile, UserId, Workspace};
use portway_sources::{PortChange, StoreError};

use crate::app::{App, Login, Peer};
use crate::reply::Refusal;
use crate::view::Lens;

/// The most users one port may be shared with by name.
const USERS_MAX: usize = 256;

/// All that is configured for a port, as it shall be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) level: Level,
    pub(crate) users: BTreeSet<UserId>,
    pub(crate) profile: Option<Profile>,
    pub(crate) scheme: Option<Scheme>,
    pub(crate) cors: Option<Cors>,
}

impl From<&PortPolicy> for Wanted {
    fn from(policy: &PortPolicy) -> Self {
        let PortPolicy { level, users, profile, scheme, cors } = policy.clone();
        Self { level, users, profile, scheme, cors }
    }
}

impl App {
    /// This moment's world as a person sees it.
    pub(crate) fn lens<'a>(&'a self, world: &'a portway_core::snapshot::Snapshot) -> Lens<'a> {
        Lens { world, names: &self.settings.names, rules: &self.settings.rules }
    }
}

/// The workspace `id` if it is `me`'s; otherwise there is none (R54).
pub(crate) fn owned(app: &App, me: &Login, id: &str) -> Result<Arc<Workspace>, Refusal> {
    let world = app.world();
    let workspace = world.workspace(&id.to_ascii_lowercase());
    workspace.filter(|workspace| workspace.owner.as_ref() == Some(&me.user)).cloned().ok_or_else(|| {
        Refusal::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "There is no such workspace",
            "You have no workspace of this name.",
        )
        .action("Your workspaces", "/.portway/")
    })
}

/// What is configured for a port now.
pub(crate) fn current(app: &App, workspace: &Workspace, port: u16) -> PortPolicy {
    app.world().port(&workspace.key, port).cloned().unwrap_or_default()
}

/// Makes a port what is wanted.
pub(crate) async fn set(
    app: &App,
    me: &Login,
    peer: Peer,
    workspace: &Workspace,
    port: u16,
    mut wanted: Wanted,
) -> Result<(), Refusal> {
    wanted.users.remove(&me.user);
    // Naming somebody is sharing with them.
    if !wanted.users.is_empty() {
        wanted.level = wanted.level.max(Level::Users);
    }
    check(&app.settings.rules, port, &wanted)?;
    let old = current(app, workspace, port);
    for user in wanted.users.difference(&old.users) {
        if app.store.user(user).await?.is_none() {
            return Err(unfit("unknown-user", format!("There is no user named {user}.")));
        }
    }
    let added: Vec<UserId> = wanted.users.difference(&old.users).cloned().collect();
    let removed: Vec<UserId> = old.users.difference(&wanted.users).cloned().collect();
    let (store, key, level) = (app.store.clone(), workspace.key.clone(), wanted.level);
    let change = PortChange { profile: Some(wanted.profile), scheme: Some(wanted.scheme), cors: Some(wanted.cors) };
    let whole = async move {
        let mut events = store.set_port(&key, port, change).await?;
        events.extend(store.set_share(&key, port, Some(level), &added, &removed).await?);
        Ok(events)
    };
    app.commit(whole).await?;
    let users: Vec<&str> = wanted.users.iter().map(AsRef::as_ref).collect();
    let detail = format!("{}:{port} {} {}", workspace.key, wanted.level.as_str(), users.join(" "));
    app.audit("port.set", Some(&me.user), None, peer, detail.trim_end()).await;
    Ok(())
}

/// Forgets all that is configured for a port: it is the owner's alone again.
pub(crate) async fn remove(app: &App, me: &Login, peer: Peer, workspace: &Workspace, port: u16) -> Result<(), Refusal> {
    let (store, key) = (app.store.clone(), workspace.key.clone());
    let gone = async move {
        match store.remove_port(&key, port).await {
            // What is not there is gone already.
            Err(StoreError::NotFound { .. }) => Ok(Vec::new()),
            other => other,
        }
    };
    app.commit(gone).await?;
    app.audit("port.removed", Some(&me.user), None, peer, &format!("{}:{port}", workspace.key)).await;
    Ok(())
}

/// Whether the administrator's bounds allow it. Core applies them again whenever a share is read.
fn check(rules: &Rules, port: u16, wanted: &Wanted) -> Result<(), Refusal> {
    if rules.denied.contains(&port) {
        return Err(unfit("port-denied", format!("Port {port} is never served: the administrator has closed it.")));
    }
    let level = wanted.level;
    if level > Level::Owner && rules.protected.contains(&port) {
        let text = format!(
            "Port {port} is protected by the administrator and stays with its owner. It usually gives a shell."
        );
        return Err(unfit("port-protected", text));
    }
    if level > rules.ceiling {
        let text = format!(
            "The administrator allows shares up to “{}”, and this would be “{}”.",
            rules.ceiling.as_str(),
            level.as_str()
        );
        return Err(unfit("above-ceiling", text));
    }
    if wanted.users.len() > USERS_MAX {
        return Err(unfit("too-many-users", format!("A port can be shared with at most {USERS_MAX} users by name.")));
    }
    Ok(())
}

/// 422: understood, and it cannot be so.
pub(crate) fn unfit(reason: &'static str, text: String) -> Refusal {
    Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, reason, "That was not changed", text)
        .action("Your workspaces", "/.portway/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(rules: &Rules, port: u16, level: Level, users: &[&str]) -> Option<&'static str> {
        let users = users.iter().map(|user| UserId::from(*user)).collect();
        check(rules, port, &Wanted { level, users, ..Wanted::default() }).err().map(|refusal| refusal.reason)
    }

    #[test]
    fn bounds_hold_for_levels_and_for_names() {
        let rules = Rules { ceiling: Level::Authenticated, ..Rules::default() };
        assert_eq!(reason(&rules, 3000, Level::Authenticated, &["bob"]), None);
        assert_eq!(reason(&rules, 3000, Level::Public, &[]), Some("above-ceiling"));
        assert_eq!(reason(&rules, 8080, Level::Owner, &[]), None);
        assert_eq!(reason(&rules, 8080, Level::Users, &[]), Some("port-protected"));
        assert_eq!(reason(&rules, 8080, Level::Users, &["bob"]), Some("port-protected"));
        assert_eq!(reason(&rules, 22, Level::Owner, &[]), Some("port-denied"));
        let closed = Rules { ceiling: Level::Owner, ..Rules::default() };
        assert_eq!(reason(&closed, 3000, Level::Users, &["bob"]), Some("above-ceiling"));
    }
}
