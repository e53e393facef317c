//! `portway health`: asks the operations listener of a running gateway for `/healthz`.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use serde::Serialize;

use crate::cli::{Global, Health};
use crate::config::Flags;
use crate::output::{Failure, Output};
use crate::running::Running;

/// More than any answer to `/healthz`.
const ANSWER_MAX: u64 = 64 * 1024;

#[derive(Serialize)]
struct Record {
    healthy: bool,
    ops: SocketAddr,
    status: u16,
}

pub(crate) fn run(global: &Global, args: &Health) -> Result<(), Failure> {
    let ops = reachable(match args.ops {
        Some(ops) => ops,
        None => {
            let flags = Flags { config: global.config.clone(), data: global.data.clone(), ..Flags::default() };
            let settings = super::settings(&flags)?;
            Running::find(&settings.data).map_or(settings.ops, |running| running.ops)
        }
    });
    let status = ask(ops, args.timeout).map_err(|error| {
        Failure::failed(format!("no gateway answers on {ops}: {error}"))
            .hint("`portway serve` starts one; --ops names another operations listener")
    })?;
    let healthy = status == 200;
    let human = if healthy { "healthy" } else { "not healthy" };
    Output { json: global.json }.record(&Record { healthy, ops, status }, human)?;
    if healthy { Ok(()) } else { Err(Failure::failed(format!("the gateway on {ops} answers {status}"))) }
}

/// A listener on every address is asked on loopback.
fn reachable(mut ops: SocketAddr) -> SocketAddr {
    if ops.ip().is_unspecified() {
        let [v4, v6] = portway_core::dial::LOOPBACK;
        ops.set_ip(match ops.ip() {
            IpAddr::V4(_) => v4,
            IpAddr::V6(_) => v6,
        });
    }
    ops
}

/// One GET over HTTP/1.1; the status of the answer (RFC 9112 4).
fn ask(ops: SocketAddr, timeout: Duration) -> std::io::Result<u16> {
    let timeout = timeout.max(Duration::from_millis(1));
    let mut stream = TcpStream::connect_timeout(&ops, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    stream.write_all(format!("GET /healthz HTTP/1.1\r\nHost: {ops}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer)?;
    let status = answer
        .strip_prefix(b"HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|text| std::str::from_utf8(text).ok());
    status.and_then(|status| status.parse().ok()).ok_or_else(|| std::io::Error::other("the answer is not HTTP/1.1"))
}
