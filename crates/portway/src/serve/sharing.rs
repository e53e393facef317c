//! Rates counted together with other gateways, by a Redis, about once a second (R50).
//!
//! No request waits for it: what all have let through is put into this gateway's own counters, and those alone decide. While
//! Redis is away they hold what this gateway lets through.

use std::time::Duration;

use portway_proxy::limits::sharing::{OWED_MAX, Tally, scheme};
use portway_sources::{RedisServer, Round, SharedCounters};
use tokio::time::sleep;

/// How often others are told, and asked.
const ROUND: Duration = Duration::from_secs(1);
/// How long a Redis that failed is left alone at most; it begins with a round and doubles.
const BACK_OFF_MAX: Duration = Duration::from_secs(8);

/// Shares until the process ends.
pub(super) async fn share(mut tally: Tally, server: RedisServer) {
    let mut counters = SharedCounters::new(&server, format!("portway:limits:{}", scheme()), OWED_MAX);
    let together = metrics::gauge!("portway_limits_shared");
    together.set(0.0);
    let (mut was, mut pause) = (None, ROUND);
    loop {
        let outcome = round(&mut tally, &mut counters).await;
        let is = outcome.is_ok();
        together.set(if is { 1.0 } else { 0.0 });
        pause = if is { ROUND } else { (pause * 2).min(BACK_OFF_MAX) };
        match (outcome, was.replace(is)) {
            (Ok(()), Some(true)) | (Err(_), Some(false)) => {}
            (Ok(()), _) => tracing::info!(event = "limits-shared", "rates are counted with other gateways"),
            (Err(error), _) => tracing::error!(event = "limits-apart", %error, "rates are this gateway's own"),
        }
        sleep(pause).await;
    }
}

/// Tells what was let through since the last round, and takes over what all have let through. What a round that fails would
/// have told is not told later.
async fn round(tally: &mut Tally, counters: &mut SharedCounters) -> Result<(), String> {
    let uses = tally.look();
    let named: Vec<_> = uses.iter().map(|it| (it.to_string(), it.takes)).collect();
    match counters.add(tally.secret(), &named).await? {
        Round::Owed(owed) => uses.iter().zip(owed).for_each(|(it, owed)| tally.owe(it, owed)),
        Round::Secret(theirs) => tally.agree(theirs),
    }
    Ok(())
}
