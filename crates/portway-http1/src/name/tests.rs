use super::*;

#[test]
fn known_names_are_known_in_any_case() {
    for (text, name) in [
        ("Host", Name::Host),
        ("Connection", Name::Connection),
        ("Keep-Alive", Name::KeepAlive),
        ("Proxy-Connection", Name::ProxyConnection),
        ("Content-Length", Name::ContentLength),
        ("Transfer-Encoding", Name::TransferEncoding),
        ("TE", Name::Te),
        ("Trailer", Name::Trailer),
        ("Upgrade", Name::Upgrade),
        ("Expect", Name::Expect),
        ("Cookie", Name::Cookie),
        ("Set-Cookie", Name::SetCookie),
        ("Set-Cookie2", Name::SetCookie2),
        ("Origin", Name::Origin),
        ("Referer", Name::Referer),
        ("Authorization", Name::Authorization),
        ("Proxy-Authorization", Name::ProxyAuthorization),
        ("Proxy-Authenticate", Name::ProxyAuthenticate),
        ("Accept", Name::Accept),
        ("Accept-Encoding", Name::AcceptEncoding),
        ("User-Agent", Name::UserAgent),
        ("Sec-Fetch-Site", Name::SecFetchSite),
        ("Sec-Fetch-Mode", Name::SecFetchMode),
        ("Sec-Fetch-Dest", Name::SecFetchDest),
        ("Sec-Fetch-User", Name::SecFetchUser),
        ("Sec-WebSocket-Key", Name::SecWebsocketKey),
        ("Sec-WebSocket-Accept", Name::SecWebsocketAccept),
        ("Sec-WebSocket-Version", Name::SecWebsocketVersion),
        ("Sec-WebSocket-Protocol", Name::SecWebsocketProtocol),
        ("Sec-WebSocket-Extensions", Name::SecWebsocketExtensions),
        ("Access-Control-Request-Method", Name::AccessControlRequestMethod),
        ("Access-Control-Request-Headers", Name::AccessControlRequestHeaders),
        ("Access-Control-Allow-Origin", Name::AccessControlAllowOrigin),
        ("Access-Control-Allow-Credentials", Name::AccessControlAllowCredentials),
        ("Vary", Name::Vary),
        ("Location", Name::Location),
        ("Content-Location", Name::ContentLocation),
        ("Refresh", Name::Refresh),
        ("Date", Name::Date),
        ("Server", Name::Server),
        ("Cache-Control", Name::CacheControl),
        ("Content-Type", Name::ContentType),
        ("Strict-Transport-Security", Name::StrictTransportSecurity),
        ("Alt-Svc", Name::AltSvc),
        ("Clear-Site-Data", Name::ClearSiteData),
        ("Public-Key-Pins", Name::PublicKeyPins),
        ("Service-Worker-Allowed", Name::ServiceWorkerAllowed),
        ("X-Forwarded-For", Name::XForwarded),
        ("X-Forwarded", Name::XForwarded),
        ("X-Forwarded-", Name::XForwarded),
        ("Forwarded", Name::Forwarded),
        ("Via", Name::Via),
        ("CDN-Loop", Name::CdnLoop),
        ("X-Portway-Token", Name::XPortway),
        ("X-Portway-", Name::XPortway),
        ("X-Real-IP", Name::Reserved),
        ("X-Original-URL", Name::Reserved),
        ("X-Rewrite-URL", Name::Reserved),
        ("Remote-User", Name::Reserved),
        ("X-Auth-Request-Email", Name::Reserved),
    ] {
        assert_eq!(Name::of(text.as_bytes()), name, "{text}");
        assert_eq!(Name::of(text.to_ascii_lowercase().as_bytes()), name, "{text}");
        assert_eq!(Name::of(text.to_ascii_uppercase().as_bytes()), name, "{text}");
    }
}

#[test]
fn names_that_are_nearly_known_are_other() {
    for text in [
        "",
        "h",
        "hos",
        "hosts",
        "xhost",
        "x-",
        "x-forward",
        "x-forwardedfor",
        "x-portway",
        "xx-portway-a",
        "x-auth",
        "x-real-ips",
        "content-length-",
        "access-control-allow-credentials-",
        "access-control-allow-credentialsX",
        "access-control-allow-credentialt",
        "content length",
        "remote-users",
    ] {
        assert_eq!(Name::of(text.as_bytes()), Name::Other, "{text}");
    }
}

#[test]
fn a_name_longer_than_any_known_keeps_its_prefix() {
    let long = |prefix: &str| Name::of(format!("{prefix}{}", "y".repeat(60)).as_bytes());
    assert_eq!(long("X-Forwarded-"), Name::XForwarded);
    assert_eq!(long("X-Portway-"), Name::XPortway);
    assert_eq!(long("X_Auth-"), Name::Reserved);
    assert_eq!(long("Access-Control-"), Name::Other);
}

#[test]
fn a_respelling_of_a_name_that_matters_is_reserved() {
    for text in [
        "X_Forwarded_For",
        "x.forwarded.for",
        "X-Forwarded_Proto",
        "x_portway_token",
        "X_Real_IP",
        "x.original.url",
        "remote_user",
        "Remote.User",
        "X_Auth_Email",
        "x-auth_request",
        "Content_Length",
        "transfer.encoding",
        "transfer_encoding",
        "set_cookie",
        "set_cookie2",
        "proxy_authorization",
        "proxy_authenticate",
        "keep_alive",
        "proxy.connection",
    ] {
        assert_eq!(Name::of(text.as_bytes()), Name::Reserved, "{text}");
    }
    for text in ["user_agent", "content_type", "access_token", "x_custom", "sec_fetch_site", "host_", "_cookie"] {
        assert_eq!(Name::of(text.as_bytes()), Name::Other, "{text}");
    }
}
