//! How long tests wait, in one place. Knows no sockets and no processes.
//!
//! Tests wait for conditions, never for a number of seconds: the patience only bounds how long a
//! broken test hangs. `PORTWAY_TEST_PATIENCE` (seconds) raises it for a slow or loaded machine.

use std::time::{Duration, Instant};

/// The longest any single wait of a test may take: 30 s, or `PORTWAY_TEST_PATIENCE` seconds.
#[must_use]
pub fn patience() -> Duration {
    let seconds = std::env::var("PORTWAY_TEST_PATIENCE").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(30))
}

/// How often a condition is looked at again.
const GLANCE: Duration = Duration::from_millis(10);

/// Waits on this thread until `condition` holds; panics with `what` when patience runs out.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience();
    while !condition() {
        assert!(Instant::now() < deadline, "waited {:?} in vain for: {what}", patience());
        std::thread::sleep(GLANCE);
    }
}

/// [`eventually`] for async tests: other tasks go on between two looks at the condition.
pub async fn eventually_async(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + patience();
    while !condition().await {
        assert!(Instant::now() < deadline, "waited {:?} in vain for: {what}", patience());
        tokio::time::sleep(GLANCE).await;
    }
}

/// Runs `future` to its end; panics with `what` when patience runs out.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(patience(), future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {:?} in vain for: {what}", patience()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eventually_returns_once_the_condition_holds() {
        let mut looks = 0;
        eventually("third look", || {
            looks += 1;
            looks == 3
        });
        assert_eq!(looks, 3);
    }
}
