//! What a visitor without a session gets, the same whether the workspace exists or not (R54): a navigation is sent to the
//! authoriser, a frame shows a button, and everything else is told 401 (R9, R16, R17).
//!
//! It also notices which ports of a workspace its own pages call in vain, and sends the next navigation of such a page to
//! the authoriser once more, where a login takes those siblings along. It decides nothing about access.

use std::fmt::Write as _;
use std::time::Duration;

use portway_core::access::user_may;
use portway_core::browser::{self, Once, is_sibling, origin_part};
use portway_core::cookie::{self, Found};
use portway_core::host::Target;
use portway_core::noticed::Notice;
use portway_core::secret::Secret;
use portway_core::snapshot::{HostSession, Snapshot};
use portway_http1::{Name, RequestHead};
use tokio::time::timeout;

use super::answer::Answer;
use super::frames;
use crate::core::Core;
use crate::refusal::{Form, Refusal};

/// How long the answer to a page waits for its notice to be known.
const TELLING: Duration = Duration::from_secs(1);

/// The answer to a visitor who is nobody here.
pub(super) fn challenge(core: &Core, head: &RequestHead, target: &Target, form: Form, stale: bool) -> Answer {
    let answer = if !is_navigation(head) {
        // A page with a link: going to `/` is a navigation, which logs in.
        Refusal::Unauthenticated.answer(form, Some("/"))
    } else if frames::is_framed(head) {
        framed(core, head, target, form)
    } else {
        log_in(core, head, target, form, "log-in")
    };
    if stale { answer.field("Set-Cookie", cookie::ours(cookie::SESSION, "", 0)) } else { answer }
}

/// The authoriser once more, for a visitor who has a session here: a page of the workspace has lately called a port that
/// this visitor may open and has no session on.
pub(super) fn repair(
    core: &Core,
    snapshot: &Snapshot,
    head: &RequestHead,
    target: &Target,
    session: &HostSession,
    form: Form,
) -> Option<Answer> {
    let noticed = snapshot.noticed(&target.workspace)?;
    let mode = Once::of(head.fields().all(Name::SecFetchMode));
    let dest = Once::of(head.fields().all(Name::SecFetchDest));
    let fills_the_tab = mode == Once::One(b"navigate") && dest == Once::One(b"document") && head.method() == b"GET";
    if !fills_the_tab || head.fields().get_named(b"sec-purpose").is_some() {
        return None;
    }
    let names = &core.settings.names;
    let lacks = noticed.missed(core.now()).any(|host| {
        let sibling = names.target_of(host);
        let sibling = sibling.filter(|sibling| sibling.host != target.host && sibling.domain == target.domain);
        sibling.is_some_and(|sibling| user_may(snapshot, &core.settings.rules, &sibling, &session.user).is_ok())
    });
    (lacks && core.may_repair(session.hash)).then(|| log_in(core, head, target, form, "siblings"))
}

/// Sends a navigation to the authoriser with a nonce that only this browser has.
fn log_in(core: &Core, head: &RequestHead, target: &Target, form: Form, reason: &'static str) -> Answer {
    // One nonce for all tabs of a browser: a second visit must not spoil the login of the first.
    let nonce = match cookie::find(head.fields().all(Name::Cookie), cookie::TRANSACTION) {
        Found::One(value) => Secret::read(value),
        Found::None | Found::Many => None,
    };
    let Some(nonce) = nonce.or_else(fresh_secret) else {
        return Refusal::Unavailable.answer(form, None);
    };
    Answer::new(302, reason)
        .field("Location", authorize_url(core, target, head.path_and_query(), &nonce))
        .field("Referrer-Policy", "no-referrer")
        .field("Set-Cookie", cookie::ours(cookie::TRANSACTION, &nonce.text(), cookie::TRANSACTION_AGE))
}

fn framed(core: &Core, head: &RequestHead, target: &Target, form: Form) -> Answer {
    let settings = &core.settings;
    let offered = if frames::may_show(settings, target, head) {
        frames::offer(settings, head, target, fresh_secret)
    } else {
        // Nor may it show a button that looks like ours.
        None
    };
    offered.unwrap_or_else(|| Refusal::OtherOrigin.answer(form, None))
}

/// Whether a request is a navigation: the only kind that is sent to a login, and the only one that wakes.
pub(super) fn is_navigation(head: &RequestHead) -> bool {
    let mode = Once::of(head.fields().all(Name::SecFetchMode));
    browser::is_navigation(head.method(), head.upgrade_websocket(), mode, head.fields().get(Name::Accept))
}

/// Whether a page of the workspace, as it says, calls this host or wants to show it. It is asked before anything is looked
/// up, so that it costs the same whether the workspace exists or not (R54).
pub(super) fn is_missed(core: &Core, head: &RequestHead, target: &Target) -> bool {
    let fields = head.fields();
    if is_navigation(head) && !frames::is_framed(head) {
        return false;
    }
    let page = match (Once::of(fields.all(Name::Origin)), Once::of(fields.all(Name::Referer))) {
        (Once::One(origin), _) => origin,
        (Once::Absent, Once::One(referer)) => origin_part(referer),
        _ => return false,
    };
    is_sibling(&core.settings.names, target, page)
}

/// Tells every core that a page of the workspace missed this host, and waits until they know: the page may be loaded again
/// as soon as it hears of it.
pub(super) async fn tell_missed(core: &Core, target: &Target) {
    if let Some(known) = core.notice(&target.workspace, Notice::Missed(target.host.as_str().into())) {
        let _ = timeout(TELLING, known).await;
    }
}

fn authorize_url(core: &Core, target: &Target, path: &[u8], nonce: &Secret) -> String {
    let control = core.settings.names.control.origin();
    format!("{control}/.portway/authorize?{}&ch={}", visit_query(target, path), nonce.hash().text())
}

/// A visit as pages of the control host read it from their query.
pub(super) fn visit_query(target: &Target, path: &[u8]) -> String {
    let mut query = format!("host={}&return=", target.host);
    for byte in path {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            query.push(char::from(*byte));
        } else {
            let _ = write!(query, "%{byte:02X}");
        }
    }
    query
}

fn fresh_secret() -> Option<Secret> {
    let mut bytes = [0; 32];
    // Without randomness nobody is logged in.
    getrandom::fill(&mut bytes).ok()?;
    Some(Secret::new(bytes))
}
