//! Names of workspaces, of which a DNS server of the test's own says nothing, that there is no such name, or another address
//! than before (R36).
//!
//! Each test runs once more in a network of its own, whose port 53 it may have. What is judged of an address is `dial`'s to
//! test.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Instant;

use portway_testkit::dns::Answer;
use portway_testkit::{Client, Dns, Gateway, Message, Recorder, Step, TempDir, eventually_async};
use tokio::net::TcpListener;

use crate::stage::builder;

/// Set for a test that has a network of its own.
const INSIDE: &str = "PORTWAY_TEST_INSIDE";

/// A lookup that nobody answers takes 150 s, the longest there is: longer than the patience of any test.
const RESOLV_CONF: &str = "nameserver 127.0.0.1\noptions timeout:30 attempts:5\n";

/// How often a lookup asks for an address before it gives up.
const ATTEMPTS: usize = 5;

/// More visits at once than the runtime has threads for what blocks.
const MANY: usize = 600;

/// Whether this process has a network of its own. If not, runs the test of this name in one, which must pass.
fn is_inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let dir = TempDir::new();
    let resolv = dir.write("resolv.conf", RESOLV_CONF);
    let nsswitch = dir.write("nsswitch.conf", "hosts: files dns\n");
    let script = format!(
        "PATH=\"$PATH:/usr/sbin:/sbin\"; ip link set lo up && mount --bind '{}' /etc/resolv.conf && \
         mount --bind '{}' /etc/nsswitch.conf && exec \"$0\" \"$@\"",
        resolv.display(),
        nsswitch.display()
    );
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "--net", "sh", "-c", &script]);
    command.arg(std::env::current_exe().expect("this program"));
    let output = command.args(["--exact", "--nocapture", &format!("names::{test}")]).env(INSIDE, "1").output();
    let output = output.expect("run unshare");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    println!("{said}");
    assert!(output.status.success(), "in a network of its own (unshare --map-root-user --mount --net): {said}");
    assert!(said.contains("1 passed"), "the test was not found: {said}");
    false
}

fn dns() -> Dns {
    Dns::on((Ipv4Addr::LOCALHOST, 53).into())
}

/// A gateway with workspaces that are called `{id}.test`, whose port everybody may open; and one at this machine, asked for
/// without a name, which tells that the others are known.
async fn serving(limits: &str, ids: &[&str], port: u16) -> Gateway {
    let config = format!("[workspaces]\nallow = [\"127.0.0.0/8\"]\n[limits]\n{limits}\n");
    let gateway = builder().config(&config).start();
    let add = |id: &str, address: &str| {
        gateway.run(&["workspace", "add", id, "--address", address]);
        gateway.run(&["share", "set", id, &port.to_string(), "public"]);
    };
    for id in ids {
        add(id, &format!("{id}.test"));
    }
    // On 127.0.0.1, whoever listens there.
    add("here", "localhost");
    let at = gateway.plain();
    eventually_async("the workspaces to be known", async || ask(at, "here", port, "*/*").await.status() != 401).await;
    gateway
}

async fn ask(at: SocketAddr, workspace: &str, port: u16, accept: &str) -> Message {
    let host = format!("{port}-{workspace}.portway.localhost:{}", at.port());
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
    Client::connect(at).await.round_trip("GET", request).await
}

fn reason(answer: &Message) -> String {
    format!("{} {}", answer.status(), answer.field("portway-reason").unwrap_or_default())
}

/// A dev server on this address that says who it is.
async fn says(address: SocketAddr, who: &str) -> Recorder {
    let listener = TcpListener::bind(address).await.expect("bind a dev server");
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{who}", who.len());
    Recorder::on(listener, None, vec![vec![Step::ReadRequest, Step::write(answer), Step::Repeat]])
}

#[tokio::test]
async fn a_name_of_which_nobody_says_anything_is_not_running_and_holds_up_nobody() {
    if !is_inside("a_name_of_which_nobody_says_anything_is_not_running_and_holds_up_nobody") {
        return;
    }
    let (dns, server) = (dns(), says((Ipv4Addr::LOCALHOST, 0).into(), "here").await);
    dns.say("silent.test", Answer::Silence);
    dns.say("good.test", Answer::Address(Ipv4Addr::LOCALHOST));
    let port = server.port();
    let gateway = serving("connect = \"2s\"", &["silent", "good"], port).await;
    let at = gateway.plain();
    let visits: Vec<_> = (0..MANY).map(|_| tokio::spawn(ask(at, "silent", port, "*/*"))).collect();
    eventually_async("the name to be asked for", async || dns.asked("silent.test") > 0).await;
    // A name that nobody has asked for yet, while the other lookup goes on.
    assert_eq!(dns.asked("good.test"), 0);
    eventually_async("another name to be found", async || ask(at, "good", port, "*/*").await.status() == 200).await;
    for visit in visits {
        assert_eq!(reason(&visit.await.expect("a visit")), "502 no-address");
    }
    let page = ask(at, "silent", port, "text/html").await;
    assert_eq!(reason(&page), "502 no-address");
    assert!(page.text().contains("has no address right now"), "{}", page.text());
    let json = ask(at, "silent", port, "application/json").await;
    assert!(json.text().contains("\"code\":\"no-address\""), "{}", json.text());
    let asked = dns.asked("silent.test");
    assert!(asked <= ATTEMPTS, "{MANY} visits asked {asked} times");
    // It does not wait for the lookup either.
    gateway.stop();
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_not_running_at_once_and_is_found_soon_after_it_does() {
    if !is_inside("a_name_that_does_not_exist_is_not_running_at_once_and_is_found_soon_after_it_does") {
        return;
    }
    let (dns, server) = (dns(), says((Ipv4Addr::LOCALHOST, 0).into(), "here").await);
    let port = server.port();
    // Nobody waits for this long.
    let gateway = serving("connect = \"1h\"", &["none"], port).await;
    let at = gateway.plain();
    assert_eq!(reason(&ask(at, "none", port, "*/*").await), "502 no-address");
    assert_eq!(dns.asked("none.test"), 1);
    dns.say("none.test", Answer::Address(Ipv4Addr::LOCALHOST));
    let since = Instant::now();
    eventually_async("the name to be found", async || ask(at, "none", port, "*/*").await.status() == 200).await;
    println!("a name that exists is found after {:?}", since.elapsed());
    gateway.stop();
}

#[tokio::test]
async fn an_address_outlives_neither_its_workspaces_generation_nor_a_few_seconds() {
    if !is_inside("an_address_outlives_neither_its_workspaces_generation_nor_a_few_seconds") {
        return;
    }
    let (one, two) = (Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3));
    let (dns, first) = (dns(), says((one, 0).into(), "first").await);
    let port = first.port();
    let _second = says((two, port).into(), "second").await;
    dns.say("moving.test", Answer::Address(one));
    let gateway = serving("", &["moving"], port).await;
    let at = gateway.plain();
    let served = async || {
        let answer = ask(at, "moving", port, "*/*").await;
        (answer.status() == 200).then(|| answer.text())
    };
    assert_eq!(served().await.as_deref(), Some("first"));
    // Another life, in another place: the first answer that comes out of it is of the new place, though the server allows its
    // answer to be kept for minutes and the gateway would keep it for seconds.
    gateway.run(&["workspace", "set", "moving", "--stopped"]);
    eventually_async("the workspace to be stopped", async || served().await.is_none()).await;
    dns.say("moving.test", Answer::Address(two));
    gateway.run(&["workspace", "set", "moving", "--running"]);
    let mut first_of_all = None;
    eventually_async("the workspace to run", async || {
        first_of_all = served().await;
        first_of_all.is_some()
    })
    .await;
    assert_eq!(first_of_all.as_deref(), Some("second"));
    // In the same life, it is a matter of seconds.
    dns.say("moving.test", Answer::Address(one));
    let since = Instant::now();
    eventually_async("the new address to be found", async || served().await.as_deref() == Some("first")).await;
    println!("another address in the same life is found after {:?}", since.elapsed());
    gateway.stop();
}
