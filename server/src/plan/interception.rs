//! `security.syscalls.intercept.*`: which system calls the monitor of an instance answers instead of the kernel.

use std::collections::BTreeMap;

use rlxc_container::spec::{Interception, MountInterception};

use crate::keys::is_true;
use crate::model::Config;

const PREFIX: &str = "security.syscalls.intercept";

/// What is to be intercepted in an instance. An error says which keys don't go together.
pub fn plan_interception(config: &Config) -> Result<Interception, String> {
    // Root of the host may do all of that anyway.
    if is_true(config, "security.privileged") {
        return Ok(Interception::default());
    }
    let is_on = |name: &str| is_true(config, &format!("{PREFIX}.{name}"));
    let text = |name: &str| {
        config
            .get(&format!("{PREFIX}.{name}"))
            .map_or("", String::as_str)
    };
    let interception = Interception {
        mknod: is_on("mknod"),
        setxattr: is_on("setxattr"),
        sched_setscheduler: is_on("sched_setscheduler"),
        sysinfo: is_on("sysinfo"),
        mount: is_on("mount").then(|| MountInterception {
            allowed: list(text("mount.allowed")).map(str::to_owned).collect(),
            fuse: pairs(text("mount.fuse")).unwrap_or_default(),
            shift: is_on("mount.shift"),
        }),
    };
    let allowed = ["allow", "whitelist"].map(|name| format!("security.syscalls.{name}"));
    let lists = |key: &String| config.get(key).is_some_and(|value| !value.is_empty());
    if !interception.is_nothing() && allowed.iter().any(lists) {
        return Err(format!(
            "`security.syscalls.allow` refuses all but what it lists: it goes without `{PREFIX}.*`"
        ));
    }
    Ok(interception)
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
}

/// Whether a value lists file systems.
pub fn is_file_systems(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    list(text).all(|name| name.bytes().all(fits))
}

/// Whether a value gives programs for file systems.
pub fn is_programs(text: &str) -> bool {
    pairs(text).is_some()
}

fn pairs(text: &str) -> Option<BTreeMap<String, String>> {
    let pair = |text: &str| {
        let (kind, program) = text.split_once('=')?;
        let fits = is_file_systems(kind) && !kind.is_empty() && is_program(program);
        fits.then(|| (kind.to_owned(), program.to_owned()))
    };
    list(text).map(pair).collect()
}

/// A name that is looked up in the instance, or a path there.
fn is_program(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('-') && !text.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Config {
        pairs
            .iter()
            .map(|(key, value)| (format!("security.{key}"), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn nothing_is_intercepted_unless_it_is_asked_for() {
        let plan = |pairs: &[(&str, &str)]| plan_interception(&config(pairs)).unwrap();
        assert!(plan(&[]).is_nothing());
        assert!(plan(&[("syscalls.intercept.mknod", "false")]).is_nothing());
        // What can be mounted means nothing as long as mounts are the kernel's.
        assert!(plan(&[("syscalls.intercept.mount.allowed", "ext4")]).is_nothing());
        let mknod = ("syscalls.intercept.mknod", "true");
        assert!(plan(&[mknod, ("privileged", "true")]).is_nothing());
        let wanted = plan(&[
            mknod,
            ("syscalls.intercept.mount", "true"),
            ("syscalls.intercept.mount.allowed", "ext4, xfs"),
            (
                "syscalls.intercept.mount.fuse",
                "vfat=fusefat,ntfs=/sbin/ntfs-3g",
            ),
        ]);
        assert!(wanted.mknod && !wanted.sysinfo);
        let mount = wanted.mount.unwrap();
        assert_eq!(mount.allowed, ["ext4", "xfs"]);
        assert_eq!(mount.fuse["ntfs"], "/sbin/ntfs-3g");
    }

    #[test]
    fn a_list_of_all_that_is_allowed_leaves_nothing_to_intercept() {
        let both = config(&[
            ("syscalls.intercept.mknod", "true"),
            ("syscalls.allow", "read"),
        ]);
        let wrong = plan_interception(&both).unwrap_err();
        assert!(wrong.contains("security.syscalls.allow"), "{wrong}");
    }

    #[test]
    fn lists_are_read_as_they_are_written() {
        assert!(is_file_systems("ext4,btrfs") && is_file_systems("fuse.sshfs"));
        assert!(!is_file_systems("ext4;rm") && !is_file_systems("a b"));
        assert!(is_programs("ext4=fuse2fs"));
        for bad in ["ext4", "=fuse2fs", "ext4=", "ext4=-x", "ext4=a b"] {
            assert!(!is_programs(bad), "{bad}");
        }
    }
}
