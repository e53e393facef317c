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

#[test]
fn every_command_that_does_something_shows_an_example_or_has_nothing_to_choose() {
    for (path, text) in all_help() {
        let simple = ["list", "remove", "reference", "link"].iter().any(|name| path.ends_with(name));
        let parent = text.contains("Commands:") && path != "portway";
        assert!(simple || parent || text.contains("Examples:"), "{path}\n{text}");
    }
}
