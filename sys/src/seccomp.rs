//! Installs a seccomp filter, see seccomp(2), and answers system calls that it hands over, see seccomp_unotify(2). What a
//! filter says is rendered elsewhere.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// One instruction of classic BPF, as linux/filter.h lays it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// How far to jump if true.
    pub jump_true: u8,
    /// How far to jump if false.
    pub jump_false: u8,
    /// The operand.
    pub operand: u32,
}

/// `struct sock_fprog`.
#[repr(C)]
struct Program {
    length: u16,
    instructions: *const Instruction,
}

/// Puts the calling process and all its children under a filter for good. Needs `CAP_SYS_ADMIN` in the process's user
/// namespace. Mitigations against speculation stay as they are: filters alone are no reason to slow a container down.
pub fn install(instructions: &[Instruction]) -> io::Result<()> {
    load(instructions, libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW).map(drop)
}

/// The same for a filter that hands calls over: to whoever holds what comes back. Once nobody does, they fail with
/// `ENOSYS`. `EBUSY` means that the process is under such a filter already.
pub fn install_with_listener(instructions: &[Instruction]) -> io::Result<Listener> {
    let flags = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW | libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    // A call that somebody works on is not begun anew for each signal; kernels before 5.19 don't know how.
    let number = match load(
        instructions,
        flags | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
    ) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => load(instructions, flags)?,
        result => result?,
    };
    let number = i32::try_from(number).map_err(|_overflow| io::ErrorKind::InvalidData)?;
    // SAFETY: with NEW_LISTENER the kernel returns a new descriptor, closed on exec, which nobody else knows.
    let listener = unsafe { OwnedFd::from_raw_fd(number) };
    Ok(Listener(listener))
}

fn load(instructions: &[Instruction], flags: libc::c_ulong) -> io::Result<i64> {
    let program = Program {
        length: u16::try_from(instructions.len())
            .map_err(|_overflow| io::ErrorKind::InvalidInput)?,
        instructions: instructions.as_ptr(),
    };
    // SAFETY: `program` is laid out as sock_fprog and points to as many live instructions as it says; the kernel copies
    // and checks them before it returns.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

/// A system call that waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notification {
    /// Names it to the kernel.
    pub id: u64,
    /// The thread that made it, as this process's PID namespace numbers it.
    pub thread: i32,
    /// Its number, in the numbers of that architecture.
    pub call: i32,
    /// `AUDIT_ARCH_*` of linux/audit.h.
    pub architecture: u32,
    /// What it was called with. What addresses among them point to is the caller's, and can change at any moment.
    pub arguments: [u64; 6],
}

/// What a system call comes back with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A value.
    Done(i64),
    /// An error, see errno(3).
    Failed(i32),
    /// The kernel does it, and decides about it, as if nobody had looked. Never after a look at memory on which
    /// anything hangs: the caller can have changed it since.
    Continue,
}

/// Hears of the calls that a filter hands over. Readable when there is one.
#[derive(Debug)]
pub struct Listener(OwnedFd);

impl Listener {
    /// From a descriptor that came over a socket.
    pub fn new(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }

    /// The next call; `None` if its caller has ended or was interrupted meanwhile.
    pub fn receive(&self) -> io::Result<Option<Notification>> {
        // SAFETY: integers alone, for which zero is a value; the kernel wants them to be zero.
        let mut notification: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the request says that it is for a seccomp_notif of this size, and the kernel writes no more.
        let result = unsafe {
            libc::ioctl(
                self.0.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_RECV,
                &raw mut notification,
            )
        };
        if result < 0 {
            let error = io::Error::last_os_error();
            return match error.raw_os_error() {
                Some(libc::ENOENT | libc::EINTR) => Ok(None),
                _ => Err(error),
            };
        }
        Ok(Some(Notification {
            id: notification.id,
            thread: notification.pid.cast_signed(),
            call: notification.data.nr,
            architecture: notification.data.arch,
            arguments: notification.data.args,
        }))
    }

    /// Whether the caller is still the one that it was when the call came, and still waits. What was found out about
    /// it before is true then.
    pub fn is_waiting(&self, id: u64) -> bool {
        // SAFETY: the request says that it is for a u64, which the kernel reads.
        let result = unsafe {
            libc::ioctl(
                self.0.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_ID_VALID,
                &raw const id,
            )
        };
        result == 0
    }

    /// Answers. A caller that is gone is no error, and neither is a call that was answered already.
    pub fn answer(&self, id: u64, answer: Answer) -> io::Result<()> {
        let (val, error, flags) = match answer {
            Answer::Done(value) => (value, 0, 0),
            Answer::Failed(errno) => (0, -errno, 0),
            // The flag is 1.
            Answer::Continue => (0, 0, 1),
        };
        let response = libc::seccomp_notif_resp {
            id,
            val,
            error,
            flags,
        };
        // SAFETY: the request says that it is for a seccomp_notif_resp of this size, which the kernel reads.
        let result = unsafe {
            libc::ioctl(
                self.0.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_SEND,
                &raw const response,
            )
        };
        if result < 0 {
            let error = io::Error::last_os_error();
            return match error.raw_os_error() {
                Some(libc::ENOENT | libc::EINPROGRESS) => Ok(()),
                _ => Err(error),
            };
        }
        Ok(())
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
