//! Numbers of system calls by name and architecture.

const TABLE: &str = include_str!("syscalls.tsv");
/// Column of the table in which a dash means "not known", not "not there".
const ARM: usize = 4;

/// `AUDIT_ARCH_*` of linux/audit.h.
const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
const AARCH64: u32 = 0xc000_00b7;
const ARM_EABI: u32 = 0x4000_0028;
/// `__X32_SYSCALL_BIT`: a third, forgotten set of numbers under the same architecture.
const X32: u32 = 0x4000_0000;

/// One set of numbers that a kernel takes.
pub(super) struct Numbers {
    pub(super) audit: u32,
    pub(super) column: usize,
    /// Numbers from here on belong to an interface that is refused as a whole.
    pub(super) first_foreign: Option<u32>,
}

/// The native set first, then that of 32-bit programs.
pub(super) fn machine(arch: &str) -> Vec<Numbers> {
    match arch {
        "aarch64" => vec![numbers(AARCH64, 3, None), numbers(ARM_EABI, ARM, None)],
        _ => vec![numbers(X86_64, 1, Some(X32)), numbers(I386, 2, None)],
    }
}

/// Whether a column is of programs of 64 bits.
pub(super) fn is_64_bit(column: usize) -> bool {
    matches!(column, 1 | 3)
}

fn numbers(audit: u32, column: usize, first_foreign: Option<u32>) -> Numbers {
    Numbers {
        audit,
        column,
        first_foreign,
    }
}

/// What the table says of a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Number {
    Known(u32),
    /// The call does not exist on this architecture.
    Absent,
    /// It may exist, but the table doesn't have it.
    Unlisted,
    NoSuchCall,
}

pub(super) fn number(name: &str, column: usize) -> Number {
    let row = TABLE
        .lines()
        .map(|line| line.split('\t'))
        .find(|fields| fields.clone().next() == Some(name));
    let Some(mut row) = row else {
        return Number::NoSuchCall;
    };
    match row.nth(column).and_then(|field| field.parse().ok()) {
        Some(number) => Number::Known(number),
        None if column == ARM => Number::Unlisted,
        None => Number::Absent,
    }
}
