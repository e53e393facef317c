//! How many files the process may open, and how many of them visitors and dev servers may have (R50): when those are used up,
//! whoever looks after the gateway still reaches it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::output::Failure;

/// Kept for the operations listener, databases, name resolution and files; and for each core's listeners and timers.
const RESERVED: u64 = 128;
const RESERVED_PER_CORE: u64 = 16;
/// A gateway with less is of no use.
const LEAST: u64 = 64;

/// Raises the soft limit to the hard one; gives how many sockets there may be.
///
/// # Errors
/// Where there is no room for even a few.
pub(super) fn raise(cores: usize, connections: usize, warnings: &mut Vec<String>) -> Result<usize, Failure> {
    let now = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: now.maximum, maximum: now.maximum };
    // It is allowed to everybody; where it is not, what there is has to do.
    let limit = if setrlimit(Resource::Nofile, raised).is_ok() { now.maximum } else { now.current };
    let Some(limit) = limit else { return Ok(usize::MAX) };
    let sockets = limit.saturating_sub(RESERVED + RESERVED_PER_CORE * cores as u64);
    if sockets < LEAST {
        return Err(Failure::failed(format!("this process may open only {limit} files"))
            .hint("raise the limit: LimitNOFILE in the unit, `ulimit -n` in a shell"));
    }
    if sockets < 2 * connections as u64 {
        warnings.push(format!(
            "this process may open {limit} files, fewer than two for each of limits.connections ({connections}): \
             some visitors will wait or be refused; raise LimitNOFILE or `ulimit -n`"
        ));
    }
    Ok(usize::try_from(sockets).unwrap_or(usize::MAX))
}
