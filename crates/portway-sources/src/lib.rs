//! Where records come from, and the one place that writes the world.
//!
//! A source turns what it has into core events; the [`Publisher`] applies them and tells whoever serves requests. Nothing
//! here knows a socket, a request or a page: this crate's words are rows, files and snapshots.
//!
//! Reading order: [`publisher`] (one change, one way), [`store`] (Portway's own state, in SQLite or PostgreSQL),
//! [mod@file] (the static workspace file), [`database`] (a control plane's PostgreSQL), [`watch`] (what keeps the
//! directory up with the first two).

pub mod activity;
pub mod client;
pub mod counters;
pub mod database;
pub mod file;
pub mod freshness;
pub mod publisher;
pub mod store;
pub mod watch;

pub use activity::{ActivityPlace, ActivityQuery, ActivitySettings, RedisServer, RedisSet, Used, Webhook};
pub use client::{ApiError, ApiServer, Call};
pub use counters::{Round, SharedCounters};
pub use database::demand::Demand;
pub use database::follow::ChangeTook;
pub use database::sessions::{ControlSession, Held, SessionSource};
pub use database::statement::StateStatement;
pub use database::workspaces::{AddressTemplate, DATABASE_SOURCE, DatabaseSource, WorkspaceQuery};
pub use database::{Database, DatabaseError, check as database_check};
pub use file::{FILE_SOURCE, FileError, read_file};
pub use freshness::Freshness;
pub use publisher::{Changes, Publisher};
pub use store::adopted::{Adopted, NewAdopted};
pub use store::audit::{Audit, AuditRow};
pub use store::logins::LoginRow;
pub use store::opening::{Migrated, SharedPlace, StorePlace, schema_name};
pub use store::ports::PortChange;
pub use store::tickets::{Redeemed, TicketFailure};
pub use store::tokens::{TOKEN_LIFETIME_MAX, TokenRow};
pub use store::users::{UserRow, user_id};
pub use store::workspaces::{NewWorkspace, WorkspaceChange};
pub use store::{STORE_SOURCE, Store, StoreError};
pub use watch::{CatchUp, load_file, watch_file, watch_store};
