//! Connections of the daemon to a monitor.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::protocol::{self, Reply};

/// One of them.
pub(super) struct Connection {
    pub(super) id: u64,
    pub(super) socket: OwnedFd,
    /// Whether it said hello and is told of the end.
    pub(super) listens: bool,
    /// It is to be dropped.
    pub(super) closed: bool,
}

impl Connection {
    pub(super) fn new(id: u64, socket: OwnedFd) -> Self {
        // A daemon that doesn't read must not hold the monitor up.
        rustix::io::ioctl_fionbio(&socket, true).ok();
        Self {
            id,
            socket,
            listens: false,
            closed: false,
        }
    }

    /// Answers; a connection that can't take the answer is closed.
    pub(super) fn reply(&mut self, reply: &Reply, fds: &[BorrowedFd<'_>]) {
        if protocol::send(self.socket.as_fd(), reply, fds).is_err() {
            self.closed = true;
        }
    }

    /// Answers with "done" or with what went wrong.
    pub(super) fn acknowledge(&mut self, result: std::io::Result<()>) {
        let reply = match result {
            Ok(()) => Reply::Done,
            Err(error) => error_reply(&error),
        };
        self.reply(&reply, &[]);
    }
}

pub(super) fn error_reply(error: &std::io::Error) -> Reply {
    Reply::Error {
        detail: error.to_string(),
        errno: error.raw_os_error().unwrap_or_default(),
    }
}
