//! A command that runs in a container from outside: what its processes do between the monitor and exec.
//!
//! ```text
//! monitor ─clone, into the payload's leaf cgroup─▶ helper ─setns, clone with the monitor as parent─▶ command ─▶ exec
//!                                                    └ sends the command's pidfd, ends
//! ```
//! setns(2) into a PID namespace concerns children only, hence two processes. Both hold memory of the host's until
//! exec, so neither can be traced, and neither keeps a descriptor that the command should not have.

use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rlxc_sys::clone::{CloneRequest, Parent, clone_child};
use rlxc_sys::{namespace, process, pty};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::cgroup::Cgroup;
use crate::confine::{Confinement, InPhase};
use crate::init::c_strings;
use crate::protocol::{self, ExecRequest, Failure, TerminalSize};

pub(crate) const DEFAULT_PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What helper and command send to the monitor. Silence at the end of the socket is success.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FromCommand {
    /// With its pidfd: the monitor is its parent and reaps it.
    Cloned {
        /// On the host.
        pid: i32,
    },
    /// With master and slave.
    Terminal,
    /// With a listener to the calls that its filter hands over.
    Listening,
    /// It ends.
    Failed(Failure),
}

/// All that the two processes need.
pub(crate) struct Order<'a> {
    pub(crate) init: BorrowedFd<'a>,
    /// Whether the container has a user namespace of its own.
    pub(crate) unprivileged: bool,
    pub(crate) confinement: &'a Confinement,
    pub(crate) oom_score_adj: i32,
    pub(crate) cgroup: &'a Cgroup,
    pub(crate) request: &'a ExecRequest,
    pub(crate) stdio: &'a [OwnedFd],
}

/// The helper's code.
pub(crate) fn run(status: &OwnedFd, order: &Order<'_>) -> Infallible {
    let result = join(status.as_fd(), order);
    report(status.as_fd(), result.err())
}

fn report(status: BorrowedFd<'_>, failure: Option<Failure>) -> Infallible {
    if let Some(failure) = failure {
        // A monitor that is gone has taken the container along.
        drop(protocol::send(status, &FromCommand::Failed(failure), &[]));
    }
    process::exit_now(0)
}

fn join(status: BorrowedFd<'_>, order: &Order<'_>) -> Result<(), Failure> {
    let mut kept = vec![status, order.init];
    kept.extend(order.stdio.iter().map(AsFd::as_fd));
    process::close_all_but(&kept).in_phase("attach", || "close descriptors".into())?;
    process::forbid_tracing().in_phase("attach", String::new)?;
    order
        .cgroup
        .join_own_legacy()
        .in_phase("attach", String::new)?;
    // Raising it back is always allowed, lowering it (which the monitor did for itself) may not be.
    drop(fs::write(
        "/proc/self/oom_score_adj",
        order.oom_score_adj.to_string(),
    ));
    namespace::join_all(order.init, order.unprivileged)
        .in_phase("attach", || "enter the container's namespaces".into())?;
    let request = CloneRequest {
        parent: Parent::Grandparent,
        ..CloneRequest::default()
    };
    let child = clone_child(&request, || {
        let failure = become_command(status, order);
        report(status, Some(failure))
    })
    .in_phase("attach", String::new)?;
    let message = FromCommand::Cloned { pid: child.pid };
    protocol::send(status, &message, &[child.pidfd.as_fd()])
        .in_phase("attach", || "tell of the command".into())
}

fn become_command(status: BorrowedFd<'_>, order: &Order<'_>) -> Failure {
    match prepare(status, order) {
        Ok(()) => execute(order.request),
        Err(failure) => failure,
    }
}

/// What needs privilege first, then the user's identity, then all that a file of the container has a part in.
fn prepare(status: BorrowedFd<'_>, order: &Order<'_>) -> Result<(), Failure> {
    if let Some(listener) = order.confinement.apply()? {
        protocol::send(status, &FromCommand::Listening, &[listener.as_fd()])
            .in_phase("confinement", || "hand over its system calls".into())?;
    }
    let request = order.request;
    process::become_user(request.user, request.group, &[]).in_phase("identity", || {
        format!("become user {} and group {}", request.user, request.group)
    })?;
    // A change of identity decides anew who may trace.
    process::forbid_tracing().in_phase("identity", String::new)?;
    match request.terminal {
        Some(size) => take_terminal(status, size)?,
        None => take_stdio(order.stdio)?,
    }
    if rustix::process::chdir(request.cwd.as_str()).is_err() {
        rustix::process::chdir("/").in_phase("directory", String::new)?;
    }
    rustix::process::umask(Mode::from_raw_mode(0o022));
    process::reset_signals().in_phase("identity", || "reset signals".into())?;
    process::close_from_on_exec(3).in_phase("identity", || "close descriptors".into())
}

fn take_stdio(stdio: &[OwnedFd]) -> Result<(), Failure> {
    let [input, output, error] = stdio else {
        return Err(Failure {
            phase: "standard streams".to_owned(),
            errno: Errno::BADF.raw_os_error(),
            detail: format!("three descriptors are needed, {} came", stdio.len()),
        });
    };
    rustix::process::setsid().in_phase("standard streams", || "begin a session".into())?;
    process::set_stdio([input.as_fd(), output.as_fd(), error.as_fd()])
        .in_phase("standard streams", String::new)
}

/// A terminal of the container's own devpts, opened as the user, whom it then belongs to.
fn take_terminal(status: BorrowedFd<'_>, size: TerminalSize) -> Result<(), Failure> {
    const PHASE: &str = "terminal";
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let devpts = rustix::fs::openat(CWD, "/dev/pts", flags, Mode::empty())
        .in_phase(PHASE, || "open `/dev/pts`".into())?;
    let pty = pty::open(devpts.as_fd()).in_phase(PHASE, || "open a terminal".into())?;
    pty::resize(pty.master.as_fd(), size.width, size.height).in_phase(PHASE, String::new)?;
    pty::make_controlling(pty.slave.as_fd()).in_phase(PHASE, String::new)?;
    process::set_stdio([pty.slave.as_fd(); 3]).in_phase(PHASE, String::new)?;
    let ends = [pty.master.as_fd(), pty.slave.as_fd()];
    protocol::send(status, &FromCommand::Terminal, &ends).in_phase(PHASE, || "hand it over".into())
}

/// Looks the command up as a shell does, and becomes it.
fn execute(request: &ExecRequest) -> Failure {
    let env: Vec<String> = request
        .env
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let (Some(argv), Some(env)) = (c_strings(&request.argv), c_strings(&env)) else {
        return failed(Errno::INVAL, "NUL in an argument or variable");
    };
    let Some(name) = argv.first() else {
        return failed(Errno::INVAL, "no command given");
    };
    let mut worst = Errno::NOENT;
    for program in candidates(name, request) {
        let error = process::execute(&program, &argv, &env);
        match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::NOTDIR) => {}
            // Not the last word: a later directory may have one that can be executed.
            Some(Errno::ACCESS) => worst = Errno::ACCESS,
            Some(errno) => return failed(errno, &request.argv[0]),
            None => return failed(Errno::IO, &request.argv[0]),
        }
    }
    failed(worst, &request.argv[0])
}

fn candidates(name: &CStr, request: &ExecRequest) -> Vec<CString> {
    if name.to_bytes().contains(&b'/') {
        return vec![name.to_owned()];
    }
    let path = request.env.iter().find(|(key, _)| key == "PATH");
    path.map_or(DEFAULT_PATH, |(_, value)| value.as_str())
        .split(':')
        .filter(|directory| !directory.is_empty())
        .filter_map(|directory| {
            CString::new([directory.as_bytes(), b"/", name.to_bytes()].concat()).ok()
        })
        .collect()
}

fn failed(errno: Errno, what: &str) -> Failure {
    Failure {
        phase: "execute".to_owned(),
        errno: errno.raw_os_error(),
        detail: format!("`{what}`: {}", std::io::Error::from(errno)),
    }
}
