//! What each kind of page may do with what the browser sends by itself: the policy as a table, in the design's order.

use std::collections::BTreeMap;

use super::*;
use crate::host::{ControlHost, Domain, Pattern, Scheme};

fn names() -> Names {
    let domain = |name: &str, port| Domain {
        name: name.to_owned(),
        pattern: Pattern::default(),
        scheme: Scheme::Https,
        port,
        default_port: 8080,
    };
    Names {
        domains: vec![domain("example.com", 443), domain("other.test", 8443)],
        control: ControlHost { host: "example.com".to_owned(), scheme: Scheme::Https, port: 443 },
    }
}

fn target(names: &Names) -> Target {
    match names.parse(b"3000-a.example.com") {
        Ok(Place::Workspace(target)) => target,
        other => panic!("{other:?}"),
    }
}

/// Reads `GET site=same-origin origin=…`: a method, then header values by their short names; `ws` for an upgrade.
/// A name given twice is a header sent twice; `+` stands for a space.
fn check_line(line: &str) -> Result<(), Refused> {
    let mut words = line.split(' ');
    let method = words.next().unwrap();
    let mut headers: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for word in words {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        assert!(["site", "mode", "dest", "origin", "referer", "ws"].contains(&name), "{line}");
        headers.entry(name).or_default().push(value.replace('+', " "));
    }
    let once = |name| Once::of(headers.get(name).into_iter().flatten().map(String::as_bytes));
    let asking = Asking {
        method: method.as_bytes(),
        websocket: headers.contains_key("ws"),
        origin: once("origin"),
        referer: once("referer"),
        site: once("site"),
        mode: once("mode"),
        dest: once("dest"),
    };
    let names = names();
    let embed = ["https://ide.test".to_owned()];
    check(&asking, Policy { names: &names, embed: &embed }, &target(&names))
}

/// One situation a line, and why it ends as it does.
fn all(verdict: Result<(), Refused>, situations: &str) {
    for line in situations.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (request, why) = line.split_once(" | ").expect("a situation and its reason");
        assert_eq!(check_line(request), verdict, "{why}: {request}");
    }
}

#[test]
fn the_port_itself_and_what_a_person_types_may() {
    all(
        Ok(()),
        "
        GET site=none mode=navigate dest=document | typed, a bookmark, another program
        GET site=same-origin mode=navigate dest=document | a link within the app
        GET site=same-origin mode=cors dest=empty | the app's own fetch
        GET site=same-origin mode=no-cors dest=image | the app's own image
        GET site=same-origin mode=no-cors dest=script referer=https://3000-a.example.com/ | the app's own script
        POST site=same-origin mode=cors dest=empty origin=https://3000-a.example.com | the app's own POST
        POST site=same-origin mode=navigate dest=document origin=null | its form under no-referrer
        DELETE site=same-origin mode=cors dest=empty origin=https://3000-a.example.com | any method of its own
        GET site=same-origin mode=navigate dest=iframe | its own frame
        GET site=same-origin mode=websocket dest=empty ws origin=https://3000-a.example.com | its WebSocket in Firefox
        GET site=same-origin mode=same-origin dest=worker | its worker
        GET site=same-origin mode=same-origin dest=serviceworker | its service worker
        GET site=none mode=navigate dest=document referer=https://evil.com/ | what the browser calls nobody's is nobody's
        ",
    );
}

#[test]
fn a_page_of_another_port_of_the_same_workspace_may() {
    all(
        Ok(()),
        "
        POST site=same-site mode=cors dest=empty origin=https://5000-a.example.com | frontend calls API
        PUT site=same-site mode=cors dest=empty origin=https://5000-a.example.com | with any method
        GET site=same-site mode=cors dest=empty origin=https://5000-a.example.com | credentialed GET
        GET site=same-site mode=cors dest=empty origin=https://5000s-a.example.com | a port that speaks TLS inside
        GET site=same-site mode=cors dest=empty origin=https://a.example.com | the IDE on the bare name
        POST site=same-site mode=navigate dest=document origin=https://8080-a.example.com | a form
        GET ws origin=https://5000-a.example.com | a WebSocket, without Sec-Fetch-Site
        GET ws origin=https://3000-a.example.com | the port's own WebSocket in Chromium
        CONNECT ws origin=https://3000-a.example.com | the same over HTTP/2 (RFC 8441)
        GET ws origin=https://3000-A.Example.com:443 | another spelling of the same origin
        GET site=cross-site mode=cors dest=empty origin=https://5000-a.other.test:8443 | its port under another domain
        GET mode=cors dest=empty origin=https://5000-a.example.com | an old browser's fetch: Origin alone decides
        POST origin=https://3000-a.example.com | an old browser's form
        GET site=same-site mode=no-cors dest=image referer=https://5000-a.example.com/x | its image
        GET site=same-site mode=no-cors dest=script referer=https://5000-a.example.com/ | its script
        GET site=same-site mode=no-cors dest=style referer=https://a.example.com/?x | its style sheet
        GET site=same-site mode=navigate dest=iframe referer=https://8080-a.example.com/ | its frame
        HEAD site=same-site mode=no-cors dest=empty referer=https://5000-a.example.com/ | a HEAD
        GET site=same-site mode=no-cors dest=video referer=https://5000-a.example.com#x | a Referer without path
        GET site=cross-site mode=no-cors dest=image referer=https://5000-a.other.test:8443/ | from its port under another domain
        ",
    );
}

#[test]
fn a_person_may_follow_a_link_from_anywhere() {
    all(
        Ok(()),
        "
        GET site=cross-site mode=navigate dest=document | a link in a chat
        GET site=cross-site mode=navigate dest=document referer=https://evil.com/ | a link of any site
        GET site=same-site mode=navigate dest=document referer=https://3000-m.example.com/ | a link of another workspace
        GET site=same-site mode=navigate dest=document referer=https://example.com/ | a link of the control host
        GET site=same-site mode=navigate dest=document | back from the login
        ",
    );
}

#[test]
fn a_page_of_another_workspace_may_do_nothing_else() {
    all(
        Err(Refused),
        "
        POST site=same-site mode=navigate dest=document origin=https://3000-m.example.com | form
        POST site=same-site mode=navigate dest=document origin=null | form under no-referrer
        POST site=same-site mode=navigate dest=document | form without Origin
        POST site=same-site mode=no-cors dest=empty origin=https://3000-m.example.com | sendBeacon
        GET site=same-site mode=cors dest=empty origin=https://3000-m.example.com | fetch, cors
        GET site=same-site mode=no-cors dest=empty referer=https://3000-m.example.com/ | fetch, no-cors
        GET site=same-site mode=no-cors dest=empty | fetch without referrer
        GET site=same-site mode=no-cors dest=image referer=https://3000-m.example.com/ | img
        GET site=same-site mode=no-cors dest=script | script
        GET site=same-site mode=cors dest=empty origin=https://3000-m.example.com referer=https://3000-a.example.com/ | EventSource
        GET site=same-site mode=navigate dest=iframe referer=https://3000-m.example.com/ | iframe
        GET site=same-site mode=navigate dest=iframe | sandboxed iframe
        GET site=same-site mode=navigate dest=frame | frame
        GET site=same-site mode=navigate dest=object | object
        GET site=same-site mode=navigate dest=embed | embed
        GET ws origin=https://3000-m.example.com | WebSocket
        CONNECT ws origin=https://3000-m.example.com | WebSocket over HTTP/2
        GET site=same-site mode=websocket dest=empty ws origin=https://3000-m.example.com | WebSocket in Firefox
        GET ws origin=https://3000-a.example.com.evil.com | a longer host
        GET ws origin=https://3000-ab.example.com | an id that begins alike
        GET ws origin=https://3000-a-m.example.com | an id that contains it
        GET ws origin=https://m-3000-a.example.com | an id that ends alike
        ",
    );
}

#[test]
fn other_sites_and_the_control_host_may_do_nothing_else() {
    all(
        Err(Refused),
        "
        POST site=cross-site mode=navigate dest=document origin=https://evil.com | form
        GET site=cross-site mode=cors dest=empty origin=https://evil.com | fetch
        GET site=cross-site mode=no-cors dest=image referer=https://evil.com/ | img
        GET site=cross-site mode=navigate dest=iframe | iframe
        HEAD site=cross-site mode=navigate dest=document | no browser navigates by HEAD
        POST site=cross-site mode=navigate dest=document | POST navigation without Origin
        GET ws origin=https://evil.com | WebSocket
        GET ws origin=null | WebSocket of a sandboxed frame
        GET ws | WebSocket without Origin
        GET ws referer=https://3000-a.example.com/ | a Referer is no Origin
        GET ws site=cross-site referer=https://3000-a.example.com/ | nor on any handshake
        GET ws site=cross-site mode=navigate dest=document | a handshake is no navigation
        GET ws origin=http://3000-a.example.com | another scheme
        GET ws origin=wss://3000-a.example.com | a scheme no origin has
        GET ws origin=https://3000-a.example.com:8443 | another port
        GET ws origin=https://5000-a.other.test | another domain's port
        GET ws origin=https://3000-a.example.com/ | an origin has no path
        GET ws origin=https://u@3000-a.example.com | nor a user
        GET ws origin=https://3000-a.example.com+https://evil.com | nor a second origin
        GET ws origin= | an empty one
        POST site=same-site mode=cors dest=empty origin=https://example.com | the control host's page
        GET ws origin=https://example.com | the control host's WebSocket
        GET site=same-site mode=no-cors dest=image referer=https://example.com/ | the control host's image
        GET site=cross-site mode=no-cors dest=image referer=https://evil.com/https://3000-a.example.com/ | a Referer that mentions us
        GET site=cross-site mode=no-cors dest=image referer=https://3000-a.example.com@evil.com/ | a user that looks like us
        GET site=cross-site mode=no-cors dest=image referer=https://evil.com?://3000-a.example.com/ | a query that looks like us
        GET site=cross-site mode=no-cors dest=image referer=http://3000-a.example.com/ | a Referer of another scheme
        GET site=cross-site mode=no-cors dest=image referer=3000-a.example.com | a Referer that is no URL
        ",
    );
}

#[test]
fn what_browsers_never_send_is_refused() {
    all(
        Err(Refused),
        "
        GET | no header at all: a program, which should send a token
        POST | the same
        GET referer=https://3000-a.example.com/ | an old browser's image: only Origin counts there
        GET mode=navigate dest=document | Sec-Fetch headers come together
        GET site=cross-site | the same
        GET site=cross-site mode=navigate | the same
        GET site=cross-site dest=document | the same
        GET site=Same-Origin mode=cors dest=empty | values are compared byte for byte
        GET site=same-origin, mode=cors dest=empty | the same
        GET site=+same-origin mode=cors dest=empty | the same
        GET site= mode=cors dest=empty | the same
        GET site=sameorigin mode=cors dest=empty | a value nobody defined
        get site=cross-site mode=navigate dest=document | methods are case-sensitive (RFC 9110 9.1)
        OPTIONS site=cross-site mode=navigate dest=document | only GET
        PUT site=same-site mode=cors dest=empty referer=https://5000-a.example.com/ | an unsafe method needs an Origin
        GET site=cross-site mode=navigate dest=document origin=https://evil.com | a GET navigation has no Origin
        GET site=cross-site mode=navigate dest=document origin=null | the same
        GET site=same-origin site=same-origin mode=cors dest=empty | a header sent twice
        GET site=same-origin site=cross-site mode=navigate dest=document | the same
        GET site=none mode=navigate mode=cors dest=document | the same
        GET site=none mode=navigate dest=document dest=iframe | the same
        GET ws origin=https://3000-a.example.com origin=https://3000-a.example.com | the same
        POST site=same-origin mode=cors dest=empty origin=https://3000-a.example.com origin=https://evil.com | the same
        GET site=same-origin mode=cors dest=empty referer=https://3000-a.example.com/ referer=https://evil.com/ | the same
        ",
    );
}

#[test]
fn only_the_public_origin_of_the_same_workspace_is_a_sibling() {
    let names = names();
    let target = target(&names);
    for (origin, sibling) in [
        ("https://3000-a.example.com", true),
        ("https://1-a.example.com", true),
        ("https://a.example.com", true),
        ("https://a.other.test:8443", true),
        ("https://example.com", false),
        ("https://b.example.com", false),
        ("https://65536-a.example.com", false),
        ("null", false),
        ("", false),
    ] {
        assert_eq!(is_sibling(&names, &target, origin.as_bytes()), sibling, "{origin}");
    }
}

#[test]
fn only_navigations_are_sent_to_a_login() {
    let html = Some(&b"text/html,application/xhtml+xml,*/*;q=0.8"[..]);
    for (method, websocket, mode, accept, wanted, why) in [
        ("GET", false, Once::One(&b"navigate"[..]), None, true, "a navigation"),
        ("HEAD", false, Once::One(b"navigate"), None, true, "a link checker's"),
        ("POST", false, Once::One(b"navigate"), html, false, "a form is not repeated by GET"),
        ("GET", true, Once::One(b"navigate"), html, false, "a handshake"),
        ("GET", true, Once::Absent, html, false, "a handshake"),
        ("GET", false, Once::One(b"cors"), html, false, "a fetch"),
        ("GET", false, Once::One(b"no-cors"), html, false, "an image"),
        ("GET", false, Once::One(b"Navigate"), html, false, "no browser's spelling"),
        ("GET", false, Once::Twice, html, false, "no browser's header"),
        ("GET", false, Once::Absent, html, true, "an old browser"),
        ("HEAD", false, Once::Absent, Some(b"TEXT/HTML"), true, "media types ignore case"),
        ("POST", false, Once::Absent, html, false, "a form of an old browser"),
        ("GET", false, Once::Absent, Some(b"*/*"), false, "curl"),
        ("GET", false, Once::Absent, Some(b"text/htm"), false, "almost"),
        ("GET", false, Once::Absent, Some(b"text/event-stream"), false, "an EventSource"),
        ("GET", false, Once::Absent, None, false, "a program"),
        ("OPTIONS", false, Once::Absent, html, false, "a preflight"),
    ] {
        assert_eq!(is_navigation(method.as_bytes(), websocket, mode, accept), wanted, "{why}");
    }
}

#[test]
fn a_header_is_absent_once_or_too_often() {
    assert_eq!(Once::of([].into_iter()), Once::Absent);
    assert_eq!(Once::of([&b"x"[..]].into_iter()), Once::One(b"x"));
    assert_eq!(Once::of([&b""[..]].into_iter()), Once::One(b""));
    assert_eq!(Once::of([&b"x"[..], b"x"].into_iter()), Once::Twice);
    assert_eq!(Once::of([&b"x"[..], b"y", b"z"].into_iter()), Once::Twice);
}

#[test]
fn the_origin_of_a_url_ends_where_its_path_begins() {
    for (url, origin) in [
        ("https://h:1/x", "https://h:1"),
        ("https://h?x/y", "https://h"),
        ("https://h#x?y", "https://h"),
        ("https://h", "https://h"),
        ("https:///x", "https://"),
        ("https://h/a://b/c", "https://h"),
        ("h/x", "h/x"),
        ("://", "://"),
        ("", ""),
    ] {
        assert_eq!(origin_part(url.as_bytes()), origin.as_bytes(), "{url}");
    }
}
