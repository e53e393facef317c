//! Where a visitor goes after a login: a path on a host of ours, never anything else (R12).
//!
//! Knows no host; the caller puts the checked path behind an origin that it formatted itself.

/// The longest path and query kept over a login, in bytes; a longer visit returns to `/`.
pub const MAX: usize = 4096;

/// Whether `path` is an absolute path and query that a browser cannot read as another origin: it begins with exactly one
/// slash, holds printable ASCII alone, and no backslash, which browsers read as a slash.
pub fn is_safe(path: &[u8]) -> bool {
    let second = path.get(1);
    path.len() <= MAX
        && path.first() == Some(&b'/')
        && second != Some(&b'/')
        && path.iter().all(|b| matches!(b, 0x21..=0x7e) && *b != b'\\' && *b != b'#')
}

/// `path` if it is safe, `/` otherwise.
pub fn or_root(path: &str) -> &str {
    if is_safe(path.as_bytes()) { path } else { "/" }
}

#[cfg(test)]
mod tests;
