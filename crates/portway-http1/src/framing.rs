//! Where the body of a message ends (RFC 9112 6).
//!
//! Knows Content-Length, Transfer-Encoding, versions, methods and statuses; reads no body.

use crate::fields::Fields;
use crate::head::Version;
use crate::name::Name;
use crate::octet::all_token;
use crate::reject::Rule;

#[cfg(test)]
mod tests;

/// How the body of a message is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body: the next message follows the head.
    None,
    /// Exactly so many bytes (RFC 9112 6.2).
    Length(u64),
    /// Chunks and trailers (RFC 9112 7.1). For a request from [`crate::RequestHead::from_parts`]: of unknown length.
    Chunked,
    /// Until the server closes (RFC 9112 6.3 rule 8); responses only.
    UntilClose,
}

/// The framing that the fields of a message declare, if any.
fn declared(fields: &Fields, version: Version) -> Result<Option<Framing>, Rule> {
    let length = fields.get(Name::ContentLength);
    let Some(coding) = fields.get(Name::TransferEncoding) else {
        return match length {
            Some(_) if fields.repeated(Name::ContentLength) => Err(Rule::ContentLengthRepeated),
            Some(digits) => Ok(Some(Framing::Length(parse_length(digits)?))),
            None => Ok(None),
        };
    };
    if length.is_some() {
        return Err(Rule::TeWithCl);
    }
    if version == Version::Http10 {
        return Err(Rule::TeOnHttp10);
    }
    if fields.repeated(Name::TransferEncoding) {
        return Err(Rule::TransferEncodingRepeated);
    }
    if coding.eq_ignore_ascii_case(b"chunked") {
        Ok(Some(Framing::Chunked))
    } else if all_token(coding) {
        Err(Rule::TransferCodingUnknown)
    } else {
        Err(Rule::TransferEncoding)
    }
}

/// `1*DIGIT` as a number (RFC 9110 8.6).
fn parse_length(digits: &[u8]) -> Result<u64, Rule> {
    if digits.is_empty() {
        return Err(Rule::ContentLength);
    }
    let mut length = 0u64;
    for b in digits {
        if !b.is_ascii_digit() {
            return Err(Rule::ContentLength);
        }
        let ten = length.checked_mul(10);
        let sum = ten.and_then(|n| n.checked_add(u64::from(b - b'0')));
        length = sum.ok_or(Rule::ContentLength)?;
    }
    Ok(length)
}

/// The framing of a request: none unless it declares one (RFC 9112 6.3 rule 7).
pub(crate) fn of_request(fields: &Fields, version: Version) -> Result<Framing, Rule> {
    Ok(declared(fields, version)?.unwrap_or(Framing::None))
}

/// The framing of a response to a request of this method (RFC 9112 6.3).
pub(crate) fn of_response(
    fields: &Fields,
    version: Version,
    status: u16,
    request_method: &[u8],
) -> Result<Framing, Rule> {
    let declared = declared(fields, version)?;
    match (status, declared) {
        (100..=199 | 204, None) => Ok(Framing::None),
        // Many servers send it; it says what is so, in words they must not use (RFC 9110 8.6).
        (204, Some(Framing::Length(0))) => Ok(Framing::None),
        (100..=199 | 204, Some(_)) => Err(Rule::BodyForbidden),
        (304, _) => Ok(Framing::None),
        (200..=299, _) if request_method == b"CONNECT" => Ok(Framing::None),
        _ if request_method == b"HEAD" => Ok(Framing::None),
        (_, declared) => Ok(declared.unwrap_or(Framing::UntilClose)),
    }
}
