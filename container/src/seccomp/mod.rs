//! The seccomp filter of a container: a short list of system calls that are refused, rendered as classic BPF.
//!
//! What is refused by default reaches the host past all namespaces: loading kernels and modules, opening files by
//! handle (which knows no mount), forced unmounts (which can hurt a file system that others use). Programs see
//! "function not implemented", as on a kernel without the call; a forced unmount is "permission denied".
//! The programs of a 64-bit kernel may be 32-bit ones: they have numbers of their own and the same refusals.

mod program;
mod table;

use rlxc_sys::seccomp::Instruction;

use crate::spec::SeccompPolicy;
use program::{Architecture, Rule, Verdict};

/// Refused in each container that has a filter.
const DENIED: [&str; 6] = [
    "delete_module",
    "finit_module",
    "init_module",
    "kexec_file_load",
    "kexec_load",
    "open_by_handle_at",
];
const ENOSYS: u16 = 38;
const EACCES: u16 = 13;
/// `MNT_FORCE` of umount2(2).
const MNT_FORCE: u32 = 1;

/// Why there is no filter.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeccompError {
    /// A name in the policy is none of a system call.
    #[error("`{0}` is not a system call")]
    UnknownCall(String),
}

/// Renders a policy for the machine that this runs on; empty if there is to be no filter.
pub fn render(policy: &SeccompPolicy) -> Result<Vec<Instruction>, SeccompError> {
    if policy.off {
        return Ok(Vec::new());
    }
    let machine = table::machine(std::env::consts::ARCH);
    let mut architectures = Vec::new();
    for description in &machine {
        let rules = rules(policy, description.column)?;
        // A foreign architecture on which not all can be refused is refused itself.
        if let Some(rules) = rules {
            architectures.push(Architecture {
                audit: description.audit,
                first_foreign: description.first_foreign,
                rules,
            });
        }
    }
    Ok(program::assemble(&architectures))
}

/// The rules of one architecture; `None` if a call of the policy exists but its number here is not known.
fn rules(policy: &SeccompPolicy, column: usize) -> Result<Option<Vec<Rule>>, SeccompError> {
    let names = DENIED
        .iter()
        .copied()
        .chain(policy.deny.iter().map(String::as_str));
    let mut rules = Vec::new();
    for name in names {
        match table::number(name, column) {
            table::Number::Known(number) => rules.push(Rule {
                number,
                verdict: Verdict::Errno(ENOSYS),
            }),
            table::Number::Absent => {}
            table::Number::Unlisted => return Ok(None),
            table::Number::NoSuchCall => return Err(SeccompError::UnknownCall(name.to_owned())),
        }
    }
    if let table::Number::Known(number) = table::number("umount2", column) {
        rules.push(Rule {
            number,
            verdict: Verdict::ErrnoIfSecondHas {
                bits: MNT_FORCE,
                errno: EACCES,
            },
        });
    }
    rules.sort_by_key(|rule| rule.number);
    rules.dedup_by_key(|rule| rule.number);
    Ok(Some(rules))
}

#[cfg(test)]
mod tests;
