//! How much memory the process has and may have, and new work kept out while it is short (R49, R50).
//!
//! What counts is the process's resident memory, under a limit of a control group too: it is what shedding brings down. The
//! group's own count has neighbours and caches in it, for which nobody here can do anything. What the kernel keeps for
//! sockets is only in that; the room above the threshold is for it. What is refused is not known here.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portway_proxy::engine::Gate;
use tokio::time::{MissedTickBehavior, interval};

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// In hundredths of the limit: where shedding begins, and below which it ends.
const BEGINS: u64 = 85;
const ENDS: u64 = 80;
/// Where the hierarchies of control groups are mounted.
const GROUPS: &str = "/sys/fs/cgroup";
/// Whatever is as large as this limits nothing: version 1 writes a number where version 2 says `max`.
const UNLIMITED: u64 = 1 << 60;

/// The limit: what was set, or what the control group has; `None` where there is none.
pub(super) fn limit(set: Option<u64>) -> Option<u64> {
    match set {
        Some(0) => None,
        Some(limit) => Some(limit),
        None => {
            let memberships = std::fs::read_to_string("/proc/self/cgroup").ok()?;
            of_groups(Path::new(GROUPS), &memberships)
        }
    }
}

/// Looks until the process ends.
pub(super) async fn watch(limit: Option<u64>, gate: Gate) {
    let (bytes, of) = (metrics::gauge!("portway_memory_bytes"), rustix::param::page_size() as u64);
    if let Some(limit) = limit {
        metrics::gauge!("portway_memory_limit_bytes").set(limit as f64);
    }
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut was = false;
    loop {
        look.tick().await;
        // It cannot fail on Linux; elsewhere nothing is shed.
        let Some(used) = resident_pages().map(|pages| pages.saturating_mul(of)) else { return };
        bytes.set(used as f64);
        if was {
            give_back();
        }
        let is = limit.is_some_and(|limit| sheds(was, used, limit));
        if is == was {
            continue;
        }
        was = is;
        gate.shed(is);
        if is {
            tracing::warn!(event = "shedding", used, limit, "memory is short: new requests are refused");
        } else {
            tracing::info!(event = "shedding-over", used, limit);
        }
    }
}

/// Has mimalloc give back to the system what is free. It does so when a thread ends, and else only in the course of many more
/// allocations: too late where it is the refusal of new work that waits.
fn give_back() {
    // A thread that allocates nothing has nothing to do with it. Without a thread, the next look tries again.
    let _ = std::thread::Builder::new().name("give-back".to_owned()).spawn(|| drop(black_box(Box::new(0_u8))));
}

/// Whether new work is refused, given whether it was.
fn sheds(was: bool, used: u64, limit: u64) -> bool {
    let threshold = if was { ENDS } else { BEGINS };
    u128::from(used) * 100 >= u128::from(limit) * u128::from(threshold)
}

fn resident_pages() -> Option<u64> {
    std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()
}

/// The least limit of the groups that a `/proc/self/cgroup` names, and of all above them. A container may see its own as the
/// topmost, whatever it is called outside.
fn of_groups(root: &Path, memberships: &str) -> Option<u64> {
    memberships.lines().filter_map(|line| of_hierarchy(root, line)).min()
}

/// A line of it: number, controllers and path of a hierarchy; version 2 has no controllers (cgroups(7)).
fn of_hierarchy(root: &Path, line: &str) -> Option<u64> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, group) = (parts.next()?, parts.next()?);
    let (mount, file): (PathBuf, &str) = match controllers {
        "" => (root.to_owned(), "memory.max"),
        named if named.split(',').any(|one| one == "memory") => (root.join("memory"), "memory.limit_in_bytes"),
        _ => return None,
    };
    let read = |group: &Path| std::fs::read_to_string(group.join(file)).ok()?.trim().parse::<u64>().ok();
    let own = mount.join(group.trim_start_matches('/'));
    own.ancestors().take_while(|group| group.starts_with(&mount)).filter_map(read).filter(|it| *it < UNLIMITED).min()
}

#[cfg(test)]
mod tests {
    use portway_testkit::TempDir;

    use super::*;

    #[test]
    fn shedding_begins_at_85_percent_and_ends_below_80() {
        let mut was = false;
        for (used, is) in [(849, false), (850, true), (849, true), (800, true), (799, false), (849, false)] {
            was = sheds(was, used, 1000);
            assert_eq!(was, is, "{used}");
        }
        assert!(sheds(false, u64::MAX, 1 << 50));
    }

    /// Folders as the kernel shows them, version 2 and version 1.
    #[test]
    fn the_least_limit_of_a_group_and_those_above_it_counts() {
        let root = TempDir::new();
        let write = |file: &str, text: &str| {
            let path = root.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let of = |memberships: &str| of_groups(root.path(), memberships);
        assert_eq!(of("0::/a/b\n"), None, "there is no such folder");
        write("a/b/memory.max", "max\n");
        assert_eq!(of("0::/a/b\n"), None);
        write("a/memory.max", "1000\n");
        assert_eq!(of("0::/a/b\n"), Some(1000));
        write("a/b/memory.max", "700\n");
        assert_eq!(of("0::/a/b\n"), Some(700));
        assert_eq!(of("0::/a\n"), Some(1000));
        write("memory.max", "600\n");
        assert_eq!(of("0::/../elsewhere\n"), Some(600), "a container's own group is the topmost that it sees");
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(of("4:memory:/c\n3:cpuset:/\n"), None, "version 1 has a number for no limit");
        write("memory/c/memory.limit_in_bytes", "500\n");
        assert_eq!(of("4:cpu,memory:/c\n0::/a\n"), Some(500));
    }

    #[test]
    fn this_process_has_pages() {
        assert!(resident_pages().unwrap() > 100);
    }
}
