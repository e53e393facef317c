//! Where the gateway never dials, however the address is spelled and whoever says it: the command line, the workspaces
//! file, or a name that resolves to it (R34, R35); and never itself.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use portway_testkit::{Client, Gateway, Recorder, TempDir, eventually_async};

use crate::stage::{binary, builder, plan};

/// Spellings of addresses that no configuration opens: this machine as it is not to be called, metadata services,
/// link-local, multicast, unspecified, reserved, and IPv4 in IPv6 clothes.
const FORBIDDEN: &[&str] = &[
    "0.0.0.0",
    "0.0.0.1",
    "0.1.2.3",
    "::",
    "0:0:0:0:0:0:0:0",
    "[::]",
    "169.254.169.254",
    "169.254.170.2",
    "169.254.0.1",
    "169.254.255.255",
    "fd00:ec2::254",
    "FD00:EC2:0:0:0:0:0:254",
    "fd20:ce::254",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "224.0.0.1",
    "239.255.255.255",
    "255.255.255.255",
    "240.0.0.1",
    "250.1.2.3",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "[::ffff:169.254.169.254]",
    "0:0:0:0:0:ffff:a9fe:a9fe",
    "::ffff:0:7f00:1",
    "::127.0.0.1",
    "::7f00:1",
    "::2",
    "64:ff9b::7f00:1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2001:0:53aa:64c::1",
    "2001::1",
];

/// Texts that a resolver would turn into an address, and that are none here.
const MISSPELLED: &[&str] = &[
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0x7F.0.0.1",
    "127.1",
    "127.0.1",
    "017700000001",
    "0177.0.0.1",
    "127.0.0.01",
    "127.0.0.1.",
    "1",
    "0",
    "0x0",
    "2852039166",
    "0xa9fea9fe",
    "169.254.43518",
    "0251.0376.0251.0376",
    "fe80::1%eth0",
    "[fe80::1%25eth0]",
    "::1%lo",
    "[::1",
    "::1]",
    "[127.0.0.1]",
    "127.0.0.1:80",
    "[::1]:80",
    "127.0.0.1/32",
    "http://127.0.0.1",
    "localhost:80",
    "a b",
    "",
    "-a",
    "a..b",
    ".",
    "..",
    "*",
    "a@b",
    "1.2.3.4.5",
    "256.0.0.1",
    "１２７.0.0.1",
    "127。0。0。1",
    "ⓛocalhost",
    "x\ny",
    "x/../y",
    "a.0x7f",
];

/// Everything that could be dialled at all may be: what is refused then is refused for good.
const ALLOW_ALL: &str = "[workspaces]\nallow = [\"0.0.0.0/0\", \"::/0\", \"127.0.0.0/8\", \"::1\"]\n";

#[test]
fn the_command_line_takes_no_address_that_is_never_a_workspace() {
    assert!(FORBIDDEN.len() + MISSPELLED.len() >= 40 && FORBIDDEN.len() >= 40);
    let gateway = builder().config(ALLOW_ALL).start();
    for (number, address) in FORBIDDEN.iter().chain(MISSPELLED).enumerate() {
        let name = format!("w{number}");
        // One argument, so that what begins with a dash is no flag.
        let output = gateway.try_run(&["workspace", "add", &name, &format!("--address={address}")]);
        assert_eq!(output.status.code(), Some(2), "{address:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(gateway.run(&["workspace", "list", "--json"]).trim(), "[]");
    gateway.stop();
}

#[tokio::test]
async fn the_workspaces_file_opens_no_forbidden_address() {
    // The file is read without the command line's checks; what counts is what happens at the dial.
    let records: String = FORBIDDEN
        .iter()
        .enumerate()
        .map(|(number, address)| {
            format!("[[workspace]]\nid = \"w{number}\"\naddress = \"{address}\"\nowner = \"alice\"\n")
        })
        .collect();
    let config = format!("{ALLOW_ALL}file = \"workspaces.toml\"\n");
    let plan = builder().config(&config);
    std::fs::write(plan.dir().join("workspaces.toml"), records).expect("write the file");
    let gateway = plan.start();
    drop(gateway.add_user("alice"));
    let mut faults = BTreeSet::new();
    for (number, address) in FORBIDDEN.iter().enumerate() {
        let (status, reason) = ask(&gateway, &format!("w{number}"), 3000).await;
        if (status, reason.as_str()) != (502, "address-refused") {
            faults.insert(format!("{address}: {status} {reason}"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    gateway.stop();
}

/// Asks for a port of a workspace with a token of alice's.
async fn ask(gateway: &Gateway, workspace: &str, port: u16) -> (u16, String) {
    let port = port.to_string();
    let token = gateway.run(&["token", "create", "--user", "alice", "--workspace", workspace, "--port", &port]);
    let host = format!("{port}-{workspace}.portway.localhost:{}", gateway.plain().port());
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nX-Portway-Token: {}\r\n\r\n", token.trim());
    let mut answer = None;
    eventually_async("the token to be known", async || {
        let got = Client::connect(gateway.plain()).await.round_trip("GET", &request).await;
        let known = got.status() != 401;
        answer = Some(got);
        known
    })
    .await;
    let answer = answer.expect("an answer");
    (answer.status(), answer.field("portway-reason").unwrap_or_default())
}

#[tokio::test]
async fn a_misspelled_address_refuses_the_whole_file_and_names_the_line() {
    for address in ["2130706433", "0x7f.1", "127.1", "fe80::1%eth0", "127.0.0.1:80", "0177.0.0.1"] {
        let plan = builder().config(&format!("{ALLOW_ALL}file = \"workspaces.toml\"\n"));
        let text = format!(
            "[[workspace]]\nid = \"good\"\naddress = \"10.0.0.1\"\n\n[[workspace]]\nid = \"bad\"\naddress = \"{address}\"\n"
        );
        std::fs::write(plan.dir().join("workspaces.toml"), text).expect("write the file");
        let (status, errors) = plan.start_refused();
        assert!(!status.success() && errors.contains("line 7") && errors.contains(address), "{address}: {errors}");
    }
}

#[tokio::test]
async fn nothing_is_dialled_that_no_range_allows() {
    // Loopback is there, and somebody listens; without a range for it nobody is asked.
    let recorder = Recorder::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    for allow in ["[]", "[\"10.0.0.0/8\"]", "[\"0.0.0.0/0\", \"::/0\"]", "[\"127.0.0.2\"]"] {
        let gateway = builder().config(&format!("[workspaces]\nallow = {allow}\n")).start();
        drop(gateway.add_user("alice"));
        for (name, address) in
            [("a", "localhost"), ("b", "127.0.0.1"), ("c", "::1"), ("d", "[::1]"), ("e", "LocalHost")]
        {
            gateway.run(&["workspace", "add", name, "--address", address, "--owner", "alice"]);
            let got = ask(&gateway, name, recorder.port()).await;
            assert_eq!(got, (502, "address-refused".to_owned()), "{address} with allow = {allow}");
        }
        gateway.stop();
    }
    assert!(recorder.connections().is_empty(), "{:?}", recorder.text());
}

#[tokio::test]
async fn a_name_is_judged_by_what_it_resolves_to() {
    // A resolver of the test's own: the gateway runs where /etc/hosts says so.
    let recorder = Recorder::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let dir = TempDir::new();
    let names: String = FORBIDDEN
        .iter()
        .filter(|address| !address.starts_with('['))
        .enumerate()
        .map(|(number, address)| format!("{address} name{number}.test\n"))
        .collect();
    let count = names.lines().count();
    let hosts = dir.write("hosts", format!("127.0.0.1 localhost good.test\n{names}"));
    let script = format!(
        "#!/bin/sh\nexec unshare --map-root-user --mount sh -c \
         'mount --bind {} /etc/hosts && exec \"$0\" \"$@\"' {} \"$@\"\n",
        hosts.display(),
        binary().display()
    );
    let wrapper = dir.write("portway-with-hosts", script);
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).expect("make it executable");
    let works = Command::new(&wrapper).arg("--version").output().expect("run the wrapper");
    assert!(works.status.success(), "cannot make a mount namespace: {}", String::from_utf8_lossy(&works.stderr));

    let gateway = Gateway::builder(&wrapper).config(ALLOW_ALL).start();
    drop(gateway.add_user("alice"));
    gateway.run(&["workspace", "add", "good", "--address", "good.test", "--owner", "alice"]);
    // The stage is set: names do resolve, and one that may be dialled is.
    assert_eq!(ask(&gateway, "good", recorder.port()).await.0, 200);
    let before = recorder.connections().len();
    let mut faults = BTreeSet::new();
    for number in 0..count {
        let name = format!("w{number}");
        gateway.run(&["workspace", "add", &name, "--address", &format!("name{number}.test"), "--owner", "alice"]);
        let got = ask(&gateway, &name, recorder.port()).await;
        if got != (502, "address-refused".to_owned()) {
            faults.insert(format!("{:?}: {got:?}", names.lines().nth(number)));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert_eq!(recorder.connections().len(), before, "somebody was asked");
    gateway.stop();
}

#[tokio::test]
async fn the_gateway_never_dials_itself() {
    let stage = plan().start();
    let gateway = &stage.gateway;
    for (what, port) in [("its own listener", gateway.plain().port()), ("its operations port", gateway.ops().port())] {
        for (name, address) in [("one", "localhost"), ("two", "127.0.0.1"), ("three", "::1")] {
            let id = format!("{name}{port}");
            gateway.run(&["workspace", "add", &id, "--address", address, "--owner", "alice"]);
            let got = ask(gateway, &id, port).await;
            assert_eq!(got, (502, "address-refused".to_owned()), "{what} by {address}");
        }
    }
    // Whatever had reached the listener would have been logged with the host it was asked for.
    let log = gateway.log();
    let asked: Vec<_> =
        log.iter().filter(|line| line["host"].as_str().is_some_and(|host| host.starts_with("localhost"))).collect();
    assert!(asked.is_empty(), "{asked:?}");
    stage.gateway.stop();
}
