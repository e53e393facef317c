//! The template that makes and reads one host label: `{port}-{workspace}` and its relatives.
//!
//! It knows labels, not domains. Reading is the exact inverse of writing.

use std::fmt;
use std::str::FromStr;

use super::{PortForm, canonical_port, is_punycode, valid_id};

#[cfg(test)]
mod tests;

/// The longest group of digits that can be meant as a port.
const PORT_DIGITS: usize = 5;

/// A parsed template such as `{port}-{workspace}`, `{workspace}-{port}`, `{port}--{workspace}` or `dev-{port}-{workspace}-x`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    prefix: String,
    separator: String,
    suffix: String,
    port_first: bool,
}

/// Why a template cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("a pattern needs exactly one {{port}} and one {{workspace}}")]
    Placeholders,
    #[error(
        "a pattern needs a separator with a dash between {{port}} and {{workspace}}, such as `{{port}}-{{workspace}}`"
    )]
    Separator,
    #[error(
        "a pattern is one host label: lower-case letters, digits and dashes, not beginning or ending with a dash, nor beginning with `xn--`"
    )]
    Characters,
}

impl Default for Pattern {
    /// `{port}-{workspace}`.
    fn default() -> Self {
        Self { prefix: String::new(), separator: "-".to_owned(), suffix: String::new(), port_first: true }
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let split = |name: &str| {
            let mut parts = text.split(name);
            match (parts.next(), parts.next(), parts.next()) {
                (Some(before), Some(after), None) => Some((before.len(), text.len() - after.len())),
                _ => None,
            }
        };
        let (Some(port), Some(workspace)) = (split("{port}"), split("{workspace}")) else {
            return Err(PatternError::Placeholders);
        };
        let port_first = port.0 < workspace.0;
        let (first, second) = if port_first { (port, workspace) } else { (workspace, port) };
        let piece = |from: usize, to: usize| text.get(from..to).unwrap_or_default().to_owned();
        let pattern = Self {
            prefix: piece(0, first.0),
            separator: piece(first.1, second.0),
            suffix: piece(second.1, text.len()),
            port_first,
        };
        let legal = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if ![&pattern.prefix, &pattern.separator, &pattern.suffix].iter().all(|text| legal(text))
            || pattern.prefix.starts_with('-')
            || pattern.suffix.ends_with('-')
            || is_punycode(&pattern.prefix)
        {
            return Err(PatternError::Characters);
        }
        // Without a dash next to the port its digits (and the `s` mark) would run into the id.
        let port_side = if port_first { pattern.separator.starts_with('-') } else { pattern.separator.ends_with('-') };
        if !port_side {
            return Err(PatternError::Separator);
        }
        // On its other side the port may not touch a digit or an `s` either.
        let open_side = if port_first {
            pattern.prefix.ends_with(|c: char| c.is_ascii_digit())
        } else {
            !pattern.suffix.is_empty() && !pattern.suffix.starts_with('-')
        };
        if open_side {
            return Err(PatternError::Separator);
        }
        Ok(pattern)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = if self.port_first { ("{port}", "{workspace}") } else { ("{workspace}", "{port}") };
        write!(f, "{}{first}{}{second}{}", self.prefix, self.separator, self.suffix)
    }
}

impl Pattern {
    /// Makes a label. The caller checks its length.
    pub(super) fn write(&self, workspace: &str, form: PortForm) -> String {
        let PortForm::Number { port, tls } = form else {
            return workspace.to_owned();
        };
        self.fill(workspace, &format!("{port}{}", if tls { "s" } else { "" }))
    }

    /// The template with its two places filled, whatever with.
    pub(super) fn fill(&self, workspace: &str, port: &str) -> String {
        let (first, second) = if self.port_first { (port, workspace) } else { (workspace, port) };
        format!("{}{first}{}{second}{}", self.prefix, self.separator, self.suffix)
    }

    /// Reads a lower-case label: the port form where it fits, the bare workspace otherwise.
    ///
    /// A label that looks like a port form with an impossible port (`0-x`, `65536-x`, `03000-x`) is neither, so that no
    /// workspace can ever answer there. A longer group of digits is part of an id: one UUID in 43 begins with one.
    pub(super) fn read<'a>(&self, label: &'a str) -> Option<(&'a str, PortForm)> {
        if is_punycode(label) {
            return None;
        }
        let Some((digits, tls, workspace)) = self.port_form(label) else {
            return valid_id(label).then_some((label, PortForm::Default));
        };
        let port = canonical_port(digits)?;
        // `3000-5000-x` names nobody: `5000-x` is no id here, because its own name would be a port of `x`.
        let named = valid_id(workspace) && self.port_form(workspace).is_none();
        named.then_some((workspace, PortForm::Number { port, tls }))
    }

    /// The digits, the `s` mark and the workspace of a label that looks like a port form, possible port or not.
    fn port_form<'a>(&self, label: &'a str) -> Option<(&'a str, bool, &'a str)> {
        let (port, workspace) = self.split(label)?;
        let (digits, tls) = match port.strip_suffix('s') {
            Some(digits) => (digits, true),
            None => (port, false),
        };
        let looks = (1..=PORT_DIGITS).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        looks.then_some((digits, tls, workspace))
    }

    fn split<'a>(&self, label: &'a str) -> Option<(&'a str, &'a str)> {
        let inner = label.strip_prefix(self.prefix.as_str())?.strip_suffix(self.suffix.as_str())?;
        if self.port_first {
            inner.split_once(self.separator.as_str())
        } else {
            inner.rsplit_once(self.separator.as_str()).map(|(workspace, port)| (port, workspace))
        }
    }
}
