//! Commands that run by way of the monitor: one connection each, which may go while the command stays.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rlxc_sys::clone::{CloneRequest, clone_child};
use rlxc_sys::{packet, pidfd, pty};

use super::launch::Container;
use crate::attach::{self, FromCommand, Order};
use crate::confine::InPhase;
use crate::protocol::{self, ExecRequest, Failure, Reply};

/// A command.
///
/// ```text
/// starting: status socket open ─end of it─▶ running (or failed) ─pidfd─▶ ended
/// ```
pub(super) struct Command {
    pub(super) connection: u64,
    /// Open until exec.
    pub(super) status: Option<OwnedFd>,
    pub(super) helper: Option<OwnedFd>,
    pid: i32,
    pub(super) pidfd: Option<OwnedFd>,
    master: Option<OwnedFd>,
    /// Kept to resize the terminal. Not the master: a daemon that dies must hang it up.
    slave: Option<OwnedFd>,
    /// Hears of the calls that its filter hands over, until it is taken.
    pub(super) calls: Option<OwnedFd>,
    failure: Option<Failure>,
}

impl Command {
    /// Clones the helper; what comes of it is told by the status socket.
    pub(super) fn start(
        container: &Container,
        connection: u64,
        request: &ExecRequest,
        stdio: &[OwnedFd],
    ) -> Result<Self, Failure> {
        const PHASE: &str = "attach";
        let (ours, theirs) = packet::pair().in_phase(PHASE, String::new)?;
        let leaf = container
            .cgroup
            .open_attached(container.owner)
            .in_phase(PHASE, String::new)?;
        let order = Order {
            init: container.init.pidfd.as_fd(),
            unprivileged: container.userns.is_some(),
            confinement: &container.confinement,
            oom_score_adj: container.oom_score_adj,
            cgroup: &container.cgroup,
            request,
            stdio,
        };
        let clone = CloneRequest {
            cgroup: Some(leaf.as_fd()),
            ..CloneRequest::default()
        };
        let helper =
            clone_child(&clone, || attach::run(&theirs, &order)).in_phase(PHASE, String::new)?;
        Ok(Self {
            connection,
            status: Some(ours),
            helper: Some(helper.pidfd),
            pid: 0,
            pidfd: None,
            master: None,
            slave: None,
            calls: None,
            failure: None,
        })
    }

    /// Reads one message of helper or command; returns what is to be told when it is known whether the command runs.
    pub(super) fn hear(&mut self) -> Option<(Reply, Option<OwnedFd>)> {
        let status = self.status.as_ref()?;
        let Ok(Some((message, fds))) = protocol::receive::<FromCommand>(status.as_fd()) else {
            return Some(self.settle());
        };
        let mut fds = fds.into_iter();
        match message {
            FromCommand::Cloned { pid } => {
                self.pid = pid;
                self.pidfd = fds.next();
            }
            FromCommand::Terminal => {
                self.master = fds.next();
                self.slave = fds.next();
            }
            FromCommand::Listening => self.calls = fds.next(),
            FromCommand::Failed(failure) => self.failure = Some(failure),
        }
        None
    }

    fn settle(&mut self) -> (Reply, Option<OwnedFd>) {
        self.status = None;
        let failure = match self.failure.take() {
            None if self.pidfd.is_some() => {
                return (Reply::ExecStarted { pid: self.pid }, self.master.take());
            }
            failure => failure,
        };
        let (errno, detail) = failure.map_or_else(
            || (0, "the container ended".to_owned()),
            |failure| (failure.errno, failure.to_string()),
        );
        self.pid = 0;
        (Reply::ExecFailed { errno, detail }, None)
    }

    /// Whether nothing is left of it.
    pub(super) fn is_over(&self) -> bool {
        self.status.is_none() && self.helper.is_none() && self.pidfd.is_none()
    }

    /// Reaps the helper.
    pub(super) fn reap_helper(&mut self) {
        if let Some(helper) = &self.helper
            && !matches!(pidfd::try_reap(helper.as_fd()), Ok(None))
        {
            self.helper = None;
        }
    }

    /// Reaps the command; what it ended with, unless it never ran.
    pub(super) fn reap(&mut self) -> Option<Reply> {
        let ended = match pidfd::try_reap(self.pidfd.as_ref()?.as_fd()) {
            Ok(None) => return None,
            Ok(Some(ended)) => Some(ended),
            Err(_not_ours) => None,
        };
        self.pidfd = None;
        self.slave = None;
        let status = ended.map_or(255, pidfd::Ended::shell_status);
        (self.pid != 0).then_some(Reply::ExecExited { status })
    }

    pub(super) fn signal(&self, signal: i32) -> io::Result<()> {
        let pidfd = self.pidfd.as_ref().ok_or(io::ErrorKind::NotFound)?;
        pidfd::send_signal(pidfd.as_fd(), signal)
    }

    pub(super) fn resize(&self, width: u16, height: u16) -> io::Result<()> {
        let slave = self.slave.as_ref().ok_or(io::ErrorKind::NotFound)?;
        pty::resize(slave.as_fd(), width, height)
    }
}
