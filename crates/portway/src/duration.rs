//! Durations as people write them: `10s`, `500ms`, `1h30m`, `7d`. Knows no clock.

use std::time::Duration;

/// Units, longest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a duration.
///
/// # Errors
/// A sentence that says what is wrong with `text`.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let refuse = |why: &str| Err(format!("`{text}` is not a duration: {why}"));
    let mut rest = text;
    let mut total: u64 = 0;
    if rest.is_empty() {
        return refuse("it is empty");
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at(digits);
        let unit_len = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (unit, tail) = tail.split_at(unit_len);
        if number.is_empty() {
            return refuse("it begins with a number");
        }
        let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return refuse("its units are `d`, `h`, `m`, `s` and `ms`");
        };
        let sum = number.parse::<u64>().ok().and_then(|n| n.checked_mul(*scale)).and_then(|n| n.checked_add(total));
        let Some(sum) = sum else { return refuse("it is too long") };
        total = sum;
        rest = tail;
    }
    Ok(Duration::from_millis(total))
}

/// Writes a duration so that [`parse`] reads it back; parts of a millisecond are dropped.
pub(crate) fn format(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, scale) in UNITS {
        if rest >= scale {
            text.push_str(&format!("{}{unit}", rest / scale));
            rest %= scale;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, ms) in
            [("10s", 10_000), ("500ms", 500), ("1h30m", 5_400_000), ("7d", 604_800_000), ("0s", 0), ("1m1ms", 60_001)]
        {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "10", "s", "10 s", "1.5h", "-1s", "10S", "1w", "99999999999999999999d", "s10", "1h 30m"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_back(ms in 0_u64..1 << 50) {
            let duration = Duration::from_millis(ms);
            proptest::prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }
    }
}
