//! The store against the real thing: each test has a folder of its own, or a schema of its own. `Stage` publishes what
//! mutators return and holds it against a fresh listing, so that every test is also a test of the events.

use std::sync::Arc;

use portway_core::secret::Secret;
use portway_core::snapshot::{Event, Snapshot};
use portway_core::ticket::Ticket;
use portway_testkit::{Postgres, TempDir};

use super::opening::{FILE_NAME, SharedPlace, StorePlace};
use super::*;
use crate::publisher::Publisher;
use crate::store::workspaces::NewWorkspace;

/// Each case on SQLite, and all of them on one PostgreSQL.
macro_rules! on_both {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$case($crate::store::tests::Stage::new().await).await;
                }
            )*
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn on_postgres() {
            let postgres = std::sync::Arc::new(portway_testkit::Postgres::start());
            $(
                println!("{}", stringify!($case));
                $case($crate::store::tests::Stage::shared(&postgres).await).await;
            )*
        }
    };
}
pub(crate) use on_both;

mod opening;
mod people;
mod records;
mod tickets;
mod world;

pub(crate) struct Stage {
    pub(crate) store: Store,
    pub(crate) publisher: Publisher,
    place: StorePlace,
    // Both outlive the store.
    pub(crate) folder: TempDir,
    postgres: Option<Arc<Postgres>>,
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
        let place = StorePlace::Folder(folder.path().to_owned());
        Self { store: place.open().await.unwrap(), publisher: Publisher::new(), place, folder, postgres: None }
    }

    /// In a schema of its own.
    pub(crate) async fn shared(postgres: &Arc<Postgres>) -> Self {
        let schema = format!("portway_{}", random_text::<8>().unwrap());
        let place = StorePlace::Shared(SharedPlace { url: postgres.url(), schema, connections: 5 });
        let store = place.open().await.unwrap();
        let (publisher, folder, postgres) = (Publisher::new(), TempDir::new(), Some(postgres.clone()));
        Self { store, publisher, place, folder, postgres }
    }

    /// The same state as another process has it.
    pub(crate) async fn another(&self) -> Store {
        self.place.open().await.unwrap()
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.postgres.is_some()
    }

    /// Users `alice` and `bob`, and alice's workspace `Box`.
    async fn people(&self) {
        for user in ["alice", "bob"] {
            self.see(self.store.add_user(user).await.unwrap()).await;
        }
        let new = NewWorkspace { id: "Box".into(), owner: Some("alice".into()), address: "10.0.0.1".parse().unwrap() };
        self.see(self.store.add_workspace(&new).await.unwrap()).await;
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
