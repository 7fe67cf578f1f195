//! A mount that a program in the container makes instead of the kernel: it is run there as any command is, as who called.

use std::os::fd::{AsFd as _, OwnedFd};

use rlxc_sys::clone::{CloneRequest, clone_child};
use rlxc_sys::seccomp::Answer;
use rlxc_sys::{packet, pidfd, process};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::agent::to_errno;
use super::caller::{Caller, Status, is_same};
use super::mount::Wish;
use crate::attach::{self, FromCommand, Order};
use crate::protocol::{self, ExecRequest};

/// How long a program may take, in seconds: it reads a whole journal perhaps.
const PATIENCE: u32 = 60;

/// Runs `PROGRAM SOURCE TARGET -o OPTIONS`, which ends well once the file system is mounted.
pub(super) fn mount(caller: &Caller<'_>, wish: &Wish, program: &str) -> Result<Answer, Errno> {
    is_at_home(caller)?;
    process::end_after(PATIENCE);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_no_text| Errno::INVAL);
    let (source, target) = (text(&wish.source)?, text(&wish.target)?);
    if source.starts_with('-') || target.starts_with('-') {
        return Err(Errno::INVAL);
    }
    let mut argv = vec![program.to_owned(), source, target];
    let readonly = wish.flags.is_readonly().then_some("ro");
    let options: Vec<&str> = readonly
        .into_iter()
        .chain(wish.data.split(','))
        .filter(|option| !option.is_empty())
        .collect();
    if !options.is_empty() {
        argv.extend(["-o".to_owned(), options.join(",")]);
    }
    let status = inside(caller)?;
    let cwd = rustix::fs::readlinkat(&caller.proc, "cwd", Vec::new())?;
    let request = ExecRequest {
        argv,
        env: vec![("PATH".to_owned(), attach::DEFAULT_PATH.to_owned())],
        user: status.0,
        group: status.1,
        cwd: cwd.to_string_lossy().into_owned(),
        terminal: None,
    };
    caller.still_waits()?;
    match run(caller, &request)? {
        0 => Ok(Answer::Done(0)),
        // As the kernel says of what it can't make out.
        _ => Err(Errno::INVAL),
    }
}

/// Commands run where init is: a caller elsewhere would not see what they mount.
fn is_at_home(caller: &Caller<'_>) -> Result<(), Errno> {
    let init = format!("/proc/{}", caller.container.init.pid);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let init = rustix::fs::open(init, flags, Mode::empty())?;
    let open =
        |name, flags| rustix::fs::openat(&init, name, flags | OFlags::CLOEXEC, Mode::empty());
    let root = is_same(open("root", OFlags::PATH)?, caller.root()?)?;
    let mounts = is_same(open("ns/mnt", OFlags::RDONLY)?, caller.namespace("mnt")?)?;
    if root && mounts {
        Ok(())
    } else {
        Err(Errno::PERM)
    }
}

/// Who called, in ids of the container.
fn inside(caller: &Caller<'_>) -> Result<(u32, u32), Errno> {
    let Status { uid, gid, .. } = &caller.status;
    let ids = caller
        .idmap
        .container_uid(*uid)
        .zip(caller.idmap.container_gid(*gid));
    ids.ok_or(Errno::PERM)
}

/// Runs a command and waits for its end; its status.
fn run(caller: &Caller<'_>, request: &ExecRequest) -> Result<i32, Errno> {
    let container = caller.container;
    // What it mounts is its own affair: nobody is there to answer for it.
    let confinement = container.confinement.without_interception();
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    let copy = |fd: &OwnedFd| fd.try_clone().map_err(to_errno);
    let stdio = [copy(&null)?, copy(&null)?, null];
    let leaf = container.cgroup.open_attached(container.owner);
    let leaf = leaf.map_err(|_gone| Errno::SRCH)?;
    let order = Order {
        init: container.init.pidfd.as_fd(),
        unprivileged: true,
        confinement: &confinement,
        oom_score_adj: container.oom_score_adj,
        cgroup: &container.cgroup,
        request,
        stdio: &stdio,
    };
    let clone = CloneRequest {
        cgroup: Some(leaf.as_fd()),
        ..CloneRequest::default()
    };
    let (ours, theirs) = packet::pair().map_err(to_errno)?;
    clone_child(&clone, || attach::run(&theirs, &order)).map_err(|_no_process| Errno::AGAIN)?;
    drop(theirs);
    let mut command = None;
    while let Some((message, fds)) = protocol::receive(ours.as_fd()).map_err(to_errno)? {
        match message {
            FromCommand::Cloned { .. } => command = fds.into_iter().next(),
            FromCommand::Failed(_) => return Err(Errno::NODEV),
            FromCommand::Terminal | FromCommand::Listening => {}
        }
    }
    let command = command.ok_or(Errno::NODEV)?;
    let ended = pidfd::reap(command.as_fd()).map_err(to_errno)?;
    Ok(ended.shell_status())
}
