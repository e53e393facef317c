//! Visitors that speak HTTP/1.0: no chunks, no interim responses, no second request, and an end of the connection that
//! means the end of the body only when it is one.

use portway_testkit::{Ending, Recorder, Step, message};

use crate::stage::{Door, private};

/// Asks as HTTP/1.0 and gives everything that came, and how it ended.
async fn ask(door: &Door, method: &str) -> (String, String, Ending) {
    let mut client = door.connect().await;
    let request = format!("{method} / HTTP/1.0\r\nHost: {}\r\n{}Connection: keep-alive\r\n\r\n", door.host, door.auth);
    client.send(request).await;
    let (bytes, ending) = client.read_to_close().await;
    let end = message::find(&bytes, b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    let text = |part: &[u8]| String::from_utf8_lossy(part).into_owned();
    (text(&bytes[..end]), text(&bytes[end..]), ending)
}

#[tokio::test]
async fn a_body_of_unknown_length_ends_with_the_connection() {
    for told in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        let recorder = Recorder::answering(told).await;
        let (stage, door) = private(recorder.port());
        let (head, body, ending) = ask(&door, "GET").await;
        assert_eq!(
            (head.as_str(), body.as_str()),
            ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", "hello"),
            "{told:?}"
        );
        assert_eq!(ending, Ending::Clean, "{told:?}");
        // What is sent on is HTTP/1.1 all the same.
        assert!(recorder.text().starts_with("GET / HTTP/1.1\r\n"), "{}", recorder.text());
        stage.gateway.stop();
    }
}

#[tokio::test]
async fn a_known_length_stays_known() {
    let recorder = Recorder::answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
    let (stage, door) = private(recorder.port());
    let (head, body, ending) = ask(&door, "GET").await;
    assert_eq!(head, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n");
    assert_eq!((body.as_str(), ending), ("hello", Ending::Clean));
    stage.gateway.stop();
}

#[tokio::test]
async fn what_breaks_off_does_not_look_whole() {
    // A proper end would be the end of the body here: only a reset tells the difference.
    for told in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
    ] {
        let recorder = Recorder::start(vec![Step::ReadHead, Step::write(told), Step::Close]).await;
        let (stage, door) = private(recorder.port());
        let (_, _, ending) = ask(&door, "GET").await;
        assert_eq!(ending, Ending::Reset, "{told:?}");
        stage.gateway.stop();
    }
    let recorder =
        Recorder::start(vec![Step::ReadHead, Step::write("HTTP/1.1 200 OK\r\n\r\nhello"), Step::Reset]).await;
    let (stage, door) = private(recorder.port());
    assert_eq!(ask(&door, "GET").await.2, Ending::Reset);
    stage.gateway.stop();
}
