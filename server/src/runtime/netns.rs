//! The network namespace of a running instance, and the way to look into it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use rlxc_network::{Error, InterfaceCounters, InterfaceState, NetnsView};

/// Keeps the namespace alive. What looks into it is opened once: that takes a thread, each look after it none.
#[derive(Debug)]
pub struct Netns {
    fd: OwnedFd,
    view: OnceLock<NetnsView>,
}

impl Netns {
    /// Its interfaces, loopback included; never waits.
    pub fn interfaces(&self) -> Result<Vec<InterfaceState>, Error> {
        self.view()?.interfaces()
    }

    /// The same without their counters, which costs next to nothing where no interface has changed.
    pub fn interfaces_without_counters(&self) -> Result<Vec<InterfaceState>, Error> {
        let mut all = self.view()?.interfaces_without_counters()?.to_vec();
        for interface in &mut all {
            interface.counters = InterfaceCounters::default();
        }
        Ok(all)
    }

    fn view(&self) -> Result<&NetnsView, Error> {
        if let Some(view) = self.view.get() {
            return Ok(view);
        }
        let view = NetnsView::open(self.fd.as_fd())?;
        Ok(self.view.get_or_init(|| view))
    }
}

impl From<OwnedFd> for Netns {
    fn from(fd: OwnedFd) -> Self {
        let view = OnceLock::new();
        Self { fd, view }
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
