//! The dnsmasq process of a network: found by its pid file, recognised by its command line, held by a pidfd.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rlxc_sys::{file, pidfd};
use rustix::event::{PollFd, PollFlags, Timespec};

use super::config::file_argument;
use crate::Error;

const SIGHUP: i32 = 1;
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
/// It has nothing to do at its end but to close its files.
const PATIENCE: Duration = Duration::from_secs(3);

/// A running dnsmasq of ours.
#[derive(Debug)]
pub(super) struct Running {
    pid: i32,
    pidfd: OwnedFd,
}

/// Finds the process that was started with this configuration file.
pub(super) fn find(pid_file: &Path, config: &Path) -> Option<Running> {
    let pid: i32 = file::read_text(pid_file)
        .ok()?
        .trim()
        .parse()
        .ok()
        .filter(|pid| *pid > 1)?;
    let pidfd = pidfd::open(pid).ok()?;
    // Only after the pidfd is open does the command line speak of the very process that it holds.
    let command_line = file::read(Path::new(&format!("/proc/{pid}/cmdline"))).ok()?;
    let ours = file_argument(config);
    command_line
        .split(|byte| *byte == 0)
        .any(|argument| argument == ours.as_bytes())
        .then_some(Running { pid, pidfd })
}

/// Makes it read its hosts again.
pub(super) fn reload(pid_file: &Path, config: &Path) -> Result<(), Error> {
    find(pid_file, config).map_or(Ok(()), |running| running.signal(SIGHUP))
}

/// Ends it and waits until it is gone.
pub(super) fn stop(pid_file: &Path, config: &Path) -> Result<(), Error> {
    let Some(running) = find(pid_file, config) else {
        return Ok(());
    };
    running.signal(SIGTERM)?;
    if !running.wait() {
        running.signal(SIGKILL)?;
        running.wait();
    }
    Ok(())
}

impl Running {
    /// What becomes readable when it ends.
    pub(super) fn into_pidfd(self) -> OwnedFd {
        self.pidfd
    }

    /// Its process id.
    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    fn signal(&self, signal: i32) -> Result<(), Error> {
        match pidfd::send_signal(self.pidfd.as_fd(), signal) {
            Err(error) if error.raw_os_error() != Some(rustix::io::Errno::SRCH.raw_os_error()) => {
                Err(Error::Signal {
                    pid: self.pid,
                    source: error,
                })
            }
            _ => Ok(()),
        }
    }

    /// Whether it ended in time.
    fn wait(&self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
            match rustix::event::poll(&mut fds, Some(&timeout)) {
                Err(rustix::io::Errno::INTR) => {}
                ready => return ready.is_ok_and(|ready| ready > 0),
            }
        }
    }
}
