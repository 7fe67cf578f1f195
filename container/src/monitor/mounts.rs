//! Mounts that come and go while the container runs.
//!
//! ```text
//! monitor: opens the source, idmapped ─clone, own mount namespace─▶ helper
//! helper:  (read-only: has the kernel lock it) ▸ enters the container's user and mount namespaces ▸ finds the place ▸ attaches
//! ```
//! The place is looked up by a process that can do no more than the container's root, in the container's own tree. A file
//! system of the container that never answers holds up the helper, not the monitor: it is killed after a while.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rlxc_sys::clone::{CloneRequest, NewNamespaces, clone_child};
use rlxc_sys::mount::{self, Depth};
use rlxc_sys::{namespace, packet, pidfd, process};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, UnmountFlags};
use serde::{Deserialize, Serialize};

use super::launch::Container;
use super::supplies::{is_directory, open_mount};
use crate::confine::InPhase;
use crate::init::SHELF;
use crate::init::place::{Kind, Tree};
use crate::protocol::{self, Failure};
use crate::spec::MountSpec;

const PHASE: &str = "mounts";
/// How long a helper may take; all it does is done in a millisecond.
const PATIENCE: Timespec = Timespec {
    tv_sec: 10,
    tv_nsec: 0,
};

/// What the helper tells.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    Done,
    Failed(Failure),
}

/// Shows a directory or file of the host. One that is optional and missing is left out, one that is there already stays.
pub(super) fn add(container: &mut Container, order: MountSpec) -> Result<(), Failure> {
    if container.mounts.contains(&order) {
        return Ok(());
    }
    show(container, &order)?;
    container.mounts.push(order);
    Ok(())
}

fn show(container: &Container, order: &MountSpec) -> Result<(), Failure> {
    let userns = container.userns.as_ref().map(AsFd::as_fd);
    let Some(mount) = open_mount(order, userns).in_phase(PHASE, String::new)? else {
        return Ok(());
    };
    let init = container.init.pidfd.as_fd();
    let unprivileged = userns.is_some();
    in_helper(&[init, mount.as_fd()], || {
        let file = order.file || !is_directory(&mount);
        if order.readonly && unprivileged {
            let locked = lock(&mount, file, init)?;
            enter(init, false)?;
            attach(&locked, file, &order.target)
        } else {
            enter(init, unprivileged)?;
            attach(&mount, file, &order.target)
        }
    })
}

/// Takes away what of the host is shown at a place of the container. What the container mounted itself is its own.
pub(super) fn remove(container: &mut Container, target: &Path) -> Result<(), Failure> {
    let Some(index) = container
        .mounts
        .iter()
        .rposition(|order| order.target == target)
    else {
        return Ok(());
    };
    hide(container, target)?;
    container.mounts.remove(index);
    Ok(())
}

fn hide(container: &Container, target: &Path) -> Result<(), Failure> {
    let init = container.init.pidfd.as_fd();
    let unprivileged = container.userns.is_some();
    in_helper(&[init], || {
        enter(init, unprivileged)?;
        let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(failure(Errno::INVAL, target));
        };
        let root = open_root()?;
        let parent = match Tree(&root).find(parent, Kind::Directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            other => other.in_phase(PHASE, || format!("find `{}`", target.display()))?,
        };
        rustix::process::fchdir(&parent).in_phase(PHASE, || {
            format!("enter the directory of `{}`", target.display())
        })?;
        let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
        match rustix::mount::unmount(name, flags) {
            Ok(()) | Err(Errno::INVAL | Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno).in_phase(PHASE, || format!("unmount `{}`", target.display())),
        }
    })
}

fn failure(errno: Errno, path: &Path) -> Failure {
    Failure {
        phase: PHASE.to_owned(),
        errno: errno.raw_os_error(),
        detail: format!("`{}`: {}", path.display(), std::io::Error::from(errno)),
    }
}

/// Runs `work` in a process of its own, with a mount namespace of its own and no descriptors but `kept`.
fn in_helper(
    kept: &[BorrowedFd<'_>],
    work: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (ours, theirs) = packet::pair().in_phase(PHASE, String::new)?;
    let request = CloneRequest {
        namespaces: NewNamespaces::MOUNT,
        ..CloneRequest::default()
    };
    let helper = clone_child(&request, || {
        let mut all = vec![theirs.as_fd()];
        all.extend(kept);
        drop(process::close_all_but(&all));
        drop(process::die_with_parent());
        let outcome = match process::forbid_tracing()
            .in_phase(PHASE, String::new)
            .and_then(|()| work())
        {
            Ok(()) => Outcome::Done,
            Err(failure) => Outcome::Failed(failure),
        };
        drop(protocol::send(theirs.as_fd(), &outcome, &[]));
        process::exit_now(0)
    })
    .in_phase(PHASE, String::new)?;
    drop(theirs);
    let outcome = wait(&ours);
    // It has ended by itself, unless it took too long.
    drop(pidfd::send_signal(helper.pidfd.as_fd(), 9));
    drop(pidfd::reap(helper.pidfd.as_fd()));
    match outcome? {
        Outcome::Done => Ok(()),
        Outcome::Failed(failure) => Err(failure),
    }
}

fn wait(socket: &OwnedFd) -> Result<Outcome, Failure> {
    let silent = |detail: &str| Failure {
        phase: PHASE.to_owned(),
        errno: Errno::TIMEDOUT.raw_os_error(),
        detail: detail.to_owned(),
    };
    let mut fds = [PollFd::new(socket, PollFlags::IN)];
    let ready = rustix::event::poll(&mut fds, Some(&PATIENCE)).in_phase(PHASE, String::new)?;
    if ready == 0 {
        return Err(silent(
            "a file system in the container does not answer: it was given up",
        ));
    }
    match protocol::receive::<Outcome>(socket.as_fd()).in_phase(PHASE, String::new)? {
        Some((outcome, _)) => Ok(outcome),
        None => Err(silent("the helper ended")),
    }
}

/// From here on the process can do no more than root of the container.
fn enter(init: BorrowedFd<'_>, with_user: bool) -> Result<(), Failure> {
    if with_user {
        namespace::join_user(init).in_phase(PHASE, || "enter the user namespace".into())?;
    }
    namespace::join_mounts(init).in_phase(PHASE, || "enter the mount namespace".into())?;
    process::become_user(0, 0, &[]).in_phase(PHASE, || "become root".into())
}

fn open_root() -> Result<OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, "/", flags, Mode::empty()).in_phase(PHASE, || "open `/`".into())
}

fn attach(mount: &OwnedFd, file: bool, target: &Path) -> Result<(), Failure> {
    let root = open_root()?;
    rustix::process::umask(Mode::empty());
    let place = Tree(&root)
        .ensure(target, file.into())
        .in_phase(PHASE, || format!("make mount point `{}`", target.display()))?;
    mount::attach(mount, place.as_fd(), target).in_phase(PHASE, String::new)
}

/// A copy of a read-only mount that the container can't make writable: the kernel locks the flags of mounts that are
/// copied into a namespace of another owner (mount_namespaces(7)). Enters the user namespace on the way.
fn lock(mount: &OwnedFd, file: bool, init: BorrowedFd<'_>) -> Result<OwnedFd, Failure> {
    mount::make_private().in_phase(PHASE, String::new)?;
    let shelf = mount::create("tmpfs", &[("mode", "0755")], MountAttrFlags::empty())
        .in_phase(PHASE, String::new)?;
    attach_at(&shelf, Path::new(SHELF))?;
    let made = if file {
        let mode = Mode::from_raw_mode(0o644);
        rustix::fs::mknodat(&shelf, "m", FileType::RegularFile, mode, 0)
    } else {
        rustix::fs::mkdirat(&shelf, "m", Mode::from_raw_mode(0o755))
    };
    made.in_phase(PHASE, || "make a place for the mount".into())?;
    let place = Path::new(SHELF).join("m");
    attach_at(mount, &place)?;
    namespace::join_user(init).in_phase(PHASE, || "enter the user namespace".into())?;
    namespace::unshare_mounts().in_phase(PHASE, || "copy the mount namespace".into())?;
    // Recursive: a mount that has locked ones below it can't be copied without them.
    mount::clone_tree(&place, Depth::Recursive, None).in_phase(PHASE, String::new)
}

fn attach_at(what: &OwnedFd, place: &Path) -> Result<(), Failure> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let target = rustix::fs::open(place, flags, Mode::empty())
        .in_phase(PHASE, || format!("open `{}`", place.display()))?;
    mount::attach(what, target.as_fd(), place).in_phase(PHASE, String::new)
}
