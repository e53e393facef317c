//! A dev server that passes requests on to its own public address (R37). nginx is a real one.

use std::path::PathBuf;
use std::process::Command;

use portway_testkit::service::{free_port, program};
use portway_testkit::{Echo, TempDir};

use crate::proxies::run;
use crate::stage::plan;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_itself_by_the_gateway_is_stopped_after_four_passes() {
    let port = free_port();
    let stage = plan().public(port).start();
    let door = stage.door(port);
    let dir = TempDir::new();
    let config = format!(
        "daemon off; master_process off; pid nginx.pid; error_log stderr;\nevents {{}}\nhttp {{ access_log passes.log;\n\
         client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;\n\
         server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://{};\n\
         proxy_http_version 1.1; proxy_set_header Host {}; }} }} }}\n",
        door.address, door.host
    );
    std::fs::write(dir.path().join("nginx.conf"), config).expect("write the configuration");
    let nginx = program(&[PathBuf::from("/usr/sbin/nginx")]);
    let service = run(Command::new(nginx).arg("-p").arg(dir.path()).args(["-c", "nginx.conf"]), port);
    let answer = door.connect().await.round_trip("GET", door.head("GET /round", "")).await;
    assert_eq!(answer.status(), 508, "{}", answer.text());
    drop(service);
    let passes = std::fs::read_to_string(dir.path().join("passes.log")).expect("the access log");
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
