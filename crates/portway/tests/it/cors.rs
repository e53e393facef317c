//! CORS between the ports of one workspace: preflights are answered by the gateway, real answers and refusals are readable
//! for the page that asked, and for no other (R20).

use portway_testkit::{Message, Recorder};
use tokio::net::TcpSocket;

use crate::stage::{Door, Stage, plan, private};

const TOLD: &str =
    "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nVary: Accept\r\nX-Odd: 1\r\nContent-Length: 2\r\n\r\nok";

async fn ask(door: &Door, method: &str, fields: &str) -> Message {
    let mut client = door.connect().await;
    client.send(door.head(&format!("{method} /x"), fields)).await;
    client.response(method).await.expect("an answer")
}

/// A page on another port of the workspace.
fn page(stage: &Stage) -> String {
    format!("http://{}", stage.host("3000"))
}

fn preflight(origin: &str) -> String {
    format!(
        "Origin: {origin}\r\nAccess-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: content-type,x-a\r\n\
         Sec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-site\r\n"
    )
}

#[tokio::test]
async fn preflights_of_the_workspaces_pages_are_answered_without_asking_anybody() {
    let recorder = Recorder::answering(TOLD).await;
    let (stage, door) = private(recorder.port());
    // A browser sends no cookie and no token with one.
    for port in [recorder.port().to_string(), "9".to_owned()] {
        let door = Door { auth: String::new(), host: stage.host(&port), ..door.clone() };
        let answer = ask(&door, "OPTIONS", &preflight(&page(&stage))).await;
        assert_eq!((answer.status(), answer.text().as_str()), (204, ""));
        assert!(answer.all("content-length").is_empty());
        for (name, value) in [
            ("access-control-allow-origin", page(&stage)),
            ("access-control-allow-credentials", "true".into()),
            ("access-control-allow-methods", "PUT".into()),
            ("access-control-allow-headers", "content-type,x-a".into()),
            ("access-control-max-age", "600".into()),
        ] {
            assert_eq!(answer.all(name), [value], "{name}");
        }
        assert!(answer.field("vary").unwrap_or_default().starts_with("Origin"));
    }
    assert!(recorder.connections().is_empty(), "a dev server was asked");
    stage.gateway.stop();
}

#[tokio::test]
async fn preflights_of_other_pages_are_refused_whatever_they_name() {
    let recorder = Recorder::answering(TOLD).await;
    let (stage, door) = private(recorder.port());
    let bare = Door { auth: String::new(), ..door.clone() };
    let nobody = Door { host: stage.host("9").replace("ws.", "nobody."), ..bare.clone() };
    let origin = |name: &str| page(&stage).replace("ws.", &format!("{name}."));
    for origin in [origin("other"), "http://evil.example".into(), "null".into(), format!("{}.evil", page(&stage))] {
        for door in [&bare, &nobody] {
            let answer = ask(door, "OPTIONS", &preflight(&origin)).await;
            assert_eq!(answer.status(), 403, "{origin}");
            assert!(answer.all("access-control-allow-origin").is_empty(), "{origin}");
        }
    }
    assert!(recorder.connections().is_empty(), "a dev server was asked");
    stage.gateway.stop();
}

#[tokio::test]
async fn answers_are_readable_for_the_page_that_asked() {
    let recorder = Recorder::answering(TOLD).await;
    let (stage, door) = private(recorder.port());
    let mine = page(&stage);
    let answer = ask(&door, "GET", &format!("Origin: {mine}\r\n")).await;
    assert_eq!((answer.status(), answer.all("access-control-allow-origin")), (200, vec![mine.clone()]));
    assert_eq!(answer.all("access-control-allow-credentials"), ["true"]);
    assert_eq!((answer.all("vary"), answer.all("x-odd")), (vec!["Accept".into(), "Origin".into()], vec!["1".into()]));
    // The dev server knows the page by the name that it would have on the developer's own machine.
    assert!(recorder.text().contains("Origin: http://localhost:3000\r\n"), "{}", recorder.text());

    // To everybody else, and to itself, the dev server's own words pass.
    for origin in
        ["Origin: http://evil.example\r\n".to_owned(), format!("Origin: {}\r\n", door.origin()), String::new()]
    {
        let answer = ask(&door, "GET", &origin).await;
        assert_eq!(answer.all("access-control-allow-origin"), ["*"], "{origin}");
        assert_eq!(
            (answer.all("access-control-allow-credentials"), answer.all("vary")),
            (vec![], vec!["Accept".into()])
        );
    }
    stage.gateway.stop();
}

#[tokio::test]
async fn refusals_are_readable_for_pages_of_the_workspace_alone() {
    // Bound and not listening: nobody else takes the port.
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let (stage, door) = private(closed.local_addr().unwrap().port());
    let bare = Door { auth: String::new(), ..door.clone() };
    let mine = page(&stage);
    for (door, status, reason) in [(&bare, 401, "not-logged-in"), (&door, 502, "port-closed")] {
        let answer = ask(door, "GET", &format!("Origin: {mine}\r\nSec-Fetch-Mode: cors\r\n")).await;
        assert_eq!((answer.status(), answer.field("portway-reason").as_deref()), (status, Some(reason)));
        assert_eq!(answer.all("access-control-allow-origin"), [mine.as_str()]);
        assert_eq!(answer.all("access-control-allow-credentials"), ["true"]);
        assert!(answer.field("access-control-expose-headers").unwrap_or_default().contains("Portway-Reason"));
        assert_eq!(answer.all("vary"), ["Origin"]);
        for origin in [format!("{mine}.evil"), "null".into(), stage.gateway.plain().to_string()] {
            let answer = ask(door, "GET", &format!("Origin: {origin}\r\nSec-Fetch-Mode: cors\r\n")).await;
            assert!(answer.all("access-control-allow-origin").is_empty(), "{origin}");
        }
    }
    // What is ours on a workspace's host is nobody's to read (R8).
    let mut client = door.connect().await;
    client.send(bare.head("GET /.portway/port", &format!("Origin: {mine}\r\nSec-Fetch-Mode: cors\r\n"))).await;
    let answer = client.response("GET").await.unwrap();
    assert!(answer.all("access-control-allow-origin").is_empty(), "{}", answer.start_line());
    stage.gateway.stop();
}

#[tokio::test]
async fn a_port_can_answer_for_itself() {
    let recorder = Recorder::answering(TOLD).await;
    let stage = plan().public(recorder.port()).start();
    let door = stage.door(recorder.port());
    let mine = page(&stage);
    assert_eq!(ask(&door, "OPTIONS", &preflight(&mine)).await.status(), 204);
    stage.gateway.run(&["port", "set", "ws", &door.port.to_string(), "--cors", "passthrough"]);
    let passes = async || ask(&door, "OPTIONS", &preflight(&mine)).await.status() == 200;
    portway_testkit::eventually_async("the dev server to be asked", passes).await;
    let answer = ask(&door, "GET", &format!("Origin: {mine}\r\n")).await;
    assert_eq!(answer.all("access-control-allow-origin"), ["*"]);
    stage.gateway.stop();
}
