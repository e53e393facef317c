//! What a package carries of the command line: completions for shells and manual pages, made from its one definition.

use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::Cli;
use crate::output::{self, Failure};

/// Prints the completions for a shell.
pub(super) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "portway", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}

/// Prints the first page, or writes every page into a folder: `portway-share-set.1`.
pub(super) fn man(folder: Option<&Path>) -> Result<(), Failure> {
    let mut command = Cli::command();
    command.build();
    let Some(folder) = folder else { return output::print(&String::from_utf8_lossy(&page(&command)?)) };
    write_pages(folder, &command)
}

fn write_pages(folder: &Path, command: &Command) -> Result<(), Failure> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let path = folder.join(format!("{name}.1"));
    fs::write(&path, page(command)?).map_err(|error| {
        Failure::failed(format!("cannot write {}: {error}", path.display())).hint("the folder has to be there")
    })?;
    command
        .get_subcommands()
        .filter(|below| below.get_name() != "help")
        .try_for_each(|below| write_pages(folder, below))
}

fn page(command: &Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page)?;
    Ok(page)
}
