//! Hierarchies of version 1, on hybrid hosts: who is in which group.

use std::path::{Path, PathBuf};

use super::layout::Layout;
use super::{Cgroup, CgroupError, read, shared, tree, write};

impl Cgroup {
    /// Moves the calling process, which has one thread, out of the host's groups: into its own where a limit has made one,
    /// elsewhere into that of the monitors. A cgroup namespace that is made then has its roots there; were one the host's,
    /// whoever mounts that hierarchy inside would see the groups of all others.
    pub fn leave_legacy(&self) -> Result<(), CgroupError> {
        for mount in &self.layout.hierarchies {
            let own = mount.join(&self.name);
            if own.is_dir() {
                enter(&own)?;
            } else {
                enter(&mount.join(shared(&self.name)))?;
            }
        }
        Ok(())
    }

    /// Moves the calling process, which has one thread, into its own groups; none on most hosts.
    pub fn join_own_legacy(&self) -> Result<(), CgroupError> {
        self.legacy_directories()
            .try_for_each(|directory| enter(&directory))
    }

    /// The lists of processes of version 1 hierarchies. To write to one costs about 0.4 ms a process, and a grace period
    /// when nobody has done so for a while, which is why hierarchies without a limit are left out.
    pub(super) fn legacy_members(&self) -> Vec<PathBuf> {
        self.legacy_directories()
            .map(|directory| directory.join("cgroup.procs"))
            .collect()
    }

    pub(super) fn legacy_directories(&self) -> impl Iterator<Item = PathBuf> {
        self.layout
            .legacy
            .values()
            .map(|mount| mount.join(&self.name))
            .filter(|directory| directory.is_dir())
    }

    pub(super) fn move_all_to_legacy(&self) -> Result<(), CgroupError> {
        for members in self.legacy_members() {
            loop {
                let inside = tree::read_processes(&members)?;
                let outside: Vec<i32> = tree::processes(&self.path())
                    .into_iter()
                    .filter(|pid| !inside.contains(pid))
                    .collect();
                let mut moved = false;
                for pid in outside {
                    // One that ended meanwhile is no error.
                    moved |= std::fs::write(&members, pid.to_string()).is_ok();
                }
                if !moved {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Moves the calling process, which has one thread, into the groups of monitors. What it clones is there from the first
/// moment.
pub fn join_monitors(layout: &Layout, payload: &Path) -> Result<(), CgroupError> {
    let mut mounts = layout.hierarchies.iter();
    mounts.try_for_each(|mount| enter(&mount.join(shared(payload))))
}

/// Makes the groups of monitors where they are missing: for who has the capabilities for it, which init has no more.
pub(super) fn ensure_monitors(layout: &Layout, payload: &Path) -> Result<(), CgroupError> {
    let name = shared(payload);
    let mut missing = layout
        .hierarchies
        .iter()
        .filter(|mount| !mount.join(&name).is_dir());
    missing.try_for_each(|mount| ensure_legacy(mount, &name))
}

/// By `tasks`: only that file spares a process that moves itself the kernel's global lock, and a grace period with it
/// (`cgroup_procs_write_start` in kernel/cgroup/cgroup.c).
fn enter(group: &Path) -> Result<(), CgroupError> {
    write(&group.join("tasks"), "0")
}

/// Makes a group with its parents.
pub(super) fn ensure_legacy(mount: &Path, name: &Path) -> Result<(), CgroupError> {
    let mut path = PathBuf::from(mount);
    for part in name {
        let parent = path.clone();
        path.push(part);
        tree::create_directory(&path)?;
        // A new cpuset takes no process until it has processors and memory nodes.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if read(&path.join(file)).is_ok_and(|text| text.trim().is_empty()) {
                write(&path.join(file), read(&parent.join(file))?.trim())?;
            }
        }
    }
    Ok(())
}
