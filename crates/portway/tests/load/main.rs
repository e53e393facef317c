//! The real binary under weight and over time: gigabytes, thousands of streams, long silence, dev servers that die.
//!
//! One file for each behaviour. Each test starts a gateway of its own, checks every byte that passes, and prints what it
//! measured (`--no-capture` shows it); nothing here asserts a duration. `PORTWAY_BIN` names another binary than the one cargo
//! built, such as an optimised one.
#![expect(clippy::expect_used, reason = "a stage that cannot be set is a failed test")]
#![expect(clippy::print_stdout, reason = "what was measured is for whoever runs the test")]

mod cut_body;
mod http2;
mod idle;
mod keep_alive_race;
mod large;
mod limits;
mod memory;
mod node;
mod revocation;
mod stage;
mod websockets;
