//! Counting attempts: at most so many per key within a window, in bounded memory.
//!
//! It knows neither what is attempted nor by whom; the clock is an argument.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// The most keys remembered at once; past it the key that was quiet the longest is forgotten.
const KEYS_MAX: usize = 65_536;

/// A sliding window of attempts per key.
#[derive(Debug)]
pub(crate) struct Limiter<K> {
    limit: usize,
    window: Duration,
    seen: Mutex<HashMap<K, Vec<Instant>>>,
}

impl<K: Eq + Hash + Clone> Limiter<K> {
    /// Admits `limit` attempts a minute for each key.
    pub(crate) fn per_minute(limit: usize) -> Self {
        Self { limit, window: MINUTE, seen: Mutex::default() }
    }

    /// Admits `limit` attempts an hour for each key.
    pub(crate) fn per_hour(limit: usize) -> Self {
        Self { limit, window: HOUR, seen: Mutex::default() }
    }

    /// Counts an attempt *before* it is made, so that parallel ones cannot all slip through; false where it is one too
    /// many.
    pub(crate) fn admit(&self, key: &K, now: Instant) -> bool {
        let mut seen = self.lock();
        if !seen.contains_key(key) && seen.len() >= KEYS_MAX {
            self.make_room(&mut seen, now);
        }
        let times = seen.entry(key.clone()).or_default();
        times.retain(|at| self.is_recent(*at, now));
        if times.len() >= self.limit {
            return false;
        }
        times.push(now);
        true
    }

    /// Takes back the newest attempt of a key: it succeeded.
    pub(crate) fn forgive(&self, key: &K) {
        let mut seen = self.lock();
        if let Some(times) = seen.get_mut(key) {
            times.pop();
            if times.is_empty() {
                seen.remove(key);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Vec<Instant>>> {
        // A panic cannot leave these lists half-written.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make_room(&self, seen: &mut HashMap<K, Vec<Instant>>, now: Instant) {
        seen.retain(|_, times| times.last().is_some_and(|at| self.is_recent(*at, now)));
        if seen.len() < KEYS_MAX {
            return;
        }
        if let Some(quiet) = seen.iter().min_by_key(|(_, times)| times.last().copied()).map(|(key, _)| key.clone()) {
            seen.remove(&quiet);
        }
    }

    fn is_recent(&self, at: Instant, now: Instant) -> bool {
        now.saturating_duration_since(at) < self.window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_within_a_minute_and_ends_after_it() {
        let limiter = Limiter::per_minute(3);
        let start = Instant::now();
        for second in 0..3 {
            assert!(limiter.admit(&"a", start + Duration::from_secs(second)));
        }
        assert!(!limiter.admit(&"a", start + Duration::from_secs(59)));
        assert!(limiter.admit(&"b", start + Duration::from_secs(59)), "keys do not share");
        assert!(limiter.admit(&"a", start + Duration::from_secs(60)), "the first has left the window");
        assert!(!limiter.admit(&"a", start + Duration::from_secs(60)));
    }

    #[test]
    fn a_forgiven_attempt_does_not_count() {
        let limiter = Limiter::per_minute(1);
        let now = Instant::now();
        for _ in 0..5 {
            assert!(limiter.admit(&"a", now));
            limiter.forgive(&"a");
        }
    }

    #[test]
    fn memory_is_bounded_and_the_newest_keys_stay() {
        let limiter = Limiter::per_minute(1);
        let now = Instant::now();
        for key in 0..KEYS_MAX {
            assert!(limiter.admit(&key, now));
        }
        let later = now + Duration::from_secs(1);
        assert!(limiter.admit(&KEYS_MAX, later));
        assert!(limiter.lock().len() <= KEYS_MAX);
        assert!(!limiter.admit(&KEYS_MAX, later), "the newest was not the one forgotten");
    }
}
