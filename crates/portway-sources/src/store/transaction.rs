//! One change at a time: the write lock that every change takes first, and how a gateway learns that another process has
//! changed something.
//!
//! SQLite has both: one writer, and a version that moves when another connection wrote. In PostgreSQL one row is the lock,
//! and counts the changes that others must see; one's own are told apart from theirs here.

use std::collections::BTreeSet;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::{Any, AnyConnection};

use super::{Store, StoreError};

/// What serialises changes.
#[derive(Clone, Debug)]
pub(super) enum Lock {
    /// SQLite's own.
    File,
    /// The row of `meta`.
    Row(OwnChanges),
}

/// A transaction that holds the write lock. Dropped, it is rolled back.
pub(super) struct Transaction {
    // Dropped first: while the lock is held nobody else can be given the same number.
    counted: Option<Counted>,
    inner: sqlx::Transaction<'static, Any>,
}

impl Store {
    /// Begins a change that other gateways must see: anything that a listing shows.
    pub(super) async fn begin(&self) -> Result<Transaction, StoreError> {
        let Lock::Row(own) = &self.lock else { return self.begin_unlisted().await };
        let mut inner = self.pool.begin().await?;
        let number: i64 = sqlx::query_scalar("UPDATE meta SET changes = changes + 1 RETURNING changes")
            .fetch_one(&mut *inner)
            .await?;
        Ok(Transaction { counted: Some(Counted::new(own, number)), inner })
    }

    /// Begins a change that no listing shows: a ticket, a consent, an entry of the audit.
    pub(super) async fn begin_unlisted(&self) -> Result<Transaction, StoreError> {
        let inner = match &self.lock {
            // Taken first, so that what is read cannot be changed by another process before it is written.
            Lock::File => self.pool.begin_with("BEGIN IMMEDIATE").await?,
            Lock::Row(_) => {
                let mut inner = self.pool.begin().await?;
                sqlx::query("SELECT changes FROM meta FOR UPDATE").execute(&mut *inner).await?;
                inner
            }
        };
        Ok(Transaction { counted: None, inner })
    }

    /// A view of one moment, for several questions.
    pub(super) async fn look(&self) -> Result<sqlx::Transaction<'static, Any>, StoreError> {
        Ok(match &self.lock {
            Lock::File => self.pool.begin().await?,
            Lock::Row(_) => self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?,
        })
    }

    /// Changes whenever another process has made a change; own changes do not move it.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn data_version(&self) -> Result<i64, StoreError> {
        match &self.lock {
            Lock::File => Ok(sqlx::query_scalar("PRAGMA data_version").fetch_one(&self.pool).await?),
            Lock::Row(own) => {
                let changes = sqlx::query_scalar("SELECT changes FROM meta").fetch_one(&self.pool).await?;
                Ok(own.others(changes))
            }
        }
    }
}

impl Transaction {
    /// Makes it true. Where the answer is lost, the change counts as another's: whoever did it does not know of it.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        let Self { counted, inner } = self;
        inner.commit().await?;
        if let Some(counted) = counted {
            counted.keep();
        }
        Ok(())
    }
}

impl Deref for Transaction {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.inner
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.inner
    }
}

/// The numbers of this process's own changes.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnChanges(Arc<Mutex<Own>>);

#[derive(Debug, Default)]
struct Own {
    /// How many were seen to be done, and need no number any more.
    done: i64,
    /// Those that no look has seen yet.
    ahead: BTreeSet<i64>,
}

impl OwnChanges {
    fn lock(&self) -> MutexGuard<'_, Own> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many of the first `seen` changes were made by others.
    fn others(&self, seen: i64) -> i64 {
        let mut own = self.lock();
        let ahead = own.ahead.split_off(&seen.saturating_add(1));
        own.done += i64::try_from(own.ahead.len()).unwrap_or_default();
        own.ahead = ahead;
        seen - own.done
    }
}

/// A change that counts as one's own, unless it is not kept.
struct Counted {
    own: OwnChanges,
    number: i64,
    kept: bool,
}

impl Counted {
    fn new(own: &OwnChanges, number: i64) -> Self {
        own.lock().ahead.insert(number);
        Self { own: own.clone(), number, kept: false }
    }

    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let mut own = self.own.lock();
        if !own.ahead.remove(&self.number) {
            own.done -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_changes_of_others_are_counted() {
        let own = OwnChanges::default();
        assert_eq!(own.others(7), 7);
        Counted::new(&own, 8).keep();
        assert_eq!(own.others(8), 7);
        let under_way = Counted::new(&own, 10);
        assert_eq!(own.others(9), 8, "9 is another's, and 10 is not done yet");
        under_way.keep();
        assert_eq!(own.others(10), 8);
        drop(Counted::new(&own, 11));
        assert_eq!(own.others(10), 8, "rolled back: the number is free again");
        assert_eq!(own.others(11), 9, "and was another's");
        let lost = Counted::new(&own, 12);
        assert_eq!(own.others(12), 9);
        drop(lost);
        assert_eq!(own.others(12), 10, "done, and the answer was lost: it is to be looked at");
    }
}
