//! Files that are looked at again and again, until their content is another and whole: two looks that agree say so.
//!
//! The content itself is compared, because times and sizes miss a quick edit or a swapped symlink. What is in the files is not
//! known here.

use std::path::PathBuf;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often files are looked at; a change is told within two of these.
const LOOK: Duration = Duration::from_millis(500);

/// What all files hold together; nothing where one cannot be read, as between two steps of replacing it.
type Content = Option<[u8; 32]>;

/// The files, and what was told of them last.
#[derive(Debug)]
pub(super) struct Watched {
    files: Vec<PathBuf>,
    look: Interval,
    before: Content,
    told: Content,
}

impl Watched {
    /// As they are now nothing is told of them.
    pub(super) fn new(files: Vec<PathBuf>) -> Self {
        let now = content(&files);
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { files, look, before: now, told: now }
    }

    /// Resolves when they have changed. Nothing is lost where it is no longer waited for.
    pub(super) async fn changed(&mut self) {
        loop {
            self.look.tick().await;
            let now = self.now().await;
            let settled = now.is_some() && now == std::mem::replace(&mut self.before, now);
            if settled && now != self.told {
                self.told = now;
                return;
            }
        }
    }

    /// What they hold now is about to be read, and is not told.
    pub(super) async fn mark(&mut self) {
        let now = self.now().await;
        (self.before, self.told) = (now, now);
    }

    /// Not on this thread: a folder may be on another machine.
    async fn now(&self) -> Content {
        let files = self.files.clone();
        tokio::task::spawn_blocking(move || content(&files)).await.ok().flatten()
    }
}

fn content(files: &[PathBuf]) -> Content {
    let mut sum = Sha256::new();
    for file in files {
        sum.update(Sha256::digest(std::fs::read(file).ok()?));
    }
    Some(sum.finalize().into())
}
