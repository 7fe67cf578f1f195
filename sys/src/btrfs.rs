//! Subvolumes, snapshots and quotas of btrfs, by the ioctls of linux/btrfs.h; see also btrfs-ioctl(2).
//!
//! Paths here are the daemon's own, and names single components. A subvolume is a directory whose inode is 256.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{FileType, Stat};

/// `BTRFS_SUPER_MAGIC` of linux/magic.h.
const MAGIC: u32 = 0x9123_683e;
/// `BTRFS_FIRST_FREE_OBJECTID`: the inode of the root directory of every subvolume.
const ROOT_INODE: u64 = 256;
/// Bytes of most argument structures.
const PAGE: usize = 4096;

const RESIZE: libc::Ioctl = write::<PAGE>(3);
const SNAP_DESTROY: libc::Ioctl = write::<PAGE>(15);
const INO_LOOKUP: libc::Ioctl = both::<PAGE>(18);
const SNAP_CREATE_V2: libc::Ioctl = write::<PAGE>(23);
const SUBVOL_CREATE_V2: libc::Ioctl = write::<PAGE>(24);
const SUBVOL_GETFLAGS: libc::Ioctl = read::<8>(25);
const SUBVOL_SETFLAGS: libc::Ioctl = write::<8>(26);
const FS_INFO: libc::Ioctl = read::<1024>(31);
const SEND: libc::Ioctl = write::<72>(38);
const QUOTA_CTL: libc::Ioctl = both::<16>(40);
const QGROUP_LIMIT: libc::Ioctl = read::<48>(43);
const GET_SUBVOL_ROOTREF: libc::Ioctl = both::<PAGE>(61);

/// `BTRFS_SUBVOL_RDONLY`.
const READ_ONLY: u64 = 1 << 1;
/// `BTRFS_QGROUP_LIMIT_MAX_RFER`.
const LIMIT_REFERENCED: u64 = 1;
/// `BTRFS_QUOTA_CTL_ENABLE` and `BTRFS_QUOTA_CTL_ENABLE_SIMPLE_QUOTA`.
const ENABLE_QGROUPS: u64 = 1;
const ENABLE_SIMPLE: u64 = 4;
/// Where the name is in `btrfs_ioctl_vol_args` and in `btrfs_ioctl_vol_args_v2`, and how long it may be.
const NAME: usize = 8;
const NAME_V2: usize = 56;
const NAME_MAX: usize = 255;

/// The numbers of asm-generic/ioctl.h: direction, size of the argument, `BTRFS_IOCTL_MAGIC`, number.
const fn opcode<const SIZE: usize>(direction: usize, number: usize) -> libc::Ioctl {
    ((direction << 30) | (SIZE << 16) | (0x94 << 8) | number) as libc::Ioctl
}

const fn write<const SIZE: usize>(number: usize) -> libc::Ioctl {
    opcode::<SIZE>(1, number)
}

const fn read<const SIZE: usize>(number: usize) -> libc::Ioctl {
    opcode::<SIZE>(2, number)
}

const fn both<const SIZE: usize>(number: usize) -> libc::Ioctl {
    opcode::<SIZE>(3, number)
}

/// Words, so that every field of the structures is aligned; all of theirs are 64 bits wide or bytes.
type Page = Box<[u64; PAGE / 8]>;

fn page() -> Page {
    Box::new([0; PAGE / 8])
}

fn bytes(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn put_name(words: &mut [u64], at: usize, name: &OsStr) -> io::Result<()> {
    let name = name.as_bytes();
    if name.is_empty() || name.len() > NAME_MAX || name.contains(&0) || name.contains(&b'/') {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (index, chunk) in name.chunks(8).enumerate() {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        words[at / 8 + index] = u64::from_ne_bytes(word);
    }
    Ok(())
}

/// An ioctl whose argument is `words`, which must be as long as the opcode says.
fn call(fd: BorrowedFd<'_>, opcode: libc::Ioctl, words: &mut [u64]) -> io::Result<()> {
    let size = (opcode >> 16) & 0x3fff;
    if usize::try_from(size) != Ok(size_of_val(words)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: `words` is live and exactly as large as the size in the opcode, by which the kernel reads and writes;
    // it holds integers and bytes only, for which every value is valid.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), opcode, words.as_mut_ptr()) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Whether `file` is on a btrfs.
pub fn is_btrfs(file: impl AsFd) -> io::Result<bool> {
    let kind = rustix::fs::fstatfs(file)?.f_type;
    Ok(i128::from(kind) == i128::from(MAGIC))
}

/// Whether something on a btrfs is a subvolume.
pub fn is_subvolume(stat: &Stat) -> bool {
    stat.st_ino == ROOT_INODE && FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// Makes an empty subvolume `name` in the directory `parent`, mode 0755 less the umask.
pub fn create_subvolume(parent: impl AsFd, name: &OsStr) -> io::Result<()> {
    let mut args = page();
    put_name(&mut *args, NAME_V2, name)?;
    call(parent.as_fd(), SUBVOL_CREATE_V2, &mut *args)
}

/// Makes `name` in the directory `parent` a snapshot of the subvolume `of`; it is on disk when this returns. Where
/// subvolumes lie in `of` the snapshot has empty directories.
pub fn snapshot(of: impl AsFd, parent: impl AsFd, name: &OsStr, read_only: bool) -> io::Result<()> {
    let mut args = page();
    // fd, transid, flags
    args[0] = descriptor(of.as_fd());
    args[2] = if read_only { READ_ONLY } else { 0 };
    put_name(&mut *args, NAME_V2, name)?;
    call(parent.as_fd(), SNAP_CREATE_V2, &mut *args)
}

/// No file descriptor is negative: the cast keeps its value.
fn descriptor(fd: BorrowedFd<'_>) -> u64 {
    u64::from(fd.as_raw_fd().unsigned_abs())
}

/// Removes the subvolume `name` in the directory `parent` at once, its blocks later. `ENOTEMPTY` if other subvolumes
/// lie in it.
pub fn destroy_subvolume(parent: impl AsFd, name: &OsStr) -> io::Result<()> {
    let mut args = page();
    put_name(&mut *args, NAME, name)?;
    call(parent.as_fd(), SNAP_DESTROY, &mut *args)
}

/// Makes a subvolume read-only, or writable again.
pub fn set_read_only(subvolume: impl AsFd, read_only: bool) -> io::Result<()> {
    let mut flags = [0];
    call(subvolume.as_fd(), SUBVOL_GETFLAGS, &mut flags)?;
    let wanted = if read_only {
        flags[0] | READ_ONLY
    } else {
        flags[0] & !READ_ONLY
    };
    if wanted == flags[0] {
        return Ok(());
    }
    call(subvolume.as_fd(), SUBVOL_SETFLAGS, &mut [wanted])
}

/// Writes what a read-only subvolume holds to `out`, a pipe or a file, as a stream; with `since`, another read-only subvolume
/// of the file system, only what is not the same there. Waits while nobody reads. See btrfs-send(8).
pub fn send(
    subvolume: impl AsFd,
    since: Option<BorrowedFd<'_>>,
    out: BorrowedFd<'_>,
) -> io::Result<()> {
    let parent = since.map_or(Ok(0), subvolume_id)?;
    let sources = [parent];
    // send_fd, clone_sources_count, clone_sources, parent_root, flags, version and room for more
    let mut args: [u64; 9] = [0; 9];
    args[0] = descriptor(out);
    args[1] = u64::from(since.is_some());
    args[2] = u64::try_from(sources.as_ptr().expose_provenance()).unwrap_or(0);
    args[3] = parent;
    // SAFETY: `args` is live and 72 bytes large, as the opcode says; the kernel reads it, and as many of `sources`, which
    // is live too, as the count says: one or none. It keeps neither, and writes to the descriptor only.
    let result = unsafe { libc::ioctl(subvolume.as_fd().as_raw_fd(), SEND, args.as_mut_ptr()) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The id of the subvolume that `file` is in; quota groups are called after it: `0/ID`.
pub fn subvolume_id(file: impl AsFd) -> io::Result<u64> {
    let mut args = page();
    args[1] = ROOT_INODE;
    call(file.as_fd(), INO_LOOKUP, &mut *args)?;
    Ok(args[0])
}

/// The directories of a subvolume, relative to its root, in which other subvolumes lie.
pub fn directories_with_subvolumes(subvolume: impl AsFd) -> io::Result<Vec<std::path::PathBuf>> {
    /// Entries that one call gives.
    const MOST: usize = 255;
    let mut found = std::collections::BTreeSet::new();
    let mut from = 0;
    loop {
        let mut args = page();
        args[0] = from;
        let more = match call(subvolume.as_fd(), GET_SUBVOL_ROOTREF, &mut *args) {
            Ok(()) => false,
            Err(error) if error.raw_os_error() == Some(libc::EOVERFLOW) => true,
            Err(error) => return Err(error),
        };
        let count = usize::from(args[PAGE / 8 - 1].to_ne_bytes()[0]).min(MOST);
        for entry in 0..count {
            // treeid and dirid of each, after the field that says where to begin.
            found.insert(directory_path(subvolume.as_fd(), args[2 + 2 * entry])?);
        }
        if !more {
            return Ok(found.into_iter().collect());
        }
        from = args[0];
    }
}

fn directory_path(subvolume: BorrowedFd<'_>, inode: u64) -> io::Result<std::path::PathBuf> {
    let mut args = page();
    args[1] = inode;
    call(subvolume, INO_LOOKUP, &mut *args)?;
    let name = bytes(&args[2..]);
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(0);
    Ok(OsStr::from_bytes(&name[..end]).into())
}

/// Which quotas a file system has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaMode {
    /// A block counts for the subvolume that wrote it; costs next to nothing. Linux 6.7.
    Simple,
    /// A block counts for every subvolume that refers to it.
    Full,
}

/// Switches quotas on; what is on already is left as it is.
pub fn enable_quotas(file: impl AsFd, mode: QuotaMode) -> io::Result<()> {
    let command = match mode {
        QuotaMode::Simple => ENABLE_SIMPLE,
        QuotaMode::Full => ENABLE_QGROUPS,
    };
    call(file.as_fd(), QUOTA_CTL, &mut [command, 0])
}

/// Limits what the subvolume that `file` is in may refer to, in bytes; `None` lifts the limit.
pub fn limit(file: impl AsFd, most: Option<u64>) -> io::Result<()> {
    // qgroupid (0: that of the file), flags, max_rfer, max_excl, rsv_rfer, rsv_excl; a maximum of -1 is none.
    let mut args = [0, LIMIT_REFERENCED, most.unwrap_or(u64::MAX), 0, 0, 0];
    call(file.as_fd(), QGROUP_LIMIT, &mut args)
}

/// The UUID of the file system as `/sys/fs/btrfs` writes it.
pub fn uuid(file: impl AsFd) -> io::Result<String> {
    let mut args = [0; 128];
    call(file.as_fd(), FS_INFO, &mut args)?;
    let hex: Vec<String> = bytes(&args[2..4])
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let groups = [0..4, 4..6, 6..8, 8..10, 10..16].map(|range| hex[range].concat());
    Ok(groups.join("-"))
}

/// Makes the file system as large as its (one) device.
pub fn grow_to_device(file: impl AsFd) -> io::Result<()> {
    let mut args = page();
    put_name(&mut *args, NAME, OsStr::new("max"))?;
    call(file.as_fd(), RESIZE, &mut *args)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opcodes_are_those_of_the_header() {
        // As the C preprocessor makes them of linux/btrfs.h.
        assert_eq!(SNAP_CREATE_V2, 0x5000_9417);
        assert_eq!(SUBVOL_SETFLAGS, 0x4008_941a);
        assert_eq!(SEND, 0x4048_9426);
        assert_eq!(QUOTA_CTL, 0xc010_9428);
        assert_eq!(QGROUP_LIMIT, 0x8030_942b);
    }

    #[test]
    fn names_are_single_components() {
        let mut args = page();
        for bad in ["", "a/b", &"x".repeat(256)] {
            assert!(
                put_name(&mut *args, NAME, OsStr::new(bad)).is_err(),
                "{bad}"
            );
        }
        put_name(&mut *args, NAME, OsStr::new("containers-17")).unwrap();
        assert_eq!(&bytes(&*args)[NAME..NAME + 14], b"containers-17\0");
    }
}
