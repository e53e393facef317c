//! The spine: one request, one decision. Read this first.
//!
//! `host → directory → credentials → access → browser policy`, in one turn of the core and without waiting for anything, so
//! that the lease is registered before a change can be heard. What is done with the outcome is each protocol's business.

use std::sync::Arc;

use portway_core::access::{Decision, Reason, Rules, Visitor, Waiting, decide, effective_level};
use portway_core::activity::of_request;
use portway_core::browser::{self, Asking, Once, Policy};
use portway_core::host::{HostError, Place, Target};
use portway_core::snapshot::Snapshot;
use portway_core::workspace::{Cors, Level};
use portway_http1::{Name, RequestHead};

use super::RESERVED;
use super::answer::Answer;
use super::challenge::{challenge, is_missed, repair};
use super::{cors, credentials, loops, wake};
use crate::core::{Core, Visit};
use crate::leases::Lease;
use crate::limits::{Limited, Who};
use crate::refusal::{Form, Refusal};

/// Where the closed-port page asks whether the port has opened.
const PORT_PROBE: &[u8] = b"/.portway/port";

/// What happens with a request.
#[derive(Debug)]
pub enum Route {
    /// We answer.
    Answer(Answer),
    /// We answer a page of the workspace that had no session on this port, once every core knows of it.
    Missed(Answer, Target),
    /// Portway itself is asked: the control host, or `/.portway/`.
    Control(Place),
    /// Is the port open?
    Probe(Lease),
    /// The dev server is asked.
    Relay(Lease),
}

/// Why a request has no route yet.
#[derive(Debug)]
pub enum Pause {
    /// The workspace does not run and the visitor may be told so: it may be woken, or waited for.
    Asleep(Waiting),
    /// The session or token is none that this gateway knows; another may have made it a moment ago.
    Unknown,
    /// The workspace is none that is held; it may be there.
    Missing(Arc<str>),
}

/// What has been looked up for a request already.
#[derive(Clone, Copy, Debug)]
pub struct Tried {
    /// Nothing another gateway has made is news any more.
    pub caught_up: bool,
    /// What workspaces there are is known as far as this request goes.
    pub found: bool,
}

impl Tried {
    /// Everything.
    pub const ALL: Self = Self { caught_up: true, found: true };
}

/// Routes one request; whoever has not shown who they are gets only so many answers of ours.
///
/// # Errors
/// [`Pause`].
pub fn route(core: &Core, visit: &Visit, head: &RequestHead, tried: Tried) -> Result<Route, Pause> {
    if core.limits.sheds() {
        core.ledger.limited("memory");
        return Ok(Route::Answer(Refusal::Overloaded.answer(Form::of(head, head.upgrade_websocket()), None)));
    }
    let found = match find(core, visit, head, tried) {
        Ok(found @ (Route::Relay(_) | Route::Probe(_))) => Ok(found),
        Err(Stop::Pause(pause)) => return Err(pause),
        Err(Stop::Limited(limited)) => Err(limited),
        Ok(ours) if core.limits.answer(Who::of(None, || visit.client(head))) => Ok(ours),
        Ok(_) => Err(Limited::Visitor),
    };
    Ok(found.unwrap_or_else(|limited| {
        let (word, refusal) = match limited {
            Limited::Visitor => ("visitor", Refusal::TooManyRequests),
            Limited::Workspace => ("workspace", Refusal::WorkspaceBusy),
        };
        core.ledger.limited(word);
        Route::Answer(refusal.answer(Form::of(head, head.upgrade_websocket()), None))
    }))
}

/// Why a request is not routed.
enum Stop {
    Pause(Pause),
    Limited(Limited),
}

impl From<Pause> for Stop {
    fn from(pause: Pause) -> Self {
        Self::Pause(pause)
    }
}

impl From<Limited> for Stop {
    fn from(limited: Limited) -> Self {
        Self::Limited(limited)
    }
}

fn find(core: &Core, visit: &Visit, head: &RequestHead, tried: Tried) -> Result<Route, Stop> {
    let websocket = head.upgrade_websocket();
    let form = Form::of(head, websocket);
    let refuse = |refusal: Refusal| Ok(Route::Answer(refusal.answer(form, None)));

    if head.method() == b"CONNECT" {
        return refuse(Refusal::Method);
    }
    if loops::is_loop(head) {
        return refuse(Refusal::Loop);
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
        return Ok(Route::Answer(redirect));
    }
    let target = match place {
        Place::Control => return Ok(control(core, head, websocket, form)),
        Place::Workspace(target) => target,
    };
    let path = head.path_and_query();
    let path_only = path.split(|b| *b == b'?').next().unwrap_or_default();
    if path_only.starts_with(RESERVED) && path_only != PORT_PROBE {
        return Ok(Route::Control(Place::Workspace(target)));
    }
    if path_only != PORT_PROBE && shadows_reserved(path_only) {
        return refuse(Refusal::NotFound);
    }

    let preflight = cors::is_preflight(head);
    let snapshot = core.directory.load();
    if preflight
        && let Some(origin) = cors::sibling(head, &core.settings.names, &target)
        && !passes_preflights(&snapshot, &core.settings.rules, &target)
    {
        return Ok(Route::Answer(cors::preflight(head, origin)));
    }
    let credentials = credentials::read(head.fields(), &snapshot);
    if credentials.bad_token {
        return if tried.caught_up { refuse(Refusal::BadToken) } else { Err(Pause::Unknown.into()) };
    }
    if !tried.found
        && snapshot.workspace(&target.workspace).is_none()
        && may_ask(&snapshot, &credentials.visitor, &target)
    {
        return Err(Pause::Missing(target.workspace.as_str().into()).into());
    }
    let is_foreign = || {
        let policy = Policy { names: &core.settings.names, embed: &core.settings.embed };
        browser::check(&asking(head, websocket), policy, &target).is_err()
    };
    let permit = match decide(&snapshot, &core.settings.rules, &target, &credentials.visitor, core.now()) {
        Decision::Permit(permit) => permit,
        Decision::Wait(waiting) => {
            if matches!(waiting.visitor, Visitor::Session(_)) && is_foreign() {
                return refuse(Refusal::OtherOrigin);
            }
            return if path_only == PORT_PROBE {
                refuse(wake::asleep(&waiting))
            } else {
                Err(Pause::Asleep(waiting).into())
            };
        }
        // It carries no cookie, so that there is nobody to send to a login; a page of the workspace was answered above.
        Decision::Challenge if preflight => return refuse(Refusal::OtherOrigin),
        Decision::Challenge if credentials.stale_cookie && !tried.caught_up => return Err(Pause::Unknown.into()),
        Decision::Challenge => {
            let answer = challenge(core, head, &target, form, credentials.stale_cookie);
            let missed = is_missed(core, head, &target);
            return Ok(if missed { Route::Missed(answer, target) } else { Route::Answer(answer) });
        }
        Decision::Deny(reason) => {
            core.ledger.denied(reason);
            return match reason {
                Reason::Expired => refuse(Refusal::BadToken),
                // The visitor is known; whether the workspace is theirs is not at the moment.
                Reason::SourceStale => refuse(Refusal::Unavailable),
                _ => refuse(Refusal::NotFound),
            };
        }
    };
    if permit.is_ambient() && is_foreign() {
        return refuse(Refusal::OtherOrigin);
    }
    if let Visitor::Session(session) = &credentials.visitor
        && let Some(answer) = repair(core, &snapshot, head, &target, session, form)
    {
        return Ok(Route::Answer(answer));
    }
    if let Visitor::Token(token) = &credentials.visitor {
        core.token_used(token.hash);
    }
    core.active(&permit, of_request(head.method(), form == Form::Page && !wake::is_speculative(head)));
    let who = Who::of(permit.user().map(|user| &**user), || visit.client(head));
    let counted = core.limits.request(who, &permit.workspace().key)?;
    let lease = core.leases.register(permit, Some(counted));
    Ok(if path_only == PORT_PROBE { Route::Probe(lease) } else { Route::Relay(lease) })
}

/// A request for the control host: ours, or the API server's whose front we are.
fn control(core: &Core, head: &RequestHead, websocket: bool, form: Form) -> Route {
    let path = head.path_and_query().split(|b| *b == b'?').next().unwrap_or_default();
    let Some(front) = core.settings.front.as_ref().filter(|_| !is_ours(path)) else {
        return Route::Control(Place::Control);
    };
    let names = &core.settings.names;
    if browser::check_front(&asking(head, websocket), &names.control.origin()).is_err() {
        return Route::Answer(Refusal::OtherOrigin.answer(form, None));
    }
    // The API server has limits of its own.
    Route::Relay(core.leases.register(front.permit(names), None))
}

/// Whether a path of the control host is Portway's: its own prefix, and addresses of ports by path, which are redirected.
fn is_ours(path: &[u8]) -> bool {
    if path.starts_with(RESERVED) || path == b"/.portway" {
        return true;
    }
    let mut segments = path.split(|b| *b == b'/').skip(1);
    segments.next() == Some(b"w") && matches!(segments.nth(1), Some(b"proxy" | b"absproxy"))
}

/// Whether a request may have a workspace looked up that is not held: strangers cause no question to the database, and learn
/// from no delay what is there (R54).
fn may_ask(snapshot: &Snapshot, visitor: &Visitor, target: &Target) -> bool {
    match visitor {
        Visitor::Session(session) if *session.host == *target.host => true,
        Visitor::Token(token) if *token.workspace == *target.workspace => true,
        _ => snapshot.port(&target.workspace, target.port).is_some_and(|policy| policy.wanted() == Level::Public),
    }
}

/// Whether the dev server answers preflights itself. Without a cookie they reach it on a public port alone, and who may
/// open the port is decided as for every request.
fn passes_preflights(snapshot: &Snapshot, rules: &Rules, target: &Target) -> bool {
    let policy = snapshot.port(&target.workspace, target.port);
    let grants = snapshot.workspace(&target.workspace).and_then(|workspace| workspace.grants.as_deref());
    policy.is_some_and(|policy| policy.cors == Some(Cors::Passthrough))
        && effective_level(rules, target.port, grants, policy) == Level::Public
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
