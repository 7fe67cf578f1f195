//! Paths that somebody else has a say in: a guest's file system, an archive, a request.
//!
//! Every one is resolved by openat2(2) from an open directory, so that no `..`, symbolic link or race leads out
//! of it. What openat2 can't do itself (make, link, rename, unlink) is done on the resolved parent directory and
//! one last name, which is never followed.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Stat, StatxAttributes, StatxFlags};
use rustix::io::Errno;

use crate::file::{FileError, context};

/// How symbolic links and absolute paths are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolve {
    /// Links are followed as long as they stay beneath the directory; absolute ones and `..` out of it are refused.
    Beneath,
    /// The directory is the root, as after chroot(2): `/etc` and `..` mean what they mean in there.
    InRoot,
    /// Beneath, and no component may be a symbolic link at all.
    NoSymlinks,
}

impl Resolve {
    fn flags(self) -> ResolveFlags {
        let kind = match self {
            Self::Beneath => ResolveFlags::BENEATH,
            Self::InRoot => ResolveFlags::IN_ROOT,
            Self::NoSymlinks => ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
        };
        kind | ResolveFlags::NO_MAGICLINKS
    }
}

/// Opens one of the daemon's own directories, to resolve paths from.
pub fn open_dir(path: &Path) -> Result<OwnedFd, FileError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(context("open directory", path))
}

/// Opens `path` below `dir`; `mode` counts where `flags` create. Close-on-exec is always set.
pub fn open_beneath(
    dir: impl AsFd,
    path: &Path,
    flags: OFlags,
    mode: Mode,
    resolve: Resolve,
) -> Result<OwnedFd, FileError> {
    let target = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let flags = flags | OFlags::CLOEXEC;
    // EAGAIN: a rename elsewhere raced with `..`; the kernel asks for another try.
    for _ in 0..64 {
        match rustix::fs::openat2(dir.as_fd(), target, flags, mode, resolve.flags()) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other.map_err(context("open", path)),
        }
    }
    Err(FileError::new("open", path, Errno::AGAIN))
}

/// The parent directory of `path`, opened, and the last name; refuses a path whose last part is not a name.
pub fn parent(
    dir: impl AsFd,
    path: &Path,
    resolve: Resolve,
) -> Result<(OwnedFd, OsString), FileError> {
    let Some(Component::Normal(name)) = path.components().next_back() else {
        return Err(FileError::new("resolve", path, Errno::INVAL));
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let above = path.parent().unwrap_or(Path::new(""));
    let fd = open_beneath(dir, above, flags, Mode::empty(), resolve)?;
    Ok((fd, name.to_owned()))
}

/// Makes a directory with exactly `mode`, whatever the umask.
pub fn create_dir(
    dir: impl AsFd,
    path: &Path,
    mode: Mode,
    resolve: Resolve,
) -> Result<(), FileError> {
    let (above, name) = parent(dir, path, resolve)?;
    rustix::fs::mkdirat(&above, &name, mode)
        .and_then(|()| rustix::fs::chmodat(&above, &name, mode, AtFlags::empty()))
        .map_err(context("create directory", path))
}

/// Makes a symbolic link at `path`; `target` is stored as it is.
pub fn symlink(
    dir: impl AsFd,
    target: &OsStr,
    path: &Path,
    resolve: Resolve,
) -> Result<(), FileError> {
    let (above, name) = parent(dir, path, resolve)?;
    rustix::fs::symlinkat(target, &above, &name).map_err(context("create link", path))
}

/// Makes `path` another name of the file `existing`; both are resolved from `dir`, neither is followed at its end.
pub fn hard_link(
    dir: impl AsFd,
    existing: &Path,
    path: &Path,
    resolve: Resolve,
) -> Result<(), FileError> {
    let (from, old) = parent(dir.as_fd(), existing, resolve)?;
    let (to, new) = parent(dir, path, resolve)?;
    rustix::fs::linkat(&from, &old, &to, &new, AtFlags::empty()).map_err(context("link", path))
}

/// Removes a file, not a directory.
pub fn unlink(dir: impl AsFd, path: &Path, resolve: Resolve) -> Result<(), FileError> {
    let (above, name) = parent(dir, path, resolve)?;
    rustix::fs::unlinkat(&above, &name, AtFlags::empty()).map_err(context("remove", path))
}

/// Removes an empty directory.
pub fn remove_dir(dir: impl AsFd, path: &Path, resolve: Resolve) -> Result<(), FileError> {
    let (above, name) = parent(dir, path, resolve)?;
    rustix::fs::unlinkat(&above, &name, AtFlags::REMOVEDIR)
        .map_err(context("remove directory", path))
}

/// Renames within the tree below `dir`, replacing a file of the new name.
pub fn rename(dir: impl AsFd, from: &Path, to: &Path, resolve: Resolve) -> Result<(), FileError> {
    let (old_dir, old) = parent(dir.as_fd(), from, resolve)?;
    let (new_dir, new) = parent(dir, to, resolve)?;
    rustix::fs::renameat(&old_dir, &old, &new_dir, &new).map_err(context("rename to", to))
}

/// What is at `path`, a link itself at its end; `None` if nothing is.
pub fn stat(dir: impl AsFd, path: &Path, resolve: Resolve) -> Result<Option<Stat>, FileError> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW;
    let fd = match open_beneath(dir, path, flags, Mode::empty(), resolve) {
        Ok(fd) => fd,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    rustix::fs::fstat(&fd)
        .map(Some)
        .map_err(context("look at", path))
}

/// What the symbolic link at `path` holds.
pub fn read_link(dir: impl AsFd, path: &Path, resolve: Resolve) -> Result<OsString, FileError> {
    let (above, name) = parent(dir, path, resolve)?;
    let target =
        rustix::fs::readlinkat(&above, &name, Vec::new()).map_err(context("read link", path))?;
    Ok(OsStr::from_bytes(target.to_bytes()).to_owned())
}

/// Refuses a name on which something is mounted, in whatever mount namespace `dir` belongs to. The kernel refuses by
/// itself only in the caller's own (mount_namespaces(7)): elsewhere rmdir(2) and rename(2) take the mount away.
pub fn refuse_mount_point(dir: impl AsFd, name: &OsStr) -> Result<(), FileError> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    match rustix::fs::statx(dir, name, flags, StatxFlags::empty()) {
        Ok(facts) if facts.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) => {
            Err(FileError::new("remove", Path::new(name), Errno::BUSY))
        }
        // What is not there, the caller sees by itself.
        _ => Ok(()),
    }
}

/// Whether the calling thread, with its effective ids and capabilities, may use what a descriptor is open at, be it as a
/// place only (`O_PATH`); see faccessat2(2).
pub fn check_access(file: BorrowedFd<'_>, access: rustix::fs::Access) -> std::io::Result<()> {
    // SAFETY: the path is a literal that ends in NUL; all else are numbers.
    let result = unsafe {
        libc::syscall(
            libc::SYS_faccessat2,
            file.as_raw_fd(),
            c"".as_ptr(),
            access.bits(),
            libc::AT_EACCESS | libc::AT_EMPTY_PATH,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

/// How many directories deep [`remove_tree`] goes before it pulls the rest up; each level holds a descriptor.
const REMOVE_DEPTH: usize = 64;

/// Removes `name` in `dir` and all below it. Links are removed, never followed; a mount point is an error and
/// what is mounted there stays untouched. What is gone already is no error. Any depth will do.
pub fn remove_tree(dir: impl AsFd, name: &OsStr) -> Result<(), FileError> {
    let mut removal = Removal {
        top: dir.as_fd(),
        pulled_up: Vec::new(),
        count: 0,
    };
    removal.remove(dir.as_fd(), name, 0)?;
    while let Some(name) = removal.pulled_up.pop() {
        removal.remove(dir.as_fd(), &name, 0)?;
    }
    Ok(())
}

struct Removal<'a> {
    top: BorrowedFd<'a>,
    pulled_up: Vec<OsString>,
    count: u64,
}

impl Removal<'_> {
    fn remove(&mut self, dir: BorrowedFd<'_>, name: &OsStr, depth: usize) -> Result<(), FileError> {
        let path = Path::new(name);
        match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ISDIR) => {}
            Err(errno) => return Err(FileError::new("remove", path, errno)),
        }
        refuse_mount_point(dir, name)?;
        if depth == REMOVE_DEPTH {
            return self.pull_up(dir, name);
        }
        match rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(errno) => return Err(FileError::new("remove directory", path, errno)),
        }
        self.empty(dir, name, depth)?;
        match rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(FileError::new("remove directory", path, errno)),
        }
    }

    fn empty(&mut self, dir: BorrowedFd<'_>, name: &OsStr, depth: usize) -> Result<(), FileError> {
        let path = Path::new(name);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let fd = match rustix::fs::openat2(dir, name, flags, Mode::empty(), resolve) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(FileError::new("open directory", path, errno)),
        };
        for entry in rustix::fs::Dir::read_from(&fd).map_err(context("list", path))? {
            let entry = entry.map_err(context("list", path))?;
            let child = entry.file_name().to_bytes();
            if child != b"." && child != b".." {
                self.remove(fd.as_fd(), OsStr::from_bytes(child), depth + 1)?;
            }
        }
        Ok(())
    }

    fn pull_up(&mut self, dir: BorrowedFd<'_>, name: &OsStr) -> Result<(), FileError> {
        self.count += 1;
        let to = OsString::from(format!(".remove.{}.{}", std::process::id(), self.count));
        rustix::fs::renameat_with(dir, name, self.top, &to, rustix::fs::RenameFlags::NOREPLACE)
            .map_err(context("rename to", Path::new(&to)))?;
        self.pulled_up.push(to);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
