//! Under systemd: how it is told, and the listeners that it passes. Played by the test, by sd_notify(3) and
//! sd_listen_fds(3).

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

use portway_testkit::{Client, patience};

use crate::stage::builder;

/// What is told next.
fn told(socket: &UnixDatagram) -> String {
    let mut text = [0; 512];
    let length = socket.recv(&mut text).expect("a word from the gateway");
    String::from_utf8_lossy(text.get(..length).unwrap_or_default()).into_owned()
}

#[test]
fn it_says_when_it_is_ready_reads_its_configuration_and_stops() {
    let builder = builder().config("");
    let path = builder.dir().join("notify.sock");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(patience())).expect("a limit");
    let gateway = builder.env("NOTIFY_SOCKET", &path.display().to_string()).start();
    assert_eq!(told(&socket).trim(), "READY=1");
    gateway.signal("HUP");
    let said = told(&socket);
    assert!(said.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{said}");
    assert_eq!(told(&socket).trim(), "READY=1");
    gateway.stop();
    assert_eq!(told(&socket).trim(), "STOPPING=1");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_while_it_is_restarted_waits_on_a_listener_of_systemds() {
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").expect("a port"));
    let at = listener.local_addr().expect("its address");
    let early = Client::connect(at).await;
    let config = format!("listen = [\"{at}\"]\nops = \"127.0.0.1:0\"\n[limits]\ndrain = \"500ms\"\n");
    let made = builder().config(&config).listeners_from_config().passed(listener.clone());
    let first = made.clone().start();
    assert_eq!(first.plain(), at);
    assert_eq!(answer(early, at).await, 404, "who came before the first start");
    first.stop();
    let between = Client::connect(at).await;
    let second = made.start();
    assert_eq!(answer(between, at).await, 404, "who came between the two");
    second.stop();
}

async fn answer(mut client: Client, at: SocketAddr) -> u16 {
    let port = at.port();
    let ask = format!("GET /.portway/nothing HTTP/1.1\r\nHost: portway.localhost:{port}\r\nConnection: close\r\n\r\n");
    client.round_trip("GET", ask).await.status()
}

#[test]
fn a_listener_that_the_configuration_does_not_name_is_an_error() {
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").expect("a port"));
    let at = listener.local_addr().expect("its address");
    let (status, errors) = builder().passed(listener).start_refused();
    assert_eq!(status.code(), Some(1), "{errors}");
    assert!(errors.contains(&format!("systemd listens on {at}, and the configuration does not")), "{errors}");
}
