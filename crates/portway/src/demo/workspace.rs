//! The sample as the gateway knows it: a workspace `demo` of the first user, which is this machine, with its two ports.
//!
//! What the ports serve is not known here, and a workspace of that name that somebody made for themselves is not touched.

use std::sync::Arc;

use portway_core::snapshot::Snapshot;
use portway_core::workspace::{Address, Level, PortPolicy, State, UserId, Workspace};
use portway_sources::{NewWorkspace, PortChange, STORE_SOURCE, Store, WorkspaceChange};

use super::Ports;
use crate::output::Failure;

/// The sample's id.
pub(crate) const ID: &str = "demo";

/// Writes the workspace and its ports down; those of an earlier start on other ports go.
///
/// # Errors
/// That somebody has another workspace of this name; those of the store.
pub(crate) async fn declare(store: &Store, local: &str, ports: Ports) -> Result<(), Failure> {
    let owner = first_user(store, local).await?;
    match store.workspace(ID).await? {
        None => {
            let new = NewWorkspace { id: ID.into(), owner: Some(owner), address: Address::Loopback };
            drop(store.add_workspace(&new).await?);
        }
        Some(found) if found.address == Address::Loopback && found.owner.as_ref() == Some(&owner) => {
            if found.state == State::Stopped {
                let change = WorkspaceChange { state: Some(State::Running), ..WorkspaceChange::default() };
                drop(store.set_workspace(ID, change).await?);
            }
        }
        Some(_) => return Err(taken()),
    }
    let now = [ports.page, ports.api];
    for port in idle_ports(store).await? {
        if !now.contains(&port) {
            drop(store.remove_port(ID, port).await?);
        }
    }
    for port in now {
        drop(store.set_port(ID, port, PortChange::default()).await?);
    }
    Ok(())
}

/// The sample's workspace in the first snapshot.
///
/// # Errors
/// That the workspaces file has one of this name, which then is the one that is served.
pub(crate) fn find(snapshot: &Snapshot) -> Result<Arc<Workspace>, Failure> {
    let found = snapshot.workspace(ID).filter(|found| *found.source == *STORE_SOURCE);
    found.cloned().ok_or_else(taken)
}

fn taken() -> Failure {
    Failure::failed(format!("there is a workspace `{ID}` already that is not the sample of --demo"))
        .hint("leave out --demo, or try it on another data folder with --data DIR")
}

/// Whoever has the workspace of the first start, else the user who was there first.
async fn first_user(store: &Store, local: &str) -> Result<UserId, Failure> {
    if let Some(owner) = store.workspace(local).await?.and_then(|workspace| workspace.owner.clone()) {
        return Ok(owner);
    }
    let first = store.users().await?.into_iter().min_by_key(|user| user.created_at);
    first.map(|user| user.id).ok_or_else(|| Failure::failed("there is no user to give the sample of --demo to"))
}

/// Ports of the sample that are listed only; one that is shared or set up is somebody's wish and stays.
async fn idle_ports(store: &Store) -> Result<Vec<u16>, Failure> {
    let own = store.listing().await?.own.unwrap_or_default();
    let plain = PortPolicy { level: Level::Owner, ..PortPolicy::default() };
    let tables = own.ports.into_iter().filter(|(key, _)| **key == *ID);
    Ok(tables
        .flat_map(|(_, table)| {
            table.iter().filter(|(_, policy)| **policy == plain).map(|(port, _)| *port).collect::<Vec<_>>()
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use portway_core::workspace::Profile;
    use portway_testkit::TempDir;

    use super::*;

    const PORTS: Ports = Ports { page: 3000, api: 5000 };

    async fn store(dir: &TempDir, users: &[&str]) -> Store {
        let store = Store::open(dir.path()).await.unwrap();
        for user in users {
            drop(store.add_user(user).await.unwrap());
        }
        store
    }

    async fn listed(store: &Store) -> Vec<u16> {
        let own = store.listing().await.unwrap().own.unwrap();
        own.ports.iter().flat_map(|(_, table)| table.keys().copied().collect::<Vec<_>>()).collect()
    }

    #[tokio::test]
    async fn it_is_whose_the_first_workspace_is_and_runs_again_after_it_was_stopped() {
        let dir = TempDir::new();
        let store = store(&dir, &["alice", "bob"]).await;
        let local = NewWorkspace { id: "local".into(), owner: Some("bob".into()), address: Address::Loopback };
        drop(store.add_workspace(&local).await.unwrap());
        declare(&store, "local", PORTS).await.unwrap();
        let stop = WorkspaceChange { state: Some(State::Stopped), ..WorkspaceChange::default() };
        drop(store.set_workspace(ID, stop).await.unwrap());
        declare(&store, "local", PORTS).await.unwrap();
        let demo = store.workspace(ID).await.unwrap().unwrap();
        assert_eq!(
            (demo.owner.as_deref(), demo.state, &demo.address),
            (Some("bob"), State::Running, &Address::Loopback)
        );
    }

    #[tokio::test]
    async fn ports_of_an_earlier_start_go_unless_somebody_set_them_up() {
        let dir = TempDir::new();
        let store = store(&dir, &["alice"]).await;
        declare(&store, "local", Ports { page: 3001, api: 5001 }).await.unwrap();
        let profile = PortChange { profile: Some(Some(Profile::Public)), ..PortChange::default() };
        drop(store.set_port(ID, 4000, profile).await.unwrap());
        declare(&store, "local", PORTS).await.unwrap();
        assert_eq!(listed(&store).await, [3000, 4000, 5000]);
    }

    #[tokio::test]
    async fn somebody_elses_workspace_of_this_name_stays_as_it_is() {
        for (owner, address) in [(Some("bob"), "localhost"), (None, "localhost"), (Some("alice"), "10.0.0.1")] {
            let dir = TempDir::new();
            let store = store(&dir, &["alice", "bob"]).await;
            let local = NewWorkspace { id: "local".into(), owner: Some("alice".into()), address: Address::Loopback };
            let own =
                NewWorkspace { id: "Demo".into(), owner: owner.map(Into::into), address: address.parse().unwrap() };
            drop(store.add_workspace(&local).await.unwrap());
            drop(store.add_workspace(&own).await.unwrap());
            let before = store.workspace(ID).await.unwrap();
            assert!(declare(&store, "local", PORTS).await.is_err(), "{owner:?} {address}");
            assert_eq!(store.workspace(ID).await.unwrap(), before);
            assert!(listed(&store).await.is_empty());
        }
    }
}
