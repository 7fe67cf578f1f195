//! Files by host path, and what `std::fs` lacks: the path in every error, atomic replacement, reflinks, sparse
//! copies and extended attributes.
//!
//! Paths here are the daemon's own. A path that a guest, an archive or a request may have a say in goes
//! through [`crate::path`].

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{SeekFrom, XattrFlags};
use rustix::io::Errno;

mod streamed;

pub use streamed::Streamed;

/// What was tried on which file; the cause is its source.
#[derive(Debug, thiserror::Error)]
#[error("{action} `{}`", path.display())]
pub struct FileError {
    /// A verb or two: `open`, `set owner of`.
    pub action: &'static str,
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

impl FileError {
    /// An error of `action` on `path`.
    pub fn new(action: &'static str, path: impl AsRef<Path>, source: impl Into<io::Error>) -> Self {
        Self {
            action,
            path: path.as_ref().to_owned(),
            source: source.into(),
        }
    }

    /// Whether the file was not there.
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }

    /// The kernel's error number, where the error is the kernel's; see errno(3).
    pub fn errno(&self) -> Option<i32> {
        self.source.raw_os_error()
    }
}

/// Puts action and path on an [`io::Error`] or [`Errno`].
pub(crate) fn context<'a, E: Into<io::Error>>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(E) -> FileError + 'a {
    move |source| FileError::new(action, path, source)
}

/// Whether a change must survive a power loss when the call returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It may be lost, but never half: the old content or the new.
    Volatile,
    /// It is on disk; costs an fsync of the file and one of its directory.
    Durable,
}

/// Reads a whole file.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    std::fs::read(path).map_err(context("read", path))
}

/// Reads a whole file of UTF-8 text.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    std::fs::read_to_string(path).map_err(context("read", path))
}

/// Opens a file for reading.
pub fn open(path: &Path) -> Result<File, FileError> {
    File::open(path).map_err(context("open", path))
}

/// Writes to a file that is there already and takes the text as one message, as those of `/proc` and `/sys` do.
pub fn write_existing(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    File::options()
        .write(true)
        .open(path)
        .and_then(|mut file| file.write_all(bytes))
        .map_err(context("write", path))
}

/// Creates one directory with exactly `mode`, whatever the umask.
pub fn create_dir(path: &Path, mode: u32) -> Result<(), FileError> {
    std::fs::DirBuilder::new()
        .mode(mode)
        .create(path)
        .and_then(|()| {
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
        })
        .map_err(context("create directory", path))
}

/// Creates a directory and those above it that are missing; what is there already is left as it is.
pub fn ensure_dir(path: &Path, mode: u32) -> Result<(), FileError> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        ensure_dir(parent, mode)?;
    }
    match create_dir(path, mode) {
        Err(error) if error.source.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {
            Ok(())
        }
        other => other,
    }
}

/// Renames within a file system, replacing a file of the new name.
pub fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    std::fs::rename(from, to).map_err(context("rename to", to))
}

/// Swaps two names in one step; see renameat2(2), `RENAME_EXCHANGE`.
pub fn exchange(one: &Path, other: &Path) -> Result<(), FileError> {
    let flags = rustix::fs::RenameFlags::EXCHANGE;
    rustix::fs::renameat_with(rustix::fs::CWD, one, rustix::fs::CWD, other, flags)
        .map_err(context("exchange", other))
}

/// Removes a file; one that is not there is no error.
pub fn remove(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FileError::new("remove", path, error))
        }
        _ => Ok(()),
    }
}

/// The names in a directory, sorted.
pub fn list_dir(path: &Path) -> Result<Vec<OsString>, FileError> {
    let mut names = std::fs::read_dir(path)
        .and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.file_name()))
                .collect::<io::Result<Vec<_>>>()
        })
        .map_err(context("list", path))?;
    names.sort();
    Ok(names)
}

/// Writes a file to disk; one that is not there is no error.
pub fn sync(path: &Path) -> Result<(), FileError> {
    match File::open(path).and_then(|file| file.sync_all()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FileError::new("sync", path, error))
        }
        _ => Ok(()),
    }
}

/// Writes the names in a directory to disk; see fsync(2) on why a new file needs this too.
pub fn sync_dir(path: &Path) -> Result<(), FileError> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(context("sync", path))
}

/// Replaces a file by rename, so that a reader sees the old content or the new, never a mixture.
pub fn write_atomic(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    durability: Durability,
) -> Result<(), FileError> {
    let temporary = sibling(path);
    let written = write_new(&temporary, bytes, mode, durability)
        .and_then(|()| std::fs::rename(&temporary, path));
    if let Err(error) = written {
        // The first error is the one that tells; a leftover beside the file harms nothing.
        let _leftover = std::fs::remove_file(&temporary);
        return Err(FileError::new("write", path, error));
    }
    match (durability, path.parent()) {
        (Durability::Durable, Some(parent)) => sync_dir(parent),
        _ => Ok(()),
    }
}

fn sibling(path: &Path) -> PathBuf {
    static COUNTER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.{count}.new", std::process::id()));
    path.with_file_name(name)
}

fn write_new(path: &Path, bytes: &[u8], mode: u32, durability: Durability) -> io::Result<()> {
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)?;
    file.write_all(bytes)?;
    if durability == Durability::Durable {
        file.sync_all()?;
    }
    Ok(())
}

/// Bytes that are copied before somebody may break it off.
const AT_ONCE: usize = 64 << 20;

/// How [`copy_contents`] got the bytes across.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// Both files share their blocks until one is written (`FICLONE`, see ioctl_ficlone(2)).
    Shared,
    /// The bytes were copied, holes were left holes.
    Bytes,
}

/// Copies the content of one file, `length` bytes long, into an empty one, as cheaply as the file system can.
pub fn copy_contents(from: &File, to: &File, length: u64) -> io::Result<Copied> {
    if length == 0 {
        return Ok(Copied::Bytes);
    }
    if rustix::fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(Copied::Shared);
    }
    rustix::fs::ftruncate(to, length)?;
    let mut offset = 0;
    while let Some((start, end)) = next_extent(from, offset, length)? {
        copy_extent(from, to, start, end)?;
        offset = end;
    }
    Ok(Copied::Bytes)
}

/// The next stretch of data at or after `offset`; `None` if only a hole is left. See lseek(2), `SEEK_DATA`.
fn next_extent(file: &File, offset: u64, length: u64) -> io::Result<Option<(u64, u64)>> {
    if offset >= length {
        return Ok(None);
    }
    let start = match rustix::fs::seek(file, SeekFrom::Data(offset)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        // A file system without holes.
        Err(Errno::INVAL) => return Ok(Some((offset, length))),
        Err(errno) => return Err(errno.into()),
    };
    let end = rustix::fs::seek(file, SeekFrom::Hole(start))?;
    Ok((start < length).then_some((start, end.min(length))))
}

fn copy_extent(from: &File, to: &File, start: u64, end: u64) -> io::Result<()> {
    let (mut read_at, mut write_at) = (start, start);
    while read_at < end {
        crate::interrupt::check()?;
        let wanted = usize::try_from(end - read_at).map_or(AT_ONCE, |left| left.min(AT_ONCE));
        match rustix::fs::copy_file_range(from, Some(&mut read_at), to, Some(&mut write_at), wanted)
        {
            // The file became shorter meanwhile; the rest stays a hole.
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                return copy_by_hand(from, to, read_at, end);
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

fn copy_by_hand(mut from: &File, mut to: &File, start: u64, end: u64) -> io::Result<()> {
    rustix::fs::seek(from, SeekFrom::Start(start))?;
    rustix::fs::seek(to, SeekFrom::Start(start))?;
    let mut left = end - start;
    while left > 0 {
        crate::interrupt::check()?;
        let part = left.min(AT_ONCE as u64);
        if io::copy(&mut (&mut from).take(part), &mut to)? < part {
            break;
        }
        left -= part;
    }
    Ok(())
}

/// A name in an open directory, itself never followed if it is a symbolic link. `name` must be a single component.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The directory.
    pub dir: BorrowedFd<'a>,
    /// The name in it.
    pub name: &'a OsStr,
}

impl<'a> Entry<'a> {
    /// The name `name` in `dir`.
    pub fn new(dir: &'a impl AsFd, name: &'a OsStr) -> Self {
        Self {
            dir: dir.as_fd(),
            name,
        }
    }

    /// There is no `lgetxattrat` before Linux 6.13; the directory's entry in /proc makes the same of `lgetxattr`.
    fn path(&self) -> PathBuf {
        let mut path = PathBuf::from(format!("/proc/self/fd/{}", self.dir.as_raw_fd()));
        path.push(self.name);
        path
    }

    /// Names of the extended attributes; none where the file system has none. See xattr(7).
    pub fn list_xattrs(&self) -> io::Result<Vec<OsString>> {
        let path = self.path();
        let names = with_growing_buffer(|buffer| rustix::fs::llistxattr(&path, buffer))?;
        Ok(names
            .unwrap_or_default()
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
            .map(|name| OsString::from_vec(name.to_vec()))
            .collect())
    }

    /// The value of an extended attribute; `None` if there is no such attribute.
    pub fn xattr(&self, name: &OsStr) -> io::Result<Option<Vec<u8>>> {
        let path = self.path();
        with_growing_buffer(|buffer| rustix::fs::lgetxattr(&path, name.as_bytes(), buffer))
    }

    /// Removes an extended attribute.
    pub fn remove_xattr(&self, name: &OsStr) -> io::Result<()> {
        rustix::fs::lremovexattr(self.path(), name.as_bytes())?;
        Ok(())
    }

    /// Sets an extended attribute.
    pub fn set_xattr(&self, name: &OsStr, value: &[u8]) -> io::Result<()> {
        rustix::fs::lsetxattr(self.path(), name.as_bytes(), value, XattrFlags::empty())?;
        Ok(())
    }
}

/// Asks again with more room when the answer grew between the question for its size and the question for itself.
fn with_growing_buffer(
    ask: impl Fn(&mut [u8]) -> Result<usize, Errno>,
) -> io::Result<Option<Vec<u8>>> {
    let mut buffer = vec![0; 256];
    loop {
        match ask(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(Some(buffer));
            }
            Err(Errno::RANGE) => {
                // The kernel's own limits are 64 KiB for a value and for the list of names.
                if buffer.len() >= 1 << 17 {
                    return Err(Errno::RANGE.into());
                }
                buffer.resize(buffer.len() * 4, 0);
            }
            Err(Errno::NODATA | Errno::OPNOTSUPP) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests;
