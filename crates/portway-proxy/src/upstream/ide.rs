//! Reaching a port that only listens on the workspace's own loopback, through the IDE that runs beside it: code-server
//! forwards `/proxy/{port}/…` to it and takes the prefix off.
//!
//! Whoever comes this way holds the permit for that port, never one for the IDE. What they send becomes a request below the
//! prefix or none at all, so that no byte of theirs is a request to the IDE itself.

use portway_core::access::Permit;
use portway_http1::{Name, ResponseHead};
use tokio::time::timeout;

use super::{Connection, Dialer, Door};
use crate::settings::Settings;

/// How the IDE may call the workspace's loopback when it says that a port there is closed.
const LOOPBACK: [&str; 3] = ["0.0.0.0", "127.0.0.1", "::1"];

/// The prefix under which the IDE forwards to a port.
pub(crate) fn prefix(port: u16) -> String {
    format!("/proxy/{port}")
}

/// Whether a path can stand behind the prefix and still mean a path of the port: no segment leads out of it, in any
/// spelling that some server might read so.
pub(crate) fn may_carry(path_and_query: &[u8]) -> bool {
    let path = path_and_query.split(|b| *b == b'?').next().unwrap_or_default();
    let lower = path.to_ascii_lowercase();
    // Escapes of a dot, a slash or a backslash are read as such before segments are compared.
    let mut plain = Vec::with_capacity(lower.len());
    let mut rest = lower.as_slice();
    while let [byte, tail @ ..] = rest {
        let (decoded, after) = match rest {
            [b'%', b'2', b'e', after @ ..] => (b'.', after),
            [b'%', b'2', b'f', after @ ..] | [b'%', b'5', b'c', after @ ..] | [b'\\', after @ ..] => (b'/', after),
            // An escaped percent sign could be any of these to whoever decodes twice.
            [b'%', b'2', b'5', ..] => return false,
            _ => (*byte, tail),
        };
        plain.push(decoded);
        rest = after;
    }
    plain.starts_with(b"/") && !plain.split(|b| *b == b'/').any(|segment| segment == b"." || segment == b"..")
}

/// Whether the IDE reaches the port, found out by asking for its first page.
pub(crate) async fn is_open(dialer: &Dialer, permit: &Permit, settings: &Settings) -> bool {
    let Some(ide) = settings.ide.filter(|ide| *ide != permit.port()) else { return false };
    let addresses = dialer.addresses(permit).await;
    let Ok(mut connection) = dialer.dial(permit, &addresses, Door::Ide(ide)).await else { return false };
    let port = permit.port();
    let request = format!("GET {}/ HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n", prefix(port));
    let answer = async {
        connection.io.write_all(request.as_bytes()).await.ok()?;
        loop {
            if let Some(head) = connection.parser.response(&mut connection.buf, b"GET").ok()? {
                return Some(refuses(&mut connection, &head, port).await);
            }
            connection.io.fill(&mut connection.buf).await.ok().filter(|read| *read > 0)?;
        }
    };
    matches!(timeout(settings.timeouts.connect, answer).await, Ok(Some(false)))
}

/// Whether an answer is the IDE's own word that it reaches nothing: its proxy found the port closed, or it wants its own
/// login first, with the way back to the path that it was asked.
pub(crate) async fn refuses(connection: &mut Connection, response: &ResponseHead, port: u16) -> bool {
    let location = response.fields().get(Name::Location).unwrap_or_default();
    let back = format!("login?to=%2Fproxy%2F{port}");
    let to_login = location.windows(back.len()).any(|part| part == back.as_bytes());
    // A dev server may speak of a connection of its own that was refused, but hardly of one to itself.
    let refused = LOOPBACK.map(|address| format!("ECONNREFUSED {address}:{port}"));
    let refused = refused.each_ref().map(String::as_str);
    to_login || response.status() == 500 && connection.body_says(response.framing(), &refused).await
}

#[cfg(test)]
mod tests {
    use super::may_carry;

    #[test]
    fn no_path_leads_out_of_the_prefix() {
        for path in [
            "/..",
            "/../",
            "/a/../b",
            "/.",
            "/./x",
            "/%2e%2e/",
            "/%2E./x",
            "/.%2e",
            "/..%2f",
            "/..%5cx",
            "/..\\x",
            "/a\\..\\b",
            "/%252e%252e/",
            "/x%25",
            "*",
            "",
            "x",
            "http://a/",
        ] {
            assert!(!may_carry(path.as_bytes()), "{path}");
        }
        for path in [
            "/",
            "/a/b?x=../..",
            "//",
            "/a//b",
            "/...",
            "/.well-known/x",
            "/a..b",
            "/%20",
            "/src/App.tsx?t=1",
            "/@vite/client",
            "/%e2%82%ac",
        ] {
            assert!(may_carry(path.as_bytes()), "{path}");
        }
    }
}
