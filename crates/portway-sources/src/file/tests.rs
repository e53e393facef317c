use portway_core::host::{ControlHost, Domain, Pattern, Scheme};
use proptest::prelude::*;

use super::*;

/// `{port}-{workspace}.example.com`.
pub(crate) fn names() -> Names {
    Names {
        domains: vec![Domain {
            name: "example.com".into(),
            pattern: Pattern::default(),
            scheme: Scheme::Https,
            port: 443,
            default_port: 8080,
        }],
        control: ControlHost { host: "login.example.com".into(), scheme: Scheme::Https, port: 443 },
    }
}

fn read(text: &str) -> Result<Vec<Arc<Workspace>>, Vec<String>> {
    read_file(text, &names()).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn one(text: &str) -> Arc<Workspace> {
    read(text).unwrap().pop().unwrap()
}

#[test]
fn a_workspace_is_read_with_its_defaults() {
    let found = one("[[workspace]]\nid = \"Box\"\naddress = \"10.0.0.1\"\n");
    let expected = Workspace {
        key: "box".into(),
        id: "Box".into(),
        owner: None,
        state: State::Running,
        address: "10.0.0.1".parse().unwrap(),
        generation: found.generation.clone(),
        grants: None,
        name: None,
        source: FILE_SOURCE.into(),
    };
    assert_eq!(*found, expected);
    assert!(!found.generation.is_empty());
}

#[test]
fn every_key_is_read() {
    let found = read(
        "# ours\n[[workspace]]\nid = \"a\"\nowner = \"Alice\"\naddress = \"pod.svc\"\nrunning = false\ngeneration = \"7\"\n\n[[workspace]]\nid = 'b'\naddress = '::1'\n",
    )
    .unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].owner.as_deref(), Some("alice"));
    assert_eq!((found[0].state, &*found[0].generation), (State::Stopped, "7"));
    assert_eq!(found[1].address, Address::Loopback);
    assert_eq!(read(""), Ok(vec![]), "an empty file has no workspaces");
}

#[test]
fn a_generation_not_given_follows_address_and_state_alone() {
    let base = one("[[workspace]]\nid = \"a\"\naddress = \"10.0.0.1\"\n");
    let owned = one("[[workspace]]\nid = \"a\"\naddress = \"10.0.0.1\"\nowner = \"bob\"\nrunning = true\n");
    let moved = one("[[workspace]]\nid = \"a\"\naddress = \"10.0.0.2\"\n");
    let stopped = one("[[workspace]]\nid = \"a\"\naddress = \"10.0.0.1\"\nrunning = false\n");
    assert_eq!(base.generation, owned.generation);
    assert_ne!(base.generation, moved.generation);
    assert_ne!(base.generation, stopped.generation);
}

#[test]
fn every_error_is_told_with_its_line() {
    let text = r#"title = "x"
[[workspace]]
id = "3000-a"
address = "10.0.0.1"
[[workspace]]
id = "ok"
address = "2130706433.1"
colour = "red"
[[workspace]]
id = "OK"
address = "10.0.0.1"
owner = "not a name"
running = "yes"
[[workspace]]
owner = 5
[[workspace]]
id = "login"
address = "10.0.0.1"
[more]
"#;
    let errors = read(text).unwrap_err();
    let expected = [
        "line 1: unknown key `title`",
        "line 3: `3000-a` reads as a port of another workspace",
        "line 7: `2130706433.1` is not an address",
        "line 8: unknown key `colour`; a workspace has `id`, `owner`",
        "line 10: workspace `OK` stands already on line 6",
        "line 12: `not a name` is not a user name",
        "line 13: `running` must be true or false",
        "line 14: this workspace has no `id`",
        "line 14: this workspace has no `address`",
        "line 15: `owner` must be a text in quotes",
        "line 17: `login.example.com` is the host people log in on",
        "line 19: unknown key `more`",
    ];
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
    for (error, expected) in errors.iter().zip(expected) {
        assert!(error.starts_with(expected), "{error:?} should begin with {expected:?}");
    }
}

#[test]
fn broken_syntax_names_its_line() {
    for (text, line) in [
        ("[[workspace]]\nid = \"a\n", 2),
        ("[[workspace]]\nid = \"a\"\nid = \"b\"\n", 3),
        ("\n\n[[workspace]\n", 3),
        ("[[workspace]]\nid = a\n", 2),
    ] {
        let errors = read_file(text, &names()).unwrap_err();
        assert_eq!(errors[0].line, line, "{text:?}: {errors:?}");
        assert!(!errors[0].message.is_empty());
    }
}

#[test]
fn a_workspace_in_another_form_is_refused() {
    for text in ["workspace = 5", "[workspace]\nid = \"a\"", "workspace = [{ id = \"a\", address = \"::1\" }]"] {
        let errors = read(text).unwrap_err();
        assert_eq!(errors, ["line 1: write each workspace as a table under `[[workspace]]`"], "{text}");
    }
}

#[test]
fn an_id_that_any_domain_cannot_carry_is_refused() {
    for id in ["", "a_b", "-a", "a-", "a.b", "xn--a", "ä", &"x".repeat(64), "3000-x", "8443s-x"] {
        let errors = read(&format!("[[workspace]]\nid = {id:?}\naddress = \"::1\"\n")).unwrap_err();
        assert_eq!(errors.len(), 1, "{id}: {errors:?}");
        assert!(errors[0].starts_with("line 2: "), "{id}: {errors:?}");
    }
    let mut names = names();
    let pattern = "{workspace}-{port}".parse().unwrap();
    names.domains.push(Domain { name: "other.com".into(), pattern, ..names.domains[0].clone() });
    let text = "[[workspace]]\nid = \"a-3000\"\naddress = \"::1\"\n";
    assert_eq!(read_file(text, &names).unwrap_err()[0].line, 2);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_with_lines_inside_it(text in "(\\[\\[workspace\\]\\]\n|id = \"[a-z0-9-]{0,5}\"\n|address = \"[0-9.x:a]{0,8}\"\n|[\\[\\]=\"'\\\\a\n#,{}]{0,6}){0,8}") {
        match read_file(&text, &names()) {
            Ok(workspaces) => prop_assert!(workspaces.iter().all(|w| *w.key == w.id.to_ascii_lowercase())),
            Err(errors) => {
                prop_assert!(!errors.is_empty());
                let lines = 1 + text.matches('\n').count();
                prop_assert!(errors.iter().all(|error| (1..=lines).contains(&error.line)), "{errors:?}");
            }
        }
    }
}
