//! Real servers, raw clients and a process harness for Portway's tests and benchmarks.
//!
//! Everything here talks over real loopback sockets and knows nothing of Portway's own crates: a
//! test drives the gateway as its visitors and dev servers would, and what it sees is bytes.
//! A failure inside this crate panics, because a test that cannot set its stage has failed.
//!
//! Reading order: [mod@patience] (how long to wait), [`gateway`] (the process under test),
//! [`client`] and [`visitor`] (the visitor's side), [`upstream`] (the dev server's side), [`websocket`], [`tls`];
//! [`postgres`] and [`redis`] (what a control plane stands on); [`dns`].
#![expect(clippy::expect_used, reason = "dev-only crate: a broken test stage is a failed test")]

pub mod client;
pub mod dns;
pub mod frames;
pub mod gateway;
pub mod message;
pub mod patience;
pub mod postgres;
pub mod redis;
pub mod service;
pub mod signer;
pub mod temp;
pub mod tls;
pub mod upstream;
pub mod visitor;
pub mod websocket;

pub use client::{Client, Ending};
pub use dns::Dns;
pub use gateway::Gateway;
pub use message::Message;
pub use patience::{eventually, eventually_async, patience, within};
pub use postgres::Postgres;
pub use redis::Redis;
pub use signer::Signer;
pub use temp::TempDir;
pub use tls::TestCa;
pub use upstream::{Bulk, Echo, Recorder, Step, WebSocketEcho};
pub use visitor::Visitor;
pub use websocket::WebSocket;

use tokio::io::{AsyncRead, AsyncWrite};

/// Any byte stream of this crate: plain TCP, TLS on either side, or an in-memory pipe.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}
