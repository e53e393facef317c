//! The spine: one request, one decision. Read this first.
//!
//! `host → directory → credentials → access → browser policy`, in one turn of the core and without waiting for anything, so
//! that the lease is registered before a change can be heard. What is done with the outcome is each protocol's business.

use std::fmt::Write as _;

use portway_core::access::{Decision, Reason, Visitor, decide};
use portway_core::browser::{self, Asking, Once};
use portway_core::cookie::{self, Found};
use portway_core::host::{HostError, Place, Target};
use portway_core::secret::Secret;
use portway_http1::{Name, RequestHead};

use super::answer::Answer;
use super::credentials;
use crate::core::{Core, Visit};
use crate::leases::Lease;
use crate::refusal::{Form, Refusal};

/// The one path prefix on workspace hosts that is ours.
pub const RESERVED: &[u8] = b"/.portway/";
/// Where the closed-port page asks whether the port has opened.
const PORT_PROBE: &[u8] = b"/.portway/port";
/// How long the nonce of a login lives, in seconds.
const TRANSACTION_AGE: u64 = 600;

/// What happens with a request.
#[derive(Debug)]
pub enum Route {
    /// We answer.
    Answer(Answer),
    /// Portway itself is asked: the control host, or `/.portway/`.
    Control(Place),
    /// Is the port open?
    Probe(Lease),
    /// The dev server is asked.
    Relay(Lease),
}

/// Routes one request.
pub fn route(core: &Core, visit: &Visit, head: &RequestHead) -> Route {
    let websocket = head.upgrade_websocket();
    let form = Form::of(head, websocket);
    let refuse = |refusal: Refusal| Route::Answer(refusal.answer(form, None));

    if head.method() == b"CONNECT" {
        return refuse(Refusal::Method);
    }
    // HTTP/1.0 without a Host names nothing.
    let Some(authority) = head.authority() else { return refuse(Refusal::WrongAuthority) };
    let place = match core.settings.names.parse(authority) {
        Ok(place) => place,
        Err(HostError::NoSuchForm) => return refuse(Refusal::NotFound),
        Err(HostError::NotOurs | HostError::Malformed) => return refuse(Refusal::WrongAuthority),
    };
    let host = match &place {
        Place::Control => core.settings.names.control.host.as_str(),
        Place::Workspace(target) => target.host.as_str(),
    };
    if !visit.certificate_covers(host) {
        return refuse(Refusal::WrongAuthority);
    }
    if core.settings.redirect_to_https
        && !visit.secure
        && let Some(redirect) = to_https(core, &place, head)
    {
        return Route::Answer(redirect);
    }
    let target = match place {
        Place::Control => return Route::Control(Place::Control),
        Place::Workspace(target) => target,
    };
    let path = head.path_and_query();
    let path_only = path.split(|b| *b == b'?').next().unwrap_or_default();
    if path_only.starts_with(RESERVED) && path_only != PORT_PROBE {
        return Route::Control(Place::Workspace(target));
    }
    if path_only != PORT_PROBE && shadows_reserved(path_only) {
        return refuse(Refusal::NotFound);
    }

    let snapshot = core.directory.load();
    let credentials = credentials::read(head.fields(), &snapshot);
    if credentials.bad_token {
        return refuse(Refusal::BadToken);
    }
    let permit = match decide(&snapshot, &core.settings.rules, &target, &credentials.visitor, core.now()) {
        Decision::Permit(permit) => permit,
        Decision::Challenge => return Route::Answer(challenge(core, head, &target, form, credentials.stale_cookie)),
        Decision::Deny(reason) => {
            core.ledger.denied(reason);
            return match reason {
                Reason::Expired => refuse(Refusal::BadToken),
                _ => refuse(Refusal::NotFound),
            };
        }
    };
    if permit.is_ambient() && browser::check(&asking(head, websocket), &core.settings.names, &target).is_err() {
        return refuse(Refusal::OtherOrigin);
    }
    if let Visitor::Token(token) = &credentials.visitor {
        core.token_used(token.hash);
    }
    let lease = core.leases.register(permit);
    if path_only == PORT_PROBE { Route::Probe(lease) } else { Route::Relay(lease) }
}

fn asking(head: &RequestHead, websocket: bool) -> Asking<'_> {
    let once = |name| Once::of(head.fields().all(name));
    Asking {
        method: head.method(),
        websocket,
        origin: once(Name::Origin),
        referer: once(Name::Referer),
        site: once(Name::SecFetchSite),
        mode: once(Name::SecFetchMode),
        dest: once(Name::SecFetchDest),
    }
}

/// Sends a navigation to the authoriser with a nonce that only this browser has; tells everything else 401 (R9, R17).
/// It is the same whether the workspace exists or not.
fn challenge(core: &Core, head: &RequestHead, target: &Target, form: Form, stale: bool) -> Answer {
    let fields = head.fields();
    let mode = Once::of(fields.all(Name::SecFetchMode));
    let accept = fields.get(Name::Accept);
    let answer = if browser::is_navigation(head.method(), head.upgrade_websocket(), mode, accept) {
        // One nonce for all tabs of a browser: a second visit must not spoil the login of the first.
        let nonce = match cookie::find(fields.all(Name::Cookie), cookie::TRANSACTION) {
            Found::One(value) => Secret::read(value),
            Found::None | Found::Many => None,
        };
        let Some(nonce) = nonce.or_else(core_random) else {
            return Refusal::Unavailable.answer(form, None);
        };
        let location = authorize_url(core, target, head.path_and_query(), &nonce);
        Answer::new(302, "log-in")
            .field("Location", location)
            .field("Referrer-Policy", "no-referrer")
            .field("Set-Cookie", cookie::ours(cookie::TRANSACTION, &nonce.text(), TRANSACTION_AGE))
    } else {
        // A page with a link: going to `/` is a navigation, which logs in.
        Refusal::Unauthenticated.answer(form, Some("/"))
    };
    if stale { answer.field("Set-Cookie", cookie::ours(cookie::SESSION, "", 0)) } else { answer }
}

fn authorize_url(core: &Core, target: &Target, path: &[u8], nonce: &Secret) -> String {
    let names = &core.settings.names;
    let mut url = format!("{}/.portway/authorize?host={}&return=", names.control.origin(), target.host);
    for byte in path {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            url.push(char::from(*byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
    let _ = write!(url, "&ch={}", nonce.hash().text());
    url
}

fn core_random() -> Option<Secret> {
    let mut bytes = [0; 32];
    // Without randomness nobody is logged in.
    getrandom::fill(&mut bytes).ok()?;
    Some(Secret::new(bytes))
}

/// The same address by https, where that is its public scheme.
fn to_https(core: &Core, place: &Place, head: &RequestHead) -> Option<Answer> {
    let names = &core.settings.names;
    let origin = match place {
        Place::Control => names.control.origin(),
        Place::Workspace(target) => names.origin(target),
    };
    let path = String::from_utf8_lossy(head.path_and_query());
    let answer = Answer::new(308, "https").field("Location", format!("{origin}{path}"));
    origin.starts_with("https:").then_some(answer)
}

/// Whether a dev server might read the path as one under our prefix: `/%2eportway/`, `//.portway/`, `/x/../.portway/` (R8).
fn shadows_reserved(path: &[u8]) -> bool {
    // Nearly every path is settled here. Letters can be escaped too, so an escape is looked at more closely.
    if !path.contains(&b'%') && !path.windows(8).any(|part| part.eq_ignore_ascii_case(b".portway")) {
        return false;
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match (*byte, tail) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                decoded.push(hex(*high) << 4 | hex(*low));
                rest = after;
            }
            (b'\\', _) => decoded.push(b'/'),
            (other, _) => decoded.push(other),
        }
    }
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in decoded.split(|b| *b == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    segments.first().is_some_and(|first| first.eq_ignore_ascii_case(b".portway"))
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A').wrapping_add(10) & 0xf,
    }
}

#[cfg(test)]
mod tests {
    use super::shadows_reserved;

    #[test]
    fn spellings_of_our_prefix_never_reach_a_dev_server() {
        for path in [
            "/.portway",
            "/%2eportway/x",
            "/%2Eportway/x",
            "//.portway/x",
            "/x/../.portway/callback",
            "/./.portway/",
            "/%2e%70ortway/",
            "/.PORTWAY/x",
            "/\\.portway/",
            "/x/%2e%2e/.portway/",
            "/a/b/../../.portway",
        ] {
            assert!(shadows_reserved(path.as_bytes()), "{path}");
        }
        for path in [
            "/",
            "/portway/",
            "/x/.portway/",
            "/.portwayx/",
            "/%zz.portway",
            "/x%2f.portway/",
            "/a%20b",
            "/.port%2fway",
        ] {
            assert!(!shadows_reserved(path.as_bytes()), "{path}");
        }
    }
}
