//! Which devices the processes of a control group may open: a BPF program at its directory of version 2, which works
//! whatever hierarchies the controllers are on. See bpf(2) and "Device controller" in
//! Documentation/admin-guide/cgroup-v2.rst.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Commands of bpf(2), a type of programs and a place for them; linux/bpf.h.
const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const CGROUP_DEVICE_PROGRAM: u32 = 15;
const CGROUP_DEVICE: u32 = 6;

/// Kinds and ways of access as the program sees them (`BPF_DEVCG_*`).
const BLOCK: i32 = 1;
const CHARACTER: i32 = 2;
const MAKE_NODE: i32 = 1;
const ALL: i32 = 7;

/// What is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// To make any node, without opening it.
    MakeNodes,
    /// A character device by major and minor number; every minor number if none is given.
    Character(u32, Option<u32>),
    /// A block device.
    Block(u32, u32),
}

/// `struct bpf_insn`: operation, registers (source in the high half), offset, operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    operand: i32,
}

const LOAD_WORD: u8 = 0x61; // BPF_LDX | BPF_MEM | BPF_W
const AND: u8 = 0x57; // BPF_ALU64 | BPF_AND | BPF_K
const SHIFT_RIGHT: u8 = 0x77; // BPF_ALU64 | BPF_RSH | BPF_K
const MOVE: u8 = 0xb7; // BPF_ALU64 | BPF_MOV | BPF_K
const MOVE_REGISTER: u8 = 0xbf; // BPF_ALU64 | BPF_MOV | BPF_X
const IF_NOT_EQUAL: u8 = 0x55; // BPF_JMP | BPF_JNE | BPF_K
const EXIT: u8 = 0x95; // BPF_JMP | BPF_EXIT

fn instruction(code: u8, to: u8, from: u8, offset: i16, operand: i32) -> Instruction {
    Instruction {
        code,
        registers: from << 4 | to,
        offset,
        operand,
    }
}

/// The program: the first rule that fits allows, none denies. Registers: 2 access, 3 kind, 4 major, 5 minor.
fn assemble(rules: &[Rule]) -> Vec<Instruction> {
    let mut program = vec![
        instruction(LOAD_WORD, 2, 1, 0, 0),
        instruction(MOVE_REGISTER, 3, 2, 0, 0),
        instruction(AND, 3, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT, 2, 0, 0, 16),
        instruction(LOAD_WORD, 4, 1, 4, 0),
        instruction(LOAD_WORD, 5, 1, 8, 0),
    ];
    for rule in rules {
        let (access, wanted) = match *rule {
            Rule::MakeNodes => (MAKE_NODE, vec![]),
            Rule::Character(major, None) => (ALL, vec![(3, CHARACTER), (4, major.cast_signed())]),
            Rule::Character(major, Some(minor)) => {
                let numbers = [(4, major.cast_signed()), (5, minor.cast_signed())];
                (ALL, [&[(3, CHARACTER)], &numbers[..]].concat())
            }
            Rule::Block(major, minor) => {
                let numbers = [(4, major.cast_signed()), (5, minor.cast_signed())];
                (ALL, [&[(3, BLOCK)], &numbers[..]].concat())
            }
        };
        // Each test that fails jumps over the rest of the rule.
        let length = wanted.len() + 5;
        let rest = |done: usize| i16::try_from(length - done - 1).unwrap_or(i16::MAX);
        for (done, (register, value)) in wanted.iter().enumerate() {
            program.push(instruction(IF_NOT_EQUAL, *register, 0, rest(done), *value));
        }
        program.extend([
            instruction(MOVE_REGISTER, 0, 2, 0, 0),
            instruction(AND, 0, 0, 0, !access & 0xffff),
            instruction(IF_NOT_EQUAL, 0, 0, 2, 0),
            instruction(MOVE, 0, 0, 0, 1),
            instruction(EXIT, 0, 0, 0, 0),
        ]);
    }
    program.extend([instruction(MOVE, 0, 0, 0, 0), instruction(EXIT, 0, 0, 0, 0)]);
    program
}

/// The part of `union bpf_attr` that loading a program needs.
#[repr(C)]
struct LoadOrder {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// The part that attaching one needs.
#[repr(C)]
struct AttachOrder {
    target: u32,
    program: u32,
    place: u32,
    flags: u32,
}

fn load(rules: &[Rule]) -> io::Result<OwnedFd> {
    let program = assemble(rules);
    let license = c"Apache-2.0";
    let order = LoadOrder {
        kind: CGROUP_DEVICE_PROGRAM,
        count: u32::try_from(program.len()).map_err(|_overflow| io::ErrorKind::InvalidInput)?,
        instructions: program.as_ptr().expose_provenance() as u64,
        license: license.as_ptr().expose_provenance() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
    };
    // SAFETY: `order` is laid out as the beginning of bpf_attr, whose size is given beside it, and points to as many live
    // instructions as it says and to a text that ends in NUL; the kernel copies both and checks the program.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            PROG_LOAD,
            &raw const order,
            size_of::<LoadOrder>(),
        )
    };
    let fd = i32::try_from(fd).map_err(|_overflow| io::ErrorKind::InvalidData)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor, which nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Holds the processes at and below a group of version 2 to these rules, in place of those that it had. What is open
/// already stays open.
pub fn attach(cgroup: BorrowedFd<'_>, rules: &[Rule]) -> io::Result<()> {
    let program = load(rules)?;
    let order = AttachOrder {
        target: cgroup.as_raw_fd().unsigned_abs(),
        program: program.as_raw_fd().unsigned_abs(),
        place: CGROUP_DEVICE,
        flags: 0,
    };
    // SAFETY: `order` is laid out as the beginning of bpf_attr, whose size is given beside it; both descriptors are open.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            PROG_ATTACH,
            &raw const order,
            size_of::<AttachOrder>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Whether this kernel takes such programs from this process.
pub fn is_available() -> bool {
    load(&[Rule::MakeNodes]).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_jump_stays_in_the_program() {
        let rules = [
            Rule::MakeNodes,
            Rule::Character(1, Some(3)),
            Rule::Character(136, None),
            Rule::Block(7, 0),
        ];
        let program = assemble(&rules);
        for (at, instruction) in program.iter().enumerate() {
            let to = at + 1 + usize::try_from(instruction.offset).unwrap_or(0);
            assert!(
                instruction.code != IF_NOT_EQUAL || to < program.len(),
                "{at}"
            );
        }
        // A rule that does not fit leads to the next.
        let second = 6 + 5;
        assert_eq!(program[second].offset, 7);
        assert_eq!(program[second + 8].code, IF_NOT_EQUAL);
    }

    #[test]
    fn the_kernel_takes_it() {
        if rustix::process::geteuid().is_root()
            && std::path::Path::new("/proc/sys/kernel/unprivileged_bpf_disabled").exists()
        {
            assert!(is_available());
        }
    }
}
