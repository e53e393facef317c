//! What a dev server may not say to a browser: cookies for other workspaces or in our name, fields that bind the whole
//! domain, and addresses that only it can reach (R6, R24, R29).

use portway_testkit::upstream::Server;
use portway_testkit::{Client, Message};

use crate::stage::{Door, private};
use crate::upstreams;

/// Asks the parrot for a final response with these fields, and for a 103 with the same ones before it.
async fn told(client: &mut Client, door: &Door, fields: &str) -> (Message, Message) {
    let told = format!("HTTP/1.1 103 Early Hints\r\n{fields}\r\nHTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n");
    let request = format!("{}{told}", door.head("POST /", &format!("Content-Length: {}\r\n", told.len())));
    client.send(request).await;
    let early = client.response_head().await.expect("a 103");
    assert_eq!(early.status(), 103, "{fields}");
    (early, client.response("POST").await.expect("an answer"))
}

async fn stage() -> (Server, crate::stage::Stage, Door) {
    let parrot = upstreams::parrot().await;
    let (stage, door) = private(parrot.port());
    (parrot, stage, door)
}

#[tokio::test]
async fn cookies_are_for_one_host_and_never_ours() {
    let (_parrot, stage, door) = stage().await;
    let mut client = door.connect().await;
    for (sent, kept) in [
        ("a=1; Path=/; HttpOnly", Some("a=1; Path=/; HttpOnly")),
        ("a=1; Domain=portway.localhost", Some("a=1")),
        ("a=1; domain = .PORTWAY.localhost; Secure", Some("a=1; Secure")),
        ("a=1; Domain=x; Path=/; DOMAIN=y", Some("a=1; Path=/")),
        ("a=1;Domain=x;SameSite=Lax", Some("a=1;SameSite=Lax")),
        ("a=1; Domain", Some("a=1")),
        ("a=Domain=x; Path=/", Some("a=Domain=x; Path=/")),
        ("session=eyJhIjoxfQ.Zz.x; HttpOnly; Path=/", Some("session=eyJhIjoxfQ.Zz.x; HttpOnly; Path=/")),
        ("__Host-app=1; Secure; Path=/", Some("__Host-app=1; Secure; Path=/")),
        ("__Host-portway=evil; Secure; Path=/", None),
        ("__host-PORTWAY=evil; Secure; Path=/", None),
        ("__Host-portway_txn=evil", None),
        ("__Host-portway_login=evil", None),
        ("__Host-portway =evil", None),
        ("=__Host-portway=evil", None),
        ("\u{2000}__Host-portway=evil", None),
    ] {
        let (early, answer) = told(&mut client, &door, &format!("Set-Cookie: {sent}\r\n")).await;
        let wanted: Vec<String> = kept.into_iter().map(str::to_owned).collect();
        assert_eq!(early.all("set-cookie"), wanted, "{sent:?} in a 103");
        assert_eq!(answer.all("set-cookie"), wanted, "{sent:?}");
    }
    let three = "Set-Cookie: a=1\r\nSet-Cookie: __Host-portway=x\r\nSet-Cookie: b=2; Domain=x\r\nSet-Cookie: a=3\r\n";
    let (_, answer) = told(&mut client, &door, three).await;
    assert_eq!(answer.all("set-cookie"), ["a=1", "b=2", "a=3"]);
    stage.gateway.stop();
}

#[tokio::test]
async fn fields_that_bind_more_than_the_workspace_go() {
    let (_parrot, stage, door) = stage().await;
    let mut client = door.connect().await;
    for gone in [
        "Strict-Transport-Security: max-age=0",
        "Alt-Svc: h3=\":443\"",
        "Public-Key-Pins: pin-sha256=\"x\"; max-age=1",
        "Proxy-Authenticate: Basic",
        "Set-Cookie2: a=1",
        "Portway-Reason: log-in",
        "X-Portway-User: x",
        "Clear-Site-Data: \"cookies\"",
        "Clear-Site-Data: \"executionContexts\"",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: close",
        "Connection: X-Private\r\nX-Private: 1",
        "TE: trailers",
        "Upgrade: h2c",
    ] {
        let (early, answer) = told(&mut client, &door, &format!("X-Before: 1\r\n{gone}\r\nX-After: 2\r\n")).await;
        let names = |message: &Message| message.fields().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(&early), ["X-Before", "X-After"], "{gone} in a 103");
        assert_eq!(names(&answer), ["X-Before", "X-After", "Content-Length"], "{gone}");
    }
    for (sent, kept) in [
        ("\"cache\", \"cookies\", \"storage\"", "\"cache\", \"storage\""),
        ("\"*\"", "\"cache\", \"storage\""),
        ("\"cache\"", "\"cache\""),
        ("\"*\", \"storage\"", "\"cache\", \"storage\""),
    ] {
        let (_, answer) = told(&mut client, &door, &format!("Clear-Site-Data: {sent}\r\n")).await;
        assert_eq!(answer.all("clear-site-data"), [kept], "{sent}");
    }
    for kept in [
        "Service-Worker-Allowed: /",
        "Content-Security-Policy: default-src 'self'",
        "Server: x",
        "Date: Thu, 01 Jan 1970 00:00:00 GMT",
        "WWW-Authenticate: Basic",
        "X-Forwarded-Host: evil.example",
        "Via: 1.1 x",
    ] {
        let (_, answer) = told(&mut client, &door, &format!("{kept}\r\n")).await;
        assert!(String::from_utf8_lossy(&answer.head).contains(&format!("{kept}\r\n")), "{kept}");
    }
    stage.gateway.stop();
}

#[tokio::test]
async fn addresses_of_localhost_become_public_ones() {
    let (_parrot, stage, door) = stage().await;
    let mut client = door.connect().await;
    let (port, here, there) = (door.port, door.origin(), format!("http://{}", stage.host("5000")));
    for (sent, wanted) in [
        (format!("http://localhost:{port}/a?b#c"), format!("{here}/a?b#c")),
        (format!("http://127.0.0.1:{port}/"), format!("{here}/")),
        (format!("http://localhost:{port}"), here.clone()),
        ("http://localhost:5000/x".into(), format!("{there}/x")),
        ("/relative//%2f".into(), "/relative//%2f".into()),
        ("?q".into(), "?q".into()),
        ("https://example.com/".into(), "https://example.com/".into()),
        (format!("http://localhost.evil.example:{port}/"), format!("http://localhost.evil.example:{port}/")),
        ("//localhost:5000/x".into(), format!("{there}/x")),
        (format!("http://[::1]:{port}/"), format!("{here}/")),
    ] {
        let (_, answer) = told(&mut client, &door, &format!("Location: {sent}\r\n")).await;
        assert_eq!(answer.all("location"), [wanted.as_str()], "{sent}");
        let (_, answer) = told(&mut client, &door, &format!("Content-Location: {sent}\r\n")).await;
        assert_eq!(answer.all("content-location"), [wanted], "{sent}");
    }
    let (_, answer) = told(&mut client, &door, &format!("Refresh: 5; url=http://localhost:{port}/a\r\n")).await;
    assert_eq!(answer.all("refresh"), [format!("5; url={here}/a")]);
    let (_, answer) = told(&mut client, &door, "Access-Control-Allow-Origin: http://localhost:5000\r\n").await;
    assert_eq!(answer.all("access-control-allow-origin"), [there]);
    stage.gateway.stop();
}
