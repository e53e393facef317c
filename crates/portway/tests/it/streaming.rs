//! Both directions at once, piece by piece: each piece of a request body arrives, and comes back, before the next is sent.
//! Whatever held one back to fill a buffer would stop the test.

use portway_testkit::{Client, Echo, Message, within};

use crate::http2_client::Http2;
use crate::stage::{Door, private};

const PIECES: usize = 20;

fn piece(number: usize) -> String {
    format!("piece {number};")
}

fn all() -> String {
    (0..PIECES).map(piece).collect()
}

/// Reads exactly as much as was sent, after the head that the echo begins with.
async fn next(client: &mut Client, body: &mut portway_testkit::message::BodyReader, length: usize) -> String {
    let mut got = Vec::new();
    while got.len() < length {
        got.extend_from_slice(&client.body_piece(body).await.expect("the echo").expect("the echo goes on"));
    }
    String::from_utf8(got).expect("text")
}

async fn over_http1(door: &Door, framing: &str, wrap: impl Fn(&str) -> String, end: &str) {
    let mut client = door.connect().await;
    client.send(door.head("POST /", framing)).await;
    let answer = client.response_head().await.expect("an answer before the body");
    let mut body = Client::body_of(&answer, "POST");
    // The reflected head comes first.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend_from_slice(&client.body_piece(&mut body).await.expect("the head").expect("the head"));
    }
    for number in 0..PIECES {
        client.send(wrap(&piece(number))).await;
        assert_eq!(next(&mut client, &mut body, piece(number).len()).await, piece(number));
    }
    client.send(end).await;
    assert_eq!(client.body_piece(&mut body).await.expect("a proper end"), None);
    // And the connection goes on.
    let again = client.round_trip("GET", door.head("GET /again", "")).await;
    assert_eq!(Echo::reflected(&again).start_line(), "GET /again HTTP/1.1");
}

#[tokio::test]
async fn pieces_of_a_body_pass_at_once_over_http1() {
    let echo = Echo::start().await;
    let (stage, door) = private(echo.port());
    let length = format!("Content-Length: {}\r\n", all().len());
    over_http1(&door, &length, str::to_owned, "").await;
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    over_http1(&door, "Transfer-Encoding: chunked\r\n", chunk, "0\r\n\r\n").await;
    stage.gateway.stop();
}

#[tokio::test]
async fn pieces_of_a_body_pass_at_once_over_http2() {
    let echo = Echo::start().await;
    let (stage, door) = private(echo.port());
    let mut http2 = Http2::connect(&door).await;
    let length = format!("content-length: {}\r\n", all().len());
    for framing in ["", &length] {
        let fields = format!("{}{framing}", door.auth);
        let (response, mut stream) = http2.begin("POST", &format!("{}/", door.origin()), &fields, false).await;
        let mut body = within("an answer before the body", response).await.expect("an answer").into_body();
        let mut got = Vec::new();
        for number in 0..PIECES {
            stream.send_data(piece(number).into(), number + 1 == PIECES).expect("send");
            while !got.ends_with(piece(number).as_bytes()) {
                let data = within("a piece", body.data()).await.expect("the echo goes on").expect("the echo");
                body.flow_control().release_capacity(data.len()).expect("room");
                got.extend_from_slice(&data);
            }
        }
        // The end may come as a frame of its own.
        while let Some(rest) = within("the end", body.data()).await {
            assert_eq!(rest.expect("a proper end"), "");
        }
        assert_eq!(Echo::reflected(&Message { body: got.into(), ..Message::default() }).text(), all());
    }
    stage.gateway.stop();
}
