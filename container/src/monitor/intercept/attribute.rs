//! setxattr(2): the attributes with which overlays mark directories and files.

use std::os::fd::{AsRawFd as _, OwnedFd};

use rlxc_sys::seccomp::Answer;
use rustix::fs::{FileType, OFlags, XattrFlags};
use rustix::io::Errno;

use super::agent::{self, Agent};
use super::caller::{Caller, as_int};

/// See Documentation/filesystems/overlayfs.rst. Not those that hold handles of files: the kernel opens what they name.
const HARMLESS: [&[u8]; 3] = [
    b"trusted.overlay.impure",
    b"trusted.overlay.opaque",
    b"trusted.overlay.whiteout",
];

/// Sets one. The kernel does so with any other, or refuses it: it decides by what is in memory then.
pub(super) fn set(
    caller: &Caller<'_>,
    call: &str,
    [target, name, value, size, flags, _]: [u64; 6],
) -> Result<Answer, Errno> {
    let name = caller.string(name)?;
    if !name.starts_with(b"trusted.") {
        return Ok(Answer::Continue);
    }
    caller.needs("sys_admin")?;
    if !HARMLESS.contains(&&name[..]) || size != 1 {
        return Err(Errno::PERM);
    }
    let value = caller.bytes(value, 1)?;
    let file = open(caller, call, target)?;
    caller.still_waits()?;
    belongs(caller, &file)?;
    let flags = XattrFlags::from_bits(as_int(flags).cast_unsigned()).ok_or(Errno::INVAL)?;
    // What is open as a place only can't be written to by its descriptor.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::setxattr(path, &name[..], &value, flags)?;
    Ok(Answer::Done(0))
}

fn open(caller: &Caller<'_>, call: &str, target: u64) -> Result<OwnedFd, Errno> {
    if call == "fsetxattr" {
        return caller.file(as_int(target));
    }
    let path = caller.string(target)?;
    let link = match call {
        "lsetxattr" => OFlags::NOFOLLOW,
        _ => OFlags::empty(),
    };
    let start = caller.start(None)?;
    let agent = Agent::send(caller, &start, |line| {
        line.give(&agent::open(&path, link)?);
        Ok(())
    })?;
    agent.opened()
}

/// Only files and directories whose owners are the container's, as the kernel asks of whoever is root in a namespace.
fn belongs(caller: &Caller<'_>, file: &OwnedFd) -> Result<(), Errno> {
    let stat = rustix::fs::fstat(file)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    let idmap = caller.idmap;
    let owned =
        idmap.container_uid(stat.st_uid).is_some() && idmap.container_gid(stat.st_gid).is_some();
    if owned && matches!(kind, FileType::Directory | FileType::RegularFile) {
        Ok(())
    } else {
        Err(Errno::PERM)
    }
}
