//! What keeps the directory up with its sources while the gateway runs: another process' change of the store, and the
//! workspace file. A source that fails leaves the last good world in place and says so once.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portway_core::host::Names;
use portway_core::snapshot::Listing;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::file::{FILE_SOURCE, FileError, read_file};
use crate::freshness::Freshness;
use crate::publisher::Publisher;
use crate::store::{Store, StoreError};

/// How often a source is looked at: a quarter of the second within which a change must be seen.
const LOOK: Duration = Duration::from_millis(250);
/// How often expired rows are deleted (they are refused from their first expired second, deleted or not), and everything is
/// read again whatever the version says: what should never be missed is then missed for a minute at most.
const SWEEP: Duration = Duration::from_mins(1);

/// Looks that are asked for come no closer than this, however many ask.
const ASKED_LOOK: Duration = Duration::from_millis(20);
/// What a listing took is rested from this many times over, so that a large world does not keep a core busy; and no longer
/// than this, so that a change is seen in time.
const REST: (u32, Duration) = (10, Duration::from_millis(500));

/// How a request that may come too early for this process asks to see what another process has just made. Clones ask the
/// same watcher; many at once are one look.
#[derive(Clone, Debug)]
pub struct CatchUp {
    asked: watch::Sender<u64>,
    done: watch::Receiver<u64>,
}

/// The watcher's side of [`CatchUp`].
#[derive(Debug)]
pub struct Asked {
    asked: watch::Receiver<u64>,
    done: watch::Sender<u64>,
}

impl CatchUp {
    /// Both sides.
    pub fn new() -> (Self, Asked) {
        let ((asked, asks), (done, ends)) = (watch::channel(0), watch::channel(0));
        (Self { asked, done: ends }, Asked { asked: asks, done })
    }

    /// Returns when a look that began after this was called is over, or nobody looks any more.
    pub async fn wait(&self) {
        let mut mine = 0;
        self.asked.send_modify(|asked| {
            *asked += 1;
            mine = *asked;
        });
        let _ = self.done.clone().wait_for(|done| *done >= mine).await;
    }
}

/// Publishes the store's full listing at once, whenever another process has written, and each minute with a sweep of
/// expired rows, until `shutdown`. When the database fails, the old snapshot stays and the next look tries again;
/// `freshness` tells how old the last good look is.
pub async fn watch_store(
    store: Store,
    publisher: Publisher,
    asked: Asked,
    freshness: Freshness,
    shutdown: impl Future<Output = ()>,
) {
    tokio::select! {
        () = shutdown => {}
        () = follow_store(&store, &publisher, asked, freshness) => {}
    }
}

/// What a watcher has seen.
struct Seen {
    version: Option<i64>,
    swept: Instant,
    /// The next listing may be made then.
    rested: Instant,
}

async fn follow_store(store: &Store, publisher: &Publisher, mut asks: Asked, freshness: Freshness) {
    let mut look = every_look();
    let mut seen = Seen { version: None, swept: Instant::now(), rested: Instant::now() };
    let mut failing = false;
    loop {
        let asked = tokio::select! {
            _ = look.tick() => false,
            Ok(()) = asks.asked.changed() => true,
        };
        let these = *asks.asked.borrow_and_update();
        if asked {
            seen.rested = Instant::now();
        }
        let result = store.try_in_time(look_at_store(store, publisher, &mut seen)).await;
        asks.done.send_replace(these);
        if result.is_ok() {
            freshness.touch();
        }
        match &result {
            Err(error) if !failing => {
                tracing::error!(%error, "the store cannot be read; the last known state stays in use");
            }
            Ok(()) if failing => tracing::info!("the store can be read again"),
            Ok(()) | Err(_) => {}
        }
        failing = result.is_err();
        if asked {
            tokio::time::sleep(ASKED_LOOK).await;
        }
    }
}

async fn look_at_store(store: &Store, publisher: &Publisher, seen: &mut Seen) -> Result<(), StoreError> {
    if seen.swept.elapsed() >= SWEEP {
        seen.swept = Instant::now();
        let swept = store.clone();
        publisher.commit(async move { swept.try_in_time(swept.sweep()).await }).await?;
        seen.version = None;
    }
    // Read before the listing: a change that falls between is listed now, and once more at the next look.
    let version = store.data_version().await?;
    if seen.version != Some(version) && Instant::now() >= seen.rested {
        let (listed, begun) = (store.clone(), Instant::now());
        publisher.replace_with(async move { listed.try_in_time(listed.listing()).await }).await?;
        seen.version = Some(version);
        seen.rested = Instant::now() + (begun.elapsed() * REST.0).min(REST.1);
    }
    Ok(())
}

/// Reads the workspace file once: for the start, and for checking it.
///
/// # Errors
/// As [`read_file`]; a file that cannot be read is one error on line 0.
pub async fn load_file(path: &Path, names: &Names) -> Result<Listing, Vec<FileError>> {
    let text = tokio::fs::read_to_string(path)
        .await
        .map_err(|error| vec![FileError { line: 0, message: format!("cannot read {}: {error}", path.display()) }])?;
    listing(&text, names)
}

fn listing(text: &str, names: &Names) -> Result<Listing, Vec<FileError>> {
    let workspaces = read_file(text, names)?;
    Ok(Listing { source: FILE_SOURCE.into(), workspaces, own: None })
}

/// Publishes the workspace file, as soon as two looks agree, whenever its content has changed, until `shutdown`. A bad file is refused with
/// lines and reasons, and what was published before stays.
pub async fn watch_file(path: PathBuf, names: Arc<Names>, publisher: Publisher, shutdown: impl Future<Output = ()>) {
    tokio::select! {
        () = shutdown => {}
        () = follow_file(&path, &names, &publisher) => {}
    }
}

async fn follow_file(path: &Path, names: &Names, publisher: &Publisher) {
    let mut look = every_look();
    let mut looks = Looks::default();
    loop {
        look.tick().await;
        look_at_file(path, names, publisher, &mut looks).await;
    }
}

/// A file's content, or why there is none. The content itself is compared: it is small, and times and sizes miss a quick
/// edit or a swapped symlink.
type Content = Result<String, String>;

/// What the last look found, and what was last acted upon.
#[derive(Default)]
struct Looks {
    last: Option<Content>,
    done: Option<Content>,
}

async fn look_at_file(path: &Path, names: &Names, publisher: &Publisher, looks: &mut Looks) {
    let content = tokio::fs::read_to_string(path).await.map_err(|error| error.to_string());
    let settled = looks.last.as_ref() == Some(&content);
    let new = looks.done.as_ref() != Some(&content);
    looks.last = Some(content.clone());
    // Taken once two looks agree, so that a file caught while it is being written is not half a world.
    if !settled || !new {
        return;
    }
    match &content {
        Ok(text) => take_file(path, text, names, publisher).await,
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "the workspace file cannot be read; the last good one stays in use");
        }
    }
    looks.done = Some(content);
}

async fn take_file(path: &Path, text: &str, names: &Names, publisher: &Publisher) {
    match listing(text, names) {
        Ok(listing) => {
            let workspaces = listing.workspaces.len();
            publisher.replace(listing).await;
            tracing::info!(path = %path.display(), workspaces, "the workspace file is in use");
        }
        Err(errors) => {
            for error in errors {
                tracing::error!(path = %path.display(), line = error.line, "the workspace file is refused, the last good one stays in use: {}", error.message);
            }
        }
    }
}

fn every_look() -> tokio::time::Interval {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    look
}

#[cfg(test)]
mod tests;
