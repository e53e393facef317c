//! Connections to dev servers: dialled only with a permit, reused only within one workspace generation and one visitor.

mod conn;
mod dial;
pub(crate) mod ide;
mod pool;

pub(crate) use conn::Connection;
pub(crate) use dial::{DialError, Dialer, Door, keep_alive};
pub(crate) use pool::{Pool, PoolKey};
