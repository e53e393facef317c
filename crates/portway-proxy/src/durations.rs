//! How long requests take: a histogram of fixed size, counted by cores and shown in Prometheus' text format.
//!
//! The recorder that has all other metrics keeps each measured time until it is read, which is memory that visitors would
//! decide about. It knows neither requests nor who reads it. Tunnels are not counted: they last as long as people like.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const NAME: &str = "portway_request_duration_seconds";

/// Upper bounds, in microseconds.
const BOUNDS: [u64; 15] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000, 30_000_000, 60_000_000,
];
/// Classes of status, by their first digit.
pub(crate) const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// A handle on the histogram; clones count into the same.
#[derive(Clone, Debug, Default)]
pub struct Durations(Arc<[Class; CLASSES.len()]>);

#[derive(Debug, Default)]
struct Class {
    /// Each of its own bucket alone, and behind the last bound.
    counts: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl Durations {
    /// Counts a request that ended with a status of this class.
    pub fn record(&self, class: usize, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < micros);
        let Some(class) = self.0.get(class) else { return };
        if let Some(count) = class.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        class.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Appends it in Prometheus' text format (version 0.0.4).
    pub fn render(&self, out: &mut String) {
        // Writing to a text cannot fail.
        let _ = writeln!(out, "# HELP {NAME} From a request's head to the end of its answer, tunnels excepted.");
        let _ = writeln!(out, "# TYPE {NAME} histogram");
        for (name, class) in CLASSES.iter().zip(self.0.iter()) {
            let mut sum = 0;
            for (index, count) in class.counts.iter().enumerate() {
                sum += count.load(Ordering::Relaxed);
                let _ = match BOUNDS.get(index) {
                    Some(bound) => writeln!(out, "{NAME}_bucket{{class=\"{name}\",le=\"{}\"}} {sum}", seconds(*bound)),
                    None => writeln!(out, "{NAME}_bucket{{class=\"{name}\",le=\"+Inf\"}} {sum}"),
                };
            }
            let micros = class.micros.load(Ordering::Relaxed);
            let _ = writeln!(out, "{NAME}_sum{{class=\"{name}\"}} {}", seconds(micros));
            let _ = writeln!(out, "{NAME}_count{{class=\"{name}\"}} {sum}");
        }
        out.push('\n');
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact for 285 years")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_every_bucket_from_its_own_on() {
        let durations = Durations::default();
        for micros in [999, 1_000, 1_001, 61_000_000] {
            durations.record(2, Duration::from_micros(micros));
        }
        let mut text = String::new();
        durations.render(&mut text);
        for (le, count) in [("0.001", 2), ("0.0025", 3), ("60", 3), ("+Inf", 4)] {
            let line = format!("{NAME}_bucket{{class=\"2xx\",le=\"{le}\"}} {count}\n");
            assert!(text.contains(&line), "{line}{text}");
        }
        assert!(text.contains(&format!("{NAME}_sum{{class=\"2xx\"}} 61.003\n")), "{text}");
        assert!(text.contains(&format!("{NAME}_count{{class=\"5xx\"}} 0\n")), "{text}");
    }
}
