use proptest::prelude::*;

use super::*;
use crate::host::{ControlHost, Domain, Pattern};

fn names(pattern: &str, scheme: Scheme, port: u16) -> Names {
    let domain = |name: &str, pattern: &str| Domain {
        name: name.to_owned(),
        pattern: pattern.parse().unwrap(),
        scheme,
        port,
        default_port: 8080,
    };
    Names {
        domains: vec![domain("example.com", pattern), domain("other.test", &Pattern::default().to_string())],
        control: ControlHost { host: "example.com".into(), scheme, port },
    }
}

fn target(names: &Names, workspace: &str, form: PortForm) -> Target {
    let host = names.host(0, workspace, form).unwrap();
    let (port, tls) = match form {
        PortForm::Default => (8080, false),
        PortForm::Number { port, tls } => (port, tls),
    };
    Target { host, workspace: workspace.to_owned(), port, tls, domain: 0 }
}

fn mapping<'a>(names: &'a Names, target: &'a Target, profile: Profile) -> Mapping<'a> {
    let scheme = if target.tls { Scheme::Https } else { Scheme::Http };
    Mapping { names, target, port: target.port, scheme, profile }
}

fn scheme() -> impl Strategy<Value = Scheme> {
    prop::sample::select(vec![Scheme::Http, Scheme::Https])
}

fn form() -> impl Strategy<Value = PortForm> {
    prop_oneof![
        1 => Just(PortForm::Default),
        9 => (1..=u16::MAX, any::<bool>()).prop_map(|(port, tls)| PortForm::Number { port, tls }),
    ]
}

fn rest() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[/?#][ -~]{0,20}"]
}

proptest! {
    /// What the browser says comes back to it unchanged: its own address always, another port's by that port's own name.
    #[test]
    fn what_goes_in_comes_out_the_same(
        pattern in prop::sample::select(vec!["{port}-{workspace}", "{workspace}-{port}", "{port}--{workspace}", "p-{port}-{workspace}-x"]),
        (public, public_port) in (scheme(), 1..=u16::MAX),
        workspace in "[a-z][a-z0-9]{0,12}",
        asked in form(),
        other in (1..=u16::MAX, any::<bool>()).prop_map(|(port, tls)| PortForm::Number { port, tls }),
        rest in rest(),
        profile in prop::sample::select(vec![Profile::Localhost, Profile::Public]),
    ) {
        let names = names(pattern, public, public_port);
        let here = target(&names, &workspace, asked);
        let there = target(&names, &workspace, other);
        let mapping = mapping(&names, &here, profile);
        for from in [&here, &there] {
            // Two names of one port are one port to the dev server: which of them was meant is known for its own alone.
            if from.port == here.port && from.host != here.host {
                continue;
            }
            let browser = format!("{}{rest}", names.origin(from)).into_bytes();
            let server = mapping.inward(&browser);
            prop_assert_eq!(server.as_ref() == browser.as_slice(), profile == Profile::Public);
            let back = mapping.outward(&server).unwrap_or_else(|| server.to_vec());
            prop_assert_eq!(String::from_utf8(back).unwrap(), String::from_utf8(browser).unwrap());
        }
    }

    /// Nothing of another workspace, another site or no site at all is ever changed, in either direction.
    #[test]
    fn only_names_of_the_workspace_are_mapped(text in ".{0,60}", other in "[a-z][a-z0-9]{0,8}", port in 1..=u16::MAX) {
        let names = names("{port}-{workspace}", Scheme::Https, 443);
        let here = target(&names, "blue1", PortForm::Number { port: 3000, tls: false });
        let mapping = mapping(&names, &here, Profile::Localhost);
        let foreign = [
            text,
            format!("https://{port}-{other}x.example.com/"),
            format!("https://{other}.test/https://3000-blue1.example.com/"),
            format!("http://localhost.{other}:3000/"),
            format!("https://example.com/{other}"),
        ];
        for value in &foreign {
            if !value.contains("3000-blue1.example.com") || value.starts_with("https://") {
                let inward = mapping.inward(value.as_bytes());
                prop_assert_eq!(inward.as_ref(), value.as_bytes());
            }
            if let Some(mapped) = mapping.outward(value.as_bytes()) {
                let origin = String::from_utf8_lossy(origin_part(&mapped)).into_owned();
                prop_assert!(matches!(names.parse_origin(origin.as_bytes()), Some(Place::Workspace(to)) if to.workspace == "blue1"), "{} {}", value, origin);
            }
        }
    }

    /// Any bytes at all: no panic, and a mapped value leads to the workspace.
    #[test]
    fn any_bytes_are_safe(value in prop::collection::vec(any::<u8>(), 0..64)) {
        let names = names("{port}-{workspace}", Scheme::Https, 443);
        let here = target(&names, "blue1", PortForm::Number { port: 3000, tls: false });
        let mapping = mapping(&names, &here, Profile::Localhost);
        let _ = mapping.inward(&value);
        let _ = mapping.refresh_outward(&value);
        if let Some(mapped) = mapping.outward(&value) {
            prop_assert!(mapped.starts_with(b"https://"));
        }
    }
}

#[test]
fn every_spelling_of_this_machine_is_mapped_and_nothing_near_it() {
    let names = names("{port}-{workspace}", Scheme::Https, 8443);
    let here = target(&names, "blue", PortForm::Number { port: 3000, tls: false });
    let mapping = mapping(&names, &here, Profile::Localhost);
    let own = "https://3000-blue.example.com:8443";
    for (sent, wanted) in [
        ("http://localhost:3000/a?b#c", Some(format!("{own}/a?b#c"))),
        ("http://LOCALHOST:3000", Some(own.to_owned())),
        ("HTTP://localhost:3000", Some(own.to_owned())),
        ("http://127.0.0.1:3000/", Some(format!("{own}/"))),
        ("http://0.0.0.0:3000/", Some(format!("{own}/"))),
        ("http://[::1]:3000/", Some(format!("{own}/"))),
        ("//localhost:3000/x", Some(format!("{own}/x"))),
        ("//localhost:3000", Some(own.to_owned())),
        ("http://localhost:5000?q", Some("https://5000-blue.example.com:8443?q".to_owned())),
        ("https://localhost:5000/", Some("https://5000s-blue.example.com:8443/".to_owned())),
        ("http://localhost/", Some("https://80-blue.example.com:8443/".to_owned())),
        ("https://localhost/", Some("https://443s-blue.example.com:8443/".to_owned())),
        ("http://[::1]/", Some("https://80-blue.example.com:8443/".to_owned())),
        ("/relative", None),
        ("?q", None),
        ("", None),
        ("localhost:3000", None),
        ("ws://localhost:3000/", None),
        ("http://localhost:03000/", None),
        ("http://localhost:0/", None),
        ("http://localhost:65536/", None),
        ("http://localhost.:3000/", None),
        ("http://localhost.evil.example:3000/", None),
        ("http://user@localhost:3000/", None),
        ("http://127.0.0.2:3000/", None),
        ("http://[::1/", None),
        ("///localhost:3000/", None),
        ("https://example.com/?to=http://localhost:3000/", None),
    ] {
        let mapped = mapping.outward(sent.as_bytes()).map(|mapped| String::from_utf8(mapped).unwrap());
        assert_eq!(mapped, wanted, "{sent}");
    }
    for (sent, wanted) in [
        ("5; url=http://localhost:3000/a", Some(format!("5; url={own}/a"))),
        ("0;URL='http://localhost:3000/a'", Some(format!("0;URL='{own}/a'"))),
        ("3; url=/here", None),
        ("3", None),
    ] {
        let mapped = mapping.refresh_outward(sent.as_bytes()).map(|mapped| String::from_utf8(mapped).unwrap());
        assert_eq!(mapped, wanted, "{sent}");
    }
}

#[test]
fn the_public_profile_says_the_public_name() {
    let names = names("{port}-{workspace}", Scheme::Https, 443);
    let ide = target(&names, "blue", PortForm::Default);
    let public = mapping(&names, &ide, Profile::Public);
    assert_eq!((public.host().as_str(), public.scheme()), ("blue.example.com", Scheme::Https));
    let local = mapping(&names, &ide, Profile::Localhost);
    assert_eq!((local.host().as_str(), local.scheme()), ("localhost:8080", Scheme::Http));
    // The bare name of the default port comes back as it was asked for.
    assert_eq!(local.outward(b"http://localhost:8080/x").unwrap(), b"https://blue.example.com/x");
}
