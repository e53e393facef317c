//! Responses around the body: 1xx as they come, `Expect: 100-continue`, HEAD, 204, 304 and trailers.

use portway_testkit::upstream::Gate;
use portway_testkit::{Echo, Recorder, Step};

use crate::http2_client::Http2;
use crate::stage::private;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn early_hints_arrive_before_the_response_is_made() {
    let gate = Gate::new();
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-ODD: 1\r\n\r\n";
    let steps = vec![Step::ReadHead, Step::write(hints), Step::Wait(gate.clone()), Step::write(OK), Step::Repeat];
    let recorder = Recorder::start(steps).await;
    let (stage, door) = private(recorder.port());
    let mut client = door.connect().await;
    client.send(door.head("GET /", "")).await;
    assert_eq!(client.response_head().await.unwrap().head, hints.as_bytes());
    gate.open();
    assert_eq!(client.response("GET").await.unwrap().text(), "ok");

    let mut http2 = Http2::connect(&door).await;
    let (mut response, _) = http2.begin("GET", &format!("{}/", door.origin()), &door.auth, true).await;
    let early = std::future::poll_fn(|cx| response.poll_informational(cx));
    let early = portway_testkit::within("103 over HTTP/2", early).await.unwrap().unwrap();
    assert_eq!((early.status().as_u16(), &early.headers()["x-odd"]), (103, &http::HeaderValue::from_static("1")));
    gate.open();
    assert_eq!(crate::http2_client::finish(response).await.body, b"ok");
    stage.gateway.stop();
}

#[tokio::test]
async fn the_body_is_asked_for_by_the_dev_server_and_by_nobody_else() {
    let taken = vec![
        Step::ReadHead,
        Step::write("HTTP/1.1 100 Continue\r\n\r\n"),
        Step::Read(5),
        Step::write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"),
        Step::Close,
    ];
    let refused = vec![Step::ReadHead, Step::write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")];
    let recorder = Recorder::start_with(None, vec![taken, refused]).await;
    let (stage, door) = private(recorder.port());
    let expecting = door.head("POST /", "Expect: 100-continue\r\nContent-Length: 5\r\n");

    let mut client = door.connect().await;
    client.send(&expecting).await;
    // It comes although the body has not begun.
    assert_eq!(client.response_head().await.unwrap().status(), 100);
    client.send("hello").await;
    assert_eq!(client.response("POST").await.unwrap().text(), "ok");
    assert!(recorder.text().contains("Expect: 100-continue\r\n"), "{}", recorder.text());

    // The first thing that comes back is the dev server's answer: the gateway made no 100 of its own.
    client.send(&expecting).await;
    let refused = client.response("POST").await.unwrap();
    assert_eq!((refused.status(), refused.text().as_str()), (413, "no"));
    // Whether the body still comes cannot be known, so that nothing else can be read here.
    assert_eq!(client.read_to_close().await.0, "");
    assert_eq!(recorder.text().matches("hello").count(), 1);
    stage.gateway.stop();
}

#[tokio::test]
async fn bodyless_responses_keep_their_fields() {
    for (method, told) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 123456\r\nETag: \"a\"\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 123456\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n"),
        ("HEAD", "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n"),
        ("DELETE", "HTTP/1.1 204 No Content\r\n\r\n"),
    ] {
        let recorder = Recorder::answering(told).await;
        let (stage, door) = private(recorder.port());
        let mut client = door.connect().await;
        for _ in 0..2 {
            // Twice: the connection is in step after each.
            let answer = client.round_trip(method, door.head(&format!("{method} /"), "")).await;
            assert_eq!(String::from_utf8_lossy(&answer.head), told, "{method}");
            assert!(answer.body.is_empty());
        }
        let mut http2 = Http2::connect(&door).await;
        let (response, _) = http2.begin(method, &format!("{}/", door.origin()), &door.auth, true).await;
        let answer = crate::http2_client::finish(response).await;
        assert!(answer.reset.is_none() && answer.body.is_empty(), "{method} {told}: {answer:?}");
        let length = answer.headers.get("content-length").map(|value| value.to_str().unwrap().to_owned());
        let wanted = told.split_once("Content-Length: ").map(|(_, rest)| rest.split_once('\r').unwrap().0.to_owned());
        assert_eq!(length, wanted, "{method} {told}");
        stage.gateway.stop();
    }
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let echo = Echo::start().await;
    let (stage, door) = private(echo.port());
    let head = door.head("POST /", "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n");
    let request = format!("{head}5\r\nhello\r\n0\r\nX-Sum: 1\r\nx-OTHER: 2\r\n\r\n");
    let answer = door.connect().await.round_trip("POST", request).await;
    assert_eq!(&answer.trailers[..], b"X-Sum: 1\r\nx-OTHER: 2\r\n");
    assert_eq!(Echo::reflected(&answer).text(), "hello");

    let mut http2 = Http2::connect(&door).await;
    let (response, mut stream) = http2.begin("POST", &format!("{}/", door.origin()), &door.auth, false).await;
    stream.send_data("hello".into(), false).unwrap();
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-sum", "1".parse().unwrap());
    stream.send_trailers(trailers.clone()).unwrap();
    let answer = crate::http2_client::finish(response).await;
    assert!(answer.body.ends_with(b"hello"), "{answer:?}");
    assert_eq!(answer.trailers, Some(trailers));
    stage.gateway.stop();
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_body_arrives_and_ends_the_connection() {
    let steps = vec![Step::ReadHead, Step::write("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")];
    let recorder = Recorder::start(steps).await;
    let (stage, door) = private(recorder.port());
    let mut client = door.connect().await;
    client.send(door.head("POST /", "Content-Length: 1000000\r\n")).await;
    client.send(vec![b'a'; 1000]).await;
    let answer = client.response("POST").await.unwrap();
    assert_eq!((answer.status(), answer.text().as_str()), (401, "no"));
    assert_eq!(client.read_to_close().await.0, "");
    recorder.all_ended(1).await;
    stage.gateway.stop();
}
