//! A request that came over another protocol (HTTP/2), made into HTTP/1.1 bytes and read back.
//!
//! There is one place where bytes become a request, so that every rule holds for every visitor. Knows what RFC 9113
//! 8.2.2 forbids; knows no frame and no stream.

use bytes::BytesMut;

use crate::framing::Framing;
use crate::head::HeadParser;
use crate::limits::Limits;
use crate::name::Name;
use crate::reject::{Reject, Rule};
use crate::request::RequestHead;
use crate::target::TargetForm;
use crate::write::HeadWriter;

#[cfg(test)]
mod tests;

impl RequestHead {
    /// A request from its parts: the pseudo-fields and fields of an HTTP/2 request (RFC 9113 8.3.1). `has_body` is
    /// false if the request ended with its head. Without a Content-Length a body is of unknown length, which is reported as
    /// [`Framing::Chunked`] though no Transfer-Encoding is there. Without an authority a Host field takes its place;
    /// several Cookie fields become one (RFC 9113 8.2.3). The limits apply to the fields before that.
    ///
    /// # Errors
    /// The same rules as for bytes, and: [`Rule::ConnectionField`] for Connection, Keep-Alive, Proxy-Connection,
    /// Transfer-Encoding, Upgrade, and TE other than `trailers`; [`Rule::HostDiffers`] for a Host that is not the
    /// authority; [`Rule::TargetForm`] for an absolute target; [`Rule::LengthDiffers`] for a Content-Length above 0
    /// without a body.
    pub fn from_parts<'a>(
        method: &[u8],
        target: &[u8],
        authority: &[u8],
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        has_body: bool,
        limits: &Limits,
    ) -> Result<Self, Reject> {
        let parts = Parts::read(authority, fields, limits)?;
        let mut request = parts.request(method, target, &[], limits)?;
        match (request.framing, has_body) {
            (Framing::None, true) => request.framing = Framing::Chunked,
            (Framing::Length(1..), false) => return Err(Rule::LengthDiffers.into()),
            _ => {}
        }
        Ok(request)
    }

    /// The HTTP/1.1 handshake that an extended CONNECT for `websocket` stands for (RFC 8441 5): a GET with the fields of
    /// a handshake and with `key`, which HTTP/2 has none of, as its `Sec-WebSocket-Key`. What the visitor sent under that
    /// name means nothing there and goes.
    ///
    /// # Errors
    /// As [`RequestHead::from_parts`]; a field that frames a body is a [`Rule::ConnectionField`], for a tunnel has none.
    pub fn websocket_from_parts<'a>(
        target: &[u8],
        authority: &[u8],
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        key: &[u8],
        limits: &Limits,
    ) -> Result<Self, Reject> {
        let fields = fields.filter(|(name, _)| Name::of(name) != Name::SecWebsocketKey);
        let parts = Parts::read(authority, fields, limits)?;
        let handshake: [(&[u8], &[u8]); 3] =
            [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"), (b"Sec-WebSocket-Key", key)];
        let request = parts.request(b"GET", target, &handshake, limits)?;
        if request.upgrade_websocket() { Ok(request) } else { Err(Rule::ConnectionField.into()) }
    }
}

/// The fields to write, in order.
struct Parts<'a, 'b> {
    authority: &'b [u8],
    fields: Vec<(&'a [u8], std::borrow::Cow<'a, [u8]>)>,
    bytes: usize,
}

impl<'a: 'b, 'b> Parts<'a, 'b> {
    fn read(
        authority: &'b [u8],
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        limits: &Limits,
    ) -> Result<Self, Rule> {
        let mut parts = Self { authority, fields: Vec::with_capacity(16), bytes: 0 };
        let mut hosts = 0;
        let mut cookie = None;
        for (count, (name, value)) in fields.enumerate() {
            if count == limits.fields {
                return Err(Rule::FieldCount);
            }
            parts.bytes += name.len() + value.len() + 4;
            if parts.bytes > limits.head_bytes {
                return Err(Rule::HeadLong);
            }
            match Name::of(name) {
                Name::Connection | Name::KeepAlive | Name::ProxyConnection | Name::TransferEncoding | Name::Upgrade => {
                    return Err(Rule::ConnectionField);
                }
                Name::Te if !value.eq_ignore_ascii_case(b"trailers") => {
                    return Err(Rule::ConnectionField);
                }
                Name::Host => {
                    hosts += 1;
                    if hosts > 1 {
                        return Err(Rule::HostRepeated);
                    }
                    if parts.authority.is_empty() {
                        parts.authority = value;
                    }
                    if !parts.authority.eq_ignore_ascii_case(value) {
                        return Err(Rule::HostDiffers);
                    }
                }
                Name::Cookie => match cookie {
                    None => {
                        cookie = Some(parts.fields.len());
                        parts.fields.push((name, value.into()));
                    }
                    Some(at) => {
                        let joined: &mut Vec<u8> = parts.fields[at].1.to_mut();
                        joined.extend_from_slice(b"; ");
                        joined.extend_from_slice(value);
                    }
                },
                _ => parts.fields.push((name, value.into())),
            }
        }
        if parts.authority.is_empty() {
            return Err(Rule::HostMissing);
        }
        Ok(parts)
    }

    /// Writes the parts as bytes, with `more` fields after Host, and reads them back.
    fn request(
        &self,
        method: &[u8],
        target: &[u8],
        more: &[(&[u8], &[u8])],
        limits: &Limits,
    ) -> Result<RequestHead, Reject> {
        let mut buf = BytesMut::with_capacity(self.bytes + target.len() + 192);
        let mut head = HeadWriter::request(&mut buf, method, target)?;
        head.put(b"Host", self.authority)?;
        for (name, value) in more {
            head.put(name, value)?;
        }
        for (name, value) in &self.fields {
            head.put(name, value)?;
        }
        head.finish();
        let request = HeadParser::new(limits.clone()).request(&mut buf)?.ok_or(Rule::Truncated)?;
        if request.form() == TargetForm::Absolute { Err(Rule::TargetForm.into()) } else { Ok(request) }
    }
}
