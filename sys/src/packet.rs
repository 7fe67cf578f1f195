//! Packets with file descriptors over `SOCK_SEQPACKET` unix sockets, see unix(7).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

/// How many descriptors one packet may carry; the kernel's own limit is 253 (`SCM_MAX_FD`).
pub const MAX_FDS: usize = 128;
/// Longer packets are refused: nothing we send comes near.
const MAX_LENGTH: usize = 1 << 20;

/// What arrived.
#[derive(Debug)]
pub struct Packet {
    /// The message.
    pub bytes: Vec<u8>,
    /// The descriptors that came with it, closed on exec.
    pub fds: Vec<OwnedFd>,
}

/// Two connected ends.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// Listens at `directory/name`, for the owner alone (mode 0600).
pub fn listen(directory: &Path, name: &str) -> io::Result<OwnedFd> {
    let socket = socket()?;
    let (directory, address) = address(directory, name)?;
    match rustix::fs::unlinkat(&directory, name, rustix::fs::AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno.into()),
    }
    // The mode of a socket file is that of the socket's inode at bind(2).
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, 64)?;
    Ok(socket)
}

/// Connects to `directory/name`.
pub fn connect(directory: &Path, name: &str) -> io::Result<OwnedFd> {
    let socket = socket()?;
    let (_directory, address) = address(directory, name)?;
    rustix::net::connect(&socket, &address)?;
    Ok(socket)
}

/// Takes the next connection.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(rustix::net::accept_with(listener, SocketFlags::CLOEXEC)?)
}

/// Makes reads and writes of a socket fail with `WouldBlock` instead of waiting.
pub fn set_nonblocking(socket: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(socket, true)?)
}

fn socket() -> io::Result<OwnedFd> {
    Ok(rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// The path goes by way of the open directory: an address holds 107 bytes, directories may be deeper.
fn address(directory: &Path, name: &str) -> io::Result<(OwnedFd, SocketAddrUnix)> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(CWD, directory, flags, Mode::empty())?;
    let path = format!("/proc/self/fd/{}/{name}", directory.as_raw_fd());
    Ok((directory, SocketAddrUnix::new(path)?))
}

/// Sends one packet.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    loop {
        let slices = [IoSlice::new(bytes)];
        match rustix::net::sendmsg(socket, &slices, &mut control, SendFlags::NOSIGNAL) {
            Ok(_length) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Waits for a packet; `None` if the other end is closed.
pub fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<Packet>> {
    // Asks for the length first: most packets are small, and a buffer for the largest would stay in memory.
    let length = loop {
        let flags = RecvFlags::PEEK | RecvFlags::TRUNC;
        match rustix::net::recv(socket, &mut [0_u8; 0][..], flags) {
            Ok((_read, length)) => break length,
            // A peer that went without reading all we sent: the kernel says so once, before it hands out what the
            // peer sent last.
            Err(Errno::INTR | Errno::CONNRESET) => {}
            Err(errno) => return Err(errno.into()),
        }
    };
    if length > MAX_LENGTH {
        return Err(io::ErrorKind::InvalidData.into());
    }
    receive_sized(socket, length)
}

fn receive_sized(socket: BorrowedFd<'_>, length: usize) -> io::Result<Option<Packet>> {
    let mut bytes = vec![0; length];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut slices = [IoSliceMut::new(&mut bytes)];
        match rustix::net::recvmsg(socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC) {
            // It may also have gone after we looked.
            Err(Errno::INTR | Errno::CONNRESET) => {}
            Err(errno) => return Err(errno.into()),
            Ok(received) => break received.bytes,
        }
    };
    let fds: Vec<OwnedFd> = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        })
        .flatten()
        .collect();
    // An empty packet is the end of the stream: we never send one.
    if received == 0 {
        return Ok(None);
    }
    bytes.truncate(received);
    Ok(Some(Packet { bytes, fds }))
}

/// The effective user id of the process at the other end.
pub fn peer_uid(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let credentials = rustix::net::sockopt::socket_peercred(socket.as_fd())?;
    Ok(credentials.uid.as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read as _, Seek as _, Write as _};
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn carries_bytes_and_descriptors() {
        let (a, b) = pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"content").unwrap();
        file.rewind().unwrap();
        send(a.as_fd(), b"hello", &[file.as_fd()]).unwrap();
        let packet = receive(b.as_fd()).unwrap().unwrap();
        assert_eq!(packet.bytes, b"hello");
        let mut text = String::new();
        let mut fds = packet.fds.into_iter();
        File::from(fds.next().unwrap())
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "content");
    }

    #[test]
    fn tells_the_end() {
        let (a, b) = pair().unwrap();
        drop(a);
        assert!(receive(b.as_fd()).unwrap().is_none());
    }

    #[test]
    fn hears_the_last_words_of_a_peer_that_did_not_listen() {
        let (a, b) = pair().unwrap();
        send(b.as_fd(), b"unread", &[]).unwrap();
        send(a.as_fd(), b"last words", &[]).unwrap();
        drop(a);
        let packet = receive(b.as_fd()).unwrap().unwrap();
        assert_eq!(packet.bytes, b"last words");
        assert!(receive(b.as_fd()).unwrap().is_none());
    }

    #[test]
    fn listens_for_the_owner_in_a_deep_directory() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let listener = listen(&deep, "monitor.sock").unwrap();
        let mode = deep
            .join("monitor.sock")
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let client = connect(&deep, "monitor.sock").unwrap();
        let server = accept(listener.as_fd()).unwrap();
        send(client.as_fd(), &vec![7; 100_000], &[]).unwrap();
        assert_eq!(
            receive(server.as_fd()).unwrap().unwrap().bytes.len(),
            100_000
        );
    }
}
