//! Cookies: the one strict parser, what is ours among them, and what a dev server may set.
//!
//! Cookie strings are split at `;`, trimmed of space and tab, and compared byte for byte (R4); what is not ours passes
//! unchanged, because apps have cookie grammars of their own. It knows no session and no user.

use std::borrow::Cow;

use crate::host::Scheme;

/// The session of one workspace host.
pub const SESSION: &str = "__Host-portway";
/// The nonce of a login that is under way.
pub const TRANSACTION: &str = "__Host-portway_txn";
/// The session of one workspace host inside a frame of another site's page (R16).
pub const FRAME_SESSION: &str = "__Host-portway_p";
/// The nonce of a login for a frame.
pub const FRAME_TRANSACTION: &str = "__Host-portway_ptxn";
/// How long a nonce lives, in seconds.
pub const TRANSACTION_AGE: u64 = 600;
/// The embedded control plane's own login, on the control host only.
pub const LOGIN: &str = "__Host-portway_login";
/// Every name that begins so, in any case, is Portway's.
const RESERVED_PREFIX: &[u8] = b"__host-portway";

/// The result of looking for one cookie that must be unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    None,
    One(&'a [u8]),
    /// More than one value: nobody is logged in, and the cookie is expired (R4).
    Many,
}

/// A control plane's session cookie, which must never reach a workspace: matched by name *and* shape of value, because
/// Flask calls its own `session` too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlCookie {
    pub name: String,
    pub shape: CookieShape,
}

/// What the values of a control plane's cookie look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieShape {
    /// This many ASCII letters and digits.
    Text(usize),
    /// A signed token: three parts of base64url, the first of which is a JSON object (RFC 7515 7.1).
    Jwt,
}

impl ControlCookie {
    /// Whether a value could be one of the control plane's.
    pub fn is_shaped(&self, value: &[u8]) -> bool {
        match self.shape {
            CookieShape::Text(len) => value.len() == len && value.iter().all(u8::is_ascii_alphanumeric),
            CookieShape::Jwt => {
                let is_part = |part: &[u8]| {
                    !part.is_empty() && part.iter().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(b))
                };
                value.starts_with(b"ey")
                    && value.split(|b| *b == b'.').count() == 3
                    && value.split(|b| *b == b'.').all(is_part)
            }
        }
    }

    fn matches(&self, name: &[u8], value: &[u8]) -> bool {
        let bare = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value);
        name == self.name.as_bytes() && self.is_shaped(bare)
    }
}

/// The `name=value` pairs of one Cookie field value, each with the bytes it stood in.
pub fn pairs(field: &[u8]) -> impl Iterator<Item = Pair<'_>> {
    field.split(|b| *b == b';').map(|raw| {
        let text = trim(raw);
        let (name, value) = match text.iter().position(|b| *b == b'=') {
            Some(at) => (trim(&text[..at]), trim(&text[at + 1..])),
            None => (&[][..], text),
        };
        Pair { raw, name, value }
    })
}

/// One pair of a Cookie field.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    /// Everything between the semicolons.
    pub raw: &'a [u8],
    pub name: &'a [u8],
    pub value: &'a [u8],
}

/// Looks for the cookie `name` through all Cookie fields.
pub fn find<'a>(fields: impl Iterator<Item = &'a [u8]>, name: &str) -> Found<'a> {
    let mut found = Found::None;
    for pair in fields.flat_map(pairs).filter(|pair| pair.name == name.as_bytes()) {
        found = match found {
            Found::None => Found::One(pair.value),
            Found::One(_) | Found::Many => Found::Many,
        };
    }
    found
}

/// What of a Cookie field may go to a dev server: all but our own names and the control plane's session.
/// `None` where nothing is left.
pub fn strip<'a>(field: &'a [u8], control: Option<&ControlCookie>) -> Option<Cow<'a, [u8]>> {
    let ours = |pair: &Pair<'_>| {
        is_reserved(pair.name)
            || is_reserved(pair.value) && pair.name.is_empty()
            || control.is_some_and(|control| control.matches(pair.name, pair.value))
    };
    if !pairs(field).any(|pair| ours(&pair)) {
        return Some(Cow::Borrowed(field));
    }
    let mut kept = Vec::with_capacity(field.len());
    for pair in pairs(field).filter(|pair| !ours(pair) && !trim(pair.raw).is_empty()) {
        if kept.is_empty() {
            kept.extend_from_slice(trim(pair.raw));
        } else {
            kept.push(b';');
            kept.extend_from_slice(pair.raw);
        }
    }
    (!kept.is_empty()).then_some(Cow::Owned(kept))
}

/// What becomes of a dev server's Set-Cookie: dropped where it names one of ours, without its Domain attributes
/// otherwise (a cookie for all workspaces is no workspace's to set: R6), the rest byte for byte.
pub fn set_cookie(field: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut parts = field.split(|b| *b == b';');
    let first = parts.next().unwrap_or_default();
    let name = first.split(|b| *b == b'=').next().unwrap_or_default();
    // A nameless `=__Host-portway=x` is stored under its value by some parsers.
    if is_reserved(name) || is_reserved(trim(first).strip_prefix(b"=").unwrap_or_default()) {
        return None;
    }
    let is_domain =
        |part: &[u8]| trim(part.split(|b| *b == b'=').next().unwrap_or_default()).eq_ignore_ascii_case(b"domain");
    if !parts.clone().any(is_domain) {
        return Some(Cow::Borrowed(field));
    }
    let mut kept = first.to_vec();
    for part in parts.filter(|part| !is_domain(part)) {
        kept.push(b';');
        kept.extend_from_slice(part);
    }
    Some(Cow::Owned(kept))
}

/// A Set-Cookie value for one of our own cookies. `max_age` in seconds; 0 expires it.
pub fn ours(name: &str, value: &str, max_age: u64) -> String {
    format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={max_age}")
}

/// As [`ours`], for a frame: browsers keep it apart for each site around the frame (CHIPS), which is why it may be sent
/// inside another site's page at all.
pub fn partitioned(name: &str, value: &str, max_age: u64) -> String {
    format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=None; Partitioned; Max-Age={max_age}")
}

/// Whether `__Host-` cookies work on an origin: over https, or under `.localhost`, which browsers trust (parts of the
/// Secure Contexts rules).
pub fn host_cookies_work(scheme: Scheme, domain: &str) -> bool {
    scheme == Scheme::Https || domain == "localhost" || domain.ends_with(".localhost")
}

/// Whether a name is one of ours in any case, once what stands before it is gone: servers trim every kind of white space,
/// in UTF-8 or in Latin-1, so that bytes which are not visible ASCII count as such.
fn is_reserved(name: &[u8]) -> bool {
    let start = name.iter().position(u8::is_ascii_graphic).unwrap_or(name.len());
    let visible = name.get(start..).unwrap_or_default();
    visible.get(..RESERVED_PREFIX.len()).is_some_and(|head| head.eq_ignore_ascii_case(RESERVED_PREFIX))
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests;
