//! Sockets of a proxy: made in the namespaces that the process is in at the time.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream};
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::spec::{Endpoint, SocketOwner};

/// A socket that is listened on.
#[derive(Debug)]
pub(super) enum Listener {
    /// Connections come in.
    Stream(OwnedFd),
    /// Datagrams come in.
    Datagram(UdpSocket),
}

impl Listener {
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Stream(fd) => fd.as_fd(),
            Self::Datagram(socket) => socket.as_fd(),
        }
    }
}

/// An endpoint, for messages.
pub(super) fn text(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Tcp(address) => format!("tcp:{address}"),
        Endpoint::Udp(address) => format!("udp:{address}"),
        Endpoint::Unix(path) => format!("unix:{}", path.display()),
        Endpoint::Abstract(name) => format!("unix:@{name}"),
    }
}

/// Listens, without ever blocking.
pub(super) fn listen(endpoint: &Endpoint, owner: SocketOwner) -> io::Result<Listener> {
    Ok(match endpoint {
        Endpoint::Tcp(address) => {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Listener::Stream(listener.into())
        }
        Endpoint::Udp(address) => {
            let socket = UdpSocket::bind(address)?;
            socket.set_nonblocking(true)?;
            Listener::Datagram(socket)
        }
        Endpoint::Unix(path) => Listener::Stream(listen_unix(path, owner)?.into()),
        Endpoint::Abstract(name) => {
            let listener = UnixListener::bind_addr(&UnixAddr::from_abstract_name(name)?)?;
            listener.set_nonblocking(true)?;
            Listener::Stream(listener.into())
        }
    })
}

/// A socket file that nobody listens on any more makes room.
fn listen_unix(path: &Path, owner: SocketOwner) -> io::Result<UnixListener> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if is_socket
        && UnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    std::os::unix::fs::lchown(path, Some(owner.uid), Some(owner.gid))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(owner.mode))?;
    Ok(listener)
}

/// Begins to connect; whether it came about shows when the socket becomes writable.
pub(super) fn connect(endpoint: &Endpoint) -> io::Result<OwnedFd> {
    let (family, kind) = match endpoint {
        Endpoint::Tcp(address) => (family(address), SocketType::STREAM),
        Endpoint::Udp(address) => (family(address), SocketType::DGRAM),
        Endpoint::Unix(_) | Endpoint::Abstract(_) => (AddressFamily::UNIX, SocketType::STREAM),
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, kind, flags, None)?;
    let begun = match endpoint {
        Endpoint::Tcp(address) => {
            hurry(socket.as_fd());
            rustix::net::connect(&socket, address)
        }
        Endpoint::Udp(address) => rustix::net::connect(&socket, address),
        Endpoint::Unix(path) => rustix::net::connect(&socket, &SocketAddrUnix::new(path)?),
        Endpoint::Abstract(name) => {
            let address = SocketAddrUnix::new_abstract_name(name.as_bytes())?;
            rustix::net::connect(&socket, &address)
        }
    };
    match begun {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(errno) => Err(errno.into()),
    }
}

/// Small pieces are sent at once: whoever sent them wanted that. Sockets that have no such option need none.
pub(super) fn hurry(socket: BorrowedFd<'_>) {
    rustix::net::sockopt::set_tcp_nodelay(socket, true).ok();
}

fn family(address: &SocketAddr) -> AddressFamily {
    if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    }
}
