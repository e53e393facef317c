//! Moving bytes between a visitor and a dev server for as long as the lease holds.

pub(crate) mod exchange;
pub(crate) mod forward;
pub(crate) mod pump;
mod refused;
pub(crate) mod visitor;
