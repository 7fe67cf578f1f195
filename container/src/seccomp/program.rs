//! Classic BPF over `struct seccomp_data`, see seccomp(2).
//!
//! All decisions that hang on the number alone are made before any argument is read: kernels from 5.11 on then keep a
//! bitmap of the numbers that are always allowed, and the filter costs those nothing at all.

use rlxc_sys::seccomp::Instruction;

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const IF_ANY_BIT: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K

/// Offsets in `struct seccomp_data`; both machines that we know are little-endian.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const SECOND_ARGUMENT: u32 = argument(1);

const ALLOW: u32 = 0x7fff_0000;
const NOTIFY: u32 = 0x7fc0_0000;
const ERRNO: u32 = 0x0005_0000;
const ENOSYS: u32 = 38;

/// Kinds of files, see inode(7).
const S_IFMT: u32 = 0o170_000;
const S_IFBLK: u32 = 0o060_000;
const S_IFCHR: u32 = 0o020_000;

/// Flags of mount(2) that say that no file system is to be mounted: remount, bind, move; and the four propagations.
const NO_NEW_MOUNT: u32 = 0x20 | 0x1000 | 0x2000;
const MS_PROPAGATION: u32 = 0xf << 17;
/// What the upper half holds in old programs, and the kernel overlooks.
const MS_MGC_VAL: u32 = 0xc0ed_0000;

/// Up to so many rules are compared one after the other.
const LEAF: usize = 3;

/// What happens to one system call.
pub(super) struct Rule {
    pub(super) number: u32,
    pub(super) verdict: Verdict,
}

#[derive(Clone, Copy)]
pub(super) enum Verdict {
    Allow,
    Errno(u16),
    ErrnoIfSecondHas {
        bits: u32,
        errno: u16,
    },
    /// It is handed over to whoever listens.
    Notify,
    /// It is, if it makes a node of a device; whiteouts (0:0) are everybody's. Which arguments are mode and number.
    NotifyOfDevice {
        mode: u32,
        number: u32,
    },
    /// It is, if an argument is that.
    NotifyIf {
        argument: u32,
        is: u32,
    },
    /// It is, if it mounts a file system: which argument has the flags of mount(2).
    NotifyOfMount {
        flags: u32,
    },
}

impl Verdict {
    /// Whether it hands anything over.
    pub(super) fn notifies(self) -> bool {
        !matches!(
            self,
            Self::Allow | Self::Errno(_) | Self::ErrnoIfSecondHas { .. }
        )
    }
}

/// Offset of the lower half of an argument: what is compared never needs more.
const fn argument(index: u32) -> u32 {
    16 + 8 * index
}

/// The rules of one set of numbers, sorted by them.
pub(super) struct Architecture {
    pub(super) audit: u32,
    pub(super) first_foreign: Option<u32>,
    pub(super) rules: Vec<Rule>,
    /// What happens to the others: allowed or refused whatever their arguments are.
    pub(super) others: Verdict,
}

/// The whole program; a call of an architecture that is not listed is not implemented.
pub(super) fn assemble(architectures: &[Architecture]) -> Vec<Instruction> {
    let mut program = vec![statement(LOAD, ARCHITECTURE)];
    for architecture in architectures {
        let mut body = vec![statement(LOAD, NUMBER)];
        if let Some(first) = architecture.first_foreign {
            body.push(branch(IF_AT_LEAST, first, 0, 1));
            body.push(statement(RETURN, ERRNO | ENOSYS));
        }
        body.extend(search(&architecture.rules, architecture.others));
        program.push(branch(IF_EQUAL, architecture.audit, 1, 0));
        program.push(jump_over(&body));
        program.extend(body);
    }
    program.push(statement(RETURN, ERRNO | ENOSYS));
    program
}

/// A binary search that always returns.
fn search(rules: &[Rule], others: Verdict) -> Vec<Instruction> {
    if rules.len() <= LEAF {
        let mut program: Vec<_> = rules.iter().flat_map(test).collect();
        program.extend(verdict(others));
        return program;
    }
    let (low, high) = rules.split_at(rules.len() / 2);
    let below = search(low, others);
    let mut program = vec![branch(IF_AT_LEAST, high[0].number, 0, 1), jump_over(&below)];
    program.extend(below);
    program.extend(search(high, others));
    program
}

fn test(rule: &Rule) -> Vec<Instruction> {
    let then = verdict(rule.verdict);
    // At most nine instructions.
    let over = u8::try_from(then.len()).unwrap_or(u8::MAX);
    let mut program = vec![branch(IF_EQUAL, rule.number, 0, over)];
    program.extend(then);
    program
}

/// What always returns.
fn verdict(verdict: Verdict) -> Vec<Instruction> {
    match verdict {
        Verdict::Allow => vec![statement(RETURN, ALLOW)],
        Verdict::Errno(errno) => vec![statement(RETURN, ERRNO | u32::from(errno))],
        Verdict::ErrnoIfSecondHas { bits, errno } => vec![
            statement(LOAD, SECOND_ARGUMENT),
            branch(IF_ANY_BIT, bits, 0, 1),
            statement(RETURN, ERRNO | u32::from(errno)),
            statement(RETURN, ALLOW),
        ],
        Verdict::Notify => vec![statement(RETURN, NOTIFY)],
        Verdict::NotifyOfDevice { mode, number } => vec![
            statement(LOAD, argument(mode)),
            statement(AND, S_IFMT),
            branch(IF_EQUAL, S_IFBLK, 3, 0),
            branch(IF_EQUAL, S_IFCHR, 0, 3),
            statement(LOAD, argument(number)),
            branch(IF_EQUAL, 0, 1, 0),
            statement(RETURN, NOTIFY),
            statement(RETURN, ALLOW),
        ],
        Verdict::NotifyIf { argument: at, is } => vec![
            statement(LOAD, argument(at)),
            branch(IF_EQUAL, is, 0, 1),
            statement(RETURN, NOTIFY),
            statement(RETURN, ALLOW),
        ],
        Verdict::NotifyOfMount { flags } => vec![
            statement(LOAD, argument(flags)),
            statement(AND, 0xffff_0000),
            branch(IF_EQUAL, MS_MGC_VAL, 2, 0),
            statement(LOAD, argument(flags)),
            branch(IF_ANY_BIT, NO_NEW_MOUNT | MS_PROPAGATION, 3, 2),
            statement(LOAD, argument(flags)),
            branch(IF_ANY_BIT, NO_NEW_MOUNT, 1, 0),
            statement(RETURN, NOTIFY),
            statement(RETURN, ALLOW),
        ],
    }
}

fn statement(code: u16, operand: u32) -> Instruction {
    branch(code, operand, 0, 0)
}

fn branch(code: u16, operand: u32, jump_true: u8, jump_false: u8) -> Instruction {
    Instruction {
        code,
        jump_true,
        jump_false,
        operand,
    }
}

/// Programs are far shorter than 2³² instructions (the kernel takes 4,096).
fn jump_over(instructions: &[Instruction]) -> Instruction {
    statement(JUMP, u32::try_from(instructions.len()).unwrap_or(u32::MAX))
}
