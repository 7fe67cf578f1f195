//! Makes one layer of several, when a chain gets long. Files are shared by hard links: layers below an upper
//! are never written. What the layers hide of the image below must stay hidden: whiteouts and opaque marks stay.
//!
//! Layers whose files point elsewhere in the stack (`redirect`, `metacopy`) are not merged.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rlxc_sys::file::{Entry, FileError};
use rlxc_sys::path;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::copy::{CopyError, DEPTH_LIMIT, copy_directory_attributes};
use crate::error::Cause;

const OPAQUE: [&str; 2] = ["trusted.overlay.opaque", "user.overlay.opaque"];
const POINTERS: [&str; 4] = [
    "trusted.overlay.redirect",
    "trusted.overlay.metacopy",
    "user.overlay.redirect",
    "user.overlay.metacopy",
];

/// What is below a directory of the new layer, when it will be stacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Below {
    /// Perhaps a directory of the image, parts of which are hidden.
    Image,
    /// Nothing, so nothing to hide; overlay would even list whiteouts there, see `ovl_iterate` in fs/overlayfs.
    Nothing,
}

/// Applies `layers`, the lowest first, to the empty directory `target`. False if they can't be merged.
pub(crate) fn merge_layers(layers: &[PathBuf], target: &Path, below: Below) -> Result<bool, Cause> {
    let to = path::open_dir(target)?;
    let mut merge = Merge {
        path: PathBuf::new(),
        pointers: false,
    };
    for layer in layers {
        merge.directory(path::open_dir(layer)?.as_fd(), to.as_fd(), below)?;
        if merge.pointers {
            return Ok(false);
        }
    }
    Ok(true)
}

struct Merge {
    path: PathBuf,
    pointers: bool,
}

impl Merge {
    fn error(&self, action: &'static str) -> impl FnOnce(Errno) -> FileError {
        let path = self.path.clone();
        move |errno| FileError::new(action, path, errno)
    }

    fn directory(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        below: Below,
    ) -> Result<(), Cause> {
        if self.path.components().count() > DEPTH_LIMIT {
            let path = self.path.clone();
            return Err(CopyError::TooDeep { path }.into());
        }
        for entry in Dir::read_from(from).map_err(self.error("list"))? {
            let entry = entry.map_err(self.error("list"))?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                self.path.push(name);
                self.entry(Entry { dir: from, name }, Entry { dir: to, name }, below)?;
                self.path.pop();
            }
        }
        Ok(copy_directory_attributes(from, to)?)
    }

    fn entry(&mut self, from: Entry<'_>, to: Entry<'_>, below: Below) -> Result<(), Cause> {
        if self.has_any(from, &POINTERS)? {
            self.pointers = true;
            return Ok(());
        }
        let stat = look(from).map_err(self.error("look at"))?;
        let Some(stat) = stat.filter(|stat| !is_directory(stat)) else {
            return self.subdirectory(from, to, below);
        };
        path::remove_tree(to.dir, to.name)?;
        if is_whiteout(&stat) && below == Below::Nothing {
            return Ok(());
        }
        rustix::fs::linkat(from.dir, from.name, to.dir, to.name, AtFlags::empty())
            .map_err(self.error("link"))?;
        Ok(())
    }

    fn subdirectory(&mut self, from: Entry<'_>, to: Entry<'_>, below: Below) -> Result<(), Cause> {
        let there = look(to).map_err(self.error("look at"))?;
        let merges = there.as_ref().is_some_and(is_directory);
        let hides = self.has_any(from, &OPAQUE)? || (there.is_some() && !merges);
        if hides {
            path::remove_tree(to.dir, to.name)?;
        }
        if hides || !merges {
            rustix::fs::mkdirat(to.dir, to.name, Mode::from(0o700))
                .map_err(self.error("create directory"))?;
        }
        if hides {
            self.mark_opaque(from, to)?;
        }
        let below = match below {
            Below::Image if !self.has_any(to, &OPAQUE)? => Below::Image,
            _ => Below::Nothing,
        };
        let (source, target) = (self.open(from)?, self.open(to)?);
        self.directory(source.as_fd(), target.as_fd(), below)
    }

    fn mark_opaque(&self, from: Entry<'_>, to: Entry<'_>) -> Result<(), FileError> {
        let failed = |error| FileError::new("set attributes of", &self.path, error);
        for name in OPAQUE.map(OsStr::new) {
            let value = from.xattr(name).map_err(failed)?;
            if let Some(value) = value {
                return to.set_xattr(name, &value).map_err(failed);
            }
        }
        to.set_xattr(OsStr::new(OPAQUE[0]), b"y").map_err(failed)
    }

    fn has_any(&self, entry: Entry<'_>, names: &[&str]) -> Result<bool, FileError> {
        let present = entry
            .list_xattrs()
            .map_err(|error| FileError::new("list attributes of", &self.path, error))?;
        Ok(names
            .iter()
            .any(|name| present.iter().any(|found| found == name)))
    }

    fn open(&self, entry: Entry<'_>) -> Result<OwnedFd, FileError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(entry.dir, entry.name, flags, Mode::empty())
            .map_err(self.error("open directory"))
    }
}

fn look(entry: Entry<'_>) -> Result<Option<Stat>, Errno> {
    match rustix::fs::statat(entry.dir, entry.name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}
