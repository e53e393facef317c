//! A login on one port takes the workspace's other ports along, each with a nonce, a ticket and a session of its own; what
//! nobody knew of is repaired by the next navigation. (In Chromium: e2e/scenarios/siblings.)

use portway_testkit::{Echo, Message, Recorder, Visitor, eventually_async};

use crate::stage::{Door, OWNER, plan};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A fetch with the visitor's cookies from a page on `page` to `door`.
async fn fetch(visitor: &Visitor, page: &Door, door: &Door) -> Message {
    let host = door.host.split(':').next().unwrap_or_default();
    let bare = Door { auth: String::new(), ..door.clone() };
    let fields = format!(
        "Cookie: {}\r\nOrigin: {}\r\nSec-Fetch-Site: same-site\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n",
        visitor.cookies(host),
        page.origin()
    );
    let mut client = bare.connect().await;
    client.send(bare.head("GET /api", &fields)).await;
    client.response("GET").await.expect("an answer")
}

async fn two_ports() -> (Recorder, Recorder) {
    (Recorder::answering(OK).await, Recorder::answering(OK).await)
}

#[tokio::test]
async fn declared_ports_are_taken_along() {
    let (page, api) = two_ports().await;
    let stage = plan().private(page.port()).start();
    stage.gateway.run(&["port", "set", "ws", &api.port().to_string()]);
    let (page, api) = (stage.door(page.port()), stage.door(api.port()));
    let url = format!("{}/deep?x=1%2F2", page.origin());
    eventually_async("a login that takes the sibling along", async || {
        let mut visitor = stage.log_in(OWNER).await;
        let arrived = visitor.open(&url).await;
        assert_eq!((arrived.url.as_str(), arrived.answer.status()), (url.as_str(), 200));
        // The change may be noticed a moment later than this login.
        fetch(&visitor, &page, &api).await.status() == 200
    })
    .await;
    stage.gateway.stop();
}

#[tokio::test]
async fn each_host_has_a_session_of_its_own() {
    let (page, api) = two_ports().await;
    let stage = plan().private(page.port()).start();
    let (page, api) = (stage.door(page.port()), stage.door(api.port()));
    let mut visitor = stage.log_in(OWNER).await;
    visitor.open(&format!("{}/", api.origin())).await;
    // Opened by somebody: known as a sibling from now on.
    let mut other = stage.log_in(OWNER).await;
    let arrived = other.open(&format!("{}/", page.origin())).await;
    assert_eq!(arrived.answer.status(), 200);
    assert_eq!(fetch(&other, &page, &api).await.status(), 200);
    let cookie = |door: &Door| other.cookies(door.host.split(':').next().unwrap_or_default());
    let session = |cookies: &str| {
        let found = cookies.split("; ").find_map(|pair| pair.strip_prefix("__Host-portway=").map(str::to_owned));
        found.expect("a session")
    };
    let (mine, its) = (session(&cookie(&page)), session(&cookie(&api)));
    assert_ne!(mine, its);
    // One is nobody on the other's host.
    let bare = Door { auth: format!("Cookie: __Host-portway={mine}\r\n"), ..api.clone() };
    assert_eq!(bare.get("/").await, 401);
    stage.gateway.stop();
}

#[tokio::test]
async fn what_nobody_knew_of_is_repaired_by_the_next_navigation() {
    let (page, api) = two_ports().await;
    let stage = plan().private(page.port()).start();
    let (page, api) = (stage.door(page.port()), stage.door(api.port()));
    let mut visitor = stage.log_in(OWNER).await;
    let url = format!("{}/", page.origin());
    assert_eq!(visitor.open(&url).await.answer.status(), 200);
    let refused = fetch(&visitor, &page, &api).await;
    assert_eq!((refused.status(), refused.all("access-control-allow-origin")), (401, vec![page.origin()]));
    // The notice travels to every core; then a navigation on the page's own host is enough.
    eventually_async("the repair", async || {
        let arrived = visitor.open(&url).await;
        assert_eq!((arrived.url.as_str(), arrived.answer.status()), (url.as_str(), 200));
        fetch(&visitor, &page, &api).await.status() == 200
    })
    .await;
    stage.gateway.stop();
}

#[tokio::test]
async fn a_forged_call_costs_one_detour_and_no_more() {
    let echo = Echo::start().await;
    let stage = plan().private(echo.port()).start();
    let page = stage.door(echo.port());
    let mut visitor = stage.log_in(OWNER).await;
    let url = format!("{}/", page.origin());
    visitor.open(&url).await;
    // A stranger pretends that a page of the workspace called these ports.
    for port in ["1001", "1002", "1003"] {
        let door = Door { host: stage.host(port), auth: String::new(), ..page.clone() };
        let mut client = door.connect().await;
        client.send(door.head("GET /", &format!("Origin: {}\r\nSec-Fetch-Mode: cors\r\n", page.origin()))).await;
        assert_eq!(client.response("GET").await.unwrap().status(), 401);
    }
    let detours = || {
        let log = stage.gateway.log();
        log.iter().filter(|line| line["reason"] == "siblings" && line["host"] == page.host.as_str()).count()
    };
    eventually_async("the detour", async || {
        assert_eq!(visitor.open(&url).await.answer.status(), 200);
        detours() > 0
    })
    .await;
    for _ in 0..5 {
        assert_eq!(visitor.open(&url).await.answer.status(), 200);
    }
    assert_eq!(detours(), 1);
    stage.gateway.stop();
}

#[tokio::test]
async fn only_hosts_of_the_same_workspace_can_stand_in_a_chain() {
    let echo = Echo::start().await;
    let stage = plan().private(echo.port()).start();
    let page = stage.door(echo.port());
    let host = |door: &Door| door.host.split(':').next().unwrap_or_default().to_owned();
    let ask = format!("host={}&return=%2F&ch={}", host(&page), "A".repeat(43));
    let sibling = Door { host: stage.host("1234"), auth: String::new(), ..page.clone() };
    let get = async |door: &Door, path: String| {
        let mut client = door.connect().await;
        client
            .send(door.head(&format!("GET {path}"), "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n"))
            .await;
        client.response("GET").await.expect("an answer")
    };
    let good =
        get(&sibling, format!("/.portway/join?{ask}&ahead={}", stage.host("1235").split(':').next().unwrap())).await;
    assert_eq!(good.status(), 303, "{}", good.text());
    assert!(
        good.field("location")
            .unwrap_or_default()
            .starts_with(&format!("http://{}/.portway/join?", stage.host("1235")))
    );
    assert!(good.field("set-cookie").unwrap_or_default().starts_with("__Host-portway_txn="));
    let other = stage.host("1235").replace("-ws.", "-other.");
    for bad in [
        format!("{ask}&ahead={}", other.split(':').next().unwrap()),
        format!("{ask}&ahead=evil.example"),
        format!("{ask}&ahead={}", stage.host("1235")),
        format!("{ask}&ahead=portway.localhost"),
        format!("{ask}&ahead={}", host(&page)),
        format!("{ask}&met={}:x", host(&sibling)),
        format!("{ask}&met=evil.example:{}", "A".repeat(43)),
        ask.replace("-ws.", "-other."),
        format!("{ask}&ahead={}", (1..=9).map(|n| format!("{n}-ws.portway.localhost")).collect::<Vec<_>>().join(",")),
    ] {
        let answer = get(&sibling, format!("/.portway/join?{bad}")).await;
        assert_eq!((answer.status(), answer.all("set-cookie").len()), (400, 0), "{bad}");
    }
    // And a callback hands tickets on to siblings alone.
    let ticket = "A".repeat(43);
    for then in [format!("evil.example:{ticket}"), format!("{}:{ticket}", other.split(':').next().unwrap()), "x".into()]
    {
        let answer = get(&sibling, format!("/.portway/callback?t={ticket}&then={then}")).await;
        assert_eq!((answer.status(), answer.field("location")), (400, None), "{then}");
    }
    stage.gateway.stop();
}

#[tokio::test]
async fn a_login_that_was_lost_on_the_way_goes_alone_when_it_is_tried_again() {
    let (page, api) = two_ports().await;
    let stage = plan().private(page.port()).start();
    let (page, api) = (stage.door(page.port()), stage.door(api.port()));
    // Opened by somebody: a sibling from now on.
    stage.log_in(OWNER).await.open(&format!("{}/", api.origin())).await;
    let visitor = stage.log_in(OWNER).await;
    let control = Door {
        host: format!("portway.localhost:{}", stage.gateway.plain().port()),
        auth: format!("Cookie: {}\r\n", visitor.cookies("portway.localhost")),
        ..page.clone()
    };
    let host = page.host.split(':').next().unwrap_or_default();
    let path = format!("/.portway/authorize?host={host}&return=%2F&ch={}", "A".repeat(43));
    let mut led = Vec::new();
    for _ in 0..2 {
        let mut client = control.connect().await;
        client.send(control.head(&format!("GET {path}"), "")).await;
        led.push(client.response("GET").await.expect("an answer").field("location").unwrap_or_default());
    }
    // A service worker on the sibling's host may have answered the first.
    assert!(led[0].starts_with(&format!("{}/.portway/join?", api.origin())), "{led:?}");
    assert!(led[1].starts_with(&format!("{}/.portway/callback?t=", page.origin())), "{led:?}");
    assert!(!led[1].contains("then="), "{led:?}");
    stage.gateway.stop();
}
