//! Traces by OpenTelemetry: what a collector is told of a request, and what of it the dev server.

use portway_testkit::{Client, Echo, eventually, eventually_async};
use tokio::net::TcpListener;

use crate::collector::{Collector, attribute};
use crate::http2_client::Http2;
use crate::hub::metric_of;
use crate::proxies::from;
use crate::stage::{Door, WORKSPACE, plan};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn context(flags: &str) -> String {
    format!("traceparent: 00-{TRACE}-{PARENT}-{flags}\r\ntracestate: a=b\r\n")
}

/// What a dev server is told by fields of these names: it answers with the request's head.
async fn told(door: &Door, client: Client, path: &str, fields: &str) -> (Vec<String>, Vec<String>) {
    let mut client = client;
    let answer = client.round_trip("GET", door.head(&format!("GET {path}"), fields)).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let head = Echo::reflected(&answer);
    (head.all("traceparent"), head.all("tracestate"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_traced_request_is_one_span_between_the_visitors_and_the_dev_servers() {
    let (echo, collector) = (Echo::start().await, Collector::start().await);
    let stage = plan().private(echo.port()).public(collector.address.port()).config(&collector.config(1)).start();
    let door = stage.door(echo.port());
    let (parents, states) = told(&door, door.connect().await, "/begun?token=secret", &context("00")).await;
    assert_eq!(states, ["a=b"]);
    let [parent] = &parents[..] else { panic!("{parents:?}") };
    let ours = parent.strip_prefix(&format!("00-{TRACE}-")).and_then(|rest| rest.strip_suffix("-01"));
    let ours = ours.unwrap_or_else(|| panic!("{parent}")).to_owned();
    assert_ne!(ours, PARENT);
    let (parents, _) = told(&door, door.connect().await, "/fresh", "").await;
    assert_eq!((parents.len(), parents.iter().map(String::len).max()), (1, Some(55)), "{parents:?}");
    // Twice is as good as not at all (W3C Trace Context 3.2).
    let twice = format!("{}{}", context("01"), context("01"));
    let (parents, _) = told(&door, door.connect().await, "/twice", &twice).await;
    assert!(parents.len() == 1 && !parents[0].contains(TRACE), "{parents:?}");
    let http2 = Http2::connect(&door).await.get(&door, "/h2", &context("01")).await;
    assert_eq!(http2.status, 200);
    // Where spans go is no workspace's to open.
    assert_eq!(stage.door(collector.address.port()).get("/v1/traces").await, 502);
    assert_eq!(Door { auth: String::new(), ..door.clone() }.get("/stranger").await, 401);

    let path = |span: &opentelemetry_proto::tonic::trace::v1::Span| attribute(&span.attributes, "url.path");
    eventually("every span to arrive", || collector.spans().len() >= 6);
    let spans = collector.spans();
    assert_eq!(spans.len(), 6);
    let find = |wanted: &str| spans.iter().find(|span| path(span).as_deref() == Some(wanted)).expect("its span");
    let begun = find("/begun");
    assert_eq!(
        (hex(&begun.trace_id), hex(&begun.span_id), hex(&begun.parent_span_id)),
        (TRACE.into(), ours, PARENT.into())
    );
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("server.address", door.host.as_str()),
        ("client.address", "127.0.0.1"),
        ("network.protocol.version", "1.1"),
        ("portway.workspace", WORKSPACE),
        ("user.id", crate::stage::OWNER),
        ("portway.reason", "relayed"),
    ] {
        assert_eq!(attribute(&begun.attributes, key).as_deref(), Some(value), "{key}");
    }
    assert!(begun.end_time_unix_nano >= begun.start_time_unix_nano);
    assert_eq!((find("/fresh").parent_span_id.len(), find("/h2").name.as_str()), (0, "GET"));
    assert_eq!(attribute(&find("/h2").attributes, "network.protocol.version").as_deref(), Some("2"));
    assert_eq!(attribute(&find("/stranger").attributes, "portway.reason").as_deref(), Some("not-logged-in"));
    let resource = collector.requests()[0].resource_spans[0].resource.clone().expect("a resource");
    assert_eq!(attribute(&resource.attributes, "service.name").as_deref(), Some("portway"));
    let line = stage.gateway.wait_for_log("its line", |line| line["path"] == "/begun");
    assert_eq!(line["trace_id"], TRACE);
    assert_eq!(metric_of(&stage.gateway, "portway_spans_total{result=\"told\"}").await, Some(6.0));
    stage.gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untraced_request_passes_as_it_came_and_a_proxy_decides_for_its_own() {
    let (echo, collector) = (Echo::start().await, Collector::start().await);
    // One of so many that chance leaves this test alone.
    let config = format!("{}[proxies]\ntrusted = [\"127.0.0.2\"]\n", collector.config(1_000_000_000));
    let stage = plan().public(echo.port()).config(&config).start();
    let door = stage.door(echo.port());
    let given = vec![format!("00-{TRACE}-{PARENT}-01")];
    assert_eq!(told(&door, door.connect().await, "/1", &context("01")).await.0, given);
    assert!(told(&door, door.connect().await, "/2", "").await.0.is_empty());
    let by_proxy = async || Client::over(from("127.0.0.2", door.address).await);
    let unsampled = vec![format!("00-{TRACE}-{PARENT}-00")];
    assert_eq!(told(&door, by_proxy().await, "/3", &context("00")).await.0, unsampled);
    let parents = told(&door, by_proxy().await, "/4", &context("01")).await.0;
    assert!(parents.len() == 1 && parents[0].contains(TRACE) && !parents[0].contains(PARENT), "{parents:?}");
    eventually("its span to arrive", || !collector.spans().is_empty());
    let paths: Vec<_> = collector.spans().iter().filter_map(|span| attribute(&span.attributes, "url.path")).collect();
    assert_eq!(paths, ["/4"]);
    stage.gateway.stop();

    // Without a collector nothing is changed.
    let stage = plan().public(echo.port()).start();
    let door = stage.door(echo.port());
    assert_eq!(told(&door, door.connect().await, "/1", &context("01")).await.0, given);
    stage.gateway.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_costs_no_request() {
    let echo = Echo::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    drop(listener);
    let config = format!("[traces]\ncollector = \"http://{address}\"\none_in = 1\n");
    let stage = plan().public(echo.port()).config(&config).start();
    let door = stage.door(echo.port());
    assert_eq!(door.get("/lost").await, 200);
    stage.gateway.wait_for_log("its word on it", |line| line["event"] == "traces-down");
    assert_eq!(metric_of(&stage.gateway, "portway_spans_total{result=\"failed\"}").await, Some(1.0));
    let collector = Collector::on(TcpListener::bind(address).await.expect("the same port"));
    eventually_async("spans to arrive", async || {
        assert_eq!(door.get("/told").await, 200);
        !collector.spans().is_empty()
    })
    .await;
    stage.gateway.wait_for_log("its word on it", |line| line["event"] == "traces-up");
    stage.gateway.stop();
}
