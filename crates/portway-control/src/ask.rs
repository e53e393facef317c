//! What a workspace host asks of the authoriser: a visit to one host, as it travels through URLs.
//!
//! It reads and writes that, and knows neither who asks nor what comes of it.

use std::fmt::Write as _;

use portway_core::host::{Names, Target};
use portway_core::return_to;
use portway_core::secret::SecretHash;
use serde::Deserialize;

use crate::reply::Refusal;

/// A visit to one host, as it stands in a query or a form.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Visit {
    /// The canonical host name, without a port.
    #[serde(default)]
    host: String,
    /// Where on that host the visitor was going.
    #[serde(rename = "return", default)]
    return_to: String,
}

impl Visit {
    /// Reads the host through the grammar that also routes (R12).
    pub(crate) fn check(&self, names: &Names) -> Option<(Target, &str)> {
        Some((names.target_of(&self.host)?, return_to::or_root(&self.return_to)))
    }

    /// As it is read.
    pub(crate) fn query(&self) -> String {
        query(&self.host, &self.return_to)
    }
}

fn query(host: &str, return_to: &str) -> String {
    format!("host={}&return={}", encode(host), encode(return_to))
}

/// What a workspace host asks for, as it stands in the query.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Ask {
    #[serde(flatten)]
    visit: Visit,
    /// The hash of the nonce in the visitor's browser.
    ch: String,
}

/// A well-formed [`Ask`].
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    pub(crate) target: Target,
    pub(crate) return_to: String,
    pub(crate) challenge: SecretHash,
}

impl Ask {
    /// Reads it.
    pub(crate) fn check(&self, names: &Names) -> Result<Checked, Refusal> {
        let (target, return_to) = self.visit.check(names).ok_or_else(incomplete)?;
        Ok(Checked {
            target,
            return_to: return_to.to_owned(),
            challenge: SecretHash::read(self.ch.as_bytes()).ok_or_else(incomplete)?,
        })
    }
}

impl Checked {
    /// This visit as a path of the control host.
    pub(crate) fn path(&self) -> String {
        format!("/.portway/authorize?{}", self.query())
    }

    /// This visit as [`Ask`] reads it.
    pub(crate) fn query(&self) -> String {
        let Self { target, return_to, challenge } = self;
        format!("{}&ch={}", query(&target.host, return_to), challenge.text())
    }
}

/// Percent-encodes all but unreserved characters (RFC 3986 2.3).
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

pub(crate) fn incomplete() -> Refusal {
    Refusal::bad_request("Open the address of your workspace's port again to get a new one.")
}
