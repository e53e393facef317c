//! Finding the end of a head while checking every octet once.
//!
//! [`HeadParser`] remembers where it stopped, so that a head that comes in pieces costs no more than one that comes
//! whole, and has the same outcome: faults are reported in the order of the octets, never by what happened to be in the
//! buffer. The scan of field lines is shared with trailers. Meaning (framing, authority) is not decided here.

use bytes::BytesMut;

use crate::fields::Fields;
use crate::limits::Limits;
use crate::name::Name;
use crate::octet::{find_ctl, is_blank, is_token, trim};
use crate::reject::{Reject, Rule};
use crate::request::{RequestHead, RequestLine};
use crate::response::{ResponseHead, StatusLine};

/// The version of a message: the two that are spoken here (RFC 9112 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Http10,
    Http11,
}

/// Reads heads from the front of a growing buffer.
///
/// Between two calls the buffer may only grow at its end; a finished head is split off, and the parser is ready for the
/// next one. After a refusal the connection is out of step and the parser must not be used again.
#[derive(Debug)]
pub struct HeadParser {
    limits: Limits,
    request_line: RequestLine,
    status_line: StatusLine,
    fields: FieldScan,
}

impl HeadParser {
    /// A parser for one direction of one connection.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            request_line: RequestLine::default(),
            status_line: StatusLine::default(),
            fields: FieldScan::default(),
        }
    }

    /// Takes a request head off the front of `buf`, or `None` if it is not all there yet.
    ///
    /// # Errors
    /// As soon as an octet shows that no continuation could be accepted, with the first rule broken.
    pub fn request(&mut self, buf: &mut BytesMut) -> Result<Option<RequestHead>, Reject> {
        let Some(end) = self.request_end(buf)? else {
            return Ok(None);
        };
        let line = std::mem::take(&mut self.request_line);
        let fields = std::mem::take(&mut self.fields).into_fields();
        let fields = fields.seal(buf.split_to(end).freeze());
        Ok(Some(RequestHead::new(line, fields)?))
    }

    /// Takes a response head off the front of `buf`, or `None` if it is not all there yet. The method of the request it
    /// answers decides whether it has a body (RFC 9112 6.3).
    ///
    /// # Errors
    /// As for [`HeadParser::request`].
    pub fn response(&mut self, buf: &mut BytesMut, request_method: &[u8]) -> Result<Option<ResponseHead>, Reject> {
        let Some(end) = self.response_end(buf)? else {
            return Ok(None);
        };
        let line = std::mem::take(&mut self.status_line);
        let fields = std::mem::take(&mut self.fields).into_fields();
        let fields = fields.seal(buf.split_to(end).freeze());
        Ok(Some(ResponseHead::new(line, fields, request_method)?))
    }

    fn request_end(&mut self, buf: &[u8]) -> Result<Option<usize>, Rule> {
        let seen = within(buf, self.limits.head_bytes);
        let mut end = None;
        if let Some(start) = self.request_line.scan(seen, self.limits.target_bytes)? {
            end = self.fields.scan(seen, start, self.limits.fields)?;
        }
        enough(end, buf, self.limits.head_bytes)
    }

    fn response_end(&mut self, buf: &[u8]) -> Result<Option<usize>, Rule> {
        let seen = within(buf, self.limits.head_bytes);
        let mut end = None;
        if let Some(start) = self.status_line.scan(seen)? {
            end = self.fields.scan(seen, start, self.limits.fields)?;
        }
        enough(end, buf, self.limits.head_bytes)
    }
}

/// The part of `buf` that a section of at most `limit` octets can be in.
pub(crate) fn within(buf: &[u8], limit: usize) -> &[u8] {
    &buf[..buf.len().min(limit)]
}

/// A section that has not ended within its limit never will.
pub(crate) fn enough(end: Option<usize>, buf: &[u8], limit: usize) -> Result<Option<usize>, Rule> {
    if end.is_none() && buf.len() >= limit {
        return Err(Rule::HeadLong);
    }
    Ok(end)
}

/// Reads field lines up to and with the empty line (RFC 9112 5).
#[derive(Debug, Default)]
pub(crate) struct FieldScan {
    fields: Fields,
    /// Where the current line starts.
    line: usize,
    /// Where its colon is, once found: never 0, for a name comes before it.
    colon: usize,
    /// The first octet not looked at yet.
    at: usize,
}

impl FieldScan {
    /// Goes on in `buf`, a longer version of what was given before, whose field lines begin at `start`. Gives the
    /// position after the empty line, or `None` if it is not there yet.
    pub(crate) fn scan(&mut self, buf: &[u8], start: usize, limit: usize) -> Result<Option<usize>, Rule> {
        self.line = self.line.max(start);
        self.at = self.at.max(start);
        loop {
            if self.colon == 0 {
                match buf.get(self.line) {
                    None => return Ok(None),
                    Some(b'\r') => return line_end(buf, self.line),
                    Some(_) if self.fields.len() == limit => return Err(Rule::FieldCount),
                    Some(_) => {}
                }
                if !self.scan_name(buf)? {
                    return Ok(None);
                }
            }
            let Some(next) = scan_text(buf, &mut self.at)? else {
                return Ok(None);
            };
            let (line, colon) = (self.line, self.colon);
            let value = value_range(buf, colon + 1, next - 2);
            self.fields.push(Name::of(&buf[line..colon]), line..colon, value);
            (self.line, self.at, self.colon) = (next, next, 0);
        }
    }

    /// What was read, without its bytes.
    pub(crate) fn into_fields(self) -> Fields {
        self.fields
    }

    fn scan_name(&mut self, buf: &[u8]) -> Result<bool, Rule> {
        let rest = buf.get(self.at..).unwrap_or_default();
        let Some(length) = rest.iter().position(|&b| !is_token(b)) else {
            self.at += rest.len();
            return Ok(false);
        };
        self.at += length;
        let first = self.at == self.line;
        match rest[length] {
            b':' if first => Err(Rule::EmptyName),
            b':' => {
                self.colon = self.at;
                Ok(true)
            }
            b if is_blank(b) && first => Err(Rule::ObsFold),
            b if is_blank(b) => Err(Rule::SpaceBeforeColon),
            b'\n' => Err(Rule::BareLf),
            b'\r' => Err(Rule::NoColon),
            _ => Err(Rule::FieldName),
        }
    }
}

/// Reads text up to the line end, from `at`, and gives the position after it. `at` is moved along, so that the next
/// call goes on where this one stopped.
pub(crate) fn scan_text(buf: &[u8], at: &mut usize) -> Result<Option<usize>, Rule> {
    loop {
        *at = find_ctl(buf, *at);
        match buf.get(*at) {
            None => return Ok(None),
            Some(b'\t') => *at += 1,
            Some(b'\r') => return line_end(buf, *at),
            Some(b'\n') => return Err(Rule::BareLf),
            Some(_) => return Err(Rule::FieldValue),
        }
    }
}

/// The position after the CRLF whose CR is at `cr`.
fn line_end(buf: &[u8], cr: usize) -> Result<Option<usize>, Rule> {
    match buf.get(cr + 1) {
        None => Ok(None),
        Some(b'\n') => Ok(Some(cr + 2)),
        Some(_) => Err(Rule::BareCr),
    }
}

/// `start..end` without the blanks on both sides.
fn value_range(buf: &[u8], start: usize, end: usize) -> std::ops::Range<usize> {
    let value = &buf[start..end];
    let left = value.iter().take_while(|b| is_blank(**b)).count();
    let start = start + left;
    start..start + trim(&value[left..]).len()
}
