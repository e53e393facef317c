//! The help texts, kept as snapshots: they are what people learn the program from.

use clap::{Command, CommandFactory as _};

use super::Cli;

/// The help of `command` and of everything below it.
fn help_of(command: &mut Command, path: &str, texts: &mut Vec<(String, String)>) {
    texts.push((path.to_owned(), command.render_long_help().to_string()));
    let below: Vec<String> =
        command.get_subcommands().map(|below| below.get_name().to_owned()).filter(|name| name != "help").collect();
    for name in below {
        if let Some(below) = command.find_subcommand_mut(&name) {
            help_of(below, &format!("{path} {name}"), texts);
        }
    }
}

fn all_help() -> Vec<(String, String)> {
    let mut command = Cli::command().term_width(100).version("0.0.0");
    command.build();
    let mut texts = Vec::new();
    help_of(&mut command, "portway", &mut texts);
    texts
}

#[test]
fn the_definitions_hold_together() {
    Cli::command().debug_assert();
}

#[test]
fn help_reads_as_it_was_last_read() {
    for (path, text) in all_help() {
        insta::assert_snapshot!(path.replace(' ', "_"), text);
    }
}

/// The help of every command that does something, as one page.
fn page() -> String {
    let mut page = "# Commands\n\n\
        What `--help` says, command by command. Made from the program by its tests; do not edit.\n"
        .to_owned();
    for (path, text) in all_help() {
        page.push_str(&format!("\n## {path}\n\n```text\n{}\n```\n", text.trim_end()));
    }
    page.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[test]
fn the_page_of_commands_in_the_documentation_is_what_the_program_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/commands.md");
    // As for the other snapshots: INSTA_UPDATE=always writes what is to be kept.
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(path, page()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == page(), "run the tests with INSTA_UPDATE=always, and read what changed in {path}");
}

#[test]
fn every_command_that_does_something_shows_an_example_or_has_nothing_to_choose() {
    for (path, text) in all_help() {
        let simple = ["list", "remove", "reference", "link"].iter().any(|name| path.ends_with(name));
        let parent = text.contains("Commands:") && path != "portway";
        assert!(simple || parent || text.contains("Examples:"), "{path}\n{text}");
    }
}
