//! A changed configuration takes the place of the old one in the same process; one that cannot be used changes nothing.

use std::path::PathBuf;

use portway_testkit::{Client, Echo, Gateway, TestCa, eventually, eventually_async};
use serde_json::Value;

use crate::handover::{Load, World, unlimited};
use crate::hub::metric_of;
use crate::stage::{over_tls, plan};

const READY: &str = "GET /readyz HTTP/1.1\r\nHost: ops\r\n\r\n";

fn file(gateway: &Gateway) -> PathBuf {
    gateway.dir().join("portway.toml")
}

/// Adds lines to the configuration file; gives what it was before.
fn add(gateway: &Gateway, more: &str) -> String {
    let before = std::fs::read_to_string(file(gateway)).expect("read the configuration");
    std::fs::write(file(gateway), format!("{before}{more}")).expect("write the configuration");
    before
}

fn events(gateway: &Gateway, event: &str) -> Vec<Value> {
    gateway.log().into_iter().filter(|line| line["event"] == event).collect()
}

fn reloaded(gateway: &Gateway, times: usize) {
    eventually("the configuration to be in use", || events(gateway, "reloaded").len() >= times);
}

async fn count(gateway: &Gateway, result: &str) -> Option<f64> {
    metric_of(gateway, &format!("portway_configuration_reloads_total{{result=\"{result}\"}}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_in_use_without_a_failed_request_and_streams_live_on() {
    let World { gateway, door, tunnel, mut streams, servers: (_echo, sockets, _slow) } = World::open().await;
    let mut probe = Client::connect(gateway.ops()).await;
    assert_eq!(probe.round_trip("GET", READY).await.status(), 200);

    let load = Load::start(&door);
    load.goes_on(50);
    add(&gateway, &format!("[access]\ndenied = [22, {}]\n[log]\nlevel = \"debug\"\n", sockets.port()));
    reloaded(&gateway, 1);
    assert_eq!(events(&gateway, "reloaded").iter().map(|line| line["cause"].clone()).collect::<Vec<_>>(), ["change"]);
    load.goes_on(50);

    // What is asked for now is judged by the new one, and what was open lives on under the old one.
    let refused = tunnel.connect().await.round_trip("GET", tunnel.head("GET /", "")).await;
    assert_eq!(refused.status(), 404);
    streams.live_on().await;
    assert_eq!(probe.round_trip("GET", READY).await.status(), 200, "a probe was told of the old one");
    assert!(events(&gateway, "drained").is_empty(), "it did not wait for what was open");
    drop(streams);
    gateway.wait_for_log("the old one's end", |line| line["event"] == "drained" && line["why"] == "reload");

    // The signal, though nothing has changed; and again, while nobody waits for the first.
    gateway.signal("HUP");
    reloaded(&gateway, 2);
    gateway.signal("HUP");
    reloaded(&gateway, 3);
    load.goes_on(50);
    load.end().await;
    assert_eq!(events(&gateway, "reloaded").iter().filter(|line| line["cause"] == "SIGHUP").count(), 2);
    assert!(gateway.log().iter().any(|line| line["level"] == "debug"), "the log's level is the old one");
    assert_eq!(count(&gateway, "loaded").await, Some(3.0));
    let health = gateway.run(&["health"]);
    assert!(!health.is_empty());
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_is_refused_with_its_line_and_the_old_one_stays() {
    let echo = Echo::start().await;
    let stage = plan().public(echo.port()).with(unlimited).start();
    let (door, gateway) = (stage.door(echo.port()), stage.gateway);
    drop(TestCa::new().leaf(&["*.portway.localhost"]).write(gateway.dir().path(), "hub"));
    let load = Load::start(&door);
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = other.local_addr().expect("its address");
    let cases = [
        ("[limits]\nconnect = \"soon\"\n".to_owned(), "portway.toml:4"),
        ("[nothing]\n".to_owned(), "nothing"),
        ("[[tls.certificates]]\ncert = \"no.crt\"\nkey = \"no.key\"\n".to_owned(), "no.crt"),
        (
            format!("[tls]\nlisten = [\"{taken}\"]\n[[tls.certificates]]\ncert = \"hub.crt\"\nkey = \"hub.key\"\n"),
            "is taken",
        ),
        ("[workspaces\n".to_owned(), "portway.toml"),
    ];
    let mut refused = 0;
    for (more, word) in &cases {
        let good = add(&gateway, more);
        refused += 1;
        let mut said = String::new();
        eventually("it to be refused", || {
            let all = events(&gateway, "configuration");
            let words = all.iter().filter_map(|line| line["message"].as_str());
            said = words.filter(|text| text.starts_with("refused")).collect::<Vec<_>>().join("\n");
            said.contains(word)
        });
        eventually_async("it to be counted", async || count(&gateway, "refused").await == Some(f64::from(refused)))
            .await;
        load.goes_on(20);
        // The good one again is a change as well.
        std::fs::write(file(&gateway), good).expect("write the configuration");
        reloaded(&gateway, usize::try_from(refused).expect("a few"));
        load.goes_on(20);
    }
    load.end().await;
    gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_come_and_go_with_the_configuration() {
    let ca = TestCa::new();
    let gateway = over_tls(&ca, "listen = [\"127.0.0.1:0\"]\nops = \"127.0.0.1:0\"\n").listeners_from_config().start();
    let (plain, ops) = (gateway.plain(), gateway.ops());
    let path = file(&gateway);
    let text = std::fs::read_to_string(&path).expect("read the configuration");
    std::fs::write(&path, text.replacen("listen = [\"127.0.0.1:0\"]", "listen = [\"127.0.0.1:0\", \"[::1]:0\"]", 1))
        .expect("write the configuration");
    reloaded(&gateway, 1);
    let second = gateway.addresses("plain").into_iter().find(|at| at.is_ipv6()).expect("a second listener");
    let ask = "GET /.portway/login HTTP/1.1\r\nHost: hub.test\r\n\r\n";
    for at in [plain, second] {
        // To https, as the TLS listener is the one with a name.
        assert_eq!(Client::connect(at).await.round_trip("GET", ask).await.status(), 308);
    }
    let text = text.replacen("listen = [\"127.0.0.1:0\"]", "listen = [\"[::1]:0\"]", 1);
    std::fs::write(&path, text.replacen("ops = \"127.0.0.1:0\"", "ops = \"[::1]:0\"", 1)).expect("write");
    reloaded(&gateway, 2);
    gateway.wait_for_log("the first one's end", |line| line["event"] == "drained");
    for gone in [plain, ops] {
        eventually_async("the listener to close", async || tokio::net::TcpStream::connect(gone).await.is_err()).await;
    }
    assert_eq!(Client::connect(second).await.round_trip("GET", ask).await.status(), 308);
    let new_ops = gateway.addresses("ops").into_iter().find(|at| at.is_ipv6()).expect("another");
    assert_eq!(Client::connect(new_ops).await.round_trip("GET", READY).await.status(), 200);
    gateway.stop();
}
