//! Who made a call: its ids and capabilities, its memory, where it stands.

use std::io::{IoSlice, IoSliceMut, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::uio::{RemoteIoVec, process_vm_readv, process_vm_writev};
use nix::unistd::Pid;
use rlxc_sys::capability::Capability;
use rlxc_sys::idmap::IdMap;
use rlxc_sys::seccomp::{Listener, Notification};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::monitor::launch::Container;

/// The longest path, see path_resolution(7), and the longest that mount(2) takes.
const PATH_MAX: usize = 4096;
const PAGE: u64 = 4096;
/// What stands for the working directory.
const AT_FDCWD: i32 = -100;

/// What proc_pid_status(5) tells, in ids of the user namespace of who reads.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Status {
    /// Of files.
    pub(super) uid: u32,
    /// Of files.
    pub(super) gid: u32,
    pub(super) groups: Vec<u32>,
    pub(super) umask: u32,
    /// Effective ones, as the kernel writes them.
    pub(super) capabilities: u64,
}

impl Status {
    /// Of a directory below `/proc`.
    pub(super) fn read(directory: BorrowedFd<'_>) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(directory, "status", flags, Mode::empty())?;
        let mut text = String::new();
        std::fs::File::from(file)
            .read_to_string(&mut text)
            .map_err(|_gone| Errno::SRCH)?;
        Self::parse(&text).ok_or(Errno::SRCH)
    }

    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.strip_prefix(':')).map(str::trim)
        };
        let of_files = |name| field(name)?.split_whitespace().nth(3)?.parse().ok();
        let groups = field("Groups")?.split_whitespace().map(str::parse);
        Some(Self {
            uid: of_files("Uid")?,
            gid: of_files("Gid")?,
            groups: groups.collect::<Result<_, _>>().ok()?,
            umask: u32::from_str_radix(field("Umask")?, 8).ok()?,
            capabilities: u64::from_str_radix(field("CapEff")?, 16).ok()?,
        })
    }
}

/// A thread that waits for the answer to a call.
pub(super) struct Caller<'a> {
    listener: &'a Listener,
    call: u64,
    pub(super) thread: i32,
    pub(super) container: &'a Container,
    pub(super) userns: &'a OwnedFd,
    pub(super) idmap: &'a IdMap,
    /// Its directory in `/proc`: whatever its number is given to later, this is its own.
    pub(super) proc: OwnedFd,
    /// In ids of the host.
    pub(super) status: Status,
}

impl<'a> Caller<'a> {
    pub(super) fn open(
        listener: &'a Listener,
        notification: &Notification,
        container: &'a Container,
    ) -> Result<Self, Errno> {
        let ids = container.userns.as_ref().zip(container.idmap.as_ref());
        let (userns, idmap) = ids.ok_or(Errno::PERM)?;
        let path = format!("/proc/{}", notification.thread);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let proc = rustix::fs::open(path, flags, Mode::empty())?;
        let status = Status::read(proc.as_fd())?;
        let caller = Self {
            listener,
            call: notification.id,
            thread: notification.thread,
            container,
            userns,
            idmap,
            proc,
            status,
        };
        caller.still_waits()?;
        Ok(caller)
    }

    /// Fails if it is gone: what was read since it called may be another's then.
    pub(super) fn still_waits(&self) -> Result<(), Errno> {
        if self.listener.is_waiting(self.call) {
            Ok(())
        } else {
            Err(Errno::SRCH)
        }
    }

    /// Fails unless it is in the container's own user namespace and holds a capability there: what the kernel would ask
    /// for, were the container the host.
    pub(super) fn needs(&self, capability: &str) -> Result<(), Errno> {
        let capability = Capability::parse(capability).ok_or(Errno::PERM)?;
        let same = is_same(&self.namespace("user")?, self.userns)?;
        if same && capability.is_in(self.status.capabilities) {
            Ok(())
        } else {
            Err(Errno::PERM)
        }
    }

    /// A namespace that it is in, `mnt`.
    pub(super) fn namespace(&self, kind: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        rustix::fs::openat(&self.proc, format!("ns/{kind}"), flags, Mode::empty())
    }

    /// Its root.
    pub(super) fn root(&self) -> Result<OwnedFd, Errno> {
        self.place("root")
    }

    /// Where paths begin that are relative to a descriptor of its; to its working directory without one.
    pub(super) fn start(&self, descriptor: Option<u64>) -> Result<OwnedFd, Errno> {
        match descriptor.map(as_int) {
            None | Some(AT_FDCWD) => self.place("cwd"),
            Some(number) => self.file(number),
        }
    }

    /// What one of its descriptors is open at.
    pub(super) fn file(&self, number: i32) -> Result<OwnedFd, Errno> {
        match u32::try_from(number) {
            Ok(number) => self
                .place(&format!("fd/{number}"))
                .map_err(|errno| match errno {
                    Errno::NOENT => Errno::BADF,
                    other => other,
                }),
            Err(_negative) => Err(Errno::BADF),
        }
    }

    fn place(&self, name: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        rustix::fs::openat(&self.proc, name, flags, Mode::empty())
    }

    /// A copy of a string in its memory, without the NUL.
    pub(super) fn string(&self, address: u64) -> Result<Vec<u8>, Errno> {
        let mut string = Vec::new();
        let mut at = address;
        while string.len() < PATH_MAX {
            // To the end of the page: the next may not be there.
            let length = usize::try_from(PAGE - at % PAGE).unwrap_or(1);
            let chunk = self.bytes(at, length)?;
            if let Some(end) = chunk.iter().position(|byte| *byte == 0) {
                string.extend(&chunk[..end]);
                return Ok(string);
            }
            string.extend(&chunk);
            at = at.checked_add(length as u64).ok_or(Errno::FAULT)?;
        }
        Err(Errno::NAMETOOLONG)
    }

    /// The same; nothing at address 0.
    pub(super) fn optional_string(&self, address: u64) -> Result<Vec<u8>, Errno> {
        if address == 0 {
            return Ok(Vec::new());
        }
        self.string(address)
    }

    /// A copy of its memory.
    pub(super) fn bytes(&self, address: u64, length: usize) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; length];
        let base = usize::try_from(address).map_err(|_far| Errno::FAULT)?;
        let remote = [RemoteIoVec { base, len: length }];
        let pid = Pid::from_raw(self.thread);
        let mut local = [IoSliceMut::new(&mut bytes)];
        match process_vm_readv(pid, &mut local, &remote) {
            Ok(read) if read == length => Ok(bytes),
            _ => Err(Errno::FAULT),
        }
    }

    /// Writes to its memory, where it could itself.
    pub(super) fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        let base = usize::try_from(address).map_err(|_far| Errno::FAULT)?;
        let len = bytes.len();
        let pid = Pid::from_raw(self.thread);
        match process_vm_writev(pid, &[IoSlice::new(bytes)], &[RemoteIoVec { base, len }]) {
            Ok(written) if written == len => Ok(()),
            _ => Err(Errno::FAULT),
        }
    }
}

/// The lower half of an argument, as the kernel takes an int.
pub(super) fn as_int(argument: u64) -> i32 {
    let [a, b, c, d, ..] = argument.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

/// Whether two descriptors are open at the same file.
pub(super) fn is_same(one: impl AsFd, other: impl AsFd) -> Result<bool, Errno> {
    let (one, other) = (rustix::fs::fstat(one)?, rustix::fs::fstat(other)?);
    Ok((one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_tells_of_a_process() {
        let text = "Name:\tx\nUmask:\t0027\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9 10 \nCapEff:\t0000000008000000\n";
        let expected = Status {
            uid: 4,
            gid: 8,
            groups: vec![9, 10],
            umask: 0o027,
            capabilities: 1 << 27,
        };
        assert_eq!(Status::parse(text), Some(expected));
        assert_eq!(Status::parse("Name:\tx\n"), None);
        let own = std::fs::read_to_string("/proc/self/status").unwrap();
        assert!(Status::parse(&own).is_some());
    }

    #[test]
    fn arguments_are_ints_whatever_is_above_them() {
        assert_eq!(as_int(0xffff_ff9c), AT_FDCWD);
        assert_eq!(as_int(0xffff_ffff_ffff_ff9c), AT_FDCWD);
        assert_eq!(as_int(0x1_0000_0003), 3);
    }
}
