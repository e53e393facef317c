//! Who is asking: the host session or token that came with a request, looked up by hash.
//!
//! What is read here is removed from what goes upstream by `edit`. Policy and sources are not known.

use portway_core::access::Visitor;
use portway_core::cookie::{self, Found};
use portway_core::secret::Secret;
use portway_core::snapshot::Snapshot;
use portway_http1::{Fields, Name};

/// The header that carries an API token. `Authorization` belongs to the app (R56).
pub const TOKEN_HEADER: &[u8] = b"x-portway-token";

/// What a request says about its visitor.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub visitor: Visitor,
    /// A token came that is none of ours, or is no longer.
    pub bad_token: bool,
    /// The session cookie came twice or stands for nothing, and should be expired (R4).
    pub stale_cookie: bool,
}

/// Reads credentials from a head.
pub fn read(fields: &Fields, snapshot: &Snapshot) -> Credentials {
    let mut tokens = fields.iter().filter(|f| f.id == Name::XPortway && f.name.eq_ignore_ascii_case(TOKEN_HEADER));
    if let Some(first) = tokens.next() {
        let single = tokens.next().is_none();
        let token =
            Secret::read_token(first.value).filter(|_| single).and_then(|secret| snapshot.token(&secret.hash()));
        return match token {
            Some(token) => {
                Credentials { visitor: Visitor::Token(token.clone()), bad_token: false, stale_cookie: false }
            }
            None => Credentials { visitor: Visitor::Anonymous, bad_token: true, stale_cookie: false },
        };
    }
    let session = |name| match cookie::find(fields.all(Name::Cookie), name) {
        Found::None => (Visitor::Anonymous, false),
        Found::Many => (Visitor::Anonymous, true),
        Found::One(value) => match Secret::read(value).and_then(|secret| snapshot.session(&secret.hash())) {
            Some(session) => (Visitor::Session(session.clone()), false),
            None => (Visitor::Anonymous, true),
        },
    };
    let (visitor, stale_cookie) = match session(cookie::SESSION) {
        // Inside a frame of another site's page there is only the frame's own.
        (Visitor::Anonymous, stale) => (session(cookie::FRAME_SESSION).0, stale),
        found => found,
    };
    Credentials { visitor, bad_token: false, stale_cookie }
}
