//! What a process does to itself before it becomes another: descriptors, signals, identity, limits, exec.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};
use rustix::thread::{Gid, Uid};

/// Ends the process at once: no destructors, no exit handlers. For children of clone, whose copies of all that
/// belong to the parent.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) takes a number and does not return.
    unsafe { libc::_exit(code) }
}

/// Moves whatever is standard input out of the way, and puts the null device on all three standard descriptors.
pub fn take_stdin() -> io::Result<OwnedFd> {
    // SAFETY: descriptor 0 stays open for the length of this call: nothing else runs yet in a program that does this
    // first. Were it not open at all, the copy fails.
    let stdin = unsafe { BorrowedFd::borrow_raw(0) };
    let taken = rustix::io::fcntl_dupfd_cloexec(stdin, 3)?;
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC;
    let null = rustix::fs::open("/dev/null", flags, rustix::fs::Mode::empty())?;
    set_stdio([null.as_fd(); 3])?;
    Ok(taken)
}

/// Closes every descriptor from `first` on. For the first line of a program: whatever it inherited is nobody's.
pub fn close_from(first: u32) -> io::Result<()> {
    close_range(first, 0)
}

/// Marks every descriptor from `first` on to be closed by the next exec.
pub fn close_from_on_exec(first: u32) -> io::Result<()> {
    close_range(first, libc::CLOSE_RANGE_CLOEXEC)
}

/// Closes every descriptor from 3 on but a few. Only for a child of clone that has just begun and never goes back to
/// code that holds others.
pub fn close_all_but(kept: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut kept: Vec<u32> = kept
        .iter()
        .map(|fd| fd.as_raw_fd().unsigned_abs())
        .collect();
    kept.sort_unstable();
    let mut next = 3;
    for fd in kept.into_iter().filter(|fd| *fd >= 3) {
        if fd > next {
            close_span(next, fd - 1, 0)?;
        }
        next = fd + 1;
    }
    close_range(next, 0)
}

fn close_range(first: u32, flags: u32) -> io::Result<()> {
    close_span(first, u32::MAX, flags)
}

fn close_span(first: u32, last: u32, flags: u32) -> io::Result<()> {
    // SAFETY: takes four numbers. Closing what an OwnedFd of this process still holds is the callers' duty to avoid:
    // they run where nothing is open yet or nothing else will be used, or leave descriptors open till exec.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Makes `fds` the standard input, output and error.
pub fn set_stdio(fds: [BorrowedFd<'_>; 3]) -> io::Result<()> {
    // Copied out of the way first: a source may be 0, 1 or 2 itself.
    let copies = fds
        .iter()
        .map(|fd| Ok(rustix::io::fcntl_dupfd_cloexec(fd, 3)?))
        .collect::<io::Result<Vec<_>>>()?;
    for (number, fd) in (0..).zip(&copies) {
        // SAFETY: dup2(2) takes numbers; 0, 1 and 2 are owned by nobody: std opens and closes none of them.
        let result = unsafe { libc::dup2(fd.as_raw_fd(), number) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Gives every signal its default action and blocks none: both outlive exec.
pub fn reset_signals() -> io::Result<()> {
    // What rt_sigaction(2) takes, at its largest: SIG_DFL, no flags, no restorer, an empty mask.
    let default = [0_u64; 4];
    for signal in 1..=64 {
        // By the system call: the C library keeps two signals for itself, and its posix_spawn(3) leaves them ignored.
        // SAFETY: SIG_DFL is no handler of ours, so nothing can be called at a bad moment; the kernel reads `default`
        // and writes nothing; SIGKILL and SIGSTOP are refused, which is as good.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                std::ptr::null_mut::<u64>(),
                size_of::<u64>(),
            )
        };
    }
    nix::sys::signal::SigSet::empty().thread_set_mask()?;
    Ok(())
}

/// Lets a write to a closed pipe be an error, not the end of the process. Rust's runtime does it for `main` too.
pub fn ignore_broken_pipes() {
    // SAFETY: SIG_IGN is no handler of ours.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Has the kernel kill this process when its parent ends. Forgotten by the kernel whenever the identity changes.
pub fn die_with_parent() -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(
        Signal::KILL,
    ))?)
}

/// Leaves the session keyring that this process was born with for an empty one, which its children inherit; see
/// keyrings(7). Fine on a kernel without keys.
pub fn new_session_keyring() -> io::Result<()> {
    /// `KEYCTL_JOIN_SESSION_KEYRING` of linux/keyctl.h.
    const JOIN_SESSION_KEYRING: libc::c_long = 1;
    let anonymous = std::ptr::null::<libc::c_char>();
    // SAFETY: keyctl(2) takes a number and a name here, and no name is one without.
    let serial = unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, anonymous) };
    if serial >= 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::ENOSYS) => Ok(()),
        error => Err(error),
    }
}

/// Keeps other processes of the same user from tracing this one and from reading its `/proc` files, until exec.
pub fn forbid_tracing() -> io::Result<()> {
    Ok(rustix::process::set_dumpable_behavior(
        DumpableBehavior::NotDumpable,
    )?)
}

/// Takes an identity for good: groups, group, user. Only for a process with one thread.
pub fn become_user(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    let groups: Vec<Gid> = groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    rustix::thread::set_thread_groups(&groups)?;
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}

/// Names this process in `ps`; the kernel keeps 15 bytes.
pub fn set_name(name: &CStr) -> io::Result<()> {
    Ok(rustix::thread::set_name(name)?)
}

/// A resource limit by its name, as `limits.kernel.*` has it (`nofile`); see getrlimit(2).
pub fn parse_resource(name: &str) -> Option<Resource> {
    Some(match name {
        "as" => Resource::As,
        "core" => Resource::Core,
        "cpu" => Resource::Cpu,
        "data" => Resource::Data,
        "fsize" => Resource::Fsize,
        "locks" => Resource::Locks,
        "memlock" => Resource::Memlock,
        "msgqueue" => Resource::Msgqueue,
        "nice" => Resource::Nice,
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        "rss" => Resource::Rss,
        "rtprio" => Resource::Rtprio,
        "rttime" => Resource::Rttime,
        "sigpending" => Resource::Sigpending,
        "stack" => Resource::Stack,
        _ => return None,
    })
}

/// Sets a resource limit of this process; `None` is "unlimited".
pub fn set_resource_limit(
    resource: Resource,
    soft: Option<u64>,
    hard: Option<u64>,
) -> io::Result<()> {
    let limit = Rlimit {
        current: soft,
        maximum: hard,
    };
    Ok(rustix::process::setrlimit(resource, limit)?)
}

/// A resource limit of this process, soft and hard; `None` is "unlimited".
pub fn resource_limit(resource: Resource) -> (Option<u64>, Option<u64>) {
    let limit = rustix::process::getrlimit(resource);
    (limit.current, limit.maximum)
}

/// Sets a resource limit of another process, see prlimit(2); returns what it was.
pub fn change_resource_limit(
    pid: i32,
    resource: Resource,
    soft: Option<u64>,
    hard: Option<u64>,
) -> io::Result<(Option<u64>, Option<u64>)> {
    let limit = Rlimit {
        current: soft,
        maximum: hard,
    };
    let before = rustix::process::prlimit(rustix::process::Pid::from_raw(pid), resource, limit)?;
    Ok((before.current, before.maximum))
}

/// Sets how a thread is scheduled, see sched_setscheduler(2); `thread` is 0 for the caller, or a number of the caller's PID
/// namespace.
pub fn set_scheduler(thread: i32, policy: i32, priority: i32) -> io::Result<()> {
    let parameters = libc::sched_param {
        sched_priority: priority,
    };
    // SAFETY: `parameters` is a live sched_param, which the kernel reads.
    let result = unsafe {
        libc::syscall(
            libc::SYS_sched_setscheduler,
            thread,
            policy,
            &raw const parameters,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Lets this process keep its capabilities when it stops being root; until exec.
pub fn keep_capabilities() -> io::Result<()> {
    Ok(rustix::thread::set_keep_capabilities(true)?)
}

/// Ends this process by a signal after so many seconds, whatever it waits for then.
pub fn end_after(seconds: u32) {
    nix::unistd::alarm::set(seconds);
}

/// Becomes another program; only returns with what kept it from that.
pub fn execute(program: &CStr, argv: &[CString], env: &[CString]) -> io::Error {
    match nix::unistd::execve(program, argv, env) {
        Ok(never) => match never {},
        Err(errno) => errno.into(),
    }
}

/// Gives freed memory back to the kernel; worth its time once, after a burst of allocations in a process that lives
/// long.
pub fn trim_heap() {
    // SAFETY: malloc_trim(3) takes a number and keeps all live allocations.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
}
