//! What the control plane shares of its workspaces: groups, users and levels that its queries give.

use portway_testkit::{Echo, Ending, Postgres, Visitor, eventually_async};

use crate::hub::{BOB, CONTROL, HERS, Hub, NOBODY, people, reason};

const BOBS: &str = "01HSESSIONBOB0000000000000";
const WORKSPACES: &str =
    "SELECT id, owner_user_id AS owner, lower(phase) AS state, share, users, groups FROM workspaces";
const SESSIONS: &str = "SELECT user_id AS user, expires_at, member_of AS groups FROM sessions \
                        JOIN users ON users.id = user_id WHERE sessions.id = $1";

/// Alice's workspace and bob, who is logged in, with columns for shares: an array, and JSON.
fn shared() -> Postgres {
    let postgres = people();
    postgres.sql(&format!(
        "ALTER TABLE users ADD member_of text[];
         ALTER TABLE workspaces ADD share text, ADD users text[], ADD groups jsonb;
         INSERT INTO sessions (id, user_id, expires_at) VALUES ('{BOBS}', '{BOB}', now() + interval '1 day')"
    ));
    postgres
}

fn hub(postgres: Postgres) -> Hub {
    let settings = [
        ("PORTWAY_WORKSPACES_QUERY", WORKSPACES),
        ("PORTWAY_SESSIONS_QUERY", SESSIONS),
        ("PORTWAY_SESSIONS_CHECK", "200ms"),
    ];
    Hub::with(postgres, NOBODY, &settings)
}

fn bob(hub: &Hub) -> Visitor {
    let mut bob = Visitor::new(hub.gateway.plain());
    bob.keep(CONTROL, "session", BOBS);
    bob
}

/// Opens a port, agreeing to visit somebody else's where that is asked.
async fn open(visitor: &mut Visitor, url: &str) -> String {
    let arrived = visitor.agree(url).await;
    reason(&arrived)
}

#[tokio::test]
async fn a_workspace_is_open_to_whom_its_columns_name() {
    let echo = Echo::start().await;
    let postgres = shared();
    let named = format!("UPDATE workspaces SET users = ARRAY['{BOB}'] WHERE id = '{HERS}'");
    postgres.sql(&named);
    let hub = hub(postgres);
    let (url, ide) = (hub.url(echo.port(), HERS, "/"), hub.url(8080, HERS, "/"));
    let mut bob = bob(&hub);
    let yes = "200 ";
    for (change, may) in [
        (named, true),
        (format!("UPDATE workspaces SET users = NULL, groups = '[\"web\"]' WHERE id = '{HERS}'"), false),
        (format!("UPDATE users SET member_of = ARRAY['ops', 'web'] WHERE id = '{BOB}'"), true),
        (format!("UPDATE users SET member_of = ARRAY['ops'] WHERE id = '{BOB}'"), false),
        (format!("UPDATE workspaces SET share = 'authenticated' WHERE id = '{HERS}'"), true),
        // A row that cannot be read opens nothing.
        (format!("UPDATE workspaces SET groups = '\"web\"' WHERE id = '{HERS}'"), false),
    ] {
        hub.postgres.sql(&change);
        eventually_async(&change, async || (open(&mut bob, &url).await == yes) == may).await;
        // Whatever is shared, the IDE is its owner's.
        assert_eq!(open(&mut bob, &ide).await, "404 not-found", "{change}");
    }
    hub.gateway.stop();
}

#[tokio::test]
async fn leaving_a_group_cuts_what_was_open() {
    let server = Hub::events().await;
    let postgres = shared();
    postgres.sql(&format!(
        "UPDATE users SET member_of = ARRAY['web'] WHERE id = '{BOB}';
         UPDATE workspaces SET groups = '[\"web\"]' WHERE id = '{HERS}'"
    ));
    let hub = hub(postgres);
    let mut bob = bob(&hub);
    bob.agree(&hub.url(server.port(), HERS, "/.portway/port")).await;
    let mut stream = hub.stream(&mut bob, &server).await;
    hub.postgres.sql(&format!("UPDATE users SET member_of = '{{}}' WHERE id = '{BOB}'"));
    assert_eq!(stream.read_to_close().await.1, Ending::Reset);
    hub.gateway.stop();
}
