//! What an operator changes with the command line, or in the workspaces file, is so in a running gateway soon after.

use std::time::Instant;

use portway_testkit::{Echo, eventually_async};

use crate::stage::{Door, OWNER, WORKSPACE, builder, plan};

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

#[tokio::test]
async fn the_workspaces_file_is_read_again_and_a_bad_one_changes_nothing() {
    let echo = Echo::start().await;
    let builder = builder().config("[workspaces]\nallow = [\"127.0.0.1\"]\nfile = \"workspaces.toml\"\n");
    let file = builder.dir().join("workspaces.toml");
    let record = |id: &str| format!("[[workspace]]\nid = \"{id}\"\naddress = \"127.0.0.1\"\n");
    // As editors do: a new file in the place of the old one.
    let write = |text: String| {
        let fresh = file.with_extension("new");
        std::fs::write(&fresh, text).expect("write the file");
        std::fs::rename(fresh, &file).expect("replace the file");
    };
    write(record("one"));
    let gateway = builder.start();
    let port = echo.port().to_string();
    let address = gateway.plain();
    let door = |id: &str| {
        let host = format!("{port}-{id}.portway.localhost:{}", address.port());
        Door { address, host, auth: String::new(), port: echo.port() }
    };
    let (one, two) = (door("one"), door("two"));
    let status = async |id: &str| if id == "one" { one.get("/").await } else { two.get("/").await };
    gateway.run(&["share", "set", "one", &port, "public"]);
    eventually_async("the first workspace", async || status("one").await == 200).await;

    write(format!("{}{}", record("one"), record("two")));
    eventually_async("the second workspace to be listed", async || {
        gateway.try_run(&["share", "set", "two", &port, "public"]).status.success() && status("two").await == 200
    })
    .await;

    write(format!("{}[[workspace]]\nid = \"three\"\nadress = \"127.0.0.1\"\n", record("one")));
    gateway.wait_for_log("a complaint that names the line and the key", |line| {
        line["line"] == 6 && line["message"].as_str().is_some_and(|text| text.contains("`adress`"))
    });
    // The last good state stays, the one that the bad file leaves out too.
    assert_eq!((status("one").await, status("two").await), (200, 200));

    write(record("two"));
    eventually_async("the first workspace to go", async || status("one").await == 401).await;
    assert_eq!(status("two").await, 200);
    gateway.stop();
}

#[tokio::test]
async fn one_id_in_two_sources_is_an_error_that_names_both() {
    let builder = builder().config("[workspaces]\nallow = [\"127.0.0.1\"]\nfile = \"workspaces.toml\"\n");
    let file = builder.dir().join("workspaces.toml");
    std::fs::write(&file, "").expect("write the file");
    let gateway = builder.start();
    gateway.run(&["workspace", "add", "twin", "--address", "127.0.0.1"]);
    std::fs::write(&file, "[[workspace]]\nid = \"TWIN\"\naddress = \"127.0.0.1\"\n").expect("write the file");
    let line = gateway.wait_for_log("the conflict", |line| {
        let text = line.to_string();
        text.to_lowercase().contains("twin") && text.contains("file") && text.contains("sqlite")
    });
    assert!(line.to_string().contains("sources"), "{line}");
    gateway.stop();
}
