//! Request heads: the request line, and what the fields say about this request.
//!
//! Knows RFC 9112 3 and the fields that frame or direct a message; not who asks, nor whether they may.

use std::fmt;
use std::ops::Range;

use crate::fields::Fields;
use crate::framing::{self, Framing};
use crate::head::Version;
use crate::name::Name;
use crate::octet::{find_target_end, is_token};
use crate::reject::Rule;
use crate::target::{Target, TargetForm, check_authority};

#[cfg(test)]
mod tests;

/// Longest method, in bytes: twice the longest registered one.
const METHOD_MAX: usize = 32;

/// A request head that broke no rule.
#[derive(Clone)]
pub struct RequestHead {
    pub(crate) fields: Fields,
    pub(crate) framing: Framing,
    method: Range<usize>,
    target: Range<usize>,
    version: Version,
    form: TargetForm,
    authority: Option<Range<usize>>,
    path_and_query: Range<usize>,
}

/// The target and values can be secrets: only their shape is shown.
impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method().escape_ascii().to_string())
            .field("form", &self.form)
            .field("version", &self.version)
            .field("framing", &self.framing)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

impl RequestHead {
    /// Reads the meaning of a head whose octets were scanned.
    pub(crate) fn new(line: RequestLine, fields: Fields) -> Result<Self, Rule> {
        let RequestLine { method, target, version, .. } = line;
        let start = method + 1;
        let bytes = fields.bytes();
        let Target { form, authority: named, path_and_query: path } =
            Target::parse(&bytes[..method], &bytes[start..target])?;
        let named = named.map(|range| range.start + start..range.end + start);
        let authority = authority(&fields, version, named)?;
        if let Some(expectation) = fields.get(Name::Expect)
            && (fields.repeated(Name::Expect) || !expectation.eq_ignore_ascii_case(b"100-continue"))
        {
            return Err(Rule::Expectation);
        }
        let framing = framing::of_request(&fields, version)?;
        Ok(Self {
            framing,
            method: 0..method,
            target: start..target,
            version,
            form,
            authority,
            path_and_query: path.start + start..path.end + start,
            fields,
        })
    }

    /// The method as sent; methods are case-sensitive (RFC 9110 9.1).
    pub fn method(&self) -> &[u8] {
        self.slice(&self.method)
    }

    /// The request target, byte for byte.
    pub fn target(&self) -> &[u8] {
        self.slice(&self.target)
    }

    /// The form of the target.
    pub fn form(&self) -> TargetForm {
        self.form
    }

    /// The version of the request.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The field lines, Host among them.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Where the body ends: `None`, `Length` or `Chunked`.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// The one `host[:port]` that Host and the target agree on, as spelled; missing only in HTTP/1.0.
    pub fn authority(&self) -> Option<&[u8]> {
        self.authority.as_ref().map(|range| self.slice(range))
    }

    /// The target without an authority, byte for byte: `/` if the absolute form has no path (`*` for OPTIONS, RFC 9112
    /// 3.2.4), `*` in asterisk form, and nothing in authority form.
    pub fn path_and_query(&self) -> &[u8] {
        match self.slice(&self.path_and_query) {
            b"" if self.form == TargetForm::Absolute && self.method() == b"OPTIONS" => b"*",
            b"" if self.form == TargetForm::Absolute => b"/",
            path => path,
        }
    }

    /// True if the client may send another request on the connection (RFC 9112 9.3). HTTP/1.0's own keep-alive is not
    /// spoken: its `Connection: keep-alive` passes proxies that do not understand it.
    pub fn keep_alive(&self) -> bool {
        self.version == Version::Http11 && !self.fields.list_contains(Name::Connection, "close")
    }

    /// True if the client waits for `100 Continue` before the body (RFC 9110 10.1.1).
    pub fn expects_continue(&self) -> bool {
        self.version == Version::Http11 && self.fields.has(Name::Expect)
    }

    /// True if this is the opening request of a WebSocket (RFC 6455 4.1): GET, HTTP/1.1, `Connection: upgrade`,
    /// `Upgrade: websocket`, and no framing. The `Sec-WebSocket-*` fields are left to who answers it.
    pub fn upgrade_websocket(&self) -> bool {
        self.fields.has(Name::Upgrade)
            && self.method() == b"GET"
            && self.version == Version::Http11
            && self.framing == Framing::None
            && self.fields.list_contains(Name::Connection, "upgrade")
            && self.fields.list_contains(Name::Upgrade, "websocket")
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.fields.bytes().get(range.clone()).unwrap_or_default()
    }
}

/// The one authority of a request (RFC 9112 3.2.2 and 3.2.3): Host, which the target may repeat but not contradict.
fn authority(fields: &Fields, version: Version, named: Option<Range<usize>>) -> Result<Option<Range<usize>>, Rule> {
    let Some(host) = fields.range(Name::Host) else {
        return match version {
            Version::Http11 => Err(Rule::HostMissing),
            Version::Http10 => Ok(named),
        };
    };
    if fields.repeated(Name::Host) {
        return Err(Rule::HostRepeated);
    }
    let bytes = fields.bytes();
    check_authority(&bytes[host.clone()])?;
    match named {
        Some(named) if !bytes[named.clone()].eq_ignore_ascii_case(&bytes[host.clone()]) => Err(Rule::HostDiffers),
        _ => Ok(Some(host)),
    }
}

/// Reads `method SP request-target SP HTTP-version CRLF` (RFC 9112 3), going on where it stopped.
#[derive(Debug)]
pub(crate) struct RequestLine {
    part: Part,
    at: usize,
    /// Where the method ends, and after it one space.
    method: usize,
    /// Where the target ends, and after it one space.
    target: usize,
    version: Version,
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Method,
    Target,
    Version,
    Done,
}

impl Default for RequestLine {
    fn default() -> Self {
        Self { part: Part::Method, at: 0, method: 0, target: 0, version: Version::Http11 }
    }
}

impl RequestLine {
    /// The position after the line, or `None` if it is not all there yet.
    pub(crate) fn scan(&mut self, buf: &[u8], target_max: usize) -> Result<Option<usize>, Rule> {
        loop {
            let done = match self.part {
                Part::Method => self.scan_method(buf)?,
                Part::Target => self.scan_target(buf, target_max)?,
                Part::Version => self.scan_version(buf)?,
                Part::Done => return Ok(Some(self.at)),
            };
            if !done {
                return Ok(None);
            }
        }
    }

    fn scan_method(&mut self, buf: &[u8]) -> Result<bool, Rule> {
        while let Some(&b) = buf.get(self.at) {
            match b {
                _ if is_token(b) && self.at == METHOD_MAX => return Err(Rule::MethodLong),
                _ if is_token(b) => self.at += 1,
                b' ' if self.at > 0 => {
                    self.method = self.at;
                    self.at += 1;
                    self.part = Part::Target;
                    return Ok(true);
                }
                b'\r' | b'\n' if self.at == 0 => return Err(Rule::EmptyLine),
                b'\n' => return Err(Rule::BareLf),
                b'\r' => return Err(Rule::RequestLine),
                _ => return Err(Rule::Method),
            }
        }
        Ok(false)
    }

    fn scan_target(&mut self, buf: &[u8], target_max: usize) -> Result<bool, Rule> {
        let start = self.method + 1;
        self.at = find_target_end(buf, self.at);
        if self.at - start > target_max {
            return Err(Rule::TargetLong);
        }
        match buf.get(self.at) {
            None => Ok(false),
            Some(b' ') if self.at > start => {
                self.target = self.at;
                self.at += 1;
                self.part = Part::Version;
                Ok(true)
            }
            Some(b'\n') => Err(Rule::BareLf),
            Some(b' ' | b'\r') => Err(Rule::RequestLine),
            Some(_) => Err(Rule::TargetByte),
        }
    }

    fn scan_version(&mut self, buf: &[u8]) -> Result<bool, Rule> {
        let start = self.target + 1;
        while let Some(&b) = buf.get(self.at) {
            match (self.at - start, b) {
                (n @ 0..=4, _) if b == b"HTTP/"[n] => {}
                (5, b'1') | (6, b'.') | (7, b'1') | (8, b'\r') => {}
                (7, b'0') => self.version = Version::Http10,
                (5 | 7, b'0'..=b'9') => return Err(Rule::Version),
                (9, b'\n') => {
                    self.at += 1;
                    self.part = Part::Done;
                    return Ok(true);
                }
                (9, _) => return Err(Rule::BareCr),
                (_, b'\n') => return Err(Rule::BareLf),
                _ => return Err(Rule::RequestLine),
            }
            self.at += 1;
        }
        Ok(false)
    }
}
