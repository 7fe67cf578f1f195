//! The file tree of an instance: looking and reading. [`super::write`] has the rest.
//!
//! A file is found once, as a descriptor that stands for it (`O_PATH`, which opens nothing: no device, no fifo, no
//! lease). All that follows is done on that descriptor.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rlxc_sys::file::FileError;
use rlxc_sys::path::{Resolve, open_beneath};
use rustix::fs::{CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::attributes::{Facts, Kind};
use super::kernel;
use super::owners::Owners;
use crate::error::{Error, Result};

/// An instance's root directory.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) root: OwnedFd,
    pub(super) owners: Owners,
}

/// A file that was found; what it is called may change, what it is does not.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) fd: OwnedFd,
    pub(super) facts: Facts,
}

/// What a file holds.
#[derive(Debug)]
pub(super) enum Content {
    /// A regular file, opened for reading.
    File(File),
    /// The names in a directory, sorted.
    Directory(Vec<String>),
    /// What a symbolic link points to.
    Symlink(Vec<u8>),
}

impl Tree {
    /// Finds what is at `path`, a link itself at its end.
    pub(super) fn find(&self, path: &Path) -> Result<Found> {
        self.examine(self.look(path, OFlags::NOFOLLOW)?, path)
    }

    /// A descriptor that stands for what is at `path`, whatever it is.
    pub(super) fn look(&self, path: &Path, flags: OFlags) -> Result<OwnedFd> {
        let flags = flags | OFlags::PATH;
        open_beneath(&self.root, path, flags, Mode::empty(), Resolve::InRoot).map_err(refine)
    }

    /// What an open descriptor stands for; all but files, directories and links is refused.
    pub(super) fn examine(&self, fd: OwnedFd, path: &Path) -> Result<Found> {
        let stat = stat(&fd, path)?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            _ => {
                let path = path.display();
                return Err(Error::Invalid(format!(
                    "`{path}` is neither a file nor a directory nor a symbolic link"
                )));
            }
        };
        // Names in a directory tell nothing that the guest's own root may not know.
        if kind != Kind::Directory {
            kernel::refuse(&fd, path)?;
        }
        let (uid, gid) = self.owners.in_guest(stat.st_uid, stat.st_gid);
        let facts = Facts {
            kind,
            uid,
            gid,
            mode: stat.st_mode & 0o7777,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: modified(&stat),
        };
        Ok(Found { fd, facts })
    }

    /// Finds what is at `path`, and opens it for reading.
    pub(super) fn read(&self, path: &Path) -> Result<(Facts, Content)> {
        let found = self.find(path)?;
        let content = match found.facts.kind {
            Kind::File => Content::File(reopen(&found.fd, OFlags::RDONLY, path)?),
            Kind::Directory => Content::Directory(list(&found.fd, path)?),
            Kind::Symlink => Content::Symlink(read_link(&found.fd, path)?),
        };
        Ok((found.facts, content))
    }
}

/// Opens the file that a descriptor stands for. A lease that the guest holds does not make us wait.
pub(super) fn reopen(fd: &OwnedFd, flags: OFlags, path: &Path) -> Result<File> {
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let same = format!("/proc/self/fd/{}", fd.as_raw_fd());
    rustix::fs::openat(CWD, same, flags, Mode::empty())
        .map(File::from)
        .map_err(|errno| refine(FileError::new("open", path, errno)))
}

pub(super) fn stat(fd: impl AsFd, path: &Path) -> Result<Stat> {
    rustix::fs::fstat(fd).map_err(|errno| refine(FileError::new("look at", path, errno)))
}

/// What a link points to, of a descriptor that stands for the link.
pub(super) fn read_link(fd: &OwnedFd, path: &Path) -> Result<Vec<u8>> {
    rustix::fs::readlinkat(fd, "", Vec::new())
        .map(std::ffi::CString::into_bytes)
        .map_err(|errno| refine(FileError::new("read link", path, errno)))
}

/// The names in a directory, sorted.
pub(super) fn list(fd: &OwnedFd, path: &Path) -> Result<Vec<String>> {
    let failed = |errno| refine(FileError::new("list", path, errno));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = rustix::fs::openat(fd, ".", flags, Mode::empty()).map_err(failed)?;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::new(open).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            // JSON has no bytes: what is no UTF-8 can be seen here, but not asked for.
            names.push(OsStr::from_bytes(name).to_string_lossy().into_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn modified(stat: &Stat) -> (i64, u32) {
    let nanoseconds = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
    (stat.st_mtime, nanoseconds)
}

/// What a caller can do about an error of the file system.
pub(super) fn refine(error: FileError) -> Error {
    let path = error.path.display().to_string();
    match error.errno().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT) => Error::not_found("file", path),
        Some(Errno::EXIST) => Error::exists("file", path),
        _ => Error::failed(error.to_string(), error.source),
    }
}
