//! The corpus: malformed and ambiguous requests, and hostile responses, as bytes with the one outcome each must have.
//!
//! The outcomes were written from the RFCs before the gateway was asked. One file is one class, one line one case; how a
//! line is read is in `case`. Requests go to a private port whole and to a public one byte by byte; responses are seen by a
//! visitor over HTTP/1.1 and by one over HTTP/2. The dev server writes down every byte it is sent.

mod case;
mod requests;
mod responses;
mod stand;

use std::collections::BTreeSet;

use case::Case;

/// Cases that run at once, each on ports of its own.
const LANES: usize = 8;

macro_rules! classes {
    ($folder:literal, $($class:literal),* $(,)?) => {
        &[$(($class, include_str!(concat!($folder, "/", $class, ".txt")))),*]
    };
}

/// What visitors send.
const REQUESTS: &[(&str, &str)] = classes!(
    "requests",
    "line-ends",
    "leading-bytes",
    "request-line",
    "version",
    "method",
    "target-bytes",
    "target-form",
    "host",
    "authority-conflict",
    "field-names",
    "field-values",
    "folding",
    "content-length",
    "transfer-encoding",
    "length-and-encoding",
    "chunk-size",
    "chunk-delimiters",
    "chunk-extensions",
    "trailers",
    "connection",
    "upgrade",
    "expect",
    "pipelining",
    "size",
    "truncated",
    "reserved-paths",
);

/// What dev servers answer.
const RESPONSES: &[(&str, &str)] = classes!(
    "responses",
    "status-line",
    "line-ends",
    "fields",
    "content-length",
    "transfer-encoding",
    "length-and-encoding",
    "bodyless",
    "interim",
    "switching",
    "truncated",
    "chunks",
    "size",
    "surplus",
    "garbage",
);

fn cases(classes: &'static [(&'static str, &'static str)], columns: usize) -> Vec<Case> {
    classes.iter().flat_map(|(class, text)| case::read(class, text, columns)).collect()
}

/// Cases of one class a lane, so that a slow class does not fill a lane alone.
fn lanes(cases: Vec<Case>) -> Vec<Vec<Case>> {
    let mut lanes: Vec<Vec<Case>> = (0..LANES).map(|_| Vec::new()).collect();
    for (index, case) in cases.into_iter().enumerate() {
        lanes[index % LANES].push(case);
    }
    lanes
}

#[test]
fn there_are_enough_classes_and_cases_and_every_name_is_its_own() {
    let mut total = 0;
    for (classes, columns) in [(REQUESTS, 4), (RESPONSES, 5)] {
        for (class, text) in classes {
            let cases = case::read(class, text, columns);
            let names: BTreeSet<_> = cases.iter().map(|case| case.name).collect();
            assert!(cases.len() >= 10, "class {class} has {} cases", cases.len());
            assert_eq!(names.len(), cases.len(), "class {class} has two cases of one name");
            total += cases.len();
        }
    }
    assert!(REQUESTS.len() + RESPONSES.len() >= 15);
    assert!(total >= 400, "{total} cases");
    println!("{} classes, {total} cases", REQUESTS.len() + RESPONSES.len());
}
