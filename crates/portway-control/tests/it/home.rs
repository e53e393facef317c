//! The home page's forms.

use http::StatusCode;
use portway_core::cookie;
use portway_core::secret::Secret;
use portway_core::workspace::{Level, Profile};

use crate::stage::{Answer, Browser, CONTROL, HERS, PASSWORD, Stage, page};

async fn change(browser: &mut Browser<'_>, port: &str, what: &str, more: &[(&str, &str)]) -> Answer {
    let mut form = vec![("workspace", "Atelier"), ("port", port), ("do", what)];
    form.extend(more);
    browser.post(&page("ports"), &form).await
}

fn level_and_users(stage: &Stage, port: u16) -> (Level, Vec<String>) {
    let world = stage.publisher.current();
    let policy = world.port("atelier", port).cloned().unwrap_or_default();
    (policy.level, policy.users.iter().map(ToString::to_string).collect())
}

#[tokio::test]
async fn an_owner_shares_and_unshares_without_an_operator() {
    let stage = Stage::new().await;
    let mut alice = stage.logged_in("alice").await;
    let added = change(&mut alice, "3000", "add", &[]).await;
    assert_eq!(added.leads_to(), format!("{}#atelier-3000", page("?done=added")));
    assert!(alice.get(&page("?done=added")).await.text.contains("The port is on your list"));
    assert_eq!(level_and_users(&stage, 3000), (Level::Owner, vec![]));

    change(&mut alice, "3000", "share", &[("user", " Bob ")]).await;
    change(&mut alice, "3000", "share", &[("user", "carol")]).await;
    assert_eq!(level_and_users(&stage, 3000), (Level::Users, vec!["bob".into(), "carol".into()]));
    assert!(alice.get(&page("")).await.text.contains("Shared with bob, carol"));
    let mut bob = stage.logged_in("bob").await;
    let his = bob.get(&page("")).await.text;
    assert!(his.contains("Shared with you") && his.contains(&format!("href=\"https://{HERS}/\"")));

    change(&mut alice, "3000", "unshare", &[("user", "bob")]).await;
    assert_eq!(level_and_users(&stage, 3000), (Level::Users, vec!["carol".into()]));
    assert!(!bob.get(&page("")).await.text.contains("Shared with you"));
    change(&mut alice, "3000", "level", &[("level", "authenticated")]).await;
    assert_eq!(level_and_users(&stage, 3000), (Level::Authenticated, vec!["carol".into()]));
    change(&mut alice, "3000", "level", &[("level", "owner")]).await;
    assert_eq!(level_and_users(&stage, 3000), (Level::Owner, vec![]), "only me means nobody named stays");
    change(&mut alice, "3000", "settings", &[("profile", "public"), ("scheme", "")]).await;
    assert_eq!(stage.publisher.current().port("atelier", 3000).unwrap().profile, Some(Profile::Public));
    change(&mut alice, "3000", "remove", &[]).await;
    change(&mut alice, "3000", "remove", &[]).await;
    assert!(stage.publisher.current().port("atelier", 3000).is_none());
}

#[tokio::test]
async fn what_cannot_be_says_why_and_changes_nothing() {
    let stage = Stage::new().await;
    let mut alice = stage.logged_in("alice").await;
    for (port, what, more, reason) in [
        ("3000", "level", [("level", "public")], "above-ceiling"),
        ("8080", "level", [("level", "authenticated")], "port-protected"),
        ("8080", "share", [("user", "bob")], "port-protected"),
        ("22", "add", [("user", "")], "port-denied"),
        ("3000", "share", [("user", "nobody")], "unknown-user"),
        ("3000", "share", [("user", " ")], "bad-value"),
        ("3000", "level", [("level", "everyone")], "bad-value"),
        ("0", "add", [("user", "")], "bad-value"),
        ("65536", "add", [("user", "")], "bad-value"),
        ("03000", "add", [("user", "")], "bad-value"),
        ("3000", "settings", [("profile", "x")], "bad-value"),
    ] {
        let answer = change(&mut alice, port, what, &more).await;
        assert_eq!((answer.status, answer.reason()), (StatusCode::UNPROCESSABLE_ENTITY, reason), "{port} {what}");
        assert!(answer.text.contains("role=\"alert\"") && answer.text.contains("Your workspaces"));
    }
    assert!(stage.publisher.current().ports("atelier").is_none());
}

#[tokio::test]
async fn only_the_owner_changes_a_port_and_others_learn_nothing() {
    let stage = Stage::new().await;
    stage.share("atelier", 3000, None, &["bob"]).await;
    let mut bob = stage.logged_in("bob").await;
    let guest = change(&mut bob, "3000", "share", &[("user", "carol")]).await;
    let absent = bob.post(&page("ports"), &[("workspace", "nowhere"), ("port", "3000"), ("do", "add")]).await;
    assert_eq!(guest.status, StatusCode::NOT_FOUND);
    assert_eq!(guest.text, absent.text);
    assert_eq!(level_and_users(&stage, 3000).1, ["bob"]);
}

#[tokio::test]
async fn another_port_opens_by_its_number() {
    let stage = Stage::new().await;
    let mut alice = stage.logged_in("alice").await;
    let answer = alice.get(&page("open?workspace=Atelier&port=5173")).await;
    assert_eq!(answer.status, StatusCode::OK, "a redirect would fall under form-action");
    assert_eq!(answer.leads_to(), "https://5173-atelier.code.example/");
    for bad in
        ["workspace=a%2F&port=1", "workspace=3000-x&port=1", "workspace=a&port=0", "workspace=evil.example&port=1"]
    {
        assert_eq!(alice.get(&page(&format!("open?{bad}"))).await.status, StatusCode::UNPROCESSABLE_ENTITY, "{bad}");
    }
    assert!(stage.browser().get(&page("open?workspace=a&port=1")).await.leads_to().starts_with(&page("login")));
}

#[tokio::test]
async fn a_token_is_shown_once_works_and_ends() {
    let stage = Stage::new().await;
    let mut alice = stage.logged_in("alice").await;
    let form = [("workspace", "Atelier"), ("port", "3000"), ("days", "7"), ("label", "build <b>")];
    let made = alice.post(&page("tokens"), &form).await;
    assert_eq!(made.status, StatusCode::OK);
    let at = made.text.find("value=\"pwy_").expect("the token") + "value=\"".len();
    let text = made.text[at..].split('"').next().unwrap().to_owned();
    let secret = Secret::read_token(text.as_bytes()).unwrap();
    let token = stage.publisher.current().token(&secret.hash()).unwrap().clone();
    assert_eq!((&*token.user, &*token.workspace, token.port), ("alice", "atelier", 3000));
    let now = stage.store.now().await.unwrap();
    assert!((7 * 86_400 - 60..=7 * 86_400).contains(&(token.expires_at - now)));

    let home = alice.get(&page("")).await.text;
    assert!(!home.contains("pwy_") && home.contains("build &#60;b&#62;"));
    let id = stage.store.tokens(Some("alice")).await.unwrap()[0].id.clone();
    stage.logged_in("bob").await.post(&page("tokens/revoke"), &[("id", &id)]).await;
    assert!(stage.publisher.current().token(&secret.hash()).is_some(), "not bob's to revoke");
    assert_eq!(
        alice.post(&page("tokens/revoke"), &[("id", &id)]).await.leads_to(),
        format!("{}#tokens", page("?done=revoked"))
    );
    assert!(stage.publisher.current().token(&secret.hash()).is_none());
}

#[tokio::test]
async fn nobody_makes_a_token_for_what_they_may_not_open() {
    let stage = Stage::new().await;
    stage.share("atelier", 3000, None, &["bob"]).await;
    let mut bob = stage.logged_in("bob").await;
    let mut make = async |workspace: &str, port: &str, days: &str| {
        bob.post(&page("tokens"), &[("workspace", workspace), ("port", port), ("days", days)]).await.status
    };
    assert_eq!(make("atelier", "5000", "1").await, StatusCode::NOT_FOUND);
    assert_eq!(make("nowhere", "3000", "1").await, StatusCode::NOT_FOUND);
    assert_eq!(make("den", "22", "1").await, StatusCode::UNPROCESSABLE_ENTITY);
    for days in ["0", "91", "-1", "x", "99999999999999999999"] {
        assert_eq!(make("den", "3000", days).await, StatusCode::UNPROCESSABLE_ENTITY, "{days}");
    }
    assert!(stage.store.tokens(None).await.unwrap().is_empty());
    assert_eq!(make("atelier", "3000", "1").await, StatusCode::OK);
    assert_eq!(make("attic", "3000", "90").await, StatusCode::OK, "one's own, also while it is stopped");
}

#[tokio::test]
async fn a_password_is_set_once_freely_and_then_only_with_the_old_one() {
    let stage = Stage::new().await;
    let link = stage.control.login_link("carol").await.unwrap();
    let mut carol = stage.browser();
    carol.post(&link, &[]).await;
    let short = carol.post(&page("password"), &[("new", "1234567")]).await;
    assert_eq!(short.reason(), "bad-password");
    let mut elsewhere = stage.logged_in("carol").await;
    let set = carol.post(&page("password"), &[("new", "battery staple")]).await;
    assert_eq!(set.status, StatusCode::SEE_OTHER);
    assert_eq!(carol.get(&page("")).await.status, StatusCode::OK, "this login goes on");
    assert_eq!(elsewhere.get(&page("")).await.status, StatusCode::SEE_OTHER, "the others end");
    assert_eq!(stage.browser().log_in("carol", "battery staple").await.status, StatusCode::SEE_OTHER);
    for wrong in ["", "battery stapler"] {
        let refused = carol.post(&page("password"), &[("current", wrong), ("new", PASSWORD)]).await;
        assert_eq!(refused.reason(), "bad-credentials");
    }
    let changed = carol.post(&page("password"), &[("current", "battery staple"), ("new", PASSWORD)]).await;
    assert_eq!(changed.status, StatusCode::SEE_OTHER);
    assert_eq!(stage.browser().log_in("carol", "battery staple").await.status, StatusCode::FORBIDDEN);
    assert!(carol.cookie(CONTROL, cookie::LOGIN).is_some());
}

#[tokio::test]
async fn what_people_type_is_never_markup() {
    let stage = Stage::new().await;
    let mut browser = stage.browser();
    let answer = browser.log_in("<script>alert(1)</script>\"'", "x").await;
    assert!(!answer.text.contains("<script>alert") && answer.text.contains("&#60;script&#62;alert"));
    let mut alice = stage.logged_in("alice").await;
    let answer = change(&mut alice, "3000", "share", &[("user", "<img src=x>")]).await;
    assert!(!answer.text.contains("<img"));
}
