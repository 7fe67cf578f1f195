//! From the daemon's order to a running init; a launch that does not end there leaves nothing behind.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use rlxc_sys::clone::{Child, CloneRequest, NewNamespaces, Parent, clone_child};
use rlxc_sys::idmap::{IdMap, IdRange};
use rlxc_sys::{namespace, packet, pidfd, process};
use rustix::event::{PollFd, PollFlags, Timespec};

use super::access::{self, Kept};
use super::console::Console;
use super::intercept::Interceptor;
use super::nodes;
use super::shelf::Shelf;
use super::supplies::Mounts;
use crate::cgroup::{self, Cgroup, Layout};
use crate::confine::{Confinement, InPhase};
use crate::exit::ExitRecord;
use crate::init::{self, FromInit};
use crate::protocol::{self, Failure, Reply, Request, SOCKET};
use crate::spec::{ContainerSpec, DeviceSpec, MountSpec};
use crate::view::View;

const SIGKILL: i32 = 9;

/// A container that runs.
pub(super) struct Container {
    pub(super) instance: String,
    pub(super) runtime_dir: PathBuf,
    pub(super) init: Child,
    pub(super) netns: OwnedFd,
    pub(super) userns: Option<OwnedFd>,
    pub(super) cgroup: Cgroup,
    /// Host ids of the container's root.
    pub(super) owner: Option<(u32, u32)>,
    pub(super) confinement: Confinement,
    pub(super) oom_score_adj: i32,
    pub(super) console: Console,
    pub(super) listener: OwnedFd,
    pub(super) started_at: u64,
    /// What of the host is shown in it.
    pub(super) mounts: Vec<MountSpec>,
    /// Its `/dev`, and what of the host's is in there.
    pub(super) dev: OwnedFd,
    pub(super) devices: Vec<DeviceSpec>,
    pub(super) idmap: Option<IdMap>,
    pub(super) view: Option<View>,
    /// Taken by who serves.
    pub(super) interceptor: Option<Interceptor>,
}

/// Launches over the daemon's socket; the daemon hears of success here, of failure from the caller.
pub(super) fn launch(
    daemon: BorrowedFd<'_>,
    spec: &ContainerSpec,
    layout: &Layout,
) -> Result<Container, Failure> {
    let confinement = Confinement::parse(spec)?;
    // The daemon's, which came along, would be that of all instances.
    process::new_session_keyring().in_phase("monitor", || "make a session keyring".into())?;
    let owner = spec.idmap.as_ref().map(owner).transpose()?;
    let cgroup = Cgroup::new(layout.clone(), &spec.cgroup);
    let result = cgroup
        .create(owner, &spec.limits)
        .in_phase("cgroup", String::new)
        .and_then(|()| restrict(&cgroup, spec))
        .and_then(|()| launch_in(daemon, (spec, layout), cgroup.clone(), confinement));
    if result.is_err() {
        // What the failure was matters more than a directory that stays; the next start takes it over.
        drop(cgroup.kill());
        drop(cgroup.delete());
    }
    result
}

fn restrict(cgroup: &Cgroup, spec: &ContainerSpec) -> Result<(), Failure> {
    let kept = access::restrict(cgroup, &spec.devices)?;
    if spec.intercept.mknod && kept == Kept::ByNodes {
        return Err(Failure {
            phase: "devices".to_owned(),
            errno: 0,
            detail: "`security.syscalls.intercept.mknod` needs a kernel with BPF programs for control groups \
                     (CONFIG_CGROUP_BPF): nothing else would keep the container from opening nodes in its image"
                .to_owned(),
        });
    }
    Ok(())
}

fn launch_in(
    daemon: BorrowedFd<'_>,
    (spec, layout): (&ContainerSpec, &Layout),
    cgroup: Cgroup,
    confinement: Confinement,
) -> Result<Container, Failure> {
    let (child, socket, shelf) = clone_init(spec, &cgroup, &confinement)?;
    let result = drive(daemon, (spec, layout), &cgroup, (&child, &socket), shelf);
    let parts = match result {
        Ok(parts) => parts,
        Err(failure) => {
            drop(pidfd::send_signal(child.pidfd.as_fd(), SIGKILL));
            drop(pidfd::reap(child.pidfd.as_fd()));
            return Err(last_word(socket.as_fd()).unwrap_or(failure));
        }
    };
    let running = Reply::Running {
        init_pid: child.pid,
    };
    let interceptor = parts.calls.map(|calls| {
        let mut interceptor = Interceptor::new(&spec.intercept, &cgroup);
        interceptor.listen(calls);
        interceptor
    });
    // A daemon that is gone by now finds a container that runs: it was told nothing else.
    drop(protocol::send(daemon, &running, &[]));
    Ok(Container {
        instance: spec.instance.clone(),
        runtime_dir: spec.runtime_dir.clone(),
        init: child,
        netns: parts.netns,
        userns: parts.userns,
        cgroup,
        owner: spec.idmap.as_ref().map(owner).transpose()?,
        confinement,
        oom_score_adj: spec.oom_score_adj,
        console: parts.console,
        listener: parts.listener,
        started_at: now(),
        mounts: spec
            .mounts
            .iter()
            .cloned()
            .chain(nodes::bound_at_start(&spec.devices))
            .collect(),
        dev: parts.dev,
        devices: spec.devices.clone(),
        idmap: spec.idmap.clone(),
        view: parts.view,
        interceptor,
    })
}

/// Why init has ended, if it has said so: it knows better than who stumbled over that.
fn last_word(init: BorrowedFd<'_>) -> Option<Failure> {
    let at_once = Timespec::default();
    loop {
        let mut there = [PollFd::new(&init, PollFlags::IN)];
        match rustix::event::poll(&mut there, Some(&at_once)) {
            Ok(1..) => {}
            _ => return None,
        }
        match protocol::receive::<FromInit>(init) {
            Ok(Some((FromInit::Failed(failure), _fds))) => return Some(failure),
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return None,
        }
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn owner(idmap: &IdMap) -> Result<(u32, u32), Failure> {
    let ids = idmap.host_uid(0).zip(idmap.host_gid(0));
    ids.ok_or_else(|| Failure {
        phase: "identity".to_owned(),
        errno: 0,
        detail: "the id map has no root".to_owned(),
    })
}

fn clone_init(
    spec: &ContainerSpec,
    cgroup: &Cgroup,
    confinement: &Confinement,
) -> Result<(Child, OwnedFd, Option<Shelf>), Failure> {
    let (ours, theirs) = packet::pair().in_phase("clone", String::new)?;
    let directory = cgroup.open().in_phase("cgroup", String::new)?;
    let request = CloneRequest {
        namespaces: if spec.idmap.is_some() {
            NewNamespaces::UNPRIVILEGED
        } else {
            NewNamespaces::PRIVILEGED
        },
        cgroup: Some(directory.as_fd()),
        parent: Parent::Caller,
        // All belong to the host's root otherwise, and would share its limits with it and with one another.
        owner: spec
            .idmap
            .as_ref()
            .map(owner)
            .transpose()?
            .map(|(user, _)| user),
    };
    let init = || init::run(&theirs, spec, cgroup, confinement);
    if Shelf::is_needed(spec) {
        let (child, shelf) = Shelf::clone_init(&request, theirs.as_fd(), spec, init)?;
        return Ok((child, ours, Some(shelf)));
    }
    let child = clone_child(&request, init).in_phase("clone", String::new)?;
    Ok((child, ours, None))
}

/// What there is of a container that runs, besides its init.
struct Parts {
    netns: OwnedFd,
    userns: Option<OwnedFd>,
    console: Console,
    listener: OwnedFd,
    dev: OwnedFd,
    view: Option<View>,
    calls: Option<OwnedFd>,
}

fn drive(
    daemon: BorrowedFd<'_>,
    (spec, layout): (&ContainerSpec, &Layout),
    cgroup: &Cgroup,
    (child, socket): (&Child, &OwnedFd),
    shelf: Option<Shelf>,
) -> Result<Parts, Failure> {
    settle(spec, child)?;
    let netns = namespace::open(child.pid, "net").in_phase("clone", String::new)?;
    let userns = match spec.idmap {
        Some(_) => Some(namespace::open(child.pid, "user").in_phase("clone", String::new)?),
        None => None,
    };
    let mut handles = vec![child.pidfd.as_fd(), netns.as_fd()];
    handles.extend(userns.as_ref().map(AsFd::as_fd));
    protocol::send(daemon, &Reply::Cloned { pid: child.pid }, &handles)
        .in_phase("daemon", || "tell of the clone".into())?;
    // While the daemon plugs the network.
    let (mut view, shown) = open_view(spec, cgroup)?.unzip();
    let mounts = Mounts::open(spec, userns.as_ref().map(AsFd::as_fd), shelf)?.with_view(shown);
    ExitRecord::remove(&spec.runtime_dir)
        .in_phase("monitor", || "remove the last exit record".into())?;
    let listener = packet::listen(&spec.runtime_dir, SOCKET)
        .in_phase("monitor", || format!("listen at `{SOCKET}`"))?;
    // What is cloned from now on is in the right groups from its first moment. Nobody waits: the daemon is at work.
    cgroup::join_monitors(layout, spec.cgroup.as_ref()).in_phase("cgroup", String::new)?;
    wait_for_daemon(daemon)?;
    let dev = mounts
        .send(socket.as_fd())
        .in_phase("root file system", || "hand mounts to init".into())?;
    let (console, calls) = wait_for_exec(daemon, (child.pid, socket.as_fd()), &mut view)?;
    Ok(Parts {
        netns,
        userns,
        console: Console::new(console, &spec.console_log),
        listener,
        dev,
        view,
        calls,
    })
}

fn open_view(spec: &ContainerSpec, cgroup: &Cgroup) -> Result<Option<(View, OwnedFd)>, Failure> {
    if !spec.view {
        return Ok(None);
    }
    let owner = spec.idmap.as_ref().map(owner).transpose()?;
    View::open(cgroup, owner.unwrap_or_default())
}

/// Gives the child its ids.
fn settle(spec: &ContainerSpec, child: &Child) -> Result<(), Failure> {
    let inherited = fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
    if inherited.trim() != spec.oom_score_adj.to_string() {
        let path = format!("/proc/{}/oom_score_adj", child.pid);
        fs::write(&path, spec.oom_score_adj.to_string())
            .in_phase("limits", || format!("write to `{path}`"))?;
    }
    if let Some(idmap) = &spec.idmap {
        write_map(child.pid, "gid_map", &idmap.gid)?;
        write_map(child.pid, "uid_map", &idmap.uid)?;
    }
    Ok(())
}

fn write_map(pid: i32, file: &str, ranges: &[IdRange]) -> Result<(), Failure> {
    let path = format!("/proc/{pid}/{file}");
    // One write(2): the kernel takes a map whole or not at all.
    fs::write(&path, IdMap::render(ranges)).in_phase("identity", || format!("write to `{path}`"))
}

/// Waits for `Continue`.
fn wait_for_daemon(daemon: BorrowedFd<'_>) -> Result<(), Failure> {
    match protocol::receive(daemon).in_phase("daemon", String::new)? {
        Some((Request::Continue, _fds)) => Ok(()),
        _ => Err(hung_up()),
    }
}

fn hung_up() -> Failure {
    Failure {
        phase: "daemon".to_owned(),
        errno: 0,
        detail: "it hung up before the container ran".to_owned(),
    }
}

/// Waits until init was executed: its console has come, and a listener to its calls if they are intercepted, then its
/// socket closes and says nothing more.
fn wait_for_exec(
    daemon: BorrowedFd<'_>,
    (pid, init): (i32, BorrowedFd<'_>),
    view: &mut Option<View>,
) -> Result<(OwnedFd, Option<OwnedFd>), Failure> {
    let (mut console, mut calls, mut broken) = (None, None, None);
    loop {
        if let Err(failure) = wait_for_either(daemon, init, view)? {
            // It breaks when init ends as well, who knows better why.
            (*view, broken) = (None, Some(failure));
            continue;
        }
        match protocol::receive::<FromInit>(init).in_phase("init", String::new)? {
            Some((FromInit::Ready, fds)) => console = fds.into_iter().next(),
            Some((FromInit::Listening, fds)) => calls = fds.into_iter().next(),
            Some((FromInit::Failed(failure), _fds)) => return Err(failure),
            None => {
                return match (broken, console) {
                    (Some(failure), _) => Err(failure),
                    (None, Some(console)) if is_executed(pid) => Ok((console, calls)),
                    (None, _) => Err(ended_too_early()),
                };
            }
        }
    }
}

/// Whether a process is another program than it was born as: the kernel's `PF_FORKNOEXEC` tells, in the ninth field of
/// proc_pid_stat(5), also of one that has ended.
fn is_executed(pid: i32) -> bool {
    const NOT_EXECUTED: u64 = 0x40;
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let flags = text
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.split_whitespace().nth(6)?.parse().ok());
    flags.is_some_and(|flags: u64| flags & NOT_EXECUTED == 0)
}

fn ended_too_early() -> Failure {
    Failure {
        phase: "init".to_owned(),
        errno: 0,
        detail: "it ended before it was executed; `limits.memory` or `security.syscalls.allow` may leave it too little"
            .to_owned(),
    }
}

/// Returns once init has something to say, or its view has failed; fails if the daemon hangs up first. Meanwhile init looks
/// for the files of its view.
fn wait_for_either(
    daemon: BorrowedFd<'_>,
    init: BorrowedFd<'_>,
    view: &mut Option<View>,
) -> Result<Result<(), Failure>, Failure> {
    loop {
        let mut fds = vec![
            PollFd::new(&init, PollFlags::IN),
            PollFd::new(&daemon, PollFlags::RDHUP),
        ];
        let files = view.as_ref().map(View::descriptor);
        fds.extend(files.map(|files| PollFd::new(files, PollFlags::IN)));
        match rustix::event::poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(errno) => return Err(io::Error::from(errno)).in_phase("init", String::new),
            Ok(_ready) => {}
        }
        let ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let ready: Vec<bool> = ready.collect();
        if ready[1] {
            return Err(hung_up());
        }
        if ready[0] {
            return Ok(Ok(()));
        }
        if let Some(files) = view {
            let attended = files.attend().in_phase("view", String::new);
            if attended.is_err() {
                return Ok(attended);
            }
        }
    }
}
