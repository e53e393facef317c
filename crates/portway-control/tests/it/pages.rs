//! Every page as it is sent, under snapshot. The style sheet is left out; secrets are masked.

use portway_core::cookie;
use portway_core::workspace::Level;

use crate::stage::{Answer, CONTROL, HERS, Stage, page, random};

/// The page without its style, with `secrets` masked; also written where `PORTWAY_PAGES` says, to be looked at.
fn shown(name: &str, answer: &Answer, secrets: &[&str]) -> String {
    if let Ok(folder) = std::env::var("PORTWAY_PAGES") {
        std::fs::write(std::path::Path::new(&folder).join(format!("{name}.html")), &answer.text).unwrap();
    }
    let (before, rest) = answer.text.split_once("<style>").unwrap();
    let (_, after) = rest.split_once("</style>").unwrap();
    let mut text = format!("{}\n{before}<style></style>{after}", answer.status);
    for secret in secrets {
        assert!(text.contains(secret), "a secret that is not on the page: {secret}");
        text = text.replace(secret, "[secret]");
    }
    text
}

#[tokio::test]
async fn login_pages() {
    let stage = Stage::new().await;
    insta::assert_snapshot!("login", shown("login", &stage.browser().get(&page("login")).await, &[]));
    let mut browser = stage.browser();
    let asked = browser.visit(HERS, "/app?x=1").await;
    let towards = browser.follow(&asked).await;
    let next = towards.text.split("ch=").nth(1).unwrap().split('"').next().unwrap().to_owned();
    insta::assert_snapshot!("login_towards", shown("login_towards", &towards, &[&next]));
    insta::assert_snapshot!("login_failed", shown("login_failed", &browser.log_in("alice", "wrong").await, &[]));
    let link = stage.control.login_link("alice").await.unwrap();
    insta::assert_snapshot!("link", shown("link", &browser.get(&link).await, &[]));
    insta::assert_snapshot!("link_spent", shown("link_spent", &browser.get(&page("link/x")).await, &[]));
    for _ in 0..10 {
        browser.log_in("alice", "wrong").await;
    }
    insta::assert_snapshot!("login_limited", shown("login_limited", &browser.log_in("alice", "wrong").await, &[]));
}

#[tokio::test]
async fn authoriser_pages() {
    let stage = Stage::new().await;
    stage.share("atelier", 3000, None, &["bob"]).await;
    let mut bob = stage.logged_in("bob").await;
    let asked = bob.visit(HERS, "/app?x=1").await;
    let challenge = asked.text.split("name=\"ch\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    insta::assert_snapshot!("consent", shown("consent", &asked, &[&challenge]));
    let form = [("host", HERS), ("return", "/"), ("ch", challenge.as_str())];
    let onward = bob.post(&page("consent"), &form).await;
    insta::assert_snapshot!("onward", shown("onward", &onward, &[&challenge]));
    for _ in 0..3 {
        bob.visit(HERS, "/").await;
    }
    insta::assert_snapshot!("cookies_blocked", shown("cookies_blocked", &bob.visit(HERS, "/").await, &[]));
    insta::assert_snapshot!(
        "nothing_for_you",
        shown("nothing_for_you", &bob.visit("5000-atelier.code.example", "/").await, &[])
    );
    insta::assert_snapshot!("incomplete", shown("incomplete", &bob.get(&page("authorize")).await, &[]));
    insta::assert_snapshot!("nowhere", shown("nowhere", &bob.get(&page("nowhere")).await, &[]));
    let framed = [("sec-fetch-site", "same-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
    insta::assert_snapshot!("other_origin", shown("other_origin", &bob.send("GET", &page(""), &framed, "").await, &[]));
}

#[tokio::test]
async fn workspace_host_pages() {
    let stage = Stage::new().await;
    let mut alice = stage.logged_in("alice").await;
    let url = format!("https://{HERS}/.portway/callback?t={}", random().text());
    insta::assert_snapshot!("unfinished", shown("unfinished", &alice.get(&url).await, &[]));
    let left = alice.post(&format!("https://{HERS}/.portway/logout"), &[]).await;
    insta::assert_snapshot!("left", shown("left", &left, &[]));
}

#[tokio::test]
async fn home_pages() {
    let stage = Stage::new().await;
    let link = stage.control.login_link("carol").await.unwrap();
    let mut carol = stage.browser();
    carol.post(&link, &[]).await;
    insta::assert_snapshot!("home_empty", shown("home_empty", &carol.get(&page("")).await, &[]));

    stage.share("atelier", 3000, None, &["bob", "carol"]).await;
    stage.share("atelier", 5173, Some(Level::Authenticated), &[]).await;
    stage.share("atelier", 8000, Some(Level::Public), &[]).await;
    stage.share("atelier", 9229, Some(Level::Owner), &[]).await;
    stage.share("atelier", 8080, Some(Level::Owner), &[]).await;
    stage.share("den", 3000, None, &["alice"]).await;
    let mut alice = stage.logged_in("alice").await;
    insta::assert_snapshot!("home", shown("home", &alice.get(&page("?done=shared")).await, &[]));

    let form = [("workspace", "Atelier"), ("port", "3000"), ("days", "30"), ("label", "nightly build")];
    let made = alice.post(&page("tokens"), &form).await;
    let text = made.text.split("value=\"pwy_").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let id = stage.store.tokens(Some("alice")).await.unwrap()[0].id.clone();
    insta::assert_snapshot!("home_token", shown("home_token", &made, &[&text, &id]));
    let refused = alice
        .post(&page("ports"), &[("workspace", "Atelier"), ("port", "8080"), ("do", "share"), ("user", "bob")])
        .await;
    insta::assert_snapshot!("home_refused", shown("home_refused", &refused, &[&id]));
    assert!(alice.cookie(CONTROL, cookie::LOGIN).is_some());
}
