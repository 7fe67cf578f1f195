//! Copies directory trees with everything that a file system of a container holds: owners, modes, times,
//! extended attributes (ACLs and file capabilities are some), hard links, holes, links, fifos, sockets, devices.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rlxc_sys::file::{Entry, FileError, copy_contents};
use rlxc_sys::interrupt;
use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid};

/// How deep a tree may be; each level holds two descriptors.
pub const DEPTH_LIMIT: usize = 200;

/// Why a tree was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// An operation on one of its files.
    #[error(transparent)]
    File(#[from] FileError),
    /// More levels than [`DEPTH_LIMIT`].
    #[error("`{}` is more than {DEPTH_LIMIT} directories deep", path.display())]
    TooDeep {
        /// Where the limit was passed.
        path: PathBuf,
    },
}

/// Which extended attributes come along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attributes {
    /// Those that mean the same elsewhere: all but the ones that overlay keeps for itself.
    Content,
    /// Also the marks of overlay layers (opaque, redirect, metacopy), for a copy that will be such a layer.
    Layer,
}

impl Attributes {
    fn keeps(self, name: &OsStr) -> bool {
        let name = name.as_bytes();
        let mark = name
            .strip_prefix(b"trusted.overlay.")
            .or_else(|| name.strip_prefix(b"user.overlay."));
        match (self, mark) {
            (_, None) => true,
            (Self::Content, Some(_)) => false,
            // The others name inodes of the original; see Documentation/filesystems/overlayfs.rst, "Inode properties".
            (Self::Layer, Some(mark)) => {
                matches!(mark, b"opaque" | b"redirect" | b"metacopy" | b"whiteout")
            }
        }
    }
}

/// Gives the directory `to` owner, mode, times and extended attributes of the directory `from`.
pub fn copy_directory_attributes(from: impl AsFd, to: impl AsFd) -> Result<(), FileError> {
    let stat = rustix::fs::fstat(&from).map_err(|e| FileError::new("look at", ".", e))?;
    let dot = OsStr::new(".");
    copy_xattrs(
        Entry::new(&from, dot),
        Entry::new(&to, dot),
        Attributes::Content,
        Path::new("."),
    )?;
    set_owner_mode_times(to.as_fd(), dot, &stat).map_err(|e| FileError::new("set mode of", ".", e))
}

struct Copy<'a> {
    attributes: Attributes,
    /// Where the first name of a file with several was copied to.
    linked: HashMap<(u64, u64), PathBuf>,
    root: BorrowedFd<'a>,
    /// The path of what is being copied, for errors and hard links.
    path: PathBuf,
}

impl<'a> Copy<'a> {
    fn into_root(root: BorrowedFd<'a>, attributes: Attributes) -> Self {
        Self {
            attributes,
            linked: HashMap::new(),
            root,
            path: PathBuf::new(),
        }
    }
}

impl Copy<'_> {
    fn error(&self, action: &'static str) -> impl FnOnce(rustix::io::Errno) -> FileError {
        let path = self.path.clone();
        move |errno| FileError::new(action, path, errno)
    }

    fn directory(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        depth: usize,
    ) -> Result<(), CopyError> {
        if depth > DEPTH_LIMIT {
            return Err(CopyError::TooDeep {
                path: self.path.clone(),
            });
        }
        for entry in Dir::read_from(from).map_err(self.error("list"))? {
            let entry = entry.map_err(self.error("list"))?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                self.path.push(name);
                self.entry(Entry { dir: from, name }, Entry { dir: to, name }, depth)?;
                self.path.pop();
            }
        }
        // After the entries: they change the time, and a default ACL would be inherited by them.
        let stat = rustix::fs::fstat(from).map_err(self.error("look at"))?;
        let dot = OsStr::new(".");
        self.finish(
            Entry {
                dir: from,
                name: dot,
            },
            Entry { dir: to, name: dot },
            &stat,
        )
    }

    fn entry(&mut self, from: Entry<'_>, to: Entry<'_>, depth: usize) -> Result<(), CopyError> {
        interrupt::check().map_err(|error| FileError::new("copy", &self.path, error))?;
        let stat = rustix::fs::statat(from.dir, from.name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(self.error("look at"))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Directory {
            return self.subdirectory(from, to, depth);
        }
        if stat.st_nlink > 1 {
            if let Some(first) = self.linked.get(&(stat.st_dev, stat.st_ino)) {
                return rustix::fs::linkat(self.root, first, to.dir, to.name, AtFlags::empty())
                    .map_err(self.error("link"))
                    .map_err(Into::into);
            }
            self.linked
                .insert((stat.st_dev, stat.st_ino), self.path.clone());
        }
        match kind {
            FileType::RegularFile => self.regular(from, to, &stat)?,
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(from.dir, from.name, Vec::new())
                    .map_err(self.error("read link"))?;
                rustix::fs::symlinkat(target, to.dir, to.name)
                    .map_err(self.error("create link"))?;
            }
            _ => rustix::fs::mknodat(to.dir, to.name, kind, Mode::from(0o600), stat.st_rdev)
                .map_err(self.error("create special file"))?,
        }
        self.finish(from, to, &stat)
    }

    fn subdirectory(
        &mut self,
        from: Entry<'_>,
        to: Entry<'_>,
        depth: usize,
    ) -> Result<(), CopyError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = |entry: Entry<'_>| -> Result<OwnedFd, _> {
            rustix::fs::openat(entry.dir, entry.name, flags, Mode::empty())
        };
        let source = open(from).map_err(self.error("open directory"))?;
        rustix::fs::mkdirat(to.dir, to.name, Mode::from(0o700))
            .map_err(self.error("create directory"))?;
        let target = open(to).map_err(self.error("open directory"))?;
        self.directory(source.as_fd(), target.as_fd(), depth + 1)
    }

    fn regular(&self, from: Entry<'_>, to: Entry<'_>, stat: &Stat) -> Result<(), FileError> {
        // O_NONBLOCK: should the name have become a fifo since it was looked at, this must not wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let source = rustix::fs::openat(from.dir, from.name, flags, Mode::empty())
            .map_err(self.error("open"))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let target = rustix::fs::openat(to.dir, to.name, flags, Mode::from(0o600))
            .map_err(self.error("create"))?;
        let length = u64::try_from(stat.st_size).unwrap_or(0);
        copy_contents(&File::from(source), &File::from(target), length)
            .map(drop)
            .map_err(|error| FileError::new("copy", &self.path, error))
    }

    fn finish(&self, from: Entry<'_>, to: Entry<'_>, stat: &Stat) -> Result<(), CopyError> {
        // Owner first: a change of it drops file capabilities, see capabilities(7).
        let owner_and_mode = set_owner_mode(to.dir, to.name, stat);
        owner_and_mode.map_err(self.error("set owner of"))?;
        copy_xattrs(from, to, self.attributes, &self.path)?;
        set_times(to.dir, to.name, stat).map_err(self.error("set times of"))?;
        Ok(())
    }
}

fn copy_xattrs(
    from: Entry<'_>,
    to: Entry<'_>,
    attributes: Attributes,
    path: &Path,
) -> Result<(), FileError> {
    let failed = |action| move |error| FileError::new(action, path, error);
    let names: Vec<OsString> = from.list_xattrs().map_err(failed("list attributes of"))?;
    for name in names.iter().filter(|name| attributes.keeps(name)) {
        if let Some(value) = from.xattr(name).map_err(failed("read attributes of"))? {
            to.set_xattr(name, &value)
                .map_err(failed("set attributes of"))?;
        }
    }
    Ok(())
}

fn set_owner_mode_times(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    stat: &Stat,
) -> Result<(), rustix::io::Errno> {
    set_owner_mode(dir, name, stat)?;
    set_times(dir, name, stat)
}

fn set_owner_mode(dir: BorrowedFd<'_>, name: &OsStr, stat: &Stat) -> Result<(), rustix::io::Errno> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    rustix::fs::chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        // chmod follows links, but this name is not one: it was made by us, in a directory that nobody else writes to.
        let mode = Mode::from_raw_mode(stat.st_mode);
        rustix::fs::chmodat(dir, name, mode, AtFlags::empty())?;
    }
    Ok(())
}

fn set_times(dir: BorrowedFd<'_>, name: &OsStr, stat: &Stat) -> Result<(), rustix::io::Errno> {
    let time = |tv_sec, tv_nsec: u64| Timespec {
        tv_sec,
        tv_nsec: i64::try_from(tv_nsec).unwrap_or(0),
    };
    let times = Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    };
    rustix::fs::utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW)
}

mod early;
mod parallel;
mod sync;

pub use early::{Early, copy_early, is_worth_it};
pub use parallel::copy_tree;
pub use sync::sync_tree;

#[cfg(test)]
mod tests;
