//! The AppArmor profile of instances, as text; see apparmor.d(5). One more wall around what user namespaces, capabilities and the
//! filter of system calls refuse already, and the only one of those that knows paths.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use openssl::hash::{MessageDigest, hash};

use crate::keys::is_true;
use crate::model::Config;

/// What no instance may touch.
const NEVER: &str = "  deny /proc/sysrq-trigger rwklx,
  deny /proc/{mem,kmem,kcore} rwklx,
  deny /sys/firmware/efi/efivars/** rwklx,
  deny /sys/kernel/{debug,tracing,security}/** rwklx,
";
/// What none may touch that runs no containers: those mount `/proc` and `/sys` anew, and under other names.
const UNLESS_NESTING: &str = "  deny /proc/sys/kernel/{core_pattern,core_pipe_limit,modprobe,hotplug,poweroff_cmd,cad_pid,sysrq,randomize_va_space,kptr_restrict,dmesg_restrict,perf_event_paranoid,kexec_load_disabled,modules_disabled} wklx,
  deny /proc/sys/kernel/{yama,usermodehelper}/** wklx,
  deny /proc/sys/vm/** wklx,
  deny /proc/sys/fs/{file-max,nr_open,suid_dumpable,protected_*} wklx,
  deny /sys/{power,module}/** wklx,
  deny /sys/kernel/uevent_helper wklx,
  deny mount fstype=debugfs,
  deny mount fstype=tracefs,
  deny mount fstype=securityfs,
  deny mount fstype=efivarfs,
  deny mount fstype=configfs,
";

/// A profile and the name that it has in the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Of its content: equal profiles are loaded once.
    pub name: String,
    /// For apparmor_parser(8).
    pub text: String,
}

/// The profile of an instance. `mediated` is what the kernel asks for beside the usual, by the names of its features: a class of
/// rules that it knows is refused as a whole where a profile says nothing of it. `prefix` is what names of this daemon begin with.
pub fn profile(config: &Config, mediated: &BTreeSet<String>, prefix: &str) -> Profile {
    let mut rules = String::from(
        "  capability,\n  file,\n  network,\n  unix,\n  dbus,\n  mount,\n  remount,\n  umount,\n  pivot_root,\n",
    );
    for (feature, rule) in [
        ("userns_create", "userns"),
        ("io_uring", "io_uring"),
        ("posix_mqueue", "mqueue"),
    ] {
        if mediated.contains(feature) {
            // Writing to a String cannot fail.
            let _ok = writeln!(rules, "  {rule},");
        }
    }
    rules.push_str(NEVER);
    if !is_true(config, "security.nesting") {
        rules.push_str(UNLESS_NESTING);
    }
    for line in config
        .get("raw.apparmor")
        .map_or("", String::as_str)
        .lines()
    {
        let _ok = writeln!(rules, "  {}", line.trim());
    }
    let shared = config.get("raw.apparmor").is_none_or(String::is_empty);
    let family = if shared {
        "rlxc-"
    } else {
        &own_profiles(prefix)
    };
    let name = family.to_owned() + &fingerprint(&rules);
    // From outside it may be killed and looked at; among themselves its processes may do both.
    let text = format!(
        "profile {name} flags=(attach_disconnected,mediate_deleted) {{\n{rules}  signal (receive) peer=unconfined,\n  \
         signal (send, receive) peer={name},\n  ptrace (readby, tracedby) peer=unconfined,\n  ptrace peer={name},\n}}\n"
    );
    Profile { name, text }
}

/// What names of profiles begin with that only this daemon has.
pub fn own_profiles(prefix: &str) -> String {
    format!("{prefix}.")
}

fn fingerprint(text: &str) -> String {
    let digest = hash(MessageDigest::sha256(), text.as_bytes());
    digest.map_or_else(|_| "default".to_owned(), |digest| hex::encode(&digest[..6]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pairs: &[(&str, &str)], mediated: &[&str]) -> Profile {
        let pairs = pairs.iter();
        let config = pairs
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        profile(
            &config,
            &mediated.iter().map(|name| (*name).to_owned()).collect(),
            "rlxc",
        )
    }

    #[test]
    fn the_usual_one() {
        insta::assert_snapshot!(text(&[], &[]).text);
    }

    #[test]
    fn equal_wishes_are_one_profile() {
        assert_eq!(text(&[], &[]), text(&[("security.nesting", "false")], &[]));
        let names = [
            text(&[], &[]).name,
            text(&[("security.nesting", "true")], &[]).name,
            text(&[("raw.apparmor", "deny /etc/shadow r,")], &[]).name,
            text(&[], &["userns_create"]).name,
        ];
        assert_eq!(BTreeSet::from(names.clone()).len(), names.len());
    }

    #[test]
    fn what_the_kernel_mediates_is_allowed() {
        assert!(!text(&[], &[]).text.contains("userns"));
        assert!(text(&[], &["userns_create"]).text.contains("  userns,\n"));
    }
}
