//! The console: a terminal in the container's own devpts, bound to `/dev/console`.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rlxc_sys::{mount, pty};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::OpenTreeFlags;

use crate::confine::InPhase;
use crate::protocol::Failure;

const PHASE: &str = "console";

pub(super) fn open(devpts: &OwnedFd) -> Result<pty::Pty, Failure> {
    let console = pty::open(devpts.as_fd()).in_phase(PHASE, || "open a terminal".into())?;
    let number = pty::number(console.master.as_fd()).in_phase(PHASE, String::new)?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let node = rustix::mount::open_tree(devpts, &number, flags)
        .in_phase(PHASE, || format!("open `/dev/pts/{number}` for mounting"))?;
    let path = Path::new("/dev/console");
    let target = rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .in_phase(PHASE, || "open `/dev/console`".into())?;
    mount::attach(&node, target.as_fd(), path).in_phase(PHASE, String::new)?;
    Ok(console)
}
