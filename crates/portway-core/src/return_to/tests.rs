//! R12: more than 300 ways out of a host, against the rule and against a browser's own way of reading URLs.

use proptest::prelude::*;

use super::*;

const HOST: &str = "3000-abc.example.com";

/// The host a browser goes to for `location` seen at `https://{HOST}/x`, by the URL standard's rules for special
/// schemes; `None` where it would leave http(s).
fn browser_goes_to(location: &str) -> Option<String> {
    let text: String = location
        .trim_matches(|c: char| c <= ' ')
        .chars()
        .filter(|c| !matches!(c, '\t' | '\n' | '\r'))
        .map(|c| if c == '\\' { '/' } else { c })
        .collect();
    let scheme_end = text.find([':', '/', '?', '#']).filter(|at| text[*at..].starts_with(':'));
    let scheme = scheme_end.map(|at| text[..at].to_ascii_lowercase()).filter(|scheme| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    });
    let rest = match scheme.as_deref() {
        None => text.as_str(),
        Some("http") => &text[5..],
        // The page's own scheme without slashes is relative to it.
        Some("https") => &text[6..],
        Some(_) => return None,
    };
    let relative = match scheme.as_deref() {
        None | Some("https") => !rest.starts_with("//"),
        Some(_) => false,
    };
    if relative {
        return Some(HOST.to_owned());
    }
    let authority = rest.trim_start_matches('/').split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?.split(':').next()?;
    Some(host.to_ascii_lowercase().replace(['。', '．', '｡'], "."))
}

fn stays(location: &str) -> bool {
    browser_goes_to(location).as_deref() == Some(HOST)
}

/// Everything that can stand before or instead of a host to leave ours.
fn ways_out() -> Vec<String> {
    let starts = [
        "//",
        "///",
        "////",
        "/\\",
        "\\/",
        "\\\\",
        "\\",
        "/\\/",
        "/\t/",
        "\t//",
        "/\n/",
        "/\r\n/",
        "/\r/",
        " //",
        "\0//",
        "/\0/",
        "/ /",
        "\u{a0}//",
        "/\u{2044}/",
        "／／",
        "/／",
        "https://",
        "http://",
        "HTTPS://",
        "https:/",
        "https:",
        "http:",
        "http:\\\\",
        "https:\\",
        "//x@",
        "//3000-abc.example.com@",
        "//3000-abc.example.com:443@",
        "",
        ".",
        "@",
        ":",
        "ftp://",
        "wss://",
        "\u{feff}//",
        "\x08//",
        "\x1f//",
    ];
    let ends = [
        "evil.com",
        "evil.com/x",
        "evil.com:443/",
        "evil。com",
        "evil.com%2f3000-abc.example.com",
        "evil.com#/x",
        "[::1]",
        "2130706433",
    ];
    let mut all: Vec<String> = starts.iter().flat_map(|start| ends.map(|end| format!("{start}{end}"))).collect();
    all.extend(
        [
            "",
            " ",
            "x",
            "?x",
            "#",
            "*",
            " /",
            "/ ",
            "/a b",
            "\t/",
            "/\t",
            "/x\t",
            "/x\r\nSet-Cookie: a=b",
            "/x\nLocation: https://evil.com",
            "/x\rX: y",
            "/x\0",
            "/x\x7f",
            "/x\x1b[2J",
            "/\\evil.com",
            "/x\\evil.com",
            "/x/..\\..\\evil.com",
            "/x\\",
            "/#//evil.com",
            "/x#fragment",
            "/ä",
            "/x\u{2028}y",
            "/\u{202e}moc.live",
            "/\u{ff0f}evil.com",
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "java\nscript:alert(1)",
            " javascript:alert(1)",
            "javascript://%0aalert(1)",
            "data:text/html,<script>alert(1)</script>",
            "vbscript:msgbox(1)",
            "blob:https://evil.com/x",
            "file:///etc/passwd",
            "about:blank",
            "view-source:https://evil.com",
            "3000-abc.example.com.evil.com",
            "https://3000-abc.example.com.evil.com/",
            "https://3000-abc.example.com@evil.com/",
            "https://3000-abc.example.comevil.com/",
            "https://evilexample.com/",
            "https://3000-abc.example.com/",
            "//3000-abc.example.com/",
            "//",
            "///",
            "//?x",
            "//#",
            "/\\",
            "\\",
            "./x",
            "../x",
            ".//evil.com",
            ";//evil.com",
            "%2f%2fevil.com",
            "%5c%5cevil.com",
            "%09//evil.com",
        ]
        .map(str::to_owned),
    );
    all
}

#[test]
fn no_way_out_is_taken() {
    let all = ways_out();
    assert!(all.len() >= 300, "{}", all.len());
    for path in &all {
        assert!(!is_safe(path.as_bytes()), "{path:?}");
        assert_eq!(or_root(path), "/", "{path:?}");
    }
    let leaving = all.iter().filter(|path| !stays(path)).count();
    assert!(leaving >= 150, "the model of a browser sees only {leaving} leave");
}

#[test]
fn ordinary_visits_come_back_byte_for_byte() {
    for path in [
        "/",
        "/x",
        "/x/",
        "/x/y?z=1&w=2",
        "/?x",
        "/?",
        "/?next=https://evil.com/",
        "/?next=//evil.com",
        "/%2f",
        "/%09/evil",
        "/%2f/evil.com",
        "/%5cevil.com",
        "/%5C/evil.com",
        "/%0d%0aX:%20y",
        "/%00",
        "/.",
        "/..",
        "/../x",
        "/.//evil.com",
        "/..//evil.com",
        "/x//y",
        "/x///y",
        "/@evil.com",
        "/:443",
        "/;x=y",
        "/evil.com",
        "/https://evil.com",
        "/https:evil.com",
        "/javascript:alert(1)",
        "/*",
        "/~user/!$&'()*+,;=:@",
        "/\"quoted\"<tag>{a|b}^`[x]",
        "/a%20b?c=%E2%9C%93",
        "/%",
        "/%zz",
        "/lab/tree/notebook.ipynb?reset",
        "/@vite/client",
        "/@fs/home/user/x.ts?t=1",
    ] {
        assert!(is_safe(path.as_bytes()), "{path}");
        assert_eq!(or_root(path), path);
        assert!(stays(path), "{path}");
        assert!(stays(&format!("https://{HOST}{path}")), "{path}");
    }
}

#[test]
fn a_visit_longer_than_the_limit_returns_to_the_root() {
    let fits = format!("/{}", "x".repeat(MAX - 1));
    assert_eq!(or_root(&fits), fits);
    assert_eq!(or_root(&format!("{fits}x")), "/");
}

#[test]
fn the_model_of_a_browser_knows_the_tricks() {
    for (location, host) in [
        ("//evil.com", Some("evil.com")),
        ("/\\evil.com", Some("evil.com")),
        ("/\t/evil.com", Some("evil.com")),
        (" \\\\evil.com", Some("evil.com")),
        ("////evil.com/x", Some("evil.com")),
        ("http:evil.com", Some("evil.com")),
        ("https:evil.com", Some(HOST)),
        ("https:\\\\evil.com", Some("evil.com")),
        ("https://a@evil.com:1/x", Some("evil.com")),
        ("//evil。com", Some("evil.com")),
        ("javascript:x", None),
        ("java\nscript:x", None),
        ("x:y", None),
        ("/x:y", Some(HOST)),
        ("x", Some(HOST)),
        ("?x", Some(HOST)),
        ("/.//evil.com", Some(HOST)),
    ] {
        assert_eq!(browser_goes_to(location).as_deref(), host, "{location:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn what_is_safe_stays_on_the_host(path in "/?[/\\\\a.:@?#%\t\r\n ä。]{0,4}(evil[.]com)?[!-~]{0,6}") {
        if is_safe(path.as_bytes()) {
            prop_assert!(stays(&path));
            let absolute = format!("https://{HOST}{path}");
            prop_assert!(stays(&absolute));
            prop_assert!(path.bytes().all(|b| b.is_ascii_graphic()));
        }
    }

    #[test]
    fn any_bytes_are_safe_only_as_a_printable_path(path in prop::collection::vec(any::<u8>(), 0..8)) {
        if is_safe(&path) {
            prop_assert!(path[0] == b'/' && path.get(1) != Some(&b'/'));
            prop_assert!(path.iter().all(|b| b.is_ascii_graphic() && !b"\\#".contains(b)));
        }
    }
}
