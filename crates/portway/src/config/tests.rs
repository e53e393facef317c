//! What a configuration means, and what is said about a wrong one.

use std::time::Duration;

use portway_core::cookie::CookieShape;
use portway_core::host::{Place as Named, PortForm, Scheme};
use portway_core::workspace::Level;
use portway_testkit::TempDir;

use super::control_plane::{Keys, Way};
use super::keys::{KEYS, Key, Kind, TABLES};
use super::settings::LogFormat;
use super::wake::WakeWay;
use super::{Flags, Problem, Settings, reference};

/// Loads `toml` as `portway.toml`, with variables.
fn load(toml: &str, variables: &[(&str, &str)]) -> Result<Settings, Vec<Problem>> {
    let dir = TempDir::new();
    let flags = Flags { config: Some(dir.write("portway.toml", toml)), ..Flags::default() };
    Settings::load(&flags, environment(variables))
}

fn environment(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn good(toml: &str) -> Settings {
    load(toml, &[]).unwrap_or_else(|problems| panic!("{toml}\n{}", said(&problems).join("\n")))
}

/// Problems with the file's folder left out.
fn said(problems: &[Problem]) -> Vec<String> {
    let short = |problem: &Problem| {
        let text = problem.to_string();
        text.rfind("/portway.toml").map_or(text.clone(), |at| text[at + 1..].to_owned())
    };
    problems.iter().map(short).collect()
}

fn wrong(toml: &str) -> Vec<String> {
    match load(toml, &[]) {
        Ok(_) => panic!("nothing is said about\n{toml}"),
        Err(problems) => said(&problems),
    }
}

#[test]
fn the_reference_in_the_documentation_is_what_the_code_generates() {
    let written = include_str!("../../../../docs/reference/portway.toml");
    assert!(
        written == reference::text(),
        "run `cargo run -p portway -- config reference > docs/reference/portway.toml`"
    );
}

#[test]
fn the_reference_is_a_configuration_that_says_the_defaults() {
    let [shown, plain] = [reference::text().as_str(), ""].map(|toml| {
        let mut settings = good(toml);
        settings.config = None;
        format!("{settings:#?}")
    });
    assert_eq!(shown, plain);
}

#[test]
fn every_line_of_the_reference_is_a_key_that_is_known() {
    // Each example and default, uncommented under its table.
    for key in KEYS {
        let table = match key.table() {
            "" => String::new(),
            table => table.strip_suffix("[]").map_or(format!("[{table}]\n"), |table| format!("[[{table}]]\n")),
        };
        let toml = format!("{table}{} = {}", key.name(), key.default.unwrap_or(key.example));
        let complaints = load(&toml, &[]).err().unwrap_or_default();
        // Some mean nothing alone, and say so.
        let alone = ["is an origin of", "needs a database", "has no meaning without"];
        let about =
            |problem: &&Problem| problem.key == key.path && !alone.iter().any(|words| problem.message.contains(words));
        assert_eq!(complaints.iter().find(about), None, "{toml}");
    }
}

#[test]
fn a_wrong_kind_of_value_is_reported_for_every_key() {
    for key in KEYS {
        let (table, line) = match key.table() {
            "" => (String::new(), 1),
            table => (table.strip_suffix("[]").map_or(format!("[{table}]\n"), |table| format!("[[{table}]]\n")), 2),
        };
        let said = wrong(&format!("{table}{} = 1.5", key.name()));
        let expected = format!("portway.toml:{line} {}: must be {}, not a fraction", key.path, key.kind.describe());
        assert!(said.contains(&expected), "{expected}\n{said:?}");
    }
}

#[test]
fn every_key_has_a_variable_of_its_own() {
    let mut names: Vec<String> = KEYS.iter().filter(|key| !key.path.contains("[]")).map(Key::variable).collect();
    names.extend(TABLES.iter().filter_map(|table| table.path.strip_suffix("[]")).map(super::keys::variable));
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all);
    // Each is read: a bad value is reported under its name.
    for key in KEYS.iter().filter(|key| !key.path.contains("[]") && !is_any_text(key)) {
        let name = key.variable();
        let problems = Settings::load(&Flags::default(), environment(&[(&name, "\u{1}")])).unwrap_err();
        let place = format!("environment variable {name} {}: ", key.path);
        assert!(problems.iter().any(|problem| problem.to_string().starts_with(&place)), "{name}: {problems:?}");
    }
}

/// Keys for which every text is well formed.
fn is_any_text(key: &Key) -> bool {
    key.kind == Kind::Text && ["data", "workspaces.file", "sessions.key_file", "sessions.jwks_file"].contains(&key.path)
}

#[test]
fn each_mistake_is_told_with_its_line_its_key_and_a_hint() {
    let table = [
        (
            "listen = 8080",
            "portway.toml:1 listen: must be a list of texts, such as [\"one\", \"two\"], not the number 8080",
        ),
        (
            "\nlisten = [\"8080\"]",
            "portway.toml:2 listen: `8080` is not a socket address (hint: write IP:PORT, such as 127.0.0.1:8080, [::1]:8080, 0.0.0.0:8080 or localhost:8080)",
        ),
        (
            "listen = [\n  \"127.0.0.1:1\",\n  \"example.com:1\",\n  7,\n]",
            "portway.toml:1 listen: `example.com:1` is not a socket address; must be a text in quotes, not the number 7 (hint: write IP:PORT, such as 127.0.0.1:8080, [::1]:8080, 0.0.0.0:8080 or localhost:8080)",
        ),
        (
            "listen = []",
            "portway.toml:1 listen: is empty, and there is no TLS listener either (hint: write listen = [\"127.0.0.1:8080\"])",
        ),
        (
            "listen = [\"127.0.0.1:9080\"]",
            "portway.toml:1 listen: 127.0.0.1:9080 is given twice (hint: each listener needs a socket of its own)",
        ),
        (
            "listen = [\"127.0.0.1:80\", \"127.0.0.1:80\"]",
            "portway.toml:1 listen: 127.0.0.1:80 is given twice (hint: each listener needs a socket of its own)",
        ),
        ("default_port = 0", "portway.toml:1 default_port: must be from 1 to 65535, not 0"),
        ("default_port = 65536", "portway.toml:1 default_port: must be from 1 to 65535, not 65536"),
        ("default_port = -1", "portway.toml:1 default_port: must be from 1 to 65535, not -1"),
        (
            "default_port = \"80\"",
            "portway.toml:1 default_port: must be a whole number without quotes, not the text \"80\"",
        ),
        ("threads = 0", "portway.toml:1 threads: must be from 1 to 1024, not 0"),
        (
            "domain = \"https://code-hub.com\"",
            "portway.toml:1 domain: `https://code-hub.com` is not a domain: give the bare name, without scheme, port or path (hint: scheme and port belong to `public`)",
        ),
        (
            "domain = \"*.code-hub.com\"",
            "portway.toml:1 domain: `*.code-hub.com` is not a domain: give it without `*.`",
        ),
        (
            "domain = \"code-hub.com.\"",
            "portway.toml:1 domain: `code-hub.com.` is not a domain: give it without the final dot",
        ),
        (
            "domain = \"10.0.0.1\"",
            "portway.toml:1 domain: `10.0.0.1` is not a domain: an IP address has no names below it",
        ),
        (
            "domain = \"a..b\"",
            "portway.toml:1 domain: `a..b` is not a domain: its labels are 1 to 63 letters, digits and inner dashes",
        ),
        (
            "domain = \"b\u{fc}ro.de\"",
            "portway.toml:1 domain: `b\u{fc}ro.de` is not a domain: its labels are 1 to 63 letters, digits and inner dashes",
        ),
        (
            "pattern = \"{port}{workspace}\"",
            "portway.toml:1 pattern: a pattern needs a separator with a dash between {port} and {workspace}, such as `{port}-{workspace}`",
        ),
        ("pattern = \"{workspace}\"", "portway.toml:1 pattern: a pattern needs exactly one {port} and one {workspace}"),
        (
            "domain = \"code-hub.com\"\npublic = \"http://code-hub.com\"",
            "portway.toml:2 public: plain http is refused except under .localhost: logins would cross the network readable (hint: write https://, and let [tls] or an ingress in front answer it)",
        ),
        (
            "domain = \"code-hub.com\"\npublic = \"https://other.com\"",
            "portway.toml:2 public: is an origin of `other.com`, but the domain is `code-hub.com` (hint: it says which scheme and port browsers use for the domain; its host is the domain)",
        ),
        (
            "public = \"portway.localhost:8080\"",
            "portway.toml:1 public: `portway.localhost:8080` is not an origin (hint: write https://NAME or https://NAME:PORT, and nothing behind it)",
        ),
        (
            "control = \"https://code-hub.com/login\"",
            "portway.toml:1 control: `https://code-hub.com/login` is not an origin (hint: write https://NAME or https://NAME:PORT, and nothing behind it)",
        ),
        (
            "control = \"http://login.code-hub.com\"",
            "portway.toml:1 control: plain http is refused except under .localhost: logins would cross the network readable (hint: write https://, and let [tls] or an ingress in front answer it)",
        ),
        (
            "domain = \"a.com\"\n[[domains]]\nname = \"b.com\"",
            "portway.toml:1 domain: has no meaning beside [[domains]] (hint: write it in each [[domains]] table)",
        ),
        (
            "[[domains]]\npattern = \"{port}-{workspace}\"",
            "portway.toml:1 domains[].name: is missing (hint: write name = \"code-hub.com\")",
        ),
        (
            "[[domains]]\nname = \"a.com\"\n[[domains]]\nname = \"A.com\"",
            "portway.toml:3 domains[].name: `a.com` is given twice",
        ),
        (
            "domains = [\"a.com\"]",
            "portway.toml:1 domains: must be repeated tables, not the text \"a.com\" (hint: write `[[domains]]` above its keys)",
        ),
        (
            "[domains]\nname = \"a.com\"",
            "portway.toml:1 domains: must be repeated tables, not a table (hint: write `[[domains]]` above its keys)",
        ),
        (
            "[tls]\nlisten = [\"0.0.0.0:443\"]",
            "portway.toml:2 tls.certificates[].cert: is missing (hint: write cert = \"/etc/portway/tls.crt\")",
        ),
        (
            "[[tls.certificates]]\ncert = \"a.pem\"",
            "portway.toml:1 tls.certificates[].key: is missing (hint: write key = \"/etc/portway/tls.key\")",
        ),
        (
            "[workspaces]\nallow = [\"10.0.0.1/8\"]",
            "portway.toml:2 workspaces.allow: `10.0.0.1/8` is not an address range: write `10.0.0.0/8`, `fd00::/8` or a single address, with no bits set behind the prefix",
        ),
        (
            "[access]\nceiling = \"everyone\"",
            "portway.toml:2 access.ceiling: `everyone` is not a share level: use `owner`, `users`, `authenticated` or `public`",
        ),
        (
            "[access]\nprotected = [8080, 0, \"x\"]",
            "portway.toml:2 access.protected: must be from 1 to 65535, not 0; must be a whole number without quotes, not the text \"x\"",
        ),
        ("[sessions]\nsession = \"9h\"", "portway.toml:2 sessions.session: must be from 1s to 8h, not 9h"),
        (
            "[limits]\nconnect = \"3\"",
            "portway.toml:2 limits.connect: `3` is not a duration: its units are `d`, `h`, `m`, `s` and `ms` (hint: write \"10s\", \"500ms\", \"1h30m\" or \"7d\")",
        ),
        (
            "[limits]\nconnect = 3",
            "portway.toml:2 limits.connect: must be a duration in quotes, such as \"10s\", \"500ms\" or \"1h30m\", not the number 3",
        ),
        ("[limits]\nkeep_alive = \"0s\"", "portway.toml:2 limits.keep_alive: must be from 1ms to 1h, not 0s"),
        (
            "[log]\nlevel = \"loud\"",
            "portway.toml:2 log.level: must be one of error, warn, info, debug, trace, not \"loud\"",
        ),
        ("[log]\nformat = \"xml\"", "portway.toml:2 log.format: must be one of auto, json, human, not \"xml\""),
        (
            "[log]\naccess = \"yes\"",
            "portway.toml:2 log.access: must be `true` or `false` without quotes, not the text \"yes\"",
        ),
        ("limits = 5", "portway.toml:1 limits: must be a table (hint: write `[limits]` above its keys)"),
    ];
    for (toml, expected) in table {
        assert_eq!(wrong(toml), [expected], "{toml}");
    }
}

#[test]
fn unknown_keys_are_errors_that_say_what_was_meant() {
    let table = [
        ("lisen = []", "portway.toml:1 lisen: there is no such key (hint: did you mean `listen`?)"),
        ("\n\n[limit]\nconnect = \"3s\"", "portway.toml:3 limit: there is no such key (hint: did you mean `limits`?)"),
        (
            "[limits]\nconect = \"3s\"",
            "portway.toml:2 limits.conect: there is no such key (hint: did you mean `connect`?)",
        ),
        (
            "[limits]\n\nceiling = \"owner\"",
            "portway.toml:3 limits.ceiling: there is no such key (hint: `ceiling` stands in `[access]`)",
        ),
        (
            "request_head = \"3s\"",
            "portway.toml:1 request_head: there is no such key (hint: `request_head` stands in `[limits]`)",
        ),
        (
            "[log]\nthreads = 3",
            "portway.toml:2 log.threads: there is no such key (hint: `threads` stands above every table)",
        ),
        (
            "[tls]\ncert = \"x\"",
            "portway.toml:2 tls.cert: there is no such key (hint: `cert` stands in `[[tls.certificates]]`)",
        ),
        (
            "[[domains]]\nname = \"a.com\"\nnmae = 1",
            "portway.toml:3 domains[].nmae: there is no such key (hint: did you mean `name`?)",
        ),
        (
            "[kafka]\nurl = \"kafka://x\"",
            "portway.toml:1 kafka: there is no such key (hint: `portway config reference` prints every key)",
        ),
        (
            "limits.conect = \"3s\"",
            "portway.toml:1 limits.conect: there is no such key (hint: did you mean `connect`?)",
        ),
        ("log = { levle = \"info\" }", "portway.toml:1 log.levle: there is no such key (hint: did you mean `level`?)"),
    ];
    for (toml, expected) in table {
        assert_eq!(wrong(toml), [expected], "{toml}");
    }
}

#[test]
fn no_mistake_hides_another() {
    let said = wrong(
        "lisen = []\ndefault_port = 0\ndomain = \n[limits]\nconnect = \"x\"\nkeep_alive = \"y\"\nbody_idle = 'z\n[log]\nlevel = 1\n",
    );
    let keys: Vec<&str> = said.iter().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(
        keys,
        [
            "portway.toml:1 lisen",
            "portway.toml:2 default_port",
            "portway.toml:3",
            "portway.toml:5 limits.connect",
            "portway.toml:6 limits.keep_alive",
            "portway.toml:7",
            "portway.toml:9 log.level",
        ],
        "{said:#?}"
    );
}

#[test]
fn what_follows_a_broken_table_header_is_not_guessed_at() {
    let said = wrong("[limits\nconnect = \"3s\"\n");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("portway.toml:1: not TOML: "), "{said:?}");
}

#[test]
fn a_key_given_twice_is_told_on_the_second_line() {
    let said = wrong("domain = \"a.com\"\ndomain = \"b.com\"\n");
    assert!(said.len() == 1 && said[0].starts_with("portway.toml:2: not TOML: duplicate key"), "{said:?}");
}

#[test]
fn a_file_that_is_not_there_is_one_error() {
    let flags = Flags { config: Some("/nowhere/portway.toml".into()), ..Flags::default() };
    let problems = Settings::load(&flags, []).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].to_string().starts_with("flag --config: cannot read /nowhere/portway.toml: "), "{problems:?}");
}

#[test]
fn flags_are_stronger_than_variables_than_the_file_than_defaults() {
    let dir = TempDir::new();
    let file = dir.write("portway.toml", "ops = \"127.0.0.1:1\"\ndomain = \"file.localhost\"\n");
    let config = Flags { config: Some(file), ..Flags::default() };
    let variable = environment(&[("PORTWAY_OPS", "127.0.0.1:2"), ("PORTWAY_DOMAIN", "variable.localhost")]);
    let flags = Flags { ops: Some("127.0.0.1:3".into()), domain: Some("flag.localhost".into()), ..config.clone() };
    let seen = |settings: Settings| (settings.ops.port(), settings.names(None, None).domains[0].name.clone());
    assert_eq!(seen(Settings::load(&Flags::default(), []).unwrap()), (9080, "portway.localhost".into()));
    assert_eq!(seen(Settings::load(&config, []).unwrap()), (1, "file.localhost".into()));
    assert_eq!(seen(Settings::load(&config, variable.clone()).unwrap()), (2, "variable.localhost".into()));
    assert_eq!(seen(Settings::load(&flags, variable).unwrap()), (3, "flag.localhost".into()));
}

#[test]
fn a_mistake_in_an_overridden_layer_is_still_told() {
    let problems = load("ops = \"x\"", &[("PORTWAY_OPS", "127.0.0.1:2")]).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(said(&problems)[0].starts_with("portway.toml:1 ops: `x` is not a socket address"), "{problems:?}");
}

#[test]
fn the_file_can_be_named_by_a_variable_and_an_empty_variable_is_none() {
    let dir = TempDir::new();
    let path = dir.write("p.toml", "default_port = 3000");
    let named = Settings::load(&Flags::default(), environment(&[("PORTWAY_CONFIG", path.to_str().unwrap())])).unwrap();
    assert_eq!(named.names(None, None).domains[0].default_port, 3000);
    let empty = Settings::load(&Flags::default(), environment(&[("PORTWAY_CONFIG", ""), ("PORTWAY_OPS", "")])).unwrap();
    assert!(empty.config.is_none() && empty.ops.port() == 9080);
}

#[test]
fn variables_carry_lists_numbers_flags_and_repeated_tables() {
    let settings = load(
        "",
        &[
            ("PORTWAY_LISTEN", "127.0.0.1:1, [::1]:2"),
            ("PORTWAY_ACCESS_PROTECTED", "8080,9000"),
            ("PORTWAY_LIMITS_BODY_RATE", "0"),
            ("PORTWAY_LOG_ACCESS", "false"),
            ("PORTWAY_DOMAINS", "[{ name = \"a.com\" }, { name = \"b.com\", default_port = 3000 }]"),
            ("PORTWAY_TLS_CERTIFICATES", "[{ cert = \"c.pem\", key = \"k.pem\" }]"),
        ],
    )
    .unwrap();
    assert_eq!(settings.listen.iter().map(std::net::SocketAddr::port).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(settings.rules.protected, [8080, 9000].into());
    assert!(settings.limits.body_rate == 0 && !settings.log.access);
    let domains = settings.names(None, None).domains;
    assert_eq!(
        domains.iter().map(|domain| (&*domain.name, domain.default_port)).collect::<Vec<_>>(),
        [("a.com", 8080), ("b.com", 3000)]
    );
    assert_eq!(settings.tls.unwrap().certificates[0].cert.to_str(), Some("c.pem"));
}

#[test]
fn a_bad_repeated_table_in_a_variable_is_told() {
    for (value, expected) in [
        ("a.com", "environment variable PORTWAY_DOMAINS domains: not TOML: "),
        (
            "[\"a.com\"]",
            "environment variable PORTWAY_DOMAINS domains: must be repeated tables, not the text \"a.com\" (hint: ",
        ),
        (
            "[{ nam = \"a.com\" }]",
            "environment variable PORTWAY_DOMAINS domains[].nam: there is no such key (hint: did you mean `name`?)",
        ),
    ] {
        let problems = load("", &[("PORTWAY_DOMAINS", value)]).unwrap_err();
        assert!(problems.iter().any(|problem| problem.to_string().starts_with(expected)), "{value}: {problems:?}");
    }
}

#[test]
fn a_misspelt_variable_is_warned_of_and_a_foreign_one_is_not() {
    let settings = load(
        "[workspaces]\nallow = [\"10.0.0.0/8\"]",
        &[
            ("PORTWAY_LISTN", "x"),
            ("PORTWAY_PORT", "tcp://10.0.0.1:80"),
            ("PORTWAY_SERVICE_HOST", "10.0.0.1"),
            ("LISTEN", "y"),
        ],
    );
    assert_eq!(
        settings.unwrap().warnings,
        ["the environment variable PORTWAY_LISTN is not a setting; did you mean PORTWAY_LISTEN?"]
    );
}

#[test]
fn without_a_file_this_machine_is_served_to_this_machine() {
    let settings = Settings::load(&Flags::default(), []).unwrap();
    assert!(settings.embedded && settings.tls.is_none() && settings.warnings.is_empty());
    assert!(settings.listen.iter().chain([&settings.ops]).all(|socket| socket.ip().is_loopback()));
    let dialled = |ip: &str| settings.allow.iter().any(|range| range.contains(ip.parse().unwrap()));
    assert!(dialled("127.0.0.1") && dialled("::1") && !dialled("10.0.0.1") && !dialled("169.254.169.254"));
    let names = settings.names(None, None);
    assert_eq!(names.control.origin(), "http://portway.localhost:8080");
    let url = names.url(0, "local", PortForm::Number { port: 3000, tls: false }).unwrap();
    assert_eq!(url, "http://3000-local.portway.localhost:8080/");
}

#[test]
fn loopback_is_opened_by_neither_a_file_nor_another_domain() {
    let file = good("");
    assert!(!file.embedded && file.allow.is_empty());
    assert_eq!(file.warnings.len(), 1, "an empty allow list is warned of: {:?}", file.warnings);
    let flags = Flags { domain: Some("code-hub.com".into()), ..Flags::default() };
    let domain = Settings::load(&flags, []).unwrap();
    assert!(!domain.embedded && domain.allow.is_empty());
}

#[test]
fn the_public_origin_follows_the_listener_only_under_localhost() {
    let origin = |toml: &str, plain, tls| good(toml).names(plain, tls).control.origin();
    let tls = "[[tls.certificates]]\ncert = \"c\"\nkey = \"k\"\n";
    for (toml, plain, tls, expected) in [
        ("", None, None, "http://portway.localhost:8080"),
        ("", Some(41234), None, "http://portway.localhost:41234"),
        ("listen = [\"127.0.0.1:80\"]", None, None, "http://portway.localhost"),
        (tls, Some(1), None, "https://portway.localhost:8443"),
        (tls, Some(1), Some(41235), "https://portway.localhost:41235"),
        ("public = \"https://portway.localhost\"", Some(1), None, "https://portway.localhost"),
        ("domain = \"code-hub.com\"", Some(1), None, "https://code-hub.com"),
        ("domain = \"Code-Hub.COM\"", Some(1), None, "https://code-hub.com"),
        (
            "domain = \"code-hub.com\"\npublic = \"https://code-hub.com:8443/\"",
            Some(1),
            Some(2),
            "https://code-hub.com:8443",
        ),
        (
            "domain = \"code-hub.com\"\ncontrol = \"https://login.other.com:444\"",
            None,
            None,
            "https://login.other.com:444",
        ),
        (
            "[[domains]]\nname = \"a.com\"\npublic = \"https://a.com:1\"\n[[domains]]\nname = \"b.com\"",
            None,
            None,
            "https://a.com:1",
        ),
    ] {
        assert_eq!(origin(toml, plain, tls), expected, "{toml}");
    }
}

#[test]
fn a_domain_named_by_a_flag_takes_the_place_of_the_tables() {
    let dir = TempDir::new();
    let config = Some(dir.write("portway.toml", "[[domains]]\nname = \"a.com\"\n[[domains]]\nname = \"b.com\"\n"));
    let flags = Flags { config, domain: Some("c.localhost".into()), ..Flags::default() };
    let names = Settings::load(&flags, []).unwrap().names(None, None);
    assert_eq!(names.domains.len(), 1);
    assert_eq!(names.control.origin(), "http://c.localhost:8080");
}

#[test]
fn names_are_read_under_every_domain_with_its_own_pattern() {
    let names =
        good("[[domains]]\nname = \"a.com\"\n[[domains]]\nname = \"b.com\"\npattern = \"{workspace}--{port}\"\n")
            .names(None, None);
    for host in ["3000-blue.a.com", "blue--3000.b.com"] {
        let Ok(Named::Workspace(target)) = names.parse(host.as_bytes()) else { panic!("{host}") };
        assert_eq!((&*target.workspace, target.port), ("blue", 3000), "{host}");
    }
    assert!(matches!(names.parse(b"a.com"), Ok(Named::Control)));
}

#[test]
fn state_is_kept_in_the_folder_the_system_has_for_it() {
    let data = |variables: &[(&str, &str)]| Settings::load(&Flags::default(), environment(variables)).unwrap().data;
    assert_eq!(data(&[("XDG_DATA_HOME", "/x"), ("HOME", "/h")]).to_str(), Some("/x/portway"));
    assert_eq!(data(&[]).to_str(), Some("/var/lib/portway"), "without a home");
    assert_eq!(data(&[("XDG_DATA_HOME", "/x"), ("PORTWAY_DATA", "/d")]).to_str(), Some("/d"));
}

#[test]
fn paths_in_the_file_begin_at_its_folder() {
    let dir = TempDir::new();
    let toml = "data = \"state\"\n[workspaces]\nfile = \"w.toml\"\n[[tls.certificates]]\ncert = \"c.pem\"\nkey = \"/etc/k.pem\"\n";
    let flags = Flags { config: Some(dir.write("portway.toml", toml)), ..Flags::default() };
    let settings = Settings::load(&flags, []).unwrap();
    assert_eq!(settings.data, dir.join("state"));
    assert_eq!(settings.workspaces_file, Some(dir.join("w.toml")));
    let files = &settings.tls.as_ref().unwrap().certificates[0];
    assert_eq!((files.cert.clone(), files.key.to_str()), (dir.join("c.pem"), Some("/etc/k.pem")));
    let elsewhere = Settings::load(&flags, environment(&[("PORTWAY_DATA", "here")])).unwrap();
    assert_eq!(elsewhere.data.to_str(), Some("here"));
}

#[test]
fn values_mean_what_they_say() {
    let settings = good(
        "listen = [\"localhost:8081\"]\nthreads = 3\n\
         [access]\nceiling = \"authenticated\"\ndenied = [22, 23]\n\
         [sessions]\nlogin = \"7d\"\nsession = \"1h30m\"\n\
         [limits]\nconnections = 10\nconnect = \"500ms\"\ndrain = \"0s\"\n\
         [log]\nlevel = \"debug\"\nformat = \"json\"\n",
    );
    let sockets: Vec<String> = settings.listen.iter().map(ToString::to_string).collect();
    assert_eq!(sockets, ["127.0.0.1:8081", "[::1]:8081"]);
    assert_eq!(settings.threads, 3);
    assert!(settings.rules.ceiling == Level::Authenticated && settings.rules.denied == [22, 23].into());
    assert_eq!(settings.login_lifetime, Duration::from_secs(7 * 86_400));
    assert_eq!(settings.session_lifetime, Duration::from_secs(5_400));
    assert!(settings.limits.connections == 10 && settings.limits.drain.is_zero());
    assert_eq!(settings.limits.connect, Duration::from_millis(500));
    assert_eq!(settings.limits.request_head, Duration::from_secs(10));
    assert!(settings.log.format == LogFormat::Json && settings.log.level == tracing::level_filters::LevelFilter::DEBUG);
}

#[test]
fn strict_transport_security_is_on_except_under_localhost() {
    let tls = "[[tls.certificates]]\ncert = \"c\"\nkey = \"k\"\n";
    let hsts = |toml: &str| good(toml).tls.unwrap().hsts;
    assert_eq!(hsts(tls), None);
    assert_eq!(hsts(&format!("domain = \"code-hub.com\"\n{tls}")), Some(Duration::from_secs(365 * 86_400)));
    assert_eq!(hsts(&format!("domain = \"code-hub.com\"\n{tls}[tls]\nhsts = \"0s\"\n")), None);
    assert_eq!(hsts(&format!("{tls}[tls]\nhsts = \"1d\"\n")), Some(Duration::from_secs(86_400)));
}

#[test]
fn tls_alone_is_enough_and_its_scheme_is_https() {
    let settings = good(
        "listen = []\ndomain = \"code-hub.com\"\n[tls]\nlisten = [\"0.0.0.0:443\"]\n[[tls.certificates]]\ncert = \"c\"\nkey = \"k\"\n",
    );
    assert!(settings.listen.is_empty());
    assert_eq!(settings.names(None, None).domains[0].scheme, Scheme::Https);
}

#[test]
fn ten_lines_stand_beside_code_hub() {
    let settings = good(include_str!("../../../../deploy/code-hub/portway.toml"));
    let plane = &settings.control_plane;
    let (workspaces, sessions) = (plane.workspaces.as_ref().unwrap(), plane.sessions.as_ref().unwrap());
    assert!(workspaces.sql.contains("owner_user_id AS owner") && workspaces.channels == ["ws_sse"]);
    assert_eq!((sessions.cookie.name.as_str(), sessions.cookie.shape), ("session", CookieShape::Text(26)));
    let Way::Query { url, .. } = &sessions.way else { panic!("by the query") };
    assert_eq!(url, "postgres://portway@postgres:5432/codehub");
    let WakeWay::Api { path, stop_body, .. } = &plane.wake.as_ref().unwrap().way else { panic!("by the API") };
    assert_eq!(path, "/api/v1/workspaces/{workspace}");
    assert!(stop_body.is_some());
    assert!(plane.activity.is_some() && settings.ide == Some(8080));
    // What the file says is stronger than the preset, and the environment stronger still.
    let text = "preset = \"code-hub\"\n[postgres]\nurl = \"postgres://a@b/c\"\n[sessions]\ncookie = \"hub\"\n";
    let variables = [("PORTWAY_SESSIONS_COOKIE_LENGTH", "40")];
    let sessions = load(text, &variables).unwrap().control_plane.sessions.unwrap();
    assert_eq!((sessions.cookie.name.as_str(), sessions.cookie.shape), ("hub", CookieShape::Text(40)));
}

#[test]
fn signed_sessions_need_no_length_and_no_database() {
    let settings = good(
        "control_upstream = \"http://api:8000\"\n[sessions]\njwks = \"/jwks.json\"\ncookie = \"token\"\n\
         jwt_issuer = \"https://hub\"\njwt_groups = \"/realm/groups\"\n",
    );
    let sessions = settings.control_plane.sessions.unwrap();
    assert_eq!((sessions.cookie.name.as_str(), sessions.cookie.shape), ("token", CookieShape::Jwt));
    let Way::Jwt { keys, claims, issuer, audience } = &sessions.way else { panic!("by its signature") };
    assert_eq!(*keys, Keys::Path("/jwks.json".to_owned()));
    assert_eq!((claims.user.as_str(), claims.groups.as_deref()), ("/sub", Some("/realm/groups")));
    assert_eq!((issuer.as_deref(), audience.as_deref()), (Some("https://hub"), None));
    // Stronger than a preset's query.
    let text = "preset = \"code-hub\"\n[postgres]\nurl = \"postgres://a@b/c\"\n[sessions]\njwks_file = \"keys.json\"\n";
    let sessions = load(text, &[]).unwrap().control_plane.sessions.unwrap();
    assert!(matches!(sessions.way, Way::Jwt { keys: Keys::File(_), .. }));
}

#[test]
fn what_a_control_plane_needs_is_told() {
    for (text, wanted) in [
        ("preset = \"codehub\"", "preset: there is no preset \"codehub\" (hint: use \"code-hub\")"),
        ("preset = \"code-hub\"", "workspaces.query: needs a database"),
        ("[postgres]\nurl = \"mysql://user:hunter2@host/db\"", "postgres.url: not an address of PostgreSQL"),
        ("[redis]\nurl = \"http://user:hunter2@host\"", "redis.url: is not an address of Redis"),
        ("[limits]\nshared = \"http://user:hunter2@host\"", "limits.shared: is not an address of Redis"),
        (
            "control_upstream = \"https://api:8000\"",
            "control_upstream: `https://api:8000` is not the address of an API server",
        ),
        ("[workspaces]\naddress = \"ws-{id}\"", "workspaces.address: "),
        ("[sessions]\napi = \"/me\"\ncookie = \"s\"", "sessions.api: has no meaning without `control_upstream`"),
        (
            "preset = \"code-hub\"\n[postgres]\nurl = \"postgres://a@b/c\"\n[sessions]\ncheck = \"20s\"",
            "portway.toml:5 sessions.check: must be half of `postgres.stale` at most",
        ),
        (
            "[postgres]\nurl = \"postgres://a@b/c\"\nschema = \"public\"",
            "postgres.schema: `public` is not a schema of Portway's own",
        ),
        ("[postgres]\nschema = \"portway\"", "postgres.schema: needs a database"),
        ("[sessions]\njwks = \"/keys\"\ncookie = \"s\"", "sessions.jwks: has no meaning without `control_upstream`"),
        ("[sessions]\njwks_file = \"keys.json\"", "sessions.cookie: is missing"),
        ("[sessions]\ncookie_sample = \"SELECT 1\"", "sessions.cookie_sample: has no meaning without `sessions.query`"),
        (
            "control_upstream = \"http://api\"\n[sessions]\njwks_file = \"a\"\njwks = \"/b\"",
            "portway.toml:3 sessions.jwks_file: and `sessions.jwks` are both given",
        ),
        ("[activity]\nwebhook = \"/used\"", "activity.webhook: has no meaning without `control_upstream`"),
        ("[activity]\nwebhook_token = \"hunter2 \"", "activity.webhook_token: is not a secret of visible ASCII"),
        (
            "control_upstream = \"http://api\"\n[postgres]\nurl = \"postgres://a@b/c\"\n[activity]\nwebhook = \"/used\"\nquery = \"SELECT $1, $2\"",
            "portway.toml:5 activity.webhook: and `activity.query` are both given",
        ),
        ("[wake]\npath = \"/x/{workspace}\"", "wake.path: has no meaning without `control_upstream`"),
        ("[wake]\nquery = \"SELECT $1\"", "wake.query: needs a database"),
        ("[wake]\nstop_query = \"SELECT $1\"", "wake.query: is missing"),
        ("[postgres]\nurl = \"postgres://a@b/c\"\n[wake]\nquery = \"SELECT 1\"", "wake.query: does not use $1"),
        ("[wake]\nby = [\"everybody\"]", "wake.by: must be one of owner, shared, token, not \"everybody\""),
        (
            "control_upstream = \"http://api\"\n[wake]\npath = \"/x/{workspace}\"\nby = [\"owner\", \"token\"]",
            "portway.toml:4 wake.by: \"token\" needs `wake.query`",
        ),
    ] {
        let problems = load(text, &[]).unwrap_err();
        let told = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(told.contains(wanted), "{text}\n{told}");
        assert!(!told.contains("hunter2"), "a password is told: {told}");
    }
}
