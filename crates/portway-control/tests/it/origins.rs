//! Every route, asked by pages that may not ask it (R18, R21); and the headers of every answer.

use base64::Engine as _;
use http::StatusCode;
use sha2::{Digest as _, Sha256};

use crate::stage::{CONTROL, HERS, PASSWORD, Stage, page};

const ROUTES: &[(&str, &str)] = &[
    ("GET", ""),
    ("GET", "login"),
    ("POST", "login"),
    ("GET", "link/x"),
    ("POST", "link/x"),
    ("POST", "logout"),
    ("GET", "authorize?host=3000-atelier.code.example&return=/&ch=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    ("POST", "consent"),
    ("GET", "open?workspace=atelier&port=3000"),
    ("POST", "ports"),
    ("POST", "tokens"),
    ("POST", "tokens/revoke"),
    ("POST", "password"),
    ("GET", "api/v1/me"),
    ("GET", "api/v1/workspaces"),
    ("GET", "api/v1/workspaces/atelier/ports/3000"),
    ("PUT", "api/v1/workspaces/atelier/ports/3000"),
    ("DELETE", "api/v1/workspaces/atelier/ports/3000"),
    ("GET", "api/v1/tokens"),
    ("POST", "api/v1/tokens"),
    ("DELETE", "api/v1/tokens/x"),
    ("GET", "nowhere"),
    ("GET", "api/v1/nowhere"),
    ("OPTIONS", "api/v1/me"),
];

#[tokio::test]
async fn a_workspace_page_gets_403_from_every_route_and_changes_nothing() {
    let stage = Stage::new().await;
    let before = format!("{:?}", stage.store.listing().await.unwrap());
    for (method, path) in ROUTES {
        for kind in
            ["application/x-www-form-urlencoded", "text/plain", "application/json", "multipart/form-data; boundary=x"]
        {
            for site in [Some("same-site"), Some("cross-site"), None] {
                let mut alice = stage.logged_in("alice").await;
                let mut headers = vec![("origin", "https://3000-den.code.example"), ("content-type", kind)];
                headers.extend(site.map(|site| ("sec-fetch-site", site)));
                let body = r#"{"level":"authenticated","users":["bob"]}"#;
                let answer = alice.send(method, &page(path), &headers, body).await;
                assert_eq!(
                    (answer.status, answer.reason()),
                    (StatusCode::FORBIDDEN, "other-origin"),
                    "{method} {path}"
                );
                assert!(!answer.text.contains("alice") && answer.set_cookies().is_empty());
            }
        }
    }
    assert_eq!(before, format!("{:?}", stage.store.listing().await.unwrap()));
    assert!(stage.audit().await.is_empty());
}

#[tokio::test]
async fn without_an_origin_a_workspace_page_still_reads_and_changes_nothing() {
    let stage = Stage::new().await;
    for (method, path) in ROUTES {
        for dest in ["image", "script", "iframe", "empty"] {
            let mut alice = stage.logged_in("alice").await;
            let mode = if dest == "iframe" { "navigate" } else { "no-cors" };
            let headers = [("sec-fetch-site", "same-site"), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)];
            let answer = alice.send(method, &page(path), &headers, "").await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path} {dest}");
        }
    }
}

#[tokio::test]
async fn unsafe_requests_without_proof_of_their_page_are_refused() {
    let stage = Stage::new().await;
    for (method, path) in ROUTES.iter().filter(|(method, _)| *method != "GET") {
        let mut alice = stage.logged_in("alice").await;
        assert_eq!(alice.send(method, &page(path), &[], "").await.status, StatusCode::FORBIDDEN, "{method} {path}");
    }
}

#[tokio::test]
async fn unsafe_requests_without_a_login_change_nothing() {
    let stage = Stage::new().await;
    for (method, path) in ROUTES.iter().filter(|(method, _)| *method != "GET" && *method != "OPTIONS") {
        let headers = [("sec-fetch-site", "same-origin"), ("content-type", "application/json")];
        let answer =
            stage.browser().send(method, &page(path), &headers, r#"{"workspace":"atelier","port":3000}"#).await;
        let expected = match *path {
            api if api.starts_with("api/") => StatusCode::UNAUTHORIZED,
            "logout" => StatusCode::SEE_OTHER,
            "link/x" => StatusCode::NOT_FOUND,
            "consent" => StatusCode::BAD_REQUEST,
            _ => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        };
        assert_eq!(answer.status, expected, "{method} {path}");
    }
    assert!(stage.store.tokens(None).await.unwrap().is_empty());
}

#[tokio::test]
async fn every_answer_carries_the_headers_and_never_one_of_cors() {
    let stage = Stage::new().await;
    let mut answers = Vec::new();
    for (method, path) in ROUTES {
        for user in [None, Some("alice")] {
            let mut browser = match user {
                Some(user) => stage.logged_in(user).await,
                None => stage.browser(),
            };
            answers.push((path, browser.send(method, &page(path), &[("sec-fetch-site", "same-origin")], "").await));
        }
    }
    for path in ["callback", "logout", "nothing"] {
        for method in ["GET", "POST", "HEAD"] {
            let url = format!("https://{HERS}/.portway/{path}");
            answers.push((&"", stage.browser().send(method, &url, &[("sec-fetch-site", "same-origin")], "").await));
        }
    }
    for (path, answer) in &answers {
        for (name, value) in [
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("cross-origin-resource-policy", "same-origin"),
            ("origin-agent-cluster", "?1"),
        ] {
            assert_eq!(answer.header(name), value, "{path} {name}");
        }
        let policy = answer.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "style-src 'sha256-",
        ] {
            assert!(policy.contains(part), "{path} {policy}");
        }
        assert!(!policy.contains("unsafe"));
        let redirect = answer.status.is_redirection();
        assert_eq!(answer.header("cross-origin-opener-policy"), if redirect { "" } else { "same-origin" });
        assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control")), "{path}");
        assert!(!answer.status.is_server_error(), "{path} {answer:?}");
        assert!(!answer.text.contains(" style="));
        // The one script there is, and only as the policy names it.
        for script in answer.text.split("<script>").skip(1) {
            let (script, _) = script.split_once("</script>").unwrap();
            let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(script));
            assert!(policy.contains(&format!("script-src 'sha256-{hash}';")), "{path}: {hash}");
        }
        assert_eq!(answer.text.matches("<script").count(), answer.text.matches("<script>").count(), "{path}");
    }
}

#[tokio::test]
async fn every_redirect_has_a_word_for_where_it_leads() {
    let stage = Stage::new().await;
    let mut browser = stage.browser();
    let mut words = Vec::new();
    let mut note = |answer: &crate::stage::Answer| {
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        words.push(answer.reason().to_owned());
    };
    note(&browser.get(&page("")).await);
    note(&browser.visit(HERS, "/").await);
    note(&browser.log_in("alice", PASSWORD).await);
    note(&browser.get(&page("login")).await);
    note(&browser.get(&format!("https://{CONTROL}/")).await);
    let ticket = browser.visit(HERS, "/").await;
    note(&ticket);
    note(&browser.follow(&ticket).await);
    note(&browser.post(&page("ports"), &[("workspace", "atelier"), ("port", "3000"), ("do", "add")]).await);
    note(&browser.post(&page("logout"), &[]).await);
    assert_eq!(
        words,
        ["log-in", "log-in", "logged-in", "logged-in", "home", "ticket", "logged-in", "changed", "logged-out"]
    );
}

#[tokio::test]
async fn the_style_sheet_is_the_one_the_policy_names() {
    use base64::Engine as _;
    let stage = Stage::new().await;
    let answer = stage.browser().get(&page("login")).await;
    let (_, rest) = answer.text.split_once("<style>").unwrap();
    let (style, rest) = rest.split_once("</style>").unwrap();
    assert!(!rest.contains("<style"));
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(style));
    assert!(answer.header("content-security-policy").contains(&format!("'sha256-{hash}'")));
    for outside in ["http://", "https://", "url(", "@import", "src="] {
        let own = answer.text.replace("http://www.w3.org/2000/svg", "").replace("xmlns='http:", "");
        assert!(!own.contains(outside), "an outside asset: {outside}");
    }
}

#[tokio::test]
async fn the_root_and_the_bare_prefix_lead_home() {
    let stage = Stage::new().await;
    for path in ["/", "/.portway"] {
        assert_eq!(stage.browser().get(&format!("https://{CONTROL}{path}")).await.leads_to(), page(""));
    }
    for path in ["/x", "/.portway/%6cogin", "/%2eportway/", "//.portway/", "/.portway//", "/.PORTWAY/"] {
        let answer = stage.browser().get(&format!("https://{CONTROL}{path}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
}
