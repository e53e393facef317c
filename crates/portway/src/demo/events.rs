//! Server-sent events: a count, once a second, for as long as somebody listens.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::Sse;
use axum::response::sse::Event;
use futures_util::stream::{Stream, unfold};
use tokio::time::{MissedTickBehavior, interval};

/// How often; often enough to be watched.
const EVERY: Duration = Duration::from_secs(1);

/// Begins at 1, at once.
pub(super) async fn ticks() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mut every = interval(EVERY);
    // A visitor whose machine slept wants the next one, not all that were missed.
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    Sse::new(unfold((every, 1_u64), async |(mut every, count)| {
        every.tick().await;
        Some((Ok(Event::default().data(count.to_string())), (every, count.saturating_add(1))))
    }))
}
