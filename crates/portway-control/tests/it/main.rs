//! The control host from the outside: requests in, answers out, with a real store. No socket is needed.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod api;
mod authorize;
mod callback;
mod home;
mod login;
mod origins;
mod pages;
mod redirects;
mod stage;
