//! Logging in and out.

use http::StatusCode;
use portway_core::cookie;

use crate::stage::{CONTROL, HERS, PASSWORD, Stage, page, random};

#[tokio::test]
async fn the_right_password_logs_in_and_leads_home() {
    let stage = Stage::new().await;
    let mut browser = stage.browser();
    let anonymous = browser.get(&page("")).await;
    assert!(anonymous.header("location").starts_with(&page("login?next=")), "{anonymous:?}");
    let answer = browser.log_in(" Alice ", PASSWORD).await;
    assert_eq!(answer.leads_to(), page(""));
    let cookies = answer.set_cookies();
    let value = browser.cookie(CONTROL, cookie::LOGIN).unwrap();
    assert_eq!(
        cookies,
        [format!("__Host-portway_login={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=86400")]
    );
    let home = browser.follow(&answer).await;
    assert_eq!(home.status, StatusCode::OK);
    assert!(home.text.contains("Your workspaces") && home.text.contains("Atelier"));
    assert_eq!(browser.get(&page("login")).await.leads_to(), page(""), "nobody logs in twice");
    assert_eq!(stage.audit().await, ["login"]);
}

#[tokio::test]
async fn wrong_unknown_suspended_and_without_password_look_alike() {
    let stage = Stage::new().await;
    stage.store.set_suspended("bob", true).await.unwrap();
    let mut answers = Vec::new();
    for (user, password) in [
        ("alice", "wrong"),
        ("nobody", PASSWORD),
        ("bob", PASSWORD),
        ("carol", ""),
        ("no such name!", PASSWORD),
        ("alice", ""),
    ] {
        let mut browser = stage.browser();
        let answer = browser.log_in(user, password).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{user}");
        assert_eq!(answer.reason(), "bad-credentials");
        assert_eq!(browser.cookie(CONTROL, cookie::LOGIN), None);
        answers.push((answer.text.replace(&format!("value=\"{user}\""), "value"), format!("{:?}", answer.headers)));
    }
    for pair in answers.windows(2) {
        assert_eq!(pair[0], pair[1]);
    }
}

#[tokio::test]
async fn a_suspended_login_ends_at_once() {
    let stage = Stage::new().await;
    let mut browser = stage.logged_in("alice").await;
    assert_eq!(browser.get(&page("")).await.status, StatusCode::OK);
    stage.store.set_suspended("alice", true).await.unwrap();
    assert_eq!(browser.get(&page("")).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn ten_failures_for_a_name_close_it_for_a_minute_from_anywhere() {
    let stage = Stage::new().await;
    let mut browser = stage.browser();
    for attempt in 0..10u8 {
        browser.peer = [192, 0, 2, attempt].into();
        assert_eq!(browser.log_in("alice", "wrong").await.status, StatusCode::FORBIDDEN);
    }
    browser.peer = [198, 51, 100, 1].into();
    let answer = browser.log_in("ALICE", PASSWORD).await;
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "60"));
    assert_eq!(browser.log_in("bob", PASSWORD).await.status, StatusCode::SEE_OTHER, "others are not concerned");
}

#[tokio::test]
async fn ten_failures_from_a_network_close_it_for_a_minute_for_any_name() {
    let stage = Stage::new().await;
    let mut browser = stage.browser();
    for attempt in 0..10 {
        browser.peer = format!("2001:db8::{attempt}").parse().unwrap();
        assert_eq!(browser.log_in(&format!("user{attempt}"), "wrong").await.status, StatusCode::FORBIDDEN);
    }
    assert_eq!(browser.log_in("alice", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
    let link = stage.control.login_link("alice").await.unwrap();
    assert_eq!(browser.get(&link).await.status, StatusCode::TOO_MANY_REQUESTS, "links are secrets too");
    browser.peer = "2001:db8:0:1::1".parse().unwrap();
    assert_eq!(browser.log_in("alice", PASSWORD).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn successes_are_not_counted() {
    let stage = Stage::new().await;
    for _ in 0..12 {
        assert_eq!(stage.browser().log_in("alice", PASSWORD).await.status, StatusCode::SEE_OTHER);
    }
}

#[tokio::test]
async fn nobody_is_logged_in_by_another_site() {
    let stage = Stage::new().await;
    for headers in [
        &[("origin", "https://3000-den.code.example"), ("sec-fetch-site", "same-site")][..],
        &[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")],
        &[("origin", "null"), ("sec-fetch-site", "cross-site")],
        &[("origin", "null")],
        &[],
    ] {
        let mut headers = headers.to_vec();
        headers.push(("content-type", "application/x-www-form-urlencoded"));
        let mut browser = stage.browser();
        let body = format!("user=bob&password={}", PASSWORD.replace(' ', "+"));
        let answer = browser.send("POST", &page("login"), &headers, &body).await;
        assert_eq!((answer.status, answer.reason()), (StatusCode::FORBIDDEN, "other-origin"), "{headers:?}");
        assert_eq!(browser.cookie(CONTROL, cookie::LOGIN), None);
    }
}

#[tokio::test]
async fn a_link_names_its_user_and_works_once_by_its_button() {
    let stage = Stage::new().await;
    let link = stage.control.login_link("carol").await.unwrap();
    assert!(link.starts_with(&page("link/")));
    for _ in 0..3 {
        let look = stage.browser().get(&link).await;
        assert_eq!(look.status, StatusCode::OK);
        assert!(look.text.contains("Log in as carol"));
        assert!(look.set_cookies().is_empty(), "looking changes nothing");
    }
    let mut browser = stage.browser();
    let taken = browser.post(&link, &[]).await;
    assert_eq!(taken.leads_to(), page(""));
    assert!(browser.follow(&taken).await.text.contains("carol"));
    for again in [stage.browser().post(&link, &[]).await, stage.browser().get(&link).await] {
        assert_eq!((again.status, again.reason()), (StatusCode::NOT_FOUND, "link-spent"));
        assert!(again.set_cookies().is_empty());
    }
    let made_up = page(&format!("link/{}", random().text()));
    assert_eq!(stage.browser().get(&made_up).await.reason(), "link-spent");
    assert_eq!(stage.browser().get(&page("link/x")).await.reason(), "link-spent");
    assert!(stage.control.login_link("nobody").await.is_err());
}

#[tokio::test]
async fn a_link_is_taken_by_one_of_many() {
    let stage = Stage::new().await;
    let link = stage.control.login_link("carol").await.unwrap();
    let mut browsers: Vec<_> = (0..8).map(|_| stage.browser()).collect();
    let answers = join_all(browsers.iter_mut().map(|browser| browser.post(&link, &[]))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == StatusCode::SEE_OTHER).count(), 1);
}

#[tokio::test]
async fn a_new_login_ends_the_one_before() {
    let stage = Stage::new().await;
    let mut browser = stage.logged_in("alice").await;
    let mut before = browser.clone();
    browser.log_in("bob", PASSWORD).await;
    assert_eq!(before.get(&page("")).await.status, StatusCode::SEE_OTHER);
    assert!(browser.get(&page("")).await.text.contains("bob"));
}

#[tokio::test]
async fn a_user_added_by_another_process_is_known_once_logged_in() {
    let stage = Stage::new().await;
    stage.store.add_user("dora").await.unwrap();
    assert!(stage.publisher.current().user("dora").is_none());
    let link = stage.control.login_link("dora").await.unwrap();
    stage.browser().post(&link, &[]).await;
    assert!(stage.publisher.current().user("dora").is_some());
}

#[tokio::test]
async fn logging_out_ends_the_login_and_every_session_made_from_it() {
    let stage = Stage::new().await;
    let mut browser = stage.logged_in("alice").await;
    let ticket = browser.visit(HERS, "/").await;
    browser.follow(&ticket).await;
    let session =
        portway_core::secret::Secret::read(browser.cookie(HERS, cookie::SESSION).unwrap().as_bytes()).unwrap();
    assert!(stage.publisher.current().session(&session.hash()).is_some());
    let mut thief = browser.clone();
    let answer = browser.post(&page("logout"), &[]).await;
    assert_eq!(answer.leads_to(), page("login"));
    assert_eq!(browser.cookie(CONTROL, cookie::LOGIN), None);
    assert_eq!(thief.get(&page("")).await.status, StatusCode::SEE_OTHER, "the secret itself is dead");
    assert!(stage.publisher.current().session(&session.hash()).is_none());
    assert_eq!(browser.get(&page("logout")).await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn only_one_well_formed_login_cookie_counts() {
    let stage = Stage::new().await;
    let browser = stage.logged_in("alice").await;
    let good = browser.cookie(CONTROL, cookie::LOGIN).unwrap().to_owned();
    let name = cookie::LOGIN;
    let mut many = String::from("a=b");
    for number in 0..300 {
        many.push_str(&format!("; {name}={}", if number == 150 { &good } else { "x" }));
    }
    let lines = [
        format!("{name}={good}; {name}=x"),
        format!("{name}=x; {name}={good}"),
        format!("{name}={good}; {name}={good}"),
        many,
        format!("{name}=\"{good}\""),
        format!("{name}={good}x"),
        format!("\u{2000}{name}={good}"),
        format!("={name}={good}"),
        format!("__host-portway_login={good}"),
        format!("$Version=1; ${name}={good}"),
        format!("__Host-portway={good}"),
        format!("{name}=;{good}"),
    ];
    for line in lines {
        let mut anonymous = stage.browser();
        let answer = anonymous.send("GET", &page(""), &[("cookie", &line)], "").await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{line}");
        let login = anonymous.send("GET", &answer.leads_to(), &[("cookie", &line)], "").await;
        assert_eq!(login.status, StatusCode::OK, "no loop: {line}");
        if line.matches(&format!("{name}=")).count() > 1 && !line.starts_with(['=', '$']) {
            assert_eq!(answer.set_cookies(), [format!("{name}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")]);
        }
    }
    let split = [("cookie", "a=1"), ("cookie", &*format!("\t {name}={good} "))];
    assert_eq!(stage.browser().send("GET", &page(""), &split, "").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_workspace_session_is_nobody_on_the_control_host() {
    let stage = Stage::new().await;
    let mut browser = stage.logged_in("alice").await;
    let ticket = browser.visit(HERS, "/").await;
    browser.follow(&ticket).await;
    let session = browser.cookie(HERS, cookie::SESSION).unwrap();
    for name in [cookie::SESSION, cookie::LOGIN] {
        let answer = stage.browser().send("GET", &page(""), &[("cookie", &format!("{name}={session}"))], "").await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
    }
}

/// Drives futures together.
pub(crate) async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|cx| {
        for (future, done) in &mut waiting {
            if done.is_none()
                && let std::task::Poll::Ready(output) = future.as_mut().poll(cx)
            {
                *done = Some(output);
            }
        }
        if waiting.iter().all(|(_, done)| done.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    waiting.into_iter().filter_map(|(_, done)| done).collect()
}
