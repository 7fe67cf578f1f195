//! The monitor: one process for each running container. It clones init, holds its pidfd and its console, runs
//! commands in it, tells how it ended, and decides nothing.
//!
//! ```text
//! stdin ─Start─▶ [launcher] ─clone, into the monitors' cgroup─▶ [monitor] ─clone─▶ [init]
//!                    └ exits 0: to the daemon a monitor is never its child
//! launch ──▶ serve ──▶ init ended: clean up, write exit.json, tell all who listen, end
//!    └ the daemon hangs up before Running: kill init, clean up, end
//! ```
//! One thread, one poll loop, no async runtime: a monitor should cost a container next to nothing.

mod access;
mod block;
mod connection;
mod console;
mod devices;
mod exec;
mod intercept;
mod launch;
mod mounts;
mod nodes;
mod serve;
mod shelf;
mod shutdown;
mod supplies;

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use rlxc_sys::clone::{CloneRequest, clone_child};
use rlxc_sys::process;

use crate::cgroup::{self, Layout};
use crate::confine::InPhase;
use crate::protocol::{self, Failure, Reply, Request, SOCKET};
use crate::proxy;
use crate::spec::ContainerSpec;

/// The program. Its stdin is one end of a packet socket, over which the daemon sends `Start`.
pub fn run() {
    // Whatever the daemon or its parents left open is nobody's here.
    if process::close_from(3).is_err() {
        return;
    }
    let Ok(socket) = process::take_stdin() else {
        return;
    };
    let detached = match protocol::receive(socket.as_fd()) {
        Ok(Some((Request::Start { spec }, _fds))) => detach(
            (&socket, &[]),
            (c"rlxc-monitor", &spec.cgroup),
            |daemon, _, layout| {
                watch_over(daemon, &spec, layout);
            },
        ),
        Ok(Some((Request::Proxy { spec }, fds))) => detach(
            (&socket, &fds),
            (c"rlxc-proxy", &spec.cgroup),
            |daemon, fds, _| {
                if let Some(instance) = fds.first() {
                    proxy::run(daemon, instance.as_fd(), &spec);
                }
            },
        ),
        _ => {
            // Started by hand, or by a daemon that died at once.
            drop(protocol::send(socket.as_fd(), &Reply::Unsupported, &[]));
            return;
        }
    };
    if let Err(failure) = detached {
        drop(protocol::send(socket.as_fd(), &Reply::Failed(failure), &[]));
    }
}

/// Goes on in a child that is nobody's, in the cgroup of monitors from its first moment, with the daemon's socket and `fds`.
fn detach(
    (socket, fds): (&OwnedFd, &[OwnedFd]),
    (name, cgroup): (&CStr, &str),
    life: impl FnOnce(OwnedFd, &[OwnedFd], &Layout),
) -> Result<(), Failure> {
    const PHASE: &str = "monitor";
    let layout = Layout::detect().in_phase(PHASE, String::new)?;
    let monitors = cgroup::open_monitors(&layout, cgroup.as_ref()).in_phase(PHASE, String::new)?;
    let request = CloneRequest {
        cgroup: Some(monitors.as_fd()),
        ..CloneRequest::default()
    };
    let daemon = socket.try_clone().in_phase(PHASE, String::new)?;
    let copies = fds
        .iter()
        .map(OwnedFd::try_clone)
        .collect::<Result<Vec<_>, _>>();
    let copies = copies.in_phase(PHASE, String::new)?;
    clone_child(&request, || {
        let kept: Vec<_> = std::iter::once(daemon.as_fd())
            .chain(copies.iter().map(AsFd::as_fd))
            .collect();
        drop(process::close_all_but(&kept));
        rustix::process::setsid().ok();
        // Nothing of the host's is held in use by a monitor's directory, and modes are those that are asked for.
        rustix::process::chdir("/").ok();
        rustix::process::umask(rustix::fs::Mode::empty());
        drop(process::set_name(name));
        // Before the container's own processes in the order of victims, where we may choose.
        drop(std::fs::write("/proc/self/oom_score_adj", "-900"));
        life(daemon, &copies, &layout);
        process::exit_now(0)
    })
    .in_phase(PHASE, || "detach".into())?;
    Ok(())
}

/// The whole life of a monitor.
fn watch_over(socket: OwnedFd, spec: &ContainerSpec, layout: &Layout) {
    match launch::launch(socket.as_fd(), spec, layout) {
        Ok(container) => {
            drop(socket);
            process::trim_heap();
            serve::serve(container);
        }
        Err(failure) => {
            // Before the answer: who reads it may look at once.
            drop(std::fs::remove_file(spec.runtime_dir.join(SOCKET)));
            drop(protocol::send(socket.as_fd(), &Reply::Failed(failure), &[]));
        }
    }
}
