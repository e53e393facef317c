//! Statements of the configuration that start or stop a workspace, for a control plane whose tables are its API.
//!
//! Those for one owner run one after the other, over all gateways: what a statement counts as running holds until it has
//! written. What its outcome means is not known here.

use std::fmt;

use sqlx::{AssertSqlSafe, Row as _};

use super::{Database, DatabaseError, in_time, missing};

/// A statement with the id of a workspace as `$1`, that gives one row with an `outcome`, and none where there is no such
/// workspace.
#[derive(Clone)]
pub struct StateStatement {
    database: Database,
    sql: String,
}

impl fmt::Debug for StateStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateStatement").field("sql", &self.sql).finish_non_exhaustive()
    }
}

impl StateStatement {
    /// The statement at this database; nothing is asked yet.
    pub fn new(database: Database, sql: String) -> Self {
        Self { database, sql }
    }

    /// Compares it with the database: it is prepared and not run.
    ///
    /// # Errors
    /// What does not fit.
    pub async fn check(&self, what: &str) -> Result<(), DatabaseError> {
        missing(what, &self.database.columns(&self.sql).await?, &["outcome"])
    }

    /// Runs it for a workspace of this owner, and gives the outcome; `None` where it gave no row.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`].
    pub async fn run(&self, workspace: &str, owner: Option<&str>) -> Result<Option<String>, DatabaseError> {
        let asking = async {
            let mut tx = self.database.pool().begin().await?;
            // A statement sees what was there when it began, and so nothing that another counts and writes beside it.
            sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('portway ' || $1, 0))")
                .bind(owner.unwrap_or(workspace))
                .execute(&mut *tx)
                .await?;
            let asked = sqlx::query(AssertSqlSafe(self.sql.clone())).bind(workspace);
            let outcome = match asked.fetch_optional(&mut *tx).await? {
                Some(row) => Some(row.try_get::<String, _>("outcome")?),
                None => None,
            };
            tx.commit().await?;
            Ok(outcome)
        };
        in_time(asking).await
    }
}
