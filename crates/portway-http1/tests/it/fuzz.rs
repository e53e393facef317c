//! The fuzz targets' bodies, for a moment: over their seeds, over small changes to them, and over noise.

use proptest::prelude::*;

use crate::fuzz_bodies;
use crate::samples::{changed, seeds};

#[test]
fn every_seed_keeps_what_must_hold() {
    seeds("head").iter().for_each(|seed| fuzz_bodies::head(seed));
    seeds("response").iter().for_each(|seed| fuzz_bodies::response(seed));
    seeds("chunked").iter().for_each(|seed| fuzz_bodies::chunked(seed));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn changed_requests_keep_what_must_hold(data in changed("head")) {
        fuzz_bodies::head(&data);
    }

    #[test]
    fn changed_responses_keep_what_must_hold(data in changed("response")) {
        fuzz_bodies::response(&data);
    }

    #[test]
    fn changed_chunks_keep_what_must_hold(data in changed("chunked")) {
        fuzz_bodies::chunked(&data);
    }

    #[test]
    fn noise_is_never_more_than_refused(data in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz_bodies::head(&data);
        fuzz_bodies::response(&data);
        fuzz_bodies::chunked(&data);
    }
}
