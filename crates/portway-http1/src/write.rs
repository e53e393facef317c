//! Writing heads, chunks and trailers (RFC 9112 3, 4, 5 and 7.1).
//!
//! Knows how a message is spelled, and lets nothing through that would end a line early; which fields a message should
//! have is the caller's to know.

use bytes::BytesMut;

use crate::fields::Field;
use crate::octet::{all_token, find_ctl, is_ctl, is_target};
use crate::reject::{Reject, Rule};

#[cfg(test)]
mod tests;

/// Ends the data of each chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// Ends a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Writes one head: a start line, then fields in the order given, then the empty line. A head that is not finished is
/// half written; what stands in `out` before it is kept.
#[derive(Debug)]
pub struct HeadWriter<'a> {
    out: &'a mut BytesMut,
}

impl<'a> HeadWriter<'a> {
    /// Begins an HTTP/1.1 request.
    ///
    /// # Errors
    /// If the method is no token or the target has an octet that no target has; then nothing is written.
    pub fn request(out: &'a mut BytesMut, method: &[u8], target: &[u8]) -> Result<Self, Reject> {
        if !all_token(method) {
            return Err(Rule::Method.into());
        }
        if target.is_empty() || !target.iter().all(|&b| is_target(b)) {
            return Err(Rule::TargetByte.into());
        }
        put_all(out, &[method, b" ", target, b" HTTP/1.1\r\n"]);
        Ok(Self { out })
    }

    /// Begins an HTTP/1.1 response.
    ///
    /// # Errors
    /// If the status is not 100 to 599 or the reason has a control byte; then nothing is written.
    pub fn response(out: &'a mut BytesMut, status: u16, reason: &[u8]) -> Result<Self, Reject> {
        if !(100..=599).contains(&status) {
            return Err(Rule::StatusCode.into());
        }
        check_text(reason)?;
        let digit = |n: u16| b'0' + (n % 10).to_le_bytes()[0];
        let digits = [digit(status / 100), digit(status / 10), digit(status)];
        put_all(out, &[b"HTTP/1.1 ", &digits, b" ", reason, b"\r\n"]);
        Ok(Self { out })
    }

    /// Writes a field as it was received. It was checked then.
    pub fn copy(&mut self, field: Field<'_>) {
        put_field(self.out, field.name, field.value);
    }

    /// Writes a field of our own making.
    ///
    /// # Errors
    /// If the name is no token or the value has a control byte; then nothing is written.
    pub fn put(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), Reject> {
        let (name, value) = (name.as_ref(), value.as_ref());
        if !all_token(name) {
            return Err(Rule::FieldName.into());
        }
        check_text(value)?;
        put_field(self.out, name, value);
        Ok(())
    }

    /// Writes Content-Length.
    pub fn put_length(&mut self, length: u64) {
        let mut digits = [0; 20];
        put_field(self.out, b"Content-Length", decimal(length, &mut digits));
    }

    /// Writes the empty line.
    pub fn finish(self) {
        self.out.extend_from_slice(b"\r\n");
    }
}

/// Writes the line before the data of a chunk of `length` bytes; after the data comes [`CHUNK_END`]. For a length of 0
/// nothing is written, for that would be the end of the body.
pub fn write_chunk_head(out: &mut BytesMut, length: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    if length == 0 {
        return;
    }
    let quads = (usize::BITS - length.leading_zeros()).div_ceil(4);
    let digit = |quad: u32| DIGITS[length >> (quad * 4) & 15];
    out.extend((0..quads).rev().map(digit));
    out.extend_from_slice(b"\r\n");
}

/// Ends a chunked body with trailers (RFC 9112 7.1.2): instead of [`LAST_CHUNK`].
pub fn write_trailers<'a>(out: &mut BytesMut, trailers: impl Iterator<Item = Field<'a>>) {
    out.extend_from_slice(b"0\r\n");
    for field in trailers {
        put_field(out, field.name, field.value);
    }
    out.extend_from_slice(b"\r\n");
}

/// The usual reason for a status (RFC 9110 15, and the IANA registry), empty for one without.
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        511 => "Network Authentication Required",
        _ => "",
    }
}

fn put_field(out: &mut BytesMut, name: &[u8], value: &[u8]) {
    put_all(out, &[name, b": ", value, b"\r\n"]);
}

fn put_all(out: &mut BytesMut, parts: &[&[u8]]) {
    out.reserve(parts.iter().map(|part| part.len()).sum());
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// Refuses a value that would end its line, or that no reader would take (RFC 9110 5.5).
fn check_text(value: &[u8]) -> Result<(), Rule> {
    let mut at = find_ctl(value, 0);
    while let Some(&b) = value.get(at) {
        if is_ctl(b) {
            return Err(Rule::FieldValue);
        }
        at = find_ctl(value, at + 1);
    }
    Ok(())
}

fn decimal(mut n: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10).to_le_bytes()[0];
        n /= 10;
        if n == 0 {
            return &digits[at..];
        }
    }
}
