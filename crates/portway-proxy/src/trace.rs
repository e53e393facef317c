//! The id by which one request is found again in the logs of all that it passes: the visitor's own, or a fresh one. And which
//! requests are traced, one of so many.
//!
//! It is no secret and proves nothing: what a visitor sends is only held to a shape that no log can be broken with.

use std::cell::Cell;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::rc::Rc;

use portway_http1::RequestHead;

use crate::span::{Context, Given};

/// The shortest and the longest id that is taken from a visitor.
const LENGTH: std::ops::RangeInclusive<usize> = 8..=64;

/// Names the requests of one core; nothing where no field for it is configured.
#[derive(Debug)]
pub struct Traces {
    /// The name of the field.
    field: Option<String>,
    /// One of so many requests is traced; 0 for none.
    one_in: u64,
    state: Cell<u64>,
}

impl Traces {
    pub fn new(field: Option<String>, one_in: u64) -> Self {
        // The standard library's keys are random for each process and differ for each of these.
        Self { field, one_in, state: Cell::new(RandomState::new().build_hasher().finish()) }
    }

    /// The id of a request.
    pub fn of(&self, head: &RequestHead) -> Option<Rc<str>> {
        let field = self.field.as_ref()?;
        let given = head.fields().get_named(field.as_bytes()).filter(|given| is_id(given));
        Some(match given.and_then(|given| std::str::from_utf8(given).ok()) {
            Some(given) => given.into(),
            None => format!("{:016x}{:016x}", self.next(), self.next()).into(),
        })
    }

    /// The context of a request, if it is traced. What a sender has begun to trace goes on where that sender is `trusted`; for
    /// others chance decides, or visitors would.
    pub fn context(&self, head: &RequestHead, trusted: bool) -> Option<Context> {
        if self.one_in == 0 {
            return None;
        }
        let given = Given::of(head);
        let begun = trusted && given.is_some_and(|given| given.sampled);
        if !begun && !self.next().is_multiple_of(self.one_in) {
            return None;
        }
        // Zero is no id (W3C Trace Context 3.2.2.3).
        let span = self.next().max(1);
        Some(match given {
            Some(given) => Context { trace: given.trace, span, parent: Some(given.span) },
            None => {
                let trace = (u128::from(self.next()) << 64) | u128::from(self.next().max(1));
                Context { trace, span, parent: None }
            }
        })
    }

    /// SplitMix64: spread well, and nobody has to be kept from guessing the next.
    fn next(&self) -> u64 {
        let state = self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn is_id(value: &[u8]) -> bool {
    LENGTH.contains(&value.len()) && value.iter().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_the_visitors_is_held_to_its_shape() {
        for good in ["01234567", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "a_b-C_d-9"] {
            assert!(is_id(good.as_bytes()), "{good}");
        }
        let long = "a".repeat(65);
        for bad in ["", "0123456", long.as_str(), "0123456 7", "0123456\"7", "0123456\n7", "0123456\u{e9}"] {
            assert!(!is_id(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn fresh_ids_differ() {
        let (one, two) = (Traces::new(Some(String::new()), 0), Traces::new(Some(String::new()), 0));
        let ids: std::collections::BTreeSet<u64> = (0..1000).flat_map(|_| [one.next(), two.next()]).collect();
        assert_eq!(ids.len(), 2000);
    }
}
