//! The grammar of names against a second reading of it, written as "cut it every way", and round trips.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

/// The grammar again, by other means: what may stand before a fixed ending, cut in every way the template allows.
mod model {
    use super::*;

    fn id(text: &str) -> bool {
        let inner = text.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-'));
        inner
            && !text.is_empty()
            && text.len() < 64
            && !text.starts_with('-')
            && !text.ends_with('-')
            && !text.starts_with("xn--")
    }

    /// All cuts of a label into prefix, a port-like piece, separator, id and suffix.
    fn cuts(template: &str, label: &str) -> Vec<(String, String)> {
        let (p, w) = (template.find("{port}").unwrap(), template.find("{workspace}").unwrap());
        let mut found = Vec::new();
        for start in 0..=label.len() {
            for end in start..=label.len().min(start + 6) {
                let port = &label[start..end];
                let digits = port.strip_suffix('s').unwrap_or(port);
                if digits.is_empty() || digits.len() > 5 || digits.chars().any(|c| !c.is_ascii_digit()) {
                    continue;
                }
                let filled = template.replacen("{port}", port, 1);
                let (before, after) = filled.split_once("{workspace}").unwrap();
                let room = label.len().checked_sub(before.len() + after.len());
                let Some(room) = room else { continue };
                let workspace = &label[before.len()..before.len() + room];
                let at = if p < w { p } else { w + room + (p - w - "{workspace}".len()) };
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
        if text.split(':').next().is_some_and(|host| host == control.host || host.len() > 253) {
            return None;
        }
        let mut found = Vec::new();
        for (index, domain) in names.domains.iter().enumerate() {
            for ending in endings(&domain.name, domain.scheme, domain.port) {
                let start = text.strip_suffix(&ending).and_then(|rest| rest.strip_suffix('.'));
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
    let well_formed = ("[1-9][0-9]{0,3}s?", "[a-z]([a-z0-9-]{0,8}[a-z0-9])?").prop_flat_map(|(port, id)| {
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
    assert!((CASES / 10..CASES / 2).contains(&accepted.get()), "{}", accepted.get());
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
            let bare = text.split(':').next().unwrap_or_default().to_ascii_lowercase();
            prop_assert_eq!(&target.host, &bare);
            let number = PortForm::Number { port: target.port, tls: target.tls };
            let made = [number, PortForm::Default].map(|form| names.host(target.domain, &target.workspace, form));
            prop_assert!(made.contains(&Ok(bare)), "{:?}", made);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_name_that_was_made_is_read_as_what_it_was_made_from() {
    let names = names();
    let id =
        prop_oneof!["[a-zA-Z0-9]{1,3}", "[a-zA-Z0-9-]{1,63}", "[0-9]{1,6}s?-[a-z]{1,3}", "[a-z]{1,3}-[0-9]{1,6}s?"];
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
            let wanted = Target { host: host.clone(), workspace: id.to_ascii_lowercase(), port, tls, domain };
            let public = &names.domains[domain];
            let authority = format!("{host}:{}", public.port);
            prop_assert_eq!(names.parse(authority.as_bytes()), Ok(Place::Workspace(wanted.clone())));
            let origin = origin(public.scheme, &host, public.port);
            prop_assert_eq!(names.parse_origin(origin.as_bytes()), Some(Place::Workspace(wanted)));
            Ok(())
        })
        .unwrap();
    assert!(made.get() > 5_000, "{}", made.get());
}
