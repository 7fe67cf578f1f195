//! New processes by clone3(2): straight into namespaces and a cgroup, with a pidfd.
//!
//! Cloning a process that has threads leaves locks held for ever in the child (malloc's first of all), so
//! [`clone_child`] refuses it; only the monitor and its children come here, the daemon just executes programs.

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::panic::AssertUnwindSafe;

use crate::identity::UserIdentity;

/// `CLONE_INTO_CGROUP` of linux/sched.h; the constant of crate libc is cut off to 0.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
/// What a child ends with whose code panicked.
const PANICKED: i32 = 112;

/// Why there is no child.
#[derive(Debug, thiserror::Error)]
pub enum CloneError {
    /// The calling process has more than one thread.
    #[error("a process with several threads can't be cloned safely")]
    MultiThreaded,
    /// The kernel refused.
    #[error("clone a process")]
    Clone(#[source] io::Error),
}

/// A set of namespaces that a child gets for its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewNamespaces(i32);

impl NewNamespaces {
    /// None: the child shares all.
    pub const NONE: Self = Self(0);
    /// Mount alone.
    pub const MOUNT: Self = Self(libc::CLONE_NEWNS);
    /// Mount, PID, network, UTS and IPC. The cgroup namespace comes later, from inside the right cgroup.
    pub const PRIVILEGED: Self = Self(
        libc::CLONE_NEWNS
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWNET
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWIPC,
    );
    /// The same, owned by a user namespace of its own.
    pub const UNPRIVILEGED: Self = Self(Self::PRIVILEGED.0 | libc::CLONE_NEWUSER);
}

/// Whose child the new process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent {
    /// The caller's.
    Caller,
    /// The caller's parent's, which reaps it (`CLONE_PARENT`).
    Grandparent,
}

/// What a child is to be.
#[derive(Debug, Clone, Copy)]
pub struct CloneRequest<'a> {
    /// Its own namespaces.
    pub namespaces: NewNamespaces,
    /// The directory of the cgroup2 that it begins in; the caller's if none.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// Whose child it is.
    pub parent: Parent,
    /// Whose its user namespace is, and on whose account the kernel counts what is used in there, inotify instances say; the
    /// caller's if none. See "limits on the number of user namespaces" in namespaces(7): the others in /proc/sys/user are
    /// counted likewise.
    pub owner: Option<u32>,
}

impl Default for CloneRequest<'_> {
    fn default() -> Self {
        Self {
            namespaces: NewNamespaces::NONE,
            cgroup: None,
            parent: Parent::Caller,
            owner: None,
        }
    }
}

/// A process that was just made.
#[derive(Debug)]
pub struct Child {
    /// Its id in the caller's PID namespace.
    pub pid: i32,
    /// Refers to it for ever; readable once it has ended.
    pub pidfd: OwnedFd,
}

/// Runs `child` in a new process that is a copy of this one. It never returns into the caller's code: should it
/// panic, the process ends.
pub fn clone_child(
    request: &CloneRequest<'_>,
    child: impl FnOnce() -> Infallible,
) -> Result<Child, CloneError> {
    if !is_single_threaded() {
        return Err(CloneError::MultiThreaded);
    }
    let mut pidfd: i32 = -1;
    let arguments = arguments(request, &mut pidfd);
    let owner = request.owner.map(UserIdentity::assume).transpose();
    let owner = owner.map_err(CloneError::Clone)?;
    // SAFETY: `arguments` is a live clone_args whose size is given beside it and whose `pidfd` points to a live int.
    // There is neither CLONE_VM nor a stack, so the child runs on its copy of this very stack, as after fork(2); the
    // process has one thread, so no lock of the C library is held by another.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw const arguments,
            size_of::<libc::clone_args>(),
        )
    };
    let failure = io::Error::last_os_error();
    if pid != 0 {
        drop(owner);
    }
    match pid {
        0 => {
            let Err(_panic) = std::panic::catch_unwind(AssertUnwindSafe(|| match child() {}));
            crate::process::exit_now(PANICKED)
        }
        1.. => {
            // SAFETY: the kernel has just stored a new descriptor there, which nobody else knows.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            let pid = i32::try_from(pid)
                .map_err(|_overflow| CloneError::Clone(io::ErrorKind::InvalidData.into()))?;
            Ok(Child { pid, pidfd })
        }
        _ => Err(CloneError::Clone(failure)),
    }
}

fn arguments(request: &CloneRequest<'_>, pidfd: &mut i32) -> libc::clone_args {
    let mut flags = u64::from((libc::CLONE_PIDFD | request.namespaces.0).cast_unsigned());
    if request.parent == Parent::Grandparent {
        flags |= u64::from(libc::CLONE_PARENT.cast_unsigned());
    }
    let mut cgroup = 0;
    if let Some(directory) = request.cgroup {
        flags |= CLONE_INTO_CGROUP;
        cgroup = u64::from(directory.as_raw_fd().unsigned_abs());
    }
    libc::clone_args {
        flags,
        pidfd: (&raw mut *pidfd).expose_provenance() as u64,
        child_tid: 0,
        parent_tid: 0,
        // With CLONE_PARENT the child's exit signal is that of its sibling, the caller.
        exit_signal: match request.parent {
            Parent::Caller => u64::from(libc::SIGCHLD.unsigned_abs()),
            Parent::Grandparent => 0,
        },
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup,
    }
}

/// Whether the calling process has one thread. Works in any namespace, unlike a look into `/proc/self/task`.
pub fn is_single_threaded() -> bool {
    // SAFETY: unshare(CLONE_THREAD) changes nothing: it succeeds in a process with one thread and is EINVAL in any
    // other (unshare(2)).
    let result = unsafe { libc::unshare(libc::CLONE_THREAD) };
    result == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_process_with_threads() {
        // The test harness itself has several.
        let result = clone_child(&CloneRequest::default(), || crate::process::exit_now(0));
        assert!(
            matches!(result, Err(CloneError::MultiThreaded)),
            "{result:?}"
        );
    }
}
