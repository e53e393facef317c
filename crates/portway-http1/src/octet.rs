//! Classes of octets, and the search for the first one that ends a run.
//!
//! The two searches look at eight octets at a time; they are the inner loops of the parser. Knows no grammar beyond
//! single octets.

const TOKEN: u8 = 1;
const CTL: u8 = 2;
const TARGET: u8 = 4;

const CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let b = i as u8;
        if b.is_ascii_alphanumeric() {
            table[i] |= TOKEN;
        }
        if (b < 0x20 && b != b'\t') || b == 0x7f {
            table[i] |= CTL;
        }
        if b > 0x20 && b < 0x7f && b != b'#' {
            table[i] |= TARGET;
        }
        i += 1;
    }
    let mut marks: &[u8] = b"!#$%&'*+-.^_`|~";
    while let [mark, rest @ ..] = marks {
        table[*mark as usize] |= TOKEN;
        marks = rest;
    }
    table
}

/// `tchar` (RFC 9110 5.6.2).
pub(crate) fn is_token(b: u8) -> bool {
    CLASS[usize::from(b)] & TOKEN != 0
}

/// A control other than HTAB: in no field value (RFC 9110 5.5).
pub(crate) fn is_ctl(b: u8) -> bool {
    CLASS[usize::from(b)] & CTL != 0
}

/// A visible ASCII octet other than `#`. RFC 3986 allows fewer, but browsers send `|`, `{`, `^` and others as they are,
/// and none of them can end a target early.
pub(crate) fn is_target(b: u8) -> bool {
    CLASS[usize::from(b)] & TARGET != 0
}

/// OWS: a space or a tab (RFC 9110 5.6.3).
pub(crate) fn is_blank(b: u8) -> bool {
    b == b' ' || b == b'\t'
}

/// A non-empty token.
pub(crate) fn all_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&b| is_token(b))
}

/// Without the OWS on both sides.
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_blank(*first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is_blank(*last)
    {
        bytes = rest;
    }
    bytes
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The high bit of each octet below `n` (at most 0x80). Octets above a marked one may be marked falsely, so only the
/// lowest mark counts.
const fn below(word: u64, n: u64) -> u64 {
    word.wrapping_sub(ONES * n) & !word & HIGHS
}

/// The same for each octet equal to `b`.
const fn equal(word: u64, b: u8) -> u64 {
    below(word ^ (ONES * b as u64), 1)
}

/// Position of the first octet at or after `from` that is a control (HTAB too) or DEL, else the length.
pub(crate) fn find_ctl(bytes: &[u8], from: usize) -> usize {
    find(bytes, from, |word| below(word, 0x20) | equal(word, 0x7f), |b| b < 0x20 || b == 0x7f)
}

/// Position of the first octet at or after `from` that no target has, else the length.
pub(crate) fn find_target_end(bytes: &[u8], from: usize) -> usize {
    find(
        bytes,
        from,
        |word| below(word, 0x21) | equal(word, 0x7f) | equal(word, b'#') | (word & HIGHS),
        |b| !is_target(b),
    )
}

#[inline(always)]
fn find(bytes: &[u8], from: usize, in_word: impl Fn(u64) -> u64, stops: impl Fn(u8) -> bool) -> usize {
    let mut at = from;
    let (words, rest) = bytes.get(from..).unwrap_or_default().as_chunks::<8>();
    for word in words {
        let marks = in_word(u64::from_le_bytes(*word));
        if marks != 0 {
            return at + marks.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + rest.iter().position(|&b| stops(b)).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classes_are_those_of_the_rfc() {
        let token = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        for b in 0..=255u8 {
            assert_eq!(is_token(b), token.contains(&b), "{b}");
            assert_eq!(is_ctl(b), (b < 32 && b != 9) || b == 127, "{b}");
            assert_eq!(is_target(b), (33..=126).contains(&b) && b != 35, "{b}");
        }
    }

    #[test]
    fn a_search_stops_at_every_octet_it_should_and_at_no_other_wherever_it_stands() {
        for b in 0..=255u8 {
            for at in 0..24 {
                for from in [0, 1, 7, 8, 9] {
                    let mut bytes = [b'a'; 24];
                    bytes[at] = b;
                    let found = |stops: bool| if stops && at >= from { at } else { 24 };
                    assert_eq!(find_ctl(&bytes, from), found(b < 32 || b == 127), "{b} {at}");
                    assert_eq!(find_target_end(&bytes, from), found(!is_target(b)), "{b} {at}");
                }
            }
        }
    }

    #[test]
    fn a_search_finds_the_first_of_several() {
        assert_eq!(find_ctl(b"ab\x7f\x01\x7fxyz", 0), 2);
        assert_eq!(find_ctl(b"abcdefgh\x01!\x01", 3), 8);
        assert_eq!(find_target_end(b"/\x80#\x7f\x20\x1f/////", 0), 1);
    }

    #[test]
    fn blanks_are_trimmed_on_both_sides_only() {
        assert_eq!(trim(b" \t a b\t "), b"a b");
        assert_eq!(trim(b" \t "), b"");
        assert_eq!(trim(b"\x0b a"), b"\x0b a");
    }
}
