//! Capabilities by name, see capabilities(7).

use std::io;
use std::marker::PhantomData;

use rustix::thread::{CapabilitySet, CapabilitySets};

/// In the order of their numbers, as linux/capability.h gives them.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// A capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability(u32);

impl Capability {
    /// By its name, `CAP_SYS_TIME` or `sys_time`.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let name = name.strip_prefix("cap_").unwrap_or(&name);
        let number = NAMES.iter().position(|known| *known == name)?;
        u32::try_from(number).ok().map(Self)
    }

    /// Whether it is in a set as the kernel writes them, `CapEff` of proc_pid_status(5).
    pub fn is_in(self, bits: u64) -> bool {
        bits & (1 << self.0) != 0
    }

    fn set(self) -> CapabilitySet {
        CapabilitySet::from_bits_retain(1 << self.0)
    }
}

/// Takes a capability away from the calling process and all that it will ever execute. One that the kernel doesn't
/// know is away already.
pub fn drop_from_bounding_set(capability: Capability) -> io::Result<()> {
    match rustix::thread::remove_capability_from_bounding_set(capability.set()) {
        Ok(()) | Err(rustix::io::Errno::INVAL) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Makes all permitted capabilities of the calling thread effective.
pub fn raise_permitted() -> io::Result<()> {
    let sets = rustix::thread::capabilities(None)?;
    Ok(rustix::thread::set_capabilities(
        None,
        CapabilitySets {
            effective: sets.permitted,
            ..sets
        },
    )?)
}

/// Leaves the calling thread these capabilities and no others, as far as it has them; bits as the kernel writes them.
pub fn keep_only(bits: u64) -> io::Result<()> {
    let sets = rustix::thread::capabilities(None)?;
    let kept = sets.permitted & CapabilitySet::from_bits_retain(bits);
    Ok(rustix::thread::set_capabilities(
        None,
        CapabilitySets {
            effective: kept,
            permitted: kept,
            inheritable: CapabilitySet::empty(),
        },
    )?)
}

/// A thread does without a capability for as long as this lives.
#[derive(Debug)]
pub struct Without {
    before: CapabilitySets,
    /// Capabilities are the thread's: this must end where it began.
    stays: PhantomData<*const ()>,
}

impl Without {
    /// Lays `CAP_SYS_RESOURCE` down, with which a thread may write what no quota lets it, and where only the last blocks of
    /// a file system are left; see quotactl(2).
    pub fn resource() -> io::Result<Self> {
        let before = rustix::thread::capabilities(None)?;
        let effective = before.effective - CapabilitySet::SYS_RESOURCE;
        rustix::thread::set_capabilities(
            None,
            CapabilitySets {
                effective,
                ..before
            },
        )?;
        Ok(Self {
            before,
            stays: PhantomData,
        })
    }
}

impl Drop for Without {
    fn drop(&mut self) {
        // They are permitted still: that can't fail.
        let _raised = rustix::thread::set_capabilities(None, self.before).is_ok();
    }
}

/// Whether the calling thread holds a capability now.
pub fn is_effective(capability: Capability) -> bool {
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(capability.set()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_is_laid_down_for_a_while() {
        let resource = Capability::parse("sys_resource").unwrap();
        let before = is_effective(resource);
        let without = Without::resource().unwrap();
        assert!(!is_effective(resource));
        drop(without);
        assert_eq!(is_effective(resource), before);
    }

    #[test]
    fn knows_both_spellings() {
        assert_eq!(Capability::parse("CAP_SYS_TIME"), Some(Capability(25)));
        assert_eq!(
            Capability::parse("checkpoint_restore"),
            Some(Capability(40))
        );
        assert_eq!(Capability::parse("sys_magic"), None);
        assert!(Capability(1).is_in(0b10) && !Capability(1).is_in(0b101));
    }
}
