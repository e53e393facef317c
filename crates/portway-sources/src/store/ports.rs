//! What is configured for a port: how it is spoken to, and who may open it. Rows may name a workspace that another source
//! has; whether there is one is the caller's to know. Ceilings and protected ports are applied when a row is read, in
//! core's `access`.

use portway_core::host::Scheme;
use portway_core::snapshot::Event;
use portway_core::workspace::{Cors, Level, Profile, UserId};

use super::users::{require_user, user_id};
use super::{Store, StoreError, Transaction, key, listing, port};

/// What is to change; `None` leaves as it is, `Some(None)` goes back to the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct PortChange {
    pub profile: Option<Option<Profile>>,
    pub scheme: Option<Option<Scheme>>,
    pub cors: Option<Option<Cors>>,
}

impl Store {
    /// Configures a port, making its row where there is none: the owner's, with every default.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for port 0, [`StoreError::Database`].
    pub async fn set_port(&self, workspace: &str, number: u16, change: PortChange) -> Result<Vec<Event>, StoreError> {
        let (key, number) = (key(workspace), port(number)?);
        let mut tx = self.begin().await?;
        declare(&mut tx, &key, number).await?;
        if let Some(profile) = change.profile {
            sqlx::query("UPDATE ports SET profile = $1 WHERE workspace = $2 AND port = $3")
                .bind(profile.map(Profile::as_str))
                .bind(&key)
                .bind(number)
                .execute(&mut *tx)
                .await?;
        }
        if let Some(cors) = change.cors {
            sqlx::query("UPDATE ports SET cors = $1 WHERE workspace = $2 AND port = $3")
                .bind(cors.map(Cors::as_str))
                .bind(&key)
                .bind(number)
                .execute(&mut *tx)
                .await?;
        }
        if let Some(scheme) = change.scheme {
            sqlx::query("UPDATE ports SET scheme = $1 WHERE workspace = $2 AND port = $3")
                .bind(scheme.map(Scheme::as_str))
                .bind(&key)
                .bind(number)
                .execute(&mut *tx)
                .await?;
        }
        finish(tx, &key).await
    }

    /// Forgets everything about a port, its share included.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where nothing is configured, [`StoreError::Database`].
    pub async fn remove_port(&self, workspace: &str, number: u16) -> Result<Vec<Event>, StoreError> {
        let key = key(workspace);
        let mut tx = self.begin().await?;
        let removed = sqlx::query("DELETE FROM ports WHERE workspace = $1 AND port = $2")
            .bind(&key)
            .bind(i64::from(number))
            .execute(&mut *tx)
            .await?;
        if removed.rows_affected() == 0 {
            return Err(StoreError::NotFound { what: "port", name: format!("{number}-{key}") });
        }
        finish(tx, &key).await
    }

    /// Shares a port: sets its level and adds and removes named users. Level `owner` also removes every user named
    /// before, so that it means what it says.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] without a user to add, [`StoreError::Invalid`], [`StoreError::Database`].
    pub async fn set_share(
        &self,
        workspace: &str,
        number: u16,
        level: Option<Level>,
        add_users: &[UserId],
        remove_users: &[UserId],
    ) -> Result<Vec<Event>, StoreError> {
        let (key, number) = (key(workspace), port(number)?);
        let mut tx = self.begin().await?;
        declare(&mut tx, &key, number).await?;
        if let Some(level) = level {
            set_level(&mut tx, &key, number, level).await?;
        }
        for user in add_users {
            let user = user_id(user)?;
            require_user(&mut tx, &user).await?;
            sqlx::query("INSERT INTO shares (workspace, port, user_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
                .bind(&key)
                .bind(number)
                .bind(&*user)
                .execute(&mut *tx)
                .await?;
        }
        for user in remove_users {
            sqlx::query("DELETE FROM shares WHERE workspace = $1 AND port = $2 AND user_id = $3")
                .bind(&key)
                .bind(number)
                .bind(user.to_ascii_lowercase())
                .execute(&mut *tx)
                .await?;
        }
        finish(tx, &key).await
    }

    /// Gives a port back to its owner alone. A row that then says nothing goes.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where nothing is configured, [`StoreError::Database`].
    pub async fn remove_share(&self, workspace: &str, number: u16) -> Result<Vec<Event>, StoreError> {
        let (key, number) = (key(workspace), i64::from(number));
        let mut tx = self.begin().await?;
        if !set_level(&mut tx, &key, number, Level::Owner).await? {
            return Err(StoreError::NotFound { what: "share", name: format!("{number}-{key}") });
        }
        sqlx::query(
            "DELETE FROM ports
             WHERE workspace = $1 AND port = $2 AND profile IS NULL AND scheme IS NULL
             AND cors IS NULL",
        )
        .bind(&key)
        .bind(number)
        .execute(&mut *tx)
        .await?;
        finish(tx, &key).await
    }
}

async fn declare(tx: &mut Transaction, key: &str, number: i64) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO ports (workspace, port) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(key)
        .bind(number)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Sets the level of a configured port; whether there was one.
async fn set_level(tx: &mut Transaction, key: &str, number: i64, level: Level) -> Result<bool, StoreError> {
    let set = sqlx::query("UPDATE ports SET level = $1 WHERE workspace = $2 AND port = $3")
        .bind(level.as_str())
        .bind(key)
        .bind(number)
        .execute(&mut **tx)
        .await?;
    if level == Level::Owner {
        sqlx::query("DELETE FROM shares WHERE workspace = $1 AND port = $2")
            .bind(key)
            .bind(number)
            .execute(&mut **tx)
            .await?;
    }
    Ok(set.rows_affected() > 0)
}

async fn finish(mut tx: Transaction, key: &str) -> Result<Vec<Event>, StoreError> {
    let event = listing::ports_event(&mut tx, key).await?;
    tx.commit().await?;
    Ok(vec![event])
}
