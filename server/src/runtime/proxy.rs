//! Processes of proxies: started by way of the monitor's program, known by the lock that each holds.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

use rlxc_container::protocol::{Reply, Request};
use rlxc_container::proxy::ProxySpec;
use rlxc_sys::{packet, pidfd};
use rustix::fs::FlockOperation;

use super::RuntimeError;
use super::binary::MonitorBinary;
use super::channel::Channel;

const SIGKILL: i32 = 9;

/// Starts a proxy; when this returns it listens.
pub(super) async fn start(
    binary: std::sync::Arc<MonitorBinary>,
    spec: ProxySpec,
    instance: BorrowedFd<'_>,
) -> Result<(), RuntimeError> {
    const WHAT: &str = "proxy";
    let talk = |source| RuntimeError::Talk { what: WHAT, source };
    let (ours, theirs) = packet::pair().map_err(talk)?;
    let channel = Channel::new(ours).map_err(talk)?;
    let request = Request::Proxy {
        spec: Box::new(spec),
    };
    channel.send(WHAT, &request, &[instance]).await?;
    crate::context::blocking(move || binary.launch("[rlxc proxy]", theirs)).await?;
    match channel.receive(WHAT).await? {
        (Reply::Done, _) => Ok(()),
        (Reply::Failed(failure), _) => Err(RuntimeError::Start(failure)),
        _ => Err(RuntimeError::Unexpected { what: WHAT }),
    }
}

/// The process that holds the lock.
pub(super) fn holder(lock: &Path) -> Option<i32> {
    let file = std::fs::File::open(lock).ok()?;
    let free = rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared).is_ok();
    if free {
        return None;
    }
    std::fs::read_to_string(lock).ok()?.trim().parse().ok()
}

/// Ends the proxy that holds the lock; fine if there is none.
pub(super) fn stop(lock: &Path) -> Result<(), RuntimeError> {
    const WHAT: &str = "end a proxy";
    let Some(pid) = holder(lock) else {
        return Ok(());
    };
    let talk = |source| RuntimeError::Talk { what: WHAT, source };
    let Ok(process) = pidfd::open(pid) else {
        return Ok(());
    };
    // Only after the pidfd is open does the lock speak of the very process that it holds.
    if holder(lock) == Some(pid) {
        pidfd::send_signal(process.as_fd(), SIGKILL).map_err(talk)?;
        // Its ports are free when this returns.
        let mut fds = [rustix::event::PollFd::new(
            &process,
            rustix::event::PollFlags::IN,
        )];
        rustix::event::poll(&mut fds, None).ok();
    }
    Ok(())
}
