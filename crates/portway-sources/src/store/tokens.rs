//! API tokens (R56): one user's, for one port of one workspace, for a while; kept as hashes. The secret itself is drawn,
//! shown and forgotten by the caller.

use std::sync::Arc;

use portway_core::Timestamp;
use portway_core::secret::SecretHash;
use portway_core::snapshot::{Event, Token};
use portway_core::workspace::UserId;

use super::users::{require_user, user_id};
use super::{Store, StoreError, Transaction, hash, key, port, random_text, seconds, timestamp};

/// The longest a token lives, in seconds: 90 days.
pub const TOKEN_LIFETIME_MAX: u64 = 90 * 24 * 3600;
/// The longest label, in bytes.
const LABEL_MAX: usize = 100;

/// A token as its owner may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// A short public name, to revoke it by.
    pub id: String,
    pub user: UserId,
    /// The key of the workspace it opens.
    pub workspace: Arc<str>,
    pub port: u16,
    pub label: Option<String>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// To the minute; `None` when never.
    pub last_used: Option<Timestamp>,
}

type Columns = (String, String, String, i64, Option<String>, i64, i64, Option<i64>);

impl Store {
    /// Keeps a token for `lifetime_s` seconds, 1 to [`TOKEN_LIFETIME_MAX`].
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a lifetime, port or label outside its rules; [`StoreError::NotFound`] without such a
    /// user; [`StoreError::Database`].
    pub async fn add_token(
        &self,
        token: &SecretHash,
        user: &str,
        workspace: &str,
        number: u16,
        lifetime_s: u64,
        label: Option<&str>,
    ) -> Result<(TokenRow, Vec<Event>), StoreError> {
        if !(1..=TOKEN_LIFETIME_MAX).contains(&lifetime_s) {
            return Err(StoreError::Invalid("a token lives 1 second to 90 days".to_owned()));
        }
        if label.is_some_and(|label| label.len() > LABEL_MAX || label.contains(char::is_control)) {
            return Err(StoreError::Invalid(format!(
                "a token's label is at most {LABEL_MAX} bytes, without control characters"
            )));
        }
        let user = user_id(user)?;
        let mut tx = self.begin().await?;
        require_user(&mut tx, &user).await?;
        let row: Columns = sqlx::query_as(
            "INSERT INTO tokens (id, hash, user_id, workspace, port, label, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, unixepoch() + $7)
             RETURNING id, user_id, workspace, port, label, created_at, expires_at, last_used",
        )
        .bind(random_text::<6>()?)
        .bind(&token.0[..])
        .bind(&*user)
        .bind(key(workspace))
        .bind(port(number)?)
        .bind(label)
        .bind(seconds(lifetime_s))
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        let row = token_row(row);
        let event = Event::Token(Arc::new(Token {
            hash: *token,
            user: row.user.clone(),
            workspace: row.workspace.clone(),
            port: row.port,
            expires_at: row.expires_at,
        }));
        Ok((row, vec![event]))
    }

    /// Tokens that have not expired: one user's, or everybody's.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn tokens(&self, user: Option<&str>) -> Result<Vec<TokenRow>, StoreError> {
        let rows = sqlx::query_as(
            "SELECT id, user_id, workspace, port, label, created_at, expires_at, last_used
             FROM tokens WHERE expires_at > unixepoch() AND user_id = coalesce($1, user_id)
             ORDER BY user_id, created_at, id",
        )
        .bind(user.map(str::to_ascii_lowercase))
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(token_row).collect())
    }

    /// Revokes a token by its public id.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Database`].
    pub async fn remove_token(&self, id: &str) -> Result<Vec<Event>, StoreError> {
        let mut tx = self.begin().await?;
        let removed: Vec<Vec<u8>> =
            sqlx::query_scalar("DELETE FROM tokens WHERE id = $1 RETURNING hash").bind(id).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        if removed.is_empty() {
            return Err(StoreError::NotFound { what: "token", name: id.to_owned() });
        }
        Ok(gone(removed))
    }

    /// Notes that a token was used; writes at most once a minute, so that a busy token costs nothing.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn touch_token(&self, token: &SecretHash) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE tokens SET last_used = unixepoch()
             WHERE hash = $1 AND coalesce(last_used, 0) <= unixepoch() - 60",
        )
        .bind(&token.0[..])
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

fn token_row(row: Columns) -> TokenRow {
    let (id, user, workspace, port, label, created_at, expires_at, last_used) = row;
    TokenRow {
        id,
        user: user.into(),
        workspace: workspace.into(),
        // The column's own check has it between 1 and 65535.
        port: u16::try_from(port).unwrap_or_default(),
        label,
        created_at: timestamp(created_at),
        expires_at: timestamp(expires_at),
        last_used: last_used.map(timestamp),
    }
}

/// The events that end these tokens.
pub(super) fn gone(tokens: Vec<Vec<u8>>) -> Vec<Event> {
    tokens.into_iter().filter_map(hash).map(Event::TokenGone).collect()
}

/// The events that end a person's tokens; the rows are still there.
pub(super) async fn of_user(tx: &mut Transaction, user: &str) -> Result<Vec<Event>, StoreError> {
    let tokens =
        sqlx::query_scalar("SELECT hash FROM tokens WHERE user_id = $1").bind(user).fetch_all(&mut **tx).await?;
    Ok(gone(tokens))
}

/// Deletes a workspace's tokens.
pub(super) async fn drop_of_workspace(tx: &mut Transaction, key: &str) -> Result<Vec<Event>, StoreError> {
    let tokens = sqlx::query_scalar("DELETE FROM tokens WHERE workspace = $1 RETURNING hash")
        .bind(key)
        .fetch_all(&mut **tx)
        .await?;
    Ok(gone(tokens))
}
