//! The gateway's edges: the TLS handshake in front, the dial behind, the stop at the end. One file for each.
//!
//! Each test starts the real binary; `PORTWAY_BIN` names another than the one cargo built.
#![expect(clippy::expect_used, reason = "a stage that cannot be set is a failed test")]

mod dialling;
mod hello;
mod stage;
mod stopping;
mod tls;
