//! What keeps the snapshot up with a database: notifications name rows to read again, and a look now and then finds what no
//! trigger tells. What breaks is begun anew.

use std::collections::BTreeSet;
use std::future::pending;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgListener, PgNotification};
use tokio::time::{sleep, timeout};

use super::demand::{Ask, Held};
use super::workspaces::{AskedSums, DATABASE_SOURCE, DatabaseSource, Sums};
use super::{DatabaseError, in_time};
use crate::publisher::Publisher;

/// How long a broken connection is left alone before the next try; it doubles up to the most.
const BACK_OFF: Duration = Duration::from_millis(200);
const BACK_OFF_MAX: Duration = Duration::from_secs(5);
/// More notifications at once than this, and everything is read again.
const AT_ONCE_MAX: usize = 64;
/// How often a working connection is asked whether it still is one: well within the shortest time that silence is believed.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How long a change took that was notified; several that came together are one.
#[derive(Clone, Copy, Debug)]
pub struct ChangeTook {
    /// From the notification's arrival until every core was told of the new snapshot: the rows were read in between.
    pub whole: Duration,
    /// The last part of it, from the rows to the new snapshot.
    pub publishing: Duration,
}

impl DatabaseSource {
    /// Keeps the snapshot up with the database for ever. What breaks is begun anew with a full look, and nothing of the old
    /// world is forgotten meanwhile. `took` is told of each change that was notified.
    pub async fn follow(mut self, publisher: Publisher, took: impl Fn(ChangeTook) + Send + Sync) {
        let mut pause = BACK_OFF;
        let mut failing = false;
        loop {
            let began = Instant::now();
            let Err(error) = self.watch(&publisher, &mut failing, &took).await;
            // It may have been migrated meanwhile.
            self.prepared = None;
            if !failing {
                tracing::error!(event = "source-down", source = DATABASE_SOURCE, %error, "the last known state stays in use");
                failing = true;
            }
            if began.elapsed() > BACK_OFF_MAX {
                pause = BACK_OFF;
            }
            match &mut self.held {
                Some(held) => held.refuse_for(pause).await,
                None => sleep(pause).await,
            }
            pause = (pause * 2).min(BACK_OFF_MAX);
        }
    }

    async fn watch(
        &mut self,
        publisher: &Publisher,
        failing: &mut bool,
        took: &(impl Fn(ChangeTook) + Sync),
    ) -> Result<std::convert::Infallible, DatabaseError> {
        // Listening begins before the look: what changes in between is told.
        let mut listener = in_time(PgListener::connect_with(self.database.pool())).await?;
        in_time(listener.listen_all(self.query.channels.iter().map(String::as_str))).await?;
        let mut look = Look::Whole;
        loop {
            let events = match look {
                Look::Whole => self.changes().await?,
                Look::Parts(sums) => self.changes_by(sums).await?,
            };
            if !events.is_empty() {
                publisher.publish(events).await;
            }
            if std::mem::take(failing) {
                tracing::info!(event = "source-up", source = DATABASE_SOURCE, "the database answers again");
            }
            look = self.follow_until_look(&mut listener, publisher, took).await?;
        }
    }

    /// Answers a question for rows, and those behind it.
    async fn answer(&mut self, ask: Ask, publisher: &Publisher) -> Result<(), DatabaseError> {
        let Some(held) = &mut self.held else { return Ok(()) };
        let batch = held.batch(ask);
        let events = self.fetch(&batch).await?;
        if !events.is_empty() {
            publisher.publish(events).await;
        }
        batch.answer();
        Ok(())
    }

    /// Passes on what is notified until it is time for another look. While the database sums for one, it goes on.
    async fn follow_until_look(
        &mut self,
        listener: &mut PgListener,
        publisher: &Publisher,
        took: &(impl Fn(ChangeTook) + Sync),
    ) -> Result<Look, DatabaseError> {
        let until = Instant::now() + self.query.poll;
        let mut sums = None;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() && sums.is_none() {
                if self.held.is_some() {
                    return Ok(Look::Whole);
                }
                sums = Some(self.ask_sums().await?);
            }
            let pause = if sums.is_some() { HEARTBEAT } else { left.min(HEARTBEAT) };
            let next = tokio::select! {
                next = timeout(pause, listener.try_recv()) => next,
                sums = summed(&mut sums) => return Ok(Look::Parts(sums?)),
                ask = asked(&mut self.held) => {
                    self.answer(ask, publisher).await?;
                    continue;
                }
            };
            let first = match next {
                Ok(Ok(Some(notification))) => notification,
                // The connection was lost, and notifications with it.
                Ok(Ok(None)) => return Ok(Look::Whole),
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => {
                    in_time(sqlx::query("SELECT 1").execute(self.database.pool())).await?;
                    self.freshness.touch();
                    continue;
                }
            };
            let arrived = Instant::now();
            let mut ids = BTreeSet::new();
            let mut next = Some(first);
            while let Some(notification) = next {
                match id_in(&notification) {
                    Some(id) if ids.len() < AT_ONCE_MAX => drop(ids.insert(id)),
                    // It names no row, as a wake of the reconciler does, or there is too much of it.
                    _ => return Ok(Look::Whole),
                }
                next = listener.next_buffered();
            }
            let mut events = Vec::with_capacity(ids.len());
            for id in ids {
                if self.held.as_mut().is_some_and(|held| !held.is_held(&id.to_ascii_lowercase())) {
                    continue;
                }
                events.push(self.look_at(&id).await?);
            }
            let read = Instant::now();
            publisher.publish(events).await;
            took(ChangeTook { whole: arrived.elapsed(), publishing: read.elapsed() });
        }
    }
}

/// What is looked at next.
enum Look {
    /// Whatever has changed, to be asked for from now on.
    Whole,
    /// The parts whose sums have changed.
    Parts(Sums),
}

/// Sums that were asked for; never any where none were.
async fn summed(asked: &mut Option<AskedSums>) -> Result<Sums, DatabaseError> {
    match asked {
        Some(asked) => asked.await,
        None => pending().await,
    }
}

/// The next question for rows; never any where all are held.
async fn asked(held: &mut Option<Held>) -> Ask {
    match held {
        Some(held) => held.asked().await,
        None => pending().await,
    }
}

/// The id that a notification names: `{"id": …}`, or the payload itself where it is no JSON.
fn id_in(notification: &PgNotification) -> Option<String> {
    let payload = notification.payload().trim();
    if payload.starts_with('{') {
        let value: serde_json::Value = serde_json::from_str(payload).ok()?;
        return value.get("id")?.as_str().map(str::to_owned);
    }
    (!payload.is_empty()).then(|| payload.to_owned())
}
