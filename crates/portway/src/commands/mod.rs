//! The commands, one file each. They change the store; a gateway that runs on it notices by itself.

pub(crate) mod check;
mod context;
mod describe;
mod health;
mod migrate;
mod port;
mod share;
mod token;
mod url;
mod user;
mod workspace;

use crate::cli::{Cli, Command, Config, Global, Listeners};
use crate::config::{Flags, Settings, reference};
use crate::output::{self, Failure};
use crate::serve;

/// Runs the command that was typed.
///
/// # Errors
/// What the operator is told instead of a result, with the exit code.
pub(crate) async fn run(cli: Cli) -> Result<(), Failure> {
    let global = &cli.global;
    match cli.command {
        Command::Serve(args) => serve::run(&flags(global, args.listeners), args.demo, args.take_over).await,
        Command::Check(listeners) => check::run(&flags(global, listeners), global.json).await,
        Command::Migrate(args) => migrate::run(global, &args).await,
        Command::Health(args) => health::run(global, &args),
        Command::Url(args) => url::run(global, &args),
        Command::Workspace(command) => workspace::run(global, command).await,
        Command::User(command) => user::run(global, command).await,
        Command::Port(command) => port::run(global, command).await,
        Command::Share(command) => share::run(global, command).await,
        Command::Token(command) => token::run(global, command).await,
        Command::Completions { shell } => describe::completions(shell),
        Command::Man { dir } => describe::man(dir.as_deref()),
        Command::Config(Config::Reference) => output::print(&reference::text()),
    }
}

fn flags(global: &Global, listeners: Listeners) -> Flags {
    Flags {
        config: global.config.clone(),
        data: global.data.clone(),
        listen: listeners.listen,
        ops: listeners.ops,
        domain: listeners.domain,
    }
}

/// The settings under these flags and the environment of this process.
fn settings(flags: &Flags) -> Result<Settings, Failure> {
    Settings::of_process(flags).map_err(|problems| Failure::configuration(&problems))
}
