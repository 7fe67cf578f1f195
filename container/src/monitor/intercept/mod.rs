//! System calls that the container's filter hands over (`seccomp`), answered with more privilege than the container has.
//!
//! ```text
//! thread of the container ─call─▶ kernel ─listener─▶ monitor ─clone, one for each call─▶ worker ─answer─▶ kernel
//!                                                                  worker ─clone─▶ agent: finds paths as the caller would
//! ```
//! What seccomp_unotify(2) warns of is kept to:
//! - Memory of the caller can change at any moment, also while it waits: it is copied once, and only the copy counts.
//! - The caller can be gone and its number another's: what was read is true only if the call still waits afterwards.
//! - "Continue" never grants anything: the kernel then decides as if nobody had looked, by what is in memory by then.
//!
//! Paths are followed by a process with the caller's root, directory, ids and capabilities ([`agent`]), so that nobody gets
//! further than by himself; what came of it is a descriptor, and only that is acted on. A caller in a user namespace below
//! the container's has no privilege there and gets none here. Memory and paths can keep one waiting for ever (userfaultfd,
//! FUSE): workers end after a while, and there are never more than a few. When the monitor dies the kernel answers that
//! there is no such call. `docs/decisions/0008-interception.md` says why the monitor does this.

mod agent;
mod attribute;
mod caller;
mod machine;
mod mount;
mod node;
mod options;
mod redirect;
mod scheduler;

use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rlxc_sys::clone::{CloneRequest, clone_child};
use rlxc_sys::seccomp::{Answer, Listener, Notification};
use rlxc_sys::{pidfd, process};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use super::launch::Container;
use crate::cgroup::Cgroup;
use crate::spec::{Interception, MountInterception};
use crate::view::Figures;
use caller::Caller;

/// Workers at a time: more calls wait.
const MOST: usize = 16;
/// How long one may take, in seconds.
const PATIENCE: u32 = 10;

/// A process that works on one call.
struct Worker {
    listener: u64,
    call: u64,
    pidfd: OwnedFd,
}

/// What may have something to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A filter, by number.
    Listener(u64),
    /// A worker, by its filter and its call.
    Worker(u64, u64),
}

/// All filters of one container, and the calls in work.
pub(super) struct Interceptor {
    wanted: Interception,
    figures: Figures,
    /// Init's, and one for each command that runs from outside, until the last process under it has ended.
    listeners: Vec<(u64, Listener)>,
    workers: Vec<Worker>,
    last: u64,
}

impl Interceptor {
    pub(super) fn new(wanted: &Interception, cgroup: &Cgroup) -> Self {
        Self {
            wanted: wanted.clone(),
            figures: Figures::new(cgroup.clone()),
            listeners: Vec::new(),
            workers: Vec::new(),
            last: 0,
        }
    }

    /// What mount(2) may do for calls from now on, where it is one of those that are handed over.
    pub(super) fn set_mounts(&mut self, mounts: MountInterception) {
        if let Some(wanted) = &mut self.wanted.mount {
            *wanted = mounts;
        }
    }

    /// Listens to one more filter.
    pub(super) fn listen(&mut self, listener: OwnedFd) {
        self.last += 1;
        self.listeners.push((self.last, Listener::new(listener)));
    }

    /// What to wait for; no more calls while there are workers enough.
    pub(super) fn sources(&self) -> Vec<(Source, BorrowedFd<'_>)> {
        let workers = self.workers.iter().map(|worker| {
            let source = Source::Worker(worker.listener, worker.call);
            (source, worker.pidfd.as_fd())
        });
        let mut sources: Vec<_> = workers.collect();
        if sources.len() < MOST {
            let listeners = self.listeners.iter();
            sources.extend(listeners.map(|(id, fd)| (Source::Listener(*id), fd.as_fd())));
        }
        sources
    }

    /// Looks at what has spoken.
    pub(super) fn attend(&mut self, source: Source, container: &Container) {
        match source {
            Source::Listener(id) => self.take(id, container),
            Source::Worker(listener, call) => self.settle(listener, call),
        }
    }

    /// Takes the next call of a filter, or sees that nobody is under it any more.
    fn take(&mut self, id: u64, container: &Container) {
        let Some((_, listener)) = self.listeners.iter().find(|(other, _)| *other == id) else {
            return;
        };
        if has_hung_up(listener) {
            self.listeners.retain(|(other, _)| *other != id);
            return;
        }
        // Whose caller is gone again, is over.
        let Ok(Some(call)) = listener.receive() else {
            return;
        };
        let worker = || work(listener, &call, (&self.wanted, &self.figures), container);
        // In a group of the container's: what its calls cost counts as its own, where the limits are on version 2.
        let leaf = container.cgroup.open_attached(container.owner).ok();
        let request = CloneRequest {
            cgroup: leaf.as_ref().map(AsFd::as_fd),
            ..CloneRequest::default()
        };
        match clone_child(&request, worker) {
            Ok(child) => self.workers.push(Worker {
                listener: id,
                call: call.id,
                pidfd: child.pidfd,
            }),
            Err(_no_process) => {
                let busy = Answer::Failed(Errno::AGAIN.raw_os_error());
                drop(listener.answer(call.id, busy));
            }
        }
    }

    /// A worker that ended without an answer (it took too long) leaves a caller that waits.
    fn settle(&mut self, id: u64, call: u64) {
        let is_it = |worker: &Worker| (worker.listener, worker.call) == (id, call);
        let Some(index) = self.workers.iter().position(is_it) else {
            return;
        };
        let worker = self.workers.swap_remove(index);
        drop(pidfd::reap(worker.pidfd.as_fd()));
        if let Some((_, listener)) = self.listeners.iter().find(|(other, _)| *other == id) {
            let refusal = Answer::Failed(Errno::PERM.raw_os_error());
            drop(listener.answer(call, refusal));
        }
    }
}

/// Whether nobody is under a filter any more.
fn has_hung_up(listener: &Listener) -> bool {
    let mut fds = [PollFd::new(listener, PollFlags::IN)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    rustix::event::poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().contains(PollFlags::HUP)
}

/// The worker's code.
fn work(
    listener: &Listener,
    call: &Notification,
    known: (&Interception, &Figures),
    container: &Container,
) -> Infallible {
    let answer = begin(listener, container)
        .and_then(|()| answer(listener, call, known, container))
        .unwrap_or_else(|errno| Answer::Failed(errno.raw_os_error()));
    drop(listener.answer(call.id, answer));
    process::exit_now(0)
}

/// Nothing of the monitor's stays open in a process that paths of the container can hold up.
fn begin(listener: &Listener, container: &Container) -> Result<(), Errno> {
    let mut kept = vec![listener.as_fd(), container.init.pidfd.as_fd()];
    kept.extend(container.userns.as_ref().map(AsFd::as_fd));
    process::close_all_but(&kept).map_err(agent::to_errno)?;
    process::die_with_parent().map_err(agent::to_errno)?;
    process::forbid_tracing().map_err(agent::to_errno)?;
    process::end_after(PATIENCE);
    Ok(())
}

fn answer(
    listener: &Listener,
    call: &Notification,
    (wanted, figures): (&Interception, &Figures),
    container: &Container,
) -> Result<Answer, Errno> {
    let name = crate::seccomp::intercepted(call.architecture, call.call);
    let caller = Caller::open(listener, call, container)?;
    let [first, second, third, fourth, ..] = call.arguments;
    match (name, &wanted.mount) {
        (Some("mknod"), _) => node::make(&caller, None, (first, second, third)),
        (Some("mknodat"), _) => node::make(&caller, Some(first), (second, third, fourth)),
        (Some(name @ ("setxattr" | "lsetxattr" | "fsetxattr")), _) => {
            attribute::set(&caller, name, call.arguments)
        }
        (Some("sched_setscheduler"), _) => scheduler::set(&caller, (first, second, third)),
        (Some("sysinfo"), _) => machine::tell(&caller, first, figures),
        (Some("mount"), Some(order)) => mount::mount(&caller, order, call.arguments),
        _ => Err(Errno::NOSYS),
    }
}
