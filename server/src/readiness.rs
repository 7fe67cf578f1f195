//! Descriptors that are neither sockets nor pipes of tokio's own kinds, watched by its reactor.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;

/// Watches a non-blocking descriptor.
#[expect(
    deprecated,
    reason = "its successor is unsafe for types that may close their descriptor early; an OwnedFd can't"
)]
pub(crate) fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(fd)
}
