//! The JSON API.

use http::StatusCode;
use portway_core::secret::Secret;
use serde_json::json;

use crate::stage::{Stage, page};

#[tokio::test]
async fn it_says_who_one_is_and_what_one_has() {
    let stage = Stage::new().await;
    stage.share("atelier", 3000, None, &["bob"]).await;
    let mut bob = stage.logged_in("bob").await;
    assert_eq!(bob.call("GET", "me", "").await.json(), json!({"user": "bob"}));
    let world = bob.call("GET", "workspaces", "").await.json();
    let ids: Vec<_> = world["workspaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|w| (w["id"].as_str().unwrap(), w["running"].as_bool().unwrap()))
        .collect();
    assert_eq!(ids, [("attic", false), ("den", true)]);
    assert_eq!(
        world["shared"],
        json!([{"workspace": "Atelier", "owner": "alice", "port": 3000, "url": "https://3000-atelier.code.example/"}])
    );
}

#[tokio::test]
async fn a_port_is_put_read_and_deleted() {
    let stage = Stage::new().await;
    let mut alice = stage.logged_in("alice").await;
    let path = "workspaces/ATELIER/ports/3000";
    let before = alice.call("GET", path, "").await.json();
    assert_eq!((&before["level"], &before["users"]), (&json!("owner"), &json!([])));
    let put = alice
        .call("PUT", path, r#"{"users": ["Bob"], "profile": "public", "scheme": "https", "cors": "passthrough"}"#)
        .await;
    let expected = json!({
        "port": 3000, "url": "https://3000-atelier.code.example/", "level": "users", "effective_level": "users", "users": ["bob"],
        "profile": "public", "scheme": "https", "cors": "passthrough", "protected": false, "levels": ["owner", "users", "authenticated"],
    });
    assert_eq!((put.status, put.json()), (StatusCode::OK, expected.clone()));
    assert_eq!(alice.call("GET", path, "").await.json(), expected);
    let put = alice.call("PUT", path, r#"{"level": "authenticated"}"#).await.json();
    assert_eq!((&put["users"], &put["profile"]), (&json!([]), &json!(null)), "a PUT is the whole");
    assert_eq!(alice.call("DELETE", path, "").await.status, StatusCode::NO_CONTENT);
    assert!(stage.publisher.current().ports("atelier").is_none());
    let audit = stage.audit().await;
    assert_eq!(audit, ["port.set", "port.set", "port.removed"]);
}

#[tokio::test]
async fn only_the_owner_sees_or_changes_a_port() {
    let stage = Stage::new().await;
    stage.share("atelier", 3000, None, &["bob"]).await;
    let mut bob = stage.logged_in("bob").await;
    for method in ["GET", "PUT", "DELETE"] {
        let hers = bob.call(method, "workspaces/atelier/ports/3000", "{}").await;
        let absent = bob.call(method, "workspaces/nowhere/ports/3000", "{}").await;
        assert_eq!(hers.status, StatusCode::NOT_FOUND, "{method}");
        assert_eq!(hers.text, absent.text);
    }
    assert_eq!(stage.publisher.current().port("atelier", 3000).unwrap().users.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_is_422_and_says_why() {
    let stage = Stage::new().await;
    let mut alice = stage.logged_in("alice").await;
    for (port, body, reason) in [
        (3000, r#"{"level": "public"}"#, "above-ceiling"),
        (8080, r#"{"level": "authenticated"}"#, "port-protected"),
        (8080, r#"{"users": ["bob"]}"#, "port-protected"),
        (22, r#"{"level": "owner"}"#, "port-denied"),
        (3000, r#"{"level": "everyone"}"#, "bad-value"),
        (3000, r#"{"users": ["nobody"]}"#, "unknown-user"),
        (3000, r#"{"users": ["not a name"]}"#, "unknown-user"),
    ] {
        let answer = alice.call("PUT", &format!("workspaces/atelier/ports/{port}"), body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(answer.error(), reason, "{body}");
    }
    for body in [r#"{"levl": "owner"}"#, "{", r#""owner""#, r#"{"level": 1}"#] {
        let answer = alice.call("PUT", "workspaces/atelier/ports/3000", body).await;
        assert!(answer.status.is_client_error(), "{body}");
        assert_eq!(answer.error(), "bad-request");
    }
    for port in ["0", "65536", "03000", "+3000", "x"] {
        assert_eq!(
            alice.call("GET", &format!("workspaces/atelier/ports/{port}"), "").await.status,
            StatusCode::NOT_FOUND
        );
    }
    assert!(stage.publisher.current().ports("atelier").is_none());
}

#[tokio::test]
async fn tokens_are_made_listed_and_revoked() {
    let stage = Stage::new().await;
    let mut alice = stage.logged_in("alice").await;
    let made = alice
        .call("POST", "tokens", r#"{"workspace": "atelier", "port": 3000, "expires_in": 3600, "label": "ci"}"#)
        .await;
    assert_eq!(made.status, StatusCode::CREATED);
    let secret = Secret::read_token(made.json()["token"].as_str().unwrap().as_bytes()).unwrap();
    assert!(stage.publisher.current().token(&secret.hash()).is_some());
    let listed = alice.call("GET", "tokens", "").await;
    assert!(!listed.text.contains("pwy_"));
    let token = &listed.json()["tokens"][0];
    assert_eq!((&token["label"], &token["last_used"]), (&json!("ci"), &json!(null)));
    let path = format!("tokens/{}", token["id"].as_str().unwrap());
    assert_eq!(stage.logged_in("bob").await.call("DELETE", &path, "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(alice.call("DELETE", &path, "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(alice.call("DELETE", &path, "").await.status, StatusCode::NOT_FOUND);
    assert!(stage.publisher.current().token(&secret.hash()).is_none());
}

#[tokio::test]
async fn without_a_login_it_is_401_and_json() {
    let stage = Stage::new().await;
    for path in ["me", "workspaces", "workspaces/atelier/ports/3000", "tokens"] {
        let answer = stage.browser().call("GET", path, "").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.error(), "not-logged-in");
    }
}

#[tokio::test]
async fn a_form_cannot_pass_for_json() {
    let stage = Stage::new().await;
    let mut alice = stage.logged_in("alice").await;
    let headers = [("sec-fetch-site", "same-origin"), ("content-type", "text/plain")];
    let body = r#"{"workspace": "atelier", "port": 3000}"#;
    let answer = alice.send("POST", &page("api/v1/tokens"), &headers, body).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(stage.store.tokens(None).await.unwrap().is_empty());
}
