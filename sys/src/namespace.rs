//! Namespaces of the calling thread and of containers, see namespaces(7).
//!
//! Only short-lived processes and threads call these: nobody needs a way back.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::thread::{ThreadNameSpaceType, UnshareFlags};

/// Gives the calling thread a mount namespace of its own, and with it a current directory and root of its own.
pub fn unshare_mounts() -> io::Result<()> {
    unshare(UnshareFlags::NEWNS)
}

/// Gives the calling process a cgroup namespace whose root is the cgroup it is in now; see cgroup_namespaces(7).
pub fn unshare_cgroup() -> io::Result<()> {
    unshare(UnshareFlags::NEWCGROUP)
}

fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: of all flags only FILES is a matter of memory safety (descriptors that another thread owns would be
    // closed under it), and callers in this module pass none but NEWNS and NEWCGROUP.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(Into::into)
}

/// Moves the calling process into all namespaces of another; its next child is in the PID namespace too.
///
/// `user` tells whether the other has a user namespace of its own: joining one's own is an error (setns(2)).
pub fn join_all(pidfd: BorrowedFd<'_>, user: bool) -> io::Result<()> {
    let mut kinds = ThreadNameSpaceType::MOUNT
        | ThreadNameSpaceType::PROCESS_ID
        | ThreadNameSpaceType::NETWORK
        | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
        | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
        | ThreadNameSpaceType::CONTROL_GROUP;
    if user {
        kinds |= ThreadNameSpaceType::USER;
    }
    Ok(rustix::thread::move_into_thread_name_spaces(pidfd, kinds)?)
}

/// Moves the calling process, which has one thread, into the mount and network namespaces of another.
pub fn enter(pidfd: BorrowedFd<'_>) -> io::Result<()> {
    let kinds = ThreadNameSpaceType::MOUNT | ThreadNameSpaceType::NETWORK;
    Ok(rustix::thread::move_into_thread_name_spaces(pidfd, kinds)?)
}

/// The mount and network namespaces that a process is in, to come back to them.
#[derive(Debug)]
pub struct Place {
    mount: OwnedFd,
    network: OwnedFd,
}

impl Place {
    /// Where the calling process is.
    pub fn here() -> io::Result<Self> {
        let own = std::process::id().cast_signed();
        Ok(Self {
            mount: open(own, "mnt")?,
            network: open(own, "net")?,
        })
    }

    /// Moves the calling process, which has one thread, there.
    pub fn enter(&self) -> io::Result<()> {
        for namespace in [&self.network, &self.mount] {
            rustix::thread::move_into_link_name_space(namespace.as_fd(), None)?;
        }
        Ok(())
    }
}

/// Moves the calling process into the user namespace of another, which must not be its own.
pub fn join_user(pidfd: BorrowedFd<'_>) -> io::Result<()> {
    let kind = ThreadNameSpaceType::USER;
    Ok(rustix::thread::move_into_thread_name_spaces(pidfd, kind)?)
}

/// Moves the calling process into the mount namespace of another; its root is the other's then.
pub fn join_mounts(pidfd: BorrowedFd<'_>) -> io::Result<()> {
    let kind = ThreadNameSpaceType::MOUNT;
    Ok(rustix::thread::move_into_thread_name_spaces(pidfd, kind)?)
}

/// Moves the calling process, which has one thread, into a namespace by a descriptor of it. Into that of a PID namespace
/// only its next children go.
pub fn join(namespace: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::thread::move_into_link_name_space(namespace, None)?)
}

/// Opens the namespace `kind` (`net`, `user`, ...: a name in `/proc/PID/ns`) of a process.
pub fn open(pid: i32, kind: &str) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(
        format!("/proc/{pid}/ns/{kind}"),
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}
