//! Ports in frames: who may show one, what a frame without a session shows, and how it gets a session (R16, R22). (In
//! Chromium: e2e/scenarios/iframes.)

use portway_testkit::{Message, Recorder};

use crate::stage::{Door, plan, private};

const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Security-Policy: default-src 'self'\r\n\
                    Content-Length: 2\r\n\r\nhi";
const BUILDER: &str = "https://builder.example";

async fn get(door: &Door, path: &str, fields: &str) -> Message {
    let mut client = door.connect().await;
    client.send(door.head(&format!("GET {path}"), fields)).await;
    client.response("GET").await.expect("an answer")
}

fn framed(referer: &str, site: &str) -> String {
    format!("Sec-Fetch-Site: {site}\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\nReferer: {referer}/\r\n")
}

#[tokio::test]
async fn private_documents_say_who_may_frame_them_beside_what_they_say_themselves() {
    let recorder = Recorder::answering(PAGE).await;
    let stage = plan().private(recorder.port()).config(&format!("[access]\nembed = [\"{BUILDER}\"]\n")).start();
    let door = stage.door_by_session(recorder.port()).await;
    let sibling = format!("http://{}", stage.host("3000"));
    let plain = stage.gateway.plain().port();
    let usual = format!(
        "frame-ancestors 'self' http://portway.localhost:{plain} http://ws.portway.localhost:{plain} \
         http://3000-ws.portway.localhost:{plain} {BUILDER}"
    );
    for (fields, wanted) in [
        ("Sec-Fetch-Dest: document\r\n".to_owned(), Some(usual.clone())),
        ("Sec-Fetch-Dest: iframe\r\n".to_owned(), Some(usual.clone())),
        // A browser that says nothing of it, by the kind of the answer.
        (String::new(), Some(usual.clone())),
        (format!("Sec-Fetch-Dest: document\r\nReferer: {sibling}/x\r\n"), Some(format!("{usual} {sibling}"))),
        ("Sec-Fetch-Dest: document\r\nReferer: http://evil.example/\r\n".to_owned(), Some(usual.clone())),
        ("Sec-Fetch-Dest: image\r\n".to_owned(), None),
        ("Sec-Fetch-Dest: empty\r\n".to_owned(), None),
    ] {
        let answer = get(&door, "/", &fields).await;
        let policies = answer.all("content-security-policy");
        let own = vec!["default-src 'self'".to_owned()];
        assert_eq!(policies, [own, wanted.into_iter().collect()].concat(), "{fields}");
    }
    stage.gateway.stop();
}

#[tokio::test]
async fn a_page_that_forbids_frames_still_does_and_a_public_one_is_anybodys() {
    for (said, wanted) in [
        ("DENY", 0),
        ("SAMEORIGIN", 0),
        ("sameorigin", 0),
        ("SAMEORIGIN, SAMEORIGIN", 0),
        ("x, deny", 0),
        ("ALLOWALL", 1),
        ("ALLOW-FROM x", 1),
    ] {
        let told = format!("HTTP/1.1 200 OK\r\nX-Frame-Options: {said}\r\nContent-Length: 0\r\n\r\n");
        let recorder = Recorder::answering(told).await;
        let (stage, _) = private(recorder.port());
        let door = stage.door_by_session(recorder.port()).await;
        let answer = get(&door, "/", "Sec-Fetch-Dest: document\r\n").await;
        assert_eq!(
            (answer.all("content-security-policy").len(), answer.all("x-frame-options").len()),
            (wanted, 1),
            "{said}"
        );
        stage.gateway.stop();
    }
    let recorder = Recorder::answering(PAGE).await;
    let stage = plan().public(recorder.port()).start();
    let answer = get(&stage.door(recorder.port()), "/", "Sec-Fetch-Dest: document\r\n").await;
    assert_eq!(answer.all("content-security-policy"), ["default-src 'self'"]);
    stage.gateway.stop();
}

#[tokio::test]
async fn a_frame_without_a_session_shows_a_button_to_pages_that_may_show_ports() {
    let recorder = Recorder::answering(PAGE).await;
    let stage = plan().private(recorder.port()).config(&format!("[access]\nembed = [\"{BUILDER}\"]\n")).start();
    let door = Door { auth: String::new(), ..stage.door(recorder.port()) };
    let control = format!("http://portway.localhost:{}", stage.gateway.plain().port());
    for (page, site) in [(BUILDER, "cross-site"), (control.as_str(), "same-site")] {
        let answer = get(&door, "/app?x", &framed(page, site)).await;
        assert_eq!(
            (answer.status(), answer.field("portway-reason").as_deref()),
            (401, Some("log-in-outside")),
            "{page}"
        );
        assert!(answer.text().contains("Show it here"));
        let cookie = answer.field("set-cookie").unwrap_or_default();
        assert!(
            cookie.starts_with("__Host-portway_ptxn=") && cookie.contains("; SameSite=None; Partitioned;"),
            "{cookie}"
        );
        assert!(answer.field("content-security-policy").unwrap_or_default().contains(BUILDER));
        assert!(!answer.text().contains(crate::stage::OWNER), "who it is about is nobody's to know");
    }
    for (page, site) in [("https://evil.example", "cross-site"), ("http://3000-other.portway.localhost:1", "same-site")]
    {
        let answer = get(&door, "/", &framed(page, site)).await;
        assert_eq!((answer.status(), answer.all("set-cookie").len()), (403, 0), "{page}");
    }
    let answer =
        get(&door, "/", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n").await;
    assert_eq!(answer.status(), 403, "a page that hides who it is");
    assert!(recorder.connections().is_empty());
    stage.gateway.stop();
}

#[tokio::test]
async fn a_ticket_for_a_frame_is_good_for_the_nonce_in_that_frame() {
    let recorder = Recorder::answering(PAGE).await;
    let stage = plan().private(recorder.port()).config(&format!("[access]\nembed = [\"{BUILDER}\"]\n")).start();
    let window = stage.door_by_session(recorder.port()).await;
    let frame = Door { auth: String::new(), ..window.clone() };
    let shown = get(&frame, "/", &framed(BUILDER, "cross-site")).await;
    let nonce = shown.field("set-cookie").unwrap_or_default().split(';').next().unwrap_or_default().to_owned();
    let text = shown.text();
    let challenge = text.split_once("data-challenge=\"").and_then(|(_, rest)| rest.split_once('"')).unwrap().0;

    let top = "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
    let cookie = window.auth.lines().next().unwrap_or_default();
    let opened = async || {
        let bare = Door { auth: format!("{cookie}\r\n"), ..frame.clone() };
        let answer = get(&bare, &format!("/.portway/embed?ch={challenge}"), top).await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert_eq!(answer.all("cross-origin-opener-policy"), ["unsafe-none"]);
        let text = answer.text();
        text.split_once("id=\"ticket\">\"").and_then(|(_, rest)| rest.split_once('"')).unwrap().0.to_owned()
    };
    let redeem = async |ticket: &str, cookie: &str, origin: &str| {
        let mut client = frame.connect().await;
        let body = format!("t={ticket}");
        let fields = format!(
            "Cookie: {cookie}\r\nOrigin: {origin}\r\nSec-Fetch-Site: same-origin\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
            body.len()
        );
        client.send(format!("{}{body}", frame.head("POST /.portway/embed", &fields))).await;
        client.response("POST").await.expect("an answer")
    };
    let own = frame.origin();
    // Another nonce, no nonce, a page of another origin: a ticket is used up or never reached.
    assert_eq!(redeem(&opened().await, &format!("__Host-portway_ptxn={}", "A".repeat(43)), &own).await.status(), 400);
    assert_eq!(redeem(&opened().await, "a=1", &own).await.status(), 400);
    assert_eq!(redeem(&opened().await, &nonce, "https://evil.example").await.status(), 403);
    let ticket = opened().await;
    let answer = redeem(&ticket, &nonce, &own).await;
    assert_eq!(answer.status(), 204, "{}", answer.text());
    let session = answer.field("set-cookie").unwrap_or_default();
    assert!(session.starts_with("__Host-portway_p=") && session.contains("; SameSite=None; Partitioned;"), "{session}");
    let session = session.split(';').next().unwrap_or_default();
    let door = Door { auth: format!("Cookie: {session}\r\n"), ..frame.clone() };
    assert_eq!(get(&door, "/", &framed(BUILDER, "cross-site")).await.text(), "hi");
    // Other pages gain nothing by it.
    for (page, site) in [("https://evil.example", "cross-site"), ("http://3000-other.portway.localhost:1", "same-site")]
    {
        assert_eq!(get(&door, "/", &framed(page, site)).await.status(), 403, "{page}");
    }
    // A second use ends the session that the first made (R10).
    assert_eq!(redeem(&ticket, &nonce, &own).await.status(), 400);
    assert_eq!(get(&door, "/", &framed(BUILDER, "cross-site")).await.status(), 401);
    assert!(!recorder.text().contains("portway_p"), "a cookie of ours reached the dev server");
    stage.gateway.stop();
}
