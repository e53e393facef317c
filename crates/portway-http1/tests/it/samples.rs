//! Messages to begin from: the fuzz targets' seeds, and small changes to them.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;

/// The seeds of a fuzz target, in the order of their names.
pub(crate) fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 5, "{folder:?} has hardly any seeds");
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// A seed with a few octets removed, replaced, inserted or repeated.
pub(crate) fn changed(target: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let seeds = seeds(target);
    let changes = prop::collection::vec((0..6u8, any::<Index>(), 1..12usize, octet()), 0..5);
    (prop::sample::select(seeds), changes).prop_map(|(mut bytes, changes)| {
        for (kind, at, length, octet) in changes {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            let end = (at + length).min(bytes.len());
            match kind {
                0 => drop(bytes.remove(at)),
                1 => bytes[at] = octet,
                2 => drop(bytes.drain(at..end)),
                3 => {
                    let again = bytes[at..end].to_vec();
                    bytes.splice(end..end, again);
                }
                _ => bytes.insert(at, octet),
            }
        }
        bytes
    })
}

/// The octets at which parsers differ, more often than others.
fn octet() -> impl Strategy<Value = u8> {
    let telling = b"\r\n\r\n\t ::;,#/\0\x0b\x0c\x7f\x80\xff@[]\"\\0123456789aA+-_.";
    prop_oneof![4 => prop::sample::select(&telling[..]), 1 => any::<u8>()]
}
