//! The process harness is tested with stand-ins that speak the gateway's log and signals, so that
//! a gateway that fails to start, or to stop, is a failed test with its own words in it.
#![expect(clippy::expect_used, reason = "a stage that cannot be set is a failed test")]

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use portway_testkit::{Gateway, TempDir};

/// A shell script in place of the binary.
fn stand_in(dir: &TempDir, script: &str) -> PathBuf {
    let path = dir.write("stand-in", format!("#!/bin/sh\n{script}\n"));
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&path, mode).expect("make it executable");
    path
}

/// Says where it listens and that it is ready, then serves nothing until it is told to stop.
const READY: &str = r#"
echo '{"event":"listening","listener":"plain","address":"127.0.0.1:41234"}'
echo '{"event":"listening","listener":"plain","address":"[::1]:41234"}'
echo '{"event":"listening","listener":"ops","address":"127.0.0.1:41235"}'
echo '{"event":"ready"}'
"#;

#[test]
fn addresses_are_read_from_the_log_and_a_clean_stop_is_seen() {
    let dir = TempDir::new();
    let script = format!("trap 'exit 0' TERM\n{READY}\nwhile :; do sleep 0.01; done");
    let gateway = Gateway::builder(stand_in(&dir, &script)).start();
    assert_eq!(gateway.plain().to_string(), "127.0.0.1:41234");
    assert_eq!(gateway.addresses("plain").len(), 2);
    assert_eq!(gateway.ops().port(), 41235);
    assert!(gateway.peak_memory() > 0);
    gateway.stop();
}

#[test]
#[should_panic(expected = "port 8080 is taken")]
fn a_gateway_that_dies_before_it_is_ready_fails_with_what_it_said() {
    let dir = TempDir::new();
    let script = "echo 'port 8080 is taken' >&2; exec 2>&-; sleep 0.2; exit 1";
    drop(Gateway::builder(stand_in(&dir, script)).start());
}

#[test]
#[should_panic(expected = "exit status: 3")]
fn a_stop_with_an_error_fails_the_test() {
    let dir = TempDir::new();
    let script = format!("trap 'exit 3' TERM\n{READY}\nwhile :; do sleep 0.01; done");
    Gateway::builder(stand_in(&dir, &script)).start().stop();
}

#[test]
fn a_refused_start_gives_status_and_words() {
    let dir = TempDir::new();
    let path = stand_in(&dir, "echo 'bad key' >&2; exit 2");
    let (status, words) = Gateway::builder(path).start_refused();
    assert_eq!((status.code(), words.as_str()), (Some(2), "bad key\n"));
}

#[test]
fn nothing_outlives_a_dropped_gateway() {
    let dir = TempDir::new();
    let script = format!("trap '' TERM\nsleep 1000 &\necho $! >&2\n{READY}\nwait");
    let gateway = Gateway::builder(stand_in(&dir, &script)).start();
    let pids = [gateway.pid().to_string(), gateway.errors().trim().to_owned()];
    drop(gateway);
    for pid in pids {
        assert!(!pid.is_empty());
        // A killed child of a killed parent is gone, or waits to be reaped by init.
        portway_testkit::eventually("the process group to end", || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z")
        });
    }
}
