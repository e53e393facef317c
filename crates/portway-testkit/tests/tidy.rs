//! The repository's own rules, checked on its files and on `cargo metadata`.
//!
//! Which crate may see which, how long a file may grow, and which words never appear. It knows nothing of what the
//! code does, nor of other people's crates: `deny.toml` says which may come in, from where and under which licence.
#![expect(clippy::expect_used, reason = "a rule that cannot be checked has failed")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

/// Which of our crates each of our crates may depend on, tests aside.
const ARROWS: &[(&str, &[&str])] = &[
    ("portway-core", &[]),
    ("portway-http1", &[]),
    ("portway-sources", &["portway-core"]),
    ("portway-control", &["portway-core", "portway-sources"]),
    ("portway-proxy", &["portway-core", "portway-http1"]),
    ("portway-testkit", &[]),
    ("portway", &["portway-core", "portway-sources", "portway-control", "portway-proxy"]),
];

/// What the pure crates may use at all: no runtime, no socket, no clock, no log.
const PURE: &[(&str, &[&str])] = &[
    ("portway-core", &["base64", "bytes", "getrandom", "hmac", "imbl", "serde", "sha2", "subtle", "thiserror"]),
    ("portway-http1", &["bytes"]),
];

/// The longest a source file may be, in lines; a test file may be twice as long.
const LONGEST: usize = 500;

/// Files that are longer, each with the reason.
const LONGER: &[(&str, &str)] = &[];

static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("crates/portway-testkit is two below the root").to_owned()
});

static METADATA: LazyLock<Value> = LazyLock::new(|| {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(&*ROOT)
        .output()
        .expect("cargo metadata");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON metadata")
});

/// Every file of the repository that is or could be committed, with its text.
static FILES: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(&*ROOT)
        .output()
        .expect("git ls-files");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).expect("UTF-8 file names");
    let files: Vec<_> = names
        .split_terminator('\0')
        // A file deleted but not yet committed is still listed; a binary one has no words.
        .filter_map(|name| Some((name.to_owned(), std::fs::read_to_string(ROOT.join(name)).ok()?)))
        .collect();
    assert!(files.iter().any(|(name, _)| name == "Cargo.toml"), "the repository has files");
    files
});

fn packages() -> impl Iterator<Item = &'static Value> {
    METADATA["packages"].as_array().expect("packages").iter()
}

fn text(value: &'static Value) -> &'static str {
    value.as_str().unwrap_or_default()
}

/// Our crates, each with the names of its ordinary dependencies.
fn ours() -> BTreeMap<&'static str, Vec<&'static str>> {
    let own = packages().filter(|package| package["source"].is_null());
    own.map(|package| {
        let dependencies = package["dependencies"].as_array().expect("dependencies").iter();
        let ordinary = dependencies.filter(|one| one["kind"].is_null());
        (text(&package["name"]), ordinary.map(|one| text(&one["name"])).collect())
    })
    .collect()
}

fn rust_files() -> impl Iterator<Item = &'static (String, String)> {
    FILES.iter().filter(|(name, _)| name.starts_with("crates/") && name.ends_with(".rs"))
}

fn is_test(name: &str) -> bool {
    name.contains("/tests/") || name.ends_with("/tests.rs")
}

#[test]
fn crates_see_only_whom_they_may() {
    let ours = ours();
    for (name, dependencies) in &ours {
        let allowed = ARROWS.iter().find(|(one, _)| one == name);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{name} has no line in ARROWS"));
        for dependency in dependencies.iter().filter(|one| ours.contains_key(*one)) {
            assert!(allowed.contains(dependency), "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn pure_crates_stay_pure() {
    let ours = ours();
    for (name, allowed) in PURE {
        for dependency in &ours[name] {
            assert!(allowed.contains(dependency), "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn every_source_file_says_what_it_is_and_stays_short() {
    let mut faults = Vec::new();
    for (name, content) in rust_files() {
        let lines = content.lines().count();
        let limit = if is_test(name) { 2 * LONGEST } else { LONGEST };
        if lines > limit && LONGER.iter().all(|(one, _)| one != name) {
            faults.push(format!("{name} has {lines} lines"));
        }
        // A `tests.rs` is described by its parent.
        if !content.starts_with("//!") && !name.ends_with("/tests.rs") {
            faults.push(format!("{name} does not begin by saying what it is"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn no_test_is_ignored() {
    let mark = concat!("#[", "ignore");
    for (name, content) in rust_files() {
        assert!(!content.contains(mark), "{name} ignores a test");
    }
}

#[test]
fn nothing_names_a_machine_or_a_registry() {
    // Split, so that this file does not name them either.
    let words = [
        concat!("/wo", "rk/"),
        concat!("registry.", "npmjs"),
        concat!("index.", "crates.io"),
        concat!("pypi", ".org"),
        concat!("deb.", "debian.org"),
    ];
    for (name, content) in FILES.iter() {
        for word in words {
            assert!(!content.contains(word), "{name} names {word}");
        }
    }
}

#[test]
fn the_browser_tests_lock_their_packages_without_addresses() {
    let locks: Vec<_> = FILES.iter().filter(|(name, _)| name.ends_with("package-lock.json")).collect();
    assert!(locks.iter().any(|(name, _)| name == "e2e/package-lock.json"), "the browser tests have a lock");
    for (name, content) in locks {
        assert!(content.contains("\"integrity\""), "{name}: packages are locked by hash");
        assert!(!content.contains("\"resolved\""), "{name} says where packages came from");
    }
}
