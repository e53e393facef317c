//! The rules from outside, through what is public alone. One binary, so that it is linked once.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail by panicking")]

mod fuzz;
mod fuzz_bodies;
