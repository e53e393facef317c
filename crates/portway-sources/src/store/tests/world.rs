//! Whatever is done in whatever order, the events lead where a fresh listing leads.

use portway_core::host::Scheme;
use portway_core::workspace::{Address, Cors, Level, Profile, State, UserId};
use proptest::prelude::*;

use super::*;
use crate::store::ports::PortChange;
use crate::store::workspaces::WorkspaceChange;

const USERS: [&str; 3] = ["ann", "ben", "Cyd"];
const WORKSPACES: [&str; 3] = ["One", "two", "TWO"];
const PORTS: [u16; 2] = [3000, 5000];

#[derive(Clone, Debug)]
enum Step {
    AddUser(usize),
    Suspend(usize, bool),
    RemoveUser(usize),
    EndLoginsOf(usize),
    Login(usize),
    EndLogin(usize),
    /// A ticket under a login, redeemed so many times.
    Redeem {
        login: usize,
        port: usize,
        times: usize,
    },
    EndSession(usize),
    AddWorkspace {
        id: usize,
        owner: Option<usize>,
    },
    SetWorkspace {
        id: usize,
        owner: Option<Option<usize>>,
        moved: bool,
        running: Option<bool>,
    },
    RemoveWorkspace(usize),
    SetPort {
        id: usize,
        port: usize,
        profile: Option<bool>,
        scheme: Option<bool>,
        cors: Option<bool>,
    },
    RemovePort(usize, usize),
    Share {
        id: usize,
        port: usize,
        level: Option<usize>,
        add: Vec<usize>,
        remove: Vec<usize>,
    },
    RemoveShare(usize, usize),
    AddToken {
        user: usize,
        id: usize,
        port: usize,
    },
    RemoveToken(usize),
    /// Everything a login, session or token has left is taken away, and swept.
    Expire(usize),
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    let user = 0..USERS.len();
    let id = 0..WORKSPACES.len();
    let port = 0..PORTS.len();
    let some = 0..8usize;
    let users = || prop::collection::vec(0..USERS.len(), 0..3);
    prop_oneof![
        4 => user.clone().prop_map(AddUser),
        1 => (user.clone(), any::<bool>()).prop_map(|(user, to)| Suspend(user, to)),
        1 => user.clone().prop_map(RemoveUser),
        1 => user.clone().prop_map(EndLoginsOf),
        4 => user.clone().prop_map(Login),
        1 => some.clone().prop_map(EndLogin),
        5 => (some.clone(), port.clone(), 1..3usize)
            .prop_map(|(login, port, times)| Redeem { login, port, times }),
        1 => some.clone().prop_map(EndSession),
        4 => (id.clone(), prop::option::of(user.clone()))
            .prop_map(|(id, owner)| AddWorkspace { id, owner }),
        3 => (
            id.clone(),
            prop::option::of(prop::option::of(user.clone())),
            any::<bool>(),
            prop::option::of(any::<bool>()),
        )
            .prop_map(|(id, owner, moved, running)| SetWorkspace { id, owner, moved, running }),
        2 => id.clone().prop_map(RemoveWorkspace),
        3 => (
            id.clone(),
            port.clone(),
            prop::option::of(any::<bool>()),
            prop::option::of(any::<bool>()),
            prop::option::of(any::<bool>()),
        )
            .prop_map(|(id, port, profile, scheme, cors)| SetPort { id, port, profile, scheme, cors }),
        1 => (id.clone(), port.clone()).prop_map(|(id, port)| RemovePort(id, port)),
        5 => (id.clone(), port.clone(), prop::option::of(0..4usize), users(), users())
            .prop_map(|(id, port, level, add, remove)| Share { id, port, level, add, remove }),
        2 => (id.clone(), port.clone()).prop_map(|(id, port)| RemoveShare(id, port)),
        4 => (user, id, port).prop_map(|(user, id, port)| AddToken { user, id, port }),
        1 => some.clone().prop_map(RemoveToken),
        1 => some.prop_map(Expire),
    ]
}

/// What the steps can name: secrets made on the way.
#[derive(Default)]
struct Made {
    logins: Vec<(SecretHash, UserId)>,
    sessions: Vec<SecretHash>,
    tokens: Vec<String>,
}

fn pick<T: Clone>(made: &[T], number: usize) -> Option<T> {
    made.get(number % made.len().max(1)).cloned()
}

/// Does one step; one that the store refuses changes nothing.
async fn take(stage: &Stage, made: &mut Made, step: Step) -> Result<Vec<Event>, StoreError> {
    let store = &stage.store;
    let named = |users: Vec<usize>| -> Vec<UserId> { users.into_iter().map(|user| USERS[user].into()).collect() };
    match step {
        Step::AddUser(user) => store.add_user(USERS[user]).await,
        Step::Suspend(user, to) => store.set_suspended(USERS[user], to).await,
        Step::RemoveUser(user) => store.remove_user(USERS[user]).await,
        Step::EndLoginsOf(user) => store.end_logins_of(USERS[user]).await,
        Step::Login(user) => {
            let login = secret().hash();
            store.add_login(&login, USERS[user], 3600).await?;
            made.logins.push((login, USERS[user].to_ascii_lowercase().into()));
            Ok(vec![])
        }
        Step::EndLogin(number) => match pick(&made.logins, number) {
            Some((login, _)) => store.end_login(&login).await,
            None => Ok(vec![]),
        },
        Step::Redeem { login, port, times } => {
            let Some((login, user)) = pick(&made.logins, login) else { return Ok(vec![]) };
            redeem(store, made, login, user, PORTS[port], times).await
        }
        Step::EndSession(number) => match pick(&made.sessions, number) {
            Some(session) => store.end_session(&session).await,
            None => Ok(vec![]),
        },
        Step::AddWorkspace { id, owner } => {
            let owner = owner.map(|user| USERS[user].to_ascii_lowercase().into());
            let new = NewWorkspace { id: WORKSPACES[id].into(), owner, address: Address::Loopback };
            store.add_workspace(&new).await
        }
        Step::SetWorkspace { id, owner, moved, running } => {
            let change = WorkspaceChange {
                owner: owner.map(|owner| owner.map(|user| USERS[user].to_ascii_lowercase().into())),
                address: moved.then(|| Address::Ip([10, 0, 0, 7].into())),
                state: running.map(|yes| if yes { State::Running } else { State::Stopped }),
            };
            store.set_workspace(WORKSPACES[id], change).await
        }
        Step::RemoveWorkspace(id) => store.remove_workspace(WORKSPACES[id]).await,
        Step::SetPort { id, port, profile, scheme, cors } => {
            let change = PortChange {
                profile: profile.map(|set| set.then_some(Profile::Public)),
                scheme: scheme.map(|set| set.then_some(Scheme::Https)),
                cors: cors.map(|set| set.then_some(Cors::Passthrough)),
            };
            store.set_port(WORKSPACES[id], PORTS[port], change).await
        }
        Step::RemovePort(id, port) => store.remove_port(WORKSPACES[id], PORTS[port]).await,
        Step::Share { id, port, level, add, remove } => {
            let levels = [Level::Owner, Level::Users, Level::Authenticated, Level::Public];
            let level = level.map(|level| levels[level]);
            let (add, remove) = (named(add), named(remove));
            store.set_share(WORKSPACES[id], PORTS[port], level, &add, &remove).await
        }
        Step::RemoveShare(id, port) => store.remove_share(WORKSPACES[id], PORTS[port]).await,
        Step::AddToken { user, id, port } => {
            let (workspace, token) = (WORKSPACES[id], secret().hash());
            let (row, events) = store.add_token(&token, USERS[user], workspace, PORTS[port], 60, None).await?;
            made.tokens.push(row.id);
            Ok(events)
        }
        Step::RemoveToken(number) => match pick(&made.tokens, number) {
            Some(id) => store.remove_token(&id).await,
            None => Ok(vec![]),
        },
        Step::Expire(number) => {
            match number % 3 {
                0 => stage.sql("UPDATE sessions SET expires_at = unixepoch()").await,
                1 => stage.sql("UPDATE tokens SET expires_at = unixepoch()").await,
                _ => {
                    stage.sql("UPDATE sessions SET expires_at = unixepoch()").await;
                    stage.sql("UPDATE logins SET expires_at = unixepoch()").await;
                }
            }
            store.sweep().await
        }
    }
}

async fn redeem(
    store: &Store,
    made: &mut Made,
    login: SecretHash,
    user: UserId,
    port: u16,
    times: usize,
) -> Result<Vec<Event>, StoreError> {
    let (hash, nonce, session) = (secret().hash(), secret(), secret().hash());
    let host = format!("{port}-two.example.com");
    let challenge = nonce.hash();
    let ticket = Ticket { host: host.clone(), challenge, user, login, return_to: "/".into(), expires_at: 0 };
    store.add_ticket(&hash, &ticket).await?;
    made.sessions.push(session);
    let mut events = Vec::new();
    for _ in 0..times {
        match store.redeem_ticket(&hash, &host, Some(&nonce), &session, 600).await? {
            Ok(redeemed) => events.extend(redeemed.events),
            Err(failure) => events.extend(failure.events),
        }
    }
    Ok(events)
}

/// Takes the steps and compares after each.
async fn walk(stage: Stage, steps: Vec<Step>) {
    let mut made = Made::default();
    for step in steps {
        let text = format!("{step:?}");
        match take(&stage, &mut made, step).await {
            Ok(events) => drop(stage.publisher.publish(events).await),
            Err(StoreError::Database(error)) => panic!("{text}: {error}"),
            Err(_) => {}
        }
        assert_eq!(*stage.publisher.current(), fresh(&stage.store).await, "after {text}");
    }
    stage.store.close().await;
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn events_make_the_same_world_as_a_fresh_listing(steps in prop::collection::vec(step(), 1..60)) {
        runtime().block_on(async { walk(Stage::new().await, steps).await });
    }
}

#[test]
fn events_make_the_same_world_as_a_fresh_listing_of_postgres() {
    let (postgres, runtime) = (Arc::new(Postgres::start()), runtime());
    let steps = prop::collection::vec(step(), 1..60);
    let done = proptest::test_runner::TestRunner::new(cases(15)).run(&steps, |steps| {
        runtime.block_on(async { walk(Stage::shared(&postgres).await, steps).await });
        Ok(())
    });
    done.unwrap();
}
