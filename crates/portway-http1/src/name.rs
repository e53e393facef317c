//! The field names that a proxy acts on, told apart once, when a field is read.
//!
//! Knows how names are spelled; what is done with a field of a given name is the caller's to decide.

#[cfg(test)]
mod tests;

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
        match Self::of_plain(name) {
            Self::Other if name.iter().any(|b| is_mark(*b)) => Self::of_respelled(name),
            known => known,
        }
    }

    /// The bit of this name in a set.
    pub(crate) fn bit(self) -> u64 {
        1 << (self as u8)
    }

    fn of_plain(name: &[u8]) -> Self {
        if let [b'x' | b'X', b'-', rest @ ..] = name {
            return Self::of_extension(rest);
        }
        // The last letter tells apart nearly all names of one length.
        let last = name.last().map(|b| b | 0x20);
        for (known, id) in Self::of_length(name.len()) {
            if known.as_bytes().last().copied() == last && name.eq_ignore_ascii_case(known.as_bytes()) {
                return *id;
            }
        }
        Self::Other
    }

    /// What a name with `_` or `.` for `-` is taken for: CGI and WSGI cannot tell the two apart, so a spelling of a
    /// name that matters is as dangerous as the name.
    fn of_respelled(name: &[u8]) -> Self {
        let folded: Vec<u8> = name.iter().map(|b| if is_mark(*b) { b'-' } else { *b }).collect();
        match Self::of_plain(&folded) {
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

    /// What `X-` and this rest is.
    fn of_extension(rest: &[u8]) -> Self {
        let is = |known: &str| rest.eq_ignore_ascii_case(known.as_bytes());
        let begins = |known: &str| {
            let front = rest.get(..known.len());
            front.is_some_and(|front| front.eq_ignore_ascii_case(known.as_bytes()))
        };
        if is("forwarded") || begins("forwarded-") {
            Self::XForwarded
        } else if begins("portway-") {
            Self::XPortway
        } else if is("real-ip") || is("original-url") || is("rewrite-url") || begins("auth-") {
            Self::Reserved
        } else {
            Self::Other
        }
    }

    /// The known names of this many bytes, in lower case.
    fn of_length(length: usize) -> &'static [(&'static str, Self)] {
        match length {
            2 => &[("te", Self::Te)],
            3 => &[("via", Self::Via)],
            4 => &[("date", Self::Date), ("host", Self::Host), ("vary", Self::Vary)],
            6 => &[
                ("accept", Self::Accept),
                ("cookie", Self::Cookie),
                ("expect", Self::Expect),
                ("origin", Self::Origin),
                ("server", Self::Server),
            ],
            7 => &[
                ("alt-svc", Self::AltSvc),
                ("referer", Self::Referer),
                ("refresh", Self::Refresh),
                ("trailer", Self::Trailer),
                ("upgrade", Self::Upgrade),
            ],
            8 => &[("cdn-loop", Self::CdnLoop), ("location", Self::Location)],
            9 => &[("forwarded", Self::Forwarded)],
            10 => &[
                ("connection", Self::Connection),
                ("keep-alive", Self::KeepAlive),
                ("set-cookie", Self::SetCookie),
                ("user-agent", Self::UserAgent),
            ],
            11 => &[("remote-user", Self::Reserved), ("set-cookie2", Self::SetCookie2)],
            12 => &[("content-type", Self::ContentType)],
            13 => &[("authorization", Self::Authorization), ("cache-control", Self::CacheControl)],
            14 => &[
                ("content-length", Self::ContentLength),
                ("sec-fetch-dest", Self::SecFetchDest),
                ("sec-fetch-mode", Self::SecFetchMode),
                ("sec-fetch-site", Self::SecFetchSite),
                ("sec-fetch-user", Self::SecFetchUser),
            ],
            15 => &[
                ("accept-encoding", Self::AcceptEncoding),
                ("clear-site-data", Self::ClearSiteData),
                ("public-key-pins", Self::PublicKeyPins),
            ],
            16 => &[("content-location", Self::ContentLocation), ("proxy-connection", Self::ProxyConnection)],
            17 => &[("sec-websocket-key", Self::SecWebsocketKey), ("transfer-encoding", Self::TransferEncoding)],
            18 => &[("proxy-authenticate", Self::ProxyAuthenticate)],
            19 => &[("proxy-authorization", Self::ProxyAuthorization)],
            20 => &[("sec-websocket-accept", Self::SecWebsocketAccept)],
            21 => &[("sec-websocket-version", Self::SecWebsocketVersion)],
            22 => &[
                ("sec-websocket-protocol", Self::SecWebsocketProtocol),
                ("service-worker-allowed", Self::ServiceWorkerAllowed),
            ],
            24 => &[("sec-websocket-extensions", Self::SecWebsocketExtensions)],
            25 => &[("strict-transport-security", Self::StrictTransportSecurity)],
            27 => &[("access-control-allow-origin", Self::AccessControlAllowOrigin)],
            29 => &[("access-control-request-method", Self::AccessControlRequestMethod)],
            30 => &[("access-control-request-headers", Self::AccessControlRequestHeaders)],
            32 => &[("access-control-allow-credentials", Self::AccessControlAllowCredentials)],
            _ => &[],
        }
    }
}

/// What stands for `-` in a respelled name.
fn is_mark(b: u8) -> bool {
    matches!(b, b'_' | b'.')
}
