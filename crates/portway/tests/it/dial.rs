//! A workspace's name is judged by the addresses it resolves to, at the dial (R34, R35). What else is never dialled is
//! `edge`'s to test.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use portway_testkit::{Client, Gateway, Recorder, TempDir, eventually_async};

use crate::stage::{binary, builder};

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

/// Everything that could be dialled at all may be: what is refused then is refused for good.
const ALLOW_ALL: &str = "[workspaces]\nallow = [\"0.0.0.0/0\", \"::/0\", \"127.0.0.0/8\", \"::1\"]\n";

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

/// The binary in a mount namespace where /etc/hosts holds these lines; `None` where none can be made.
fn with_hosts(dir: &TempDir, lines: &str) -> Option<PathBuf> {
    let hosts = dir.write("hosts", lines);
    let script = format!(
        "#!/bin/sh\nexec unshare --map-root-user --mount sh -c \
         'mount --bind {} /etc/hosts && exec \"$0\" \"$@\"' {} \"$@\"\n",
        hosts.display(),
        binary().display()
    );
    let wrapper = dir.write("portway-with-hosts", script);
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).expect("make it executable");
    let works = Command::new(&wrapper).arg("--version").output().is_ok_and(|output| output.status.success());
    works.then_some(wrapper)
}

/// Names that this machine gives itself, which resolve to addresses of its own.
fn own_names() -> Vec<String> {
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let lines = hosts.lines().filter(|line| !line.trim_start().starts_with('#'));
    let names = lines.flat_map(|line| line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>());
    names.filter(|name| !name.eq_ignore_ascii_case("localhost")).collect::<BTreeSet<_>>().into_iter().collect()
}

#[tokio::test]
async fn a_name_is_judged_by_what_it_resolves_to() {
    let recorder = Recorder::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let dir = TempDir::new();
    let bare: Vec<&str> = FORBIDDEN.iter().copied().filter(|address| !address.starts_with('[')).collect();
    let lines: String = bare.iter().enumerate().map(|(n, address)| format!("{address} name{n}.test\n")).collect();
    // Where the test cannot say what names mean, the machine's own must do.
    let (gateway, names) = match with_hosts(&dir, &format!("127.0.0.1 localhost good.test\n{lines}")) {
        Some(wrapper) => {
            let gateway = Gateway::builder(wrapper).config(ALLOW_ALL).start();
            drop(gateway.add_user("alice"));
            gateway.run(&["workspace", "add", "good", "--address", "good.test", "--owner", "alice"]);
            // The stage is set: names do resolve, and one that may be dialled is.
            assert_eq!(ask(&gateway, "good", recorder.port()).await.0, 200);
            (gateway, (0..bare.len()).map(|n| format!("name{n}.test")).collect())
        }
        None => {
            let gateway = builder().config("[workspaces]\nallow = [\"0.0.0.0/0\", \"::/0\"]\n").start();
            drop(gateway.add_user("alice"));
            (gateway, own_names())
        }
    };
    let before = recorder.connections().len();
    let mut faults = BTreeSet::new();
    for (number, name) in names.iter().enumerate() {
        let id = format!("w{number}");
        gateway.run(&["workspace", "add", &id, "--address", name, "--owner", "alice"]);
        let got = ask(&gateway, &id, recorder.port()).await;
        if got != (502, "address-refused".to_owned()) {
            faults.insert(format!("{name}: {got:?}"));
        }
    }
    assert!(!names.is_empty() && faults.is_empty(), "{faults:#?}");
    assert_eq!(recorder.connections().len(), before, "somebody was asked");
    gateway.stop();
}
