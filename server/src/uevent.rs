//! What comes and goes on the host: the kernel's own messages about devices, and the names in directories.
//!
//! Nobody polls: a socket and an inotify descriptor are waited on. What exactly happened does not matter; who hears of it looks
//! at what there is now.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};
use tokio::io::unix::AsyncFd;

/// Messages of the kernel itself, not of udev; see netlink(7).
const KERNEL: u32 = 1;

/// Messages about devices that have nodes.
#[derive(Debug)]
pub struct Uevents(AsyncFd<OwnedFd>);

impl Uevents {
    /// Listens from now on.
    pub fn open() -> io::Result<Self> {
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            Some(KOBJECT_UEVENT),
        )?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, KERNEL))?;
        Ok(Self(crate::readiness::watch(socket)?))
    }

    /// Waits until a device with a node has come or gone.
    pub async fn next(&self) {
        loop {
            let Ok(mut ready) = self.0.readable().await else {
                return std::future::pending().await;
            };
            let mut message = [0; 8192];
            match rustix::net::recv(self.0.get_ref(), &mut message, RecvFlags::empty()) {
                Ok((length, _)) if concerns_node(&message[..length.min(message.len())]) => return,
                // Some were lost: look at everything.
                Err(Errno::NOBUFS) => return,
                Err(Errno::AGAIN) => ready.clear_ready(),
                _ => {}
            }
        }
    }
}

/// `add@/devices/…`, then `KEY=value`, each ended by NUL.
fn concerns_node(message: &[u8]) -> bool {
    let mut fields = message.split(|byte| *byte == 0);
    let head = fields.next().unwrap_or_default();
    let comes_or_goes = head.starts_with(b"add@") || head.starts_with(b"remove@");
    comes_or_goes && fields.any(|field| field.starts_with(b"DEVNAME="))
}

/// Names that come and go in directories.
#[derive(Debug)]
pub struct Names(AsyncFd<OwnedFd>);

impl Names {
    /// Watches directories; those that are not there are left out.
    pub fn watch(directories: impl IntoIterator<Item = PathBuf>) -> io::Result<Self> {
        let watcher = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let events = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVED_FROM
            | WatchFlags::ONLYDIR;
        for directory in directories {
            inotify::add_watch(&watcher, &directory, events).ok();
        }
        Ok(Self(crate::readiness::watch(watcher)?))
    }

    /// Waits for the next.
    pub async fn next(&self) {
        loop {
            let Ok(mut ready) = self.0.readable().await else {
                return std::future::pending().await;
            };
            let mut events = [0; 4096];
            match rustix::io::read(self.0.get_ref(), &mut events) {
                Ok(_) => return,
                Err(_) => ready.clear_ready(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn only_nodes_that_come_and_go_matter() {
        let message = |text: &str| concerns_node(text.replace('|', "\0").as_bytes());
        assert!(message(
            "add@/devices/x|ACTION=add|DEVNAME=loop9|SUBSYSTEM=block|"
        ));
        assert!(message("remove@/devices/x|DEVNAME=loop9|"));
        assert!(!message("change@/devices/x|DEVNAME=loop9|"));
        assert!(!message("add@/devices/virtual/net/veth0|INTERFACE=veth0|"));
    }

    #[tokio::test]
    async fn names_are_heard_of() {
        let directory = tempfile::tempdir().unwrap();
        let gone = directory.path().join("gone");
        let names = Names::watch([directory.path().to_owned(), gone]).unwrap();
        std::fs::write(directory.path().join("new"), "").unwrap();
        tokio::time::timeout(Duration::from_secs(5), names.next())
            .await
            .unwrap();
        Uevents::open().unwrap();
    }
}
