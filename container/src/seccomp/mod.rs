//! The seccomp filter of a container: a short list of system calls that are refused, rendered as classic BPF.
//!
//! What is refused by default reaches the host past all namespaces: loading kernels and modules, opening files by
//! handle (which knows no mount), forced unmounts (which can hurt a file system that others use). Programs see
//! "function not implemented", as on a kernel without the call; a forced unmount is "permission denied".
//! The programs of a 64-bit kernel may be 32-bit ones: they have numbers of their own and the same refusals.
//!
//! Calls that are intercepted, where that is asked for, are handed to the monitor (`intercept`); arguments that
//! the filter sees already keep most of them from going there.

mod program;
mod table;

use rlxc_sys::seccomp::Instruction;

use crate::spec::{Interception, SeccompPolicy};
use program::{Architecture, Rule, Verdict};

/// Refused unless the policy is without its default.
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

/// Ways to a mount past mount(2), on which programs fall back.
const NEW_WAYS_TO_MOUNT: [&str; 2] = ["fsopen", "fspick"];
/// All calls that can be handed over, whatever their arguments.
const INTERCEPTED: [&str; 8] = [
    "fsetxattr",
    "lsetxattr",
    "mknod",
    "mknodat",
    "mount",
    "sched_setscheduler",
    "setxattr",
    "sysinfo",
];

/// Why there is no filter.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeccompError {
    /// A name in the policy is none of a system call.
    #[error("`{0}` is not a system call")]
    UnknownCall(String),
}

/// Whether there is a system call of this name on any architecture that we know.
pub fn is_call(name: &str) -> bool {
    table::number(name, 1) != table::Number::NoSuchCall
}

/// Renders a policy for the machine that this runs on; empty if there is to be no filter.
pub fn render(
    policy: &SeccompPolicy,
    interception: &Interception,
) -> Result<Vec<Instruction>, SeccompError> {
    if policy.off && interception.is_nothing() {
        return Ok(Vec::new());
    }
    let machine = table::machine(std::env::consts::ARCH);
    Ok(program::assemble(&architectures(
        policy,
        interception,
        machine,
    )?))
}

/// The name of a call that was handed over.
pub(crate) fn intercepted(architecture: u32, number: i32) -> Option<&'static str> {
    let machine = table::machine(std::env::consts::ARCH);
    let numbers = machine
        .iter()
        .find(|numbers| numbers.audit == architecture)?;
    let number = table::Number::Known(u32::try_from(number).ok()?);
    INTERCEPTED
        .into_iter()
        .find(|name| table::number(name, numbers.column) == number)
}

fn architectures(
    policy: &SeccompPolicy,
    interception: &Interception,
    mut machine: Vec<table::Numbers>,
) -> Result<Vec<Architecture>, SeccompError> {
    if policy.deny_compat {
        // What is not listed is refused.
        machine.truncate(1);
    }
    let mut architectures = Vec::new();
    for description in machine {
        // A foreign architecture on which not all can be refused is refused itself.
        if let Some(rules) = rules(policy, interception, description.column)? {
            architectures.push(Architecture {
                audit: description.audit,
                first_foreign: description.first_foreign,
                rules,
                others: if policy.allow.is_empty() {
                    Verdict::Allow
                } else {
                    Verdict::Errno(ENOSYS)
                },
            });
        }
    }
    Ok(architectures)
}

/// The rules of one architecture; `None` if a call of the policy exists but its number here is not known.
fn rules(
    policy: &SeccompPolicy,
    interception: &Interception,
    column: usize,
) -> Result<Option<Vec<Rule>>, SeccompError> {
    let mut rules = Vec::new();
    for (name, verdict) in verdicts(policy, interception, column) {
        match table::number(name, column) {
            table::Number::Known(number) => rules.push(Rule { number, verdict }),
            table::Number::Absent => {}
            // What can't be handed over is the kernel's.
            table::Number::Unlisted if verdict.notifies() => {}
            // What is not known can't be allowed, and is refused with all others.
            table::Number::Unlisted if !policy.allow.is_empty() => {}
            table::Number::Unlisted => return Ok(None),
            table::Number::NoSuchCall => return Err(SeccompError::UnknownCall(name.to_owned())),
        }
    }
    // Of two rules for one call the first counts: the caller's.
    rules.sort_by_key(|rule| rule.number);
    rules.dedup_by_key(|rule| rule.number);
    Ok(Some(rules))
}

/// What happens to which call, the caller's wishes first.
fn verdicts<'a>(
    policy: &'a SeccompPolicy,
    interception: &Interception,
    column: usize,
) -> Vec<(&'a str, Verdict)> {
    if !policy.allow.is_empty() {
        let allowed = policy.allow.iter();
        return allowed
            .map(|name| (name.as_str(), Verdict::Allow))
            .collect();
    }
    let refused = policy.deny_with.iter();
    let mut verdicts: Vec<_> = refused
        .map(|(name, errno)| (name.as_str(), Verdict::Errno(*errno)))
        .collect();
    let missing = policy.deny.iter().map(String::as_str);
    verdicts.extend(missing.map(|name| (name, Verdict::Errno(ENOSYS))));
    verdicts.extend(handed_over(interception, column));
    if !policy.without_default {
        verdicts.extend(DENIED.map(|name| (name, Verdict::Errno(ENOSYS))));
        let forced = Verdict::ErrnoIfSecondHas {
            bits: MNT_FORCE,
            errno: EACCES,
        };
        verdicts.push(("umount2", forced));
    }
    verdicts
}

/// What goes to the monitor instead of the kernel.
fn handed_over(interception: &Interception, column: usize) -> Vec<(&'static str, Verdict)> {
    let mut verdicts = Vec::new();
    if interception.mknod {
        let of_device = |mode, number| Verdict::NotifyOfDevice { mode, number };
        verdicts.extend([("mknod", of_device(1, 2)), ("mknodat", of_device(2, 3))]);
    }
    if interception.setxattr {
        // The attributes that are set for a container hold one byte.
        let of_a_byte = Verdict::NotifyIf { argument: 3, is: 1 };
        verdicts.extend(["setxattr", "lsetxattr", "fsetxattr"].map(|name| (name, of_a_byte)));
    }
    if interception.mount.is_some() {
        verdicts.push(("mount", Verdict::NotifyOfMount { flags: 3 }));
        verdicts.extend(NEW_WAYS_TO_MOUNT.map(|name| (name, Verdict::Errno(ENOSYS))));
    }
    if interception.sched_setscheduler {
        verdicts.push(("sched_setscheduler", Verdict::Notify));
    }
    // What 32-bit programs get has another form: they are told by the kernel.
    if interception.sysinfo && table::is_64_bit(column) {
        verdicts.push(("sysinfo", Verdict::Notify));
    }
    verdicts
}

#[cfg(test)]
mod tests;
