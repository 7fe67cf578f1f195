//! The file tree of an instance: making, changing and removing.
//!
//! What is new belongs to its owner and has its mode before anybody can open it. A guest that swaps names meanwhile
//! gets its own files changed, or an error.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rlxc_sys::capability::Without;
use rlxc_sys::file::FileError;
use rlxc_sys::identity::FsIdentity;
use rlxc_sys::path::{Resolve, open_beneath, parent, refuse_mount_point, remove_tree};
use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, RenameFlags, Uid};
use rustix::io::Errno;

use super::attributes::{Attributes, Kind, Modify, Push, WriteMode};
use super::kernel;
use super::owners::Owners;
use super::tree::{Found, Tree, read_link, refine, reopen, stat};
use crate::error::{Error, Result};

/// How often a name may turn into something else while we look at it.
const PATIENCE: usize = 16;

const PRIVATE_FILE: Mode = Mode::from_raw_mode(0o600);
const PRIVATE_DIR: Mode = Mode::from_raw_mode(0o700);

/// Writes what its quota lets the instance write itself: quotas don't hold root of the host back.
pub(super) fn within_quota<T>(write: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let _bound = Without::resource()?;
    write()
}

impl Tree {
    /// Opens a regular file for writing, and makes it if there is none; true if it was made.
    pub(super) fn write(&self, path: &Path, push: &Push) -> Result<(File, bool)> {
        let owner = self.owner(push.attributes)?;
        let _identity = self.become_guest_root()?;
        for _ in 0..PATIENCE {
            if let Some(found) = self.follow(path, OFlags::empty())? {
                return Ok((write_to(&found, path, push, owner)?, false));
            }
            if let Some(file) = self.make_file(path, push.attributes, owner)? {
                return Ok((file, true));
            }
            let is_link = self
                .find(path)
                .is_ok_and(|found| found.facts.kind == Kind::Symlink);
            if is_link && self.follow(path, OFlags::empty())?.is_none() {
                let path = path.display();
                return Err(Error::Conflict(format!(
                    "`{path}` is a symbolic link to nothing: name the file itself, or delete the link"
                )));
            }
        }
        Err(Error::Conflict(format!(
            "`{}` is being changed all the time",
            path.display()
        )))
    }

    /// Makes a directory; one that is there already is as good.
    pub(super) fn make_dir(&self, path: &Path, push: &Push) -> Result<()> {
        let owner = self.owner(push.attributes)?;
        let _identity = self.become_guest_root()?;
        if let Some(found) = self.follow(path, OFlags::empty())? {
            if found.facts.kind != Kind::Directory {
                return Err(Error::exists("file", path.display().to_string()));
            }
            return change(&found.fd, path, push, owner);
        }
        let (above, name) = self.parent(path)?;
        let failed = |errno| refine(FileError::new("create directory", path, errno));
        rustix::fs::mkdirat(&above, &name, PRIVATE_DIR).map_err(failed)?;
        let fd = self.made(&above, &name, path, OFlags::DIRECTORY)?;
        set_owner(&fd, path, Some(owner.0), Some(owner.1))?;
        set_mode(&fd, path, push.attributes.mode.unwrap_or(0o755))
    }

    /// Makes a symbolic link; the same one is as good.
    pub(super) fn make_link(&self, path: &Path, target: &[u8], push: &Push) -> Result<()> {
        let owner = self.owner(push.attributes)?;
        let _identity = self.become_guest_root()?;
        let (above, name) = self.parent(path)?;
        match rustix::fs::symlinkat(OsStr::from_bytes(target), &above, &name) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let found = self.find(path)?;
                if found.facts.kind == Kind::Symlink && read_link(&found.fd, path)? == target {
                    return Ok(());
                }
                return Err(Error::exists("file", path.display().to_string()));
            }
            Err(errno) => return Err(refine(FileError::new("create link", path, errno))),
        }
        let fd = self.made(&above, &name, path, OFlags::empty())?;
        set_owner(&fd, path, Some(owner.0), Some(owner.1))
    }

    /// Removes a file or an empty directory, or with `recursive` all that is in it.
    pub(super) fn remove(&self, path: &Path, recursive: bool) -> Result<()> {
        let (above, name) = self.parent(path)?;
        let failed = |errno| refine(FileError::new("remove", path, errno));
        refuse_mount_point(&above, &name).map_err(refine)?;
        match rustix::fs::unlinkat(&above, &name, AtFlags::empty()) {
            Err(Errno::ISDIR) => {}
            other => return other.map_err(failed),
        }
        match rustix::fs::unlinkat(&above, &name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::EXIST) if recursive => {
                remove_tree(&above, &name).map_err(refine)
            }
            Err(Errno::NOTEMPTY | Errno::EXIST) => Err(Error::Conflict(format!(
                "directory `{}` is not empty",
                path.display()
            ))),
            other => other.map_err(failed),
        }
    }

    /// Removes one name: with `REMOVEDIR` that of an empty directory, else that of anything else.
    pub(super) fn unlink(&self, path: &Path, flags: AtFlags) -> Result<()> {
        let (above, name) = self.parent(path)?;
        refuse_mount_point(&above, &name).map_err(refine)?;
        rustix::fs::unlinkat(&above, &name, flags)
            .map_err(|errno| refine(FileError::new("remove", path, errno)))
    }

    /// Gives a file another name; what has it already is replaced, or an error.
    pub(super) fn rename(&self, from: &Path, to: &Path, replace: bool) -> Result<()> {
        let (old_dir, old) = self.parent(from)?;
        let (new_dir, new) = self.parent(to)?;
        refuse_mount_point(&old_dir, &old).map_err(refine)?;
        refuse_mount_point(&new_dir, &new).map_err(refine)?;
        let flags = if replace {
            RenameFlags::empty()
        } else {
            RenameFlags::NOREPLACE
        };
        rustix::fs::renameat_with(&old_dir, &old, &new_dir, &new, flags)
            .map_err(|errno| refine(FileError::new("rename", from, errno)))
    }

    /// What is at `path` once links are followed, `None` if nothing is.
    pub(super) fn follow(&self, path: &Path, flags: OFlags) -> Result<Option<Found>> {
        let flags = flags | OFlags::PATH;
        match open_beneath(&self.root, path, flags, Mode::empty(), Resolve::InRoot) {
            Ok(fd) => self.examine(fd, path).map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(refine(error)),
        }
    }

    /// `None` if something is there by now.
    pub(super) fn make_file(
        &self,
        path: &Path,
        attributes: Attributes,
        owner: (u32, u32),
    ) -> Result<Option<File>> {
        let (above, name) = self.parent(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let fd = match rustix::fs::openat(&above, &name, flags | OFlags::CLOEXEC, PRIVATE_FILE) {
            Ok(fd) => fd,
            Err(Errno::EXIST) => return Ok(None),
            Err(errno) => return Err(refine(FileError::new("create", path, errno))),
        };
        set_owner(&fd, path, Some(owner.0), Some(owner.1))?;
        set_mode(&fd, path, attributes.mode.unwrap_or(0o644))?;
        Ok(Some(File::from(fd)))
    }

    pub(super) fn parent(&self, path: &Path) -> Result<(OwnedFd, OsString)> {
        let (above, name) = parent(&self.root, path, Resolve::InRoot).map_err(refine)?;
        kernel::refuse(&above, path)?;
        Ok((above, name))
    }

    /// Opens what was just made. Whoever may rename in that directory may have put something else there, but nothing
    /// that belongs to the guest's root and is of the same kind, unless it is the guest's root itself.
    fn made(&self, above: &OwnedFd, name: &OsStr, path: &Path, flags: OFlags) -> Result<OwnedFd> {
        let flags = flags | OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(above, name, flags, Mode::empty())
            .map_err(|errno| refine(FileError::new("open", path, errno)))?;
        if self.owners.in_guest(stat(&fd, path)?.st_uid, 0).0 == 0 {
            return Ok(fd);
        }
        Err(Error::Conflict(format!(
            "`{}` was replaced while it was made",
            path.display()
        )))
    }

    pub(super) fn owner(&self, attributes: Attributes) -> Result<(u32, u32)> {
        let uid = self.owners.uid_on_host(attributes.uid.unwrap_or(0))?;
        let gid = self.owners.gid_on_host(attributes.gid.unwrap_or(0))?;
        Ok((uid, gid))
    }

    pub(super) fn become_guest_root(&self) -> Result<Option<FsIdentity>> {
        if self.owners == Owners::AsTheyAre {
            return Ok(None);
        }
        let (uid, gid) = (self.owners.uid_on_host(0)?, self.owners.gid_on_host(0)?);
        FsIdentity::assume(uid, gid)
            .map(Some)
            .map_err(|error| Error::failed("act as the root of the instance", error))
    }
}

fn write_to(found: &Found, path: &Path, push: &Push, owner: (u32, u32)) -> Result<File> {
    if found.facts.kind != Kind::File {
        let (path, kind) = (path.display(), found.facts.kind.text());
        return Err(Error::Conflict(format!("`{path}` is a {kind}, not a file")));
    }
    let flags = match push.write {
        WriteMode::Overwrite => OFlags::TRUNC,
        WriteMode::Append => OFlags::APPEND,
    };
    let file = reopen(&found.fd, OFlags::WRONLY | flags, path)?;
    change(&found.fd, path, push, owner)?;
    Ok(file)
}

/// Changes what a request says should be changed of a file that is there already.
fn change(fd: &OwnedFd, path: &Path, push: &Push, owner: (u32, u32)) -> Result<()> {
    let Modify { uid, gid, mode } = push.modify;
    let given = push.attributes;
    let uid = (uid && given.uid.is_some()).then_some(owner.0);
    let gid = (gid && given.gid.is_some()).then_some(owner.1);
    if uid.is_some() || gid.is_some() {
        set_owner(fd, path, uid, gid)?;
    }
    match given.mode.filter(|_| mode) {
        Some(mode) => set_mode(fd, path, mode),
        None => Ok(()),
    }
}

pub(super) fn set_owner(
    fd: &OwnedFd,
    path: &Path,
    uid: Option<u32>,
    gid: Option<u32>,
) -> Result<()> {
    let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
    rustix::fs::chownat(
        fd,
        "",
        uid,
        gid,
        AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW,
    )
    .map_err(|errno| refine(FileError::new("set owner of", path, errno)))
}

/// fchmod(2) refuses a descriptor that only stands for a file; by way of `/proc` it is the same file all the same.
pub(super) fn set_mode(fd: &OwnedFd, path: &Path, mode: u32) -> Result<()> {
    let same = format!("/proc/self/fd/{}", fd.as_raw_fd());
    rustix::fs::chmodat(CWD, same, Mode::from_raw_mode(mode), AtFlags::empty())
        .map_err(|errno| refine(FileError::new("set mode of", path, errno)))
}
