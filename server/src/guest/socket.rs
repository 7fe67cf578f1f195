//! The socket in an instance's directory. The directory is mounted in the guest once; the socket in it may come and go.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, lchown};
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::fs::{Mode, fchmod};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// Its name in the directory.
const NAME: &str = "sock";
/// Connections that wait to be taken.
const BACKLOG: i32 = 32;

/// Makes the directory: the guest may look, but not write.
pub(super) fn make_directory(directory: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(directory)?;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755))
}

/// Listens for the guest's root, whose number on the host is `uid`, and for nobody else.
pub(super) fn listen(directory: &Path, uid: u32) -> io::Result<UnixListener> {
    // Under another name first: what the guest finds is complete.
    let unfinished = directory.join(format!(".{NAME}"));
    remove(&unfinished)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // bind(2) makes the file with the mode of the socket; umask only takes away.
    fchmod(&socket, Mode::from_raw_mode(0o600))?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(&unfinished)?)?;
    lchown(&unfinished, Some(uid), Some(uid))?;
    rustix::net::listen(&socket, BACKLOG)?;
    std::fs::rename(&unfinished, directory.join(NAME))?;
    Ok(UnixListener::from(socket))
}

/// Takes the socket away.
pub(super) fn remove_from(directory: &Path) -> io::Result<()> {
    remove(&directory.join(NAME))
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;
    use std::os::unix::net::UnixStream;

    #[test]
    fn it_is_the_guests_alone_and_comes_again() {
        let directory = tempfile::tempdir().unwrap();
        let uid = std::fs::metadata(directory.path()).unwrap().uid();
        for _ in 0..2 {
            let _listener = listen(directory.path(), uid).unwrap();
            let path = directory.path().join(NAME);
            let facts = std::fs::metadata(&path).unwrap();
            assert_eq!((facts.mode() & 0o777, facts.uid()), (0o600, uid));
            UnixStream::connect(&path).unwrap();
        }
        remove_from(directory.path()).unwrap();
        remove_from(directory.path()).unwrap();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
