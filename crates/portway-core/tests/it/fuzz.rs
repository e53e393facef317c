//! The fuzz targets' bodies, for a moment: over their seeds, over small changes to them, and over noise.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use proptest::sample::Index;

use crate::fuzz_bodies;

/// The files of `fuzz/seeds/<target>`, which a fuzzing run starts from.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "..", "fuzz", "seeds", target].iter().collect();
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let seeds: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(seeds.len() > 5, "{target} has hardly any seeds");
    seeds
}

/// Two seeds cut together somewhere, with a few bytes changed.
fn changed(target: &str) -> impl Strategy<Value = Vec<u8>> {
    let seed = prop::sample::select(seeds(target));
    let bytes = prop::collection::vec((any::<Index>(), any::<u8>()), 0..3);
    (seed.clone(), seed, any::<Index>(), any::<Index>(), bytes).prop_map(|(one, two, end, start, bytes)| {
        let mut data = one;
        data.truncate(end.index(data.len() + 1));
        data.extend_from_slice(&two[start.index(two.len() + 1)..]);
        for (at, byte) in bytes {
            if !data.is_empty() {
                let at = at.index(data.len());
                data[at] = byte;
            }
        }
        data
    })
}

#[test]
fn every_seed_keeps_what_must_hold() {
    seeds("host").iter().for_each(|seed| fuzz_bodies::host(seed));
    seeds("cookie").iter().for_each(|seed| fuzz_bodies::cookie(seed));
    seeds("ticket").iter().for_each(|seed| fuzz_bodies::ticket(seed));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn changed_names_keep_what_must_hold(data in changed("host")) {
        fuzz_bodies::host(&data);
    }

    #[test]
    fn changed_cookies_keep_what_must_hold(data in changed("cookie")) {
        fuzz_bodies::cookie(&data);
    }

    #[test]
    fn changed_secrets_keep_what_must_hold(data in changed("ticket")) {
        fuzz_bodies::ticket(&data);
    }

    #[test]
    fn noise_is_never_more_than_refused(data in prop::collection::vec(any::<u8>(), 0..100)) {
        fuzz_bodies::host(&data);
        fuzz_bodies::cookie(&data);
        fuzz_bodies::ticket(&data);
    }
}
