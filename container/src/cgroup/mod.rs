//! Control groups of a container: the one place that knows both layouts, unified and hybrid. See cgroups(7) and
//! Documentation/admin-guide/cgroup-v2.rst.
//!
//! ```text
//!  <cgroup2>/rlxc/monitor       all monitors
//!  <cgroup2>/rlxc/<id>          the payload: the root of what the container sees, delegated to it
//!  <cgroup2>/rlxc/<id>/.lxc     commands that were run from outside: an inner node takes no processes
//!  <memory v1>/rlxc/<id>        hybrid hosts: only where a limit needs the controller
//!  <any v1>/rlxc/monitor        monitors and payloads where they have no such group
//! ```
//! Groups are made below the root, not below the daemon's service: `docs/decisions/0001-cgroups.md` says why.

mod disks;
mod layout;
mod legacy;
mod limits;
mod setting;
mod statistics;
mod support;
mod tree;
mod usage;

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};

pub use layout::{Controller, Layout};
pub use legacy::join_monitors;
pub use statistics::{DiskStatistics, MemoryStatistics, Statistics};
pub use support::Support;
pub use usage::Usage;

use crate::spec::Limits;

/// The leaf for commands that come from outside.
const ATTACHED: &str = ".lxc";
/// The leaf for monitors.
const MONITORS: &str = "monitor";
/// How long the kernel may take to freeze or empty a group.
const PATIENCE: Duration = Duration::from_secs(10);
/// Files that a delegatee must be able to write, from `/sys/kernel/cgroup/delegate`.
const DELEGATED: [&str; 3] = ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control"];

/// What went wrong with a control group.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// The host's layout could not be read.
    #[error("read the host's cgroup mounts")]
    Detect(#[source] io::Error),
    /// There is no cgroup2 mount, not even an empty one.
    #[error("this host has no cgroup2 file system mounted")]
    NoUnified,
    /// A group could not be made.
    #[error("create control group `{}`", path.display())]
    Create {
        /// Its directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of a group could not be read.
    #[error("read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of a group could not be written.
    #[error("write `{value}` to `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What was to be written.
        value: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A limit could not be set.
    #[error("set `{what}`")]
    Limit {
        /// As users call it.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<Self>,
    },
    /// A limit needs a controller that this host doesn't have.
    #[error("the kernel has no `{controller}` controller for this limit")]
    NoController {
        /// Its name.
        controller: &'static str,
    },
    /// A group could not be removed.
    #[error("remove control group `{}`", path.display())]
    Delete {
        /// Its directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel did not freeze it in time.
    #[error("control group `{}` did not freeze", path.display())]
    NotFrozen {
        /// Its directory.
        path: PathBuf,
    },
}

impl CgroupError {
    fn of(what: &'static str, source: Self) -> Self {
        Self::Limit {
            what,
            source: Box::new(source),
        }
    }
}

/// The memory of a container, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryFigures {
    /// What it uses.
    pub usage: u64,
    /// The most that it may use.
    pub limit: Option<u64>,
    /// What of it is swapped out.
    pub swap_usage: u64,
    /// The most that may be.
    pub swap_limit: Option<u64>,
    /// Where the memory is.
    pub statistics: MemoryStatistics,
}

/// The control group of a container's payload, on all hierarchies.
#[derive(Debug, Clone)]
pub struct Cgroup {
    layout: Layout,
    name: PathBuf,
}

impl Cgroup {
    /// The group of this name, whether it exists or not.
    pub fn new(layout: Layout, name: impl Into<PathBuf>) -> Self {
        Self {
            layout,
            name: name.into(),
        }
    }

    /// Its directory on the unified hierarchy.
    pub fn path(&self) -> PathBuf {
        self.layout.unified.join(&self.name)
    }

    /// Makes it, with its limits, for an owner (host ids of the container's root) that may make groups below it.
    pub fn create(&self, owner: Option<(u32, u32)>, limits: &Limits) -> Result<(), CgroupError> {
        let path = self.path();
        tree::create_with_parents(&self.layout, &self.name)?;
        if let Some(owner) = owner {
            delegate(&path, owner)?;
        }
        // Shares of processors are those of neighbours: only where all have a group do they mean something.
        if let Some(mount) = self.layout.legacy.get(&Controller::Cpu) {
            legacy::ensure_legacy(mount, &self.name)?;
        }
        limits::apply(&self.layout, &self.name, limits)
    }

    /// Sets limits of a group that exists; what is not set any more is lifted.
    pub fn apply(&self, limits: &Limits) -> Result<(), CgroupError> {
        limits::apply(&self.layout, &self.name, limits)?;
        // A limit that is new on a hybrid host: processes are not in that hierarchy yet.
        self.move_all_to_legacy()
    }

    /// The directory, to clone a process straight into it.
    pub fn open(&self) -> Result<OwnedFd, CgroupError> {
        open_directory(&self.path())
    }

    /// The leaf for commands from outside, made if it is missing.
    pub fn open_attached(&self, owner: Option<(u32, u32)>) -> Result<OwnedFd, CgroupError> {
        let path = self.path().join(ATTACHED);
        if let Ok(directory) = open_directory(&path) {
            return Ok(directory);
        }
        tree::create_directory(&path)?;
        if let Some(owner) = owner {
            delegate(&path, owner)?;
        }
        open_directory(&path)
    }

    /// Puts the container on processors, and its memory on nodes; all that there are if not said.
    pub fn place(&self, cpus: Option<&str>, nodes: Option<&str>) -> Result<(), CgroupError> {
        limits::place(&self.layout, &self.name, (cpus, nodes))
            .map_err(|source| CgroupError::of("limits.cpu", source))?;
        self.move_all_to_legacy()
    }

    /// The processors that it is kept to by a group of its own; `None` if it has none.
    pub fn cpus(&self) -> Option<String> {
        let group = match self.layout.legacy.get(&Controller::Cpuset) {
            Some(mount) => mount.join(&self.name),
            None => self.path(),
        };
        let text = read(&group.join("cpuset.cpus")).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// Stops all its processes until [`Self::thaw`]; returns once they stand still.
    pub fn freeze(&self) -> Result<(), CgroupError> {
        self.write("cgroup.freeze", "1")?;
        let result = tree::wait_for_event(&self.path(), "frozen 1", PATIENCE);
        if result.is_err() {
            self.write("cgroup.freeze", "0")?;
        }
        result
    }

    /// Lets its processes go on.
    pub fn thaw(&self) -> Result<(), CgroupError> {
        self.write("cgroup.freeze", "0")
    }

    /// Whether it is frozen.
    pub fn is_frozen(&self) -> bool {
        std::fs::read_to_string(self.path().join("cgroup.freeze"))
            .is_ok_and(|text| text.trim() == "1")
    }

    /// Kills all processes in it and below it.
    pub fn kill(&self) -> Result<(), CgroupError> {
        self.write("cgroup.kill", "1")
    }

    /// Its process ids, as this process sees them.
    pub fn processes(&self) -> Vec<i32> {
        tree::processes(&self.path())
    }

    /// What it uses now.
    pub fn usage(&self) -> Result<Usage, CgroupError> {
        usage::measure(&self.layout, &self.name)
    }

    /// What it uses now, in all detail.
    pub fn statistics(&self) -> Result<Statistics, CgroupError> {
        statistics::measure(&self.layout, &self.name)
    }

    /// The processors that it may use.
    pub fn effective_cpus(&self) -> BTreeSet<u32> {
        statistics::effective_cpus(&self.layout, &self.name)
    }

    /// Microseconds of processor time in user mode and in the kernel.
    pub fn cpu_time(&self) -> (u64, u64) {
        statistics::cpu_time(&self.layout, &self.name)
    }

    /// What it read and wrote, as far as that is counted.
    pub fn disks(&self) -> Vec<DiskStatistics> {
        statistics::measure_disks(&self.layout, &self.name)
    }

    /// Its processes, with their threads where the kernel counts them.
    pub fn tasks(&self) -> u64 {
        usage::tasks(&self.layout, &self.name)
    }

    /// Its memory, where a controller counts it.
    pub fn memory(&self) -> Option<MemoryFigures> {
        let counted = usage::counted_memory(&self.layout, &self.name)?;
        let group = self.path();
        Some(MemoryFigures {
            usage: counted.usage,
            limit: counted.limit,
            swap_usage: counted.swap.unwrap_or(0),
            swap_limit: counted.swap_limit,
            statistics: statistics::memory(&self.layout, &self.name, &group).unwrap_or_default(),
        })
    }

    /// Removes it with all that the container made below it. It must have no processes; one that is just ending is
    /// waited for. What is not there is no error.
    pub fn delete(&self) -> Result<(), CgroupError> {
        let legacy: Vec<PathBuf> = self.legacy_directories().collect();
        for directory in legacy.iter().chain([&self.path()]) {
            tree::delete(directory, PATIENCE)?;
        }
        Ok(())
    }

    fn write(&self, file: &str, value: &str) -> Result<(), CgroupError> {
        write(&self.path().join(file), value)
    }
}

/// The name of the group of monitors, beside the payloads.
fn shared(payload: &Path) -> PathBuf {
    payload.parent().unwrap_or(payload).join(MONITORS)
}

/// The leaf that monitors live in.
pub fn open_monitors(layout: &Layout, payload: &Path) -> Result<OwnedFd, CgroupError> {
    legacy::ensure_monitors(layout, payload)?;
    let name = shared(payload);
    let path = layout.unified.join(&name);
    if let Ok(directory) = open_directory(&path) {
        return Ok(directory);
    }
    tree::create_with_parents(layout, &name)?;
    open_directory(&path)
}

/// Removes what monitors and payloads shared, if none is left: for a daemon that ends. Never waits, never fails.
pub fn remove_empty(layout: &Layout, payload: &Path) {
    let top = payload.parent().unwrap_or(payload);
    let mounts = std::iter::once(&layout.unified).chain(&layout.hierarchies);
    for directory in mounts.map(|mount| mount.join(top)) {
        // A group with processes or with groups of its own can't be removed, which is as it should be.
        drop(std::fs::remove_dir(directory.join(MONITORS)));
        drop(std::fs::remove_dir(directory));
    }
}

fn open_directory(path: &Path) -> Result<OwnedFd, CgroupError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| CgroupError::Read {
        path: path.to_owned(),
        source: errno.into(),
    })
}

fn delegate(path: &Path, (uid, gid): (u32, u32)) -> Result<(), CgroupError> {
    let files = DELEGATED.iter().map(|file| path.join(file));
    for file in std::iter::once(path.to_owned()).chain(files) {
        match std::os::unix::fs::chown(&file, Some(uid), Some(gid)) {
            // `cgroup.threads` is missing on old kernels.
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(CgroupError::Write {
                    path: file,
                    value: format!("owner {uid}:{gid}"),
                    source,
                });
            }
            _ => {}
        }
    }
    Ok(())
}

fn write(path: &Path, value: &str) -> Result<(), CgroupError> {
    std::fs::write(path, value).map_err(|source| CgroupError::Write {
        path: path.to_owned(),
        value: value.to_owned(),
        source,
    })
}

fn read(path: &Path) -> Result<String, CgroupError> {
    std::fs::read_to_string(path).map_err(|source| CgroupError::Read {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;
