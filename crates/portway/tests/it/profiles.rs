//! A dev server that refuses the name it is told is told the other one, once, where nobody has chosen; and what it refuses
//! for other reasons passes as it came.

use portway_testkit::upstream::Server;
use portway_testkit::{Client, Message, Stream, eventually_async, message};
use tokio::io::AsyncWriteExt;

use crate::stage::{Door, Stage, plan, private};

/// What a server says to a Host it does not like.
type Refusal = &'static str;

const DJANGO: Refusal = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n\
                         1d\r\n<title>DisallowedHost at /<ti\r\n0\r\n\r\n";
const VITE: Refusal = "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 45\r\n\r\n\
                       Blocked request. This host (\"x\") is not allow";

/// A server that answers only requests whose Host begins so; others are refused, a POST is counted whatever it is.
async fn picky(likes: &'static str, refusal: Refusal) -> Server {
    Server::start(None, move |mut stream: Box<dyn Stream>| async move {
        let mut buffer = bytes::BytesMut::new();
        while let Some(mut request) = message::read_head(&mut stream, &mut buffer).await? {
            let length = request.request_length();
            message::read_body(&mut stream, &mut buffer, &mut request, length).await?;
            let host = request.field("host").unwrap_or_default();
            let good = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{host}", host.len());
            let answer = if host.starts_with(likes) { good.as_str() } else { refusal };
            stream.write_all(answer.as_bytes()).await?;
        }
        Ok(())
    })
    .await
}

async fn get(door: &Door, fields: &str) -> Message {
    let mut client: Client = door.connect().await;
    client.send(door.head("GET /a?b", fields)).await;
    client.response("GET").await.expect("an answer")
}

#[tokio::test]
async fn a_server_that_wants_its_public_name_gets_it() {
    let server = Server::start(None, serve_public).await;
    let (stage, door) = private(server.port());
    let answer = get(&door, "").await;
    assert_eq!((answer.status(), answer.text()), (200, door.host.clone()));
    // The second request is right from the start, also on another core.
    let again = get(&door, "").await;
    assert_eq!(again.text(), door.host);
    stage.gateway.stop();
}

/// Refuses `localhost` as Django does.
async fn serve_public(mut stream: Box<dyn Stream>) -> std::io::Result<()> {
    let mut buffer = bytes::BytesMut::new();
    while let Some(request) = message::read_head(&mut stream, &mut buffer).await? {
        let host = request.field("host").unwrap_or_default();
        let good = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{host}", host.len());
        let answer = if host.starts_with("localhost") { DJANGO } else { good.as_str() };
        stream.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_dev_server_on_the_ides_port_gets_localhost() {
    let server = picky("localhost", VITE).await;
    let port = server.port();
    // A protected port is an IDE's, which is told the public name.
    let stage = plan().private(port).config(&format!("[access]\nprotected = [{port}]\n")).start();
    let door = stage.door(port);
    assert_eq!(get(&door, "").await.text(), format!("localhost:{port}"));
    stage.gateway.stop();
}

#[tokio::test]
async fn a_chosen_profile_is_never_switched() {
    let server = picky("localhost", VITE).await;
    let (stage, door) = private(server.port());
    stage.gateway.run(&["port", "set", "ws", &door.port.to_string(), "--profile", "public"]);
    eventually_async("the refusal to pass", async || get(&door, "").await.status() == 403).await;
    assert_eq!(get(&door, "").await.text(), "Blocked request. This host (\"x\") is not allow");
    stage.gateway.stop();
}

#[tokio::test]
async fn a_server_that_likes_neither_name_is_asked_twice_and_then_passes() {
    let server = picky("nothing", VITE).await;
    let (stage, door) = private(server.port());
    for _ in 0..3 {
        assert_eq!(get(&door, "").await.status(), 403);
    }
    stage.gateway.stop();
}

#[tokio::test]
async fn other_refusals_pass_whole() {
    for body in ["Forbidden", "{\"detail\":\"Invalid Host\"}", ""] {
        for status in ["403 Forbidden", "400 Bad Request", "421 Misdirected Request", "500 Internal Server Error"] {
            let told = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            let recorder = portway_testkit::Recorder::answering(told).await;
            let (stage, door) = private(recorder.port());
            let answer = get(&door, "").await;
            assert_eq!((answer.start_line(), answer.text()), (format!("HTTP/1.1 {status}"), body.to_owned()));
            assert_eq!(recorder.connections().len(), 1);
            stage.gateway.stop();
        }
    }
}

#[tokio::test]
async fn a_server_that_insists_on_https_is_told_that_it_is_there() {
    let server = Server::start(None, insists).await;
    let config = "domain = \"hub.test\"\npublic = \"https://hub.test\"\n";
    let stage = plan().private(server.port()).config(config).start();
    let door = Door { host: format!("{}-ws.hub.test", server.port()), ..stage.door(server.port()) };
    assert_eq!(get(&door, "").await.status(), 200);
    stage.gateway.stop();

    // Where the public scheme is http, the other profile would change nothing.
    let (stage, door) = private(server.port());
    let answer = get(&door, "").await;
    assert_eq!((answer.status(), answer.all("location")), (301, vec![format!("{}/a?b", door.origin())]));
    stage.gateway.stop();
}

/// As frameworks with an enforced TLS do.
async fn insists(mut stream: Box<dyn Stream>) -> std::io::Result<()> {
    let mut buffer = bytes::BytesMut::new();
    while let Some(request) = message::read_head(&mut stream, &mut buffer).await? {
        let host = request.field("host").unwrap_or_default();
        let answer = if request.field("x-forwarded-proto").as_deref() == Some("https") {
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned()
        } else {
            format!("HTTP/1.1 301 Moved Permanently\r\nLocation: https://{host}/a?b\r\nContent-Length: 0\r\n\r\n")
        };
        stream.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_body_is_never_sent_twice_for_a_name() {
    let server = Server::start(None, serve_public).await;
    let (stage, door) = private(server.port());
    let mut client = door.connect().await;
    client.send(door.head("POST /", "Content-Length: 0\r\n")).await;
    // A POST is not repeated: what the server says passes.
    assert_eq!(client.response("POST").await.unwrap().status(), 400);
    still_unswitched(&stage, &door).await;
    stage.gateway.stop();
}

async fn still_unswitched(stage: &Stage, door: &Door) {
    // The next GET switches, and is answered.
    assert_eq!(get(door, "").await.text(), stage.host(&door.port.to_string()));
}
