//! The WebSocket handshake (RFC 6455 4) as both protocols check it: the key, and the proof that it was understood.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portway_http1::{Name, RequestHead, ResponseHead};
use sha1::{Digest as _, Sha1};

/// A key for a handshake that came without one (RFC 8441 5): 16 random bytes in base64. `None` without randomness.
pub(super) fn fresh_key() -> Option<Vec<u8>> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(STANDARD.encode(bytes).into_bytes())
}

/// Whether a 101 is the right answer to this very handshake (RFC 6455 4.1): anything else may be a cached or a blind one.
pub(super) fn is_accepted(request: &RequestHead, response: &ResponseHead) -> bool {
    let fields = response.fields();
    let wanted = request.fields().get(Name::SecWebsocketKey).map(accept_value);
    fields.get(Name::SecWebsocketAccept) == wanted.as_deref()
        && !fields.repeated(Name::SecWebsocketAccept)
        && fields.list_contains(Name::Upgrade, "websocket")
        && fields.list_contains(Name::Connection, "upgrade")
}

/// RFC 6455 4.2.2.
fn accept_value(key: &[u8]) -> Vec<u8> {
    let digest = Sha1::new().chain_update(key).chain_update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    STANDARD.encode(digest).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proof_is_the_standards() {
        assert_eq!(accept_value(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let key = fresh_key().unwrap();
        assert!(key.len() == 24 && key != fresh_key().unwrap());
    }
}
