//! A gateway beside a control plane's database, by the preset and nothing else, and the people in it.

use bytes::BytesMut;
use portway_testkit::gateway::Builder;
use portway_testkit::upstream::Server;
use portway_testkit::visitor::Arrived;
use portway_testkit::{Client, Gateway, Message, Postgres, Recorder, Step, Stream, Visitor, message};
use tokio::io::AsyncWriteExt as _;

use crate::stage::builder;

pub(crate) const ALICE: &str = "01HALICE000000000000000000";
pub(crate) const BOB: &str = "01HBOB00000000000000000000";
pub(crate) const SESSION: &str = "01HSESSIONALICE00000000000";
pub(crate) const HERS: &str = "11111111-1111-4111-8111-111111111111";
pub(crate) const HIS: &str = "22222222-2222-4222-8222-222222222222";
pub(crate) const CONTROL: &str = "portway.localhost";
/// A port on which nothing listens.
pub(crate) const NOBODY: u16 = 9;

/// The database with alice, who is logged in, and bob, each with a workspace that runs.
pub(crate) fn people() -> Postgres {
    let postgres = Postgres::codehub();
    postgres.sql(&format!(
        "INSERT INTO users (id, username, password_hash) VALUES ('{ALICE}', 'alice', ''), ('{BOB}', 'bob', '');
         INSERT INTO sessions (id, user_id, expires_at) VALUES ('{SESSION}', '{ALICE}', now() + interval '1 day');
         INSERT INTO workspaces (id, owner_user_id, name, phase)
         VALUES ('{HERS}', '{ALICE}', 'Atelier', 'RUNNING'), ('{HIS}', '{BOB}', 'Den', 'RUNNING')"
    ));
    postgres
}

pub(crate) struct Hub {
    pub(crate) gateway: Gateway,
    pub(crate) postgres: Postgres,
}

impl Hub {
    /// Beside a database, with no API server.
    pub(crate) fn start(postgres: Postgres) -> Self {
        Self::with(postgres, NOBODY, &[])
    }

    /// With an API server on this port, and settings by their variables.
    pub(crate) fn with(postgres: Postgres, api: u16, settings: &[(&str, &str)]) -> Self {
        let builder = settings.iter().fold(hub(&config(&postgres, api)), |it, (name, value)| it.env(name, value));
        Self { gateway: builder.start(), postgres }
    }

    pub(crate) fn url(&self, port: u16, workspace: &str, path: &str) -> String {
        format!("http://{port}-{workspace}.{CONTROL}:{}{path}", self.gateway.plain().port())
    }

    /// A browser that is logged in at the control plane.
    pub(crate) fn alice(&self) -> Visitor {
        let mut visitor = Visitor::new(self.gateway.plain());
        visitor.keep(CONTROL, "session", SESSION);
        visitor
    }

    /// A dev server that begins an event stream and goes on for ever.
    pub(crate) async fn events() -> Recorder {
        let events = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n8\r\ndata: 1\n\r\n";
        Recorder::start(vec![Step::ReadHead, Step::write(events)]).await
    }

    /// The stream of [`Hub::events`], opened by a visitor and begun.
    pub(crate) async fn stream(&self, visitor: &mut Visitor, server: &Recorder) -> Client {
        let cookie = visitor.session_for(&self.url(server.port(), HERS, "/.portway/port")).await;
        let host = format!("{}-{HERS}.{CONTROL}:{}", server.port(), self.gateway.plain().port());
        let mut stream = Client::connect(self.gateway.plain()).await;
        let head =
            format!("GET /events HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nSec-Fetch-Site: same-origin\r\n\r\n");
        stream.send(head).await;
        stream.read_until(b"data: 1\n").await;
        stream
    }

    /// The answer to a request on a connection of its own. A change of access cuts an answer under way; the next one tells.
    pub(crate) async fn ask(&self, request: &str) -> Message {
        let method = request.split(' ').next().unwrap_or_default();
        for _ in 0..2 {
            let mut client = Client::connect(self.gateway.plain()).await;
            if client.try_send(request).await.is_ok()
                && let Ok(answer) = client.response(method).await
            {
                return answer;
            }
        }
        panic!("no whole answer, twice: {request}");
    }

    /// A number of the operations listener's metrics, by its name with labels.
    pub(crate) async fn metric(&self, name: &str) -> Option<f64> {
        metric_of(&self.gateway, name).await
    }

    pub(crate) fn phase(&self, workspace: &str, phase: &str) {
        self.postgres.sql(&format!("UPDATE workspaces SET phase = '{phase}', desired_state = '{phase}', phase_changed_at = now() WHERE id = '{workspace}'"));
    }
}

/// The value of a gateway's metric with exactly this name and these labels.
pub(crate) async fn metric_of(gateway: &Gateway, name: &str) -> Option<f64> {
    let request = "GET /metrics HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n";
    let metrics = Client::connect(gateway.ops()).await.round_trip("GET", request).await.text();
    metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

/// The configuration beside a database and an API server on this port.
pub(crate) fn config(postgres: &Postgres, api: u16) -> String {
    format!(
        "preset = \"code-hub\"\ncontrol_upstream = \"http://127.0.0.1:{api}\"\n[postgres]\nurl = \"{}\"\n\
         [workspaces]\naddress = \"localhost\"\nallow = [\"127.0.0.1\", \"::1\"]\npoll = \"300ms\"\n",
        postgres.url()
    )
}

/// A gateway for the control plane's host that is not started yet.
pub(crate) fn hub(config: &str) -> Builder {
    builder().env("PORTWAY_LIMITS_DRAIN", "500ms").arg("--domain").arg(CONTROL).config(config)
}

/// An API server that answers with JSON, or 401.
pub(crate) async fn json_api(answer: impl Fn(&Message) -> Option<String> + Clone + Send + 'static) -> Server {
    Server::start(None, move |mut stream: Box<dyn Stream>| {
        let answer = answer.clone();
        async move {
            let mut buffer = BytesMut::new();
            while let Some(request) = message::read_head(&mut stream, &mut buffer).await? {
                let answer = match answer(&request) {
                    Some(body) => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
                    None => "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".to_owned(),
                };
                stream.write_all(answer.as_bytes()).await?;
                stream.flush().await?;
            }
            Ok(())
        }
    })
    .await
}

pub(crate) fn reason(arrived: &Arrived) -> String {
    format!("{} {}", arrived.answer.status(), arrived.answer.field("portway-reason").unwrap_or_default())
}
