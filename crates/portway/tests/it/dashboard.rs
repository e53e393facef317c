//! The dashboard's queries, each run by a real Prometheus that reads a real gateway, which has something to tell.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use portway_testkit::service::{Service, free_port, is_listening, program};
use portway_testkit::{Client, Echo, Message, TempDir, eventually, eventually_async};
use serde_json::Value;

use crate::stage::plan;

/// What a gateway without TLS, collector, Redis or control plane has nothing to say of.
const ELSEWHERE: &[&str] = &[
    "portway_tls_handshakes_total",
    "portway_certificate_reloads_total",
    "portway_spans_total",
    "portway_source_age_seconds",
    "portway_change_seconds",
    "portway_activity_reports_total",
    "portway_limits_shared",
];

/// The expressions of every panel, with what Grafana would put in.
fn queries() -> Vec<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy/grafana/portway.json");
    let text = std::fs::read_to_string(path).expect("read the dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().cloned().unwrap_or_default());
    let filled = |text: &str| text.replace("$__rate_interval", "1m").replace("$instance", ".*");
    targets.map(|target| filled(target["expr"].as_str().expect("an expression"))).collect()
}

/// What Prometheus answers to a query.
async fn ask(port: u16, query: &str) -> Value {
    let answer = get(port, &format!("/api/v1/query?query={}", escaped(query))).await;
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{query}: {}", answer.text()))
}

fn escaped(query: &str) -> String {
    query.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

async fn get(port: u16, path: &str) -> Message {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let request = format!("GET {path} HTTP/1.1\r\nHost: prometheus\r\nConnection: close\r\n\r\n");
    Client::connect(address).await.round_trip("GET", request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_of_the_dashboard_is_answered() {
    let echo = Echo::start().await;
    // One visitor asks too often, of a dev server that answers and of one that is closed.
    let config = "[limits]\nvisitor_rate = 1\nmemory = 8000000000\n";
    let stage = plan().public(echo.port()).public(1).config(config).start();
    let (door, closed) = (stage.door(echo.port()), stage.door(1));
    let dir = TempDir::new();
    let scrape = format!(
        "global: {{ scrape_interval: 1s }}\nscrape_configs:\n  - job_name: portway\n    static_configs: [{{ targets: [\"{}\"] }}]\n",
        stage.gateway.ops()
    );
    dir.write("prometheus.yml", scrape);
    let (mut port, mut service) = (0, None);
    eventually("Prometheus to start", || {
        port = free_port();
        let mut command = Command::new(program(&["/usr/bin/prometheus".into()]));
        command
            .arg(format!("--config.file={}", dir.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut started = Service::spawn(&mut command);
        eventually("Prometheus to listen or to end", || is_listening(port) || started.ended().is_some());
        let runs = started.ended().is_none();
        service = Some(started);
        runs
    });
    eventually_async("Prometheus to be ready", async || get(port, "/-/ready").await.status() == 200).await;
    let queries = queries();
    assert!(queries.len() > 20, "{} queries", queries.len());
    for query in &queries {
        let answer = ask(port, query).await;
        assert_eq!(answer["status"], "success", "{query}: {answer}");
    }
    // A rate needs two looks with something between.
    for query in queries.iter().filter(|query| !ELSEWHERE.iter().any(|metric| query.contains(metric))) {
        eventually_async(query, async || {
            door.get("/").await;
            closed.get("/").await;
            !ask(port, query).await["data"]["result"].as_array().expect("a result").is_empty()
        })
        .await;
    }
    drop(service);
    stage.gateway.stop();
}
