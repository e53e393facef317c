//! Portway's rules, as pure functions over plain values.
//!
//! Nothing here opens a socket, reads a clock, a file or the environment, draws a random number or writes a log:
//! time and randomness are arguments. That is what lets every rule of access be tested by calling it.
//!
//! Reading order follows a request: [`host`] says what a name asks for, [`snapshot`] what exists and [`noticed`] what was seen of it, [`cookie`] and
//! [`secret`] who is asking, [`access`] whether they may, [`browser`] whether the page that asks may, [`mapping`] what the
//! dev server is told, [`dial`] where bytes may go at all.

pub mod access;
pub mod activity;
pub mod browser;
pub mod cookie;
pub mod dial;
pub mod host;
pub mod mapping;
pub mod noticed;
pub mod return_to;
pub mod secret;
pub mod snapshot;
pub mod ticket;
pub mod workspace;

#[cfg(test)]
mod testing;

/// Seconds since the Unix epoch. Always an argument here: the caller owns the clock.
pub type Timestamp = u64;
