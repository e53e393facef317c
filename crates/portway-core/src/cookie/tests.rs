//! R1, R4 and R6 as tables: what is found, what is taken away, and what passes byte for byte.

use proptest::prelude::*;

use super::*;

/// The shape of a control plane's session: a ULID.
const CANARY: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

fn control() -> ControlCookie {
    ControlCookie { name: "session".to_owned(), shape: CookieShape::Text(26) }
}

fn find_in<'a>(fields: &[&'a str]) -> Found<'a> {
    find(fields.iter().map(|field| field.as_bytes()), SESSION)
}

fn strip_text(field: &str) -> Option<String> {
    strip(field.as_bytes(), Some(&control())).map(|kept| String::from_utf8(kept.into_owned()).unwrap())
}

fn set_cookie_text(field: &str) -> Option<String> {
    set_cookie(field.as_bytes()).map(|kept| String::from_utf8(kept.into_owned()).unwrap())
}

#[test]
fn a_control_planes_session_is_known_by_its_shape() {
    let jwt = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2ln-_";
    let token = ControlCookie { name: "session".to_owned(), shape: CookieShape::Jwt };
    for (value, text, signed) in [
        (CANARY, true, false),
        (&CANARY[1..], false, false),
        (jwt, false, true),
        ("eyJ9.eyJ9.", false, false),
        ("eyJ9.eyJ9", false, false),
        ("eyJ9.eyJ9.c2ln.c2ln", false, false),
        ("eyJ9.eyJ9.c2l=", false, false),
        ("abc.def.ghi", false, false),
        ("", false, false),
    ] {
        assert_eq!(control().is_shaped(value.as_bytes()), text, "{value}");
        assert_eq!(token.is_shaped(value.as_bytes()), signed, "{value}");
    }
    let field = format!("a=1; session={jwt}; session=flask.own; b=2");
    assert_eq!(strip(field.as_bytes(), Some(&token)).as_deref(), Some(&b"a=1; session=flask.own; b=2"[..]));
}

#[test]
fn one_session_is_found_wherever_it_stands() {
    for fields in [
        &["__Host-portway=v"][..],
        &["a=1; __Host-portway=v; b=2"],
        &["a=1;__Host-portway=v;b=2"],
        &["a=1;\t__Host-portway\t=\tv\t; b=2"],
        &["a=1", "b=2; __Host-portway=v"],
        &["__Host-portway=v;"],
        &[";;__Host-portway=v"],
        &["__Host-portway_txn=n; __Host-portway=v; __Host-portway_login=l"],
    ] {
        assert_eq!(find_in(fields), Found::One(b"v"), "{fields:?}");
    }
    assert_eq!(find_in(&["__Host-portway=a=b=="]), Found::One(b"a=b=="));
    assert_eq!(find_in(&["__Host-portway="]), Found::One(b""));
}

#[test]
fn nothing_that_only_looks_like_the_session_authenticates() {
    for field in [
        "",
        ";",
        "=",
        "__Host-portway",
        "=__Host-portway=v",
        " = __Host-portway=v",
        "__host-portway=v",
        "__HOST-PORTWAY=v",
        "__Host-Portway=v",
        "\u{2000}__Host-portway=v",
        "\u{a0}__Host-portway=v",
        "\u{feff}__Host-portway=v",
        "__Host-portway\u{2000}=v",
        "\x0b__Host-portway=v",
        "\x0c__Host-portway=v",
        "\r__Host-portway=v",
        "\n__Host-portway=v",
        "\0__Host-portway=v",
        "__Host-portway\0=v",
        "\"__Host-portway\"=v",
        "__Host-portway2=v",
        "x__Host-portway=v",
        "__Host-portway_txn=v",
        "__Host%2dportway=v",
        "__Host-portway%3dv",
        "a=\"; x\", __Host-portway=v",
        "a=1, __Host-portway=v",
        "a=1 __Host-portway=v",
        "a=1&__Host-portway=v",
        "$Version=1, __Host-portway=v",
        "$Version=\"1\" __Host-portway=v",
        "__Secure-portway=v",
        "Host-portway=v",
    ] {
        assert_eq!(find_in(&[field]), Found::None, "{field:?}");
    }
    assert_eq!(find([&b"\xa0__Host-portway=v"[..], b"\x85__Host-portway=v"].into_iter(), SESSION), Found::None);
    // `$Version` and `$Path` are cookies like any other.
    assert_eq!(find_in(&["$Version=1; __Host-portway=v; $Path=/"]), Found::One(b"v"));
    // Quotes belong to the value, so that no secret reads back from it.
    assert_eq!(find_in(&["__Host-portway=\"v\""]), Found::One(b"\"v\""));
}

#[test]
fn two_sessions_are_nobodys() {
    for fields in [
        &["__Host-portway=v; __Host-portway=w"][..],
        &["__Host-portway=w; __Host-portway=v"],
        &["__Host-portway=v; __Host-portway=v"],
        &["__Host-portway=; __Host-portway=v"],
        &["__Host-portway=v; a=1", "b=2; __Host-portway=w"],
        &["__Host-portway=v", "__Host-portway=w"],
        &["__Host-portway=1; __Host-portway=2; __Host-portway=3"],
    ] {
        assert_eq!(find_in(fields), Found::Many, "{fields:?}");
    }
    // A name in another case is no second one, a nameless one neither.
    assert_eq!(find_in(&["__host-portway=w; __Host-portway=v; =__Host-portway=w"]), Found::One(b"v"));
    let mut many: Vec<String> = (0..300).map(|n| format!("c{n}={n}")).collect();
    many.insert(150, "__Host-portway=v".to_owned());
    assert_eq!(find_in(&[&many.join("; ")]), Found::One(b"v"));
    many.push("__Host-portway=w".to_owned());
    assert_eq!(find_in(&[&many.join("; ")]), Found::Many);
}

#[test]
fn ours_and_the_control_planes_are_stripped_and_the_rest_stays() {
    let secret = "pwysecretcanary";
    for (field, kept) in [
        (format!("a=1; session={CANARY}; b=2"), Some("a=1; b=2")),
        (format!("session={CANARY}; a=1"), Some("a=1")),
        (format!("a=1; session={CANARY}"), Some("a=1")),
        (format!("a=1;session={CANARY};b=2"), Some("a=1;b=2")),
        (format!("a=1; session=\"{CANARY}\"; b=2"), Some("a=1; b=2")),
        (format!("a=1; session = {CANARY} ; b=2"), Some("a=1; b=2")),
        (format!("a=1;\tsession\t=\t{CANARY}\t; b=2"), Some("a=1; b=2")),
        (format!("session={CANARY}; session={CANARY}"), None),
        (format!("session={CANARY}; session=eyJ1IjoxfQ.x"), Some("session=eyJ1IjoxfQ.x")),
        (format!("session={}", CANARY.to_lowercase()), None),
        (format!("session={CANARY}"), None),
        (format!("; ;session={CANARY};"), None),
        (format!("__Host-portway={secret}; a=1"), Some("a=1")),
        (format!("a=1; __Host-portway={secret};  b = 2 ;c=\"3\""), Some("a=1;  b = 2 ;c=\"3\"")),
        (format!("__Host-portway_txn={secret}; __Host-portway_login={secret}"), None),
        (format!("__HOST-PORTWAY={secret}; a=1"), Some("a=1")),
        (format!("__host-portway_x={secret}; a=1"), Some("a=1")),
        (format!("\u{2000}__Host-portway={secret}; a=1"), Some("a=1")),
        (format!("\u{feff}__Host-portway={secret}; a=1"), Some("a=1")),
        (format!("\x0b__Host-portway={secret}; a=1"), Some("a=1")),
        (format!("=__Host-portway={secret}; a=1"), Some("a=1")),
        (format!("a=1; __Host-portway-{secret}"), Some("a=1")),
        (format!(" a=1 ;; __Host-portway={secret};; b=2 "), Some("a=1; b=2 ")),
    ] {
        let got = strip_text(&field);
        assert_eq!(got.as_deref(), kept, "{field:?}");
        let text = got.unwrap_or_default();
        assert!(!text.contains(CANARY) && !text.contains(secret), "{field:?}");
    }
    for byte in [0x80_u8, 0x85, 0xa0, 0xff] {
        let mut field = vec![byte];
        field.extend_from_slice(b"__Host-portway=v; a=1");
        assert_eq!(strip(&field, None).as_deref(), Some(&b"a=1"[..]), "{byte:#x}");
    }
}

#[test]
fn the_cookies_of_apps_pass_byte_for_byte() {
    let long = format!("session={CANARY}A");
    let short = format!("session={}", &CANARY[1..]);
    let dashed = format!("session={}-", &CANARY[1..]);
    let other_name = format!("Session={CANARY}; sessions={CANARY}; sessionid={CANARY}; xsession={CANARY}");
    let in_value = format!("a=session={CANARY}; b=__Host-portway=x");
    for field in [
        "",
        "a",
        "a=",
        "=a",
        "a=1",
        " a=1 ; b=2 ",
        ";;a=1;;",
        "session=eyJ1c2VyIjoxfQ.ZxY.abc-DEF_123",
        "session=.eJwljjkOwzAMBP-iOgVFUaLkzwS8hKSVkirI361mu5nZ",
        "session=",
        "session=\"\"",
        "session=\"quoted value\"; x=\"a; b\"",
        "theme=\"dark mode\"; list=a,b,c; eq=a=b==; pct=%3B%20; plus=+",
        "PHPSESSID=q1w2e3r4t5y6u7i8o9p0a1s2d3; a[b]=1; a[c][d]=2; x.y=3",
        "csrftoken=AbC; sessionid=0123456789abcdefghijklmnop",
        "connect.sid=s%3Aabc.def%2Fghi",
        "_xsrf=2|a|b|3; username-localhost-8888=\"2|1:0|10:1|23:x|44:y==|z\"",
        "__Secure-next-auth.session-token=x; __Host-next-auth.csrf-token=y%7Cz; __Host-=q",
        "$Version=1; a=1; $Path=/",
        "a={\"json\":[1,2]}; b=<x>",
        "a=1;b=2;  c=3;\td=4",
        "name=value; name=other",
        "a=\u{e9}\u{4e2d}",
        long.as_str(),
        short.as_str(),
        dashed.as_str(),
        other_name.as_str(),
        in_value.as_str(),
    ] {
        let kept = strip(field.as_bytes(), Some(&control()));
        assert!(matches!(kept, Some(Cow::Borrowed(kept)) if kept == field.as_bytes()), "{field:?}");
    }
    // Without a control plane's cookie to look for, its name is any app's.
    let field = format!("session={CANARY}");
    assert_eq!(strip(field.as_bytes(), None).as_deref(), Some(field.as_bytes()));
    assert_eq!(strip(b"a=\xff\xfe; b=\x80", None).as_deref(), Some(&b"a=\xff\xfe; b=\x80"[..]));
}

#[test]
fn a_dev_server_sets_no_cookie_of_ours() {
    for field in [
        "__Host-portway=evil",
        "__Host-portway=evil; Path=/; Secure",
        " __Host-portway=evil",
        "\t__Host-portway =evil",
        "__Host-portway",
        "__Host-portway;",
        "__host-portway=evil",
        "__HOST-PORTWAY=evil",
        "__Host-portway_txn=evil",
        "__Host-portway_login=evil",
        "__Host-portway-anything=evil",
        "=__Host-portway=evil",
        " =__Host-portway=evil",
        "= __Host-portway=evil",
        "=__host-portway=evil",
        "=__Host-portway",
        "\u{2000}__Host-portway=evil",
        "\u{a0}__Host-portway=evil",
        "\u{feff}__Host-portway=evil",
        "\x0b__Host-portway=evil",
        "\r\n __Host-portway=evil",
        "__Host-portway=evil; Domain=example.com",
        "=\u{2000}__Host-portway=evil",
    ] {
        assert_eq!(set_cookie_text(field), None, "{field:?}");
    }
    assert_eq!(set_cookie(b"\x85__Host-portway=evil"), None);
    assert_eq!(set_cookie(b"\xa0__Host-portway=evil"), None);
}

#[test]
fn a_domain_is_taken_from_what_a_dev_server_sets() {
    for (field, kept) in [
        ("a=1; Domain=example.com", "a=1"),
        ("a=1; domain = .EXAMPLE.com", "a=1"),
        ("a=1; DOMAIN=example.com; Path=/", "a=1; Path=/"),
        ("a=1; Path=/; Domain=example.com; Secure", "a=1; Path=/; Secure"),
        ("a=1; Domain=a.com; Domain=b.com", "a=1"),
        ("a=1; Domain=a.com; Path=/x; dOmAiN=b.com; HttpOnly", "a=1; Path=/x; HttpOnly"),
        ("a=1;Domain=example.com;Path=/", "a=1;Path=/"),
        ("a=1;\tDomain\t=\texample.com", "a=1"),
        ("a=1; Domain", "a=1"),
        ("a=1; Domain=", "a=1"),
        ("a=1; Domain=\"example.com\"", "a=1"),
        ("a=\"x; Domain=example.com\"", "a=\"x"),
        ("a=1;; Domain=example.com;", "a=1;;"),
        ("; Domain=example.com", ""),
        ("session=eyJ9; Domain=localhost; SameSite=None", "session=eyJ9; SameSite=None"),
    ] {
        assert_eq!(set_cookie_text(field).as_deref(), Some(kept), "{field:?}");
    }
}

#[test]
fn what_else_a_dev_server_sets_passes_byte_for_byte() {
    for field in [
        "",
        "a=1",
        "a",
        "=a",
        "Domain=example.com",
        "domain=1; Path=/",
        "a=Domain=example.com",
        "a=1; Path=/; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Max-Age=1; Secure; HttpOnly; SameSite=None; Partitioned; Priority=High",
        "a=1; xDomain=example.com; Domainx=y; Comment=Domain",
        " a = 1 ;  Path = /  ; x",
        "__Host-next-auth.csrf-token=y; Path=/; Secure",
        "__Host-=x",
        "__Secure-portway=x",
        "session=01ARZ3NDEKTSV4RRFFQ69G5FAV; Path=/",
        "a=__Host-portway=x",
        "x__Host-portway=x",
        "a=\"q; b\"",
    ] {
        let kept = set_cookie(field.as_bytes());
        assert!(matches!(kept, Some(Cow::Borrowed(kept)) if kept == field.as_bytes()), "{field:?}");
    }
    assert_eq!(set_cookie(b"a=\xff; x").as_deref(), Some(&b"a=\xff; x"[..]));
}

#[test]
fn our_own_cookies_are_host_only_secure_and_unreadable_to_scripts() {
    let text = ours(SESSION, "v", 28_800);
    assert_eq!(text, "__Host-portway=v; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=28800");
    assert!(ours(TRANSACTION, "", 0).ends_with("Max-Age=0"));
    for name in [SESSION, TRANSACTION, LOGIN] {
        assert_eq!(set_cookie(ours(name, "v", 1).as_bytes()), None, "{name}");
        assert_eq!(strip(format!("{name}=v").as_bytes(), None), None, "{name}");
    }
}

#[test]
fn host_cookies_work_over_tls_and_under_localhost() {
    assert!(host_cookies_work(Scheme::Https, "example.com"));
    assert!(host_cookies_work(Scheme::Http, "localhost"));
    assert!(host_cookies_work(Scheme::Http, "portway.localhost"));
    for domain in ["example.com", "notlocalhost", "localhost.example.com", "portway.localhost.com", ""] {
        assert!(!host_cookies_work(Scheme::Http, domain), "{domain}");
    }
}

proptest! {
    /// Ours in any place of any field: gone, and every other pair is still there, in order.
    #[test]
    fn stripping_takes_ours_and_nothing_else(
        others in prop::collection::vec(("[a-zA-Z$.\\[\\]]{1,8}", "[ -:<-~&&[^;]]{0,12}"), 0..6),
        at in any::<prop::sample::Index>(),
        name in prop::sample::select(vec![SESSION, TRANSACTION, LOGIN, "__host-portway", "session"]),
        separator in prop::sample::select(vec![";", "; ", " ;\t"]),
    ) {
        let mut pairs: Vec<String> = others.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.insert(at.index(pairs.len() + 1), format!("{name}={CANARY}"));
        let field = pairs.join(separator);
        let kept = strip_text(&field).unwrap_or_default();
        prop_assert!(!kept.contains(CANARY));
        let left: Vec<&[u8]> = super::pairs(kept.as_bytes()).map(|pair| trim(pair.raw)).filter(|raw| !raw.is_empty()).collect();
        let wanted: Vec<String> = others.iter().map(|(name, value)| format!("{name}={value}").trim_matches([' ', '\t']).to_owned()).collect();
        prop_assert_eq!(left, wanted.iter().map(String::as_bytes).collect::<Vec<_>>());
        prop_assert_eq!(strip_text(&kept).unwrap_or_default(), kept);
    }

    /// Whatever arrives, what leaves holds nothing of ours by any reading, and a second pass changes nothing.
    #[test]
    fn no_byte_sequence_carries_ours_through(field in prop::collection::vec(
        prop::sample::select(vec![&b"__Host-portway"[..], b"__host-PORTWAY_txn", b"=", b";", b" ", b"\t", b"a", b"\"", b"\xa0", b"\xe2\x80\x80", b"Domain", b"\x0b", b","]), 0..12)
    ) {
        let field = field.concat();
        if let Some(kept) = strip(&field, None) {
            for name in [SESSION, TRANSACTION, LOGIN] {
                prop_assert_eq!(find([&*kept].into_iter(), name), Found::None);
            }
            prop_assert_eq!(strip(&kept, None), Some(Cow::Borrowed(&*kept)));
        }
        if let Some(kept) = set_cookie(&field) {
            prop_assert_eq!(set_cookie(&kept), Some(Cow::Borrowed(&*kept)));
            let attributes = kept.split(|b| *b == b';').skip(1);
            for attribute in attributes {
                let name = attribute.split(|b| *b == b'=').next().unwrap();
                prop_assert!(!trim(name).eq_ignore_ascii_case(b"domain"));
            }
        }
    }
}
