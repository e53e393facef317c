//! Logins on the control host, and the one-time links that begin one. Only the authoriser asks here; a workspace host's
//! sessions are made from tickets.

use std::collections::BTreeSet;

use portway_core::Timestamp;
use portway_core::secret::SecretHash;
use portway_core::snapshot::Event;
use portway_core::workspace::UserId;

use super::users::{no_user, user_id};
use super::{Store, StoreError, Transaction, hash, seconds, timestamp};

/// A login that is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginRow {
    pub user: UserId,
    /// The first second in which it is no longer valid.
    pub expires_at: Timestamp,
}

impl Store {
    /// Keeps a one-time login link for `lifetime_s` seconds.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] without such a user, [`StoreError::LoginOver`] when suspended, [`StoreError::Database`].
    pub async fn add_login_link(&self, user: &str, link: &SecretHash, lifetime_s: u64) -> Result<(), StoreError> {
        let id = user_id(user)?;
        let mut tx = self.begin_unlisted().await?;
        require_active(&mut tx, &id).await?;
        sqlx::query("INSERT INTO login_links (hash, user_id, expires_at) VALUES ($1, $2, unixepoch() + $3)")
            .bind(&link.0[..])
            .bind(&*id)
            .bind(seconds(lifetime_s))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Whose link it is, consuming nothing: for the page that names the user.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn peek_login_link(&self, link: &SecretHash) -> Result<Option<UserId>, StoreError> {
        let user: Option<String> =
            sqlx::query_scalar("SELECT user_id FROM login_links WHERE hash = $1 AND expires_at > unixepoch()")
                .bind(&link.0[..])
                .fetch_optional(&self.pool)
                .await?;
        Ok(user.map(UserId::from))
    }

    /// Uses a link up. Of all callers, in all processes, one gets the user.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn take_login_link(&self, link: &SecretHash) -> Result<Option<UserId>, StoreError> {
        let mut tx = self.begin_unlisted().await?;
        let user: Option<String> = sqlx::query_scalar(
            "DELETE FROM login_links WHERE hash = $1 AND expires_at > unixepoch() RETURNING user_id",
        )
        .bind(&link.0[..])
        .fetch_optional(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(user.map(UserId::from))
    }

    /// Keeps a new login for `lifetime_s` seconds.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] without such a user, [`StoreError::LoginOver`] when suspended, [`StoreError::Database`].
    pub async fn add_login(&self, login: &SecretHash, user: &str, lifetime_s: u64) -> Result<(), StoreError> {
        let id = user_id(user)?;
        let mut tx = self.begin_unlisted().await?;
        require_active(&mut tx, &id).await?;
        sqlx::query("INSERT INTO logins (hash, user_id, expires_at) VALUES ($1, $2, unixepoch() + $3)")
            .bind(&login.0[..])
            .bind(&*id)
            .bind(seconds(lifetime_s))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// A login that has not expired. (Suspending a user ends theirs.)
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn login(&self, login: &SecretHash) -> Result<Option<LoginRow>, StoreError> {
        let row: Option<(String, i64)> =
            sqlx::query_as("SELECT user_id, expires_at FROM logins WHERE hash = $1 AND expires_at > unixepoch()")
                .bind(&login.0[..])
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.map(|(user, expires_at)| LoginRow { user: user.into(), expires_at: timestamp(expires_at) }))
    }

    /// The hosts on which a login has live sessions.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn hosts_of_login(&self, login: &SecretHash) -> Result<BTreeSet<String>, StoreError> {
        let hosts: Vec<String> =
            sqlx::query_scalar("SELECT host FROM sessions WHERE login = $1 AND expires_at > unixepoch()")
                .bind(&login.0[..])
                .fetch_all(&self.pool)
                .await?;
        Ok(hosts.into_iter().collect())
    }

    /// The login that a live session was made from.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn login_of_session(&self, session: &SecretHash) -> Result<Option<SecretHash>, StoreError> {
        let login: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT login FROM sessions WHERE hash = $1 AND expires_at > unixepoch()")
                .bind(&session.0[..])
                .fetch_optional(&self.pool)
                .await?;
        Ok(login.and_then(hash))
    }

    /// Ends a login with every host session made from it. One that is not there is ended already.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn end_login(&self, login: &SecretHash) -> Result<Vec<Event>, StoreError> {
        let mut tx = self.begin().await?;
        let sessions = sqlx::query_scalar("SELECT hash FROM sessions WHERE login = $1")
            .bind(&login.0[..])
            .fetch_all(&mut *tx)
            .await?;
        sqlx::query("DELETE FROM logins WHERE hash = $1").bind(&login.0[..]).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(gone(sessions))
    }

    /// Ends all of a person's logins and sessions, and takes back their login links.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn end_logins_of(&self, user: &str) -> Result<Vec<Event>, StoreError> {
        let id = user_id(user)?;
        let mut tx = self.begin().await?;
        let events = drop_logins_of(&mut tx, &id).await?;
        tx.commit().await?;
        Ok(events)
    }

    /// Ends one host session.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn end_session(&self, session: &SecretHash) -> Result<Vec<Event>, StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query("DELETE FROM sessions WHERE hash = $1").bind(&session.0[..]).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(vec![Event::SessionGone(*session)])
    }
}

/// The events that end these sessions.
pub(super) fn gone(sessions: Vec<Vec<u8>>) -> Vec<Event> {
    sessions.into_iter().filter_map(hash).map(Event::SessionGone).collect()
}

/// The events that end a person's sessions; the rows are still there.
pub(super) async fn sessions_of(tx: &mut Transaction, user: &str) -> Result<Vec<Event>, StoreError> {
    let sessions =
        sqlx::query_scalar("SELECT hash FROM sessions WHERE user_id = $1").bind(user).fetch_all(&mut **tx).await?;
    Ok(gone(sessions))
}

/// Deletes a person's logins and links; sessions and tickets go with the logins.
pub(super) async fn drop_logins_of(tx: &mut Transaction, user: &str) -> Result<Vec<Event>, StoreError> {
    let events = sessions_of(tx, user).await?;
    sqlx::query("DELETE FROM logins WHERE user_id = $1").bind(user).execute(&mut **tx).await?;
    sqlx::query("DELETE FROM login_links WHERE user_id = $1").bind(user).execute(&mut **tx).await?;
    Ok(events)
}

async fn require_active(tx: &mut Transaction, user: &str) -> Result<(), StoreError> {
    let suspended: Option<i64> =
        sqlx::query_scalar("SELECT suspended FROM users WHERE id = $1").bind(user).fetch_optional(&mut **tx).await?;
    match suspended {
        None => Err(no_user(user)),
        Some(0) => Ok(()),
        Some(_) => Err(StoreError::LoginOver),
    }
}
