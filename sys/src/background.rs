//! Programs of the host that put themselves in the background and outlive who started them: found by the file that they
//! write their process id to, recognised by their command line, held by a pidfd.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::{file, pidfd};

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
/// They have nothing to do at their end but to close their files.
const PATIENCE: Duration = Duration::from_secs(3);

/// A running program.
#[derive(Debug)]
pub struct Background {
    pid: i32,
    pidfd: OwnedFd,
}

/// Finds the process that has this among its arguments.
pub fn find(pid_file: &Path, argument: &OsStr) -> Option<Background> {
    let pid: i32 = file::read_text(pid_file)
        .ok()?
        .trim()
        .parse()
        .ok()
        .filter(|pid| *pid > 1)?;
    let pidfd = pidfd::open(pid).ok()?;
    // Only after the pidfd is open does the command line speak of the very process that it holds.
    let command_line = file::read(Path::new(&format!("/proc/{pid}/cmdline"))).ok()?;
    command_line
        .split(|byte| *byte == 0)
        .any(|found| found == argument.as_bytes())
        .then_some(Background { pid, pidfd })
}

impl Background {
    /// What becomes readable when it ends.
    pub fn into_pidfd(self) -> OwnedFd {
        self.pidfd
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends it a signal; fine if it has ended.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        match pidfd::send_signal(self.pidfd.as_fd(), signal) {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {
                Ok(())
            }
            other => other,
        }
    }

    /// Asks it to end, makes it if it does not, and waits until it is gone.
    pub fn end(&self) -> io::Result<()> {
        self.signal(SIGTERM)?;
        if !self.has_ended_within(PATIENCE) {
            self.signal(SIGKILL)?;
            self.has_ended_within(PATIENCE);
        }
        Ok(())
    }

    /// Moves it to a control group (see cgroups(7)), which is made if it is not there.
    pub fn enter(&self, group: &Path) -> io::Result<()> {
        std::fs::create_dir_all(group)?;
        std::fs::write(group.join("cgroup.procs"), self.pid.to_string())
    }

    fn has_ended_within(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
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

/// Removes their control group once the last has left it; while there is another the kernel refuses.
pub fn leave(group: &Path) {
    if let Err(error) = std::fs::remove_dir(group) {
        tracing::debug!(group = %group.display(), %error, "a control group stays");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::Tool;

    #[test]
    fn is_found_by_its_arguments_and_ended() {
        let directory = tempfile::tempdir().unwrap();
        let pid_file = directory.path().join("pid");
        // A number that sleep alone would not have: its command line is what it is known by.
        let argument = OsStr::new("61.25");
        assert!(find(&pid_file, argument).is_none());
        let mut child = Tool::new("sleep").args([argument]).command().unwrap();
        let mut child = child.spawn().unwrap();
        std::fs::write(&pid_file, format!("{}\n", child.id())).unwrap();
        assert!(find(&pid_file, OsStr::new("61")).is_none(), "another");
        // A parent goes on before the kernel shows the child's new command line.
        let deadline = Instant::now() + PATIENCE;
        let found = loop {
            match find(&pid_file, argument) {
                Some(found) => break found,
                None => assert!(Instant::now() < deadline, "it is not found"),
            }
        };
        assert_eq!(found.pid().cast_unsigned(), child.id());
        found.end().unwrap();
        child.wait().unwrap();
        found.signal(SIGTERM).unwrap();
        assert!(find(&pid_file, argument).is_none());
    }
}
