//! Rows into core values: the full listing, the events that describe one workspace's ports, and the sweep of what expired.
//!
//! A row that cannot be read as what it should be is left out and logged: it opens nothing, and does not keep the rest of
//! the world from being seen (R52).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portway_core::snapshot::{Event, HostSession, Listing, OwnState, Token};
use portway_core::workspace::{PortPolicy, PortTable, State, UserId, Workspace};
use sqlx::AnyConnection;

use super::users::{PERSON_COLUMNS, PersonColumns, person};
use super::{STORE_SOURCE, Store, StoreError, Transaction, hash, logins, timestamp, tokens};

/// `key, id, owner, address, running, generation`
pub(super) type WorkspaceColumns = (String, String, Option<String>, String, i64, String);
pub(super) const WORKSPACE_COLUMNS_BY_KEY: &str =
    "SELECT key, id, owner, address, running, generation FROM workspaces WHERE key = $1";

/// `workspace, port, level, profile, scheme, cors`
type PortColumns = (String, i64, String, Option<String>, Option<String>, Option<String>);
/// `workspace, port, user_id`
type ShareColumns = (String, i64, String);

impl Store {
    /// Everything that is true now, from one moment of the database. Expired rows are left out.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn listing(&self) -> Result<Listing, StoreError> {
        let mut tx = self.look().await?;
        let workspaces = workspaces(&mut tx).await?;
        let ports = tables(&mut tx, None).await?;
        let users: Vec<PersonColumns> = sqlx::query_as(PERSON_COLUMNS).fetch_all(&mut *tx).await?;
        let sessions: Vec<(Vec<u8>, String, String, i64)> =
            sqlx::query_as("SELECT hash, user_id, host, expires_at FROM sessions WHERE expires_at > unixepoch()")
                .fetch_all(&mut *tx)
                .await?;
        let tokens: Vec<(Vec<u8>, String, String, i64, i64)> = sqlx::query_as(
            "SELECT hash, user_id, workspace, port, expires_at FROM tokens
             WHERE expires_at > unixepoch()",
        )
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;

        let users = users.into_iter().map(person).collect();
        let sessions = sessions
            .into_iter()
            .filter_map(|(bytes, user, host, expires_at)| {
                Some(Arc::new(HostSession {
                    hash: hash(bytes)?,
                    user: user.into(),
                    host: host.into(),
                    expires_at: timestamp(expires_at),
                }))
            })
            .collect();
        let tokens = tokens
            .into_iter()
            .filter_map(|(bytes, user, workspace, port, expires_at)| {
                Some(Arc::new(Token {
                    hash: hash(bytes)?,
                    user: user.into(),
                    workspace: workspace.into(),
                    port: u16::try_from(port).ok()?,
                    expires_at: timestamp(expires_at),
                }))
            })
            .collect();
        Ok(Listing { source: STORE_SOURCE.into(), workspaces, own: Some(OwnState { ports, users, sessions, tokens }) })
    }

    /// Every workspace of this store, by id.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn workspaces(&self) -> Result<Vec<Arc<Workspace>>, StoreError> {
        workspaces(&mut *self.pool.acquire().await?).await
    }

    /// Every configured port, by workspace key.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn ports(&self) -> Result<Vec<(Arc<str>, Arc<PortTable>)>, StoreError> {
        Ok(self.listing().await?.own.map(|own| own.ports).unwrap_or_default())
    }

    /// Deletes what has expired.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn sweep(&self) -> Result<Vec<Event>, StoreError> {
        let mut tx = self.begin().await?;
        let sessions = sqlx::query_scalar("DELETE FROM sessions WHERE expires_at <= unixepoch() RETURNING hash")
            .fetch_all(&mut *tx)
            .await?;
        let tokens = sqlx::query_scalar("DELETE FROM tokens WHERE expires_at <= unixepoch() RETURNING hash")
            .fetch_all(&mut *tx)
            .await?;
        // A login outlives the sessions made from it; a used ticket lives as long as the one it made.
        for rest in [
            "DELETE FROM logins WHERE expires_at <= unixepoch()",
            "DELETE FROM login_links WHERE expires_at <= unixepoch()",
            "DELETE FROM tickets WHERE expires_at <= unixepoch()
             AND NOT EXISTS (SELECT 1 FROM sessions WHERE sessions.hash = tickets.session)",
        ] {
            sqlx::query(rest).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        let mut events = logins::gone(sessions);
        events.extend(tokens::gone(tokens));
        Ok(events)
    }
}

async fn workspaces(tx: &mut AnyConnection) -> Result<Vec<Arc<Workspace>>, StoreError> {
    let rows: Vec<WorkspaceColumns> =
        sqlx::query_as("SELECT key, id, owner, address, running, generation FROM workspaces ORDER BY key")
            .fetch_all(tx)
            .await?;
    Ok(rows.into_iter().filter_map(workspace_row).collect())
}

/// Every configured port of one workspace as it is now.
pub(super) async fn ports_event(tx: &mut Transaction, key: &str) -> Result<Event, StoreError> {
    let (key, table) = tables(tx, Some(key)).await?.pop().unwrap_or_else(|| (key.into(), Arc::default()));
    Ok(Event::Ports { key, table })
}

pub(super) fn workspace_row(row: WorkspaceColumns) -> Option<Arc<Workspace>> {
    let (key, id, owner, address, running, generation) = row;
    let Ok(address) = address.parse() else {
        tracing::error!(workspace = %key, %address, "the stored address is not one; the workspace is left out");
        return None;
    };
    Some(Arc::new(Workspace {
        key: key.into(),
        id: id.into(),
        owner: owner.map(Into::into),
        state: if running != 0 { State::Running } else { State::Stopped },
        address,
        generation: generation.into(),
        grants: None,
        name: None,
        source: STORE_SOURCE.into(),
    }))
}

/// Every configured port of one workspace, or of all.
async fn tables(tx: &mut AnyConnection, key: Option<&str>) -> Result<Vec<(Arc<str>, Arc<PortTable>)>, StoreError> {
    let ports: Vec<PortColumns> = sqlx::query_as(
        "SELECT workspace, port, level, profile, scheme, cors FROM ports
         WHERE CAST($1 AS TEXT) IS NULL OR workspace = $1",
    )
    .bind(key)
    .fetch_all(&mut *tx)
    .await?;
    let shares: Vec<ShareColumns> =
        sqlx::query_as("SELECT workspace, port, user_id FROM shares WHERE CAST($1 AS TEXT) IS NULL OR workspace = $1")
            .bind(key)
            .fetch_all(tx)
            .await?;
    let mut users: BTreeMap<(String, i64), BTreeSet<UserId>> = BTreeMap::new();
    for (workspace, port, user) in shares {
        users.entry((workspace, port)).or_default().insert(user.into());
    }
    let mut tables: BTreeMap<String, PortTable> = BTreeMap::new();
    for (key, number, level, profile, scheme, cors) in ports {
        let users = users.remove(&(key.clone(), number)).unwrap_or_default();
        let policy = || {
            Some(PortPolicy {
                level: level.parse().ok()?,
                users,
                profile: profile.as_deref().map(str::parse).transpose().ok()?,
                scheme: scheme.as_deref().map(str::parse).transpose().ok()?,
                cors: cors.as_deref().map(str::parse).transpose().ok()?,
            })
        };
        match u16::try_from(number).ok().zip(policy()) {
            Some((port, policy)) => {
                tables.entry(key).or_default().insert(port, policy);
            }
            None => {
                tracing::error!(workspace = %key, port = number, "the stored port policy cannot be read; it is left out")
            }
        }
    }
    Ok(tables.into_iter().map(|(key, table)| (key.into(), Arc::new(table))).collect())
}
