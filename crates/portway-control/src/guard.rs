//! Which pages may ask something of Portway itself: the origin rules in front of every route (R18, R21).
//!
//! Every workspace is a hostile page that may share the control host's site, so SameSite cookies prove nothing here. This
//! file reads header values alone; it knows no user and no route.

use http::{HeaderMap, Method};
use portway_core::browser::Once;

/// Why a page was turned away; for the log and `Portway-Reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The page that asks is of another origin, or may be.
    OtherOrigin,
    /// Only a person's own navigation may ask this.
    NotANavigation,
}

/// Whether a page may make this request to the origin `ours`.
///
/// - An `Origin` that is not ours is refused for every method: no workspace gets an answer, not even to a GET.
/// - Unsafe methods need `Sec-Fetch-Site: same-origin`, or, without it, our own Origin. A form under `no-referrer` sends
///   `Origin: null` with `same-origin`, which is right.
/// - Safe ones from elsewhere may only be top-level navigations, and none at all to the `api`.
pub(crate) fn check(method: &Method, headers: &HeaderMap, ours: &str, api: bool) -> Result<(), Refused> {
    let origin = once(headers, "origin");
    let site = once(headers, "sec-fetch-site");
    let same_origin = site == Once::One(b"same-origin");
    match origin {
        Once::Absent => {}
        Once::One(b"null") if same_origin => {}
        Once::One(origin) if origin == ours.as_bytes() => {}
        Once::One(_) | Once::Twice => return Err(Refused::OtherOrigin),
    }
    if same_origin {
        return Ok(());
    }
    let safe = method == Method::GET || method == Method::HEAD;
    match site {
        Once::Absent if safe || matches!(origin, Once::One(_)) => Ok(()),
        Once::One(b"none") if safe => Ok(()),
        Once::One(_) if safe && !api && once(headers, "sec-fetch-mode") == Once::One(b"navigate") => top_level(headers),
        Once::Absent | Once::One(_) | Once::Twice => Err(Refused::OtherOrigin),
    }
}

/// Whether a request is a person's own top-level navigation: not an image, a frame, a fetch or a prerender (R15, R17).
/// Clients that send no fetch metadata are believed.
pub(crate) fn top_level(headers: &HeaderMap) -> Result<(), Refused> {
    let mode = once(headers, "sec-fetch-mode");
    let dest = once(headers, "sec-fetch-dest");
    let navigates = matches!(mode, Once::Absent | Once::One(b"navigate"));
    let fills_the_tab = matches!(dest, Once::Absent | Once::One(b"document"));
    let speculative = headers.contains_key("sec-purpose") || headers.contains_key("purpose");
    if navigates && fills_the_tab && !speculative { Ok(()) } else { Err(Refused::NotANavigation) }
}

fn once<'a>(headers: &'a HeaderMap, name: &str) -> Once<'a> {
    Once::of(headers.get_all(name).iter().map(http::HeaderValue::as_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "https://code.example";

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(*name, http::HeaderValue::from_static(value));
        }
        map
    }

    fn allowed(method: &Method, api: bool, lines: &[(&'static str, &'static str)]) -> bool {
        check(method, &headers(lines), OURS, api).is_ok()
    }

    #[test]
    fn unsafe_requests_come_from_our_own_pages_alone() {
        let good: &[&[(&str, &str)]] = &[
            &[("sec-fetch-site", "same-origin"), ("origin", OURS)],
            &[("sec-fetch-site", "same-origin"), ("origin", "null")],
            &[("sec-fetch-site", "same-origin")],
            &[("origin", OURS)],
        ];
        let bad: &[&[(&str, &str)]] = &[
            &[],
            &[("origin", "null")],
            &[("origin", "https://3000-a.code.example")],
            &[("origin", "http://code.example")],
            &[("origin", "https://code.example:8443")],
            &[("origin", "https://code.example.evil")],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "same-site"), ("origin", OURS)],
            &[("sec-fetch-site", "cross-site"), ("origin", "null")],
            &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
            &[("sec-fetch-site", "same-origin"), ("origin", "https://3000-a.code.example")],
            &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")],
            &[("origin", OURS), ("origin", OURS)],
        ];
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
            for lines in good {
                assert!(allowed(&method, true, lines) && allowed(&method, false, lines), "{method} {lines:?}");
            }
            for lines in bad {
                assert!(!allowed(&method, true, lines) && !allowed(&method, false, lines), "{method} {lines:?}");
            }
        }
    }

    #[test]
    fn a_page_opens_from_anywhere_and_the_api_does_not() {
        let link: &[(&str, &str)] =
            &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        assert!(allowed(&Method::GET, false, link));
        assert!(!allowed(&Method::GET, true, link));
        for lines in [
            &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")][..],
            &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
            &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")],
            &[("origin", "https://3000-a.code.example")],
            &[("origin", "null")],
        ] {
            assert!(!allowed(&Method::GET, false, lines) && !allowed(&Method::GET, true, lines), "{lines:?}");
        }
        assert!(allowed(&Method::GET, true, &[]), "a program");
        assert!(allowed(&Method::GET, true, &[("sec-fetch-site", "none")]), "typed into the address bar");
        assert!(allowed(&Method::GET, true, &[("sec-fetch-site", "same-origin")]), "our own page");
    }

    #[test]
    fn frames_fetches_and_prerenders_are_no_navigations() {
        assert!(top_level(&headers(&[])).is_ok());
        assert!(top_level(&headers(&[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")])).is_ok());
        for lines in [
            &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")][..],
            &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")],
            &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")],
            &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("sec-purpose", "prefetch;prerender")],
            &[("sec-fetch-mode", "navigate"), ("sec-fetch-mode", "navigate")],
        ] {
            assert_eq!(top_level(&headers(lines)), Err(Refused::NotANavigation), "{lines:?}");
        }
    }
}
