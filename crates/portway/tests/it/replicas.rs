//! Several gateways over one PostgreSQL, as an ingress sees them: whoever a request is sent to, the answer is the same.

use std::net::SocketAddr;
use std::time::Instant;

use portway_testkit::{Echo, Gateway, Postgres, TempDir, Visitor, eventually_async};
use tokio::task::JoinSet;

use crate::hub::{ALICE, CONTROL, HERS, SESSION, hub, people, reason};

/// Gateways that share their state, and the database they share it in.
struct Replicas {
    gateways: Vec<Gateway>,
    postgres: Postgres,
    secrets: TempDir,
}

fn config(postgres: &Postgres, role: &str) -> String {
    format!(
        "preset = \"code-hub\"\npublic = \"http://{CONTROL}:8080\"\n[postgres]\nurl = \"{}\"\nschema = \"portway\"\n\
         stale = \"5s\"\n[workspaces]\naddress = \"localhost\"\nallow = [\"127.0.0.1\", \"::1\"]\npoll = \"300ms\"\n",
        postgres.url_of(role)
    )
}

impl Replicas {
    fn start(count: usize) -> Self {
        let (postgres, secrets) = (people(), TempDir::new());
        secrets.write("seal", [7; 32]);
        let mut replicas = Self { gateways: Vec::new(), postgres, secrets };
        for _ in 0..count {
            let builder = hub(&config(&replicas.postgres, "postgres"));
            let key = replicas.secrets.join("seal");
            replicas.gateways.push(builder.env("PORTWAY_SESSIONS_KEY_FILE", &key.display().to_string()).start());
        }
        replicas
    }

    fn at(&self, number: usize) -> SocketAddr {
        self.gateways[number % self.gateways.len()].plain()
    }

    fn alice(&self) -> Visitor {
        let mut visitor = Visitor::new(self.at(0));
        visitor.keep(CONTROL, "session", SESSION);
        visitor
    }

    fn stop(self) {
        self.gateways.into_iter().for_each(Gateway::stop);
    }
}

fn url(port: u16) -> String {
    format!("http://{port}-{HERS}.{CONTROL}:8080/")
}

#[tokio::test]
async fn a_ticket_is_redeemed_once_among_two_hundred_tries_on_three_gateways() {
    let echo = Echo::start().await;
    let replicas = Replicas::start(3);
    let mut alice = replicas.alice();
    let leads = |answer: portway_testkit::Message| answer.field("location").expect("a redirect");
    let authorize = leads(alice.step(&url(echo.port())).await);
    let callback = leads(alice.step(&authorize).await);
    assert!(callback.contains("/.portway/callback"), "{callback}");

    let mut trying = JoinSet::new();
    for number in 0..200 {
        let (mut visitor, callback) = (alice.at(replicas.at(number)), callback.clone());
        trying.spawn(async move {
            let answer = visitor.step(&callback).await;
            // Whoever wins is sent on with a session; that it is ended by the next try (R10) is the store's own test.
            let session = |(name, value): &(String, String)| {
                name.eq_ignore_ascii_case("set-cookie")
                    && value.starts_with("__Host-portway=")
                    && !value.contains("Max-Age=0")
            };
            (answer.status(), answer.fields().iter().any(session))
        });
    }
    let answers = trying.join_all().await;
    let won = answers.iter().filter(|(_, session)| *session).count();
    assert_eq!(won, 1, "{answers:?}");
    assert_eq!(replicas.postgres.sql("SELECT count(*) FROM portway.tickets WHERE used = 1"), "1");
    replicas.stop();
}

#[tokio::test]
async fn what_one_gateway_gives_or_takes_holds_on_all() {
    let echo = Echo::start().await;
    let replicas = Replicas::start(3);
    let alice = replicas.alice();
    // Each step of a login may meet another gateway, and the next request comes at once.
    for round in 0..6 {
        let mut visitor = alice.at(replicas.at(round));
        let mut wanted = url(echo.port());
        for step in 1.. {
            let answer = visitor.step(&wanted).await;
            if answer.status() == 200 {
                assert_eq!(step, 4, "a redirect to log in, one back, one to the page");
                break;
            }
            wanted = answer.field("location").unwrap_or_else(|| panic!("{}", answer.start_line()));
            visitor = visitor.at(replicas.at(round + step));
        }
    }

    let port = echo.port().to_string();
    let mut nobody = Visitor::new(replicas.at(2));
    assert_ne!(nobody.step(&url(echo.port())).await.status(), 200);
    replicas.gateways[0].run(&["share", "set", HERS, &port, "public"]);
    let begun = Instant::now();
    for gateway in &replicas.gateways {
        let mut nobody = nobody.at(gateway.plain());
        eventually_async("the share to hold", async || nobody.step(&url(echo.port())).await.status() == 200).await;
    }
    println!("a share holds on three gateways after {:?}", begun.elapsed());
    replicas.gateways[1].run(&["share", "remove", HERS, &port]);
    for gateway in &replicas.gateways {
        let mut nobody = nobody.at(gateway.plain());
        eventually_async("the share to end", async || nobody.step(&url(echo.port())).await.status() != 200).await;
    }

    // A login that ends ends everywhere.
    let mut visitors: Vec<Visitor> = (0..3).map(|number| alice.at(replicas.at(number))).collect();
    for visitor in &mut visitors {
        assert_eq!(visitor.open(&url(echo.port())).await.answer.status(), 200);
    }
    replicas.postgres.sql(&format!("DELETE FROM public.sessions WHERE user_id = '{ALICE}'"));
    for visitor in &mut visitors {
        eventually_async("the session to end", async || visitor.step(&url(echo.port())).await.status() != 200).await;
    }
    replicas.stop();
}

#[tokio::test]
async fn gateways_survive_a_database_that_stops_and_one_that_dies() {
    let echo = Echo::start().await;
    let mut replicas = Replicas::start(2);
    let mut visitors: Vec<Visitor> = (0..2).map(|number| replicas.alice().at(replicas.at(number))).collect();
    for visitor in &mut visitors {
        assert_eq!(visitor.open(&url(echo.port())).await.answer.status(), 200);
    }
    replicas.postgres.service().pause();
    for visitor in &mut visitors {
        assert_eq!(visitor.open(&url(echo.port())).await.answer.status(), 200, "for as long as it is believed");
    }
    for visitor in &mut visitors {
        let stale = async || reason(&visitor.open(&url(echo.port())).await) == "503 unavailable";
        eventually_async("what is stale to be refused", stale).await;
    }
    replicas.postgres.service().resume();
    for visitor in &mut visitors {
        eventually_async("everything to recover", async || {
            visitor.open(&url(echo.port())).await.answer.status() == 200
        })
        .await;
    }
    replicas.postgres.kill();
    for visitor in &mut visitors {
        assert_eq!(visitor.open(&url(echo.port())).await.answer.status(), 200, "who is here stays");
    }
    replicas.postgres.start_again();
    let mut fresh = replicas.alice();
    eventually_async("logins to work again", async || fresh.open(&url(echo.port())).await.answer.status() == 200).await;
    replicas.stop();
}

#[test]
fn a_gateway_with_another_key_is_told_so_at_its_start() {
    let replicas = Replicas::start(1);
    replicas.secrets.write("other", [8; 32]);
    let other = replicas.secrets.join("other").display().to_string();
    let builder = hub(&config(&replicas.postgres, "postgres")).env("PORTWAY_SESSIONS_KEY_FILE", &other);
    let (status, errors) = builder.start_refused();
    assert_eq!(status.code(), Some(1));
    assert!(errors.contains("keep sessions under another key") && errors.contains("sessions.key_file"), "{errors}");
    replicas.stop();
}

#[test]
fn tables_are_made_by_whoever_may_and_used_by_a_role_that_owns_nothing() {
    let postgres = people();
    postgres.sql("CREATE ROLE gate LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO gate");
    let (status, errors) = hub(&config(&postgres, "gate")).start_refused();
    assert_eq!(status.code(), Some(1));
    assert!(errors.contains("permission denied") && errors.contains("portway migrate --url"), "{errors}");

    let dir = TempDir::new();
    let file = dir.write("gate.toml", config(&postgres, "gate")).display().to_string();
    let migrate = |more: &[&str]| {
        let mut command = std::process::Command::new(crate::stage::binary());
        command.args(["migrate", "--config", &file, "--data"]).arg(dir.path()).args(more);
        let output = command.output().expect("run the binary");
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (done, said) = migrate(&["--url", &postgres.url()]);
    assert!(done && said.contains("from step 0 to 2"), "{said}");
    let (done, said) = migrate(&[]);
    assert!(done && said.contains("up to date"), "{said}");
    let served = hub(&config(&postgres, "gate")).start();
    served.run(&["share", "set", HERS, "3000", "public"]);
    assert_eq!(postgres.sql("SELECT level FROM portway.ports"), "public");
    let (status, errors) = {
        postgres.sql("UPDATE portway.meta SET steps = 3");
        hub(&config(&postgres, "gate")).start_refused()
    };
    assert!(status.code() == Some(1) && errors.contains("newer Portway"), "{errors}");
    served.stop();
}

#[tokio::test]
async fn the_documented_roles_read_the_control_planes_tables_and_not_portways_own() {
    let (echo, postgres) = (Echo::start().await, people());
    // The schema is named like the role: both have a table `workspaces`.
    postgres.sql(include_str!("../../../../docs/reference/postgres-roles.sql"));
    let gateway =
        hub(&config(&postgres, "portway")).env("PORTWAY_SESSIONS_URL", &postgres.url_of("portway_sessions")).start();
    let mut alice = Visitor::new(gateway.plain());
    alice.keep(CONTROL, "session", SESSION);
    assert_eq!(alice.open(&url(echo.port())).await.answer.status(), 200);
    assert_eq!(postgres.sql("SELECT tableowner FROM pg_tables WHERE schemaname = 'portway' LIMIT 1"), "portway");
    gateway.stop();
}

#[test]
fn a_start_waits_for_a_database_that_is_still_starting() {
    let mut postgres = people();
    postgres.kill();
    let config = config(&postgres, "postgres");
    let starting = std::thread::spawn(move || hub(&config).start());
    postgres.start_again();
    starting.join().expect("a gateway").stop();
}
