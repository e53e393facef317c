//! Tickets at the workspace host: one browser, one host, one use.

use http::StatusCode;
use portway_core::cookie;
use portway_core::secret::Secret;
use portway_core::ticket::Ticket;

use crate::login::join_all;
use crate::stage::{Answer, Browser, CONTROL, HERS, HIS, Stage, authorize_url, random};

async fn ticket_of(browser: &mut Browser<'_>, host: &str) -> String {
    let answer = browser.visit(host, "/").await;
    let location = answer.header("location").to_owned();
    assert!(location.starts_with(&format!("https://{host}/.portway/callback?t=")), "{answer:?}");
    location
}

fn assert_refused(answer: &Answer) {
    assert_eq!((answer.status, answer.reason()), (StatusCode::BAD_REQUEST, "login-unfinished"));
    assert!(answer.set_cookies().is_empty());
    assert!(answer.text.contains("Try again"));
    for name in ["alice", "bob", "mallory"] {
        assert!(!answer.text.contains(name), "no identity on a workspace host");
    }
}

#[tokio::test]
async fn a_ticket_is_worth_nothing_in_another_browser() {
    let stage = Stage::new().await;
    // Mallory's own ticket, forced on a victim: no nonce, or the victim's own.
    let mut mallory = stage.logged_in("alice").await;
    for own_nonce in [false, true] {
        let location = ticket_of(&mut mallory, HERS).await;
        let mut victim = stage.logged_in("bob").await;
        if own_nonce {
            victim.keep(HERS, cookie::TRANSACTION, &random().text());
        }
        assert_refused(&victim.get(&location).await);
        assert_eq!(victim.cookie(HERS, cookie::SESSION), None);
        assert_refused(&mallory.get(&location).await);
    }
}

#[tokio::test]
async fn tabs_that_log_in_at_once_do_not_spoil_each_other() {
    let stage = Stage::new().await;
    let mut alice = stage.logged_in("alice").await;
    let first = alice.visit(HERS, "/first").await;
    // The gateway reuses the nonce it finds.
    let nonce = Secret::read(alice.cookie(HERS, cookie::TRANSACTION).unwrap().as_bytes()).unwrap();
    let second = alice.get(&authorize_url(HERS, "/second", &nonce.hash().text())).await;
    assert_eq!(alice.follow(&first).await.leads_to(), format!("https://{HERS}/first"));
    assert_eq!(alice.follow(&second).await.leads_to(), format!("https://{HERS}/second"));
}

#[tokio::test]
async fn two_nonces_are_none() {
    let stage = Stage::new().await;
    let mut alice = stage.logged_in("alice").await;
    let location = ticket_of(&mut alice, HERS).await;
    let nonce = alice.cookie(HERS, cookie::TRANSACTION).unwrap().to_owned();
    let doubled = format!("{0}={nonce}; {0}={nonce}", cookie::TRANSACTION);
    assert_refused(&stage.browser().send("GET", &location, &[("cookie", &doubled)], "").await);
}

#[tokio::test]
async fn a_ticket_is_worth_nothing_on_another_host() {
    let stage = Stage::new().await;
    for other in ["5000-atelier.code.example", "3000s-atelier.code.example", "atelier.code.example", HIS] {
        let mut alice = stage.logged_in("alice").await;
        let location = ticket_of(&mut alice, HERS).await;
        let nonce = alice.cookie(HERS, cookie::TRANSACTION).unwrap().to_owned();
        alice.keep(other, cookie::TRANSACTION, &nonce);
        assert_refused(&alice.get(&location.replace(HERS, other)).await);
    }
    let mut alice = stage.logged_in("alice").await;
    let location = ticket_of(&mut alice, HERS).await;
    assert_eq!(alice.get(&location.replace(HERS, CONTROL)).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_second_use_ends_what_the_first_made() {
    let stage = Stage::new().await;
    let mut alice = stage.logged_in("alice").await;
    let location = ticket_of(&mut alice, HERS).await;
    alice.get(&location).await;
    let session = Secret::read(alice.cookie(HERS, cookie::SESSION).unwrap().as_bytes()).unwrap().hash();
    assert!(stage.publisher.current().session(&session).is_some());
    assert_refused(&alice.get(&location).await);
    assert!(stage.publisher.current().session(&session).is_none());
    assert!(stage.audit().await.contains(&"ticket.refused".to_owned()));
}

#[tokio::test]
async fn of_two_hundred_at_once_one_wins() {
    let stage = Stage::new().await;
    let mut alice = stage.logged_in("alice").await;
    let location = ticket_of(&mut alice, HERS).await;
    let mut browsers = vec![alice; 200];
    let answers = join_all(browsers.iter_mut().map(|browser| browser.get(&location))).await;
    let won = answers.iter().filter(|answer| answer.status == StatusCode::SEE_OTHER).count();
    let lost = answers.iter().filter(|answer| answer.status == StatusCode::BAD_REQUEST).count();
    assert_eq!((won, lost), (1, 199));
}

#[tokio::test]
async fn a_ticket_ends_with_its_login() {
    let stage = Stage::new().await;
    let mut alice = stage.logged_in("alice").await;
    let location = ticket_of(&mut alice, HERS).await;
    alice.post(&crate::stage::page("logout"), &[]).await;
    assert_refused(&alice.get(&location).await);
}

#[tokio::test]
async fn what_is_no_ticket_is_refused() {
    let stage = Stage::new().await;
    let unknown = format!("?t={}", random().text());
    for query in ["", "?", "?t=", "?t=x", "?T=x", "?t=a&t=b", &unknown] {
        let mut alice = stage.logged_in("alice").await;
        alice.keep(HERS, cookie::TRANSACTION, &random().text());
        assert_refused(&alice.get(&format!("https://{HERS}/.portway/callback{query}")).await);
    }
}

#[tokio::test]
async fn looking_uses_nothing_up() {
    let stage = Stage::new().await;
    let mut alice = stage.logged_in("alice").await;
    let location = ticket_of(&mut alice, HERS).await;
    for (method, headers) in [
        ("HEAD", &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")][..]),
        ("GET", &[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")]),
        ("GET", &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")]),
        ("POST", &[("sec-fetch-site", "same-origin")]),
    ] {
        let answer = alice.send(method, &location, headers, "").await;
        assert!(answer.status.is_client_error() && answer.set_cookies().is_empty(), "{method} {headers:?}");
    }
    assert_eq!(alice.get(&location).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_stored_path_is_checked_again() {
    let stage = Stage::new().await;
    let mut alice = stage.logged_in("alice").await;
    let login = Secret::read(alice.cookie(CONTROL, cookie::LOGIN).unwrap().as_bytes()).unwrap().hash();
    let (secret, nonce) = (random(), random());
    let ticket = Ticket {
        host: HERS.into(),
        challenge: nonce.hash(),
        user: "alice".into(),
        login,
        return_to: "//evil.example/".into(),
        expires_at: 0,
    };
    stage.store.add_ticket(&secret.hash(), &ticket).await.unwrap();
    alice.keep(HERS, cookie::TRANSACTION, &nonce.text());
    let answer = alice.get(&format!("https://{HERS}/.portway/callback?t={}", secret.text())).await;
    assert_eq!(answer.leads_to(), format!("https://{HERS}/"));
}

#[tokio::test]
async fn the_redirect_leaks_no_ticket() {
    let stage = Stage::new().await;
    let mut alice = stage.logged_in("alice").await;
    let ticket = alice.visit(HERS, "/x").await;
    let secret = ticket.header("location").split("t=").nth(1).unwrap().to_owned();
    let landed = alice.follow(&ticket).await;
    for answer in [&ticket, &landed] {
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    assert!(!format!("{landed:?}").contains(&secret));
    let rows = stage.store.audit_rows(100).await.unwrap();
    assert!(rows.len() == 2 && !format!("{rows:?}").contains(&secret));
}

#[tokio::test]
async fn a_host_is_left_alone_by_a_form_of_its_own() {
    let stage = Stage::new().await;
    let mut alice = stage.logged_in("alice").await;
    let ticket = alice.visit(HERS, "/").await;
    alice.follow(&ticket).await;
    let session = Secret::read(alice.cookie(HERS, cookie::SESSION).unwrap().as_bytes()).unwrap().hash();
    let url = format!("https://{HERS}/.portway/logout");
    for headers in [
        &[("sec-fetch-site", "same-site"), ("origin", "https://3000-den.code.example")][..],
        &[("sec-fetch-site", "same-site"), ("origin", "https://code.example")],
        &[],
    ] {
        assert_eq!(alice.clone().send("POST", &url, headers, "").await.status, StatusCode::FORBIDDEN);
        assert!(stage.publisher.current().session(&session).is_some());
    }
    let left = alice.post(&url, &[]).await;
    assert_eq!(left.status, StatusCode::OK);
    assert!(!left.text.contains("alice"));
    assert_eq!(alice.cookie(HERS, cookie::SESSION), None);
    assert!(stage.publisher.current().session(&session).is_none());
    assert_eq!(alice.get(&crate::stage::page("")).await.status, StatusCode::OK, "the login itself goes on");
}

#[tokio::test]
async fn nothing_else_lives_on_a_workspace_host() {
    let stage = Stage::new().await;
    for path in [
        "",
        "login",
        "authorize",
        "consent",
        "api/v1/me",
        "ports",
        "tokens",
        "link/x",
        "callback/",
        "%63allback",
        "../callback",
    ] {
        let mut alice = stage.logged_in("alice").await;
        let login = alice.cookie(CONTROL, cookie::LOGIN).unwrap().to_owned();
        alice.keep(HERS, cookie::LOGIN, &login);
        let answer = alice.get(&format!("https://{HERS}/.portway/{path}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(!answer.text.contains("alice"));
    }
}
