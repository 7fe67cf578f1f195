//! Brings interfaces of the caller's own network namespace up: all that a container's init needs of netdevice(7),
//! without a netlink library in it. And what netlink can't do: sends a frame.

use std::io;
use std::os::fd::AsRawFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType};

/// Sets `IFF_UP` on an interface, beside the flags that it has.
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
    let mut request = libc::ifreq {
        ifr_name,
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: 0 },
    };
    let checked = |result: libc::c_int| match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    };
    // SAFETY: SIOCGIFFLAGS reads a name that ends in 0 from the ifreq and writes the flags to it (netdevice(7)); it is live.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) })?;
    // SAFETY: the call before has set the flags.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    let up =
        libc::c_short::try_from(libc::IFF_UP).map_err(|_overflow| io::ErrorKind::InvalidInput)?;
    request.ifr_ifru.ifru_flags = flags | up;
    // SAFETY: SIOCSIFFLAGS reads an ifreq with a name that ends in 0 and the flags set; it is live.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) })
}

/// Sends an Ethernet frame, header included, out of an interface; see packet(7).
///
/// The kernel drops it without a word where the interface has no carrier.
pub fn send_frame(interface: u32, frame: &[u8]) -> io::Result<()> {
    // Protocol 0: nothing is received.
    let socket = rustix::net::socket_with(
        AddressFamily::PACKET,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let invalid = |_overflow| io::ErrorKind::InvalidInput;
    let address = libc::sockaddr_ll {
        sll_family: libc::c_ushort::try_from(libc::AF_PACKET).map_err(invalid)?,
        // Of the frame itself: the kernel notes it with the packet. Big endian, as on the wire.
        sll_protocol: frame
            .get(12..14)
            .map_or(0, |kind| u16::from_ne_bytes([kind[0], kind[1]])),
        sll_ifindex: libc::c_int::try_from(interface).map_err(invalid)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = libc::socklen_t::try_from(size_of_val(&address)).map_err(invalid)?;
    // SAFETY: sendto(2) reads the frame and the address in their lengths; both are live.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            frame.as_ptr().cast(),
            frame.len(),
            0,
            (&raw const address).cast(),
            length,
        )
    };
    if sent < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
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
