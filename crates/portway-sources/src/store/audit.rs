//! The audit (R59): who did what to whose access. Bounded: the newest entries stay. What counts as an event is the
//! caller's to say; no secret may be in it.

use std::net::IpAddr;

use portway_core::Timestamp;

use super::{Store, StoreError, timestamp};

/// How many entries are kept.
pub const KEPT: i64 = 100_000;
/// The longest text of an entry, in bytes.
const TEXT_MAX: usize = 1024;

/// An entry to make.
#[derive(Clone, Copy, Debug)]
pub struct Audit<'a> {
    /// A word such as `login`, `ticket-replayed`, `share-set`.
    pub event: &'static str,
    pub user: Option<&'a str>,
    pub host: Option<&'a str>,
    pub peer: Option<IpAddr>,
    /// Cut after 1 KiB.
    pub detail: &'a str,
}

/// An entry as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Counts up, never repeats.
    pub id: i64,
    pub at: Timestamp,
    pub event: String,
    pub user: Option<String>,
    pub host: Option<String>,
    pub peer: Option<String>,
    pub detail: String,
}

impl Store {
    /// Makes an entry and lets the oldest beyond [`KEPT`] go.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn audit(&self, entry: &Audit<'_>) -> Result<(), StoreError> {
        let mut tx = self.begin_unlisted().await?;
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO audit (event, user_id, host, peer, detail) VALUES ($1, $2, $3, $4, $5) RETURNING id",
        )
        .bind(entry.event)
        .bind(entry.user.map(cut))
        .bind(entry.host.map(cut))
        .bind(entry.peer.map(|peer| peer.to_string()))
        .bind(cut(entry.detail))
        .fetch_one(&mut *tx)
        .await?;
        sqlx::query("DELETE FROM audit WHERE id <= $1").bind(id - KEPT).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The newest entries, newest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn audit_rows(&self, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        type Columns = (i64, i64, String, Option<String>, Option<String>, Option<String>, String);
        let rows: Vec<Columns> =
            sqlx::query_as("SELECT id, at, event, user_id, host, peer, detail FROM audit ORDER BY id DESC LIMIT $1")
                .bind(i64::from(limit))
                .fetch_all(&self.pool)
                .await?;
        Ok(rows
            .into_iter()
            .map(|(id, at, event, user, host, peer, detail)| AuditRow {
                id,
                at: timestamp(at),
                event,
                user,
                host,
                peer,
                detail,
            })
            .collect())
    }
}

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TEXT_MAX)).unwrap_or(text)
}
