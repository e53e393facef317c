//! What the dev server sees and what the browser gets back: every change the gateway makes to a head.
//!
//! Requests: Host, Origin, Referer and X-Forwarded-* become one consistent set; our cookies and tokens, hop-by-hop and
//! spoofable fields go (R1, R25, R26). Responses: hop-by-hop and fields that would bind more than one workspace go (R6,
//! R24). Everything else passes in its order and case. It decides nothing about access.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;

use bytes::BytesMut;
use portway_core::access::Permit;
use portway_core::browser::origin_part;
use portway_core::cookie;
use portway_core::host::{Names, Place, PortForm, Scheme, Target};
use portway_core::secret::TOKEN_PREFIX;
use portway_core::workspace::Profile;
use portway_http1::{Field, Fields, Framing, HeadWriter, Name, Reject, RequestHead};

use crate::settings::Settings;

const TOKEN: &[u8] = TOKEN_PREFIX.as_bytes();

/// The facts that edits need.
#[derive(Clone, Copy, Debug)]
pub struct Edit<'a> {
    pub settings: &'a Settings,
    pub permit: &'a Permit,
    pub peer: IpAddr,
    /// This is a WebSocket handshake that goes on as one.
    pub upgrade: bool,
    /// The visitor's connection is TLS.
    pub secure: bool,
}

/// One field of an edited head.
#[derive(Debug)]
pub enum Edited<'a> {
    /// As it came.
    Kept(Field<'a>),
    /// Its value was changed, its name was not.
    Changed(&'a [u8], Cow<'a, [u8]>),
    /// Ours.
    Added(&'static str, String),
}

impl Edit<'_> {
    /// Writes the request head for the dev server.
    ///
    /// # Errors
    /// Where a made value could not stand in a field: refuses the request, 400.
    pub fn write_request(&self, head: &RequestHead, out: &mut BytesMut) -> Result<(), Reject> {
        let fields = head.fields();
        let mut writer = HeadWriter::request(out, head.method(), head.path_and_query())?;
        let host = self.host();
        writer.put("Host", &host)?;
        for field in fields.iter() {
            match field.id {
                Name::Host
                | Name::KeepAlive
                | Name::ProxyConnection
                | Name::ProxyAuthorization
                | Name::ContentLength
                | Name::TransferEncoding
                | Name::Upgrade
                | Name::Connection
                | Name::XForwarded
                | Name::Forwarded
                | Name::XPortway
                | Name::Reserved => {}
                // Nominated by its sender (RFC 9110 10.1.4): what it says is passed on below.
                Name::Te => {}
                // HTTP/1.0 cannot be told to go on (RFC 9110 10.1.1).
                Name::Expect if !head.expects_continue() => {}
                _ if is_nominated(fields, &field) => {}
                Name::Cookie => {
                    if let Some(kept) = cookie::strip(field.value, self.settings.control_cookie.as_ref()) {
                        writer.put(field.name, &kept)?;
                    }
                }
                // It is the app's, unless a token of ours strayed into it (R56).
                Name::Authorization if field.value.windows(TOKEN.len()).any(|part| part == TOKEN) => {}
                Name::Origin => writer.put(field.name, self.inward(field.value, field.value))?,
                Name::Referer => writer.put(field.name, self.inward(origin_part(field.value), field.value))?,
                _ => writer.copy(field),
            }
        }
        match head.framing() {
            Framing::None | Framing::UntilClose => {}
            Framing::Length(length) => writer.put_length(length),
            Framing::Chunked => writer.put("Transfer-Encoding", "chunked")?,
        }
        if self.upgrade {
            writer.put("Connection", "Upgrade")?;
            writer.put("Upgrade", "websocket")?;
        } else if fields.list_contains(Name::Te, "trailers") {
            writer.put("Connection", "TE")?;
            writer.put("TE", "trailers")?;
        }
        let mut text = String::with_capacity(64);
        let _ = write!(text, "{}", self.peer);
        writer.put("X-Forwarded-For", &text)?;
        writer.put("X-Forwarded-Host", &host)?;
        writer.put("X-Forwarded-Proto", self.scheme().as_str())?;
        writer.finish();
        Ok(())
    }

    /// Walks the response fields that go to the visitor. Framing fields are left to the protocol's writer, except the
    /// Content-Length that describes a body which is not sent (HEAD, 304).
    pub fn response<'f>(&self, fields: &'f Fields, bodyless: bool, mut sink: impl FnMut(Edited<'f>)) {
        for field in fields.iter() {
            match field.id {
                Name::Connection
                | Name::KeepAlive
                | Name::ProxyConnection
                | Name::ProxyAuthenticate
                | Name::TransferEncoding
                | Name::Te
                | Name::Upgrade
                | Name::StrictTransportSecurity
                | Name::AltSvc
                | Name::PublicKeyPins
                | Name::SetCookie2
                | Name::XPortway => {}
                Name::ContentLength if !bodyless => {}
                Name::SetCookie => match cookie::set_cookie(field.value) {
                    Some(Cow::Borrowed(_)) => sink(Edited::Kept(field)),
                    Some(changed) => sink(Edited::Changed(field.name, changed)),
                    None => {}
                },
                Name::ClearSiteData => {
                    if let Some(kept) = clear_site_data(field.value) {
                        sink(Edited::Changed(field.name, kept.into_bytes().into()));
                    }
                }
                Name::Refresh => match self.refresh(field.value) {
                    Some(public) => sink(Edited::Changed(field.name, public.into())),
                    None => sink(Edited::Kept(field)),
                },
                // An origin alone is a URL without a path.
                Name::Location | Name::AccessControlAllowOrigin => match self.outward(field.value) {
                    Some(public) => sink(Edited::Changed(field.name, public.into())),
                    None => sink(Edited::Kept(field)),
                },
                _ if field.name.eq_ignore_ascii_case(b"portway-reason") || is_nominated(fields, &field) => {}
                _ => sink(Edited::Kept(field)),
            }
        }
        if self.secure && self.settings.hsts > 0 {
            sink(Edited::Added("Strict-Transport-Security", format!("max-age={}", self.settings.hsts)));
        }
    }

    fn names(&self) -> &Names {
        &self.settings.names
    }

    fn target(&self) -> &Target {
        self.permit.target()
    }

    /// The Host that the profile shows.
    fn host(&self) -> String {
        match self.permit.profile() {
            Profile::Localhost => format!("localhost:{}", self.permit.port()),
            Profile::Public => {
                let origin = self.names().origin(self.target());
                origin.split_once("://").map_or_else(String::new, |(_, authority)| authority.to_owned())
            }
        }
    }

    fn scheme(&self) -> Scheme {
        match self.permit.profile() {
            Profile::Localhost => self.permit.scheme(),
            Profile::Public => {
                self.names().domains.get(self.target().domain).map_or(Scheme::Https, |domain| domain.scheme)
            }
        }
    }

    /// An origin of this workspace as the dev server knows it, followed by the rest of `value`.
    fn inward<'v>(&self, origin: &[u8], value: &'v [u8]) -> Cow<'v, [u8]> {
        if self.permit.profile() == Profile::Public {
            return Cow::Borrowed(value);
        }
        match self.names().parse_origin(origin) {
            Some(Place::Workspace(from)) if from.workspace == self.target().workspace => {
                let scheme = if from.port == self.permit.port() {
                    self.permit.scheme()
                } else if from.tls {
                    Scheme::Https
                } else {
                    Scheme::Http
                };
                let mut local = format!("{}://localhost:{}", scheme.as_str(), from.port).into_bytes();
                local.extend_from_slice(value.get(origin.len()..).unwrap_or_default());
                Cow::Owned(local)
            }
            Some(Place::Workspace(_) | Place::Control) | None => Cow::Borrowed(value),
        }
    }

    /// `5; url=http://localhost:{port}/` with the URL as [`Edit::outward`] makes it.
    fn refresh(&self, value: &[u8]) -> Option<Vec<u8>> {
        let start = value.windows(4).position(|part| part.eq_ignore_ascii_case(b"url="))? + 4;
        let (before, url) = value.split_at_checked(start)?;
        let quote = usize::from(matches!(url.first(), Some(b'"' | b'\'')));
        let public = self.outward(url.get(quote..)?)?;
        Some([before, url.get(..quote)?, &public].concat())
    }

    /// A redirect to `http://localhost:{port}` as the browser must follow it.
    fn outward(&self, location: &[u8]) -> Option<Vec<u8>> {
        if self.permit.profile() == Profile::Public {
            return None;
        }
        let origin = origin_part(location);
        let text = std::str::from_utf8(origin).ok()?;
        let (scheme, authority) = text.split_once("://")?;
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, portway_core::host::canonical_port(port)?),
            None => (authority, if scheme == "https" { 443 } else { 80 }),
        };
        if !matches!(scheme, "http" | "https") || !(host.eq_ignore_ascii_case("localhost") || host == "127.0.0.1") {
            return None;
        }
        let public = if port == self.permit.port() {
            self.names().origin(self.target())
        } else {
            let form = PortForm::Number { port, tls: scheme == "https" };
            let workspace = &self.target().workspace;
            let host = self.names().host(self.target().domain, workspace, form).ok()?;
            self.names().origin(&Target { host, ..self.target().clone() })
        };
        let mut mapped = public.into_bytes();
        mapped.extend_from_slice(location.get(origin.len()..).unwrap_or_default());
        Some(mapped)
    }
}

/// Whether Connection names the field as one for this hop alone (RFC 9110 7.6.1).
fn is_nominated(fields: &Fields, field: &Field<'_>) -> bool {
    fields.has(Name::Connection) && fields.list_contains(Name::Connection, field.name)
}

/// `"cookies"` and `"*"` clear the whole registered domain, the control plane's login included: only what stays within the
/// origin is let through.
fn clear_site_data(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    let mut kept: Vec<&str> = Vec::new();
    for part in text.split(',').map(str::trim) {
        let safe: &[&str] = match part {
            "\"cache\"" => &["\"cache\""],
            "\"storage\"" => &["\"storage\""],
            "\"*\"" => &["\"cache\"", "\"storage\""],
            _ => &[],
        };
        kept.extend(safe.iter().filter(|word| !kept.contains(word)).copied().collect::<Vec<_>>());
    }
    (!kept.is_empty()).then(|| kept.join(", "))
}
