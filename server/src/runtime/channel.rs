//! The monitor's protocol on tokio: one packet socket.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rlxc_container::protocol::{self, Reply, Request, SOCKET};
use rlxc_sys::packet;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::RuntimeError;

/// One connection.
#[derive(Debug)]
pub(super) struct Channel(AsyncFd<OwnedFd>);

impl Channel {
    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        packet::set_nonblocking(socket.as_fd())?;
        crate::readiness::watch(socket).map(Self)
    }

    /// Connects to the monitor of a runtime directory.
    pub(super) fn connect(runtime_dir: &Path) -> io::Result<Self> {
        // A unix socket connects at once or not at all.
        Self::new(packet::connect(runtime_dir, SOCKET)?)
    }

    pub(super) async fn send(
        &self,
        what: &'static str,
        request: &Request,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), RuntimeError> {
        let sent = self.0.async_io(Interest::WRITABLE, |socket| {
            protocol::send(socket.as_fd(), request, fds)
        });
        sent.await
            .map_err(|source| RuntimeError::Talk { what, source })
    }

    /// The next message; the end of the connection is an error.
    pub(super) async fn receive(
        &self,
        what: &'static str,
    ) -> Result<(Reply, Vec<OwnedFd>), RuntimeError> {
        let received = self.0.async_io(Interest::READABLE, |socket| {
            protocol::receive(socket.as_fd())
        });
        let message = received
            .await
            .map_err(|source| RuntimeError::Talk { what, source })?;
        message.ok_or(RuntimeError::HungUp { what })
    }

    pub(super) async fn ask(
        &self,
        what: &'static str,
        request: &Request,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(Reply, Vec<OwnedFd>), RuntimeError> {
        // A monitor that gave up meanwhile has closed its end, but has said why before.
        let sent = self.send(what, request, fds).await;
        let answer = match (self.receive(what).await, sent) {
            (Err(_silence), Err(error)) => return Err(error),
            (answer, _) => answer?,
        };
        match answer {
            (Reply::Unsupported, _) => Err(RuntimeError::Unsupported { what }),
            (Reply::Error { detail, errno }, _) => Err(RuntimeError::Refused {
                what,
                detail,
                errno,
            }),
            answer => Ok(answer),
        }
    }
}
