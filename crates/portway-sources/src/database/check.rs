//! The contract with the control plane's schema, compared with the real database: queries, columns, grants, channels.
//!
//! It says precisely what is missing, and decides nothing.

use portway_core::host::Names;
use sqlx::AssertSqlSafe;

use super::sessions::SessionSource;
use super::workspaces::{DatabaseSource, WorkspaceQuery};
use super::{Database, DatabaseError, bare, in_time, missing};

/// The role that connects, and whether it is a superuser.
///
/// # Errors
/// [`DatabaseError::Sql`].
pub async fn role(database: &Database) -> Result<(String, bool), DatabaseError> {
    let sql = "SELECT current_user::text, rolsuper FROM pg_roles WHERE rolname = current_user";
    in_time(sqlx::query_as(sql).fetch_one(database.pool())).await
}

/// Compares the workspaces query with the database: reads it once, as the gateway would.
///
/// # Errors
/// What is missing, in one sentence.
pub async fn workspaces(database: &Database, query: &WorkspaceQuery, names: &Names) -> Result<usize, DatabaseError> {
    let mut source = DatabaseSource::new(database.clone(), query.clone(), names.clone());
    Ok(source.listing().await?.workspaces.len())
}

/// Compares the sessions query with the database: asks for a session that cannot exist.
///
/// # Errors
/// What is missing, in one sentence.
pub async fn sessions(database: &Database, sql: &str) -> Result<(), DatabaseError> {
    let source = SessionSource::new(database.clone(), sql)?;
    source.look_up("").await?;
    source.hold(&[String::new()]).await?;
    Ok(())
}

/// Compares the shape that the session cookie is said to have with sessions that there are, of which the statement gives
/// `length` and whether they are `plain`: letters and digits alone. Gives how many were compared.
///
/// # Errors
/// How they differ, in one sentence.
pub async fn cookie(database: &Database, sample: &str, length: usize) -> Result<i64, DatabaseError> {
    let given = database.columns(sample).await?;
    missing("the sample of cookies", &given, &["length", "plain"])?;
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let sql = format!(
        "SELECT count(*), count(*) FILTER (WHERE length <> $1), (min(length) FILTER (WHERE length <> $1))::bigint,
         count(*) FILTER (WHERE NOT plain) FROM ({}) AS q",
        bare(sample)
    );
    let asked = sqlx::query_as(AssertSqlSafe(sql)).bind(length);
    let (all, others, other, strange): (i64, i64, Option<i64>, i64) = in_time(asked.fetch_one(database.pool())).await?;
    if let (1.., Some(other)) = (others, other) {
        return Err(DatabaseError::Contract(format!(
            "{others} of {all} sessions in the database have another length, such as {other}: whoever has one could not \
             log in here, and it would be sent to workspaces"
        )));
    }
    if strange > 0 {
        return Err(DatabaseError::Contract(format!(
            "{strange} of {all} sessions in the database are not of letters and digits alone: whoever has one could not \
             log in here, and it would be sent to workspaces"
        )));
    }
    Ok(all)
}

/// The channels on which nothing notifies: no function of the database names them. A trigger may still be somewhere else,
/// so this is a warning.
///
/// # Errors
/// [`DatabaseError::Sql`].
pub async fn silent_channels(database: &Database, channels: &[String]) -> Result<Vec<String>, DatabaseError> {
    let sql = "SELECT channel FROM unnest($1::text[]) AS channel
               WHERE NOT EXISTS (SELECT 1 FROM pg_proc WHERE strpos(prosrc, channel) > 0)";
    in_time(sqlx::query_scalar(sql).bind(channels).fetch_all(database.pool())).await
}
