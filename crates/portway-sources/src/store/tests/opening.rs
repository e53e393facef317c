//! Opening: the file and its mode, the schema, and what a restart keeps.

use portway_core::workspace::Level;

use portway_core::secret::SecretHash;

use super::*;
use crate::store::ports::PortChange;

#[tokio::test]
async fn a_restart_keeps_everything() {
    let stage = Stage::new().await;
    stage.people().await;
    let login = stage.login("bob").await;
    stage.session(login, "bob", "3000-box.example.com").await;
    let store = &stage.store;
    stage.see(store.set_share("box", 3000, Some(Level::Public), &[], &[]).await.unwrap()).await;
    stage.see(store.set_port("box", 5000, PortChange::default()).await.unwrap()).await;
    let token = secret().hash();
    stage.see(store.add_token(&token, "bob", "box", 3000, 60, None).await.unwrap().1).await;
    store.set_password("bob", Some("$argon2id$x")).await.unwrap();

    let before = fresh(store).await;
    store.close().await;
    let again = Store::open(stage.folder.path()).await.unwrap();
    assert_eq!(fresh(&again).await, before);
    assert!(before.token(&token).is_some());
    assert_eq!(again.user("bob").await.unwrap().unwrap().password.as_deref(), Some("$argon2id$x"));
    assert!(again.login(&login).await.unwrap().is_some());
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let stage = Stage::new().await;
    stage.sql("PRAGMA user_version = 6").await;
    stage.store.close().await;
    let error = Store::open(stage.folder.path()).await.unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema { found: 6, known: 5, .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("portway.db was written by a newer Portway (schema 6"), "{text}");
}

/// Of every step that was ever released: the statements up to it, filled as that Portway filled it.
#[tokio::test]
async fn a_filled_file_of_any_release_is_brought_up_to_date_and_keeps_everything() {
    // Step 3 called the column `user`, and no step before it took logins over.
    for (release, user, adopted) in [(1, "user", false), (2, "user", false), (3, "user", true), (4, "user_id", true)] {
        let folder = TempDir::new();
        let path = folder.join(FILE_NAME);
        let old = sqlx::SqlitePool::connect(&format!("sqlite://{}?mode=rwc", path.display())).await.unwrap();
        for step in crate::store::opening::FILE_STEPS.iter().take(release) {
            sqlx::raw_sql(*step).execute(&old).await.unwrap();
        }
        let rows = format!(
            "INSERT INTO users (id, password) VALUES ('ann', '$argon2id$x'), ('bob', NULL);
             INSERT INTO logins (hash, {user}, expires_at) VALUES (zeroblob(32), 'bob', unixepoch() + 1000);
             INSERT INTO sessions (hash, {user}, login, host, expires_at)
             VALUES (zeroblob(32), 'bob', zeroblob(32), '3000-box.example.com', unixepoch() + 1000);
             INSERT INTO workspaces (key, id, owner, address, generation) VALUES ('box', 'Box', 'ann', '10.0.0.1', 'g1');
             INSERT INTO ports (workspace, port, level, profile) VALUES ('box', 3000, 'users', 'public');
             INSERT INTO shares (workspace, port, {user}) VALUES ('box', 3000, 'bob');
             INSERT INTO consents ({user}, workspace, port) VALUES ('bob', 'box', 3000);
             INSERT INTO tokens (id, hash, {user}, workspace, port, expires_at)
             VALUES ('t', zeroblob(32), 'bob', 'box', 3000, unixepoch() + 1000);
             INSERT INTO audit (event, {user}, detail) VALUES ('login', 'bob', 'by a link')"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(rows)).execute(&old).await.unwrap();
        if adopted {
            sqlx::raw_sql("UPDATE logins SET sealed = x'00'; UPDATE users SET name = 'Bob' WHERE id = 'bob'")
                .execute(&old)
                .await
                .unwrap();
        }
        old.close().await;

        let store = Store::open(folder.path()).await.unwrap();
        let world = fresh(&store).await;
        let hash = SecretHash([0; 32]);
        let session = world.session(&hash).unwrap();
        assert_eq!((&*session.user, &*session.host), ("bob", "3000-box.example.com"), "of step {release}");
        assert_eq!(&*world.token(&hash).unwrap().user, "bob");
        assert_eq!(world.workspace("box").unwrap().owner.as_deref(), Some("ann"));
        let port = world.port("box", 3000).unwrap();
        assert!(port.level == Level::Users && port.users.contains("bob") && port.cors.is_none());
        assert_eq!(store.user("ann").await.unwrap().unwrap().password.as_deref(), Some("$argon2id$x"));
        assert!(store.has_consent("bob", "box", 3000).await.unwrap());
        assert_eq!(store.adopted_logins().await.unwrap().len(), usize::from(adopted));
        assert_eq!(store.audit_rows(10).await.unwrap()[0].detail, "by a link");
        // And goes on from there.
        store.add_user("eve").await.unwrap();
        store.close().await;
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_an_error() {
    let folder = TempDir::new();
    folder.write(FILE_NAME, "this is a text of more than a hundred bytes, which SQLite cannot read as one of its own files, not even a little");
    assert!(matches!(Store::open(folder.path()).await, Err(StoreError::Database(_))));
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let folder = TempDir::new();
    let file = folder.write("taken", "");
    let error = Store::open(&file.join("data")).await.unwrap_err();
    assert!(matches!(error, StoreError::Open { .. }), "{error:?}");
    assert!(error.to_string().contains("taken/data/portway.db"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_can_read_the_data() {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;

    let outer = TempDir::new();
    let folder = outer.join("a/b");
    let store = Store::open(&folder).await.unwrap();
    store.add_user("alice").await.unwrap();
    assert_eq!(mode(&outer.join("a")), 0o700);
    assert_eq!(mode(&folder), 0o700);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 3, "database, -shm and -wal: {files:?}");
    for file in &files {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }

    // A file that was left open to others is closed to them.
    store.close().await;
    let database = folder.join(FILE_NAME);
    std::fs::set_permissions(&database, std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = Store::open(&folder).await.unwrap();
    assert_eq!(mode(&database), 0o600);
    drop(store);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_processes_may_open_a_new_folder_at_once() {
    let folder = TempDir::new();
    let opening: Vec<_> = (0..16)
        .map(|number| {
            let path = folder.path().to_owned();
            tokio::spawn(async move {
                let store = Store::open(&path).await.unwrap();
                store.add_user(&format!("user{number}")).await.unwrap();
                store
            })
        })
        .collect();
    for store in opening {
        let store = store.await.unwrap();
        assert!(!store.users().await.unwrap().is_empty());
    }
    let store = Store::open(folder.path()).await.unwrap();
    assert_eq!(store.users().await.unwrap().len(), 16);
}

#[tokio::test]
async fn data_version_moves_for_others_changes_only() {
    let stage = Stage::new().await;
    let other = stage.another().await;
    let before = stage.store.data_version().await.unwrap();
    stage.store.add_user("alice").await.unwrap();
    assert_eq!(stage.store.data_version().await.unwrap(), before);
    other.users().await.unwrap();
    assert_eq!(stage.store.data_version().await.unwrap(), before, "reading is no change");
    other.add_user("bob").await.unwrap();
    assert_ne!(stage.store.data_version().await.unwrap(), before);
}

#[tokio::test]
async fn now_is_the_databases_clock() {
    let stage = Stage::new().await;
    let wall = || std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let (before, now, after) = (wall(), stage.store.now().await.unwrap(), wall());
    assert!((before..=after).contains(&now), "{before} {now} {after}");
}
