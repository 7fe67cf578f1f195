//! Unix sockets in a file system, which stay when whoever listened on them has gone.

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::file::{FileError, context};
use crate::path::{Resolve, open_beneath, unlink};

/// Removes the stream socket at `path`, as it is called in `root`, if nobody listens on it; whatever else is there, or
/// nothing, stays as it is.
pub fn remove_abandoned(root: impl AsFd, path: &Path) -> Result<(), FileError> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW;
    let file = match open_beneath(root.as_fd(), path, flags, Mode::empty(), Resolve::InRoot) {
        Ok(file) => file,
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(error),
    };
    let stat = rustix::fs::fstat(&file).map_err(context("look at", path))?;
    let is_socket = FileType::from_raw_mode(stat.st_mode) == FileType::Socket;
    if is_socket && is_abandoned(file.as_fd()).map_err(context("connect to", path))? {
        unlink(root, path, Resolve::InRoot)?;
    }
    Ok(())
}

/// By the open file: what a name stands for may change, and lead anywhere.
fn is_abandoned(file: BorrowedFd<'_>) -> Result<bool, Errno> {
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    Ok(rustix::net::connect(&socket, &address) == Err(Errno::CONNREFUSED))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::path::open_dir;

    #[test]
    fn only_a_socket_that_nobody_listens_on_goes() {
        let dir = tempfile::tempdir().unwrap();
        let root = open_dir(dir.path()).unwrap();
        let (heard, left, file) = (Path::new("/heard"), Path::new("/left"), Path::new("/file"));
        let _listener = UnixListener::bind(dir.path().join("heard")).unwrap();
        drop(UnixListener::bind(dir.path().join("left")).unwrap());
        std::fs::write(dir.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink("left", dir.path().join("link")).unwrap();
        for path in [
            heard,
            file,
            Path::new("/link"),
            Path::new("/absent/x"),
            left,
        ] {
            remove_abandoned(&root, path).unwrap();
        }
        let mut names: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["file", "heard", "link"]);
    }
}
