//! What keeps a workspace alive, and for how long: the rule, without clocks and sinks.
//!
//! A person's doing always counts. What goes on by itself, such as a page that polls or a hot-reload socket that pings, counts
//! for a while after that and no longer, so that a forgotten tab does not keep a workspace up for ever (R68).

use crate::Timestamp;

/// Whether a person is behind something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attention {
    /// It may go on by itself.
    Background,
    /// Somebody did it.
    Attended,
}

/// A stream that sends no more than this within [`KEEP_ALIVE_SPAN`] only keeps itself open: pings of hot-reload and
/// Socket.IO clients are some tens of bytes.
pub const KEEP_ALIVE_BYTES: u64 = 256;
/// In seconds.
pub const KEEP_ALIVE_SPAN: Timestamp = 60;

/// What a request says about who is behind it: navigations and unsafe methods (RFC 9110 9.2.1) are somebody's. A new tunnel
/// is not: pages open theirs again by themselves.
pub fn of_request(method: &[u8], navigation: bool) -> Attention {
    let safe = matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE");
    if navigation || !safe { Attention::Attended } else { Attention::Background }
}

/// When a workspace was last attended, and last active in any way that counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Active {
    attended: Timestamp,
    last: Timestamp,
}

impl Active {
    /// Notes something at `now`; whether it counts. `background` is for how many seconds what goes on by itself counts.
    pub fn note(&mut self, attention: Attention, now: Timestamp, background: Timestamp) -> bool {
        if attention == Attention::Attended {
            self.attended = self.attended.max(now);
        }
        let counts = now.saturating_sub(self.attended) < background || attention == Attention::Attended;
        if counts {
            self.last = self.last.max(now);
        }
        counts
    }

    /// The last that counted.
    pub fn last(&self) -> Timestamp {
        self.last
    }

    /// The last that somebody did.
    pub fn attended(&self) -> Timestamp {
        self.attended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_tell_whether_somebody_is_behind_them() {
        for (method, navigation, wanted) in [
            ("GET", true, Attention::Attended),
            ("GET", false, Attention::Background),
            ("HEAD", false, Attention::Background),
            ("OPTIONS", false, Attention::Background),
            ("POST", false, Attention::Attended),
            ("DELETE", false, Attention::Attended),
        ] {
            assert_eq!(of_request(method.as_bytes(), navigation), wanted, "{method} {navigation}");
        }
    }

    #[test]
    fn what_goes_on_by_itself_counts_for_a_while() {
        let mut active = Active::default();
        assert!(!active.note(Attention::Background, 1_000_000, 3600), "nobody ever came");
        assert!(active.note(Attention::Attended, 1_000_000, 3600));
        for (at, counts) in [(1_000_100, true), (1_003_599, true), (1_003_600, false), (1_900_000, false)] {
            assert_eq!(active.note(Attention::Background, at, 3600), counts, "{at}");
        }
        assert_eq!((active.last(), active.attended()), (1_003_599, 1_000_000));
        assert!(
            active.note(Attention::Attended, 2_000_000, 3600) && active.note(Attention::Background, 2_000_001, 3600)
        );
    }
}
