//! Sockets that a service manager has opened for us: the protocol of sd_listen_fds(3).

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{AddressFamily, SockaddrLike as _, SockaddrStorage, getsockname, sockopt};

/// The first descriptor that is handed in.
const FIRST: RawFd = 3;

/// A listening socket that was handed in.
#[derive(Debug)]
pub enum Inherited {
    /// Of the file system, or abstract.
    Unix(UnixListener),
    /// IPv4 or IPv6.
    Tcp(TcpListener),
}

static TAKEN: AtomicBool = AtomicBool::new(false);

/// The sockets that were handed to this very process; none where there is no service manager, and none when asked again.
///
/// To be called before anything else opens a descriptor: a manager that promises more than it hands in would make us take
/// what is somebody else's.
pub fn take() -> io::Result<Vec<Inherited>> {
    let number = |key| {
        std::env::var(key)
            .ok()
            .and_then(|text| text.parse::<u32>().ok())
    };
    let ours = number("LISTEN_PID") == Some(std::process::id());
    let count = number("LISTEN_FDS").unwrap_or(0);
    if !ours || TAKEN.swap(true, Ordering::SeqCst) {
        return Ok(Vec::new());
    }
    let end = RawFd::try_from(count)
        .ok()
        .and_then(|count| FIRST.checked_add(count))
        .ok_or_else(|| io::Error::other(format!("LISTEN_FDS={count} is too many")))?;
    (FIRST..end).map(adopt).collect()
}

fn adopt(number: RawFd) -> io::Result<Inherited> {
    // SAFETY: the manager hands these descriptors over to this process (LISTEN_PID is ours), `TAKEN` lets us take them once
    // only, and the caller is the first to open anything, so nobody else owns this number. One that is not open fails below.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    // The manager can't set it: it would not survive the exec.
    fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    let strange =
        |what: &str| io::Error::other(format!("descriptor {number} of LISTEN_FDS {what}"));
    if !nix::sys::socket::getsockopt(&fd, sockopt::AcceptConn)? {
        return Err(strange("does not listen"));
    }
    let address: SockaddrStorage = getsockname(fd.as_raw_fd())?;
    match address.family() {
        Some(AddressFamily::Unix) => Ok(Inherited::Unix(fd.into())),
        Some(AddressFamily::Inet | AddressFamily::Inet6) => Ok(Inherited::Tcp(fd.into())),
        _ => Err(strange("is neither a unix nor a TCP socket")),
    }
}
