//! A process that stands where a caller stands and may what it may: it follows paths for the worker.
//!
//! The worker can do all on the host; were it to follow a path that the container wrote, links in `/proc` would lead it to
//! files of processes that the container can't look into, and modes would not hold it. The agent has the caller's mount
//! namespace, root, directory, ids and capabilities, follows no such links, and hands back what it opened.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rlxc_sys::clone::{CloneRequest, clone_child};
use rlxc_sys::{capability, namespace, packet, process};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::net::Shutdown;
use serde::{Deserialize, Serialize};

use super::caller::{Caller, Status};
use crate::protocol;

/// What is said in both directions; a descriptor may come with it.
#[derive(Debug, Serialize, Deserialize)]
struct Word {
    /// 0 if all went well.
    errno: i32,
}

/// How long an agent that has nothing to do any more may take to end.
const PATIENCE: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// The worker's end.
pub(super) struct Agent {
    socket: OwnedFd,
    process: OwnedFd,
}

impl Drop for Agent {
    /// Waits for its end: what it has open keeps a file system busy, which a caller that unmounts it next must not find.
    fn drop(&mut self) {
        let _told = rustix::net::shutdown(&self.socket, Shutdown::Both);
        let mut fds = [PollFd::new(&self.process, PollFlags::IN)];
        let _ended = rustix::event::poll(&mut fds, Some(&PATIENCE));
    }
}

/// The agent's end.
pub(super) struct Line(OwnedFd);

impl Agent {
    /// Sends one to where `caller` is, `start` the directory that paths are relative to; `errand` is what it does there.
    pub(super) fn send(
        caller: &Caller<'_>,
        start: &OwnedFd,
        errand: impl FnOnce(&Line) -> Result<(), Errno>,
    ) -> Result<Self, Errno> {
        let (mounts, root) = (caller.namespace("mnt")?, caller.root()?);
        caller.still_waits()?;
        let (ours, theirs) = packet::pair().map_err(to_errno)?;
        let line = Line(theirs);
        let child = clone_child(&CloneRequest::default(), || -> Infallible {
            let result =
                become_caller(caller, (&mounts, &root, start)).and_then(|()| errand(&line));
            if let Err(errno) = result {
                line.say(errno.raw_os_error(), &[]);
            }
            process::exit_now(0)
        })
        .map_err(|_no_process| Errno::AGAIN)?;
        Ok(Self {
            socket: ours,
            process: child.pidfd,
        })
    }

    /// What it opened, or why it could not.
    pub(super) fn opened(&self) -> Result<OwnedFd, Errno> {
        hear(&self.socket)?.ok_or(Errno::PERM)
    }

    /// Waits until it is done.
    pub(super) fn done(&self) -> Result<(), Errno> {
        hear(&self.socket).map(drop)
    }

    /// Hands it something to go on with.
    pub(super) fn give(&self, descriptor: &OwnedFd) {
        say(&self.socket, 0, &[descriptor.as_fd()]);
    }
}

impl Line {
    /// Hands back what was opened.
    pub(super) fn give(&self, descriptor: &OwnedFd) {
        self.say(0, &[descriptor.as_fd()]);
    }

    /// Says that it is done.
    pub(super) fn done(&self) {
        self.say(0, &[]);
    }

    /// Waits for what the worker hands over.
    pub(super) fn given(&self) -> Result<OwnedFd, Errno> {
        hear(&self.0)?.ok_or(Errno::PERM)
    }

    fn say(&self, errno: i32, fds: &[BorrowedFd<'_>]) {
        say(&self.0, errno, fds);
    }
}

fn say(socket: &OwnedFd, errno: i32, fds: &[BorrowedFd<'_>]) {
    // Who does not hear it has ended, and the call with it.
    drop(protocol::send(socket.as_fd(), &Word { errno }, fds));
}

fn hear(socket: &OwnedFd) -> Result<Option<OwnedFd>, Errno> {
    match protocol::receive::<Word>(socket.as_fd()) {
        Ok(Some((Word { errno: 0 }, fds))) => Ok(fds.into_iter().next()),
        Ok(Some((Word { errno }, _))) => Err(Errno::from_raw_os_error(errno)),
        Ok(None) | Err(_) => Err(Errno::PERM),
    }
}

fn become_caller(
    caller: &Caller<'_>,
    (mounts, root, start): (&OwnedFd, &OwnedFd, &OwnedFd),
) -> Result<(), Errno> {
    process::die_with_parent().map_err(to_errno)?;
    namespace::join(caller.userns.as_fd()).map_err(to_errno)?;
    // In ids of the container from here on.
    let status = Status::read(caller.proc.as_fd())?;
    caller.still_waits()?;
    namespace::join(mounts.as_fd()).map_err(to_errno)?;
    rustix::process::fchdir(root)?;
    rustix::process::chroot(".")?;
    rustix::process::fchdir(start)?;
    process::keep_capabilities().map_err(to_errno)?;
    process::become_user(status.uid, status.gid, &status.groups).map_err(to_errno)?;
    capability::keep_only(status.capabilities).map_err(to_errno)?;
    // A change of identity has made the kernel forget both.
    process::forbid_tracing().map_err(to_errno)?;
    process::die_with_parent().map_err(to_errno)
}

/// Opens a path, by no link of `/proc` to what a process has open.
pub(super) fn open(path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    if path.is_empty() {
        return Err(Errno::NOENT);
    }
    rustix::fs::openat2(
        CWD,
        Path::new(OsStr::from_bytes(path)),
        flags | OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::NO_MAGICLINKS,
    )
}

/// The kernel's error at the root of another.
pub(super) fn to_errno(error: impl std::error::Error + 'static) -> Errno {
    match crate::confine::errno(&error) {
        0 => Errno::INVAL,
        number => Errno::from_raw_os_error(number),
    }
}
