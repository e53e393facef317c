//! The little JSON that a core writes itself: strings, escaped so that a log line stays one line (R59).

use std::fmt::Write as _;

/// The most of one value that is written, in bytes; the rest is cut.
pub(crate) const VALUE_MAX: usize = 1024;

/// Appends `bytes` as the inside of a JSON string. Control, bidirectional and invalid characters are escaped or replaced.
pub(crate) fn escape_into(out: &mut String, bytes: &[u8]) {
    let bytes = bytes.get(..VALUE_MAX).unwrap_or(bytes);
    if bytes.iter().all(|b| matches!(b, 0x20..=0x7e) && *b != b'"' && *b != b'\\') {
        // Plain ASCII is nearly everything.
        out.push_str(&String::from_utf8_lossy(bytes));
        return;
    }
    for c in String::from_utf8_lossy(bytes).chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}') =>
            {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_one_valid_string() {
        let mut out = String::new();
        escape_into(&mut out, "\u{1b}[2J\n{\"level\":\"fake\"\u{202e}\\é".as_bytes());
        assert_eq!(out, "\\u001b[2J\\n{\\\"level\\\":\\\"fake\\\"\\u202e\\\\é");
        let mut out = String::new();
        escape_into(&mut out, &[b'x'; 5000]);
        assert_eq!(out.len(), VALUE_MAX);
    }
}
