//! Attributes of files as SFTP has them, in the guest's numbers.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;

use rlxc_sys::file::FileError;
use russh_sftp::protocol::FileAttributes;
use rustix::fs::{AtFlags, CWD, OFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;

use crate::error::Result;
use crate::files::owners::Owners;
use crate::files::tree::{Tree, refine, reopen, stat};
use crate::files::write::{set_mode, set_owner};

/// What is told of a file. Times are 32 bits wide here.
pub(super) fn of(owners: &Owners, stat: &Stat) -> FileAttributes {
    let (uid, gid) = owners.in_guest(stat.st_uid, stat.st_gid);
    let time = |seconds: i64| u32::try_from(seconds).unwrap_or(0);
    FileAttributes {
        size: Some(u64::try_from(stat.st_size).unwrap_or(0)),
        uid: Some(uid),
        gid: Some(gid),
        permissions: Some(stat.st_mode),
        atime: Some(time(stat.st_atime)),
        mtime: Some(time(stat.st_mtime)),
        ..FileAttributes::default()
    }
}

/// Changes what is given of a file that was found.
pub(super) fn apply(tree: &Tree, fd: &OwnedFd, path: &Path, wanted: &FileAttributes) -> Result<()> {
    if let Some(size) = wanted.size {
        let file = reopen(fd, OFlags::WRONLY, path)?;
        rustix::fs::ftruncate(file, size)
            .map_err(|errno| refine(FileError::new("set size of", path, errno)))?;
    }
    if wanted.uid.is_some() || wanted.gid.is_some() {
        let uid = wanted.uid.map(|uid| tree.owners.uid_on_host(uid));
        let gid = wanted.gid.map(|gid| tree.owners.gid_on_host(gid));
        set_owner(fd, path, uid.transpose()?, gid.transpose()?)?;
    }
    // After the owner: a change of it takes set-id bits away.
    if let Some(mode) = wanted.permissions {
        set_mode(fd, path, mode & 0o7777)?;
    }
    if wanted.atime.is_some() || wanted.mtime.is_some() {
        let now = stat(fd, path)?;
        let time = |given: Option<u32>, seconds: i64| Timespec {
            tv_sec: given.map_or(seconds, i64::from),
            tv_nsec: 0,
        };
        let times = Timestamps {
            last_access: time(wanted.atime, now.st_atime),
            last_modification: time(wanted.mtime, now.st_mtime),
        };
        let same = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let set: std::result::Result<(), Errno> =
            rustix::fs::utimensat(CWD, same, &times, AtFlags::empty());
        set.map_err(|errno| refine(FileError::new("set times of", path, errno)))?;
    }
    Ok(())
}
