//! A proxy: one process for each device `proxy` of a running container. It passes connections on from one side of a
//! network namespace to the other, and outlives the daemon as the container does.
//!
//! ```text
//! stdin ─Proxy─▶ listen (here or in the container) ─▶ enter where it connects ─▶ answer Done ─▶ serve until init ends
//! ```
//! One thread, one epoll loop. Streams go through pipes by splice(2) without being copied.

mod datagram;
mod endpoint;
mod serve;
mod spec;
mod stream;

use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rlxc_sys::identity::FsIdentity;
use rlxc_sys::{namespace, process};
use rustix::fs::{FlockOperation, Mode, OFlags};

use crate::confine::InPhase;
use crate::protocol::{self, Failure, Reply};

pub use spec::{Endpoint, ProxySpec, SocketOwner};

use endpoint::Listener;

const PHASE: &str = "proxy";

/// The whole life of a proxy, in a process of its own. `instance` is a pidfd of the container's init.
pub(crate) fn run(daemon: OwnedFd, instance: BorrowedFd<'_>, spec: &ProxySpec) {
    process::ignore_broken_pipes();
    // As many descriptors as there may be: each connection takes two.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    drop(process::set_resource_limit(
        rustix::process::Resource::Nofile,
        limit.maximum,
        limit.maximum,
    ));
    match prepare(spec, instance) {
        Ok((listeners, _lock)) => {
            drop(protocol::send(daemon.as_fd(), &Reply::Done, &[]));
            drop(daemon);
            process::trim_heap();
            serve::serve(&listeners, instance, spec);
        }
        Err(failure) => drop(protocol::send(daemon.as_fd(), &Reply::Failed(failure), &[])),
    }
}

/// Takes the lock, listens, goes where it connects, and lays down what it does not need.
fn prepare(
    spec: &ProxySpec,
    instance: BorrowedFd<'_>,
) -> Result<(Vec<Listener>, OwnedFd), Failure> {
    let lock = lock(spec).in_phase(PHASE, || format!("lock `{}`", spec.lock.display()))?;
    let host = namespace::Place::here().in_phase(PHASE, String::new)?;
    let enter = || {
        namespace::enter(instance).in_phase(PHASE, || "enter the container's namespaces".to_owned())
    };
    // The host's root is nobody on an idmapped mount, and could make no socket there.
    let mut owner = None;
    if spec.inside {
        enter()?;
        let assumed = FsIdentity::assume(spec.owner.uid, spec.owner.gid);
        owner = Some(assumed.in_phase(PHASE, || "become the owner of sockets".to_owned())?);
    }
    let mut listeners = Vec::new();
    for (listen, _) in &spec.pairs {
        let listener = endpoint::listen(listen, spec.owner)
            .in_phase(PHASE, || format!("listen on {}", endpoint::text(listen)))?;
        listeners.push(listener);
    }
    drop(owner);
    if spec.inside {
        host.enter().in_phase(PHASE, String::new)?;
    } else {
        enter()?;
    }
    if let Some((uid, gid)) = spec.identity {
        process::become_user(uid, gid, &[]).in_phase(PHASE, || format!("become user {uid}"))?;
    }
    Ok((listeners, lock))
}

fn lock(spec: &ProxySpec) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::open(&spec.lock, flags, Mode::RUSR | Mode::WUSR)?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    rustix::fs::ftruncate(&file, 0)?;
    let mut file = std::fs::File::from(file);
    write!(file, "{}", std::process::id())?;
    Ok(file.into())
}

#[cfg(test)]
mod tests;
