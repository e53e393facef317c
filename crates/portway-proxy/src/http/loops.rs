//! Requests that come back: a dev server that proxies to its own public address would ask for ever (R37).
//!
//! Each pass leaves our name in `CDN-Loop` (RFC 8586), which proxies pass on. `Via` would say as much, and has some servers
//! leave out compression.

use portway_http1::RequestHead;

/// The field, and our name in it.
pub(super) const FIELD: &str = "CDN-Loop";
pub(super) const OURS: &str = "portway";
/// Passes before it is a loop. A dev server that fetches from a port beside it passes twice.
const PASSES: usize = 3;

/// Whether a request has passed here more often than any that leads somewhere.
pub(super) fn is_loop(head: &RequestHead) -> bool {
    let values = head.fields().all_named(FIELD.as_bytes());
    // An entry may have parameters behind a semicolon (RFC 8586 2).
    let names = values
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(|entry| entry.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii());
    names.filter(|name| name.eq_ignore_ascii_case(OURS.as_bytes())).count() > PASSES
}
