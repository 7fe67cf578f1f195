//! Read-only mounts that a container can't make writable again.
//!
//! The root of a container may change the flags of mounts in its own namespace, unless the kernel has locked them. It
//! locks what reaches the namespace by propagation from one of another owner (mount_namespaces(7), "Restrictions on
//! mount namespaces"). So read-only mounts don't go to init as descriptors, but by way of a *shelf*: a shared mount in
//! the namespace of a helper, from which init is cloned. What the helper puts on the shelf appears on init's copy of
//! it, locked; init takes it from there.
//!
//! ```text
//! monitor ─clone, own mount namespace─▶ helper: shelf over /dev ─clone, the monitor as parent─▶ init
//!        ─userns─▶ helper: mounts, idmapped and read-only, onto the shelf; it ends
//! ```
//! `/dev` is the place because init needs nothing of the host's `/dev`, and has to see the host's `/proc` and `/sys`.

use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rlxc_sys::clone::{Child, CloneRequest, NewNamespaces, Parent, clone_child};
use rlxc_sys::mount;
use rlxc_sys::{packet, pidfd, process};
use rustix::fs::{FileType, Mode};
use rustix::mount::{MountAttrFlags, MountPropagationFlags};
use serde::{Deserialize, Serialize};

use super::supplies;
use crate::confine::InPhase;
use crate::init::SHELF;
use crate::protocol::{self, Failure};
use crate::spec::{ContainerSpec, MountSpec};

const PHASE: &str = "mounts";

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Message {
    /// Helper to monitor, with init's pidfd.
    Cloned { pid: i32 },
    /// Monitor to helper, with the user namespace if there is one.
    Fill,
    /// Helper to monitor: for each read-only mount, whether it is a file; none if it is optional and missing.
    Filled { files: Vec<Option<bool>> },
    /// Helper to monitor; it ends.
    Failed(Failure),
}

/// A helper that waits to fill the shelf.
pub(super) struct Shelf {
    socket: OwnedFd,
    helper: Child,
}

impl Drop for Shelf {
    fn drop(&mut self) {
        // It has ended by itself, unless the launch was given up.
        drop(pidfd::send_signal(self.helper.pidfd.as_fd(), 9));
        drop(pidfd::reap(self.helper.pidfd.as_fd()));
    }
}

impl Shelf {
    /// Whether a container needs one.
    pub(super) fn is_needed(spec: &ContainerSpec) -> bool {
        spec.mounts.iter().any(|order| order.readonly)
    }

    /// Clones the helper, and init from it: `request` says as what, `init` is its code, `socket` what it needs open.
    pub(super) fn clone_init(
        request: &CloneRequest<'_>,
        socket: BorrowedFd<'_>,
        spec: &ContainerSpec,
        init: impl FnOnce() -> Infallible,
    ) -> Result<(Child, Self), Failure> {
        let (ours, theirs) = packet::pair().in_phase(PHASE, String::new)?;
        let own_mounts = CloneRequest {
            namespaces: NewNamespaces::MOUNT,
            ..CloneRequest::default()
        };
        let helper = clone_child(&own_mounts, || {
            let mut kept = vec![theirs.as_fd(), socket];
            kept.extend(request.cgroup);
            drop(process::close_all_but(&kept));
            drop(process::die_with_parent());
            if let Err(failure) = help(theirs.as_fd(), request, spec, init) {
                let message = Message::Failed(failure);
                drop(protocol::send(theirs.as_fd(), &message, &[]));
            }
            process::exit_now(0)
        })
        .in_phase(PHASE, String::new)?;
        drop(theirs);
        let shelf = Self {
            socket: ours,
            helper,
        };
        match shelf.receive()? {
            (Message::Cloned { pid }, fds) => match fds.into_iter().next() {
                Some(pidfd) => Ok((Child { pid, pidfd }, shelf)),
                None => Err(unexpected()),
            },
            _ => Err(unexpected()),
        }
    }

    /// Puts the read-only mounts of a spec on it; the answer is one entry for each, in order.
    pub(super) fn fill(self, userns: Option<BorrowedFd<'_>>) -> Result<Vec<Option<bool>>, Failure> {
        let fds: Vec<_> = userns.into_iter().collect();
        protocol::send(self.socket.as_fd(), &Message::Fill, &fds)
            .in_phase(PHASE, || "ask for the shelf to be filled".into())?;
        match self.receive()? {
            (Message::Filled { files }, _) => Ok(files),
            _ => Err(unexpected()),
        }
    }

    fn receive(&self) -> Result<(Message, Vec<OwnedFd>), Failure> {
        let message = protocol::receive(self.socket.as_fd()).in_phase(PHASE, String::new)?;
        match message {
            Some((Message::Failed(failure), _)) => Err(failure),
            Some(message) => Ok(message),
            None => Err(unexpected()),
        }
    }
}

fn unexpected() -> Failure {
    Failure {
        phase: PHASE.to_owned(),
        errno: 0,
        detail: "the helper for read-only mounts ended".to_owned(),
    }
}

/// The helper's code.
fn help(
    socket: BorrowedFd<'_>,
    request: &CloneRequest<'_>,
    spec: &ContainerSpec,
    init: impl FnOnce() -> Infallible,
) -> Result<(), Failure> {
    mount::make_private().in_phase(PHASE, String::new)?;
    let shelf = mount::create("tmpfs", &[("mode", "0755")], MountAttrFlags::empty())
        .in_phase(PHASE, String::new)?;
    attach_at(&shelf, Path::new(SHELF))?;
    rustix::mount::mount_change(SHELF, MountPropagationFlags::SHARED)
        .in_phase(PHASE, || "share the shelf".into())?;
    let sibling = CloneRequest {
        parent: Parent::Grandparent,
        ..*request
    };
    let child = clone_child(&sibling, init).in_phase("clone", String::new)?;
    // To be somebody else for a moment has made the kernel forget it.
    drop(process::die_with_parent());
    let cloned = Message::Cloned { pid: child.pid };
    protocol::send(socket, &cloned, &[child.pidfd.as_fd()]).in_phase(PHASE, String::new)?;
    let order = protocol::receive::<Message>(socket).in_phase(PHASE, String::new)?;
    let Some((Message::Fill, fds)) = order else {
        // The launch was given up.
        return Ok(());
    };
    let userns = fds.first().map(AsFd::as_fd);
    let readonly = spec.mounts.iter().filter(|order| order.readonly);
    let files = readonly
        .enumerate()
        .map(|(index, order)| put(&shelf, index, order, userns))
        .collect::<Result<_, _>>()?;
    protocol::send(socket, &Message::Filled { files }, &[]).in_phase(PHASE, String::new)
}

/// Attached in its final state: flags that change later do not propagate.
fn put(
    shelf: &OwnedFd,
    index: usize,
    order: &MountSpec,
    userns: Option<BorrowedFd<'_>>,
) -> Result<Option<bool>, Failure> {
    let Some(mount) = supplies::open_mount(order, userns).in_phase(PHASE, String::new)? else {
        return Ok(None);
    };
    let file = order.file || !supplies::is_directory(&mount);
    let name = index.to_string();
    let made = if file {
        let mode = Mode::from_raw_mode(0o644);
        rustix::fs::mknodat(shelf, &name, FileType::RegularFile, mode, 0)
    } else {
        rustix::fs::mkdirat(shelf, &name, Mode::from_raw_mode(0o755))
    };
    made.in_phase(PHASE, || "make a place on the shelf".into())?;
    attach_at(&mount, &Path::new(SHELF).join(name))?;
    Ok(Some(file))
}

fn attach_at(what: &OwnedFd, place: &Path) -> Result<(), Failure> {
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
    let target = rustix::fs::open(place, flags, Mode::empty())
        .in_phase(PHASE, || format!("open `{}`", place.display()))?;
    mount::attach(what, target.as_fd(), place).in_phase(PHASE, String::new)
}
