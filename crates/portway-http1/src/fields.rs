//! The field lines of a head or a trailer section, in order, over the bytes they came in.
//!
//! Knows lines, names and comma lists (RFC 9110 5); the meaning of a field is its reader's.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use crate::name::Name;
use crate::octet::trim;

#[cfg(test)]
mod tests;

/// One field line as it was received: case and bytes kept, the blanks around the value left out (RFC 9110 5.5).
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Field<'a> {
    /// The name, if it is one a proxy acts on.
    pub id: Name,
    /// The name as it was spelled.
    pub name: &'a [u8],
    /// The value; octets from 0x80 are opaque (obs-text).
    pub value: &'a [u8],
}

/// Values are secrets as often as not: only the name is shown.
impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: …", self.name.escape_ascii())
    }
}

/// Where a field line stands in the bytes of its section. Positions fit: a head past 4 GiB was refused long before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    id: Name,
    name: (u32, u32),
    value: (u32, u32),
}

/// An ordered list of field lines over one shared buffer. Cloning it copies positions, not bytes.
#[derive(Clone, Default)]
pub struct Fields {
    bytes: Bytes,
    spans: Vec<Span>,
    seen: u64,
    repeated: u64,
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Fields {
    /// Every field line, in the order received.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Field<'_>> + Clone {
        self.spans.iter().map(|span| Field { id: span.id, name: self.slice(span.name), value: self.slice(span.value) })
    }

    /// How many field lines there are.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// True without any field line.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// True if there is a field of this name.
    pub fn has(&self, name: Name) -> bool {
        self.seen & name.bit() != 0
    }

    /// True if there are two or more field lines of this name.
    pub fn repeated(&self, name: Name) -> bool {
        self.repeated & name.bit() != 0
    }

    /// The value of the first field of this name.
    pub fn get(&self, name: Name) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// The values of every field of this name, in order.
    pub fn all(&self, name: Name) -> impl Iterator<Item = &[u8]> + Clone {
        let spans = if self.has(name) { &self.spans[..] } else { &[] };
        let same = spans.iter().filter(move |span| span.id == name);
        same.map(|span| self.slice(span.value))
    }

    /// The value of the first field with this name, ignoring ASCII case; for names that [`Name`] does not list.
    pub fn get_named(&self, name: &[u8]) -> Option<&[u8]> {
        self.all_named(name).next()
    }

    /// The values of every field with this name, as [`Fields::get_named`] compares it.
    pub fn all_named<'a>(&'a self, name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// The members of the comma lists in every field of this name (RFC 9110 5.6.1), empty ones left out.
    pub fn list(&self, name: Name) -> impl Iterator<Item = &[u8]> + Clone {
        let values = self.all(name);
        let members = values.flat_map(|value| value.split(|b: &u8| *b == b','));
        members.map(trim).filter(|member| !member.is_empty())
    }

    /// True if a comma list in a field of this name has the token, ignoring ASCII case.
    pub fn list_contains(&self, name: Name, token: impl AsRef<[u8]>) -> bool {
        let token = token.as_ref();
        let mut members = self.list(name);
        members.any(|member| member.eq_ignore_ascii_case(token))
    }

    /// The fields that may be relayed as trailers: those that neither frame, route, authenticate nor control a message
    /// (RFC 9110 6.5.1). Every name in [`Name`] is one of those.
    pub fn trailer_safe(&self) -> impl Iterator<Item = Field<'_>> + Clone {
        let fields = self.iter();
        fields.filter(|field| field.id == Name::Other && !forbidden_in_trailers(field.name))
    }

    /// Notes a field line. Fields are readable once [`Fields::seal`] has given them their bytes.
    pub(crate) fn push(&mut self, id: Name, name: Range<usize>, value: Range<usize>) {
        if self.spans.is_empty() {
            self.spans.reserve(16);
        }
        self.repeated |= self.seen & id.bit();
        self.seen |= id.bit();
        self.spans.push(Span { id, name: narrow(name), value: narrow(value) });
    }

    /// Gives the noted fields the bytes their positions are in.
    pub(crate) fn seal(mut self, bytes: Bytes) -> Self {
        self.bytes = bytes;
        self
    }

    /// The bytes of the whole section, start line included.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where in [`Fields::bytes`] the value of the first field of this name stands.
    pub(crate) fn range(&self, name: Name) -> Option<Range<usize>> {
        let (start, end) = self.spans.iter().find(|span| span.id == name)?.value;
        Some(start as usize..end as usize)
    }

    fn slice(&self, (start, end): (u32, u32)) -> &[u8] {
        let range = start as usize..end as usize;
        self.bytes.get(range).unwrap_or_default()
    }
}

fn narrow(range: Range<usize>) -> (u32, u32) {
    let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    (narrow(range.start), narrow(range.end))
}

/// Fields without a [`Name`] that RFC 9110 6.5.1 keeps out of trailers: request modifiers (conditions, controls,
/// ranges), authentication, and what says how the content is to be read.
fn forbidden_in_trailers(name: &[u8]) -> bool {
    const FORBIDDEN: &[&str] = &[
        "Age",
        "Content-Encoding",
        "Content-Range",
        "Expires",
        "If-Match",
        "If-Modified-Since",
        "If-None-Match",
        "If-Range",
        "If-Unmodified-Since",
        "Max-Forwards",
        "Pragma",
        "Range",
        "Retry-After",
        "Warning",
        "WWW-Authenticate",
        "Authentication-Info",
        "Proxy-Authentication-Info",
        "HTTP2-Settings",
    ];
    FORBIDDEN.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden.as_bytes()))
}
