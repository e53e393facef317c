//! Visitors over HTTP/2, by prior knowledge on the plain listener: requests become HTTP/1.1 as they are, and every way to
//! end a stream means what it says.

use bytes::Bytes;
use h2::Reason;
use portway_testkit::upstream::Gate;
use portway_testkit::{Bulk, Echo, Message, Recorder, Step, within};

use crate::http2_client::{Http2, finish};
use crate::stage::private;

fn reflected(body: Vec<u8>) -> Message {
    Echo::reflected(&Message { body: body.into(), ..Message::default() })
}

#[tokio::test]
async fn a_request_arrives_as_http1() {
    let echo = Echo::start().await;
    let (stage, door) = private(echo.port());
    let mut http2 = Http2::connect(&door).await;
    let fields = "accept: */*\r\nx-b: 1\r\nx-a: 2\r\nx-b: 3\r\nte: trailers\r\ncookie: a=1\r\ncookie: b=2\r\n";
    let answer = http2.get(&door, "/a%2Fb//c/..?d=e&f", fields).await;
    assert_eq!(answer.status, 200);
    let seen = reflected(answer.body);
    assert_eq!(seen.start_line(), "GET /a%2Fb//c/..?d=e&f HTTP/1.1");
    assert_eq!(seen.all("host"), [format!("localhost:{}", door.port)]);
    assert_eq!(seen.all("cookie"), ["a=1; b=2"]);
    assert_eq!(
        (seen.all("x-b"), seen.all("x-a"), seen.all("accept")),
        (vec!["1".into(), "3".into()], vec!["2".into()], vec!["*/*".into()])
    );
    assert_eq!((seen.all("te"), seen.all("connection")), (vec!["trailers".to_owned()], vec!["TE".to_owned()]));
    // No body, no framing (R43).
    assert!(seen.all("transfer-encoding").is_empty() && seen.all("content-length").is_empty());

    let answer = http2.post(&door, "/", "", b"hello").await;
    let seen = reflected(answer.body);
    assert_eq!((seen.all("transfer-encoding"), seen.text().as_str()), (vec!["chunked".to_owned()], "hello"));
    let answer = http2.post(&door, "/", "content-length: 5\r\n", b"hello").await;
    let seen = reflected(answer.body);
    assert_eq!((seen.all("content-length"), seen.text().as_str()), (vec!["5".to_owned()], "hello"));
    assert!(seen.all("transfer-encoding").is_empty());
    stage.gateway.stop();
}

#[tokio::test]
async fn a_response_says_what_the_dev_server_said() {
    let told = "HTTP/1.1 418 Hm\r\nX-Odd: 1\r\nX-Odd: 2\r\nKeep-Alive: timeout=5\r\nConnection: X-Gone\r\nX-Gone: 1\r\n\
                Set-Cookie: a=1; Domain=x\r\nContent-Length: 2\r\n\r\nok";
    let recorder = Recorder::answering(told).await;
    let (stage, door) = private(recorder.port());
    let answer = Http2::connect(&door).await.get(&door, "/", "").await;
    assert_eq!((answer.status, &answer.body[..], answer.reset), (418, &b"ok"[..], None));
    let odd: Vec<_> = answer.headers.get_all("x-odd").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(odd, ["1", "2"]);
    assert_eq!(
        (&answer.headers["set-cookie"], &answer.headers["content-length"]),
        (&"a=1".parse().unwrap(), &"2".parse().unwrap())
    );
    for gone in ["connection", "keep-alive", "x-gone", "transfer-encoding"] {
        assert!(!answer.headers.contains_key(gone), "{gone}");
    }
    stage.gateway.stop();
}

#[tokio::test]
async fn a_truncated_response_is_a_reset_and_no_end() {
    for told in ["Content-Length: 100\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
        let recorder =
            Recorder::start(vec![Step::ReadHead, Step::write(format!("HTTP/1.1 200 OK\r\n{told}")), Step::Close]).await;
        let (stage, door) = private(recorder.port());
        let mut http2 = Http2::connect(&door).await;
        let answer = http2.get(&door, "/", "").await;
        assert_eq!(answer.reset, Some(Reason::INTERNAL_ERROR), "{told:?}: {answer:?}");
        // It was that stream's end alone.
        let again = http2.get(&door, "/.portway/nothing", "").await;
        assert_eq!((again.status, again.reset), (404, None));
        stage.gateway.stop();
    }
}

#[tokio::test]
async fn an_early_answer_stops_the_body_without_an_error() {
    let gate = Gate::new();
    let early = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno";
    let recorder = Recorder::start(vec![Step::ReadHead, Step::Wait(gate.clone()), Step::write(early)]).await;
    let (stage, door) = private(recorder.port());
    let mut http2 = Http2::connect(&door).await;
    let (response, mut stream) = http2.begin("POST", &format!("{}/", door.origin()), &door.auth, false).await;
    stream.send_data(Bytes::from_static(b"the beginning"), false).unwrap();
    recorder.saw("POST /").await;
    gate.open();
    let answer = finish(response).await;
    assert_eq!((answer.status, &answer.body[..], answer.reset), (413, &b"no"[..], None));
    let reason = within("the reset", std::future::poll_fn(|cx| stream.poll_reset(cx))).await.expect("a reset");
    assert_eq!(reason, Reason::NO_ERROR);
    recorder.all_ended(1).await;
    stage.gateway.stop();
}

#[tokio::test]
async fn a_visitors_reset_reaches_the_dev_server() {
    let recorder = Recorder::start(vec![Step::ReadHead]).await;
    let (stage, door) = private(recorder.port());
    let mut http2 = Http2::connect(&door).await;
    let (response, mut stream) = http2.begin("POST", &format!("{}/", door.origin()), &door.auth, false).await;
    stream.send_data(Bytes::from_static(b"the beginning"), false).unwrap();
    recorder.saw("the beginning").await;
    stream.send_reset(Reason::CANCEL);
    recorder.all_ended(1).await;
    // A body that did not end did not end upstream either.
    assert!(!recorder.text().contains("\r\n0\r\n"), "{}", recorder.text());
    drop(response);
    stage.gateway.stop();
}

#[tokio::test]
async fn a_body_that_is_not_as_long_as_it_says_is_refused() {
    let recorder = Recorder::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let (stage, door) = private(recorder.port());
    let mut http2 = Http2::connect(&door).await;
    for (length, body) in [("10", &b"hello"[..]), ("2", b"hello"), ("0", b"hello"), ("5", b"")] {
        let answer = http2.post(&door, "/short", &format!("content-length: {length}\r\n"), body).await;
        let refused = answer.reset.is_some() || answer.status == 400;
        assert!(refused, "{length} for {} bytes: {answer:?}", body.len());
    }
    for bad in [
        "content-length: 5, 5\r\n",
        "content-length: +5\r\n",
        "content-length: 5\r\ncontent-length: 5\r\n",
        "content-length: x\r\n",
    ] {
        let answer = http2.post(&door, "/bad", bad, b"hello").await;
        assert!(answer.reset.is_some() || answer.status == 400, "{bad:?}: {answer:?}");
    }
    // What ended with its head cannot have a length.
    let answer = http2.get(&door, "/none", "content-length: 5\r\n").await;
    assert!(answer.reset.is_some() || answer.status == 400, "{answer:?}");
    // None of them arrived whole: a length that was announced was not kept.
    for one in recorder.connections() {
        let text = String::from_utf8_lossy(&one.bytes).into_owned();
        assert!(!text.contains("/bad") && !text.contains("/none"), "{text}");
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            let length: usize = length.and_then(|digits| digits.parse().ok()).unwrap_or_default();
            assert!(body.len() < length || length == 0 && body.is_empty(), "{text}");
        }
    }
    stage.gateway.stop();
}

#[tokio::test]
async fn many_streams_share_one_connection_and_none_waits_for_a_slow_one() {
    let bulk = Bulk::start().await;
    let (stage, door) = private(bulk.port());
    let mut http2 = Http2::connect(&door).await;
    let url = |path: &str| format!("{}{path}", door.origin());
    // One that nobody reads: its window is full long before its end.
    let (slow, _) = http2.begin("GET", &url("/bytes/8000000"), &door.auth, true).await;
    let mut slow = within("the head", slow).await.unwrap().into_body();
    let mut streams = Vec::new();
    for _ in 0..40 {
        streams.push(http2.begin("GET", &url("/bytes/20000"), &door.auth, true).await.0);
    }
    for stream in streams {
        let answer = finish(stream).await;
        assert_eq!((answer.status, answer.body.len(), answer.reset), (200, 20_000, None));
    }
    let mut length = 0;
    while let Some(data) = within("the slow one", slow.data()).await {
        let data = data.unwrap();
        slow.flow_control().release_capacity(data.len()).unwrap();
        length += data.len();
    }
    assert_eq!(length, 8_000_000);
    stage.gateway.stop();
}
