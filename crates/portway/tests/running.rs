//! Commands beside a running gateway: they find it, and what they change takes effect on it.

use portway_testkit::{Client, Echo, Gateway, eventually_async};

fn start() -> Gateway {
    Gateway::builder(env!("CARGO_BIN_EXE_portway")).start()
}

/// The status a program gets for `/` on `host`, with a token if it has one; none if a change cut the answer short.
async fn status(gateway: &Gateway, host: &str, token: Option<&str>) -> Option<u16> {
    let token = token.map(|token| format!("X-Portway-Token: {token}\r\n")).unwrap_or_default();
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{token}Connection: close\r\n\r\n");
    let mut client = Client::connect(gateway.plain()).await;
    client.send(request).await;
    client.response("GET").await.ok().map(|answer| answer.status())
}

#[test]
fn links_and_urls_are_made_for_the_port_that_was_bound() {
    let gateway = start();
    let port = gateway.plain().port();
    let link = gateway.run(&["user", "add", "bob"]);
    assert!(link.starts_with(&format!("http://portway.localhost:{port}/.portway/link/")), "{link}");
    assert_eq!(gateway.run(&["url", "local", "3000"]), format!("http://3000-local.portway.localhost:{port}/\n"));
}

#[test]
fn links_are_made_for_the_domain_that_runs_without_being_told_again() {
    let gateway = Gateway::builder(env!("CARGO_BIN_EXE_portway")).arg("--domain").arg("dev.localhost").start();
    let url = gateway.run(&["url", "local"]);
    assert_eq!(url, format!("http://local.dev.localhost:{}/\n", gateway.plain().port()));
}

#[test]
fn health_is_good_while_it_runs_and_bad_afterwards() {
    let mut gateway = start();
    assert_eq!(gateway.run(&["health"]), "healthy\n");
    assert!(gateway.terminate().success());
    // Told where it was: the default address may belong to somebody else's gateway.
    let after = gateway.try_run(&["health", "--ops", &gateway.ops().to_string()]);
    assert_eq!(after.status.code(), Some(1));
}

#[test]
fn a_second_gateway_on_the_same_data_is_refused() {
    let gateway = start();
    let second = gateway.try_run(&["serve", "--listen", "127.0.0.1:0", "--ops", "127.0.0.1:0"]);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1));
    assert!(
        said.contains(&format!("another gateway (process {})", gateway.pid())) && said.contains("--data DIR"),
        "{said}"
    );
}

#[tokio::test]
async fn what_commands_change_takes_effect_on_the_gateway_that_runs() {
    let gateway = start();
    let echo = Echo::start().await;
    let port = echo.port().to_string();
    let host = format!("{port}-blue.portway.localhost:{}", gateway.plain().port());

    drop(gateway.run(&["user", "add", "alice"]));
    drop(gateway.run(&["workspace", "add", "blue", "--address", "localhost", "--owner", "alice"]));
    let row = gateway.run(&["token", "create", "--user", "alice", "--workspace", "blue", "--port", &port, "--json"]);
    let row: serde_json::Value = serde_json::from_str(&row).unwrap();
    let (id, token) = (row["id"].as_str().unwrap(), row["token"].as_str());
    eventually_async("the token to open the port", async || status(&gateway, &host, token).await == Some(200)).await;
    assert_ne!(status(&gateway, &host, None).await, Some(200));

    drop(gateway.run(&["token", "remove", id]));
    eventually_async("the token to be revoked", async || status(&gateway, &host, token).await != Some(200)).await;

    drop(gateway.run(&["share", "set", "blue", &port, "public"]));
    eventually_async("the port to be public", async || status(&gateway, &host, None).await == Some(200)).await;
    drop(gateway.run(&["share", "remove", "blue", &port]));
    eventually_async("the port to be the owner's again", async || status(&gateway, &host, None).await != Some(200))
        .await;
}
