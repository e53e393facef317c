//! Ports inside other pages: which pages may show one in a frame (R22), and what a frame shows whose visitor has no session
//! in it yet (R16).
//!
//! A login cannot happen inside a frame. The frame shows a button instead; its window goes through the ordinary login at the
//! top level and gives the frame a session of its own, in a cookie that browsers keep apart for each site around it
//! (Partitioned), so that it works where other third-party cookies are blocked. It decides nothing about access.

use askama::Template;
use portway_core::browser::{Once, is_embedder, is_sibling, origin_part};
use portway_core::cookie::{self, Found};
use portway_core::host::{Place, PortForm, Target};
use portway_core::secret::Secret;
use portway_http1::{Fields, Name, RequestHead};

use super::answer::Answer;
use crate::settings::Settings;

#[derive(Template)]
#[template(path = "frame.html")]
struct Page<'a> {
    /// The address as a person knows it.
    place: &'a str,
    /// The hash of the nonce that the frame's own cookie holds.
    challenge: &'a str,
}

/// Whether a request is for a document in a frame of another.
pub(crate) fn is_framed(head: &RequestHead) -> bool {
    let dest = Once::of(head.fields().all(Name::SecFetchDest));
    [&b"iframe"[..], b"frame", b"object", b"embed"].iter().any(|one| dest == Once::One(one))
}

/// The pages that may show this port, as the browser enforces it (CSP 3, 6.4.2): its own, the workspace's default port,
/// which is where an IDE is, the control host, those that are configured, and the page of the workspace that asks.
pub(crate) fn ancestors(settings: &Settings, target: &Target, head: &RequestHead) -> String {
    let names = &settings.names;
    let mut policy = format!("frame-ancestors 'self' {}", names.control.origin());
    let default_port = names.domains.get(target.domain).map_or(0, |domain| domain.default_port);
    for form in [PortForm::Default, PortForm::Number { port: default_port, tls: false }] {
        if let Ok(host) = names.host(target.domain, &target.workspace, form) {
            policy.push(' ');
            policy.push_str(&names.origin(&Target { host, ..target.clone() }));
        }
    }
    for origin in &settings.embed {
        policy.push(' ');
        policy.push_str(origin);
    }
    if let Once::One(referer) = Once::of(head.fields().all(Name::Referer)) {
        let origin = origin_part(referer);
        if let (true, Ok(origin)) = (is_sibling(names, target, origin), std::str::from_utf8(origin)) {
            policy.push(' ');
            policy.push_str(origin);
        }
    }
    policy
}

/// Whether a response is a document that needs [`ancestors`] beside what it says itself. Where it forbids frames in the
/// older way (RFC 7034) it stays with that, since browsers forget that field as soon as there is a policy.
pub(crate) fn needs_guard(request: &RequestHead, response: &Fields) -> bool {
    let document = match Once::of(request.fields().all(Name::SecFetchDest)) {
        Once::Absent => response.get(Name::ContentType).is_some_and(|kind| {
            kind.get(..9).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/html"))
                || kind.get(..21).is_some_and(|kind| kind.eq_ignore_ascii_case(b"application/xhtml+xml"))
        }),
        Once::One(dest) => matches!(dest, b"document" | b"iframe" | b"frame" | b"object" | b"embed"),
        Once::Twice => true,
    };
    document && !forbids_frames(response)
}

/// Whether X-Frame-Options forbids frames of other origins, also where it is said twice.
fn forbids_frames(response: &Fields) -> bool {
    let own = response.iter().filter(|field| field.name.eq_ignore_ascii_case(b"x-frame-options"));
    let mut words = own.flat_map(|field| field.value.split(|b| *b == b',')).map(<[u8]>::trim_ascii);
    words.any(|word| word.eq_ignore_ascii_case(b"deny") || word.eq_ignore_ascii_case(b"sameorigin"))
}

/// Lets whoever may show the port show our own page in its place, such as the one for a closed port.
pub(crate) fn own_page(mut answer: Answer, head: &RequestHead, settings: &Settings) -> Answer {
    let Some(Ok(Place::Workspace(target))) = head.authority().map(|authority| settings.names.parse(authority)) else {
        return answer;
    };
    for (name, value) in &mut answer.fields {
        if name == "Content-Security-Policy"
            && let Some(rest) = value.strip_suffix(OWN_FRAMES)
        {
            *value = format!("{rest}{}", ancestors(settings, &target, head));
        }
    }
    answer
}

/// What a frame shows in place of a login. `None` without randomness.
pub(crate) fn offer(
    settings: &Settings,
    head: &RequestHead,
    target: &Target,
    fresh: impl Fn() -> Option<Secret>,
) -> Option<Answer> {
    let nonce = match cookie::find(head.fields().all(Name::Cookie), cookie::FRAME_TRANSACTION) {
        Found::One(value) => Secret::read(value),
        Found::None | Found::Many => None,
    };
    let nonce = nonce.or_else(fresh)?;
    let page = Page { place: &target.host, challenge: &nonce.hash().text() };
    let html = page.render().unwrap_or_default();
    let policy = format!("{CSP}; {}", ancestors(settings, target, head));
    let answer = Answer::new(401, "log-in-outside")
        .field("X-Content-Type-Options", "nosniff")
        .field("Content-Security-Policy", policy)
        .field("Referrer-Policy", "no-referrer")
        .field("Set-Cookie", cookie::partitioned(cookie::FRAME_TRANSACTION, &nonce.text(), cookie::TRANSACTION_AGE));
    Some(answer.body("text/html; charset=utf-8", html))
}

/// The origins whose pages may show a port, checked against what a frame says of the page around it.
pub(crate) fn may_show(settings: &Settings, target: &Target, head: &RequestHead) -> bool {
    let Once::One(referer) = Once::of(head.fields().all(Name::Referer)) else { return false };
    let origin = origin_part(referer);
    let iframe = Once::of(head.fields().all(Name::SecFetchDest)) == Once::One(b"iframe");
    is_sibling(&settings.names, target, origin) || iframe && is_embedder(&settings.names, &settings.embed, origin)
}

/// How the policy of a page of ours ends that says nothing else.
const OWN_FRAMES: &str = "frame-ancestors 'self'";

/// The hash is that of the page's one script; a test computes it again.
const CSP: &str = concat!(
    "default-src 'none'; style-src 'unsafe-inline'; script-src '",
    "sha256-afFFt9iv8DdiAfRaYrDk+i3apslBHZgnuDOc+MwFeV8=",
    "'; connect-src 'self'; base-uri 'none'; form-action 'none'"
);

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn the_policy_of_the_page_names_its_script() {
        let page = Page { place: "3000-a.example.com", challenge: "c" }.render().unwrap();
        let script = page.split_once("<script>").and_then(|(_, rest)| rest.split_once("</script>")).unwrap().0;
        let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(script));
        assert!(CSP.contains(&format!("'sha256-{hash}'")), "sha256-{hash}");
    }
}
