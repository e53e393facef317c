//! What an operator changes with the command line is so in a running gateway soon after.

use std::time::Instant;

use portway_testkit::{Echo, eventually_async};

use crate::stage::{Door, OWNER, WORKSPACE, plan};

/// Waits until a GET gets `status`, and prints how long it took.
async fn becomes(what: &str, door: &Door, status: u16) {
    let since = Instant::now();
    eventually_async(what, async || door.get("/").await == status).await;
    println!("{what}: {:?}", since.elapsed());
}

#[tokio::test]
async fn every_command_takes_effect_on_a_running_gateway() {
    let echo = Echo::start().await;
    let stage = plan().start();
    let gateway = &stage.gateway;
    let port = echo.port().to_string();
    let stranger = stage.door(echo.port());
    assert_eq!(stranger.get("/").await, 401);

    gateway.run(&["share", "set", WORKSPACE, &port, "public"]);
    becomes("a public share", &stranger, 200).await;
    gateway.run(&["share", "remove", WORKSPACE, &port]);
    becomes("no share", &stranger, 401).await;

    let owner = stage.late_token(echo.port()).await;
    assert_eq!(owner.get("/").await, 200);
    gateway.run(&["workspace", "set", WORKSPACE, "--no-owner"]);
    becomes("no owner", &owner, 404).await;
    gateway.run(&["workspace", "set", WORKSPACE, "--owner", OWNER]);
    becomes("an owner", &owner, 200).await;
    gateway.run(&["user", "set", OWNER, "--suspend"]);
    eventually_async("a suspended user", async || owner.get("/").await != 200).await;
    gateway.run(&["user", "set", OWNER, "--resume"]);

    gateway.run(&["workspace", "add", "second", "--address", "localhost", "--owner", OWNER]);
    gateway.run(&["share", "set", "second", &port, "public"]);
    let second = Door { host: stranger.host.replace("-ws.", "-second."), ..stranger.clone() };
    becomes("a new workspace", &second, 200).await;
    gateway.run(&["workspace", "remove", "second"]);
    becomes("no workspace", &second, 401).await;
    stage.gateway.stop();
}
