//! The control plane's sessions, by a query of the configuration: who a cookie's value is, and which of many still hold.
//!
//! Only the authoriser asks here, by a role that may read sessions and nothing else (R2, R71). Values of cookies are
//! parameters, and stand in no log.

use std::collections::BTreeSet;
use std::sync::Arc;

use portway_core::Timestamp;
use portway_core::workspace::{Group, UserId};
use sqlx::AssertSqlSafe;
use tokio::sync::OnceCell;

use super::{Database, DatabaseError, as_text, bare, in_time, listed, missing};
use crate::store::users::user_id;

pub(super) const REQUIRED: [&str; 2] = ["user", "expires_at"];

/// A session that holds now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlSession {
    pub user: UserId,
    /// What people call them.
    pub name: Option<String>,
    /// The groups they are in.
    pub groups: BTreeSet<Group>,
    /// The first second in which it is no longer valid.
    pub expires_at: Timestamp,
}

/// A session that still holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The value of its cookie.
    pub value: String,
    /// The groups that its user is in now; `None` where nobody says.
    pub groups: Option<BTreeSet<Group>>,
}

/// Looks sessions up. Clones share what was prepared.
#[derive(Clone, Debug)]
pub struct SessionSource {
    database: Database,
    sql: String,
    prepared: Arc<OnceCell<Prepared>>,
}

/// Statements for one value, and for many.
#[derive(Debug)]
struct Prepared {
    one: String,
    many: String,
}

/// `user, name, groups, end in Unix seconds`
type Row = (Option<String>, Option<String>, Option<String>, Option<i64>);

impl SessionSource {
    /// The sessions that `sql` gives; its `$1` is the value of the cookie, and a row of it holds until its `expires_at`.
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// [`DatabaseError::Contract`] without a `$1`.
    pub fn new(database: Database, sql: &str) -> Result<Self, DatabaseError> {
        if !sql.contains("$1") {
            return Err(DatabaseError::Contract(
                "the sessions query has no `$1`, where the value of the cookie goes".to_owned(),
            ));
        }
        Ok(Self { database, sql: sql.to_owned(), prepared: Arc::default() })
    }

    /// The statements, made once the database has said which columns the query gives.
    async fn prepared(&self) -> Result<&Prepared, DatabaseError> {
        self.prepared
            .get_or_try_init(|| async {
                let given = self.database.columns(&self.sql).await?;
                missing("the sessions query", &given, &REQUIRED)?;
                let [user, name, groups] = ["user", "name", "groups"].map(|name| as_text(&given, name));
                let end = "q.\"expires_at\"";
                let columns = format!("{user}, {name}, {groups}, floor(extract(epoch FROM {end}))::bigint");
                let one = format!("SELECT {columns} FROM ({}) AS q WHERE {end} > now() LIMIT 2", bare(&self.sql));
                // The same query once for each of many values, in one statement.
                let each = bare(&self.sql).replace("$1", "asked.id");
                let many = format!(
                    "SELECT asked.id, {groups} FROM unnest($1::text[]) AS asked(id) CROSS JOIN LATERAL ({each}) AS q WHERE {end} > now()"
                );
                Ok(Prepared { one, many })
            })
            .await
    }

    /// Whose session this is, if it holds. Of two answers none counts.
    ///
    /// # Errors
    /// [`DatabaseError::Contract`] names the columns that are missing, [`DatabaseError::Sql`], [`DatabaseError::Row`].
    pub async fn look_up(&self, value: &str) -> Result<Option<ControlSession>, DatabaseError> {
        let sql = AssertSqlSafe(self.prepared().await?.one.clone());
        let rows: Vec<Row> = in_time(sqlx::query_as(sql).bind(value).fetch_all(self.database.pool())).await?;
        let [(Some(user), name, groups, Some(expires_at))] = rows.as_slice() else { return Ok(None) };
        let user = user_id(user).map_err(|error| DatabaseError::Row(error.to_string()))?;
        let groups = listed("groups", groups.as_deref()).map_err(DatabaseError::Row)?;
        let expires_at = u64::try_from(*expires_at).unwrap_or(0);
        Ok(Some(ControlSession { user, name: name.clone(), groups, expires_at }))
    }

    /// Which of these sessions still hold.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`].
    pub async fn hold(&self, values: &[String]) -> Result<Vec<Held>, DatabaseError> {
        let sql = AssertSqlSafe(self.prepared().await?.many.clone());
        let rows: Vec<(String, Option<String>)> =
            in_time(sqlx::query_as(sql).bind(values).fetch_all(self.database.pool())).await?;
        let held = |(value, groups): (String, Option<String>)| {
            let groups = listed("groups", groups.as_deref()).map_err(DatabaseError::Row)?;
            Ok(Held { value, groups: Some(groups) })
        };
        rows.into_iter().map(held).collect()
    }
}
