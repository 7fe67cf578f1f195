//! mknod(2): nodes of devices that every container has anyway.

use std::ffi::OsStr;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;

use rlxc_sys::identity::FsIdentity;
use rlxc_sys::path;
use rlxc_sys::seccomp::Answer;
use rustix::fs::{Access, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::agent::{self, Agent, to_errno};
use super::caller::{Caller, as_int};

/// Character devices by major and minor number, see Documentation/admin-guide/devices.txt: null, zero, full, random,
/// urandom, tty, console. They say nothing and hold nothing.
const HARMLESS: [(u32, u32); 7] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1)];

/// Makes one; `start` is the descriptor that the path is relative to.
pub(super) fn make(
    caller: &Caller<'_>,
    start: Option<u64>,
    (place, mode, number): (u64, u64, u64),
) -> Result<Answer, Errno> {
    // Both are numbers, which nobody can change any more.
    let mode = as_int(mode).cast_unsigned();
    let (major, minor) = decode(as_int(number).cast_unsigned());
    caller.needs("mknod")?;
    let kind = FileType::from_raw_mode(mode);
    if kind != FileType::CharacterDevice || !HARMLESS.contains(&(major, minor)) {
        return Err(Errno::PERM);
    }
    let place = caller.string(place)?;
    let start = caller.start(start)?;
    let (directory, name) = split(&place)?;
    let agent = Agent::send(caller, &start, |line| {
        let directory = agent::open(directory, OFlags::DIRECTORY)?;
        let writing = Access::WRITE_OK | Access::EXEC_OK;
        path::check_access(directory.as_fd(), writing).map_err(to_errno)?;
        line.give(&directory);
        Ok(())
    })?;
    let directory = agent.opened()?;
    caller.still_waits()?;
    let status = &caller.status;
    let _identity = FsIdentity::assume(status.uid, status.gid).map_err(to_errno)?;
    let mode = Mode::from_raw_mode(mode & 0o7777 & !status.umask);
    let device = rustix::fs::makedev(major, minor);
    // The last name is never followed.
    rustix::fs::mknodat(
        directory.as_fd(),
        OsStr::from_bytes(name),
        kind,
        mode,
        device,
    )?;
    Ok(Answer::Done(0))
}

/// As the kernel takes numbers from programs (`new_decode_dev`).
fn decode(number: u32) -> (u32, u32) {
    (
        (number & 0xfff00) >> 8,
        (number & 0xff) | ((number >> 12) & 0xfff00),
    )
}

/// The directory of a path and the last name in it.
fn split(path: &[u8]) -> Result<(&[u8], &[u8]), Errno> {
    let (directory, name) = match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => path.split_at(slash + 1),
        None => (&b"."[..], path),
    };
    match name {
        b"" => Err(Errno::NOENT),
        b"." | b".." => Err(Errno::EXIST),
        name => Ok((directory, name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_kernels() {
        assert_eq!(decode(0x103), (1, 3));
        assert_eq!(decode(0x1234_5678), (0x456, 0x0001_2378));
        let device = rustix::fs::makedev(1, 3);
        assert_eq!(decode(u32::try_from(device).unwrap()), (1, 3));
    }

    #[test]
    fn a_path_is_a_directory_and_a_name() {
        assert_eq!(split(b"x").unwrap(), (&b"."[..], &b"x"[..]));
        assert_eq!(split(b"/x").unwrap(), (&b"/"[..], &b"x"[..]));
        assert_eq!(split(b"a/../x").unwrap(), (&b"a/../"[..], &b"x"[..]));
        assert_eq!(split(b"a/").unwrap_err(), Errno::NOENT);
        assert_eq!(split(b"").unwrap_err(), Errno::NOENT);
        assert_eq!(split(b"a/..").unwrap_err(), Errno::EXIST);
    }
}
