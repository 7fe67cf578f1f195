//! Makes one tree like another and leaves alone what is alike already.
//!
//! Two files are alike that have the same size, time of change, owner, mode and attributes, as rsync(1) decides it.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rlxc_sys::file::{Entry, FileError};
use rlxc_sys::path;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::{Attributes, Copy, CopyError, DEPTH_LIMIT};

/// Changes the directory `to` until it shows what `from` shows: what is missing is copied, what is there for nothing
/// removed.
pub fn sync_tree(from: impl AsFd, to: impl AsFd) -> Result<(), CopyError> {
    let mut copy = Copy::into_root(to.as_fd(), Attributes::Content);
    copy.sync_directory(from.as_fd(), to.as_fd(), 0)
}

impl Copy<'_> {
    fn sync_directory(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        depth: usize,
    ) -> Result<(), CopyError> {
        if depth > DEPTH_LIMIT {
            let path = self.path.clone();
            return Err(CopyError::TooDeep { path });
        }
        let wanted = self.names(from)?;
        for name in self.names(to)?.difference(&wanted) {
            path::remove_tree(to, name)?;
        }
        for name in &wanted {
            self.path.push(name);
            self.sync_entry(Entry { dir: from, name }, Entry { dir: to, name }, depth)?;
            self.path.pop();
        }
        let stat = rustix::fs::fstat(from).map_err(self.error("look at"))?;
        let dot = OsStr::new(".");
        let (from, to) = (
            Entry {
                dir: from,
                name: dot,
            },
            Entry { dir: to, name: dot },
        );
        self.remove_other_xattrs(from, to)?;
        self.finish(from, to, &stat)
    }

    pub(super) fn names(&self, dir: BorrowedFd<'_>) -> Result<BTreeSet<OsString>, FileError> {
        let mut names = BTreeSet::new();
        for entry in Dir::read_from(dir).map_err(self.error("list"))? {
            let entry = entry.map_err(self.error("list"))?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                names.insert(name.to_owned());
            }
        }
        Ok(names)
    }

    fn sync_entry(
        &mut self,
        from: Entry<'_>,
        to: Entry<'_>,
        depth: usize,
    ) -> Result<(), CopyError> {
        let look =
            |entry: Entry<'_>| rustix::fs::statat(entry.dir, entry.name, AtFlags::SYMLINK_NOFOLLOW);
        let wanted = look(from).map_err(self.error("look at"))?;
        let there = match look(to) {
            Err(Errno::NOENT) => return self.entry(from, to, depth),
            other => other.map_err(self.error("look at"))?,
        };
        let is_dir = |stat: &Stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if is_dir(&wanted) && is_dir(&there) {
            let (from, to) = (self.open(from)?, self.open(to)?);
            return self.sync_directory(from.as_fd(), to.as_fd(), depth + 1);
        }
        if self.is_alike((from, &wanted), (to, &there))? {
            return Ok(());
        }
        path::remove_tree(to.dir, to.name)?;
        self.entry(from, to, depth)
    }

    /// Whether there is nothing to do for a file. One with several names is always made anew: which names belong
    /// together may have changed.
    fn is_alike(
        &self,
        (from, wanted): (Entry<'_>, &Stat),
        (to, there): (Entry<'_>, &Stat),
    ) -> Result<bool, FileError> {
        let key = |stat: &Stat| {
            (
                (stat.st_mode, stat.st_uid, stat.st_gid, stat.st_rdev),
                (stat.st_size, stat.st_mtime, stat.st_mtime_nsec),
            )
        };
        let single = wanted.st_nlink == 1 && there.st_nlink == 1;
        if !single || key(wanted) != key(there) {
            return Ok(false);
        }
        if FileType::from_raw_mode(wanted.st_mode) == FileType::Symlink {
            let target = |entry: Entry<'_>| {
                rustix::fs::readlinkat(entry.dir, entry.name, Vec::new())
                    .map_err(self.error("read link"))
            };
            return Ok(target(from)? == target(to)?);
        }
        Ok(self.xattrs(from)? == self.xattrs(to)?)
    }

    fn xattrs(&self, entry: Entry<'_>) -> Result<Vec<(OsString, Vec<u8>)>, FileError> {
        let failed = |error| FileError::new("read attributes of", &self.path, error);
        let mut found = Vec::new();
        let mut names = entry.list_xattrs().map_err(failed)?;
        names.sort();
        for name in names.into_iter().filter(|name| self.attributes.keeps(name)) {
            if let Some(value) = entry.xattr(&name).map_err(failed)? {
                found.push((name, value));
            }
        }
        Ok(found)
    }

    fn remove_other_xattrs(&self, from: Entry<'_>, to: Entry<'_>) -> Result<(), FileError> {
        let wanted = self.xattrs(from)?;
        for (name, _) in self.xattrs(to)? {
            if !wanted.iter().any(|(other, _)| *other == name) {
                to.remove_xattr(&name)
                    .map_err(|error| FileError::new("remove attributes of", &self.path, error))?;
            }
        }
        Ok(())
    }

    pub(super) fn open(&self, entry: Entry<'_>) -> Result<OwnedFd, FileError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(entry.dir, entry.name, flags, Mode::empty())
            .map_err(self.error("open directory"))
    }
}
