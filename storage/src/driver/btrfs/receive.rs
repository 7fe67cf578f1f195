//! Carries out the commands of a stream in a subvolume. Nothing in a stream is trusted: each name is looked up by openat2
//! below the subvolume, without following any link, and nothing is opened that is no plain file.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rlxc_sys::file::{Entry, FileError};
use rlxc_sys::path::{self, Resolve};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::stream::{Command, Stream, Time, malformed};
use super::subvolumes::{create_subvolume, snapshot};
use crate::error::Cause;
use crate::image::writer::{allows_xattr, is_harmless};

const BENEATH: Resolve = Resolve::NoSymlinks;

/// Makes the subvolume `to` of a stream; `before` is the one that the stream tells the difference to.
pub(super) fn receive(from: &mut dyn Read, to: &Path, before: Option<&Path>) -> Result<(), Cause> {
    let mut stream = Stream::open(from)?;
    let uuid = match stream.next()? {
        Command::Subvolume { uuid } => {
            create_subvolume(to)?;
            uuid
        }
        Command::Snapshot { uuid } => {
            let before = before.ok_or_else(|| malformed("it begins with a difference"))?;
            snapshot(before, to, false)?;
            uuid
        }
        _ => return Err(malformed("it does not begin with a subvolume")),
    };
    let mut receiver = Receiver {
        uuid,
        root: path::open_dir(to)?,
        before: before.map(path::open_dir).transpose()?,
        open: None,
    };
    loop {
        match stream.next()? {
            Command::End => return Ok(()),
            command => receiver.run(command)?,
        }
    }
}

struct Receiver {
    /// What the stream calls the subvolume.
    uuid: Vec<u8>,
    root: OwnedFd,
    before: Option<OwnedFd>,
    /// The file that was written to last: most commands write, and most to the same file.
    open: Option<(PathBuf, File)>,
}

impl Receiver {
    fn run(&mut self, command: Command) -> Result<(), Cause> {
        let writes = matches!(
            command,
            Command::Write { .. } | Command::Clone { .. } | Command::Truncate { .. }
        );
        if !writes {
            // It may get another name.
            self.open = None;
        }
        match command {
            Command::Write { path, offset, data } => {
                let written = self.file(&path)?.write_all_at(&data, offset);
                written.map_err(|error| FileError::new("write", &path, error))?;
            }
            Command::Truncate { path, size } => {
                let set = self.file(&path)?.set_len(size);
                set.map_err(|error| FileError::new("set the length of", &path, error))?;
            }
            Command::Clone {
                path,
                offset,
                length,
                uuid,
                from,
                from_offset,
            } => {
                let source = self.source(&uuid, &from)?;
                let target = self.file(&path)?;
                share((&source, from_offset), (target, offset), length)
                    .map_err(|errno| FileError::new("copy into", &path, errno))?;
            }
            Command::Subvolume { .. } | Command::Snapshot { .. } | Command::End => {
                return Err(malformed("it begins twice"));
            }
            Command::Nothing => {}
            other => self.change_names(other)?,
        }
        Ok(())
    }

    fn change_names(&self, command: Command) -> Result<(), Cause> {
        let root = &self.root;
        match command {
            Command::File(path) => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
                path::open_beneath(root, &path, flags, Mode::from_raw_mode(0o600), BENEATH)?;
            }
            Command::Directory(path) => {
                path::create_dir(root, &path, Mode::from_raw_mode(0o700), BENEATH)?;
            }
            Command::Node { path, mode, device } => self.device(&path, mode, device)?,
            Command::Fifo(path) => self.node(&path, FileType::Fifo, 0)?,
            Command::Socket(path) => self.node(&path, FileType::Socket, 0)?,
            Command::Symlink { path, target } => {
                path::symlink(root, target.as_os_str(), &path, BENEATH)?;
            }
            Command::Rename { from, to } => path::rename(root, &from, &to, BENEATH)?,
            Command::Link { path, existing } => {
                path::hard_link(root, &existing, &path, BENEATH)?;
            }
            Command::Unlink(path) => path::unlink(root, &path, BENEATH)?,
            Command::RemoveDirectory(path) => path::remove_dir(root, &path, BENEATH)?,
            other => self.change_attributes(other)?,
        }
        Ok(())
    }

    fn change_attributes(&self, command: Command) -> Result<(), Cause> {
        match command {
            Command::SetXattr { path, name, value } => {
                let name = OsStr::from_bytes(&name);
                if allows_xattr(name) {
                    self.at(&path, |entry| entry.set_xattr(name, &value))?;
                }
            }
            Command::RemoveXattr { path, name } => {
                let name = OsStr::from_bytes(&name);
                if allows_xattr(name) {
                    self.at(&path, |entry| unless_gone(entry.remove_xattr(name)))?;
                }
            }
            Command::Mode { path, mode } => {
                let mode = Mode::from_raw_mode(u32::try_from(mode & 0o7777).unwrap_or(0));
                self.at(&path, |entry| {
                    let stat =
                        rustix::fs::statat(entry.dir, entry.name, AtFlags::SYMLINK_NOFOLLOW)?;
                    // chmod follows links, which have no permissions of their own.
                    if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
                        return Ok(());
                    }
                    Ok(rustix::fs::chmodat(
                        entry.dir,
                        entry.name,
                        mode,
                        AtFlags::empty(),
                    )?)
                })?;
            }
            Command::Owner { path, uid, gid } => {
                let id =
                    |id: u64| u32::try_from(id).map_err(|_long| malformed("an id is too large"));
                let (uid, gid) = (Some(Uid::from_raw(id(uid)?)), Some(Gid::from_raw(id(gid)?)));
                self.at(&path, |entry| {
                    let flags = AtFlags::SYMLINK_NOFOLLOW;
                    Ok(rustix::fs::chownat(entry.dir, entry.name, uid, gid, flags)?)
                })?;
            }
            Command::Times {
                path,
                accessed,
                modified,
            } => {
                let times = Timestamps {
                    last_access: timespec(accessed),
                    last_modification: timespec(modified),
                };
                self.at(&path, |entry| {
                    let flags = AtFlags::SYMLINK_NOFOLLOW;
                    Ok(rustix::fs::utimensat(entry.dir, entry.name, &times, flags)?)
                })?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Does something with what is at `path`, which is the root if it is empty.
    fn at(
        &self,
        path: &Path,
        act: impl FnOnce(Entry<'_>) -> std::io::Result<()>,
    ) -> Result<(), Cause> {
        let (dir, name) = if path.as_os_str().is_empty() {
            (
                self.root.try_clone().map_err(Cause::ReadStream)?,
                OsStr::new(".").to_owned(),
            )
        } else {
            path::parent(&self.root, path, BENEATH)?
        };
        act(Entry::new(&dir, &name))
            .map_err(|error| FileError::new("set attributes of", path, error).into())
    }

    fn device(&self, path: &Path, mode: u64, device: u64) -> Result<(), Cause> {
        let kind = FileType::from_raw_mode(u32::try_from(mode).unwrap_or(0));
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        if kind == FileType::CharacterDevice && is_harmless(major, minor) {
            return self.node(path, kind, device);
        }
        Err(malformed(format!(
            "`{}` is a device node ({major}:{minor}) that a container has no business with",
            path.display()
        )))
    }

    fn node(&self, path: &Path, kind: FileType, device: u64) -> Result<(), Cause> {
        let (dir, name) = path::parent(&self.root, path, BENEATH)?;
        rustix::fs::mknodat(&dir, &name, kind, Mode::from_raw_mode(0o600), device)
            .map_err(|errno| FileError::new("create special file", path, errno).into())
    }

    /// A plain file, to be written.
    fn file(&mut self, path: &Path) -> Result<&File, Cause> {
        if self.open.as_ref().is_none_or(|(open, _)| open != path) {
            let file = plain(&self.root, path, OFlags::WRONLY)?;
            self.open = Some((path.to_owned(), file));
        }
        let open = self.open.as_ref();
        open.map(|(_, file)| file)
            .ok_or_else(|| malformed("a file is not open"))
    }

    fn source(&self, uuid: &[u8], path: &Path) -> Result<File, Cause> {
        let of_this = self.uuid == uuid;
        let root = match &self.before {
            Some(before) if !of_this => before,
            None if !of_this => {
                return Err(malformed("it takes from a subvolume that is not here"));
            }
            _ => &self.root,
        };
        plain(root, path, OFlags::RDONLY)
    }
}

/// An attribute that is not there is removed already.
fn unless_gone(removed: std::io::Result<()>) -> std::io::Result<()> {
    match removed {
        Err(error) if error.raw_os_error() == Some(Errno::NODATA.raw_os_error()) => Ok(()),
        other => other,
    }
}

/// Opens a plain file; nobody else changes the tree, so that what was looked at is what is opened.
fn plain(root: &OwnedFd, path: &Path, flags: OFlags) -> Result<File, Cause> {
    let found = path::stat(root, path, BENEATH)?;
    let is_plain =
        found.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    if !is_plain {
        return Err(malformed(format!("`{}` is no plain file", path.display())));
    }
    let flags = flags | OFlags::NOFOLLOW;
    let fd = path::open_beneath(root, path, flags, Mode::empty(), BENEATH)?;
    Ok(fd.into())
}

/// Shares blocks on one file system; see `copy_file_range(2)`.
fn share(
    (from, mut from_offset): (&File, u64),
    (to, mut offset): (&File, u64),
    mut length: u64,
) -> Result<(), Errno> {
    while length > 0 {
        let most = usize::try_from(length).unwrap_or(usize::MAX);
        let count = rustix::fs::copy_file_range(
            from.as_fd(),
            Some(&mut from_offset),
            to.as_fd(),
            Some(&mut offset),
            most,
        )?;
        if count == 0 {
            // It is shorter than the stream says.
            return Err(Errno::INVAL);
        }
        length -= count as u64;
    }
    Ok(())
}

fn timespec((seconds, nanoseconds): Time) -> Timespec {
    Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds.into(),
    }
}
