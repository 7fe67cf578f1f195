//! sched_setscheduler(2): which processes of the container run first.

use std::convert::Infallible;
use std::os::fd::AsFd as _;

use rlxc_sys::clone::{CloneRequest, clone_child};
use rlxc_sys::seccomp::Answer;
use rlxc_sys::{namespace, packet, process};
use rustix::io::Errno;

use super::agent::to_errno;
use super::caller::{Caller, as_int};

/// SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH and SCHED_IDLE of linux/sched.h, all of them with SCHED_RESET_ON_FORK or
/// without.
const POLICIES: [i32; 5] = [0, 1, 2, 3, 5];
const RESET_ON_FORK: i32 = 0x4000_0000;

/// Sets how a thread is scheduled.
pub(super) fn set(
    caller: &Caller<'_>,
    (thread, policy, parameters): (u64, u64, u64),
) -> Result<Answer, Errno> {
    let (thread, policy) = (as_int(thread), as_int(policy));
    if thread < 0 || !POLICIES.contains(&(policy & !RESET_ON_FORK)) {
        return Err(Errno::INVAL);
    }
    let parameters = caller.bytes(parameters, 4)?;
    let priority = parameters.try_into().map(i32::from_ne_bytes);
    let priority = priority.map_err(|_length| Errno::FAULT)?;
    caller.needs("sys_nice")?;
    let numbers = caller.namespace("pid")?;
    caller.still_waits()?;
    if thread == 0 {
        process::set_scheduler(caller.thread, policy, priority).map_err(to_errno)?;
        return Ok(Answer::Done(0));
    }
    // From inside its PID namespace: whatever the number stands for by then is in the container.
    let (ours, theirs) = packet::pair().map_err(to_errno)?;
    namespace::join(numbers.as_fd()).map_err(to_errno)?;
    clone_child(&CloneRequest::default(), || -> Infallible {
        drop(process::die_with_parent());
        let errno = match process::set_scheduler(thread, policy, priority) {
            Ok(()) => 0,
            Err(error) => to_errno(error).raw_os_error(),
        };
        drop(packet::send(theirs.as_fd(), &errno.to_ne_bytes(), &[]));
        process::exit_now(0)
    })
    .map_err(|_no_process| Errno::AGAIN)?;
    drop(theirs);
    let packet = packet::receive(ours.as_fd()).map_err(to_errno)?;
    let errno = packet.and_then(|packet| packet.bytes.try_into().ok());
    match errno.map(i32::from_ne_bytes) {
        Some(0) => Ok(Answer::Done(0)),
        Some(errno) => Err(Errno::from_raw_os_error(errno)),
        None => Err(Errno::PERM),
    }
}
