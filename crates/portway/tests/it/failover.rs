//! A control plane's PostgreSQL that fails over: its standby takes over behind the same address, with Portway's own state.

use portway_testkit::{Echo, eventually_async};

use crate::back_off::Way;
use crate::hub::{HERS, Hub, NOBODY, people, reason};

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_takes_over_is_followed_and_visitors_stay() {
    let (echo, postgres) = (Echo::start().await, people());
    let standby = postgres.standby();
    let way = Way::to(postgres.port()).await;
    let database = format!("postgres://postgres@127.0.0.1:{}/codehub", way.server.port());
    let settings = [("PORTWAY_POSTGRES_URL", &*database), ("PORTWAY_POSTGRES_SCHEMA", "portway")];
    let mut hub = Hub::with(postgres, NOBODY, &settings);
    let mut alice = hub.alice();
    let url = hub.url(echo.port(), HERS, "/");
    assert_eq!(alice.open(&url).await.answer.status(), 200);

    hub.postgres.is_followed_by(&standby);
    hub.postgres.kill();
    way.lead_to(standby.port());
    // It can be read from, and nothing can be written or listened for.
    for _ in 0..20 {
        assert_eq!(alice.open(&url).await.answer.status(), 200, "whoever was here is not any more");
    }
    let mut fresh = hub.alice();
    assert_ne!(fresh.open(&url).await.answer.status(), 200, "a login without a place to keep it");

    standby.promote();
    eventually_async("logins to work again", async || fresh.open(&url).await.answer.status() == 200).await;
    assert_eq!(alice.open(&url).await.answer.status(), 200, "a session of before");
    standby.sql(&format!("UPDATE workspaces SET phase = 'ERROR' WHERE id = '{HERS}'"));
    eventually_async("a change there to be seen", async || reason(&alice.open(&url).await) == "503 workspace-error")
        .await;
    hub.gateway.stop();
}
