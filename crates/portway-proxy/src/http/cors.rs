//! CORS between the ports of one workspace (Fetch standard 3.3; R20): preflights, which carry no cookie, are answered here
//! without a look-up, and the real answers are made readable for exactly the page that asked.
//!
//! It knows header values and names; who the visitor is and what the dev server says are not its affair. A page that is no
//! part of the workspace gets nothing from here.

use portway_core::browser::{Once, is_sibling};
use portway_core::host::{Names, Place, Target};
use portway_http1::{Name, RequestHead};

use super::RESERVED;
use super::answer::Answer;

/// How long a browser may remember a preflight, in seconds.
const PREFLIGHT_AGE: &str = "600";

/// Whether this is a question before the request itself (Fetch 3.3.2).
pub(crate) fn is_preflight(head: &RequestHead) -> bool {
    let fields = head.fields();
    head.method() == b"OPTIONS" && fields.has(Name::Origin) && fields.has(Name::AccessControlRequestMethod)
}

/// The Origin of a page on another port of the same workspace.
pub(crate) fn sibling<'a>(head: &'a RequestHead, names: &Names, target: &Target) -> Option<&'a [u8]> {
    let Once::One(origin) = Once::of(head.fields().all(Name::Origin)) else { return None };
    let own = names.origin(target);
    (origin != own.as_bytes() && is_sibling(names, target, origin)).then_some(origin)
}

/// The answer to a preflight from a page of the workspace: whatever it wants to send. Whether it may is decided when it
/// sends it.
pub(crate) fn preflight(head: &RequestHead, origin: &[u8]) -> Answer {
    let echo = |name| text(head.fields().get(name).unwrap_or_default());
    let mut answer = Answer::new(204, "preflight")
        .field("Access-Control-Allow-Origin", text(origin))
        .field("Access-Control-Allow-Credentials", "true")
        .field("Access-Control-Allow-Methods", echo(Name::AccessControlRequestMethod))
        .field("Access-Control-Max-Age", PREFLIGHT_AGE)
        .field("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
    if head.fields().has(Name::AccessControlRequestHeaders) {
        answer = answer.field("Access-Control-Allow-Headers", echo(Name::AccessControlRequestHeaders));
    }
    answer
}

/// Makes an answer of our own readable for a page on another port of the same workspace, so that a script sees 401 or 502
/// and why. What stands under our own path is nobody's to read (R8).
pub(crate) fn readable(answer: Answer, head: &RequestHead, names: &Names) -> Answer {
    let given = answer.fields.iter().any(|(name, _)| name == "Access-Control-Allow-Origin");
    if given || !head.fields().has(Name::Origin) || head.path_and_query().starts_with(RESERVED) {
        return answer;
    }
    let Some(Ok(Place::Workspace(target))) = head.authority().map(|authority| names.parse(authority)) else {
        return answer;
    };
    match sibling(head, names, &target) {
        Some(origin) => answer
            .field("Access-Control-Allow-Origin", text(origin))
            .field("Access-Control-Allow-Credentials", "true")
            .field("Access-Control-Expose-Headers", "Portway-Reason, Retry-After")
            .field("Vary", "Origin"),
        None => answer,
    }
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}
