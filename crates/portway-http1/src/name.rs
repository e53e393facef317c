//! The field names that a proxy acts on, told apart once, when a field is read.
//!
//! Knows how names are spelled; what is done with a field of a given name is the caller's to decide.

#[cfg(test)]
mod tests;

/// Longest name in the list below, in bytes.
const LONGEST: usize = 32;

/// A known field name, ignoring ASCII case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Name {
    /// Any name that is not in this list.
    Other,
    Host,
    Connection,
    KeepAlive,
    ProxyConnection,
    ContentLength,
    TransferEncoding,
    Te,
    Trailer,
    Upgrade,
    Expect,
    Cookie,
    SetCookie,
    SetCookie2,
    Origin,
    Referer,
    Authorization,
    ProxyAuthorization,
    ProxyAuthenticate,
    Accept,
    AcceptEncoding,
    UserAgent,
    SecFetchSite,
    SecFetchMode,
    SecFetchDest,
    SecFetchUser,
    SecWebsocketKey,
    SecWebsocketAccept,
    SecWebsocketVersion,
    SecWebsocketProtocol,
    SecWebsocketExtensions,
    AccessControlRequestMethod,
    AccessControlRequestHeaders,
    AccessControlAllowOrigin,
    AccessControlAllowCredentials,
    Vary,
    Location,
    ContentLocation,
    Refresh,
    Date,
    Server,
    CacheControl,
    ContentType,
    StrictTransportSecurity,
    AltSvc,
    ClearSiteData,
    PublicKeyPins,
    ServiceWorkerAllowed,
    /// `X-Forwarded-*`.
    XForwarded,
    Forwarded,
    Via,
    CdnLoop,
    /// `X-Portway-*`.
    XPortway,
    /// A name that some servers read as one a client must not choose: `X-Real-IP`, `X-Original-URL`,
    /// `X-Rewrite-URL`, `Remote-User`, `X-Auth-*`, and every spelling with `_` or `.` for `-` of these, of
    /// `X-Forwarded-*`, of `X-Portway-*`, and of the names that frame a message or carry a credential.
    Reserved,
}

/// How many names there are; each has a bit in a 64-bit set.
pub(crate) const COUNT: u32 = Name::Reserved as u32 + 1;
const _: () = assert!(COUNT <= u64::BITS);

impl Name {
    /// Classifies a field name.
    pub fn of(name: &[u8]) -> Self {
        let mut folded = [0; LONGEST];
        let length = name.len().min(LONGEST);
        folded[..length].copy_from_slice(&name[..length]);
        let mut respelled = false;
        for b in &mut folded {
            let mark = *b == b'_' || *b == b'.';
            respelled |= mark;
            *b = if mark { b'-' } else { b.to_ascii_lowercase() };
        }
        let known = Self::of_folded(&folded[..length], name.len() > LONGEST);
        if respelled { known.respelled() } else { known }
    }

    /// The bit of this name in a set.
    pub(crate) fn bit(self) -> u64 {
        1 << (self as u8)
    }

    /// What a name with `_` or `.` for `-` is taken for: CGI and WSGI cannot tell the two apart, so a spelling of a name
    /// that matters is as dangerous as the name.
    fn respelled(self) -> Self {
        match self {
            Self::Reserved
            | Self::XForwarded
            | Self::XPortway
            | Self::ContentLength
            | Self::TransferEncoding
            | Self::SetCookie
            | Self::SetCookie2
            | Self::ProxyAuthorization
            | Self::ProxyAuthenticate
            | Self::ProxyConnection
            | Self::KeepAlive => Self::Reserved,
            _ => Self::Other,
        }
    }

    fn of_folded(name: &[u8], cut: bool) -> Self {
        if name.starts_with(b"x-") {
            return match &name[2..] {
                b"real-ip" | b"original-url" | b"rewrite-url" => Self::Reserved,
                b"forwarded" => Self::XForwarded,
                rest if rest.starts_with(b"forwarded-") => Self::XForwarded,
                rest if rest.starts_with(b"portway-") => Self::XPortway,
                rest if rest.starts_with(b"auth-") => Self::Reserved,
                _ => Self::Other,
            };
        }
        if cut {
            return Self::Other;
        }
        match name {
            b"te" => Self::Te,
            b"via" => Self::Via,
            b"date" => Self::Date,
            b"host" => Self::Host,
            b"vary" => Self::Vary,
            b"accept" => Self::Accept,
            b"cookie" => Self::Cookie,
            b"expect" => Self::Expect,
            b"origin" => Self::Origin,
            b"server" => Self::Server,
            b"alt-svc" => Self::AltSvc,
            b"referer" => Self::Referer,
            b"refresh" => Self::Refresh,
            b"trailer" => Self::Trailer,
            b"upgrade" => Self::Upgrade,
            b"cdn-loop" => Self::CdnLoop,
            b"location" => Self::Location,
            b"forwarded" => Self::Forwarded,
            b"connection" => Self::Connection,
            b"keep-alive" => Self::KeepAlive,
            b"set-cookie" => Self::SetCookie,
            b"user-agent" => Self::UserAgent,
            b"remote-user" => Self::Reserved,
            b"set-cookie2" => Self::SetCookie2,
            b"content-type" => Self::ContentType,
            b"authorization" => Self::Authorization,
            b"cache-control" => Self::CacheControl,
            b"content-length" => Self::ContentLength,
            b"sec-fetch-dest" => Self::SecFetchDest,
            b"sec-fetch-mode" => Self::SecFetchMode,
            b"sec-fetch-site" => Self::SecFetchSite,
            b"sec-fetch-user" => Self::SecFetchUser,
            b"accept-encoding" => Self::AcceptEncoding,
            b"clear-site-data" => Self::ClearSiteData,
            b"public-key-pins" => Self::PublicKeyPins,
            b"content-location" => Self::ContentLocation,
            b"proxy-connection" => Self::ProxyConnection,
            b"sec-websocket-key" => Self::SecWebsocketKey,
            b"transfer-encoding" => Self::TransferEncoding,
            b"proxy-authenticate" => Self::ProxyAuthenticate,
            b"proxy-authorization" => Self::ProxyAuthorization,
            b"sec-websocket-accept" => Self::SecWebsocketAccept,
            b"sec-websocket-version" => Self::SecWebsocketVersion,
            b"sec-websocket-protocol" => Self::SecWebsocketProtocol,
            b"service-worker-allowed" => Self::ServiceWorkerAllowed,
            b"sec-websocket-extensions" => Self::SecWebsocketExtensions,
            b"strict-transport-security" => Self::StrictTransportSecurity,
            b"access-control-allow-origin" => Self::AccessControlAllowOrigin,
            b"access-control-request-method" => Self::AccessControlRequestMethod,
            b"access-control-request-headers" => Self::AccessControlRequestHeaders,
            b"access-control-allow-credentials" => Self::AccessControlAllowCredentials,
            _ => Self::Other,
        }
    }
}
