//! What a test leaves behind: everything of the daemon's world, before and after.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::daemon::Daemon;

/// How long the daemon may take to tidy up behind a verb that has already answered.
const SETTLE: Duration = Duration::from_secs(8);

/// One look at the world: what is there, as lines of text, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaks {
    seen: BTreeMap<String, usize>,
}

impl Leaks {
    /// Looks at mounts, links, firewall, processes, cgroups, files and the daemon's descriptors.
    #[track_caller]
    pub fn look(daemon: &Daemon) -> Self {
        let mut seen = BTreeMap::new();
        let mut note = |kind: &str, items: Vec<String>| {
            for item in items {
                *seen.entry(format!("{kind} {item}")).or_default() += 1;
            }
        };
        note("mount", mounts(daemon));
        note("link", links(daemon));
        note("nft", firewall(daemon));
        note("process", processes(daemon));
        let mut groups = cgroups(&daemon.prefix());
        // The daemon's own, which it makes while it answers already.
        groups.retain(|path| !path.ends_with(daemon.prefix()));
        note(
            "cgroup",
            groups
                .iter()
                .map(|path| path.display().to_string())
                .collect(),
        );
        note("file", files(daemon));
        note("descriptor", descriptors(daemon));
        Self { seen }
    }

    /// Looks again until nothing is there that was not before; panics with what is left when it stays.
    #[track_caller]
    pub fn assert_none(&self, daemon: &Daemon) {
        Self::wait(daemon, |now| now.beyond(self), "left behind");
    }

    /// The same the other way round: nothing of what was there before may be gone.
    #[track_caller]
    pub fn assert_all(&self, daemon: &Daemon) {
        Self::wait(daemon, |now| self.beyond(now), "gone");
    }

    #[track_caller]
    fn wait(daemon: &Daemon, difference: impl Fn(&Self) -> Vec<String>, what: &str) {
        let end = Instant::now() + crate::process::patient(SETTLE);
        loop {
            let found = difference(&Self::look(daemon));
            if found.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "{what}: {found:#?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What is here and not there, or more often here.
    fn beyond(&self, other: &Self) -> Vec<String> {
        let more = |(item, count): (&String, &usize)| {
            let extra = count
                - other
                    .seen
                    .get(item)
                    .copied()
                    .unwrap_or_default()
                    .min(*count);
            (extra > 0).then(|| format!("{item} ×{extra}"))
        };
        self.seen.iter().filter_map(more).collect()
    }
}

#[track_caller]
fn mounts(daemon: &Daemon) -> Vec<String> {
    let text = daemon.world().run(&["cat", "/proc/1/mountinfo"]).stdout;
    // Without the ids: the fifth field is the mount point, after the dash type and source follow.
    text.lines()
        .map(|line| {
            let place = line.split(' ').nth(4).unwrap_or_default();
            let kind = line
                .split(" - ")
                .nth(1)
                .and_then(|rest| rest.split(' ').next())
                .unwrap_or_default();
            format!("{place} ({kind})")
        })
        .collect()
}

#[track_caller]
fn links(daemon: &Daemon) -> Vec<String> {
    let text = daemon.world().run(&["ip", "-o", "link"]).stdout;
    text.lines()
        .filter_map(|line| line.split(": ").nth(1))
        .map(str::to_owned)
        .collect()
}

#[track_caller]
fn firewall(daemon: &Daemon) -> Vec<String> {
    daemon
        .world()
        .run(&["nft", "list", "ruleset"])
        .stdout
        .lines()
        .map(str::to_owned)
        .collect()
}

/// The world's own processes by their command lines, and one line for each container's process namespace: what goes
/// on inside a container is its own business.
fn processes(daemon: &Daemon) -> Vec<String> {
    let init = daemon.world().init_pid();
    let own = std::fs::read_link(format!("/proc/{init}/ns/pid")).unwrap_or_default();
    let Ok(entries) = std::fs::read_dir(format!("/proc/{init}/root/proc")) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut containers = BTreeSet::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let Ok(namespace) = std::fs::read_link(path.join("ns/pid")) else {
            continue;
        };
        let line = std::fs::read(path.join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line)
            .replace('\0', " ")
            .trim()
            .to_owned();
        if namespace != own {
            containers.insert(namespace);
        } else if !line.is_empty() && !path.ends_with("1") {
            found.push(line);
        }
    }
    found.extend(containers.iter().map(|_| "a container".to_owned()));
    found
}

/// All cgroups of a daemon, in every hierarchy.
pub fn cgroups(prefix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk_cgroups(Path::new("/sys/fs/cgroup"), prefix, 0, &mut found);
    found
}

fn walk_cgroups(dir: &Path, prefix: &str, depth: usize, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };
    for entry in entries
        .flatten()
        .filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir()))
    {
        let path = entry.path();
        let ours = path
            .components()
            .any(|part| part.as_os_str().to_string_lossy().starts_with(prefix));
        if ours {
            found.push(path.clone());
        }
        if ours || depth < 4 {
            walk_cgroups(&path, prefix, depth + 1, found);
        }
    }
}

/// Removes what a daemon that was killed left in the cgroup hierarchies; its processes are gone with its world.
pub fn remove_cgroups(prefix: &str) {
    for _ in 0..50 {
        let mut left = cgroups(prefix);
        if left.is_empty() {
            return;
        }
        left.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
        for path in &left {
            let _busy = std::fs::remove_dir(path).is_err();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Files that an instance, an image or a half-done operation may leave: all but the inventory and the logs.
fn files(daemon: &Daemon) -> Vec<String> {
    let run = PathBuf::from(format!("/proc/{}/root/run", daemon.world().init_pid()));
    let mut found = Vec::new();
    walk_files(daemon.dir(), daemon.dir(), 0, &mut found);
    walk_files(&run, &run, 0, &mut found);
    // How an instance ended stays written down until it starts again or goes. What lies with a volume to describe it is written a
    // moment after each change, and goes with the volume. The directory of all backups is made for the first.
    found.retain(|path| {
        !path.starts_with("database/")
            && !path.starts_with("networks/")
            && !path.ends_with("/exit.json")
            && !path.ends_with("/backup.yaml")
            && path != "backups"
    });
    found
}

fn walk_files(root: &Path, dir: &Path, depth: usize, found: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        found.push(
            path.strip_prefix(root)
                .unwrap_or(&path)
                .display()
                .to_string(),
        );
        // Deep enough to see each volume, image and layer without reading whole root file systems.
        if depth < 4 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk_files(root, &path, depth + 1, found);
        }
    }
}

/// The daemon's descriptors that belong to instances: pidfds, packet sockets, namespaces, ptys.
fn descriptors(daemon: &Daemon) -> Vec<String> {
    let Some(pid) = daemon.pid() else {
        return Vec::new();
    };
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .map(|target| target.display().to_string())
        .filter(|target| {
            ["pidfd", "net:[", "user:[", "mnt:[", "/dev/pts", "/dev/ptmx"]
                .iter()
                .any(|k| target.contains(k))
        })
        .map(|target| {
            target
                .split(":[")
                .next()
                .unwrap_or_default()
                .trim_end_matches(" (deleted)")
                .to_owned()
        })
        .collect()
}
