//! Request targets and authorities (RFC 9112 3.2, RFC 9110 4.2 and 7.2).
//!
//! Knows how they are spelled, and changes no octet of them; which hosts exist is the caller's to know.

use std::net::Ipv6Addr;
use std::ops::Range;

use crate::reject::Rule;

/// Which of the four forms a request target has (RFC 9112 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetForm {
    /// `/path?query`: what a server is asked.
    Origin,
    /// `http://authority/path?query`: what a proxy is asked.
    Absolute,
    /// `host:port`: CONNECT, and only that.
    Authority,
    /// `*`: OPTIONS, and only that.
    Asterisk,
}

/// A target taken apart; ranges are positions in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) form: TargetForm,
    pub(crate) authority: Option<Range<usize>>,
    pub(crate) path_and_query: Range<usize>,
}

impl Target {
    /// Takes apart a target whose octets were checked.
    pub(crate) fn parse(method: &[u8], target: &[u8]) -> Result<Self, Rule> {
        let length = target.len();
        if method == b"CONNECT" {
            if !has_port(target) {
                return Err(Rule::TargetForm);
            }
            check_authority(target)?;
            return Ok(Self { form: TargetForm::Authority, authority: Some(0..length), path_and_query: 0..0 });
        }
        if target.first() == Some(&b'/') {
            return Ok(Self { form: TargetForm::Origin, authority: None, path_and_query: 0..length });
        }
        if target == b"*" && method == b"OPTIONS" {
            return Ok(Self { form: TargetForm::Asterisk, authority: None, path_and_query: 0..length });
        }
        let start = scheme_length(target).ok_or(Rule::TargetForm)?;
        let rest = &target[start..];
        let end = rest.iter().position(|b| matches!(b, b'/' | b'?'));
        let end = start + end.unwrap_or(rest.len());
        check_authority(&target[start..end])?;
        // `http://host?query` has a query and no path to put it on; no client sends it, and inserting the `/` would be
        // the one place where a target is changed.
        if target.get(end) == Some(&b'?') {
            return Err(Rule::TargetForm);
        }
        Ok(Self { form: TargetForm::Absolute, authority: Some(start..end), path_and_query: end..length })
    }
}

/// Length of `http://` or `https://` at the front, ignoring case.
fn scheme_length(target: &[u8]) -> Option<usize> {
    let schemes: [&[u8]; 2] = [b"http://", b"https://"];
    let found = schemes.iter().find(|scheme| {
        let front = target.get(..scheme.len());
        front.is_some_and(|front| front.eq_ignore_ascii_case(scheme))
    });
    found.map(|scheme| scheme.len())
}

/// Accepts one `host[:port]`: a name of letters, digits, `-`, `.` and `_`, or an IPv6 address in brackets, and a port
/// from 1 to 65535. Everything else that RFC 3986 3.2 allows (user information, percent-encoding, sub-delimiters, an
/// empty name or port) names no host that could be served here.
pub(crate) fn check_authority(authority: &[u8]) -> Result<(), Rule> {
    let (host, port) = split_port(authority);
    let host_fits = match host {
        [b'[', address @ .., b']'] => is_ipv6(address),
        _ => !host.is_empty() && host.iter().all(|&b| is_host(b)),
    };
    if host_fits && port.is_none_or(is_port) { Ok(()) } else { Err(Rule::HostInvalid) }
}

fn has_port(authority: &[u8]) -> bool {
    split_port(authority).1.is_some()
}

/// Splits at the last colon, if no bracket comes after it.
fn split_port(authority: &[u8]) -> (&[u8], Option<&[u8]>) {
    match authority.iter().rposition(|b| matches!(b, b':' | b']')) {
        Some(at) if authority[at] == b':' => (&authority[..at], Some(&authority[at + 1..])),
        _ => (authority, None),
    }
}

fn is_host(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')
}

fn is_ipv6(address: &[u8]) -> bool {
    std::str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

fn is_port(port: &[u8]) -> bool {
    let digits = !port.is_empty() && port.len() <= 5 && port.iter().all(u8::is_ascii_digit);
    let number = port.iter().fold(0, |n: u32, b| n.wrapping_mul(10).wrapping_add(u32::from(b & 15)));
    digits && (1..=65535).contains(&number)
}
