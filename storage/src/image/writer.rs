//! Puts the entries of an archive into a directory. Nothing in an archive is trusted: each name is looked up by
//! openat2 below the directory, without following any link, so that no entry can use what an earlier one put there.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rlxc_sys::file::{Entry as Name, FileError};
use rlxc_sys::path::{self, Resolve};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, SeekFrom, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::ImageError;
use super::archive::{Archive, Attributes, Entry, Kind};

/// A tree in the making.
#[derive(Debug)]
pub(crate) struct TreeWriter {
    root: OwnedFd,
    /// The directory of the last entry; archives list a directory's files in a row. Directories are never removed
    /// or replaced here, so this stays true.
    parent: Option<(PathBuf, OwnedFd)>,
    /// Set at the end: what is put into a directory changes its time, and inherits its default ACL.
    directories: BTreeMap<PathBuf, Attributes>,
    /// Device nodes that were left out, for hard links to them.
    left_out: HashSet<PathBuf>,
    buffer: Vec<u8>,
    source: ArchiveOf,
}

/// What the archive is of, which says what may be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ArchiveOf {
    /// Many tools write images: an entry may come twice, the last one counts. Device nodes are left out.
    Image,
    /// A file system as it was: no entry comes twice, and the device nodes come along that any container has.
    Backup,
}

/// Device nodes that harm nobody: null, zero, full, random, urandom, tty, console, ptmx; see
/// Documentation/admin-guide/devices.txt.
const HARMLESS: [(u32, u32); 8] = [
    (1, 3),
    (1, 5),
    (1, 7),
    (1, 8),
    (1, 9),
    (5, 0),
    (5, 1),
    (5, 2),
];

/// Whether a character device is one that any container has.
pub(crate) fn is_harmless(major: u32, minor: u32) -> bool {
    HARMLESS.contains(&(major, minor))
}

/// The path of an entry as names; refuses what leads elsewhere.
pub(crate) fn checked_path(bytes: &[u8]) -> Result<PathBuf, ImageError> {
    let refuse = |reason| {
        Err(ImageError::Refused {
            entry: String::from_utf8_lossy(bytes).into_owned(),
            reason,
        })
    };
    if bytes.starts_with(b"/") {
        return refuse("its path is absolute");
    }
    if bytes.contains(&0) || bytes.len() > 4095 {
        return refuse("its path makes no sense");
    }
    let mut path = PathBuf::new();
    for name in bytes.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => return refuse("its path has `..` in it"),
            name => path.push(OsStr::from_bytes(name)),
        }
    }
    Ok(path)
}

impl TreeWriter {
    pub(crate) fn new(root: OwnedFd) -> Self {
        Self {
            root,
            parent: None,
            directories: BTreeMap::new(),
            left_out: HashSet::new(),
            buffer: vec![0; 1 << 18],
            source: ArchiveOf::Image,
        }
    }

    /// The same for a backup.
    pub(crate) fn of_backup(root: OwnedFd) -> Self {
        Self {
            source: ArchiveOf::Backup,
            ..Self::new(root)
        }
    }

    /// Puts one entry at `path`; `link` is where a hard link points, in the same tree.
    pub(crate) fn put<R: std::io::Read>(
        &mut self,
        path: &Path,
        entry: Entry,
        link: Option<&Path>,
        archive: &mut Archive<R>,
    ) -> Result<(), ImageError> {
        let shown = || String::from_utf8_lossy(&entry.path).into_owned();
        let refuse = |reason| ImageError::Refused {
            entry: shown(),
            reason,
        };
        let failed = |source| ImageError::Entry {
            entry: shown(),
            source,
        };
        if entry.kind == Kind::Directory {
            self.directory(path).map_err(failed)?;
            self.directories.insert(path.to_owned(), entry.attributes);
            return Ok(());
        }
        let Some(name) = path.file_name() else {
            return Err(refuse("the root must be a directory"));
        };
        if self.leaves_out(path, &entry.kind, link) {
            return Ok(());
        }
        self.enter(path).map_err(failed)?;
        let Some((_, parent)) = &self.parent else {
            return Err(refuse("it has no parent"));
        };
        let parent = parent.as_fd();
        if self.source == ArchiveOf::Image {
            make_room(parent, name).map_err(failed)?;
        }
        match &entry.kind {
            Kind::File(map) => {
                let file = create(parent, name).map_err(failed)?;
                let map = map.as_ref().map(|map| (&map.pieces[..], map.size));
                write_data(&file, archive, map, &mut self.buffer).map_err(|error| match error {
                    WriteError::Archive(error) => error,
                    WriteError::File(errno) => failed(FileError::new("write", path, errno)),
                })?;
                finish(parent, name, &entry.attributes, Target::File(&file)).map_err(failed)
            }
            Kind::Symlink(target) => {
                let made = rustix::fs::symlinkat(OsStr::from_bytes(target), parent, name);
                made.map_err(|errno| failed(FileError::new("create link", path, errno)))?;
                finish(parent, name, &entry.attributes, Target::Link).map_err(failed)
            }
            Kind::Fifo => {
                make_node(parent, name, FileType::Fifo, 0).map_err(failed)?;
                finish(parent, name, &entry.attributes, Target::Special).map_err(failed)
            }
            Kind::HardLink(_) => {
                let Some(link) = link else {
                    return Err(refuse("it links to something outside"));
                };
                hard_link(&self.root, link, parent, name).map_err(failed)
            }
            Kind::Device(device) => {
                let number = rustix::fs::makedev(device.major, device.minor);
                make_node(parent, name, FileType::CharacterDevice, number).map_err(failed)?;
                finish(parent, name, &entry.attributes, Target::Special).map_err(failed)
            }
            Kind::Directory => Ok(()),
        }
    }

    /// Device nodes that a container has no business with, and what links to them.
    fn leaves_out(&mut self, path: &Path, kind: &Kind, link: Option<&Path>) -> bool {
        if let Kind::Device(device) = kind {
            let known = is_harmless(device.major, device.minor) && !device.block;
            if self.source == ArchiveOf::Image || !known {
                self.left_out.insert(path.to_owned());
                return true;
            }
        }
        link.is_some_and(|link| self.left_out.contains(link))
    }

    /// Opens the directory that `path` belongs into; makes what an archive leaves out.
    fn enter(&mut self, path: &Path) -> Result<(), FileError> {
        let above = path.parent().unwrap_or(Path::new(""));
        if self.parent.as_ref().is_some_and(|(open, _)| open == above) {
            return Ok(());
        }
        let fd = match self.open(above) {
            Err(error) if error.is_not_found() => {
                self.directory(above)?;
                self.open(above)?
            }
            other => other?,
        };
        self.parent = Some((above.to_owned(), fd));
        Ok(())
    }

    fn open(&self, path: &Path) -> Result<OwnedFd, FileError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        path::open_beneath(&self.root, path, flags, Mode::empty(), Resolve::NoSymlinks)
    }

    fn directory(&mut self, path: &Path) -> Result<(), FileError> {
        let Some(name) = path.file_name() else {
            return Ok(());
        };
        self.enter(path)?;
        let Some((_, parent)) = &self.parent else {
            return Ok(());
        };
        match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => self.open(path).map(drop),
            Err(errno) => Err(FileError::new("create directory", path, errno)),
        }
    }

    /// Gives the directories their attributes. A backup is on disk then.
    pub(crate) fn finish(self) -> Result<(), ImageError> {
        for (path, attributes) in &self.directories {
            let set = || {
                let fd = self.open(path)?;
                finish(fd.as_fd(), OsStr::new("."), attributes, Target::Special)
            };
            set().map_err(|source| ImageError::Entry {
                entry: path.display().to_string(),
                source,
            })?;
        }
        if self.source == ArchiveOf::Backup {
            crate::transfer::sync(&self.root)?;
        }
        Ok(())
    }
}

/// An entry may come twice, the last one counts; but a directory is never replaced.
fn make_room(parent: BorrowedFd<'_>, name: &OsStr) -> Result<(), FileError> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(FileError::new("replace", name, errno)),
    }
}

fn create(parent: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, FileError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600))
        .map_err(|errno| FileError::new("create", name, errno))
}

fn hard_link(
    root: &OwnedFd,
    link: &Path,
    parent: BorrowedFd<'_>,
    name: &OsStr,
) -> Result<(), FileError> {
    let (above, target) = path::parent(root, link, Resolve::NoSymlinks)?;
    rustix::fs::linkat(&above, &target, parent, name, AtFlags::empty())
        .map_err(|errno| FileError::new("link to", link, errno))
}

fn make_node(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    kind: FileType,
    device: u64,
) -> Result<(), FileError> {
    rustix::fs::mknodat(parent, name, kind, Mode::from_raw_mode(0o600), device)
        .map_err(|errno| FileError::new("create special file", name, errno))
}

enum WriteError {
    Archive(ImageError),
    File(Errno),
}

fn write_data<R: std::io::Read>(
    file: &OwnedFd,
    archive: &mut Archive<R>,
    map: Option<(&[(u64, u64)], u64)>,
    buffer: &mut [u8],
) -> Result<(), WriteError> {
    let whole = [(0, u64::MAX)];
    let (pieces, size) = map.map_or((&whole[..], None), |(pieces, size)| (pieces, Some(size)));
    for (offset, length) in pieces {
        if size.is_some() {
            rustix::fs::seek(file, SeekFrom::Start(*offset)).map_err(WriteError::File)?;
        }
        let mut left = *length;
        while left > 0 {
            let wanted = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let count = archive
                .read_data(&mut buffer[..wanted])
                .map_err(WriteError::Archive)?;
            if count == 0 {
                break;
            }
            write_all(file, &buffer[..count]).map_err(WriteError::File)?;
            left -= count as u64;
        }
    }
    size.map_or(Ok(()), |size| rustix::fs::ftruncate(file, size))
        .map_err(WriteError::File)
}

fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(0) => return Err(Errno::NOSPC),
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Target<'a> {
    File(&'a OwnedFd),
    Link,
    Special,
}

/// Which attributes an image may bring. `trusted.*` and `user.overlay.*` steer overlay, others belong to the host.
pub(crate) fn allows_xattr(name: &OsStr) -> bool {
    let name = name.as_bytes();
    (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
        || matches!(
            name,
            b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default"
        )
}

fn finish(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    attributes: &Attributes,
    target: Target<'_>,
) -> Result<(), FileError> {
    let failed = |action| move |errno: Errno| FileError::new(action, name, errno);
    let uid = Some(Uid::from_raw(attributes.uid));
    let gid = Some(Gid::from_raw(attributes.gid));
    let mode = Mode::from_raw_mode(attributes.mode);
    match target {
        Target::File(fd) => {
            rustix::fs::fchown(fd, uid, gid).map_err(failed("set owner of"))?;
            rustix::fs::fchmod(fd, mode).map_err(failed("set mode of"))?;
        }
        Target::Link | Target::Special => {
            rustix::fs::chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(failed("set owner of"))?;
        }
    }
    if matches!(target, Target::Special) {
        rustix::fs::chmodat(parent, name, mode, AtFlags::empty()).map_err(failed("set mode of"))?;
    }
    if !matches!(target, Target::Link) {
        set_xattrs(Name { dir: parent, name }, &attributes.xattrs)?;
    }
    let time = Timespec {
        tv_sec: attributes.mtime.0,
        tv_nsec: attributes.mtime.1.into(),
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    match target {
        Target::File(fd) => rustix::fs::futimens(fd, &times),
        _ => rustix::fs::utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW),
    }
    .map_err(failed("set time of"))
}

fn set_xattrs(name: Name<'_>, xattrs: &[(OsString, Vec<u8>)]) -> Result<(), FileError> {
    for (key, value) in xattrs.iter().filter(|(key, _)| allows_xattr(key)) {
        name.set_xattr(key, value)
            .map_err(|error| FileError::new("set attributes of", name.name, error))?;
    }
    Ok(())
}
