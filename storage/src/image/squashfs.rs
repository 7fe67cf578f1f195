//! Roots that are a squashfs, by `unsquashfs`.
//!
//! The kernel could mount them, but a crafted image is then input to the kernel. What the program made is gone
//! through afterwards: device nodes and attributes that steer overlay are taken out, as they are from tarballs.

use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rlxc_sys::file::{self, Entry, FileError};
use rlxc_sys::path::{self};
use rlxc_sys::sandbox::Sandbox;
use rlxc_sys::tool::{Tool, ToolError};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::compression::read_error;
use super::writer::allows_xattr;
use super::{ImageError, UnpackLimits};
use crate::copy::{CopyError, DEPTH_LIMIT};

const TIME_LIMIT: Duration = Duration::from_secs(3600);

/// Unpacks `file` into `target`, an empty directory.
pub(super) fn unpack(file: &Path, target: &Path, limits: UnpackLimits) -> Result<(), ImageError> {
    // Tools run in `/`.
    let absolute = |path: &Path| {
        std::path::absolute(path).map_err(|error| FileError::new("resolve", path, error))
    };
    let (file, into) = (absolute(file)?, absolute(target)?);
    check_inodes(&file, limits)?;
    check_size(&file, limits)?;
    run(
        &["-no-progress", "-quiet", "-force", "-dest"],
        &[&into, &file],
        Sandbox::new(&[&file], &[&into]),
    )?;
    let mut cleaning = Cleaning {
        path: PathBuf::new(),
    };
    cleaning.directory(path::open_dir(target)?.as_fd(), 0)
}

/// As root, for owners and attributes, but on the files that it is about alone: the image may have been made to mislead it.
fn run(options: &[&str], paths: &[&Path], sandbox: Sandbox) -> Result<Vec<u8>, ImageError> {
    let tool = Tool::new("unsquashfs").args(options.iter().copied());
    let tool = tool.args(paths.iter().copied()).confined(sandbox);
    let result = tool.timeout(TIME_LIMIT).run();
    result.map_err(|error| match error {
        ToolError::Missing { .. } => ToolError::Missing {
            program: "unsquashfs (of the package squashfs-tools)".into(),
        }
        .into(),
        other => other.into(),
    })
}

/// The number of inodes is the second field of the superblock; see Documentation/filesystems/squashfs.rst.
fn check_inodes(path: &Path, limits: UnpackLimits) -> Result<(), ImageError> {
    let mut start = [0; 8];
    file::open(path)?
        .read_exact(&mut start)
        .map_err(|source| read_error(path, source))?;
    let [_, _, _, _, inodes @ ..] = start;
    if u64::from(u32::from_le_bytes(inodes)) > limits.max_entries {
        return Err(ImageError::TooBig {
            limit: limits.max_entries,
            unit: "files",
        });
    }
    Ok(())
}

/// Sums up the third column of the listing: mode, owner, size, date, time, name. A name with a line end in it
/// can only make the sum bigger.
fn check_size(path: &Path, limits: UnpackLimits) -> Result<(), ImageError> {
    let sandbox = Sandbox::new(&[path], &[]);
    let listing = run(&["-no-progress", "-lln"], &[path], sandbox)?;
    let lines = listing.split(|byte| *byte == b'\n');
    let sizes = lines.filter(|line| line.starts_with(b"-")).map(|line| {
        let text = String::from_utf8_lossy(line);
        let size = text.split_ascii_whitespace().nth(2);
        size.and_then(|size| size.parse::<u64>().ok()).unwrap_or(0)
    });
    let bytes = sizes.fold(0u64, u64::saturating_add);
    if bytes > limits.max_bytes {
        return Err(ImageError::TooBig {
            limit: limits.max_bytes,
            unit: "bytes",
        });
    }
    Ok(())
}

struct Cleaning {
    path: PathBuf,
}

impl Cleaning {
    fn error(&self, action: &'static str) -> impl FnOnce(Errno) -> FileError {
        let path = self.path.clone();
        move |errno| FileError::new(action, path, errno)
    }

    fn directory(&mut self, dir: BorrowedFd<'_>, depth: usize) -> Result<(), ImageError> {
        if depth > DEPTH_LIMIT {
            let path = self.path.clone();
            return Err(CopyError::TooDeep { path }.into());
        }
        let stat = rustix::fs::fstat(dir).map_err(self.error("look at"))?;
        let mut removed = false;
        for entry in Dir::read_from(dir).map_err(self.error("list"))? {
            let entry = entry.map_err(self.error("list"))?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                self.path.push(name);
                removed |= self.entry(Entry { dir, name }, depth)?;
                self.path.pop();
            }
        }
        if removed {
            let times = rustix::fs::Timestamps {
                last_access: timespec(stat.st_atime, stat.st_atime_nsec),
                last_modification: timespec(stat.st_mtime, stat.st_mtime_nsec),
            };
            rustix::fs::futimens(dir, &times).map_err(self.error("set time of"))?;
        }
        Ok(())
    }

    /// True if the entry was taken out.
    fn entry(&mut self, entry: Entry<'_>, depth: usize) -> Result<bool, ImageError> {
        let Entry { dir, name } = entry;
        let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(self.error("look at"))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if matches!(kind, FileType::CharacterDevice | FileType::BlockDevice) {
            rustix::fs::unlinkat(dir, name, AtFlags::empty()).map_err(self.error("remove"))?;
            return Ok(true);
        }
        self.attributes(entry)?;
        if kind == FileType::Directory {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd: OwnedFd = rustix::fs::openat(dir, name, flags, Mode::empty())
                .map_err(self.error("open directory"))?;
            self.directory(fd.as_fd(), depth + 1)?;
        }
        Ok(false)
    }

    fn attributes(&self, entry: Entry<'_>) -> Result<(), ImageError> {
        let failed = |error| FileError::new("change attributes of", &self.path, error);
        let names = entry.list_xattrs().map_err(failed)?;
        for name in names.iter().filter(|name| !allows_xattr(name)) {
            // Those of the host's own security modules are set by the kernel, not by the image.
            if !name.as_bytes().starts_with(b"security.") {
                entry.remove_xattr(name).map_err(failed)?;
            }
        }
        Ok(())
    }
}

fn timespec(tv_sec: i64, nanoseconds: u64) -> rustix::fs::Timespec {
    rustix::fs::Timespec {
        tv_sec,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or(0),
    }
}
