//! The contract with the control plane's schema, compared with the real database: queries, columns, grants, channels.
//!
//! It says precisely what is missing, and decides nothing.

use portway_core::host::Names;

use super::sessions::SessionSource;
use super::workspaces::{DatabaseSource, WorkspaceQuery};
use super::{Database, DatabaseError};

/// The role that connects, and whether it is a superuser.
///
/// # Errors
/// [`DatabaseError::Sql`].
pub async fn role(database: &Database) -> Result<(String, bool), DatabaseError> {
    let sql = "SELECT current_user::text, rolsuper FROM pg_roles WHERE rolname = current_user";
    super::in_time(sqlx::query_as(sql).fetch_one(database.pool())).await
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

/// The channels on which nothing notifies: no function of the database names them. A trigger may still be somewhere else,
/// so this is a warning.
///
/// # Errors
/// [`DatabaseError::Sql`].
pub async fn silent_channels(database: &Database, channels: &[String]) -> Result<Vec<String>, DatabaseError> {
    let sql = "SELECT channel FROM unnest($1::text[]) AS channel
               WHERE NOT EXISTS (SELECT 1 FROM pg_proc WHERE strpos(prosrc, channel) > 0)";
    super::in_time(sqlx::query_scalar(sql).bind(channels).fetch_all(database.pool())).await
}
