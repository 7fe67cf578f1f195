//! Quotas for trees on file systems that have project quotas (ext4 made with `-O quota,project`, xfs; mounted with
//! `prjquota`): each tree is a project, so that what it takes is known at once and can be limited.
//!
//! A tree gets its project while it is empty; all that is made in it belongs to it. Its number is kept by the file system
//! alone.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rlxc_sys::chain::chain;
use rlxc_sys::file::{self, FileError};
use rlxc_sys::path;
use rlxc_sys::project_quota::{self, Usage};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use crate::error::Cause;

/// Why a pool on such a file system has no quotas.
pub(crate) const LACKING: &str = "its file system has no project quotas: volumes may fill the pool (use btrfs; or ext4 \
     made with `-O quota,project`, or xfs, mounted with the option prjquota)";

/// Projects of administrators are small numbers; ours have this bit.
const OURS: u32 = 1 << 30;
/// A limit to try.
const TRIED: u64 = 16 << 20;

/// Whether the file system of a directory keeps projects to their limits. What it says is tried: a pool must work where
/// quotas do not.
pub(crate) fn are_enforced(directory: &Path) -> bool {
    if !path::open_dir(directory).is_ok_and(project_quota::is_enforced) {
        return false;
    }
    let tried = directory.join(format!(".rlxc-project-{}", std::process::id()));
    let works = || -> Result<bool, Cause> {
        file::create_dir(&tried, 0o700)?;
        begin(&tried)?;
        limit(&tried, Some(TRIED))?;
        let works = limit_of(&tried) == Some(TRIED);
        limit(&tried, None)?;
        Ok(works)
    };
    let works = works();
    // What is left is empty, and in nobody's way.
    drop(std::fs::remove_dir(&tried));
    works.unwrap_or_else(|error| {
        let directory = directory.display();
        tracing::warn!(%directory, error = %chain(&error), "project quotas do not work here");
        false
    })
}

/// Makes an empty directory a project of its own.
pub(crate) fn begin(directory: &Path) -> Result<(), FileError> {
    let dir = path::open_dir(directory)?;
    let project = free_number(directory, &dir)?;
    project_quota::assign(&dir, project).map_err(failed("give a project to", directory))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> FileError {
    move |error| FileError::new(action, path, error)
}

/// One that nobody on this file system uses.
fn free_number(directory: &Path, dir: &OwnedFd) -> Result<u32, FileError> {
    let mut hasher = DefaultHasher::new();
    (directory, std::time::SystemTime::now()).hash(&mut hasher);
    let mut number = u32::try_from(hasher.finish() % u64::from(OURS)).unwrap_or(0);
    loop {
        let project = OURS | number;
        let taken = project_quota::usage(dir, project)
            .map_err(failed("look at the projects of", directory))?;
        if taken.inodes == 0 && taken.space == 0 && taken.limit.is_none() {
            return Ok(project);
        }
        number = (number + 1) % OURS;
    }
}

/// What a tree takes; `None` if it is no project.
pub(crate) fn usage(directory: &Path) -> Option<Usage> {
    let dir = path::open_dir(directory).ok()?;
    let project = project_quota::project_of(&dir).ok()?;
    (project & OURS != 0)
        .then(|| project_quota::usage(&dir, project).ok())
        .flatten()
}

/// Bytes that a tree may take, if it is limited.
pub(crate) fn limit_of(directory: &Path) -> Option<u64> {
    usage(directory)?.limit
}

/// Limits what a tree may take. One that was made before there were quotas becomes a project first.
pub(crate) fn limit(directory: &Path, most: Option<u64>) -> Result<(), Cause> {
    let dir = path::open_dir(directory)?;
    let look = || project_quota::project_of(&dir).map_err(failed("look at", directory));
    if look()? & OURS == 0 {
        if most.is_none() {
            return Ok(());
        }
        begin(directory)?;
        let project = look()?;
        assign_all(&dir, project)?;
    }
    if let (Some(wanted), Some(Usage { space: used, .. })) = (most, usage(directory))
        && used > wanted
    {
        return Err(Cause::BelowUse { used, wanted });
    }
    let limited = project_quota::limit(&dir, look()?, most);
    Ok(limited.map_err(failed("set the quota of", directory))?)
}

/// What a pool without quotas answers.
pub(crate) fn refuse(most: Option<u64>) -> Result<(), Cause> {
    match most {
        None => Ok(()),
        Some(_) => Err(Cause::Unsupported { what: LACKING }),
    }
}

/// Takes the limit of a tree along to one that takes its place, even if that takes more already.
pub(crate) fn inherit(from: &Path, to: &Path) -> Result<(), Cause> {
    let Some(most) = limit_of(from) else {
        return Ok(());
    };
    let dir = path::open_dir(to)?;
    let project = project_quota::project_of(&dir).map_err(failed("look at", to))?;
    let limited = project_quota::limit(&dir, project, Some(most));
    Ok(limited.map_err(failed("set the quota of", to))?)
}

/// Gives what is in a directory to its project. What can't be opened (links, devices, sockets) takes no space.
fn assign_all(dir: &OwnedFd, project: u32) -> Result<(), FileError> {
    let error = |errno| FileError::new("list", ".", errno);
    for entry in rustix::fs::Dir::read_from(dir).map_err(error)? {
        let entry = entry.map_err(error)?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let Ok(stat) = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if !kind.is_file() && !kind.is_dir() {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(dir.as_fd(), name, flags, Mode::empty());
        let opened = opened.map_err(|errno| FileError::new("open", ".", errno))?;
        project_quota::assign(&opened, project)
            .map_err(failed("give to a project", ".".as_ref()))?;
        if kind.is_dir() {
            assign_all(&opened, project)?;
        }
    }
    Ok(())
}
