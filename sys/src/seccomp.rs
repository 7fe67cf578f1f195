//! Installs a seccomp filter, see seccomp(2). What it says is rendered elsewhere.

use std::io;

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
            libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
            &raw const program,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
