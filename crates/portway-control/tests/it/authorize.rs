//! The authoriser: who gets a ticket, and what everybody else sees.

use http::StatusCode;
use portway_core::access::{self, Decision, Rules, Visitor};
use portway_core::cookie;
use portway_core::secret::Secret;
use portway_core::workspace::Level;

use crate::stage::{CONTROL, HERS, HIS, PASSWORD, Stage, authorize_url, page, random, target};

#[tokio::test]
async fn a_visit_goes_over_the_login_back_to_the_exact_address() {
    let stage = Stage::new().await;
    let mut browser = stage.browser();
    let asked = browser.visit(HERS, "/app/?q=1&r=a%20b").await;
    assert!(asked.header("location").starts_with(&page("login?next=%2F.portway%2Fauthorize%3F")), "{asked:?}");
    let form = browser.follow(&asked).await;
    assert!(form.text.contains(HERS), "it says where one will be taken");
    let (_, rest) = form.text.split_once("name=\"next\" value=\"").unwrap();
    let next = rest.split('"').next().unwrap().replace("&#38;", "&");
    let logged_in = browser.post(&page("login"), &[("user", "alice"), ("password", PASSWORD), ("next", &next)]).await;
    assert_eq!(logged_in.status, StatusCode::OK, "a redirect would fall under form-action");
    let ticket = browser.follow(&logged_in).await;
    assert!(ticket.header("location").starts_with(&format!("https://{HERS}/.portway/callback?t=")), "{ticket:?}");
    let landed = browser.follow(&ticket).await;
    assert_eq!(landed.leads_to(), format!("https://{HERS}/app/?q=1&r=a%20b"));
    let value = browser.cookie(HERS, cookie::SESSION).unwrap().to_owned();
    let cookie = format!("__Host-portway={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=28800");
    assert_eq!(landed.set_cookies(), [cookie]);
    assert_eq!(stage.audit().await, ["login", "ticket", "session"]);

    // The session opens this host and no other, already now.
    let world = stage.publisher.current();
    let session = world.session(&Secret::read(value.as_bytes()).unwrap().hash()).unwrap().clone();
    assert_eq!((&*session.user, &*session.host), ("alice", HERS));
    let now = stage.store.now().await.unwrap();
    let decide =
        |host| access::decide(&world, &Rules::default(), &target(host), &Visitor::Session(session.clone()), now);
    assert!(matches!(decide(HERS), Decision::Permit(_)));
    for other in ["5000-atelier.code.example", "3000s-atelier.code.example", "atelier.code.example", HIS] {
        assert!(matches!(decide(other), Decision::Challenge), "{other}");
    }
}

#[tokio::test]
async fn a_stranger_cannot_tell_absent_from_forbidden_from_stopped() {
    let stage = Stage::new().await;
    let mut seen = Vec::new();
    for host in [
        HERS,
        "8080-atelier.code.example",
        "22-atelier.code.example",
        "3000-nowhere.code.example",
        "3000-attic.code.example",
        "den.code.example",
    ] {
        let mut carol = stage.logged_in("carol").await;
        let answer = carol.visit(host, "/").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{host}");
        seen.push((format!("{:?}", answer.headers), answer.text));
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
    let reasons: Vec<_> = stage.store.audit_rows(10).await.unwrap().into_iter().map(|row| row.detail).collect();
    assert_eq!(reasons, ["no-grant", "no-grant", "no-workspace", "port-denied", "no-grant", "no-grant"]);
    let mut bob = stage.logged_in("bob").await;
    let stopped = bob.visit("3000-attic.code.example", "/").await;
    assert_eq!((stopped.status, stopped.reason()), (StatusCode::NOT_FOUND, "not-found"));
}

#[tokio::test]
async fn anonymous_is_told_to_log_in_for_every_well_formed_name() {
    let stage = Stage::new().await;
    let mut seen = Vec::new();
    for host in [HERS, "3000-nowhere.code.example", "22-atelier.code.example", "8080-atelier.code.example"] {
        let answer = stage.browser().visit(host, "/").await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        let mut headers = answer.headers.clone();
        let location = headers.remove("location").unwrap();
        let at = location.to_str().unwrap().find("%26ch%3D").unwrap();
        seen.push((location.to_str().unwrap()[..at].replace(host, "HOST"), format!("{headers:?}"), answer.text));
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
    assert!(stage.audit().await.is_empty());
}

#[tokio::test]
async fn looking_for_what_others_have_is_slowed_down() {
    let stage = Stage::new().await;
    let mut carol = stage.logged_in("carol").await;
    for number in 0..60 {
        assert_eq!(carol.visit(&format!("3000-w{number}.code.example"), "/").await.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(carol.visit("3000-w60.code.example", "/").await.status, StatusCode::TOO_MANY_REQUESTS);
    let mut bob = stage.logged_in("bob").await;
    assert_eq!(bob.visit("3000-w60.code.example", "/").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_guest_is_asked_once_for_each_port_and_nothing_is_told_before() {
    let stage = Stage::new().await;
    stage.share("atelier", 3000, None, &["bob"]).await;
    stage.share("atelier", 5000, Some(Level::Authenticated), &[]).await;
    let mut bob = stage.logged_in("bob").await;
    let asked = bob.visit(HERS, "/x?y=1").await;
    assert_eq!(asked.status, StatusCode::OK);
    for word in ["alice", "Atelier", "3000", HERS, "Continue"] {
        assert!(asked.text.contains(word), "the page names {word}");
    }
    assert!(!stage.audit().await.contains(&"ticket".to_owned()), "nothing happens by looking");
    let (_, rest) = asked.text.split_once("name=\"ch\" value=\"").unwrap();
    let challenge = rest.split('"').next().unwrap().to_owned();
    let agreed = bob.post(&page("consent"), &[("host", HERS), ("return", "/x?y=1"), ("ch", &challenge)]).await;
    assert_eq!(agreed.status, StatusCode::OK, "a redirect would fall under form-action");
    assert!(agreed.leads_to().starts_with(&page("authorize?")), "{}", agreed.leads_to());
    let ticket = bob.follow(&agreed).await;
    let landed = bob.follow(&ticket).await;
    assert_eq!(landed.leads_to(), format!("https://{HERS}/x?y=1"));

    assert!(bob.visit(HERS, "/").await.header("location").contains("/.portway/callback?t="), "once is enough");
    assert_eq!(bob.visit("5000-atelier.code.example", "/").await.status, StatusCode::OK, "another port asks anew");
    let mut alice = stage.logged_in("alice").await;
    assert_eq!(alice.visit(HERS, "/").await.status, StatusCode::SEE_OTHER, "owners are not asked");
}

#[tokio::test]
async fn consent_does_not_stand_in_for_access() {
    let stage = Stage::new().await;
    let challenge = random().hash().text();
    let mut carol = stage.logged_in("carol").await;
    let answer = carol.post(&page("consent"), &[("host", HERS), ("return", "/"), ("ch", &challenge)]).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(!stage.store.has_consent("carol", "atelier", 3000).await.unwrap());
    let anonymous =
        stage.browser().post(&page("consent"), &[("host", HERS), ("return", "/"), ("ch", &challenge)]).await;
    assert!(anonymous.leads_to().starts_with(&page("login?")));
}

#[tokio::test]
async fn a_public_port_gives_no_identity_without_asking() {
    let stage = Stage::with(Rules::default()).await;
    stage.share("atelier", 3000, Some(Level::Public), &[]).await;
    let mut bob = stage.logged_in("bob").await;
    let answer = bob.visit(HERS, "/").await;
    assert!(answer.status == StatusCode::OK && answer.text.contains("Continue"));
}

#[tokio::test]
async fn frames_images_fetches_and_prerenders_get_nothing() {
    let stage = Stage::new().await;
    let url = authorize_url(HERS, "/", &random().hash().text());
    for headers in [
        &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")][..],
        &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")],
        &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "cors"), ("origin", "https://3000-den.code.example")],
        &[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")],
        &[
            ("sec-fetch-site", "none"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
            ("sec-purpose", "prefetch"),
        ],
    ] {
        let mut alice = stage.logged_in("alice").await;
        assert_eq!(alice.send("GET", &url, headers, "").await.status, StatusCode::FORBIDDEN, "{headers:?}");
    }
    assert!(stage.audit().await.is_empty());
}

#[tokio::test]
async fn a_browser_that_keeps_no_cookie_is_stopped_with_an_explanation() {
    let stage = Stage::new().await;
    let mut alice = stage.logged_in("alice").await;
    for _ in 0..3 {
        assert_eq!(alice.visit(HERS, "/").await.status, StatusCode::SEE_OTHER);
    }
    let stop = alice.visit(HERS, "/").await;
    assert_eq!((stop.status, stop.reason()), (StatusCode::TOO_MANY_REQUESTS, "cookies-blocked"));
    assert!(stop.text.contains("blocks cookies") && stop.text.contains(&format!("href=\"https://{HERS}/\"")));
    assert_eq!(
        alice.visit("5000-atelier.code.example", "/").await.status,
        StatusCode::SEE_OTHER,
        "another host is fine"
    );
}

#[tokio::test]
async fn what_is_not_a_whole_request_is_refused_before_anybody_logs_in() {
    let stage = Stage::new().await;
    let ch = random().hash().text();
    for query in [
        String::new(),
        format!("host={HERS}&return=/"),
        format!("return=/&ch={ch}"),
        format!("host={HERS}&return=/&ch={}", &ch[1..]),
        format!("host={HERS}&return=/&ch={ch}A"),
        format!("host={HERS}&host={HIS}&return=/&ch={ch}"),
        format!("host={CONTROL}&return=/&ch={ch}"),
        format!("host=03000-atelier.code.example&return=/&ch={ch}"),
    ] {
        for user in [None, Some("alice")] {
            let mut browser = match user {
                Some(user) => stage.logged_in(user).await,
                None => stage.browser(),
            };
            let answer = browser.get(&page(&format!("authorize?{query}"))).await;
            assert_eq!((answer.status, answer.reason()), (StatusCode::BAD_REQUEST, "bad-request"), "{query}");
        }
    }
}
