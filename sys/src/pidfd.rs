//! Processes by pidfd: signals that can't hit another, and how they ended. See pidfd_open(2).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

impl Ended {
    /// As a shell tells it: the exit code, or 128 and the signal's number.
    pub fn shell_status(self) -> i32 {
        match self {
            Self::Exited(code) => code,
            Self::Killed(signal) => 128 + signal,
        }
    }
}

/// Opens a process by its id; the caller must know that the id is still that process's.
pub fn open(pid: i32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
}

/// Sends a signal by number; real-time signals are numbered as the kernel does (32 is the first).
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: takes a descriptor and numbers, and a null pointer for "no siginfo" (pidfd_send_signal(2)).
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            no_info,
            0,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Whether the process has ended, whoever reaps it.
pub fn has_ended(pidfd: BorrowedFd<'_>) -> bool {
    let mut fds = [rustix::event::PollFd::new(
        &pidfd,
        rustix::event::PollFlags::IN,
    )];
    let now = rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    matches!(rustix::event::poll(&mut fds, Some(&now)), Ok(1))
}

/// Reaps a child that has ended; `None` while it runs.
pub fn try_reap(pidfd: BorrowedFd<'_>) -> io::Result<Option<Ended>> {
    reap_with(pidfd, WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
}

/// Waits for a child to end and reaps it.
pub fn reap(pidfd: BorrowedFd<'_>) -> io::Result<Ended> {
    loop {
        if let Some(ended) = reap_with(pidfd, WaitIdOptions::EXITED)? {
            return Ok(ended);
        }
    }
}

fn reap_with(pidfd: BorrowedFd<'_>, options: WaitIdOptions) -> io::Result<Option<Ended>> {
    let status = match rustix::process::waitid(WaitId::PidFd(pidfd), options) {
        Ok(status) => status,
        Err(rustix::io::Errno::INTR) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    Ok(status.and_then(|status| {
        let exited = status.exit_status().map(Ended::Exited);
        exited.or_else(|| status.terminating_signal().map(Ended::Killed))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn spawn(script: &str) -> std::process::Child {
        let tool = crate::tool::Tool::new("sh").args(["-c", script]);
        tool.command().unwrap().spawn().unwrap()
    }

    #[test]
    #[expect(
        clippy::zombie_processes,
        reason = "reaped by its pidfd, which is the point"
    )]
    fn tells_exit_code() {
        let child = spawn("exit 3");
        let pidfd = open(child.id().try_into().unwrap()).unwrap();
        assert_eq!(reap(pidfd.as_fd()).unwrap(), Ended::Exited(3));
    }

    #[test]
    #[expect(
        clippy::zombie_processes,
        reason = "reaped by its pidfd, which is the point"
    )]
    fn tells_signal() {
        let child = spawn("sleep 60");
        let pidfd = open(child.id().try_into().unwrap()).unwrap();
        assert_eq!(try_reap(pidfd.as_fd()).unwrap(), None);
        send_signal(pidfd.as_fd(), libc::SIGKILL).unwrap();
        let ended = reap(pidfd.as_fd()).unwrap();
        assert_eq!((ended, ended.shell_status()), (Ended::Killed(9), 137));
    }
}
