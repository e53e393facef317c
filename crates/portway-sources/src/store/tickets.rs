//! Tickets and what one becomes: a host session, exactly once. Also the consents that come before a ticket is given.
//!
//! What a ticket must match is core's `Ticket::check`; here are "exactly once" and the database's clock.

use std::sync::Arc;

use portway_core::secret::{Secret, SecretHash};
use portway_core::snapshot::{Event, HostSession};
use portway_core::ticket::{self, Ticket, TicketError};
use portway_core::workspace::UserId;

use super::logins::gone;
use super::users::{require_user, somebody, user_id};
use super::{Store, StoreError, Transaction, hash, key, port, seconds, timestamp};
use crate::publisher::Changes;

/// What a ticket became.
#[derive(Clone, Debug)]
pub struct Redeemed {
    pub user: UserId,
    /// Where on the host to go on.
    pub return_to: String,
    pub session: Arc<HostSession>,
    pub events: Vec<Event>,
}

/// A ticket that was refused.
#[derive(Clone, Debug)]
pub struct TicketFailure {
    pub error: TicketError,
    /// Ends the session that the first use made, when this was a second one (R10).
    pub events: Vec<Event>,
    /// Whose ticket it was, where it was one; for the audit.
    pub user: Option<UserId>,
}

impl Changes for Redeemed {
    fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}

impl Changes for TicketFailure {
    fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}

/// `tickets` columns with the database's time.
type TicketRow = (String, Vec<u8>, String, Vec<u8>, String, i64, i64, Option<Vec<u8>>, i64);

impl Store {
    /// Keeps a ticket for [`ticket::LIFETIME`] seconds by the database's clock; its own `expires_at` is not read.
    ///
    /// # Errors
    /// [`StoreError::LoginOver`] unless its login is alive and its user's, [`StoreError::Database`].
    pub async fn add_ticket(&self, hash: &SecretHash, ticket: &Ticket) -> Result<(), StoreError> {
        let mut tx = self.begin_unlisted().await?;
        let added = sqlx::query(
            "INSERT INTO tickets (hash, host, challenge, user_id, login, return_to, expires_at)
             SELECT $1, $2, $3, user_id, hash, $4, unixepoch() + $5
             FROM logins WHERE hash = $6 AND user_id = $7 AND expires_at > unixepoch()",
        )
        .bind(&hash.0[..])
        .bind(&ticket.host)
        .bind(&ticket.challenge.0[..])
        .bind(&ticket.return_to)
        .bind(seconds(ticket::LIFETIME))
        .bind(&ticket.login.0[..])
        .bind(&*ticket.user)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        if added.rows_affected() == 0 { Err(StoreError::LoginOver) } else { Ok(()) }
    }

    /// Turns a ticket into the session `session` on `host`, which ends after `session_lifetime_s` seconds or with its
    /// login. Of all callers, in all processes, one wins. Any attempt uses the ticket up, a wrong one too; a second use of
    /// a redeemed ticket ends the session that the first made (R10).
    ///
    /// # Errors
    /// [`StoreError::Database`]. A refusal is the inner error.
    pub async fn redeem_ticket(
        &self,
        ticket: &SecretHash,
        host: &str,
        nonce: Option<&Secret>,
        session: &SecretHash,
        session_lifetime_s: u64,
    ) -> Result<Result<Redeemed, TicketFailure>, StoreError> {
        let mut tx = self.begin().await?;
        let row: Option<TicketRow> = sqlx::query_as(
            "SELECT host, challenge, user_id, login, return_to, expires_at, used, session, unixepoch()
             FROM tickets WHERE hash = $1",
        )
        .bind(&ticket.0[..])
        .fetch_optional(&mut *tx)
        .await?;
        let refused = |error, events, user| Ok(Err(TicketFailure { error, events, user }));
        let Some((for_host, challenge, user, login, return_to, expires_at, used, made, now)) = row else {
            return refused(TicketError::Unknown, Vec::new(), None);
        };
        let user = UserId::from(user);
        if used != 0 {
            let events = end_made(&mut tx, made).await?;
            tx.commit().await?;
            return refused(TicketError::Unknown, events, Some(user));
        }
        sqlx::query("UPDATE tickets SET used = 1 WHERE hash = $1").bind(&ticket.0[..]).execute(&mut *tx).await?;
        let (Some(challenge), Some(login)) = (hash(challenge), hash(login)) else {
            return refused(TicketError::Unknown, Vec::new(), Some(user));
        };
        let expires_at = timestamp(expires_at);
        let found = Ticket { host: for_host, challenge, user, login, return_to, expires_at };
        let made = match found.check(host, nonce, timestamp(now)) {
            Ok(()) => make_session(&mut tx, ticket, &found, session, session_lifetime_s).await?,
            Err(error) => {
                tx.commit().await?;
                return refused(error, Vec::new(), Some(found.user));
            }
        };
        let Some(session) = made else {
            // The login ended while the visitor was on the way.
            tx.commit().await?;
            return refused(TicketError::Unknown, Vec::new(), Some(found.user));
        };
        // Another gateway may have made the login a moment ago, and its user with it.
        let events = vec![somebody(&mut tx, &found.user).await?, Event::Session(session.clone())];
        tx.commit().await?;
        Ok(Ok(Redeemed { user: found.user, return_to: found.return_to, session, events }))
    }

    /// Notes that a person agreed to visit another's port (R15).
    ///
    /// # Errors
    /// [`StoreError::NotFound`] without such a user, [`StoreError::Invalid`], [`StoreError::Database`].
    pub async fn add_consent(&self, user: &str, workspace: &str, number: u16) -> Result<(), StoreError> {
        let (id, number) = (user_id(user)?, port(number)?);
        let mut tx = self.begin_unlisted().await?;
        require_user(&mut tx, &id).await?;
        sqlx::query("INSERT INTO consents (user_id, workspace, port) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
            .bind(&*id)
            .bind(key(workspace))
            .bind(number)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Whether a person agreed to visit another's port.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn has_consent(&self, user: &str, workspace: &str, number: u16) -> Result<bool, StoreError> {
        let found: Option<i64> =
            sqlx::query_scalar("SELECT 1 FROM consents WHERE user_id = $1 AND workspace = $2 AND port = $3")
                .bind(user)
                .bind(key(workspace))
                .bind(i64::from(number))
                .fetch_optional(&self.pool)
                .await?;
        Ok(found.is_some())
    }
}

/// Makes the session and notes it on the ticket; `None` when the login is over.
async fn make_session(
    tx: &mut Transaction,
    ticket: &SecretHash,
    found: &Ticket,
    session: &SecretHash,
    lifetime_s: u64,
) -> Result<Option<Arc<HostSession>>, StoreError> {
    let expires_at: Option<i64> = sqlx::query_scalar(
        "INSERT INTO sessions (hash, user_id, login, host, expires_at)
         SELECT $1, user_id, hash, $2, CASE WHEN unixepoch() + $3 < expires_at THEN unixepoch() + $3 ELSE expires_at END
         FROM logins WHERE hash = $4 AND user_id = $5 AND expires_at > unixepoch()
         AND NOT EXISTS (SELECT 1 FROM users WHERE id = $5 AND suspended = 1)
         RETURNING expires_at",
    )
    .bind(&session.0[..])
    .bind(&found.host)
    .bind(seconds(lifetime_s))
    .bind(&found.login.0[..])
    .bind(&*found.user)
    .fetch_optional(&mut **tx)
    .await?;
    let Some(expires_at) = expires_at else {
        return Ok(None);
    };
    sqlx::query("UPDATE tickets SET session = $1 WHERE hash = $2")
        .bind(&session.0[..])
        .bind(&ticket.0[..])
        .execute(&mut **tx)
        .await?;
    Ok(Some(Arc::new(HostSession {
        hash: *session,
        user: found.user.clone(),
        host: found.host.as_str().into(),
        expires_at: timestamp(expires_at),
    })))
}

/// Ends the session that the first use of a ticket made, if it made one that still lives.
async fn end_made(tx: &mut Transaction, session: Option<Vec<u8>>) -> Result<Vec<Event>, StoreError> {
    let ended = sqlx::query_scalar("DELETE FROM sessions WHERE hash = $1 RETURNING hash")
        .bind(session)
        .fetch_all(&mut **tx)
        .await?;
    Ok(gone(ended))
}
