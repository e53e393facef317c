//! What has changed of many rows since they were read, without reading them: the database sums each of 256 parts of them,
//! and only parts whose sum differs are read again.
//!
//! A row belongs to the part that its id hashes to, ignoring case, so that ids which differ in nothing else meet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{DatabaseError, bare};

/// The part of a row of `q`.
pub(super) const PART: &str = "(hashtextextended(lower(q.id::text), 0) & 255)::int";

/// The statement that gives each part that has rows and their sum. `$1` is a seed of this process alone, so that nobody can
/// choose values whose changes cancel out.
pub(super) fn sums(query: &str) -> String {
    let query = bare(query);
    format!(
        "SELECT {PART}, count(*) || ':' || sum(hashtextextended(q::text, $1)) FROM ({query}) AS q WHERE q.id IS NOT NULL GROUP BY 1"
    )
}

/// What was read last.
#[derive(Debug, Default)]
pub(super) struct Parts {
    seed: Option<i64>,
    sums: BTreeMap<i32, String>,
    /// The workspaces of each part.
    keys: BTreeMap<i32, BTreeSet<Arc<str>>>,
}

impl Parts {
    /// The seed of the sums.
    pub(super) fn seed(&mut self) -> Result<i64, DatabaseError> {
        if let Some(seed) = self.seed {
            return Ok(seed);
        }
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(|error| DatabaseError::Row(format!("no random bytes: {error}")))?;
        Ok(*self.seed.insert(i64::from_ne_bytes(bytes)))
    }

    /// The parts whose sums are other than last time; from now on these are the last ones.
    pub(super) fn changed(&mut self, sums: Vec<(i32, String)>) -> Vec<i32> {
        let now: BTreeMap<i32, String> = sums.into_iter().collect();
        let before = std::mem::replace(&mut self.sums, now);
        let mut changed: BTreeSet<i32> = before.keys().filter(|part| !self.sums.contains_key(part)).copied().collect();
        changed.extend(self.sums.iter().filter(|(part, sum)| before.get(part) != Some(sum)).map(|(part, _)| *part));
        // What is noted without a sum to compare, and is gone since.
        changed.extend(self.keys.keys().filter(|part| !self.sums.contains_key(part)));
        changed.into_iter().collect()
    }

    /// Has every part read again.
    pub(super) fn forget_sums(&mut self) {
        self.sums.clear();
    }

    /// Has a part read again: something of it was read since its sum was made.
    pub(super) fn forget(&mut self, part: i32) {
        self.sums.remove(&part);
    }

    /// The same for the part in which a workspace is noted; for one that is noted nowhere there is nothing to read again.
    pub(super) fn forget_part_of(&mut self, key: &str) {
        let part = self.keys.iter().find(|(_, keys)| keys.contains(key)).map(|(part, _)| *part);
        if let Some(part) = part {
            self.forget(part);
        }
    }

    /// Takes the workspaces of these parts out, to be noted anew.
    pub(super) fn take(&mut self, parts: &[i32]) -> BTreeSet<Arc<str>> {
        parts.iter().filter_map(|part| self.keys.remove(part)).flatten().collect()
    }

    /// Notes a workspace of a part.
    pub(super) fn note(&mut self, part: i32, key: &Arc<str>) {
        self.keys.entry(part).or_default().insert(key.clone());
    }

    /// Those of `known` that are not noted in these parts any more.
    pub(super) fn gone(&self, known: BTreeSet<Arc<str>>, parts: &[i32]) -> Vec<Arc<str>> {
        let noted: BTreeSet<&Arc<str>> = parts.iter().filter_map(|part| self.keys.get(part)).flatten().collect();
        known.into_iter().filter(|key| !noted.contains(key)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(all: &[(i32, &str)]) -> Vec<(i32, String)> {
        all.iter().map(|(part, sum)| (*part, (*sum).to_owned())).collect()
    }

    #[test]
    fn parts_are_read_again_when_they_changed_came_or_went() {
        let mut parts = Parts::default();
        let (a, b) = (Arc::from("a"), Arc::from("b"));
        parts.note(1, &a);
        parts.note(9, &b);
        assert_eq!(parts.changed(sums(&[(1, "x"), (2, "y")])), [1, 2, 9], "nothing to compare with");
        let known = parts.take(&[1, 2, 9]);
        assert_eq!(known.len(), 2);
        parts.note(1, &a);
        assert_eq!(parts.gone(known, &[1, 2, 9]), [b]);
        assert!(parts.changed(sums(&[(1, "x"), (2, "y")])).is_empty());
        assert_eq!(parts.changed(sums(&[(1, "x"), (2, "z"), (3, "new")])), [2, 3]);
        assert_eq!(parts.changed(sums(&[(1, "x"), (3, "new")])), [2]);
        parts.forget_sums();
        assert_eq!(parts.changed(sums(&[(1, "x"), (3, "new")])), [1, 3]);
        assert_eq!(parts.changed(sums(&[])), [1, 3]);
    }

    #[test]
    fn what_was_read_between_two_looks_is_read_again_though_the_sum_is_as_before() {
        let mut parts = Parts::default();
        let (a, new): (Arc<str>, Arc<str>) = (Arc::from("a"), Arc::from("new"));
        parts.note(1, &a);
        let both = || sums(&[(1, "x"), (2, "y")]);
        parts.changed(both());
        // Changed, read, and changed back.
        parts.forget(1);
        assert_eq!(parts.changed(both()), [1]);
        // Gone, missed, and back.
        parts.forget_part_of("a");
        assert_eq!(parts.changed(both()), [1]);
        parts.forget_part_of("unknown");
        assert!(parts.changed(both()).is_empty());
        // Came, was read, and is gone with nobody told, in a part that had rows and in one that had none.
        for part in [2, 7] {
            parts.note(part, &new);
            parts.forget(part);
            assert_eq!(parts.changed(both()), [part]);
            let known = parts.take(&[part]);
            assert_eq!(parts.gone(known, &[part]), std::slice::from_ref(&new));
            assert!(parts.changed(both()).is_empty());
        }
    }
}
