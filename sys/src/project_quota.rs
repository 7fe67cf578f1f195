//! Project quotas of ext4 and xfs: a directory is given a project, which all that is made in it inherits; what belongs to a
//! project is counted and can be limited. See quotactl(2), linux/quota.h, linux/dqblk_xfs.h and, for the ioctls, linux/fs.h.
//!
//! `quotactl_fd` needs Linux 5.14.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// `_IOR('X', 31, struct fsxattr)` and `_IOW('X', 32, struct fsxattr)`, whose argument is 28 bytes long.
const FSGETXATTR: libc::Ioctl = 0x801c_581f_u32 as libc::Ioctl;
const FSSETXATTR: libc::Ioctl = 0x401c_5820_u32 as libc::Ioctl;
/// `FS_XFLAG_PROJINHERIT`
const INHERIT: u32 = 0x200;
/// Where flags and project are in `struct fsxattr`, counted in words.
const FLAGS: usize = 0;
const PROJECT: usize = 3;
type Attributes = [u32; 7];

/// `PRJQUOTA`
const PROJECT_QUOTA: u32 = 2;
const Q_GETQUOTA: u32 = 0x80_0007;
const Q_SETQUOTA: u32 = 0x80_0008;
/// `XQM_CMD(8)`
const Q_XGETQSTATV: u32 = ((b'X' as u32) << 8) + 8;
/// `QIF_BLIMITS`
const SPACE_LIMITS: u64 = 1;
/// The unit of limits, `QIF_DQBLKSIZE`.
const UNIT: u64 = 1024;
/// `FS_QUOTA_PDQ_ENFD`, in the flags of `struct fs_quota_statv`, whose version is 1.
const ENFORCED: u64 = 1 << 5;
/// `struct if_dqblk`, and `struct fs_quota_statv` with room to spare, in words.
type Record = [u64; 9];
type State = [u64; 24];

/// What a project takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Bytes.
    pub space: u64,
    /// Files and directories.
    pub inodes: u64,
    /// Bytes that it may take, if it is limited.
    pub limit: Option<u64>,
}

fn attributes(file: BorrowedFd<'_>, opcode: libc::Ioctl, words: &mut Attributes) -> io::Result<()> {
    // SAFETY: both opcodes take a `struct fsxattr`, 28 bytes of integers, which is what `words` is; it is live.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), opcode, words.as_mut_ptr()) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The project of a file or directory; 0 is that of all who have none.
pub fn project_of(file: impl AsFd) -> io::Result<u32> {
    let mut words = Attributes::default();
    attributes(file.as_fd(), FSGETXATTR, &mut words)?;
    Ok(words[PROJECT])
}

/// Gives a file or directory to a project; what will be made in the directory belongs to it too.
pub fn assign(file: impl AsFd, project: u32) -> io::Result<()> {
    let mut words = Attributes::default();
    attributes(file.as_fd(), FSGETXATTR, &mut words)?;
    let is_directory = rustix::fs::fstat(&file)
        .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir());
    if is_directory {
        words[FLAGS] |= INHERIT;
    }
    words[PROJECT] = project;
    attributes(file.as_fd(), FSSETXATTR, &mut words)
}

fn quotactl(file: BorrowedFd<'_>, command: u32, project: u32, words: &mut [u64]) -> io::Result<()> {
    let command = (command << 8) | PROJECT_QUOTA;
    // SAFETY: `words` is live and, as all callers are here, at least as large as the structure of the command, which holds
    // integers only.
    let result = unsafe {
        libc::syscall(
            libc::SYS_quotactl_fd,
            file.as_raw_fd(),
            command,
            project,
            words.as_mut_ptr(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Whether the file system of `file` keeps projects to their limits.
pub fn is_enforced(file: impl AsFd) -> bool {
    // The version comes first, then a byte, then the flags.
    let mut state = State::default();
    let [first, ..] = &mut state;
    *first = u64::from_ne_bytes([1, 0, 0, 0, 0, 0, 0, 0]);
    if quotactl(file.as_fd(), Q_XGETQSTATV, 0, &mut state).is_err() {
        return false;
    }
    let [_, _, low, high, ..] = state[0].to_ne_bytes();
    u64::from(u16::from_ne_bytes([low, high])) & ENFORCED != 0
}

/// What a project takes on the file system of `file`; nothing if nobody has heard of it.
pub fn usage(file: impl AsFd, project: u32) -> io::Result<Usage> {
    let mut record = Record::default();
    match quotactl(file.as_fd(), Q_GETQUOTA, project, &mut record) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
        other => other?,
    }
    let [limit, _, space, _, _, inodes, ..] = record;
    Ok(Usage {
        space,
        inodes,
        limit: (limit != 0).then(|| limit.saturating_mul(UNIT)),
    })
}

/// Limits what a project may take, in bytes; `None` lifts the limit.
pub fn limit(file: impl AsFd, project: u32, most: Option<u64>) -> io::Result<()> {
    let most = most.map_or(0, |most| most.div_ceil(UNIT).max(1));
    // The hard limit, no soft one; then what isn't set; then what is.
    let mut record: Record = [most, 0, 0, 0, 0, 0, 0, 0, SPACE_LIMITS];
    quotactl(file.as_fd(), Q_SETQUOTA, project, &mut record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_project_has_project_0_and_quotas_are_known_to_be_off() {
        let dir = tempfile::tempdir().unwrap();
        let file = crate::path::open_dir(dir.path()).unwrap();
        if let Ok(project) = project_of(&file) {
            assert_eq!(project, 0);
        }
        let shm = crate::path::open_dir(std::path::Path::new("/dev/shm")).unwrap();
        assert!(!is_enforced(&shm));
    }
}
