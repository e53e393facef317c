//! The browser policy: whether the page that makes a request may use what the browser sends by itself (R18, R19).
//!
//! SameSite does not separate workspaces that share a site, so every request resting on a cookie passes here before
//! anything is dialled, upgrades like the rest. It knows header values, not who the visitor is.

use crate::host::{Names, Place, Target};

#[cfg(test)]
mod tests;

/// The header values the policy reads. A header sent twice is `Twice`, which is never right.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asking<'a> {
    pub method: &'a [u8],
    pub websocket: bool,
    pub origin: Once<'a>,
    pub referer: Once<'a>,
    pub site: Once<'a>,
    pub mode: Once<'a>,
    pub dest: Once<'a>,
}

/// A header that must not repeat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Once<'a> {
    #[default]
    Absent,
    One(&'a [u8]),
    Twice,
}

impl<'a> Once<'a> {
    /// Collapses all values of a header.
    pub fn of(mut values: impl Iterator<Item = &'a [u8]>) -> Self {
        match (values.next(), values.next()) {
            (None, _) => Self::Absent,
            (Some(value), None) => Self::One(value),
            (Some(_), Some(_)) => Self::Twice,
        }
    }

    fn is(self, wanted: &str) -> bool {
        self == Once::One(wanted.as_bytes())
    }
}

/// Why a page was refused; for the log and `Portway-Reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// Which pages are trusted beside the workspace's own.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'a> {
    pub names: &'a Names,
    /// Origins whose pages may show ports in frames, beside the control host's.
    pub embed: &'a [String],
}

/// Applies the policy in design order: same-origin or none; an Origin that is a port of the same workspace; no Origin,
/// GET or HEAD, and a same-workspace Referer; a top-level GET navigation, or one in a frame of a page that may show ports
/// (R16); else refused.
///
/// Without `Sec-Fetch-Site`, which browsers leave out on WebSocket handshakes, Origin alone decides.
///
/// # Errors
/// [`Refused`] for every other page.
pub fn check(asking: &Asking<'_>, policy: Policy<'_>, target: &Target) -> Result<(), Refused> {
    let Policy { names, embed } = policy;
    let once = [asking.origin, asking.referer, asking.site, asking.mode, asking.dest];
    if once.contains(&Once::Twice) {
        return Err(Refused);
    }
    if asking.site.is("same-origin") || asking.site.is("none") {
        return Ok(());
    }
    if let Once::One(origin) = asking.origin {
        return if is_sibling(names, target, origin) { Ok(()) } else { Err(Refused) };
    }
    let safe = asking.method == b"GET" || asking.method == b"HEAD";
    if asking.site == Once::Absent || asking.websocket || !safe {
        return Err(Refused);
    }
    if let Once::One(referer) = asking.referer
        && is_sibling(names, target, origin_part(referer))
    {
        return Ok(());
    }
    if asking.method != b"GET" || !asking.mode.is("navigate") {
        return Err(Refused);
    }
    let framed = asking.dest.is("iframe")
        && matches!(asking.referer, Once::One(referer) if is_embedder(names, embed, origin_part(referer)));
    if asking.dest.is("document") || framed { Ok(()) } else { Err(Refused) }
}

/// Whether a request may pass to the API server of the control host `ours`, whose cookie it carries: not from a page of
/// another origin, unless a person follows a link there (R21). A program sends none of what browsers say, and passes.
///
/// # Errors
/// [`Refused`] for every other page.
pub fn check_front(asking: &Asking<'_>, ours: &str) -> Result<(), Refused> {
    let once = [asking.origin, asking.referer, asking.site, asking.mode, asking.dest];
    if once.contains(&Once::Twice) {
        return Err(Refused);
    }
    let same_origin = asking.site.is("same-origin");
    let safe = asking.method == b"GET" || asking.method == b"HEAD";
    match asking.origin {
        Once::One(b"null") if same_origin => {}
        Once::One(origin) if origin != ours.as_bytes() => return Err(Refused),
        _ => {}
    }
    match asking.site {
        Once::One(b"same-origin" | b"none") => Ok(()),
        Once::One(_) => {
            let follows = asking.mode.is("navigate") && asking.dest.is("document");
            if safe && !asking.websocket && follows { Ok(()) } else { Err(Refused) }
        }
        // Browsers without it still say where a page is.
        Once::Absent => match asking.referer {
            Once::One(referer) if !safe && origin_part(referer) != ours.as_bytes() => Err(Refused),
            _ => Ok(()),
        },
        Once::Twice => Err(Refused),
    }
}

/// Whether an origin's pages may show ports in frames: the control host's, and those in `embed`.
pub fn is_embedder(names: &Names, embed: &[String], origin: &[u8]) -> bool {
    names.parse_origin(origin) == Some(Place::Control) || embed.iter().any(|one| one.as_bytes() == origin)
}

/// Whether an origin is exactly the public origin of a port of the same workspace.
pub fn is_sibling(names: &Names, target: &Target, origin: &[u8]) -> bool {
    match names.parse_origin(origin) {
        Some(Place::Workspace(other)) => other.workspace == target.workspace,
        Some(Place::Control) | None => false,
    }
}

/// Whether a request is a navigation, the only kind that is ever redirected to a login (R17).
pub fn is_navigation(method: &[u8], websocket: bool, mode: Once<'_>, accept: Option<&[u8]>) -> bool {
    if websocket || (method != b"GET" && method != b"HEAD") {
        return false;
    }
    match mode {
        Once::One(mode) => mode == b"navigate",
        Once::Absent => accept.is_some_and(|accept| contains(accept, b"text/html")),
        Once::Twice => false,
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|part| part.eq_ignore_ascii_case(needle))
}

/// `https://host:port` of a URL; all of it where it has no path.
pub fn origin_part(url: &[u8]) -> &[u8] {
    let Some(start) = url.windows(3).position(|part| part == b"://").map(|at| at + 3) else {
        return url;
    };
    let end = url.iter().skip(start).position(|b| matches!(b, b'/' | b'?' | b'#')).map_or(url.len(), |at| start + at);
    url.get(..end).unwrap_or(url)
}
