//! Directories of control groups: made with their parents, walked, removed.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use super::layout::{Controller, Layout};
use super::{CgroupError, read};

/// Makes a group of the unified hierarchy; its ancestors hand their controllers down.
pub(super) fn create_with_parents(layout: &Layout, name: &Path) -> Result<(), CgroupError> {
    let mut path = layout.unified.clone();
    for part in name {
        hand_down_controllers(layout, &path)?;
        path.push(part);
        create_directory(&path)?;
    }
    Ok(())
}

/// Enables for the children of a group what it has itself. Controllers are few and reading is cheap; writing what is
/// enabled already is not.
fn hand_down_controllers(layout: &Layout, path: &Path) -> Result<(), CgroupError> {
    let available = read(&path.join("cgroup.controllers"))?;
    if available.trim().is_empty() {
        return Ok(());
    }
    let control = path.join("cgroup.subtree_control");
    let enabled = read(&control)?;
    let has = |text: &str, name: &str| text.split_whitespace().any(|word| word == name);
    for controller in Controller::ALL {
        let name = controller.name();
        if has(&available, name) && !has(&enabled, name) && !layout.legacy.contains_key(&controller)
        {
            // Refused in the root of a container that has processes of its own there: then a limit of this kind will
            // say that it has no controller.
            drop(fs::write(&control, format!("+{name}")));
        }
    }
    Ok(())
}

/// Whatever this process masks: only its owner may make groups in it.
pub(super) fn create_directory(path: &Path) -> Result<(), CgroupError> {
    match fs::DirBuilder::new().mode(0o755).create(path) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => Err(CgroupError::Create {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

/// All groups at and below a directory, children first.
pub(super) fn descendants(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let children = fs::read_dir(path).into_iter().flatten().flatten();
    for child in children {
        if child.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(descendants(&child.path()));
        }
    }
    found.push(path.to_owned());
    found
}

/// The ids of all processes at and below a group; of one that vanishes meanwhile, none.
pub(super) fn processes(path: &Path) -> Vec<i32> {
    descendants(path)
        .iter()
        .filter_map(|group| read_processes(&group.join("cgroup.procs")).ok())
        .flatten()
        .collect()
}

pub(super) fn read_processes(members: &Path) -> Result<Vec<i32>, CgroupError> {
    Ok(read(members)?
        .lines()
        .filter_map(|line| line.parse().ok())
        .collect())
}

/// Removes a group and all below it, waiting for processes that are ending.
pub(super) fn delete(path: &Path, patience: Duration) -> Result<(), CgroupError> {
    let deadline = Instant::now() + patience;
    loop {
        let failed = descendants(path)
            .into_iter()
            .find_map(|group| match fs::remove_dir(&group) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Some((group, error)),
                _ => None,
            });
        match failed {
            None => return Ok(()),
            Some((path, source)) if Instant::now() > deadline => {
                return Err(CgroupError::Delete { path, source });
            }
            Some(_busy) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// Waits until `cgroup.events` of a group has a line.
pub(super) fn wait_for_event(
    path: &Path,
    line: &str,
    patience: Duration,
) -> Result<(), CgroupError> {
    let events = path.join("cgroup.events");
    let read_error = |source| CgroupError::Read {
        path: events.clone(),
        source,
    };
    let file = fs::File::open(&events).map_err(read_error)?;
    let deadline = Instant::now() + patience;
    loop {
        if read(&events)?.lines().any(|found| found == line) {
            return Ok(());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(CgroupError::NotFrozen {
                path: path.to_owned(),
            });
        }
        // The kernel wakes us when the file changes; the short limit covers a change between read and poll.
        let wait = Timespec {
            tv_sec: 0,
            tv_nsec: left.as_millis().min(20).try_into().unwrap_or(20) * 1_000_000,
        };
        let mut fds = [PollFd::new(&file, PollFlags::PRI)];
        match rustix::event::poll(&mut fds, Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(read_error(errno.into())),
        }
    }
}
