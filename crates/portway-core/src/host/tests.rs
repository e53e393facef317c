//! What a name means, against tables, and against a second reading of the grammar written as "cut it every way".

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;

const UUID: &str = "12345678-1234-4234-8234-123456789012";
const ULID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

fn domain(name: &str, pattern: &str, scheme: Scheme, port: u16) -> Domain {
    Domain {
        name: name.to_owned(),
        pattern: pattern.parse().unwrap(),
        scheme,
        port,
        default_port: 8080,
    }
}

/// Nested domains, three shapes of pattern, a public port that is not the scheme's, and a control host inside a domain.
fn names() -> Names {
    Names {
        domains: vec![
            domain("example.com", "{port}-{workspace}", Scheme::Https, 443),
            domain("a.example.com", "{port}--{workspace}", Scheme::Https, 8443),
            domain(
                "portway.localhost",
                "{workspace}-{port}",
                Scheme::Http,
                8080,
            ),
            domain("wide.test", "dev-{port}-{workspace}-x", Scheme::Http, 80),
            domain("x.wide.test", "{workspace}--{port}", Scheme::Https, 443),
        ],
        control: ControlHost {
            host: "login.example.com".to_owned(),
            scheme: Scheme::Https,
            port: 443,
        },
    }
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    })
}

/// (domain, workspace, port, tls)
type Meaning = (usize, String, u16, bool);

fn read(names: &Names, authority: &[u8]) -> Result<Option<Meaning>, HostError> {
    Ok(match names.parse(authority)? {
        Place::Control => None,
        Place::Workspace(t) => Some((t.domain, t.workspace, t.port, t.tls)),
    })
}

#[test]
fn names_of_every_form_are_read() {
    let names = names();
    let long = "w".repeat(58);
    for (authority, domain, workspace, port, tls) in [
        ("3000-abc.example.com", 0, "abc", 3000, false),
        ("3000-abc.example.com:443", 0, "abc", 3000, false),
        ("1-a.example.com", 0, "a", 1, false),
        ("65535-a.example.com", 0, "a", 65535, false),
        ("22-a.example.com", 0, "a", 22, false),
        ("22s-a.example.com", 0, "a", 22, true),
        ("8443s-abc.example.com", 0, "abc", 8443, true),
        ("3000ss-abc.example.com", 0, "3000ss-abc", 8080, false),
        ("s-abc.example.com", 0, "s-abc", 8080, false),
        ("abc.example.com", 0, "abc", 8080, false),
        ("a.example.com", 0, "a", 8080, false),
        ("3000-a--b.example.com", 0, "a--b", 3000, false),
        ("3000-a-5000.example.com", 0, "a-5000", 3000, false),
        ("3000.example.com", 0, "3000", 8080, false),
        ("3000s.example.com", 0, "3000s", 8080, false),
        ("100000-a.example.com", 0, "100000-a", 8080, false),
        (&format!("3000-{UUID}.example.com"), 0, UUID, 3000, false),
        (&format!("{UUID}.example.com"), 0, UUID, 8080, false),
        (
            &format!("3000-{ULID}.EXAMPLE.com"),
            0,
            &ULID.to_lowercase(),
            3000,
            false,
        ),
        (
            &format!("{ULID}.example.com"),
            0,
            &ULID.to_lowercase(),
            8080,
            false,
        ),
        (&format!("3000-{long}.example.com"), 0, &long, 3000, false),
        ("3000--abc.a.example.com:8443", 1, "abc", 3000, false),
        ("3000-abc.a.example.com:8443", 1, "3000-abc", 8080, false),
        ("abc.a.example.com:8443", 1, "abc", 8080, false),
        ("abc-3000.portway.localhost:8080", 2, "abc", 3000, false),
        ("abc-3000s.portway.localhost:8080", 2, "abc", 3000, true),
        (
            "3000-abc.portway.localhost:8080",
            2,
            "3000-abc",
            8080,
            false,
        ),
        (
            &format!("{UUID}-3000.portway.localhost:8080"),
            2,
            UUID,
            3000,
            false,
        ),
        (
            &format!("{UUID}.portway.localhost:8080"),
            2,
            UUID,
            8080,
            false,
        ),
        ("dev-3000-abc-x.wide.test", 3, "abc", 3000, false),
        ("dev-3000-abc-x.wide.test:80", 3, "abc", 3000, false),
        ("dev-3000-abc-x-x.wide.test", 3, "abc-x", 3000, false),
        ("dev-3000-3000-abc-x.wide.test", 3, "3000-abc", 3000, false),
        ("dev-3000-abc.wide.test", 3, "dev-3000-abc", 8080, false),
        ("3000-abc.wide.test", 3, "3000-abc", 8080, false),
        ("abc--3000.x.wide.test", 4, "abc", 3000, false),
        ("x.wide.test", 3, "x", 8080, false),
    ] {
        let wanted = (domain, workspace.to_owned(), port, tls);
        assert_eq!(
            read(&names, authority.as_bytes()),
            Ok(Some(wanted)),
            "{authority}"
        );
    }
    for control in ["login.example.com", "LOGIN.Example.COM:443"] {
        assert_eq!(
            names.parse(control.as_bytes()),
            Ok(Place::Control),
            "{control}"
        );
    }
}

#[test]
fn whatever_is_not_exactly_a_name_is_refused() {
    use HostError::{Malformed, NoSuchForm, NotOurs};
    let names = names();
    let label_64 = format!("3000-{}.example.com", "w".repeat(59));
    let name_254 = format!("{}.example.com", vec!["w".repeat(60); 4].join("."));
    for (authority, wanted) in [
        // Impossible ports: checked, never wrapped (68536 - 65536 = 3000).
        ("03000-abc.example.com", NoSuchForm),
        ("0-abc.example.com", NoSuchForm),
        ("00-abc.example.com", NoSuchForm),
        ("0s-abc.example.com", NoSuchForm),
        ("65536-abc.example.com", NoSuchForm),
        ("68536-abc.example.com", NoSuchForm),
        ("68536s-abc.example.com", NoSuchForm),
        ("99999-abc.example.com", NoSuchForm),
        ("abc-0.portway.localhost:8080", NoSuchForm),
        ("abc-03000.portway.localhost:8080", NoSuchForm),
        // Impossible ids.
        ("3000-.example.com", NoSuchForm),
        ("3000--abc.example.com", NoSuchForm),
        ("3000-abc-.example.com", NoSuchForm),
        ("-3000-abc.example.com", NoSuchForm),
        ("-abc.example.com", NoSuchForm),
        ("abc-.example.com", NoSuchForm),
        ("+3000-abc.example.com", Malformed),
        ("3000-a_b.example.com", NoSuchForm),
        ("_.example.com", NoSuchForm),
        ("3000-5000-abc.example.com", NoSuchForm),
        ("3000-0-abc.example.com", NoSuchForm),
        ("3000---abc.a.example.com:8443", NoSuchForm),
        // Punycode, in the id and in the whole label.
        ("xn--80ak6aa92e.example.com", NoSuchForm),
        ("3000-xn--80ak6aa92e.example.com", NoSuchForm),
        ("XN--a.example.com", NoSuchForm),
        ("xn--3000.x.wide.test", NoSuchForm),
        // Other hosts.
        ("evil.com", NotOurs),
        ("example.com", NotOurs),
        ("localhost", NotOurs),
        ("3000-abc.example.com.evil.com", NotOurs),
        ("3000-abcexample.com", NotOurs),
        ("3000-abc-example.com", NotOurs),
        ("3000-abc.notexample.com", NotOurs),
        ("3000-abc.com", NotOurs),
        ("x.3000-abc.example.com", NoSuchForm),
        ("3000-abc.login.example.com", NoSuchForm),
        ("3000-abc.b.example.com", NoSuchForm),
        ("127.0.0.1", NotOurs),
        ("127.0.0.1:443", NotOurs),
        ("0x7f.1", NotOurs),
        ("[::1]", Malformed),
        ("[::1]:443", Malformed),
        ("::1", Malformed),
        // Another port than the public origin's; the control host is no workspace's on any port.
        ("3000-abc.example.com:80", NotOurs),
        ("3000-abc.example.com:8443", NotOurs),
        ("3000-abc.example.com:3000", NotOurs),
        ("3000--abc.a.example.com", NoSuchForm),
        ("3000--abc.a.example.com:443", NoSuchForm),
        ("abc-3000.portway.localhost", NotOurs),
        ("abc-3000.portway.localhost:80", NotOurs),
        ("login.example.com:8443", NotOurs),
        ("login.example.com:80", NotOurs),
        // Ports that are not written as one.
        ("3000-abc.example.com:", Malformed),
        ("3000-abc.example.com:0443", Malformed),
        ("3000-abc.example.com:+443", Malformed),
        ("3000-abc.example.com:65979", Malformed),
        ("3000-abc.example.com:443:443", Malformed),
        ("3000-abc.example.com:443 ", Malformed),
        ("3000-abc.example.com:https", Malformed),
        // No host name at all.
        ("", Malformed),
        (":443", Malformed),
        (".", Malformed),
        (".example.com", Malformed),
        ("3000-abc..example.com", Malformed),
        ("3000-abc.example.com.", Malformed),
        ("3000-abc.example.com.:443", Malformed),
        ("3000-abc%2eexample.com", Malformed),
        ("3000-abc.example.com%00", Malformed),
        ("3000-abc.example.com\0", Malformed),
        ("3000-abc.example.com\r\nX: y", Malformed),
        (" 3000-abc.example.com", Malformed),
        ("3000-abc.example.com\t", Malformed),
        ("3000-abc.example.com,evil.com", Malformed),
        ("3000-abc.example.com/evil", Malformed),
        ("3000-abc.example.com\\evil", Malformed),
        ("3000-abc.example.com?x", Malformed),
        ("3000-abc.example.com#x", Malformed),
        ("user@3000-abc.example.com", Malformed),
        ("user:pass@3000-abc.example.com", Malformed),
        ("3000-abc.example.com@evil.com", Malformed),
        ("https://3000-abc.example.com", Malformed),
        ("3000-äbc.example.com", Malformed),
        ("3000-abc。example。com", Malformed),
        ("３000-abc.example.com", Malformed),
        ("3000-abc.exa\u{212a}ple.com", Malformed),
        ("*.example.com", Malformed),
        (&label_64, Malformed),
        (&name_254, Malformed),
    ] {
        assert_eq!(
            names.parse(authority.as_bytes()),
            Err(wanted),
            "{authority:?}"
        );
    }
    assert_eq!(names.parse(b"3000-abc.example.com\xff"), Err(Malformed));
    assert_eq!(names.parse(b"\xc0\xae.example.com"), Err(Malformed));
}

#[test]
fn a_label_ends_at_63_bytes_and_a_name_at_253() {
    let names = names();
    let (fits, long) = ("w".repeat(58), "w".repeat(59));
    let number = PortForm::Number {
        port: 3000,
        tls: false,
    };
    let host = names.host(0, &fits, number).unwrap();
    assert_eq!(host, format!("3000-{fits}.example.com"));
    assert!(names.parse(host.as_bytes()).is_ok());
    let error = names.host(0, &long, number).unwrap_err();
    assert!(
        matches!(&error, NameError::LabelTooLong { length: 64, .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("64 bytes") && error.to_string().contains("63"),
        "{error}"
    );
    assert!(
        names
            .host(
                0,
                &long,
                PortForm::Number {
                    port: 300,
                    tls: false
                }
            )
            .is_ok()
    );
    assert!(
        names
            .host(
                0,
                &long,
                PortForm::Number {
                    port: 300,
                    tls: true
                }
            )
            .is_err()
    );
    assert!(names.host(0, &"w".repeat(63), PortForm::Default).is_ok());
    assert_eq!(
        names.host(0, &"w".repeat(64), PortForm::Default),
        Err(NameError::BadId { id: "w".repeat(64) })
    );

    for (length, fits) in [(252, true), (253, true), (254, false)] {
        // `3000-a` and a dot are 7 bytes.
        let mut name = "d.".repeat((length - 7) / 2 - 1);
        name.push_str(if length % 2 == 0 { "ddd" } else { "dd" });
        let names = Names {
            domains: vec![domain(&name, "{port}-{workspace}", Scheme::Https, 443)],
            ..names.clone()
        };
        let host = format!("3000-a.{name}");
        assert_eq!(host.len(), length);
        assert_eq!(names.parse(host.as_bytes()).is_ok(), fits, "{length}");
        match names.host(0, "a", number) {
            Ok(made) => assert!(fits && made == host, "{length}"),
            Err(error) => assert_eq!(
                (fits, error),
                (false, NameError::NameTooLong { name: host })
            ),
        }
    }
}

#[test]
fn ids_that_would_name_something_else_are_refused() {
    let names = names();
    let bad = |id: &str| Err(NameError::BadId { id: id.to_owned() });
    let mark = |id: &str, pattern: &str| {
        Err(NameError::ReadsAsPort {
            id: id.to_owned(),
            pattern: pattern.to_owned(),
        })
    };
    for id in [
        "", "-", "-a", "a-", "a b", "a.b", "ä", "a_b", "xn--a", "Xn--A", "a/b", "a:1",
    ] {
        assert_eq!(names.domains[0].check_id(id), bad(id), "{id}");
    }
    for id in ["3000-a", "1s-a", "0-a", "65536-a", "99999S-A", "3000-a-b"] {
        assert_eq!(
            names.domains[0].check_id(id),
            mark(id, "{port}-{workspace}"),
            "{id}"
        );
        assert_eq!(names.domains[1].check_id(id), Ok(()), "{id}");
    }
    for id in [
        "a", "A", "7", "3000", "100000-a", "a-3000", "a--b", UUID, ULID, "xn-a", "axn--b",
    ] {
        assert_eq!(names.domains[0].check_id(id), Ok(()), "{id}");
    }
    for id in ["a-3000", "a-1s", "a-0", UUID.get(..18).unwrap()] {
        assert_eq!(
            names.domains[2].check_id(id),
            mark(id, "{workspace}-{port}"),
            "{id}"
        );
    }
    assert_eq!(
        names.domains[3].check_id("dev-3000-a-x"),
        mark("dev-3000-a-x", "dev-{port}-{workspace}-x")
    );
    let error = names.host(0, "3000-a", PortForm::Default).unwrap_err();
    assert!(error.to_string().contains("{port}-{workspace}"), "{error}");
    // The label may become punycode though the id is not.
    let number = PortForm::Number {
        port: 3000,
        tls: false,
    };
    let id = "xn--3000".to_owned();
    assert_eq!(names.host(4, "xn", number), Err(NameError::BadId { id }));
    // The control host comes first.
    let name = "login.example.com".to_owned();
    assert_eq!(
        names.host(0, "LOGIN", PortForm::Default),
        Err(NameError::IsControl { name })
    );
    assert_eq!(
        names.host(0, "login", number).as_deref(),
        Ok("3000-login.example.com")
    );
    assert!(names.host(5, "a", number).is_err(), "no such domain");
}

#[test]
fn public_urls_carry_the_port_only_where_it_is_not_the_schemes_own() {
    let names = names();
    let number = PortForm::Number {
        port: 3000,
        tls: true,
    };
    for (domain, form, url) in [
        (0, number, "https://3000s-abc.example.com/"),
        (0, PortForm::Default, "https://abc.example.com/"),
        (1, number, "https://3000s--abc.a.example.com:8443/"),
        (2, number, "http://abc-3000s.portway.localhost:8080/"),
        (3, number, "http://dev-3000s-abc-x.wide.test/"),
    ] {
        assert_eq!(names.url(domain, "ABC", form).as_deref(), Ok(url));
        let read = names.parse_origin(url.trim_end_matches('/').as_bytes());
        let Some(Place::Workspace(target)) = read else {
            panic!("{url} is not read back");
        };
        assert_eq!(format!("{}/", names.origin(&target)), url);
    }
    assert!(names.url(0, "3000-a", number).is_err());
    assert_eq!(names.control.origin(), "https://login.example.com");
    assert_eq!(origin(Scheme::Http, "h", 443), "http://h:443");
    assert_eq!(origin(Scheme::Https, "h", 80), "https://h:80");
    assert_eq!(
        (Scheme::Http.default_port(), Scheme::Https.default_port()),
        (80, 443)
    );
    // A target of a domain that is no longer configured keeps the safest origin.
    let stray = Target {
        host: "3000-a.gone.test".into(),
        workspace: "a".into(),
        port: 3000,
        tls: false,
        domain: 9,
    };
    assert_eq!(names.origin(&stray), "https://3000-a.gone.test");
}

#[test]
fn an_origin_is_ours_only_with_scheme_host_and_port() {
    let names = names();
    let read = |text: &str| names.parse_origin(text.as_bytes());
    for origin in [
        "https://3000-abc.example.com",
        "https://3000-abc.example.com:443",
        "https://3000--abc.a.example.com:8443",
        "http://abc-3000.portway.localhost:8080",
        "http://dev-3000-abc-x.wide.test",
    ] {
        let Some(Place::Workspace(target)) = read(origin) else {
            panic!("{origin}")
        };
        assert_eq!(
            (target.workspace.as_str(), target.port),
            ("abc", 3000),
            "{origin}"
        );
    }
    assert_eq!(read("https://login.example.com"), Some(Place::Control));
    for origin in [
        "",
        "null",
        "https://",
        "://3000-abc.example.com",
        "http://3000-abc.example.com",
        "http://3000-abc.example.com:443",
        "http://login.example.com",
        "HTTPS://3000-abc.example.com",
        "wss://3000-abc.example.com",
        "https://abc-3000.portway.localhost:8080",
        "http://abc-3000.portway.localhost",
        "https://3000-abc.example.com/",
        "https://3000-abc.example.com.",
        "https://3000-abc.example.com:8443",
        "https:/3000-abc.example.com",
        "https:3000-abc.example.com",
        "https://https://3000-abc.example.com",
        "https://u@3000-abc.example.com",
        "https://evil.com",
        "https://3000-abc.example.com evil",
        "https://3000-abc.example.com, https://3000-abc.example.com",
        "3000-abc.example.com",
        " https://3000-abc.example.com",
    ] {
        assert_eq!(read(origin), None, "{origin:?}");
    }
    assert_eq!(
        names.parse_origin(b"https://3000-abc.example.com\xff"),
        None
    );
}

#[test]
fn reasons_are_told_apart() {
    let texts = [
        HostError::Malformed,
        HostError::NotOurs,
        HostError::NoSuchForm,
    ]
    .map(|error| error.to_string());
    assert_eq!(
        texts,
        [
            "not a host name",
            "not a host of this gateway",
            "not a name of the form this domain uses"
        ]
    );
}

#[test]
fn ports_have_one_spelling() {
    for (text, port) in [("1", 1), ("80", 80), ("3000", 3000), ("65535", 65535)] {
        assert_eq!(canonical_port(text), Some(port));
    }
    for text in [
        "", "0", "00", "01", "+1", "-1", "1 ", " 1", "65536", "68536", "99999", "100000", "1e3",
        "１", "0x50",
    ] {
        assert_eq!(canonical_port(text), None, "{text:?}");
    }
}

/// The grammar again, by other means: what may stand before a fixed ending, cut in every way the template allows.
mod model {
    use super::*;

    fn id(text: &str) -> bool {
        let inner = text
            .chars()
            .all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-'));
        inner
            && !text.is_empty()
            && text.len() < 64
            && !text.starts_with('-')
            && !text.ends_with('-')
            && !text.starts_with("xn--")
    }

    /// All cuts of a label into prefix, a port-like piece, separator, id and suffix.
    fn cuts(template: &str, label: &str) -> Vec<(String, String)> {
        let (p, w) = (
            template.find("{port}").unwrap(),
            template.find("{workspace}").unwrap(),
        );
        let mut found = Vec::new();
        for start in 0..=label.len() {
            for end in start..=label.len().min(start + 6) {
                let port = &label[start..end];
                let digits = port.strip_suffix('s').unwrap_or(port);
                if digits.is_empty()
                    || digits.len() > 5
                    || digits.chars().any(|c| !c.is_ascii_digit())
                {
                    continue;
                }
                let filled = template.replacen("{port}", port, 1);
                let (before, after) = filled.split_once("{workspace}").unwrap();
                let room = label.len().checked_sub(before.len() + after.len());
                let Some(room) = room else { continue };
                let workspace = &label[before.len()..before.len() + room];
                let at = if p < w {
                    p
                } else {
                    w + room + (p - w - "{workspace}".len())
                };
                if at == start && filled.replacen("{workspace}", workspace, 1) == label {
                    found.push((port.to_owned(), workspace.to_owned()));
                }
            }
        }
        found
    }

    fn label(domain: &Domain, label: &str) -> Option<(String, u16, bool)> {
        if !label.is_ascii() || label.starts_with("xn--") || label.len() > 63 {
            return None;
        }
        let template = domain.pattern.to_string();
        match cuts(&template, label).as_slice() {
            [] => id(label).then(|| (label.to_owned(), domain.default_port, false)),
            [(port, workspace)] => {
                let tls = port.ends_with('s');
                let number: u32 = port.trim_end_matches('s').parse().unwrap();
                let good = !port.starts_with('0')
                    && (1..=65535).contains(&number)
                    && id(workspace)
                    && cuts(&template, workspace).is_empty();
                good.then(|| (workspace.clone(), u16::try_from(number).unwrap(), tls))
            }
            many => panic!("{label} reads in several ways: {many:?}"),
        }
    }

    fn endings(host: &str, scheme: Scheme, port: u16) -> Vec<String> {
        let explicit = format!("{host}:{port}");
        match (scheme, port) {
            (Scheme::Https, 443) | (Scheme::Http, 80) => vec![host.to_owned(), explicit],
            _ => vec![explicit],
        }
    }

    pub(super) fn read(names: &Names, authority: &str) -> Option<Option<Meaning>> {
        let text: String = authority.chars().map(|c| c.to_ascii_lowercase()).collect();
        let control = &names.control;
        if endings(&control.host, control.scheme, control.port).contains(&text) {
            return Some(None);
        }
        if text
            .split(':')
            .next()
            .is_some_and(|host| host == control.host || host.len() > 253)
        {
            return None;
        }
        let mut found = Vec::new();
        for (index, domain) in names.domains.iter().enumerate() {
            for ending in endings(&domain.name, domain.scheme, domain.port) {
                let start = text
                    .strip_suffix(&ending)
                    .and_then(|rest| rest.strip_suffix('.'));
                if let Some((workspace, port, tls)) = start.and_then(|start| label(domain, start)) {
                    found.push((index, workspace, port, tls));
                }
            }
        }
        assert!(found.len() < 2, "{authority}: {found:?}");
        found.pop().map(Some)
    }
}

/// Authorities near the grammar: its pieces in and out of order, with small damage.
fn authority() -> impl Strategy<Value = String> {
    let piece = || {
        prop_oneof![
            5 => prop::sample::select(vec!["3000", "8443s", "1", "65535", "0", "03000", "65536", "68536", "22s", "100000", "s"]).prop_map(str::to_owned),
            5 => prop::sample::select(vec!["-", "--", "", "dev-", "-x", "x", "xn", "xn--", "login"]).prop_map(str::to_owned),
            4 => "[a-zA-Z0-9]{1,4}",
            1 => "[a-z0-9-]{40,63}",
            1 => Just(UUID.to_owned()),
            1 => Just(ULID.to_owned()),
            1 => prop::sample::select(vec![".", "_", "%2e", "ä", " ", "@", ":", "\0"]).prop_map(str::to_owned),
        ]
    };
    let well_formed =
        ("[1-9][0-9]{0,3}s?", "[a-z]([a-z0-9-]{0,8}[a-z0-9])?").prop_flat_map(|(port, id)| {
            prop::sample::select(vec![
                format!("{port}-{id}"),
                format!("{id}-{port}"),
                format!("{port}--{id}"),
                format!("{id}--{port}"),
                format!("dev-{port}-{id}-x"),
                id,
            ])
        });
    let label = prop_oneof![
        1 => well_formed,
        1 => prop::collection::vec(piece(), 1..5).prop_map(|pieces| pieces.concat()),
    ];
    let domain = prop::sample::select(vec![
        ".example.com",
        ".a.example.com",
        ".portway.localhost",
        ".wide.test",
        ".x.wide.test",
        ".Example.COM",
        "example.com",
        ".evil.com",
        ".example.com.",
        "",
    ]);
    let port = prop::sample::select(vec!["", "", ":443", ":8443", ":8080", ":80", ":", ":0443"]);
    (label, domain, port).prop_map(|(label, domain, port)| format!("{label}{domain}{port}"))
}

#[test]
fn exactly_the_names_of_the_grammar_are_accepted() {
    const CASES: u32 = 100_000;
    let names = names();
    let accepted = Cell::new(0);
    runner(CASES)
        .run(&authority(), |text| {
            let got = read(&names, text.as_bytes()).ok();
            prop_assert_eq!(&got, &model::read(&names, &text));
            accepted.set(accepted.get() + u32::from(got.is_some()));
            Ok(())
        })
        .unwrap();
    // Neither side of the line may be missing from what was tried.
    assert!(
        (CASES / 10..CASES / 2).contains(&accepted.get()),
        "{}",
        accepted.get()
    );
}

#[test]
fn arbitrary_bytes_are_never_taken_for_a_name_they_do_not_spell() {
    let names = names();
    runner(1_000)
        .run(&prop::collection::vec(any::<u8>(), 0..80), |bytes| {
            prop_assert!(names.parse(&bytes).is_err());
            prop_assert!(names.parse_origin(&bytes).is_none());
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_name_that_was_read_is_made_again_byte_for_byte() {
    let names = names();
    runner(20_000)
        .run(&authority(), |text| {
            let Ok(Place::Workspace(target)) = names.parse(text.as_bytes()) else {
                return Ok(());
            };
            let bare = text
                .split(':')
                .next()
                .unwrap_or_default()
                .to_ascii_lowercase();
            prop_assert_eq!(&target.host, &bare);
            let number = PortForm::Number {
                port: target.port,
                tls: target.tls,
            };
            let made = [number, PortForm::Default]
                .map(|form| names.host(target.domain, &target.workspace, form));
            prop_assert!(made.contains(&Ok(bare)), "{:?}", made);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_name_that_was_made_is_read_as_what_it_was_made_from() {
    let names = names();
    let id = prop_oneof![
        "[a-zA-Z0-9]{1,3}",
        "[a-zA-Z0-9-]{1,63}",
        "[0-9]{1,6}s?-[a-z]{1,3}",
        "[a-z]{1,3}-[0-9]{1,6}s?"
    ];
    let form = prop_oneof![
        Just(PortForm::Default),
        (1..=u16::MAX, any::<bool>()).prop_map(|(port, tls)| PortForm::Number { port, tls }),
    ];
    let made = Cell::new(0);
    runner(20_000)
        .run(&(0..names.domains.len(), id, form), |(domain, id, form)| {
            let Ok(host) = names.host(domain, &id, form) else {
                return Ok(());
            };
            made.set(made.get() + 1);
            let (port, tls) = match form {
                PortForm::Default => (8080, false),
                PortForm::Number { port, tls } => (port, tls),
            };
            let wanted = Target {
                host: host.clone(),
                workspace: id.to_ascii_lowercase(),
                port,
                tls,
                domain,
            };
            let public = &names.domains[domain];
            let authority = format!("{host}:{}", public.port);
            prop_assert_eq!(
                names.parse(authority.as_bytes()),
                Ok(Place::Workspace(wanted.clone()))
            );
            let origin = origin(public.scheme, &host, public.port);
            prop_assert_eq!(
                names.parse_origin(origin.as_bytes()),
                Some(Place::Workspace(wanted))
            );
            Ok(())
        })
        .unwrap();
    assert!(made.get() > 5_000, "{}", made.get());
}
