//! Finds the places in a container's tree where mounts go. Links in an image lead nowhere but into the image.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// What a mount is put on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File,
}

impl From<bool> for Kind {
    fn from(file: bool) -> Self {
        if file { Self::File } else { Self::Directory }
    }
}

/// The root of a tree that is being put together.
#[derive(Debug)]
pub(crate) struct Tree<'a>(pub(crate) &'a OwnedFd);

impl Tree<'_> {
    /// Opens a place that is there.
    pub(crate) fn find(&self, path: &Path, kind: Kind) -> io::Result<OwnedFd> {
        let directory = match kind {
            Kind::Directory => OFlags::DIRECTORY,
            Kind::File => OFlags::empty(),
        };
        self.open(path, OFlags::PATH | directory, Mode::empty())
    }

    /// Opens a place, made with its parents if it is missing.
    pub(crate) fn ensure(&self, path: &Path, kind: Kind) -> io::Result<OwnedFd> {
        match self.find(path, kind) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => return result,
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let parent = self.ensure(parent, Kind::Directory)?;
        let made = match kind {
            Kind::Directory => rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)),
            Kind::File => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o644)).map(drop)
            }
        };
        match made {
            Ok(()) | Err(Errno::EXIST) => self.find(path, kind),
            Err(errno) => Err(errno.into()),
        }
    }

    fn open(&self, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let path = match path.strip_prefix("/").unwrap_or(path) {
            empty if empty.as_os_str().is_empty() => Path::new("."),
            relative => relative,
        };
        Ok(rustix::fs::openat2(
            self.0,
            path,
            flags | OFlags::CLOEXEC,
            mode,
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        )?)
    }
}
