//! Whole subvolumes, with those that lie in them: guests may make some, and the kernel takes each for itself.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rlxc_sys::btrfs;
use rlxc_sys::file::FileError;
use rlxc_sys::path::{self, Resolve};
use rustix::fs::{AtFlags, Mode, OFlags};

/// How deep below the trash subvolumes are looked for in plain directories: `snapshots/<volume>/<snapshot>`.
const SEARCH_DEPTH: usize = 3;

/// Makes an empty subvolume.
pub(super) fn create_subvolume(path: &Path) -> Result<(), FileError> {
    let (parent, name) = parent(path)?;
    btrfs::create_subvolume(&parent, name)
        .map_err(|error| FileError::new("create subvolume", path, error))
}

/// Directories of the subvolume `path` in which other subvolumes lie.
pub(super) fn nested(path: &Path) -> Result<Vec<PathBuf>, FileError> {
    btrfs::directories_with_subvolumes(path::open_dir(path)?)
        .map_err(|error| FileError::new("list the subvolumes in", path, error))
}

/// Makes `to` a snapshot of the subvolume `from` and of all that lie in it. In one step where none does.
pub(super) fn snapshot(from: &Path, to: &Path, read_only: bool) -> Result<(), FileError> {
    let (parent, name) = parent(to)?;
    clone(&path::open_dir(from)?, &parent, name, read_only)
}

/// Makes a subvolume read-only, or writable again.
pub(super) fn set_read_only(path: &Path, read_only: bool) -> Result<(), FileError> {
    btrfs::set_read_only(path::open_dir(path)?, read_only)
        .map_err(|error| FileError::new("change the flags of", path, error))
}

fn parent(path: &Path) -> Result<(OwnedFd, &OsStr), FileError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(FileError::new("find", path, rustix::io::Errno::INVAL));
    };
    Ok((path::open_dir(parent)?, name))
}

fn clone(from: &OwnedFd, parent: &OwnedFd, name: &OsStr, read_only: bool) -> Result<(), FileError> {
    let failed = |error| FileError::new("make the snapshot", name, error);
    let nested = btrfs::directories_with_subvolumes(from).map_err(failed)?;
    btrfs::snapshot(from, parent, name, read_only && nested.is_empty()).map_err(failed)?;
    if nested.is_empty() {
        return Ok(());
    }
    let made = open(parent.as_fd(), Path::new(name))?;
    for directory in nested {
        let (source, target) = (
            open(from.as_fd(), &directory)?,
            open(made.as_fd(), &directory)?,
        );
        for name in subvolumes_in(&source)? {
            // In the snapshot an empty directory is where the other subvolume was.
            rustix::fs::unlinkat(&target, &name, AtFlags::REMOVEDIR)
                .map_err(|errno| FileError::new("remove directory", &name, errno))?;
            let inner = open(source.as_fd(), Path::new(&name))?;
            clone(&inner, &target, &name, read_only)?;
        }
    }
    if read_only {
        btrfs::set_read_only(&made, true).map_err(failed)?;
    }
    Ok(())
}

/// A guest has a say in what lies in between: nothing is followed.
fn open(dir: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, FileError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    path::open_beneath(dir, path, flags, Mode::empty(), Resolve::NoSymlinks)
}

fn subvolumes_in(dir: &OwnedFd) -> Result<Vec<OsString>, FileError> {
    Ok(entries(dir)?
        .into_iter()
        .filter(|(_, is_subvolume)| *is_subvolume)
        .map(|(name, _)| name)
        .collect())
}

/// The directories in a directory, and whether they are subvolumes.
fn entries(dir: &OwnedFd) -> Result<Vec<(OsString, bool)>, FileError> {
    use std::os::unix::ffi::OsStrExt;
    let failed = |errno| FileError::new("list", ".", errno);
    let mut found = Vec::new();
    for entry in rustix::fs::Dir::read_from(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let Ok(stat) = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        if rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir() {
            let name = OsStr::from_bytes(name.to_bytes()).to_owned();
            found.push((name, btrfs::is_subvolume(&stat)));
        }
    }
    Ok(found)
}

/// Removes a subvolume with those in it, or a directory with the subvolumes that the pool keeps there.
pub(super) fn remove(dir: &OwnedFd, name: &OsStr) -> Result<(), FileError> {
    remove_subvolumes(dir, name, 0)?;
    path::remove_tree(dir, name)
}

fn remove_subvolumes(dir: &OwnedFd, name: &OsStr, depth: usize) -> Result<(), FileError> {
    let is_subvolume = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(rustix::io::Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(FileError::new("look at", name, errno)),
        Ok(stat) if btrfs::is_subvolume(&stat) => true,
        Ok(stat) if rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir() => false,
        Ok(_) => return Ok(()),
    };
    if is_subvolume {
        return destroy(dir, name);
    }
    if depth == SEARCH_DEPTH {
        return Ok(());
    }
    let inner = open(dir.as_fd(), Path::new(name))?;
    for (child, _) in entries(&inner)? {
        remove_subvolumes(&inner, &child, depth + 1)?;
    }
    Ok(())
}

fn destroy(dir: &OwnedFd, name: &OsStr) -> Result<(), FileError> {
    let failed = |error| FileError::new("remove subvolume", name, error);
    match btrfs::destroy_subvolume(dir, name) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => {}
        Err(error) => return Err(failed(error)),
    }
    let inner = open(dir.as_fd(), Path::new(name))?;
    btrfs::set_read_only(&inner, false).map_err(failed)?;
    for directory in btrfs::directories_with_subvolumes(&inner).map_err(failed)? {
        let directory = open(inner.as_fd(), &directory)?;
        for name in subvolumes_in(&directory)? {
            destroy(&directory, &name)?;
        }
    }
    btrfs::destroy_subvolume(dir, name).map_err(failed)
}
