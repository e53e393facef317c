//! `portway`: reads the command line and runs one command. What the gateway is made of is in `serve`.

mod cli;
mod commands;
mod config;
mod demo;
mod duration;
mod output;
mod running;
mod serve;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::Cli;
use crate::output::Failure;

/// Small blocks come and go with every request; docs/benchmarks.md has what this allocator saves.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Commands and the control side of the gateway run here; the gateway gives each core a runtime of its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => {
            let done = runtime.block_on(commands::run(cli));
            // The resolver may have threads that wait for minutes, and nobody waits for it any more.
            runtime.shutdown_background();
            done
        }
        Err(error) => Err(Failure::failed(format!("cannot start: {error}"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
