//! A root as one tree of files, owners as the container sees them.

use std::os::fd::OwnedFd;

use rlxc_sys::mount::{self, MountError};
use rlxc_sys::rootfs::RootSource;
use rustix::fs::{Mode, OFlags};

/// Why a root can't be looked at.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// Its parts can't be mounted.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// What was mounted can't be opened.
    #[error("open the root directory")]
    Open(#[source] std::io::Error),
}

/// Opens the root directory; what is mounted for it goes when this is closed.
pub fn open(source: &RootSource) -> Result<OwnedFd, RootError> {
    let mount = mount::assemble(source, None)?;
    // A detached mount is open as a path only; this keeps it alive as well.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(&mount, ".", flags, Mode::empty())
        .map_err(|errno| RootError::Open(errno.into()))
}
