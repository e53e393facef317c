//! What each name means, and why the others mean nothing, as tables.

use super::*;

mod properties;

const UUID: &str = "12345678-1234-4234-8234-123456789012";
const ULID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

fn domain(name: &str, pattern: &str, scheme: Scheme, port: u16) -> Domain {
    Domain { name: name.to_owned(), pattern: pattern.parse().unwrap(), scheme, port, default_port: 8080 }
}

/// Nested domains, three shapes of pattern, a public port that is not the scheme's, and a control host inside a domain.
fn names() -> Names {
    Names {
        domains: vec![
            domain("example.com", "{port}-{workspace}", Scheme::Https, 443),
            domain("a.example.com", "{port}--{workspace}", Scheme::Https, 8443),
            domain("portway.localhost", "{workspace}-{port}", Scheme::Http, 8080),
            domain("wide.test", "dev-{port}-{workspace}-x", Scheme::Http, 80),
            domain("x.wide.test", "{workspace}--{port}", Scheme::Https, 443),
        ],
        control: ControlHost { host: "login.example.com".to_owned(), scheme: Scheme::Https, port: 443 },
    }
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
        (&format!("3000-{ULID}.EXAMPLE.com"), 0, &ULID.to_lowercase(), 3000, false),
        (&format!("{ULID}.example.com"), 0, &ULID.to_lowercase(), 8080, false),
        (&format!("3000-{long}.example.com"), 0, &long, 3000, false),
        ("3000--abc.a.example.com:8443", 1, "abc", 3000, false),
        ("3000-abc.a.example.com:8443", 1, "3000-abc", 8080, false),
        ("abc.a.example.com:8443", 1, "abc", 8080, false),
        ("abc-3000.portway.localhost:8080", 2, "abc", 3000, false),
        ("abc-3000s.portway.localhost:8080", 2, "abc", 3000, true),
        ("3000-abc.portway.localhost:8080", 2, "3000-abc", 8080, false),
        (&format!("{UUID}-3000.portway.localhost:8080"), 2, UUID, 3000, false),
        (&format!("{UUID}.portway.localhost:8080"), 2, UUID, 8080, false),
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
        assert_eq!(read(&names, authority.as_bytes()), Ok(Some(wanted)), "{authority}");
    }
    for control in ["login.example.com", "LOGIN.Example.COM:443"] {
        assert_eq!(names.parse(control.as_bytes()), Ok(Place::Control), "{control}");
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
        assert_eq!(names.parse(authority.as_bytes()), Err(wanted), "{authority:?}");
    }
    assert_eq!(names.parse(b"3000-abc.example.com\xff"), Err(Malformed));
    assert_eq!(names.parse(b"\xc0\xae.example.com"), Err(Malformed));
}

#[test]
fn a_label_ends_at_63_bytes_and_a_name_at_253() {
    let names = names();
    let (fits, long) = ("w".repeat(58), "w".repeat(59));
    let number = PortForm::Number { port: 3000, tls: false };
    let host = names.host(0, &fits, number).unwrap();
    assert_eq!(host, format!("3000-{fits}.example.com"));
    assert!(names.parse(host.as_bytes()).is_ok());
    let error = names.host(0, &long, number).unwrap_err();
    assert!(matches!(&error, NameError::LabelTooLong { length: 64, .. }), "{error}");
    assert!(error.to_string().contains("64 bytes") && error.to_string().contains("63"), "{error}");
    assert!(names.host(0, &long, PortForm::Number { port: 300, tls: false }).is_ok());
    assert!(names.host(0, &long, PortForm::Number { port: 300, tls: true }).is_err());
    assert!(names.host(0, &"w".repeat(63), PortForm::Default).is_ok());
    assert_eq!(names.host(0, &"w".repeat(64), PortForm::Default), Err(NameError::BadId { id: "w".repeat(64) }));

    for (length, fits) in [(252, true), (253, true), (254, false)] {
        // `3000-a` and a dot are 7 bytes.
        let mut name = "d.".repeat((length - 7) / 2 - 1);
        name.push_str(if length % 2 == 0 { "ddd" } else { "dd" });
        let names = Names { domains: vec![domain(&name, "{port}-{workspace}", Scheme::Https, 443)], ..names.clone() };
        let host = format!("3000-a.{name}");
        assert_eq!(host.len(), length);
        assert_eq!(names.parse(host.as_bytes()).is_ok(), fits, "{length}");
        match names.host(0, "a", number) {
            Ok(made) => assert!(fits && made == host, "{length}"),
            Err(error) => assert_eq!((fits, error), (false, NameError::NameTooLong { name: host })),
        }
    }
}

#[test]
fn ids_that_would_name_something_else_are_refused() {
    let names = names();
    let bad = |id: &str| Err(NameError::BadId { id: id.to_owned() });
    let mark = |id: &str, pattern: &str| Err(NameError::ReadsAsPort { id: id.to_owned(), pattern: pattern.to_owned() });
    for id in ["", "-", "-a", "a-", "a b", "a.b", "ä", "a_b", "xn--a", "Xn--A", "a/b", "a:1"] {
        assert_eq!(names.domains[0].check_id(id), bad(id), "{id}");
    }
    for id in ["3000-a", "1s-a", "0-a", "65536-a", "99999S-A", "3000-a-b"] {
        assert_eq!(names.domains[0].check_id(id), mark(id, "{port}-{workspace}"), "{id}");
        assert_eq!(names.domains[1].check_id(id), Ok(()), "{id}");
    }
    for id in ["a", "A", "7", "3000", "100000-a", "a-3000", "a--b", UUID, ULID, "xn-a", "axn--b"] {
        assert_eq!(names.domains[0].check_id(id), Ok(()), "{id}");
    }
    for id in ["a-3000", "a-1s", "a-0", UUID.get(..18).unwrap()] {
        assert_eq!(names.domains[2].check_id(id), mark(id, "{workspace}-{port}"), "{id}");
    }
    assert_eq!(names.domains[3].check_id("dev-3000-a-x"), mark("dev-3000-a-x", "dev-{port}-{workspace}-x"));
    let error = names.host(0, "3000-a", PortForm::Default).unwrap_err();
    assert!(error.to_string().contains("{port}-{workspace}"), "{error}");
    // The label may become punycode though the id is not.
    let number = PortForm::Number { port: 3000, tls: false };
    let id = "xn--3000".to_owned();
    assert_eq!(names.host(4, "xn", number), Err(NameError::BadId { id }));
    // The control host comes first.
    let name = "login.example.com".to_owned();
    assert_eq!(names.host(0, "LOGIN", PortForm::Default), Err(NameError::IsControl { name }));
    assert_eq!(names.host(0, "login", number).as_deref(), Ok("3000-login.example.com"));
    assert!(names.host(5, "a", number).is_err(), "no such domain");
}

#[test]
fn public_urls_carry_the_port_only_where_it_is_not_the_schemes_own() {
    let names = names();
    let number = PortForm::Number { port: 3000, tls: true };
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
    assert_eq!((Scheme::Http.default_port(), Scheme::Https.default_port()), (80, 443));
    // A target of a domain that is no longer configured keeps the safest origin.
    let stray = Target { host: "3000-a.gone.test".into(), workspace: "a".into(), port: 3000, tls: false, domain: 9 };
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
        let Some(Place::Workspace(target)) = read(origin) else { panic!("{origin}") };
        assert_eq!((target.workspace.as_str(), target.port), ("abc", 3000), "{origin}");
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
    assert_eq!(names.parse_origin(b"https://3000-abc.example.com\xff"), None);
}

#[test]
fn reasons_are_told_apart() {
    let texts = [HostError::Malformed, HostError::NotOurs, HostError::NoSuchForm].map(|error| error.to_string());
    assert_eq!(texts, ["not a host name", "not a host of this gateway", "not a name of the form this domain uses"]);
}

#[test]
fn ports_have_one_spelling() {
    for (text, port) in [("1", 1), ("80", 80), ("3000", 3000), ("65535", 65535)] {
        assert_eq!(canonical_port(text), Some(port));
    }
    for text in ["", "0", "00", "01", "+1", "-1", "1 ", " 1", "65536", "68536", "99999", "100000", "1e3", "１", "0x50"]
    {
        assert_eq!(canonical_port(text), None, "{text:?}");
    }
}

#[test]
fn a_template_stands_for_every_port_of_a_workspace() {
    let domain = |pattern: &str, port| Domain {
        name: "code-hub.com".into(),
        pattern: pattern.parse().unwrap(),
        scheme: Scheme::Https,
        port,
        default_port: 8080,
    };
    let names = Names {
        domains: vec![domain("{port}-{workspace}", 443), domain("dev-{workspace}-{port}", 8443)],
        control: ControlHost { host: "code-hub.com".into(), scheme: Scheme::Https, port: 443 },
    };
    let template = |domain, id| names.url_template(domain, id, "{{port}}");
    assert_eq!(template(0, "Blue").unwrap(), "https://{{port}}-blue.code-hub.com/");
    assert_eq!(template(1, "blue").unwrap(), "https://dev-blue-{{port}}.code-hub.com:8443/");
    for domain in [0, 1] {
        let filled = template(domain, "blue").unwrap().replace("{{port}}", "3000");
        assert_eq!(Ok(filled), names.url(domain, "blue", PortForm::Number { port: 3000, tls: false }));
    }
    // What the longest port does not fit is refused for all.
    let long = "x".repeat(58);
    assert!(matches!(names.url_template(0, &long, "{{port}}"), Err(NameError::LabelTooLong { length: 64, .. })));
    assert!(template(0, "a b").is_err() && template(2, "blue").is_err());
}
