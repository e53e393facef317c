//! Portway's data plane: from an accepted socket to the relay of bytes.
//!
//! One request goes left to right: `engine` accepts, `http::edge` does TLS and finds the protocol, `http::h1` and
//! `http::h2` read requests, `http::route` decides, `upstream` dials, `relay` moves bytes, `ledger` writes it down. It knows
//! no source, no login page, no command line and no SQL.

mod busy;
pub mod control;
pub mod core;
mod date;
pub mod directory;
pub mod durations;
pub mod engine;
pub mod http;
mod io;
mod json;
mod leases;
pub mod ledger;
pub mod limits;
mod refusal;
mod relay;
pub mod settings;
pub mod span;
pub mod tls;
pub mod trace;
mod upstream;
