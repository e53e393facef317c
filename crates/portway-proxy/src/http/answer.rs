//! An answer of our own: small, whole, never cached.
//!
//! It knows neither why it is given nor over which protocol it leaves.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use portway_http1::{HeadWriter, Reject, reason_phrase};

/// A complete response made by Portway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub fields: Vec<(Cow<'static, str>, String)>,
    pub body: Bytes,
    /// The stable word of `Portway-Reason`, for the log.
    pub reason: &'static str,
}

impl Answer {
    /// An answer with the fields every answer of ours carries.
    pub fn new(status: u16, reason: &'static str) -> Self {
        let fields =
            vec![("Cache-Control".into(), "no-store".to_owned()), ("Portway-Reason".into(), reason.to_owned())];
        Self { status, fields, body: Bytes::new(), reason }
    }

    pub fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    pub fn body(mut self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.field("Content-Type", content_type)
    }

    /// An answer of the control runtime. The word of its `Portway-Reason`, where it has one, is a bare extension.
    pub fn from_http(response: http::Response<Bytes>) -> Self {
        let (parts, body) = response.into_parts();
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let fields = parts.headers.iter().map(|(name, value)| (name.as_str().to_owned().into(), text(value))).collect();
        let reason = parts.extensions.get::<&'static str>().copied().unwrap_or("control");
        Self { status: parts.status.as_u16(), fields, body, reason }
    }

    /// Whether it says how long it is: a 204 has no content and must not (RFC 9110 8.6).
    pub fn has_length(&self) -> bool {
        self.status != 204
    }

    /// Writes it as HTTP/1.1; without the body for HEAD.
    ///
    /// # Errors
    /// Where a field value holds bytes that no field may hold.
    pub fn write(&self, out: &mut BytesMut, head_only: bool, close: bool) -> Result<(), Reject> {
        let mut writer = HeadWriter::response(out, self.status, reason_phrase(self.status).as_bytes())?;
        for (name, value) in &self.fields {
            writer.put(name.as_bytes(), value)?;
        }
        if self.has_length() {
            writer.put_length(self.body.len() as u64);
        }
        if close {
            writer.put("Connection", "close")?;
        }
        writer.finish();
        if !head_only {
            out.extend_from_slice(&self.body);
        }
        Ok(())
    }
}
