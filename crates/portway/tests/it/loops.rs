//! A dev server that passes requests on to its own public address (R37). nginx is a real one.

use portway_testkit::Echo;
use portway_testkit::service::free_port;

use crate::proxies::Nginx;
use crate::stage::plan;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_itself_by_the_gateway_is_stopped_after_four_passes() {
    let port = free_port();
    let stage = plan().public(port).start();
    let door = stage.door(port);
    let nginx = Nginx::start(port, &door, &door.host, "");
    let answer = door.connect().await.round_trip("GET", door.head("GET /round", "")).await;
    assert_eq!(answer.status(), 508, "{}", answer.text());
    let passes = nginx.end();
    assert_eq!(passes.matches("GET /round").count(), 4, "{passes}");
    stage.gateway.stop();
}

#[tokio::test]
async fn other_networks_and_a_few_passes_are_no_loop() {
    let echo = Echo::start().await;
    let stage = plan().public(echo.port()).start();
    let door = stage.door(echo.port());
    let mut client = door.connect().await;
    for (fields, status) in [
        ("CDN-Loop: cdn.example, cdn.example, cdn.example, cdn.example, portway.example, notportway\r\n", 200),
        ("CDN-Loop: portway, portway\r\ncdn-loop: Portway; v=1\r\n", 200),
        ("CDN-Loop: portway, portway\r\ncdn-loop: portway;v=1 ,\tPORTWAY\r\n", 508),
    ] {
        let answer = client.round_trip("GET", door.head("GET /", fields)).await;
        assert_eq!(answer.status(), status, "{fields}");
        if status == 200 {
            let seen = Echo::reflected(&answer);
            assert_eq!(seen.all("cdn-loop").last().map(String::as_str), Some("portway"), "{fields}");
        }
    }
    stage.gateway.stop();
}
