//! From bytes to a routed request: the two visitor protocols, the spine that decides, and what is changed in heads.

pub mod answer;
mod challenge;
mod cors;
pub mod credentials;
pub mod edge;
pub mod edit;
pub(crate) mod forwarded;
mod frames;
pub mod h1;
pub mod h2;
mod loops;
mod proxy_protocol;
pub mod route;
mod wake;
mod websocket;

/// The one path prefix on workspace hosts that is ours.
const RESERVED: &[u8] = b"/.portway/";
