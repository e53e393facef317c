//! The store against a real file: each test has its own folder. `Stage` publishes what mutators return and holds it
//! against a fresh listing, so that every test is also a test of the events.

use portway_core::secret::Secret;
use portway_core::snapshot::{Event, Snapshot};
use portway_core::ticket::Ticket;
use portway_testkit::TempDir;

use super::*;
use crate::publisher::Publisher;
use crate::store::workspaces::NewWorkspace;

mod opening;
mod people;
mod records;
mod tickets;
mod world;

pub(crate) struct Stage {
    pub(crate) folder: TempDir,
    pub(crate) store: Store,
    pub(crate) publisher: Publisher,
}

impl Store {
    /// Runs SQL behind the store's back, on its own connection.
    pub(crate) async fn execute(&self, sql: &'static str) {
        sqlx::query(sql).execute(&self.pool).await.unwrap();
    }
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let folder = TempDir::new();
        let store = Store::open(folder.path()).await.unwrap();
        Self { folder, store, publisher: Publisher::new() }
    }

    /// With users `alice` and `bob`, and alice's workspace `Box`.
    async fn peopled() -> Self {
        let stage = Self::new().await;
        for user in ["alice", "bob"] {
            stage.see(stage.store.add_user(user).await.unwrap()).await;
        }
        let new = NewWorkspace { id: "Box".into(), owner: Some("alice".into()), address: "10.0.0.1".parse().unwrap() };
        stage.see(stage.store.add_workspace(&new).await.unwrap()).await;
        stage
    }

    /// Publishes events; the world is then what a fresh listing says.
    async fn see(&self, events: Vec<Event>) {
        self.publisher.publish(events).await;
        self.assert_same_world().await;
    }

    async fn assert_same_world(&self) {
        assert_eq!(*self.publisher.current(), fresh(&self.store).await);
    }

    async fn sql(&self, sql: &'static str) {
        self.store.execute(sql).await;
    }

    async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.store.pool).await.unwrap()
    }

    /// A login of `user`, an hour long.
    async fn login(&self, user: &str) -> SecretHash {
        let login = secret().hash();
        self.store.add_login(&login, user, 3600).await.unwrap();
        login
    }

    /// A session of `user` on `host`, made the long way.
    async fn session(&self, login: SecretHash, user: &str, host: &str) -> SecretHash {
        let (ticket, nonce) = self.ticket(login, user, host).await;
        let session = secret().hash();
        let redeemed = self.store.redeem_ticket(&ticket, host, Some(&nonce), &session, 600).await.unwrap();
        self.see(redeemed.unwrap().events).await;
        session
    }

    async fn ticket(&self, login: SecretHash, user: &str, host: &str) -> (SecretHash, Secret) {
        let (ticket, nonce) = (secret().hash(), secret());
        let bound = Ticket {
            host: host.to_owned(),
            challenge: nonce.hash(),
            user: user.into(),
            login,
            return_to: "/here?x=1".to_owned(),
            expires_at: 0,
        };
        self.store.add_ticket(&ticket, &bound).await.unwrap();
        (ticket, nonce)
    }
}

/// The snapshot that a gateway started now would have.
async fn fresh(store: &Store) -> Snapshot {
    let empty = Snapshot::default();
    empty.apply(empty.reconcile(store.listing().await.unwrap())).0
}

/// A new random secret.
pub(crate) fn secret() -> Secret {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).unwrap();
    Secret::new(bytes)
}
