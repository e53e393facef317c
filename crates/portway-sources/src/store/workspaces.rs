//! Workspaces that the operator manages here. Whether an id fits a host name is the caller's to check (`Domain::check_id`).

use std::sync::Arc;

use portway_core::snapshot::Event;
use portway_core::workspace::{Address, PortTable, State, UserId, Workspace};

use super::listing::{WORKSPACE_COLUMNS_BY_KEY, workspace_row};
use super::users::require_user;
use super::{STORE_SOURCE, Store, StoreError, Transaction, key, random_text, tokens};

/// A workspace to add; it begins running.
#[derive(Clone, Debug)]
pub struct NewWorkspace {
    /// As it is to be spelled; unique ignoring case.
    pub id: String,
    pub owner: Option<UserId>,
    pub address: Address,
}

/// What is to change; `None` leaves as it is.
#[derive(Clone, Debug, Default)]
pub struct WorkspaceChange {
    /// `Some(None)` takes the owner away.
    pub owner: Option<Option<UserId>>,
    pub address: Option<Address>,
    pub state: Option<State>,
}

impl Store {
    /// Adds a workspace, in its first generation.
    ///
    /// # Errors
    /// [`StoreError::Exists`], [`StoreError::NotFound`] without such an owner, [`StoreError::Database`].
    pub async fn add_workspace(&self, new: &NewWorkspace) -> Result<Vec<Event>, StoreError> {
        let mut tx = self.begin().await?;
        if let Some(owner) = &new.owner {
            require_user(&mut tx, owner).await?;
        }
        let added = sqlx::query(
            "INSERT INTO workspaces (key, id, owner, address, generation) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT DO NOTHING",
        )
        .bind(key(&new.id))
        .bind(&new.id)
        .bind(new.owner.as_deref())
        .bind(new.address.to_string())
        .bind(random_text::<8>()?)
        .execute(&mut *tx)
        .await?;
        if added.rows_affected() == 0 {
            return Err(StoreError::Exists { what: "workspace", name: new.id.clone() });
        }
        let added = find(&mut tx, &new.id).await?;
        tx.commit().await?;
        Ok(vec![Event::Workspace(added)])
    }

    /// Changes a workspace. Another address or state is another generation, so that no connection outlives it (R36);
    /// another owner is asked for none of the consents given to the one before.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] without such a workspace or owner, [`StoreError::Database`].
    pub async fn set_workspace(&self, id: &str, change: WorkspaceChange) -> Result<Vec<Event>, StoreError> {
        let mut tx = self.begin().await?;
        let old = find(&mut tx, id).await?;
        let owner = change.owner.unwrap_or_else(|| old.owner.clone());
        let address = change.address.unwrap_or_else(|| old.address.clone());
        let state = change.state.unwrap_or(old.state);
        if owner != old.owner {
            if let Some(owner) = &owner {
                require_user(&mut tx, owner).await?;
            }
            forget_consents(&mut tx, &old.key).await?;
        }
        let generation =
            if address == old.address && state == old.state { old.generation.to_string() } else { random_text::<8>()? };
        sqlx::query("UPDATE workspaces SET owner = $1, address = $2, running = $3, generation = $4 WHERE key = $5")
            .bind(owner.as_deref())
            .bind(address.to_string())
            .bind(i64::from(state == State::Running))
            .bind(generation)
            .bind(&*old.key)
            .execute(&mut *tx)
            .await?;
        let new = find(&mut tx, id).await?;
        tx.commit().await?;
        Ok(vec![Event::Workspace(new)])
    }

    /// Removes a workspace with its ports, shares, tokens and consents: one that is added later under the same id starts
    /// closed.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Database`].
    pub async fn remove_workspace(&self, id: &str) -> Result<Vec<Event>, StoreError> {
        let key: Arc<str> = key(id).into();
        let mut tx = self.begin().await?;
        let removed = sqlx::query("DELETE FROM workspaces WHERE key = $1").bind(&*key).execute(&mut *tx).await?;
        if removed.rows_affected() == 0 {
            return Err(no_workspace(id));
        }
        sqlx::query("DELETE FROM ports WHERE workspace = $1").bind(&*key).execute(&mut *tx).await?;
        forget_consents(&mut tx, &key).await?;
        let mut events = tokens::drop_of_workspace(&mut tx, &key).await?;
        tx.commit().await?;
        events.push(Event::Ports { key: key.clone(), table: Arc::new(PortTable::new()) });
        events.push(Event::WorkspaceGone { key, source: STORE_SOURCE.into() });
        Ok(events)
    }

    /// One workspace of this store, by its id in any case.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn workspace(&self, id: &str) -> Result<Option<Arc<Workspace>>, StoreError> {
        let row = sqlx::query_as(WORKSPACE_COLUMNS_BY_KEY).bind(key(id)).fetch_optional(&self.pool).await?;
        Ok(row.and_then(workspace_row))
    }
}

async fn find(tx: &mut Transaction, id: &str) -> Result<Arc<Workspace>, StoreError> {
    let row = sqlx::query_as(WORKSPACE_COLUMNS_BY_KEY).bind(key(id)).fetch_optional(&mut **tx).await?;
    row.and_then(workspace_row).ok_or_else(|| no_workspace(id))
}

async fn forget_consents(tx: &mut Transaction, key: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM consents WHERE workspace = $1").bind(key).execute(&mut **tx).await?;
    Ok(())
}

fn no_workspace(id: &str) -> StoreError {
    StoreError::NotFound { what: "workspace", name: id.to_owned() }
}
