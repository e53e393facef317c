//! What the real binary does on real sockets: one file for each behaviour, one binary to link.
//!
//! Each test starts a gateway of its own and dev servers that play a script; it sees bytes, logs and exit codes, never a
//! function of ours. `PORTWAY_BIN` names another binary than the one cargo built.
#![expect(clippy::expect_used, reason = "a stage that cannot be set is a failed test")]
#![expect(clippy::print_stdout, reason = "how long a change took is worth reading")]

mod activity;
mod back_off;
mod beside;
mod canaries;
mod carry;
mod certificates;
mod changes;
mod collector;
mod corpus;
mod cors;
mod dashboard;
mod demand;
mod dial;
mod events;
mod failover;
mod fidelity;
mod frames;
mod front;
mod groups;
mod half_close;
mod handover;
mod http2;
mod http2_client;
mod http2_frames;
mod hub;
mod interim;
mod jwt;
mod limits;
mod limits_shared;
mod loops;
mod memory;
mod metrics;
mod names;
mod old_visitors;
mod pool;
mod profiles;
mod proxies;
mod reload;
mod replicas;
mod response_edits;
mod revocation;
mod secrets;
mod siblings;
mod spoofing;
mod stage;
mod stop;
mod streaming;
mod systemd;
mod tls;
mod trace;
mod traces;
mod upstreams;
mod wake;
mod websocket;
mod websocket_http2;
