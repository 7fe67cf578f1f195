//! Brings interfaces of the caller's own network namespace up: all that a container's init needs of netdevice(7),
//! without a netlink library in it.

use std::io;
use std::os::fd::AsRawFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType};

/// Sets `IFF_UP` on an interface.
pub fn set_up(name: &str) -> io::Result<()> {
    let socket = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let mut ifr_name = [0; libc::IFNAMSIZ];
    // The last byte stays 0: the kernel reads a C string.
    if name.len() >= ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    let flags = libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING)
        .map_err(|_overflow| io::ErrorKind::InvalidInput)?;
    let request = libc::ifreq {
        ifr_name,
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: flags },
    };
    // SAFETY: SIOCSIFFLAGS reads an ifreq with a name that ends in 0 and the flags set (netdevice(7)); it is live.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_that_there_is_no_such_link() {
        assert!(set_up("no-such-link").is_err());
        assert_eq!(
            set_up("a-name-that-is-much-too-long").unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }
}
