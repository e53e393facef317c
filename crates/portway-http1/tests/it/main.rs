//! The codec from outside: what it keeps, what it makes of any bytes at all, and where it differs from two parsers that
//! many servers are built on. One binary, so that it is linked once.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail by panicking")]

mod differential;
mod fidelity;
mod fuzz;
mod fuzz_bodies;
mod peers;
mod samples;
