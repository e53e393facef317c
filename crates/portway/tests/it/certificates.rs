//! Certificate files that change while the gateway runs: shown at once, to new connections alone, and never a bad one.

use std::path::Path;

use portway_testkit::{Client, Gateway, TestCa, eventually_async};

use crate::hub::metric_of;
use crate::stage::over_tls;

const NAMES: &[&str] = &["*.hub.test", "hub.test"];
const ASK: &str = "GET /.portway/login HTTP/1.1\r\nHost: hub.test\r\n\r\n";

/// Whether a fresh connection is shown a certificate of this authority.
async fn shows(gateway: &Gateway, ca: &TestCa) -> bool {
    Client::try_connect_tls(gateway.tls(), "hub.test", ca.client(&["http/1.1"])).await.is_ok()
}

fn write(ca: &TestCa, dir: &Path, names: &[&str]) {
    drop(ca.leaf(names).write(dir, "hub"));
}

#[tokio::test(flavor = "multi_thread")]
async fn new_certificates_are_shown_to_new_connections_and_old_ones_go_on() {
    let (first, second, third) = (TestCa::new(), TestCa::new(), TestCa::new());
    let gateway = over_tls(&first, "").start();
    let dir = gateway.dir().path().to_owned();
    let mut open = Client::connect_tls(gateway.tls(), "hub.test", first.client(&["http/1.1"])).await;
    assert_eq!(open.round_trip("GET", ASK).await.status(), 200);

    write(&second, &dir, NAMES);
    eventually_async("the new certificate to be shown", async || shows(&gateway, &second).await).await;
    assert!(!shows(&gateway, &first).await, "the old one is shown beside the new one");
    assert_eq!(open.round_trip("GET", ASK).await.status(), 200, "an open connection did not go on");
    assert_eq!(metric_of(&gateway, "portway_certificate_reloads_total{result=\"loaded\"}").await, Some(1.0));

    // Half of a pair: the key of another certificate.
    std::fs::write(dir.join("hub.key"), third.leaf(NAMES).key_pem).expect("write the key");
    let said =
        gateway.wait_for_log("a refused pair", |line| line["event"] == "certificates" && line["level"] == "error");
    assert!(said["error"].as_str().is_some_and(|error| error.contains("hub.key does not fit")), "{said}");
    assert!(shows(&gateway, &second).await, "the last good one is not shown any more");
    assert_eq!(metric_of(&gateway, "portway_certificate_reloads_total{result=\"failed\"}").await, Some(1.0));

    // The files as a renewal leaves them between two steps.
    std::fs::remove_file(dir.join("hub.key")).expect("remove the key");
    std::fs::write(dir.join("hub.crt"), "").expect("truncate the certificate");
    write(&third, &dir, &["*.hub.test"]);
    gateway.wait_for_log("a name that nothing covers", |line| {
        line["event"] == "certificates"
            && line["message"].as_str().is_some_and(|text| text.contains("covers `hub.test`"))
    });
    let host = "3000-ws.hub.test";
    eventually_async("the third certificate to be shown", async || {
        Client::try_connect_tls(gateway.tls(), host, third.client(&["http/1.1"])).await.is_ok()
    })
    .await;
    assert_eq!(open.round_trip("GET", ASK).await.status(), 200, "an open connection did not go on");
    drop(open);
    gateway.stop();
}
