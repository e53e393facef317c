//! The dial behind: no spelling of a forbidden address is connected to, whoever wrote it (R34, R35), the gateway never
//! reaches itself, and a workspaces file with a mistake changes nothing.

use std::net::{IpAddr, ToSocketAddrs, UdpSocket};

use portway_testkit::{Client, Gateway, Recorder, Step, TestCa, eventually_async};
use tokio::net::TcpListener;

use crate::stage::{Plan, binary, plan, request, verdict, visit};

/// As wide as a list can be without naming this machine.
const WIDE: &str = "[workspaces]\nallow = [\"0.0.0.0/0\", \"::/0\"]\n";

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// Never a workspace, or only another spelling of one: refused at the command line, and at the dial when a file says it.
const NEVER: &[&str] = &[
    "0.0.0.0",
    "0.0.0.7",
    "0.255.255.255",
    "::",
    "[::]",
    "0:0:0:0:0:0:0:0",
    "169.254.169.254",
    "169.254.170.2",
    "169.254.0.0",
    "fe80::",
    "fe80::a9fe:a9fe",
    "FEBF:FFFF::1",
    "fec0::1",
    "feff::1",
    "fd00:ec2::254",
    "fd00:0ec2:0000:0000:0000:0000:0000:0254",
    "FD20:CE::254",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "224.0.0.0",
    "239.255.255.250",
    "240.0.0.0",
    "255.255.255.255",
    "ff01::1",
    "ff02::fb",
    "::ffff:127.0.0.1",
    "::FFFF:7F00:1",
    "[::ffff:127.0.0.1]",
    "0:0:0:0:0:ffff:127.0.0.1",
    "::ffff:0.0.0.0",
    "::ffff:10.0.0.1",
    "::ffff:0:127.0.0.1",
    "::127.0.0.1",
    "::7f00:1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::1",
    "2002:a00:1::",
    "2001::",
    "2001:0:7f00:1::1",
];

/// Loopback, each spelled so that an address parser takes it: allowed only where loopback is.
const LOOPBACK: &[&str] = &[
    "127.0.0.1",
    "127.0.0.2",
    "127.1.2.3",
    "127.255.255.254",
    "::1",
    "[::1]",
    "0:0:0:0:0:0:0:1",
    "0000:0000:0000:0000:0000:0000:0000:0001",
    "::0.0.0.1",
    "[0::1]",
    "localhost",
    "LocalHost",
];

/// What `inet_aton` and browsers take for an address, and what has more in it than one.
const NO_ADDRESS: &[&str] = &[
    "2130706433",
    "0x7f000001",
    "0X7F.0.0.1",
    "127.1",
    "127.0.1",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.01",
    "127.0.0.1.",
    "localhost.",
    "0",
    "0.0",
    "2852039166",
    "0xa9fe.0xa9fe",
    "fe80::1%lo",
    "::1%1",
    "[::1]%1",
    "[127.0.0.1]",
    "[localhost]",
    "127.0.0.1:8080",
    "[::1]:8080",
    "127.0.0.1/8",
    "//127.0.0.1",
    "http://127.0.0.1/",
    "user@127.0.0.1",
    "127.0.0.1#",
    "127.0.0.1 ",
    "127.0.0.1\n10.0.0.1",
    "127.0.0.1\\",
    "%31%32%37.0.0.1",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "1.2.3.4.0x7f",
    ":::1",
    "::1::",
    "12345::",
    "1:2:3:4:5:6:7:8:9",
];

/// A listener that every address of this machine leads to: whoever dials one is seen.
async fn everywhere() -> Recorder {
    let listener = match TcpListener::bind("[::]:0").await {
        Ok(both) => both,
        Err(_) => TcpListener::bind("0.0.0.0:0").await.expect("bind"),
    };
    Recorder::on(listener, None, vec![vec![Step::ReadRequest, Step::write(OK), Step::Repeat]])
}

fn records(addresses: &[&str]) -> String {
    let record = |(number, address): (usize, &&str)| {
        format!("[[workspace]]\nid = \"w{number}\"\naddress = \"{address}\"\nowner = \"alice\"\n")
    };
    addresses.iter().enumerate().map(record).collect()
}

/// Visits `w0`, `w1`, … as their owner: each is refused, and nobody listening here hears of it.
async fn all_are_refused(plan: Plan, recorder: &Recorder, addresses: &[&str]) -> Gateway {
    let tokens: Vec<_> =
        (0..addresses.len()).map(|number| plan.token(&format!("w{number}"), recorder.port())).collect();
    let gateway = plan.start();
    let mut faults = Vec::new();
    for (number, (address, token)) in addresses.iter().zip(&tokens).enumerate() {
        let answer = visit(&gateway, &format!("{}-w{number}", recorder.port()), token).await;
        if verdict(&answer) != (502, "address-refused".to_owned()) {
            faults.push(format!("{address}: {:?}", verdict(&answer)));
        }
        gateway.wait_for_log("the refusal", |line| {
            line["event"] == "address-refused" && line["ws_id"] == format!("w{number}")
        });
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(recorder.connections().is_empty(), "somebody was dialled: {}", recorder.text());
    gateway
}

#[test]
fn the_command_line_refuses_what_is_never_a_workspace_and_what_is_no_address() {
    let plan = plan(WIDE, &[]);
    for address in NEVER.iter().chain(NO_ADDRESS) {
        let output = plan.try_run(&["workspace", "add", "ws", &format!("--address={address}")]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{address:?}: {errors}");
        assert!(errors.starts_with("error: "), "{address:?}: {errors}");
    }
    assert_eq!(plan.run(&["workspace", "list", "--json"]), "[]");
}

#[tokio::test]
async fn a_record_with_a_forbidden_address_is_never_dialled() {
    assert!(NEVER.len() >= 40);
    let recorder = everywhere().await;
    let plan = plan(&format!("{WIDE}file = \"workspaces.toml\"\n"), &[("workspaces.toml", &records(NEVER))]);
    all_are_refused(plan, &recorder, NEVER).await.stop();
}

#[tokio::test]
async fn a_wide_range_does_not_open_this_machine() {
    let recorder = everywhere().await;
    let mut addresses: Vec<String> = LOOPBACK.iter().map(|&address| address.to_owned()).collect();
    // And its own address in a network, where it has one: connecting a datagram socket sends nothing.
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    if socket.connect("192.0.2.1:9").is_ok() {
        addresses.push(socket.local_addr().expect("an address").ip().to_string());
    }
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    let plan = plan(WIDE, &[]);
    for (number, address) in addresses.iter().enumerate() {
        // Taken with a warning at most: the configuration may change before somebody dials.
        plan.workspace(&format!("w{number}"), address);
    }
    all_are_refused(plan, &recorder, &addresses).await.stop();
}

#[tokio::test]
async fn a_name_of_this_machine_is_judged_by_its_addresses() {
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let words =
        hosts.lines().filter_map(|line| line.split('#').next()).flat_map(|line| line.split_whitespace().skip(1));
    let usual = ["localhost.localdomain", "localhost6", "ip6-localhost", "ip6-loopback", "x.localhost"];
    let mut names: Vec<&str> =
        words.chain(usual).filter(|name| *name != "localhost").filter(|name| is_here(name)).collect();
    names.sort_unstable();
    names.dedup();
    assert!(!names.is_empty(), "this machine has no second name for loopback: its own belongs in /etc/hosts");
    let recorder = everywhere().await;
    for allow in [WIDE, "[workspaces]\nallow = [\"10.0.0.0/8\"]\n"] {
        let plan = plan(allow, &[]);
        for (number, name) in names.iter().enumerate() {
            plan.workspace(&format!("w{number}"), name);
        }
        all_are_refused(plan, &recorder, &names).await.stop();
    }
    // Nothing was wrong with the names.
    let plan = plan("[workspaces]\nallow = [\"127.0.0.0/8\", \"::1\"]\n", &[]);
    plan.workspace("ws", names[0]);
    let token = plan.token("ws", recorder.port());
    let gateway = plan.start();
    assert_eq!(visit(&gateway, &format!("{}-ws", recorder.port()), &token).await.status(), 200);
    gateway.stop();
}

fn is_here(name: &str) -> bool {
    let Ok(addresses) = (name, 0).to_socket_addrs() else {
        return false;
    };
    let addresses: Vec<IpAddr> = addresses.map(|address| address.ip()).collect();
    !addresses.is_empty() && addresses.iter().all(IpAddr::is_loopback)
}

#[tokio::test]
async fn a_configuration_without_allow_allows_nothing() {
    let recorder = everywhere().await;
    for config in ["", "[workspaces]\n", "[workspaces]\nallow = []\n"] {
        let addresses = ["localhost", "127.0.0.1", "::1", "10.0.0.1", "192.0.2.1", "2001:db8::1"];
        let plan = plan(&format!("default_port = 3000\n{config}"), &[]);
        for (number, address) in addresses.iter().enumerate() {
            plan.workspace(&format!("w{number}"), address);
        }
        all_are_refused(plan, &recorder, &addresses).await.stop();
    }
}

#[tokio::test]
async fn local_opens_every_port_of_this_machine_but_the_gateways_own() {
    let recorder = everywhere().await;
    // Embedded defaults: the workspace `local` is there by itself. The ports are known once it runs, so the tokens are late.
    let gateway = Gateway::builder(binary()).start();
    gateway.run(&["workspace", "add", "mine", "--address", "127.0.0.1"]);
    for (port, expected) in [
        (recorder.port(), (200, String::new())),
        (gateway.plain().port(), (502, "address-refused".to_owned())),
        (gateway.ops().port(), (502, "address-refused".to_owned())),
    ] {
        for workspace in ["local", "mine"] {
            let label = format!("{port}-{workspace}");
            gateway.run(&["share", "set", workspace, &port.to_string(), "public"]);
            eventually_async("the port to be shared", async || visit(&gateway, &label, "").await.status() != 401).await;
            assert_eq!(verdict(&visit(&gateway, &label, "").await), expected, "{label}");
        }
    }
    gateway.stop();
}

#[tokio::test]
async fn the_tls_listener_is_not_dialled_either() {
    let ca = TestCa::new();
    let leaf = ca.leaf(&["one.test", "*.one.test"]);
    let config = "domain = \"one.test\"\n[tls]\nlisten = [\"127.0.0.1:0\"]\n[[tls.certificates]]\ncert = \"a.crt\"\n\
                  key = \"a.key\"\n[workspaces]\nallow = [\"127.0.0.0/8\", \"::1\"]\n";
    let plan = plan(config, &[("a.crt", &leaf.certificate_pem), ("a.key", &leaf.key_pem)]);
    let recorder = everywhere().await;
    let addresses = ["localhost", "127.0.0.1", "::1", "127.0.0.2"];
    for (number, address) in addresses.iter().enumerate() {
        plan.workspace(&format!("w{number}"), address);
    }
    let gateway = plan.start();
    let ask = async |form: &str, workspace: &str| {
        let host = format!("{form}-{workspace}.one.test");
        let mut client = Client::connect_tls(gateway.tls(), &host, ca.client(&["http/1.1"])).await;
        client.round_trip("GET", request(&host, "/", "")).await
    };
    let refused = (502, "address-refused".to_owned());
    for (number, address) in addresses.iter().enumerate() {
        let workspace = format!("w{number}");
        for (what, port, expected) in [
            ("TLS", gateway.tls().port(), &refused),
            ("plain", gateway.plain().port(), &refused),
            ("operations", gateway.ops().port(), &refused),
            ("another", recorder.port(), &(200, String::new())),
        ] {
            gateway.run(&["share", "set", &workspace, &port.to_string(), "public"]);
            let form = port.to_string();
            eventually_async("the port to be shared", async || ask(&form, &workspace).await.status() != 401).await;
            assert_eq!(&verdict(&ask(&form, &workspace).await), expected, "the {what} port by {address}");
        }
        // Spoken to as it likes to be.
        let form = format!("{}s", gateway.tls().port());
        assert_eq!(verdict(&ask(&form, &workspace).await), refused, "TLS to the TLS port by {address}");
    }
    gateway.stop();
}

#[tokio::test]
async fn a_bad_edit_of_the_workspaces_file_is_refused_with_its_line() {
    let recorder = everywhere().await;
    let good = "[[workspace]]\nid = \"ws\"\naddress = \"127.0.0.1\"\nowner = \"alice\"\n";
    let config = "[workspaces]\nallow = [\"127.0.0.1\"]\nfile = \"workspaces.toml\"\n";
    let plan = plan(config, &[("workspaces.toml", good)]);
    let token = plan.token("ws", recorder.port());
    let gateway = plan.start();
    let label = format!("{}-ws", recorder.port());
    assert_eq!(visit(&gateway, &label, &token).await.status(), 200);
    for (text, line, reason) in [
        ("[[workspace]]\nid = \"ws\"\naddress = \"0177.0.0.1\"\n", 3, "0177.0.0.1"),
        ("\n\n[[workspace]]\nid = \"ws\"\nadress = \"10.0.0.9\"\n", 5, "adress"),
        ("[[workspace]]\nid = \"ws\"\naddress = \"10.0.0.9\n", 3, "address"),
        ("[[workspace]]\nid = \"w s\"\naddress = \"10.0.0.9\"\n", 2, "w s"),
    ] {
        drop(gateway.dir().write("workspaces.toml", text));
        let line = gateway.wait_for_log(reason, |log| log["line"] == line && log.to_string().contains(reason));
        assert!(line["level"].as_str().is_some_and(|level| level.eq_ignore_ascii_case("error")), "{line}");
        assert_eq!(visit(&gateway, &label, &token).await.status(), 200, "{text} was believed");
    }
    // A gateway does not start on what it would refuse.
    let (status, errors) = Gateway::builder(binary())
        .config(config)
        .file("workspaces.toml", format!("{good}[[workspace]]\nid = \"x\"\naddress = \"127.1\"\n"))
        .start_refused();
    assert_eq!(status.code(), Some(1), "{errors}");
    assert!(errors.contains("line 7") && errors.contains("127.1"), "{errors}");
    gateway.stop();
}

#[tokio::test]
async fn one_id_in_two_sources_names_both_and_changes_neither() {
    let recorder = everywhere().await;
    let good = "[[workspace]]\nid = \"filed\"\naddress = \"127.0.0.1\"\nowner = \"alice\"\n";
    let config = "[workspaces]\nallow = [\"127.0.0.1\"]\nfile = \"workspaces.toml\"\n";
    let plan = plan(config, &[("workspaces.toml", good)]);
    plan.workspace("twin", "127.0.0.1");
    let token = plan.token("twin", recorder.port());
    let gateway = plan.start();
    // As an intruder would who can write the file: another address, another owner, another spelling.
    let twin = "[[workspace]]\nid = \"Twin\"\naddress = \"10.0.0.9\"\nowner = \"mallory\"\n";
    drop(gateway.dir().write("workspaces.toml", format!("{good}{twin}")));
    let line = gateway.wait_for_log("the conflict", |line| {
        let text = line.to_string().to_ascii_lowercase();
        text.contains("twin") && text.contains("file") && text.contains("store")
    });
    assert!(line["level"].as_str().is_some_and(|level| level.eq_ignore_ascii_case("error")), "{line}");
    let answer = visit(&gateway, &format!("{}-twin", recorder.port()), &token).await;
    assert_eq!(answer.status(), 200, "the record that came first stays");
    // Nor can the command line make one: `filed` is the file's.
    let added = gateway.try_run(&["workspace", "add", "FILED", "--address", "127.0.0.1"]);
    assert_ne!(added.status.code(), Some(0), "a second `filed`");
    gateway.stop();
}
