//! People: names, password hashes, suspension. It does not know how a password is hashed or checked.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use portway_core::Timestamp;
use portway_core::snapshot::Event;
use portway_core::workspace::{Group, User, UserId};

use super::logins::{drop_logins_of, sessions_of};
use super::{Store, StoreError, Transaction, listing, timestamp, tokens};

/// The longest user name, in bytes.
const NAME_MAX: usize = 64;

/// A person as stored.
#[derive(Clone, PartialEq, Eq)]
pub struct UserRow {
    /// The name in lower case.
    pub id: UserId,
    /// The password's hash as a PHC string; `None` for nobody's password.
    pub password: Option<String>,
    pub suspended: bool,
    pub created_at: Timestamp,
}

impl fmt::Debug for UserRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserRow")
            .field("id", &self.id)
            .field("password", &self.password.as_ref().map(|_| "…"))
            .field("suspended", &self.suspended)
            .field("created_at", &self.created_at)
            .finish()
    }
}

/// The id of a user name: names differ ignoring ASCII case.
///
/// # Errors
/// [`StoreError::Invalid`] unless it is 1 to 64 of `a-z 0-9 . _ @ -`.
pub fn user_id(name: &str) -> Result<UserId, StoreError> {
    let id = name.to_ascii_lowercase();
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._@-".contains(&b);
    if (1..=NAME_MAX).contains(&id.len()) && id.bytes().all(legal) {
        return Ok(id.into());
    }
    Err(StoreError::Invalid(format!(
        "`{}` is not a user name: use 1 to {NAME_MAX} letters, digits, `.`, `_`, `@` and `-`",
        name.escape_debug()
    )))
}

impl Store {
    /// Adds a person without a password.
    ///
    /// # Errors
    /// [`StoreError::Invalid`], [`StoreError::Exists`], [`StoreError::Database`].
    pub async fn add_user(&self, name: &str) -> Result<Vec<Event>, StoreError> {
        let id = user_id(name)?;
        let mut tx = self.begin().await?;
        let added = sqlx::query("INSERT INTO users (id) VALUES ($1) ON CONFLICT DO NOTHING")
            .bind(&*id)
            .execute(&mut *tx)
            .await?;
        if added.rows_affected() == 0 {
            return Err(StoreError::Exists { what: "user", name: id.to_string() });
        }
        tx.commit().await?;
        Ok(vec![may_log_in(&id, BTreeSet::new())])
    }

    /// Sets or takes away a password, as a PHC string. Logins go on; [`Store::end_logins_of`] ends them.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Database`].
    pub async fn set_password(&self, name: &str, phc: Option<&str>) -> Result<(), StoreError> {
        let id = user_id(name)?;
        let mut tx = self.begin_unlisted().await?;
        let set =
            sqlx::query("UPDATE users SET password = $1 WHERE id = $2").bind(phc).bind(&*id).execute(&mut *tx).await?;
        tx.commit().await?;
        if set.rows_affected() == 0 { Err(no_user(&id)) } else { Ok(()) }
    }

    /// Suspends a person, which ends their logins, sessions and login links at once, or lets them in again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Database`].
    pub async fn set_suspended(&self, name: &str, suspended: bool) -> Result<Vec<Event>, StoreError> {
        let id = user_id(name)?;
        let mut tx = self.begin().await?;
        let set = sqlx::query("UPDATE users SET suspended = $1 WHERE id = $2")
            .bind(i64::from(suspended))
            .bind(&*id)
            .execute(&mut *tx)
            .await?;
        if set.rows_affected() == 0 {
            return Err(no_user(&id));
        }
        let mut events = vec![somebody(&mut tx, &id).await?];
        if suspended {
            events.extend(drop_logins_of(&mut tx, &id).await?);
        }
        tx.commit().await?;
        Ok(events)
    }

    /// Removes a person with their logins, sessions, tokens and the shares that name them.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::OwnsWorkspaces`] while they own some; [`StoreError::Database`].
    pub async fn remove_user(&self, name: &str) -> Result<Vec<Event>, StoreError> {
        let id = user_id(name)?;
        let mut tx = self.begin().await?;
        require_user(&mut tx, &id).await?;
        let workspaces: Vec<String> = sqlx::query_scalar("SELECT id FROM workspaces WHERE owner = $1 ORDER BY key")
            .bind(&*id)
            .fetch_all(&mut *tx)
            .await?;
        if !workspaces.is_empty() {
            return Err(StoreError::OwnsWorkspaces { user: id.to_string(), workspaces });
        }
        let shared: Vec<String> = sqlx::query_scalar("SELECT DISTINCT workspace FROM shares WHERE user_id = $1")
            .bind(&*id)
            .fetch_all(&mut *tx)
            .await?;
        let mut events = sessions_of(&mut tx, &id).await?;
        events.extend(tokens::of_user(&mut tx, &id).await?);
        // Everything else that names them goes by foreign keys.
        sqlx::query("DELETE FROM users WHERE id = $1").bind(&*id).execute(&mut *tx).await?;
        for workspace in shared {
            events.push(listing::ports_event(&mut tx, &workspace).await?);
        }
        events.push(Event::UserGone(id));
        tx.commit().await?;
        Ok(events)
    }

    /// One person; `None` too for a text that is no user name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn user(&self, name: &str) -> Result<Option<UserRow>, StoreError> {
        let Ok(id) = user_id(name) else {
            return Ok(None);
        };
        let row = sqlx::query_as("SELECT id, password, suspended, created_at FROM users WHERE id = $1")
            .bind(&*id)
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(user_row))
    }

    /// Everybody, by name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn users(&self) -> Result<Vec<UserRow>, StoreError> {
        let rows = sqlx::query_as("SELECT id, password, suspended, created_at FROM users ORDER BY id")
            .fetch_all(&self.pool)
            .await?;
        Ok(rows.into_iter().map(user_row).collect())
    }
}

fn user_row((id, password, suspended, created_at): (String, Option<String>, i64, i64)) -> UserRow {
    UserRow { id: id.into(), password, suspended: suspended != 0, created_at: timestamp(created_at) }
}

/// `id, suspended, member_of`
pub(super) type PersonColumns = (String, i64, String);
pub(super) const PERSON_COLUMNS: &str = "SELECT id, suspended, member_of FROM users";

/// A row as a core value. Groups that cannot be read are none: they open nothing.
pub(super) fn person((id, suspended, member_of): PersonColumns) -> Arc<User> {
    let groups = serde_json::from_str::<Vec<String>>(&member_of).unwrap_or_default();
    let groups = groups.into_iter().map(Group::from).collect();
    Arc::new(User { id: id.into(), suspended: suspended != 0, groups })
}

/// Groups as their column keeps them: in order, so that the same ones are the same text.
pub(super) fn groups_text(groups: &BTreeSet<Group>) -> String {
    serde_json::Value::from_iter(groups.iter().map(|group| &**group)).to_string()
}

/// The event that somebody is there, and not suspended.
pub(super) fn may_log_in(id: &UserId, groups: BTreeSet<Group>) -> Event {
    Event::User(Arc::new(User { id: id.clone(), suspended: false, groups }))
}

/// The event that somebody is as they are kept.
pub(super) async fn somebody(tx: &mut Transaction, id: &str) -> Result<Event, StoreError> {
    let row: Option<PersonColumns> = sqlx::query_as("SELECT id, suspended, member_of FROM users WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut **tx)
        .await?;
    row.map(|row| Event::User(person(row))).ok_or_else(|| no_user(id))
}

pub(super) fn no_user(id: &str) -> StoreError {
    StoreError::NotFound { what: "user", name: id.to_owned() }
}

pub(super) async fn require_user(tx: &mut Transaction, id: &str) -> Result<(), StoreError> {
    let found: Option<i64> =
        sqlx::query_scalar("SELECT 1 FROM users WHERE id = $1").bind(id).fetch_optional(&mut **tx).await?;
    found.map(|_| ()).ok_or_else(|| no_user(id))
}
