//! A control plane's database that goes away: it is tried less and less often, and once it is back, what changed meanwhile is
//! seen, and what changes from then on.
//!
//! The way to it leads through the test, which counts who comes and can let nobody through.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portway_testkit::upstream::Server;
use portway_testkit::{Echo, Stream, eventually_async};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::hub::{HERS, Hub, NOBODY, people, reason};

/// How far apart two tries have to be before the test is content. The pauses double from a fifth of this.
const APART: Duration = Duration::from_secs(1);

/// The most tries until then. Four pauses of less than [`APART`] come first, each after one try; the others are for the
/// connections that break, and for a machine that is slow to break them.
const TRIES_MAX: usize = 20;

/// A way to a server that can be shut: what is open on it ends, and whoever comes is noted and sent away.
pub(crate) struct Way {
    pub(crate) server: Server,
    open: watch::Sender<bool>,
    port: Arc<AtomicU16>,
    came: Arc<Mutex<Vec<Instant>>>,
}

impl Way {
    pub(crate) async fn to(port: u16) -> Self {
        let port = Arc::new(AtomicU16::new(port));
        let leads_to = Arc::clone(&port);
        let (open, is_open) = watch::channel(true);
        let came: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let noted = Arc::clone(&came);
        let server = Server::start(None, move |mut visitor: Box<dyn Stream>| {
            noted.lock().expect("the notes").push(Instant::now());
            let (mut is_open, port) = (is_open.clone(), leads_to.load(Ordering::Relaxed));
            async move {
                let shut = async { drop(is_open.wait_for(|open| !open).await) };
                let carried = async {
                    let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
                    tokio::io::copy_bidirectional(&mut visitor, &mut server).await
                };
                tokio::select! {
                    biased;
                    () = shut => Ok(()),
                    carried = carried => carried.map(drop),
                }
            }
        })
        .await;
        Self { server, open, port, came }
    }

    /// Leads whoever comes from now on to another server.
    pub(crate) fn lead_to(&self, port: u16) {
        self.port.store(port, Ordering::Relaxed);
    }

    fn shut(&self) {
        self.open.send_replace(false);
    }

    fn open(&self) {
        self.open.send_replace(true);
    }

    /// When somebody came, but for so many of the first.
    fn came_after(&self, first: usize) -> Vec<Instant> {
        self.came.lock().expect("the notes")[first..].to_vec()
    }
}

// The way is open while the gateway starts, which this thread waits for.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_tried_less_and_less_often_and_read_again_once_it_is_back() {
    let (echo, postgres) = (Echo::start().await, people());
    let way = Way::to(postgres.port()).await;
    let url = format!("postgres://postgres@127.0.0.1:{}/codehub", way.server.port());
    // No poll and no look at sessions: who comes is who follows the workspaces.
    let settings = [
        ("PORTWAY_POSTGRES_URL", &*url),
        ("PORTWAY_WORKSPACES_POLL", "1h"),
        ("PORTWAY_POSTGRES_STALE", "1h"),
        ("PORTWAY_SESSIONS_CHECK", "60s"),
    ];
    let mut hub = Hub::with(postgres, NOBODY, &settings);
    let mut alice = hub.alice();
    let url = hub.url(echo.port(), HERS, "/");
    assert_eq!(alice.open(&url).await.answer.status(), 200);
    let before = way.came_after(0).len();
    assert_ne!(before, 0, "the gateway went another way");

    way.shut();
    hub.postgres.kill();
    let mut tries = Vec::new();
    eventually_async("two tries to be far apart", async || {
        tries = way.came_after(before);
        tries.windows(2).any(|two| two[1].duration_since(two[0]) >= APART)
    })
    .await;
    println!("{} tries until two were {APART:?} apart", tries.len());
    assert!(tries.len() <= TRIES_MAX, "{} tries", tries.len());

    // Back, but not for the gateway: nothing tells it of this change.
    hub.postgres.start_again();
    hub.postgres.sql(&format!("UPDATE workspaces SET phase = 'ERROR' WHERE id = '{HERS}'"));
    assert_eq!(alice.open(&url).await.answer.status(), 200, "the last known state stays in use");
    way.open();
    eventually_async("what changed meanwhile", async || reason(&alice.open(&url).await) == "503 workspace-error").await;
    // The next poll is an hour away: this one is notified.
    hub.postgres.sql(&format!("UPDATE workspaces SET phase = 'RUNNING' WHERE id = '{HERS}'"));
    eventually_async("what changes from now on", async || alice.open(&url).await.answer.status() == 200).await;
    // It is told of once, however often it was tried.
    hub.gateway.wait_for_log("the database to be up", |line| line["event"] == "source-up");
    let log = hub.gateway.log();
    let told = |event: &str| log.iter().filter(|line| line["event"] == event).count();
    assert_eq!((told("source-down"), told("source-up")), (1, 1), "{log:?}");
    hub.gateway.stop();
}
