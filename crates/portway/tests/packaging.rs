//! What a package takes from the binary: completions, as a shell uses them, and manual pages.
#![expect(clippy::unwrap_used, reason = "a stage that cannot be set is a failed test")]

use std::process::Command;

use portway_testkit::TempDir;

fn portway(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_portway")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What bash offers after these words, the last of which is being typed.
fn offered(script: &str, words: &[&str]) -> Vec<String> {
    let dir = TempDir::new();
    let path = dir.write("portway.bash", script);
    let last = words.len() - 1;
    let call = format!(
        "source {}; COMP_WORDS=({}); COMP_CWORD={last}; _portway portway '{}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        path.display(),
        words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
        words[last],
        words[last - 1],
    );
    let output = Command::new("bash").args(["--norc", "-c", &call]).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_and_flags() {
    let script = portway(&["completions", "bash"]);
    assert_eq!(offered(&script, &["portway", "work"]), ["workspace"]);
    assert_eq!(offered(&script, &["portway", "share", "s"]), ["set"]);
    assert_eq!(offered(&script, &["portway", "serve", "--dem"]), ["--demo"]);
}

#[test]
fn other_shells_have_completions_too() {
    for (shell, first) in [("zsh", "#compdef portway"), ("fish", "# Print an optspec"), ("elvish", "\nuse builtin")] {
        let script = portway(&["completions", shell]);
        assert!(script.starts_with(first) && script.contains("workspace"), "{shell}:\n{script}");
    }
}

#[test]
fn a_manual_page_is_written_for_each_command() {
    let dir = TempDir::new();
    portway(&["man", "--dir", dir.path().to_str().unwrap()]);
    let page = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    assert_eq!(page("portway.1"), portway(&["man"]));
    assert!(page("portway.1").contains(".TH portway 1"), "{}", page("portway.1"));
    for (name, says) in
        [("portway-serve.1", "\\-\\-demo"), ("portway-share-set.1", "\\-\\-user"), ("portway-man.1", "manual")]
    {
        assert!(page(name).contains(says), "{name}:\n{}", page(name));
    }
    let pages = std::fs::read_dir(dir.path()).unwrap().count();
    assert!(pages > 20, "{pages}");
    let output = Command::new(env!("CARGO_BIN_EXE_portway")).args(["man", "--dir", "/proc/nowhere"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write /proc/nowhere/portway.1"));
}
