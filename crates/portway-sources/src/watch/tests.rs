use std::future::pending;
use std::io;
use std::sync::Mutex;

use portway_core::workspace::{Address, Level};
use portway_testkit::{TempDir, eventually_async, within};
use tokio::task::JoinHandle;

use super::*;
use crate::file::tests::names;
use crate::store::tests::{Stage, on_both, secret};
use crate::store::workspaces::NewWorkspace;

on_both! {
    another_process_change_is_seen_within_a_second,
    a_session_ended_by_another_process_is_told_as_gone,
    who_asks_sees_what_another_process_made_before,
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is logged on this thread while the guard lives.
fn logged() -> (Log, tracing::subscriber::DefaultGuard) {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    (log, tracing::subscriber::set_default(subscriber))
}

fn text(log: &Log) -> String {
    String::from_utf8(log.0.lock().unwrap().clone()).unwrap()
}

fn watch(stage: &Stage) -> JoinHandle<()> {
    let (_, asked) = CatchUp::new();
    let (store, publisher) = (stage.store.clone(), stage.publisher.clone());
    tokio::spawn(watch_store(store, publisher, asked, Freshness::default(), pending()))
}

fn holder(publisher: &Publisher, key: &str) -> Option<String> {
    publisher.current().workspace(key).map(|held| format!("{} {}", held.source, held.address))
}

fn new(id: &str) -> NewWorkspace {
    NewWorkspace { id: id.into(), owner: None, address: Address::Loopback }
}

async fn another_process_change_is_seen_within_a_second(stage: Stage) {
    let other = stage.another().await;
    let watching = watch(&stage);
    let mut quickest = Duration::MAX;
    for round in 0..5 {
        let id = format!("w{round}");
        other.add_workspace(&new(&id)).await.unwrap();
        let begun = Instant::now();
        eventually_async("the workspace", async || stage.publisher.current().workspace(&id).is_some()).await;
        quickest = quickest.min(begun.elapsed());
        other.remove_workspace(&id).await.unwrap();
        let begun = Instant::now();
        eventually_async("its end", async || stage.publisher.current().workspace(&id).is_none()).await;
        quickest = quickest.min(begun.elapsed());
    }
    // The best of ten, since the machine may be busy; a slower look would miss it every time.
    assert!(quickest < Duration::from_secs(1), "{quickest:?}");
    watching.abort();
}

async fn who_asks_sees_what_another_process_made_before(stage: Stage) {
    let other = stage.another().await;
    let (catch_up, asked) = CatchUp::new();
    let (store, publisher) = (stage.store.clone(), stage.publisher.clone());
    let watching = tokio::spawn(watch_store(store, publisher, asked, Freshness::default(), pending()));
    for round in 0..20 {
        let id = format!("w{round}");
        other.add_workspace(&new(&id)).await.unwrap();
        let many = (0..50).map(|_| catch_up.wait());
        for waiting in many.collect::<Vec<_>>() {
            within("a look", waiting).await;
        }
        assert!(stage.publisher.current().workspace(&id).is_some(), "{id}");
    }
    watching.abort();
}

async fn a_session_ended_by_another_process_is_told_as_gone(stage: Stage) {
    let other = stage.another().await;
    let watching = watch(&stage);
    let token = secret().hash();
    other.add_user("bob").await.unwrap();
    let (row, _) = other.add_token(&token, "bob", "w", 3000, 60, None).await.unwrap();
    eventually_async("the token", async || stage.publisher.current().token(&token).is_some()).await;
    let mut updates = stage.publisher.subscribe();
    other.remove_token(&row.id).await.unwrap();
    let update = within("the update", updates.recv()).await.unwrap();
    assert_eq!(update.diff.secrets, [token].into());
    assert!(update.snapshot.token(&token).is_none());
    watching.abort();
}

#[tokio::test]
async fn a_broken_store_leaves_the_old_world_and_is_read_again_once_it_is_whole() {
    let stage = Stage::new().await;
    let other = stage.another().await;
    let (log, _guard) = logged();
    let watching = watch(&stage);
    other.add_workspace(&new("kept")).await.unwrap();
    eventually_async("it", async || stage.publisher.current().workspace("kept").is_some()).await;
    other.execute("ALTER TABLE workspaces RENAME TO away").await;
    eventually_async("the error", async || text(&log).contains("the store cannot be read")).await;
    assert!(stage.publisher.current().workspace("kept").is_some());
    other.execute("ALTER TABLE away RENAME TO workspaces").await;
    other.add_workspace(&new("later")).await.unwrap();
    eventually_async("more", async || stage.publisher.current().workspace("later").is_some()).await;
    assert!(stage.publisher.current().workspace("kept").is_some());
    assert_eq!(text(&log).matches("the store cannot be read").count(), 1, "said once");
    watching.abort();
}

#[tokio::test]
async fn a_sweep_is_published() {
    let stage = Stage::new().await;
    let token = secret().hash();
    stage.store.add_user("bob").await.unwrap();
    stage.store.add_token(&token, "bob", "w", 3000, 60, None).await.unwrap();
    let mut seen = Seen { version: None, swept: Instant::now(), rested: Instant::now() };
    look_at_store(&stage.store, &stage.publisher, &mut seen).await.unwrap();
    assert!(stage.publisher.current().token(&token).is_some());
    stage.store.execute("UPDATE tokens SET expires_at = unixepoch()").await;
    look_at_store(&stage.store, &stage.publisher, &mut seen).await.unwrap();
    assert!(stage.publisher.current().token(&token).is_some(), "it is not time yet");
    seen.swept = seen.swept.checked_sub(SWEEP).unwrap();
    look_at_store(&stage.store, &stage.publisher, &mut seen).await.unwrap();
    assert!(stage.publisher.current().token(&token).is_none());
    assert!(seen.swept.elapsed() < SWEEP, "the next is a minute away");
}

#[tokio::test]
async fn both_watches_end_at_shutdown() {
    let stage = Stage::new().await;
    let path = stage.folder.write("workspaces.toml", "");
    let publisher = stage.publisher.clone();
    let at_once = || std::future::ready(());
    let (catch_up, asked) = CatchUp::new();
    let freshness = Freshness::default();
    within("watch_store", watch_store(stage.store.clone(), publisher.clone(), asked, freshness, at_once())).await;
    within("nobody who looks", catch_up.wait()).await;
    within("watch_file", watch_file(path, Arc::new(names()), publisher, at_once())).await;
}

fn one(id: &str, address: &str) -> String {
    format!("[[workspace]]\nid = \"{id}\"\naddress = \"{address}\"\n")
}

#[tokio::test]
async fn a_changed_file_is_read_again_and_a_bad_one_is_refused_with_its_line() {
    let folder = TempDir::new();
    let path = folder.write("workspaces.toml", one("a", "10.0.0.1"));
    let publisher = Publisher::new();
    let (log, _guard) = logged();
    let watching = tokio::spawn(watch_file(path.clone(), Arc::new(names()), publisher.clone(), pending()));
    let holds = async |what: Option<&str>| {
        eventually_async("the file's state", async || holder(&publisher, "a").as_deref() == what).await;
    };
    holds(Some("file 10.0.0.1")).await;
    folder.write("workspaces.toml", one("a", "10.0.0.2"));
    holds(Some("file 10.0.0.2")).await;

    folder.write("workspaces.toml", one("a", "nowhere!") + &one("b", "10.0.0.3"));
    eventually_async("the refusal", async || text(&log).contains("`nowhere!` is not an address")).await;
    assert!(text(&log).contains("line=3"), "{}", text(&log));
    holds(Some("file 10.0.0.2")).await;
    assert_eq!(holder(&publisher, "b"), None, "nothing of a bad file is used");

    std::fs::remove_file(&path).unwrap();
    eventually_async("the loss", async || text(&log).contains("cannot be read")).await;
    holds(Some("file 10.0.0.2")).await;

    folder.write("workspaces.toml", one("a", "10.0.0.4"));
    holds(Some("file 10.0.0.4")).await;
    folder.write("workspaces.toml", "");
    holds(None).await;
    watching.abort();
}

#[tokio::test]
async fn a_file_caught_while_it_is_written_is_not_taken() {
    let folder = TempDir::new();
    let whole = one("a", "10.0.0.1") + &one("b", "10.0.0.2");
    let path = folder.write("workspaces.toml", &whole);
    let (publisher, mut looks) = (Publisher::new(), Looks::default());
    let mut look = async || look_at_file(&path, &names(), &publisher, &mut looks).await;
    let keys = || publisher.current().workspaces().count();
    look().await;
    assert_eq!(keys(), 0, "one look is not enough");
    look().await;
    assert_eq!(keys(), 2);
    for half in ["", &one("a", "10.0.0.1"), &whole] {
        folder.write("workspaces.toml", half);
        look().await;
        assert_eq!(keys(), 2, "{half:?}");
    }
    folder.write("workspaces.toml", one("a", "10.0.0.1"));
    look().await;
    look().await;
    assert_eq!(keys(), 1, "what stays is taken");
}

#[tokio::test]
async fn a_file_replaced_by_rename_is_noticed_within_a_second() {
    let folder = TempDir::new();
    let path = folder.write("workspaces.toml", "");
    let publisher = Publisher::new();
    let watching = tokio::spawn(watch_file(path.clone(), Arc::new(names()), publisher.clone(), pending()));
    let mut quickest = Duration::MAX;
    for round in 1..=5 {
        let next = folder.write("next", one("a", &format!("10.0.0.{round}")));
        std::fs::rename(next, &path).unwrap();
        let begun = Instant::now();
        let expected = format!("file 10.0.0.{round}");
        eventually_async("it", async || holder(&publisher, "a").as_ref() == Some(&expected)).await;
        quickest = quickest.min(begun.elapsed());
    }
    assert!(quickest < Duration::from_secs(1), "{quickest:?}");
    watching.abort();
}

#[tokio::test]
async fn the_same_id_in_file_and_store_is_logged_naming_both() {
    let stage = Stage::new().await;
    let path = stage.folder.write("workspaces.toml", one("Box", "10.0.0.1"));
    let (log, _guard) = logged();
    let publisher = &stage.publisher;
    publisher.replace(load_file(&path, &names()).await.unwrap()).await;
    let watching = watch(&stage);
    let store = stage.store.clone();
    publisher.commit(async move { store.add_workspace(&new("box")).await }).await.unwrap();
    let conflict = "is in two sources, `file` and `store`";
    eventually_async("the conflict", async || text(&log).contains(conflict)).await;
    assert_eq!(holder(publisher, "box").as_deref(), Some("file 10.0.0.1"));
    // Said once, however often the store is listed.
    let other = stage.another().await;
    other.add_workspace(&new("later")).await.unwrap();
    eventually_async("more", async || holder(publisher, "later").is_some()).await;
    assert_eq!(text(&log).matches(conflict).count(), 1);

    let file = tokio::spawn(watch_file(path, Arc::new(names()), publisher.clone(), pending()));
    stage.folder.write("workspaces.toml", "");
    eventually_async("the store's", async || holder(publisher, "box").as_deref() == Some("store localhost")).await;
    watching.abort();
    file.abort();
}

#[tokio::test]
async fn a_missing_file_is_one_error_on_no_line() {
    let folder = TempDir::new();
    let errors = load_file(&folder.join("none.toml"), &names()).await.unwrap_err();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].line, 0);
    assert!(errors[0].to_string().starts_with("cannot read "), "{}", errors[0]);
}

#[tokio::test]
async fn a_share_made_by_another_process_reaches_the_directory() {
    let stage = Stage::new().await;
    let other = stage.another().await;
    let watching = watch(&stage);
    other.set_share("w", 3000, Some(Level::Public), &[], &[]).await.unwrap();
    let level = || stage.publisher.current().port("w", 3000).map(|policy| policy.level);
    eventually_async("public", async || level() == Some(Level::Public)).await;
    other.remove_share("w", 3000).await.unwrap();
    eventually_async("closed", async || level().is_none()).await;
    watching.abort();
}
