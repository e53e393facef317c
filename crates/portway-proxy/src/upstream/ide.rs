//! Reaching a port that only listens on the workspace's own loopback, through the IDE that runs beside it: code-server
//! forwards `/proxy/{port}/…` to it and takes the prefix off.
//!
//! Whoever comes this way holds the permit for that port, never one for the IDE. What they send becomes a request below the
//! prefix or none at all, so that no byte of theirs is a request to the IDE itself.

use portway_core::access::Permit;
use portway_http1::{Framing, Name, RequestHead, ResponseHead};
use tokio::time::timeout;

use super::{Connection, Dialer, Door};
use crate::settings::Settings;

/// How the IDE may call the workspace's loopback when it says that a port there is closed.
const LOOPBACK: [&str; 3] = ["0.0.0.0", "127.0.0.1", "::1"];

/// The prefix under which the IDE forwards to a port.
pub(crate) fn prefix(port: u16) -> String {
    format!("/proxy/{port}")
}

/// What code-server's own pages say of a request that it does not pass on: it has a password, or its proxy is turned off.
const OWN_PAGES: [(u16, &str); 2] = [(401, "401 - code-server"), (403, "403 - code-server")];

/// Whether the IDE passes on what this request says, and to that port only.
pub(crate) fn may_carry(request: &RequestHead) -> bool {
    // Its proxy gives these a length of 0 if they have none, and the body all the same: a second request to the dev server.
    let misframed = matches!(request.method(), b"DELETE" | b"OPTIONS") && request.framing() == Framing::Chunked;
    !misframed && stays_below(request.path_and_query())
}

/// Whether a path can stand behind the prefix and still mean a path of the port: no segment leads out of it, in any
/// spelling that some server might read so.
fn stays_below(path_and_query: &[u8]) -> bool {
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
    // Only a browser hears from the IDE who it is that refuses.
    let request = format!(
        "GET {}/ HTTP/1.1\r\nHost: localhost:{port}\r\nAccept: text/html\r\nConnection: close\r\n\r\n",
        prefix(port)
    );
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

/// Whether an answer is the IDE's own word that it reaches nothing: its proxy found the port closed or is turned off, or it
/// wants its own login first.
pub(crate) async fn refuses(connection: &mut Connection, response: &ResponseHead, port: u16) -> bool {
    if response.fields().get(Name::Location).is_some_and(is_login) {
        return true;
    }
    if response.status() == 500 {
        // A dev server may speak of a connection of its own that was refused, but hardly of one to itself.
        let words = LOOPBACK.map(|address| format!("ECONNREFUSED {address}:{port}"));
        let words = words.each_ref().map(String::as_str);
        // A WebSocket hears it in the reason phrase, without a body.
        return words.iter().any(|words| contains(response.reason(), words.as_bytes()))
            || connection.body_says(response.framing(), &words).await;
    }
    match OWN_PAGES.iter().find(|(status, _)| *status == response.status()) {
        Some((_, words)) => connection.body_says(response.framing(), &[words]).await,
        None => false,
    }
}

/// Whether a `Location` is code-server's way to its login from below the prefix: `./../../login`, perhaps with a query. Nobody
/// else writes a `./` in front of a `../`.
fn is_login(location: &[u8]) -> bool {
    let path = location.split(|b| *b == b'?').next().unwrap_or_default();
    let Some(mut rest) = path.strip_prefix(b"./../") else { return false };
    while let Some(up) = rest.strip_prefix(b"../") {
        rest = up;
    }
    rest == b"login"
}

fn contains(text: &[u8], words: &[u8]) -> bool {
    text.windows(words.len()).any(|part| part == words)
}

#[cfg(test)]
mod tests {
    use super::{is_login, stays_below};

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
            assert!(!stays_below(path.as_bytes()), "{path}");
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
            assert!(stays_below(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn a_login_is_the_ides_only_in_its_own_spelling() {
        for location in ["./../../login", "./../login?to=", "./../../login?a=b&to=%2Fproxy%2F3000%2F"] {
            assert!(is_login(location.as_bytes()), "{location}");
        }
        for location in
            ["/login", "login", "./login", "../login", "./../../login/", "./../../x/login", "./../../logins", ""]
        {
            assert!(!is_login(location.as_bytes()), "{location}");
        }
    }
}
