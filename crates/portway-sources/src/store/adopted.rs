//! Logins that a control plane made and Portway took over: kept as logins of its own, each with the control plane's session
//! sealed beside it, so that it can be looked up again.
//!
//! What is sealed, and how, is not known here.

use std::collections::BTreeSet;

use portway_core::Timestamp;
use portway_core::secret::SecretHash;
use portway_core::snapshot::Event;
use portway_core::workspace::{Group, UserId};

use super::transaction::Lock;
use super::users::{groups_text, may_log_in, person, somebody};
use super::{Store, StoreError, hash, logins};

/// A login to take over.
#[derive(Clone, Debug)]
pub struct NewAdopted {
    pub hash: SecretHash,
    pub user: UserId,
    /// What people call them.
    pub name: Option<String>,
    /// The groups they are in.
    pub groups: BTreeSet<Group>,
    pub expires_at: Timestamp,
    pub sealed: Vec<u8>,
}

/// A login that was taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    pub hash: SecretHash,
    pub user: UserId,
    /// The groups that their user is known to be in.
    pub groups: BTreeSet<Group>,
    pub sealed: Vec<u8>,
}

/// `hash, sealed, id, suspended, member_of`
type AdoptedColumns = (Vec<u8>, Vec<u8>, String, i64, String);

impl Store {
    /// Keeps a login of the control plane's, or brings it up to date; its user is made where missing. A login that has
    /// changed hands ends first.
    ///
    /// # Errors
    /// [`StoreError::LoginOver`] for a suspended user, [`StoreError::Database`].
    pub async fn adopt_login(&self, login: &NewAdopted) -> Result<Vec<Event>, StoreError> {
        if self.is_adopted(login).await? {
            // Another gateway may have taken it over, and this one is yet to hear of its user.
            return Ok(vec![may_log_in(&login.user, login.groups.clone())]);
        }
        let mut tx = self.begin().await?;
        sqlx::query(
            "INSERT INTO users (id, name, member_of) VALUES ($1, $2, $3)
             ON CONFLICT (id) DO UPDATE SET name = excluded.name, member_of = excluded.member_of",
        )
        .bind(&*login.user)
        .bind(login.name.as_deref())
        .bind(groups_text(&login.groups))
        .execute(&mut *tx)
        .await?;
        let suspended: i64 = sqlx::query_scalar("SELECT suspended FROM users WHERE id = $1")
            .bind(&*login.user)
            .fetch_one(&mut *tx)
            .await?;
        if suspended != 0 {
            return Err(StoreError::LoginOver);
        }
        let other = sqlx::query_scalar("SELECT hash FROM sessions WHERE login = $1 AND user_id <> $2")
            .bind(&login.hash.0[..])
            .bind(&*login.user)
            .fetch_all(&mut *tx)
            .await?;
        let mut events = logins::gone(other);
        sqlx::query("DELETE FROM logins WHERE hash = $1 AND user_id <> $2")
            .bind(&login.hash.0[..])
            .bind(&*login.user)
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "INSERT INTO logins (hash, user_id, expires_at, sealed) VALUES ($1, $2, $3, $4)
             ON CONFLICT (hash) DO UPDATE SET expires_at = excluded.expires_at, sealed = excluded.sealed",
        )
        .bind(&login.hash.0[..])
        .bind(&*login.user)
        .bind(super::seconds(login.expires_at))
        .bind(&login.sealed[..])
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        events.push(may_log_in(&login.user, login.groups.clone()));
        Ok(events)
    }

    /// Whether nothing about a login is new, give or take a minute of its end.
    async fn is_adopted(&self, login: &NewAdopted) -> Result<bool, StoreError> {
        let ends = super::seconds(login.expires_at);
        let kept: Option<i64> = sqlx::query_scalar(
            "SELECT 1 FROM logins JOIN users ON users.id = logins.user_id
             WHERE hash = $1 AND user_id = $2 AND sealed IS NOT NULL AND suspended = 0
             AND coalesce(name, '') = $3 AND member_of = $4 AND logins.expires_at BETWEEN $5 AND $6",
        )
        .bind(&login.hash.0[..])
        .bind(&*login.user)
        .bind(login.name.as_deref().unwrap_or_default())
        .bind(groups_text(&login.groups))
        .bind(ends.saturating_sub(60))
        .bind(ends)
        .fetch_optional(&self.pool)
        .await?;
        Ok(kept.is_some())
    }

    /// Offers something sealed under this gateway's key, and gives what the first gateway on this state offered: whoever
    /// cannot open it has another key. `None` where no other gateway shares the state.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn agree_on_seal(&self, mine: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if matches!(self.lock, Lock::File) {
            return Ok(None);
        }
        sqlx::query("UPDATE meta SET seal_check = $1 WHERE seal_check IS NULL").bind(mine).execute(&self.pool).await?;
        Ok(sqlx::query_scalar("SELECT seal_check FROM meta").fetch_one(&self.pool).await?)
    }

    /// Every login that was taken over and has not expired.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn adopted_logins(&self) -> Result<Vec<Adopted>, StoreError> {
        let rows: Vec<AdoptedColumns> = sqlx::query_as(
            "SELECT hash, sealed, users.id, suspended, member_of FROM logins JOIN users ON users.id = logins.user_id
             WHERE sealed IS NOT NULL AND expires_at > unixepoch()",
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().filter_map(adopted).collect())
    }

    /// The login behind a live host session, with the control plane's session sealed beside it.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn adopted_of_session(&self, session: &SecretHash) -> Result<Option<Adopted>, StoreError> {
        let row: Option<AdoptedColumns> = sqlx::query_as(
            "SELECT logins.hash, sealed, users.id, suspended, member_of
             FROM sessions JOIN logins ON logins.hash = sessions.login JOIN users ON users.id = logins.user_id
             WHERE sessions.hash = $1 AND logins.sealed IS NOT NULL
             AND sessions.expires_at > unixepoch() AND logins.expires_at > unixepoch()",
        )
        .bind(&session.0[..])
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.and_then(adopted))
    }

    /// Notes which groups somebody is in now.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Database`].
    pub async fn set_groups(&self, user: &str, groups: &BTreeSet<Group>) -> Result<Vec<Event>, StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query("UPDATE users SET member_of = $1 WHERE id = $2")
            .bind(groups_text(groups))
            .bind(user)
            .execute(&mut *tx)
            .await?;
        let event = somebody(&mut tx, user).await?;
        tx.commit().await?;
        Ok(vec![event])
    }
}

fn adopted((bytes, sealed, id, suspended, member_of): AdoptedColumns) -> Option<Adopted> {
    let person = person((id, suspended, member_of));
    Some(Adopted { hash: hash(bytes)?, user: person.id.clone(), groups: person.groups.clone(), sealed })
}
