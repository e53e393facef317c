//! Response heads: the status line, and how the connection goes on after it.
//!
//! Knows RFC 9112 4; a development server is trusted no more than a visitor.

use std::fmt;
use std::ops::Range;

use crate::fields::Fields;
use crate::framing::{self, Framing};
use crate::head::{Version, scan_text};
use crate::name::Name;
use crate::reject::Rule;

#[cfg(test)]
mod tests;

/// Length of `HTTP/1.1 200`.
const STATUS_END: usize = 12;

/// A response head that broke no rule.
#[derive(Clone)]
pub struct ResponseHead {
    fields: Fields,
    framing: Framing,
    version: Version,
    status: u16,
    /// With the space before it, if that was sent.
    reason: Range<usize>,
}

/// Values can be secrets: only names are shown.
impl fmt::Debug for ResponseHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseHead")
            .field("status", &self.status)
            .field("version", &self.version)
            .field("framing", &self.framing)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

impl ResponseHead {
    /// Reads the meaning of a head whose octets were scanned.
    pub(crate) fn new(line: StatusLine, fields: Fields, request_method: &[u8]) -> Result<Self, Rule> {
        let StatusLine { version, status, reason, .. } = line;
        let framing = framing::of_response(&fields, version, status, request_method)?;
        Ok(Self { fields, framing, version, status, reason })
    }

    /// The status, 100 to 599.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason as sent, possibly empty.
    pub fn reason(&self) -> &[u8] {
        let spaced = self.fields.bytes().get(self.reason.clone()).unwrap_or_default();
        spaced.strip_prefix(b" ").unwrap_or_default()
    }

    /// The version of the response.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The field lines.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Where the body ends, given the method that was asked.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// True for a 1xx: the final response is still to come, except after 101 (RFC 9110 15.2).
    pub fn is_informational(&self) -> bool {
        self.status < 200
    }

    /// True if the connection may carry another request once this response has been read (RFC 9112 9.3).
    pub fn keep_alive(&self) -> bool {
        self.version == Version::Http11
            && self.framing != Framing::UntilClose
            && !self.fields.list_contains(Name::Connection, "close")
    }
}

/// Reads `HTTP-version SP status-code [SP [reason-phrase]] CRLF` (RFC 9112 4), going on where it stopped. The space
/// before an empty reason is required, and yet often left out: no reader can take it for anything else.
#[derive(Debug)]
pub(crate) struct StatusLine {
    at: usize,
    end: Option<usize>,
    version: Version,
    status: u16,
    reason: Range<usize>,
}

impl Default for StatusLine {
    fn default() -> Self {
        Self { at: 0, end: None, version: Version::Http11, status: 0, reason: 0..0 }
    }
}

impl StatusLine {
    /// The position after the line, or `None` if it is not all there yet.
    pub(crate) fn scan(&mut self, buf: &[u8]) -> Result<Option<usize>, Rule> {
        if self.end.is_none() {
            while self.at <= STATUS_END {
                let Some(&b) = buf.get(self.at) else {
                    return Ok(None);
                };
                self.scan_fixed(b)?;
                // A CR straight after the status is the line's end: it is read again, as text.
                if b == b'\r' {
                    break;
                }
                self.at += 1;
            }
            let Some(end) = scan_text(buf, &mut self.at)? else {
                return Ok(None);
            };
            self.reason = STATUS_END..end - 2;
            self.end = Some(end);
        }
        Ok(self.end)
    }

    /// Checks one octet of `HTTP/1.x SP 3DIGIT` and what follows it.
    fn scan_fixed(&mut self, b: u8) -> Result<(), Rule> {
        match (self.at, b) {
            (0, b'\r' | b'\n') => Err(Rule::EmptyLine),
            (n @ 0..=4, _) if b == b"HTTP/"[n] => Ok(()),
            (5, b'1') | (6, b'.') | (7, b'1') | (8, b' ') => Ok(()),
            (7, b'0') => {
                self.version = Version::Http10;
                Ok(())
            }
            (5 | 7, b'0'..=b'9') => Err(Rule::Version),
            (9, b'1'..=b'5') | (10 | 11, b'0'..=b'9') => {
                self.status = self.status * 10 + u16::from(b - b'0');
                Ok(())
            }
            (9, b'0' | b'6'..=b'9') => Err(Rule::StatusCode),
            (STATUS_END, b' ' | b'\r') => Ok(()),
            (STATUS_END, b'0'..=b'9') => Err(Rule::StatusCode),
            (_, b'\n') => Err(Rule::BareLf),
            _ => Err(Rule::StatusLine),
        }
    }
}
