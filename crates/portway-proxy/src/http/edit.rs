//! What the dev server sees and what the browser gets back: every change the gateway makes to a head.
//!
//! Requests: Host, Origin, Referer and X-Forwarded-* become one consistent set; our cookies and tokens, hop-by-hop and
//! spoofable fields go (R1, R25, R26). Responses: hop-by-hop and fields that would bind more than one workspace go (R6,
//! R24). Everything else passes in its order and case. It decides nothing about access.

use std::borrow::Cow;
use std::net::IpAddr;

use bytes::BytesMut;
use portway_core::access::Permit;
use portway_core::cookie;
use portway_core::mapping::Mapping;
use portway_core::secret::TOKEN_PREFIX;
use portway_core::workspace::{Cors, Profile};
use portway_http1::{Field, Fields, Framing, HeadWriter, Name, Reject, RequestHead};

use super::{cors, frames, loops};
use crate::core::Visit;
use crate::settings::Settings;
use crate::span::{self, Context};

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
    /// The Origin of a page on another port of the workspace, which may read the answer.
    pub sibling: Option<&'a [u8]>,
    /// The port is private, so that only some pages may show it in a frame.
    pub guarded: bool,
    /// What the dev server is told of its name.
    pub profile: Profile,
    /// That was nobody's choice, so that a refusal of it is told and not passed on.
    pub switchable: bool,
    /// The request goes by the IDE, below this prefix.
    pub carried: Option<&'a str>,
    pub head: &'a RequestHead,
    /// The request's id, for the API server.
    pub trace: Option<(&'a str, &'a str)>,
    /// What a dev server is told of a traced request.
    pub context: Option<Context>,
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

impl<'a> Edit<'a> {
    /// The edits of one request under its permit.
    pub fn new(
        settings: &'a Settings,
        visit: &Visit,
        head: &'a RequestHead,
        permit: &'a Permit,
        trace: Option<&'a str>,
        context: Option<Context>,
    ) -> Self {
        let upgrade = head.upgrade_websocket();
        let ours = !upgrade && permit.cors() == Cors::Gateway && head.fields().has(Name::Origin);
        let sibling = if ours { cors::sibling(head, &settings.names, permit.target()) } else { None };
        let guarded = permit.is_ambient() && !upgrade;
        Self {
            settings,
            permit,
            peer: visit.client(head),
            upgrade,
            secure: visit.secure,
            sibling,
            guarded,
            profile: permit.profile(),
            switchable: false,
            carried: None,
            head,
            // What is in a workspace gets what the visitor sent, and nothing more.
            trace: settings.trace_field.as_deref().zip(trace).filter(|_| permit.is_front()),
            context,
        }
    }

    /// Writes the request head for the dev server.
    ///
    /// # Errors
    /// Where a made value could not stand in a field: refuses the request, 400.
    pub fn write_request(&self, head: &RequestHead, out: &mut BytesMut) -> Result<(), Reject> {
        let fields = head.fields();
        let path = head.path_and_query();
        let mut writer = match self.carried {
            Some(prefix) => HeadWriter::request(out, head.method(), &[prefix.as_bytes(), path].concat())?,
            None => HeadWriter::request(out, head.method(), path)?,
        };
        let mapping = self.mapping();
        let front = self.permit.is_front();
        let (host, scheme) = if front {
            // The API server knows its own name, as the visitor said it.
            (
                String::from_utf8_lossy(head.authority().unwrap_or_default()).into_owned(),
                self.settings.names.control.scheme,
            )
        } else {
            (mapping.host(), mapping.scheme())
        };
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
                // The IDE would compress what it carries, and hold an event stream back for it.
                Name::AcceptEncoding if self.carried.is_some() => {}
                // HTTP/1.0 cannot be told to go on (RFC 9110 10.1.1).
                Name::Expect if !head.expects_continue() => {}
                _ if is_nominated(fields, &field) => {}
                _ if self.trace.is_some_and(|(name, _)| field.name.eq_ignore_ascii_case(name.as_bytes())) => {}
                _ if self.context.is_some() && field.name.eq_ignore_ascii_case(span::FIELD.as_bytes()) => {}
                Name::Cookie => {
                    if let Some(kept) =
                        cookie::strip(field.value, self.settings.control_cookie.as_ref().filter(|_| !front))
                    {
                        writer.put(field.name, &kept)?;
                    }
                }
                // It is the app's, unless a token of ours strayed into it (R56).
                Name::Authorization if field.value.windows(TOKEN.len()).any(|part| part == TOKEN) => {}
                // An origin alone is a URL without a path.
                Name::Origin | Name::Referer => writer.put(field.name, mapping.inward(field.value))?,
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
        if let Some((name, trace)) = self.trace {
            writer.put(name, trace)?;
        }
        if let Some(context) = self.context {
            writer.put(span::FIELD, context.field())?;
        }
        writer.put("X-Forwarded-For", self.peer.to_string())?;
        // An IDE that carries a WebSocket compares this with Origin, also where the page is on another port of the workspace.
        // The browser policy has agreed to it.
        let asked_by = if self.carried.is_some() && self.upgrade { fields.get(Name::Origin) } else { None };
        let asked_by = asked_by.and_then(|origin| host_of(&mapping.inward(origin)));
        writer.put("X-Forwarded-Host", asked_by.as_ref().unwrap_or(&host))?;
        writer.put("X-Forwarded-Proto", scheme.as_str())?;
        writer.put(loops::FIELD, loops::OURS)?;
        writer.finish();
        Ok(())
    }

    /// Walks the response fields that go to the visitor. Framing fields are left to the protocol's writer, except the
    /// Content-Length that describes a body which is not sent (HEAD, 304).
    pub fn response<'f>(&self, fields: &'f Fields, bodyless: bool, mut sink: impl FnMut(Edited<'f>)) {
        let mapping = self.mapping();
        for field in fields.iter() {
            match field.id {
                Name::Connection
                | Name::KeepAlive
                | Name::ProxyConnection
                | Name::ProxyAuthenticate
                | Name::TransferEncoding
                | Name::Te
                | Name::Upgrade
                | Name::XPortway => {}
                // What follows would bind more than one workspace; the API server answers for its own host.
                _ if self.permit.is_front() && !is_nominated(fields, &field) && field.id != Name::ContentLength => {
                    sink(Edited::Kept(field));
                }
                Name::StrictTransportSecurity | Name::AltSvc | Name::PublicKeyPins | Name::SetCookie2 => {}
                Name::AccessControlAllowOrigin | Name::AccessControlAllowCredentials if self.sibling.is_some() => {}
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
                Name::Refresh => match mapping.refresh_outward(field.value) {
                    Some(public) => sink(Edited::Changed(field.name, public.into())),
                    None => sink(Edited::Kept(field)),
                },
                Name::Location | Name::ContentLocation if self.is_prefixed(field.value) => {
                    // The IDE has put its prefix in front of a path.
                    let skip = self.carried.map_or(0, str::len);
                    let value = field.value.get(skip..).filter(|rest| !rest.is_empty()).unwrap_or(b"/");
                    sink(Edited::Changed(field.name, value.into()));
                }
                Name::Location | Name::ContentLocation | Name::AccessControlAllowOrigin => {
                    match mapping.outward(field.value) {
                        Some(public) => sink(Edited::Changed(field.name, public.into())),
                        None => sink(Edited::Kept(field)),
                    }
                }
                _ if field.name.eq_ignore_ascii_case(b"portway-reason") || is_nominated(fields, &field) => {}
                _ => sink(Edited::Kept(field)),
            }
        }
        if let Some(origin) = self.sibling {
            sink(Edited::Added("Access-Control-Allow-Origin", String::from_utf8_lossy(origin).into_owned()));
            sink(Edited::Added("Access-Control-Allow-Credentials", "true".to_owned()));
        }
        // The answer differs by who asks, and caches must know, also those that keep it for the port's own page (Fetch 3.3.5).
        let differs = self.sibling.is_some() || self.guarded && self.permit.cors() == Cors::Gateway;
        if differs && !fields.list_contains(Name::Vary, "origin") && !fields.list_contains(Name::Vary, "*") {
            sink(Edited::Added("Vary", "Origin".to_owned()));
        }
        if self.guarded && frames::needs_guard(self.head, fields) {
            sink(Edited::Added(
                "Content-Security-Policy",
                frames::ancestors(self.settings, self.permit.target(), self.head),
            ));
        }
        if self.secure && self.settings.hsts > 0 {
            sink(Edited::Added("Strict-Transport-Security", format!("max-age={}", self.settings.hsts)));
        }
    }

    fn is_prefixed(&self, location: &[u8]) -> bool {
        let rest = self.carried.and_then(|prefix| location.strip_prefix(prefix.as_bytes()));
        rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'/' | b'?' | b'#')))
    }

    fn mapping(&self) -> Mapping<'_> {
        let permit = self.permit;
        Mapping {
            names: &self.settings.names,
            target: permit.target(),
            port: permit.port(),
            scheme: permit.scheme(),
            profile: self.profile,
        }
    }
}

/// `host[:port]` of an origin.
fn host_of(origin: &[u8]) -> Option<String> {
    let (_, host) = std::str::from_utf8(origin).ok()?.split_once("://")?;
    Some(host.to_owned())
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
