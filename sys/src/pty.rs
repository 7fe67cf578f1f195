//! Pseudo-terminals in the devpts of whoever asks, see pty(7).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, major, minor};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

/// `DEVPTS_SUPER_MAGIC` of linux/magic.h.
const DEVPTS: i64 = 0x1cd1;
/// Major and minor number of `/dev/ptmx`, see Documentation/admin-guide/devices.txt.
const PTMX: (u32, u32) = (5, 2);

/// Both ends of a terminal.
#[derive(Debug)]
pub struct Pty {
    /// The end that a person or a program of ours holds.
    pub master: OwnedFd,
    /// The end that is a terminal to its program.
    pub slave: OwnedFd,
}

/// Opens a terminal by the `ptmx` in a directory where a devpts is mounted.
///
/// The directory may be in a container that lies: what is opened there must really be devpts's multiplexer, else it is
/// an error. The slave is opened by way of the master, never by a name.
pub fn open(devpts: BorrowedFd<'_>) -> io::Result<Pty> {
    // O_PATH first: opening an unknown device or fifo could block or have effects.
    let look = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let node = rustix::fs::openat(devpts, "ptmx", look, Mode::empty())?;
    let stat = rustix::fs::fstat(&node)?;
    let is_ptmx = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && (major(stat.st_rdev), minor(stat.st_rdev)) == PTMX
        && rustix::fs::fstatfs(&node)?.f_type == DEVPTS;
    if !is_ptmx {
        return Err(io::Error::other(
            "/dev/pts/ptmx is not a terminal multiplexer",
        ));
    }
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let master = rustix::fs::openat(devpts, "ptmx", flags, Mode::empty())?;
    rustix::pty::unlockpt(&master)?;
    let slave = peer(master.as_fd())?;
    Ok(Pty { master, slave })
}

/// Opens the slave of a master.
pub fn peer(master: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    Ok(rustix::pty::ioctl_tiocgptpeer(master, flags)?)
}

/// The number of a terminal: its name in the directory of its devpts.
pub fn number(master: BorrowedFd<'_>) -> io::Result<String> {
    let name = rustix::pty::ptsname(master, Vec::new())?;
    let name = name.to_string_lossy();
    Ok(name.rsplit('/').next().unwrap_or_default().to_owned())
}

/// Sets the size of a terminal, in characters; programs in it get SIGWINCH.
pub fn resize(terminal: BorrowedFd<'_>, width: u16, height: u16) -> io::Result<()> {
    let size = Winsize {
        ws_col: width,
        ws_row: height,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    Ok(rustix::termios::tcsetwinsize(terminal, size)?)
}

/// Begins a session of its own whose terminal `slave` is.
pub fn make_controlling(slave: BorrowedFd<'_>) -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(rustix::process::ioctl_tiocsctty(slave)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devpts() -> OwnedFd {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        rustix::fs::open("/dev/pts", flags, Mode::empty()).unwrap()
    }

    #[test]
    fn passes_bytes_and_size() {
        // Only root may open the multiplexer of some hosts' devpts (ptmxmode=000).
        let Ok(pty) = open(devpts().as_fd()) else {
            assert!(std::env::var_os("RLXC_FORBID_SKIP").is_none());
            eprintln!("skipped: no usable /dev/pts/ptmx");
            return;
        };
        rustix::io::write(&pty.master, b"x\n").unwrap();
        let mut buffer = [0; 8];
        assert_eq!(rustix::io::read(&pty.slave, &mut buffer).unwrap(), 2);
        resize(pty.master.as_fd(), 132, 43).unwrap();
        let size = rustix::termios::tcgetwinsize(&pty.slave).unwrap();
        assert_eq!((size.ws_col, size.ws_row), (132, 43));
    }

    #[test]
    fn refuses_what_only_looks_like_devpts() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ptmx"), "").unwrap();
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let dir = rustix::fs::open(dir.path(), flags, Mode::empty()).unwrap();
        assert!(open(dir.as_fd()).is_err());
    }
}
