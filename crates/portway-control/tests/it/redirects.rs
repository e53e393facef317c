//! Nothing a request says leads off our hosts (R12): hundreds of ways to try, through the whole flow.

use http::StatusCode;
use portway_core::cookie;

use crate::stage::{CONTROL, HERS, PASSWORD, Stage, encoded, page, random};

/// What stands where a path should.
fn paths() -> Vec<String> {
    let hosts = [
        "evil.example",
        "code.example.evil.example",
        "3000-atelier.code.example.evil.example",
        "3000-atelier.code.example@evil.example",
        "[::1]",
        "2130706433",
    ];
    let leads = [
        "//",
        "///",
        "////",
        "/\\",
        "\\/",
        "\\\\",
        "/\\/",
        "/\t/",
        "/\n/",
        "/\r\n/",
        "\t//",
        " //",
        "//\t",
        "/ /",
        "https://",
        "http://",
        "HTTPS://",
        "https:",
        "https:/",
        "https:\\\\",
        "//\u{ff0f}",
        "/\u{ff0f}",
        "\u{ff0f}\u{ff0f}",
        "\u{2f}\u{2215}",
        "javascript://",
        "data://",
        "ftp://",
        "ws://",
        "//user:pw@",
        "/%0d%0aLocation: //",
        "/\0/",
        "\0//",
        "/\u{7f}/",
        "/\u{a0}/",
        "/.//",
        "/..//",
        "/%2f",
        "/%5c",
        "/%2e%2e//",
        "/;//",
        "/?//",
        "/#//",
        "/@",
        "@",
        ".",
        "",
    ];
    let mut all: Vec<String> =
        leads.iter().flat_map(|lead| hosts.iter().map(move |host| format!("{lead}{host}"))).collect();
    for odd in [
        "",
        "x",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "about:blank",
        "//",
        "/\\",
        "///",
        "\\",
        "/\r\nSet-Cookie: a=b",
        "/\nx",
        "/\tx",
        "/ x",
        "/x#y",
        "/x\\y",
        "/\u{fc}",
        "/\u{202e}",
        "//@",
        "//?",
        "//%00",
        "https:evil.example",
    ] {
        all.push(odd.to_owned());
    }
    all.push(format!("/{}", "a".repeat(5000)));
    all
}

/// What stands where a host should.
fn hosts() -> Vec<String> {
    let mut all: Vec<String> = [
        "",
        ".",
        "evil.example",
        "code.example",
        "code.example.",
        "evilcode.example",
        "3000-atelier.code.example.",
        "3000-atelier.code.example:443",
        "3000-atelier.code.example:8443",
        "3000-ATELIER.code.example",
        "3000-atelier.code.example.evil.example",
        "3000-atelier.evilcode.example",
        "3000-atelier.code.example@evil.example",
        "evil.example#3000-atelier.code.example",
        "evil.example/3000-atelier.code.example",
        "evil.example?3000-atelier.code.example",
        "evil.example\\3000-atelier.code.example",
        "3000-atelier%2ecode.example",
        "3000-atelier\u{ff0e}code.example",
        "3000-atelier.code.example\r\nx",
        " 3000-atelier.code.example",
        "3000-atelier.code.example ",
        "3000-atelier.code.example\0",
        "03000-atelier.code.example",
        "0-atelier.code.example",
        "65536-atelier.code.example",
        "+3000-atelier.code.example",
        "a.3000-atelier.code.example",
        "3000-.code.example",
        "-.code.example",
        "3000-at_elier.code.example",
        "3000-xn--a.code.example",
        "https://3000-atelier.code.example",
        "//3000-atelier.code.example",
        "localhost",
        "127.0.0.1",
        "[::1]",
        "*.code.example",
        "3000-atelier.code.example,evil.example",
        "3000-atelier.code.example;x",
        "%",
        "3000-atelier..code.example",
        "3000-atelier.code.example/",
    ]
    .map(str::to_owned)
    .to_vec();
    all.push(format!("3000-{}.code.example", "a".repeat(64)));
    all
}

#[test]
fn there_are_at_least_three_hundred_vectors() {
    assert!(paths().len() + hosts().len() >= 300, "{}", paths().len() + hosts().len());
}

#[tokio::test]
async fn no_return_path_leaves_the_host() {
    let stage = Stage::new().await;
    for path in paths() {
        let mut alice = stage.logged_in("alice").await;
        let ticket = alice.visit(HERS, &path).await;
        assert!(
            ticket.header("location").starts_with(&format!("https://{HERS}/.portway/callback?t=")),
            "{path:?}: {ticket:?}"
        );
        let landed = alice.follow(&ticket).await;
        assert_stays(&landed.leads_to(), HERS, &path);
    }
}

#[tokio::test]
async fn no_other_spelling_of_a_host_gets_a_ticket() {
    let stage = Stage::new().await;
    for host in hosts() {
        let mut alice = stage.logged_in("alice").await;
        let query = encoded(&[("host", &host), ("return", "/"), ("ch", &random().hash().text())]);
        for answer in [
            alice.get(&page(&format!("authorize?{query}"))).await,
            alice.post(&page("consent"), &[("host", &host), ("ch", &random().hash().text())]).await,
        ] {
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{host:?}");
            assert!(!answer.headers.contains_key("location"));
        }
    }
    assert!(stage.audit().await.is_empty());
}

#[tokio::test]
async fn no_login_leads_off_the_control_host() {
    let stage = Stage::new().await;
    for next in paths() {
        let anonymous = stage.browser().get(&page(&format!("login?{}", encoded(&[("next", &next)])))).await;
        assert_eq!(anonymous.status, StatusCode::OK);
        assert!(anonymous.text.contains("name=\"next\" value=\"/.portway/\""), "{next:?}");
        let mut alice = stage.logged_in("alice").await;
        let answer = alice.get(&page(&format!("login?{}", encoded(&[("next", &next)])))).await;
        assert_eq!(answer.leads_to(), page(""), "{next:?}");
    }
    // Once through the form, with a next that looks right up to its end.
    let mut browser = stage.browser();
    let next = "/.portway/authorize?host=evil.example&return=//evil.example&ch=x";
    let answer = browser.post(&page("login"), &[("user", "alice"), ("password", PASSWORD), ("next", next)]).await;
    assert_stays(&answer.leads_to(), CONTROL, next);
    assert_eq!(browser.follow(&answer).await.status, StatusCode::BAD_REQUEST);
    assert!(browser.cookie(CONTROL, cookie::LOGIN).is_some());
}

/// As strictly as the most lenient browser: nothing after the origin can be read as another authority.
fn assert_stays(url: &str, host: &str, vector: &str) {
    let path = url.strip_prefix(&format!("https://{host}")).unwrap_or_else(|| panic!("{vector:?} leads to {url:?}"));
    assert!(path.starts_with('/') && !path.starts_with("//"), "{vector:?} leads to {url:?}");
    assert!(path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\'), "{vector:?} leads to {url:?}");
}
