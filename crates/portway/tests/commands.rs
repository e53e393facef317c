//! The commands as scripts use them: the real binary on a data folder of its own, JSON, exit codes.
#![expect(clippy::unwrap_used, reason = "a stage that cannot be set is a failed test")]

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};

use portway_testkit::{TempDir, TestCa};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

/// A data folder, a configuration if any, and the binary.
struct Shell {
    dir: TempDir,
    config: Option<&'static str>,
}

impl Shell {
    fn new() -> Self {
        Self { dir: TempDir::new(), config: None }
    }

    /// With this configuration file, in which `{dir}` is the folder.
    fn with_config(toml: &str) -> Self {
        let dir = TempDir::new();
        let toml = toml.replace("{dir}", &dir.path().display().to_string());
        drop(dir.write("portway.toml", toml));
        Self { dir, config: Some("portway.toml") }
    }

    fn output(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portway"));
        command.arg("--data").arg(self.dir.join("data"));
        if let Some(config) = self.config {
            command.arg("--config").arg(self.dir.join(config));
        }
        command.args(arguments);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PORTWAY_")) {
            command.env_remove(name);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A command that reads nothing may be gone already.
        drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
        child.wait_with_output().unwrap()
    }

    /// Standard output of a command that must do its work.
    fn run(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments, "");
        assert!(output.status.success(), "{arguments:?}: {}\n{}", output.status, errors(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["--json"]].concat();
        serde_json::from_str(&self.run(&arguments)).unwrap()
    }

    /// Exit code and standard error of a command that must fail, and says nothing on standard output.
    fn fails(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.output(arguments, "");
        assert!(output.stdout.is_empty(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
        (output.status.code().unwrap(), errors(&output))
    }

    fn with_blue(self) -> Self {
        drop(self.run(&["user", "add", "alice"]));
        drop(self.run(&["workspace", "add", "blue", "--address", "localhost", "--owner", "alice"]));
        self
    }
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_new_user_gets_a_link_alone_on_standard_output() {
    let shell = Shell::new();
    let output = shell.output(&["user", "add", "alice"], "");
    let link = String::from_utf8(output.stdout).unwrap();
    assert!(link.starts_with("http://portway.localhost:8080/.portway/link/") && link.ends_with('\n'), "{link}");
    assert_eq!(link.lines().count(), 1);
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "note: `alice` logs in with this link, once, within ten minutes\n"
    );

    let again = shell.json(&["user", "link", "alice"]);
    assert_eq!((again["name"].as_str(), again["expires_in_s"].as_u64()), (Some("alice"), Some(600)));
    assert_ne!(again["login_link"].as_str().unwrap(), link.trim());
}

#[test]
fn links_are_made_for_the_flags_and_the_configuration_given() {
    let shell = Shell::with_config("domain = \"code-hub.com\"\n");
    assert!(shell.run(&["user", "add", "alice"]).starts_with("https://code-hub.com/.portway/link/"));
    let flags = ["user", "link", "alice", "--domain", "x.localhost", "--listen", "127.0.0.1:8123"];
    assert!(shell.run(&flags).starts_with("http://x.localhost:8123/.portway/link/"));
}

#[test]
fn users_are_listed_suspended_and_removed() {
    let shell = Shell::new();
    assert_eq!(shell.json(&["user", "list"]), json!([]));
    drop(shell.run(&["user", "add", "alice"]));
    let row = &shell.json(&["user", "list"])[0];
    assert_eq!((&row["name"], &row["suspended"], &row["password"]), (&json!("alice"), &json!(false), &json!(false)));
    assert!(row["created_at"].as_u64().unwrap() > 1_600_000_000);

    assert_eq!(shell.json(&["user", "set", "alice", "--suspend"])["suspended"], json!(true));
    let (code, said) = shell.fails(&["user", "link", "alice"]);
    assert_eq!(
        (code, &*said),
        (1, "error: user `alice` is suspended\nhint: `portway user set alice --resume` lets them in again\n")
    );
    assert_eq!(shell.json(&["user", "set", "alice", "--resume"])["suspended"], json!(false));
    assert_eq!(shell.json(&["user", "remove", "alice"]), json!({ "removed": "alice" }));
    assert_eq!(shell.run(&["user", "list"]), "no users; `portway user add` adds one\n");
}

#[test]
fn a_user_who_exists_or_cannot_be_named_is_refused_with_a_hint() {
    let shell = Shell::new();
    drop(shell.run(&["user", "add", "alice"]));
    let (code, said) = shell.fails(&["user", "add", "Alice"]);
    assert_eq!(
        (code, &*said),
        (1, "error: user `alice` exists already\nhint: `portway user link Alice` makes another link\n")
    );
    assert_eq!(shell.fails(&["user", "add", "a/b"]).0, 2);
    let (code, said) = shell.fails(&["user", "remove", "bob"]);
    assert_eq!((code, &*said), (1, "error: there is no user `bob`\nhint: `portway user list` shows all of them\n"));
}

#[test]
fn a_password_comes_from_standard_input_and_a_poor_one_adds_nobody() {
    let shell = Shell::new();
    let output = shell.output(&["user", "add", "alice", "--password-stdin"], "short\n");
    assert_eq!(
        (output.status.code(), errors(&output)),
        (Some(1), "error: a password has at least 8 characters\n".to_owned())
    );
    assert_eq!(shell.json(&["user", "list"]), json!([]));

    assert!(shell.output(&["user", "add", "alice", "--password-stdin"], "correct horse\n").status.success());
    assert_eq!(shell.json(&["user", "list"])[0]["password"], json!(true));
    assert_eq!(shell.json(&["user", "password", "alice", "--none"])["password"], json!(false));
    assert!(shell.output(&["user", "password", "alice"], "battery staple").status.success());
    assert_eq!(shell.json(&["user", "list"])[0]["password"], json!(true));
    let nothing = shell.output(&["user", "password", "alice"], "");
    assert_eq!(
        (nothing.status.code(), errors(&nothing)),
        (Some(1), "error: there is no password on standard input\n".to_owned())
    );
}

#[test]
fn workspaces_are_added_changed_listed_and_removed() {
    let shell = Shell::new();
    drop(shell.run(&["user", "add", "alice"]));
    let added = shell.json(&["workspace", "add", "Blue", "--address", "127.0.0.1", "--owner", "alice"]);
    assert_eq!(
        added,
        json!({ "id": "Blue", "owner": "alice", "address": "localhost", "state": "running", "source": "store",
            "url": "http://blue.portway.localhost:8080/" })
    );
    assert_eq!(shell.json(&["workspace", "set", "blue", "--stopped", "--no-owner"])["state"], json!("stopped"));
    assert_eq!(shell.json(&["workspace", "list"])[0]["owner"], Value::Null);
    let table = shell.run(&["workspace", "list"]);
    assert_eq!(
        table,
        "ID    OWNER  ADDRESS    STATE    SOURCE  URL\n\
         Blue  -      localhost  stopped  store   http://blue.portway.localhost:8080/\n"
    );
    assert_eq!(shell.json(&["workspace", "remove", "BLUE"]), json!({ "removed": "Blue" }));
    assert_eq!(shell.json(&["workspace", "list"]), json!([]));
}

#[test]
fn a_workspace_that_no_name_or_address_can_carry_is_refused() {
    let shell = Shell::new().with_blue();
    for (arguments, code, said) in [
        (["3000-x", "localhost"], 2, "reads as a port of another workspace"),
        (["-x", "localhost"], 2, "cannot be part of a host name"),
        (["green", "2130706433"], 2, "is not an address"),
        (["green", "10.0.0.1:80"], 2, "is not an address"),
        (["green", "169.254.169.254"], 2, "this kind of address is never a workspace"),
        (["blue", "localhost"], 1, "there is a workspace `blue` already"),
        (["BLUE", "localhost"], 1, "there is a workspace `blue` already"),
    ] {
        let [name, address] = arguments;
        // Two dashes, so that an id that begins like a flag is still an id.
        let (exit, errors) = shell.fails(&["workspace", "add", "--address", address, "--json", "--", name]);
        assert!(exit == code && errors.contains(said), "{arguments:?}: {exit} {errors}");
    }
    let (code, said) = shell.fails(&["workspace", "add", "green", "--address", "localhost", "--owner", "bob"]);
    assert_eq!((code, &*said), (1, "error: there is no user `bob`\nhint: `portway user add bob` adds one\n"));
    assert_eq!(shell.fails(&["workspace", "set", "blue"]).0, 2, "nothing to change");
}

#[test]
fn what_would_not_work_as_meant_is_warned_of() {
    let shell = Shell::new();
    let warned = |arguments: &[&str], text: &str| {
        let output = shell.output(arguments, "");
        assert!(output.status.success() && errors(&output).contains(text), "{arguments:?}: {}", errors(&output));
    };
    warned(&["workspace", "add", "a", "--address", "10.0.0.1"], "warning: 10.0.0.1 is outside `workspaces.allow`");
    warned(&["workspace", "add", "b", "--address", "localhost"], "warning: the workspace has no owner");
    let long = "x".repeat(57);
    warned(&["workspace", "add", &long, "--address", "localhost"], "warning: the id is long");
}

#[test]
fn workspaces_of_the_file_are_listed_and_changed_there() {
    let shell = Shell::with_config("[workspaces]\nfile = \"workspaces.toml\"\nallow = [\"10.0.0.0/8\"]\n");
    shell.dir.write("workspaces.toml", "[[workspace]]\nid = \"green\"\naddress = \"10.0.0.2\"\nowner = \"alice\"\n");
    drop(shell.run(&["user", "add", "alice"]));
    assert_eq!(shell.json(&["workspace", "list"])[0]["source"], json!("file"));
    let there = "error: workspace `green` is in the workspaces file; change it there\n";
    assert_eq!(shell.fails(&["workspace", "set", "green", "--stopped"]), (1, there.to_owned()));
    assert_eq!(shell.fails(&["workspace", "remove", "GREEN"]), (1, there.to_owned()));
    let (code, said) = shell.fails(&["workspace", "add", "Green", "--address", "10.0.0.3"]);
    assert_eq!((code, &*said), (1, "error: there is a workspace `green` already, in the workspaces file\n"));
    assert_eq!(
        shell.json(&["share", "set", "green", "3000", "public"])["level"],
        json!("public"),
        "but its ports are shared here"
    );
}

#[test]
fn ports_are_set_listed_and_removed() {
    let shell = Shell::new().with_blue();
    let expected = json!({ "workspace": "blue", "port": 8443, "profile": "public", "scheme": "https",
        "cors": "passthrough", "level": "owner", "users": [], "effective": "owner" });
    let set = ["port", "set", "blue", "8443", "--profile", "public", "--scheme", "https", "--cors", "passthrough"];
    assert_eq!(shell.json(&set), expected);
    assert_eq!(shell.json(&["port", "list"]), json!([expected]));
    assert_eq!(shell.json(&["port", "list", "blue"]), json!([expected]));
    assert_eq!(shell.json(&["port", "remove", "blue", "8443"])["profile"], Value::Null);
    assert_eq!(shell.json(&["port", "list"]), json!([]));
    let (code, said) = shell.fails(&["port", "remove", "blue", "8443"]);
    assert_eq!((code, &*said), (1, "error: nothing is set for port 8443 of `blue`\n"));
    for port in ["0", "65536", "-1", "http"] {
        assert_eq!(shell.fails(&["port", "set", "blue", "--", port]).0, 2, "{port}");
    }
    let (code, said) = shell.fails(&["port", "set", "red", "3000"]);
    assert_eq!(
        (code, &*said),
        (1, "error: there is no workspace `red`\nhint: `portway workspace list` shows all of them\n")
    );
}

#[test]
fn ports_are_shared_by_level_or_name_and_taken_back() {
    let shell = Shell::new().with_blue();
    for name in ["bob", "eve"] {
        drop(shell.run(&["user", "add", name]));
    }
    let shared = shell.json(&["share", "set", "blue", "3000", "--user", "bob", "--user", "Eve"]);
    assert_eq!((&shared["users"], &shared["effective"]), (&json!(["bob", "eve"]), &json!("users")));
    let left = shell.json(&["share", "remove", "blue", "3000", "--user", "bob"]);
    assert_eq!(left["users"], json!(["eve"]));
    assert_eq!(shell.json(&["share", "set", "blue", "3000", "public"])["effective"], json!("public"));
    assert_eq!(shell.json(&["share", "list", "blue"])[0]["port"], json!(3000));
    let alone = shell.json(&["share", "set", "blue", "3000", "owner"]);
    assert_eq!((&alone["users"], &alone["effective"]), (&json!([]), &json!("owner")), "`owner` leaves nobody named");
    assert_eq!(shell.json(&["share", "list"]), json!([]));
    assert_eq!(
        shell.fails(&["share", "remove", "blue", "3000"]),
        (1, "error: port 3000 of `blue` is not shared\n".to_owned())
    );
    assert_eq!(shell.fails(&["share", "set", "blue", "3000"]).0, 2, "with whom?");
    assert_eq!(shell.fails(&["share", "set", "blue", "3000", "public", "--user", "bob"]).0, 2, "a level or names");
    assert_eq!(shell.fails(&["share", "set", "blue", "3000", "--user", "carol"]).0, 1);
}

#[test]
fn a_share_beyond_the_administrators_bounds_names_the_setting() {
    let shell = Shell::with_config("[access]\nceiling = \"users\"\ndenied = [22, 6000]\n").with_blue();
    for (port, level, setting) in [
        ("3000", "authenticated", "access.ceiling"),
        ("3000", "public", "access.ceiling"),
        ("8080", "public", "access.protected"),
        ("6000", "authenticated", "access.denied"),
    ] {
        let (code, said) = shell.fails(&["share", "set", "blue", port, level]);
        assert!(
            code == 1 && said.contains(&format!("hint: `{setting}` of the configuration")),
            "{port} {level}: {said}"
        );
    }
    drop(shell.run(&["share", "set", "blue", "3000", "--user", "alice"]));
}

#[test]
fn a_token_stands_alone_on_standard_output_and_is_not_kept() {
    let shell = Shell::new().with_blue();
    let create = ["token", "create", "--user", "alice", "--workspace", "blue", "--port", "3000"];
    let output = shell.output(&create, "");
    let token = String::from_utf8(output.stdout).unwrap();
    assert!(token.starts_with("pwy_") && token.trim_end().len() == 53 && token.lines().count() == 1, "{token}");
    let row = shell.json(&[&create[..], &["--expires", "7d", "--label", "ci"]].concat());
    assert_eq!(
        (&row["user"], &row["workspace"], &row["port"], &row["label"]),
        (&json!("alice"), &json!("blue"), &json!(3000), &json!("ci"))
    );
    assert_eq!(row["expires_at"].as_u64().unwrap() - row["created_at"].as_u64().unwrap(), 7 * 86_400);

    let listed = shell.run(&["token", "list", "--json"]);
    assert!(!listed.contains("pwy_") && !listed.contains("\"token\""), "{listed}");
    assert_eq!(shell.json(&["token", "list", "--user", "alice"]).as_array().unwrap().len(), 2);
    let id = row["id"].as_str().unwrap();
    assert_eq!(shell.json(&["token", "remove", id]), json!({ "removed": id }));
    assert_eq!(shell.fails(&["token", "remove", id]).0, 1);
    assert_eq!(shell.json(&["token", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_token_is_bounded_and_one_that_opens_nothing_is_warned_of() {
    let shell = Shell::new().with_blue();
    drop(shell.run(&["user", "add", "bob"]));
    let create = |user, more: &[&str]| {
        let base = ["token", "create", "--user", user, "--workspace", "blue", "--port", "3000"];
        shell.output(&[&base[..], more].concat(), "")
    };
    let long = create("alice", &["--expires", "91d"]);
    assert_eq!(
        (long.status.code(), errors(&long)),
        (Some(2), "error: a token is good for 1s to 90d, not 91d\n".to_owned())
    );
    assert_eq!(create("alice", &["--expires", "soon"]).status.code(), Some(2));
    assert_eq!(create("carol", &[]).status.code(), Some(1));
    let useless = create("bob", &[]);
    assert!(
        useless.status.success() && errors(&useless).contains("warning: `bob` may not open port 3000 of `blue` now"),
        "{}",
        errors(&useless)
    );
}

#[test]
fn urls_are_made_for_ports_tls_and_the_default_port() {
    let shell = Shell::with_config(
        "[[domains]]\nname = \"a.com\"\n[[domains]]\nname = \"b.com\"\npublic = \"https://b.com:8443\"\n",
    );
    assert_eq!(shell.run(&["url", "blue", "3000"]), "https://3000-blue.a.com/\n");
    assert_eq!(shell.run(&["url", "blue", "8443s"]), "https://8443s-blue.a.com/\n");
    assert_eq!(shell.run(&["url", "blue"]), "https://blue.a.com/\n");
    assert_eq!(shell.run(&["url", "blue", "3000", "--domain", "B.com"]), "https://3000-blue.b.com:8443/\n");
    assert_eq!(shell.json(&["url", "blue", "3000"]), json!({ "workspace": "blue", "url": "https://3000-blue.a.com/" }));
    let (code, said) = shell.fails(&["url", &"x".repeat(60), "3000"]);
    assert!(code == 1 && said.contains("DNS allows 63"), "{said}");
    for port in ["0", "65536", "03000", "3000x", ""] {
        assert_eq!(shell.fails(&["url", "blue", port]).0, 2, "{port:?}");
    }
}

#[test]
fn check_lists_every_mistake_with_its_line_and_exits_with_2() {
    let shell = Shell::with_config("lisen = []\n[limits]\nconnect = 3\n");
    let (code, said) = shell.fails(&["check"]);
    let file = shell.dir.join("portway.toml");
    let file = file.display();
    assert_eq!(code, 2);
    assert_eq!(
        said,
        format!(
            "error: {file}:1 lisen: there is no such key (hint: did you mean `listen`?)\n\
             error: {file}:3 limits.connect: must be a duration in quotes, such as \"10s\", \"500ms\" or \"1h30m\", not the number 3\n"
        )
    );
    assert_eq!(shell.fails(&["user", "list"]), (2, said), "no command runs on a wrong configuration");

    let output = shell.output(&["check", "--json"], "");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &report["good"]), (Some(2), &json!(false)));
    assert_eq!((&report["problems"][0]["line"], &report["problems"][0]["key"]), (&json!(1), &json!("lisen")));
    assert_eq!(report["problems"][0]["hint"], json!("did you mean `listen`?"));
}

#[test]
fn check_looks_into_the_files_that_are_named() {
    let shell = Shell::with_config(
        "[workspaces]\nfile = \"workspaces.toml\"\nallow = [\"10.0.0.0/8\"]\n[[tls.certificates]]\ncert = \"none.pem\"\nkey = \"none.key\"\n",
    );
    shell.dir.write("workspaces.toml", "[[workspace]]\nid = \"3000-x\"\naddress = \"10.0.0.2\"\nstate = 1\n");
    let (code, said) = shell.fails(&["check"]);
    let folder = shell.dir.path().display().to_string();
    let said = said.replace(&format!("{folder}/"), "");
    let heads: Vec<&str> =
        said.lines().map(|line| line.split_once(": ").unwrap().1.split(": ").next().unwrap()).collect();
    assert_eq!(
        (code, heads),
        (2, vec!["portway.toml:5 tls.certificates", "workspaces.toml:2", "workspaces.toml:4"]),
        "{said}"
    );
}

#[test]
fn check_compares_certificates_with_the_names_that_are_answered() {
    let toml = "domain = \"code-hub.com\"\n[workspaces]\nallow = [\"10.0.0.0/8\"]\n[[tls.certificates]]\ncert = \"a.crt\"\nkey = \"a.key\"\n";
    let together = "covers both `code-hub.com` and `*.code-hub.com`";
    let no_wildcard = "no certificate covers `*.code-hub.com`";
    let no_apex = "no certificate covers `code-hub.com`";
    for (names, expected) in [
        (&["code-hub.com", "*.code-hub.com"][..], &[together][..]),
        (&["code-hub.com"], &[no_wildcard]),
        (&["*.code-hub.com"], &[no_apex]),
        (&["*.code-hub.com", "login.code-hub.com"], &[no_apex]),
        (&["other.com"], &[no_wildcard, no_apex]),
    ] {
        let shell = Shell::with_config(toml);
        drop(TestCa::new().leaf(names).write(shell.dir.path(), "a"));
        let report = shell.json(&["check"]);
        let warnings: Vec<&str> =
            report["warnings"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
        let as_expected =
            warnings.len() == expected.len() && warnings.iter().zip(expected).all(|(said, it)| said.contains(it));
        assert!(as_expected, "{names:?}: {warnings:?}");
    }
    let shell = Shell::with_config(toml);
    let (ca, folder) = (TestCa::new(), shell.dir.path());
    drop((ca.leaf(&["code-hub.com"]).write(folder, "a"), ca.leaf(&["code-hub.com"]).write(folder, "b")));
    std::fs::rename(shell.dir.join("b.key"), shell.dir.join("a.key")).unwrap();
    let (code, said) = shell.fails(&["check"]);
    assert!(code == 2 && said.contains("portway.toml:5 tls.certificates: ") && said.contains("does not fit"), "{said}");
}

#[test]
fn check_says_what_a_good_configuration_means() {
    let shell = Shell::with_config(
        "domain = \"code-hub.com\"\nlisten = [\"0.0.0.0:80\"]\n[workspaces]\nallow = [\"10.0.0.0/8\"]\n",
    );
    let text = shell.run(&["check"]);
    for part in [
        "configuration is good\n",
        "0.0.0.0:80",
        "https://3000-{workspace}.code-hub.com/",
        "10.0.0.0/8",
        "127.0.0.1:9080",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let report = shell.json(&["check", "--listen", "127.0.0.1:81"]);
    assert_eq!(
        (&report["good"], &report["listen"], &report["control"]),
        (&json!(true), &json!(["127.0.0.1:81"]), &json!("https://code-hub.com"))
    );
}

#[test]
fn the_reference_is_printed_as_documented() {
    assert_eq!(Shell::new().run(&["config", "reference"]), include_str!("../../../docs/reference/portway.toml"));
}

#[test]
fn health_fails_where_no_gateway_answers() {
    // Bound and not listening: a connection is refused, and nobody else can take the port.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let ops = socket.local_addr().unwrap().as_socket().unwrap().to_string();
    let (code, said) = Shell::new().fails(&["health", "--ops", &ops]);
    assert!(
        code == 1 && said.starts_with(&format!("error: no gateway answers on {ops}: ")) && said.contains("\nhint: "),
        "{said}"
    );
}

#[test]
fn health_reads_the_status_of_the_answer() {
    for (answer, code) in
        [("HTTP/1.1 200 OK\r\n\r\nok", 0), ("HTTP/1.1 503 Service Unavailable\r\n\r\n", 1), ("SSH-2.0\r\n", 1)]
    {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let ops = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            let read = std::io::Read::read(&mut stream, &mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(request[..read].to_vec()).unwrap()
        });
        let output = Shell::new().output(&["health", "--ops", &ops], "");
        assert_eq!(output.status.code(), Some(code), "{answer}: {}", errors(&output));
        assert!(server.join().unwrap().starts_with(&format!("GET /healthz HTTP/1.1\r\nHost: {ops}\r\n")));
    }
}

#[test]
fn usage_errors_exit_with_2_and_help_with_0() {
    let shell = Shell::new();
    for wrong in [&["frobnicate"][..], &["user"], &["serve", "--listen"], &["token", "create", "--user", "a"]] {
        assert_eq!(shell.output(wrong, "").status.code(), Some(2), "{wrong:?}");
    }
    for right in [&["--help"][..], &["--version"], &["share", "set", "--help"]] {
        assert_eq!(shell.output(right, "").status.code(), Some(0), "{right:?}");
    }
}

#[test]
fn the_sample_is_refused_beside_a_configuration_before_anything_is_made() {
    for (shell, more) in [
        (Shell::with_config("domain = \"portway.localhost\"\n"), &[][..]),
        (Shell::new(), &["--domain", "code-hub.com"]),
    ] {
        let (code, said) = shell.fails(&[&["serve", "--demo"], more].concat());
        assert_eq!(code, 2, "{said}");
        assert!(said.contains("--demo is for a gateway without a configuration file"), "{said}");
        assert!(!shell.dir.join("data").exists());
    }
}
