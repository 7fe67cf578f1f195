//! Flags and options of a mount: which of them a container may give for a file system that the host's kernel mounts.

use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

/// Options that name another device or file, which the kernel would look up as root of the host.
const LEAD_ELSEWHERE: [&str; 7] = [
    "device",
    "jdev",
    "journal_dev",
    "journal_path",
    "logdev",
    "rtdev",
    "source",
];
/// Options whose value is a path in the file system itself.
const INSIDE: [&str; 2] = ["subvol", "subvolid"];

const MS_RDONLY: u64 = 1;
/// What old programs write into the upper half of the flags.
const MAGIC: u64 = 0xc0ed_0000;
const MAGIC_MASK: u64 = 0xffff_0000;

/// Flags of the mount alone, of mount(2) and of mount_setattr(2).
const OF_THE_MOUNT: [(u64, MountAttrFlags); 8] = [
    (MS_RDONLY, MountAttrFlags::MOUNT_ATTR_RDONLY),
    (0x2, MountAttrFlags::MOUNT_ATTR_NOSUID),
    (0x4, MountAttrFlags::MOUNT_ATTR_NODEV),
    (0x8, MountAttrFlags::MOUNT_ATTR_NOEXEC),
    (0x100, MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW),
    (0x400, MountAttrFlags::MOUNT_ATTR_NOATIME),
    (0x800, MountAttrFlags::MOUNT_ATTR_NODIRATIME),
    (0x100_0000, MountAttrFlags::MOUNT_ATTR_STRICTATIME),
];
/// Flags of the file system.
const OF_THE_FILE_SYSTEM: [(u64, &str); 4] = [
    (0x10, "sync"),
    (0x80, "dirsync"),
    (0x200_0000, "lazytime"),
    (MS_RDONLY, "ro"),
];

/// The flags of mount(2).
#[derive(Debug, Clone, Copy)]
pub(super) struct Flags(u64);

impl Flags {
    pub(super) fn new(flags: u64) -> Self {
        let flags = flags & 0xffff_ffff;
        Self(if flags & MAGIC_MASK == MAGIC {
            flags & !MAGIC_MASK
        } else {
            flags
        })
    }

    pub(super) fn is_readonly(self) -> bool {
        self.0 & MS_RDONLY != 0
    }

    /// Those of the mount.
    pub(super) fn attributes(self) -> MountAttrFlags {
        let set = OF_THE_MOUNT.iter().filter(|(flag, _)| self.0 & flag != 0);
        // Of the ways to keep times only one can be.
        let all = set.fold(MountAttrFlags::empty(), |all, (_, one)| all | *one);
        if all.contains(MountAttrFlags::MOUNT_ATTR_NOATIME) {
            return all - MountAttrFlags::MOUNT_ATTR_STRICTATIME;
        }
        all
    }
}

/// The options for the kernel, in order. What would bring the host down, or lead elsewhere, is refused.
pub(super) fn parse(kind: &str, data: &str, flags: Flags) -> Result<Vec<(String, String)>, Errno> {
    let mut options = Vec::new();
    if kind.starts_with("ext") {
        // A file system can say itself that an error in it shall end the machine.
        options.push(("errors".to_owned(), "remount-ro".to_owned()));
    }
    for option in data.split(',').filter(|option| !option.is_empty()) {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        let leads_elsewhere =
            LEAD_ELSEWHERE.contains(&key) || (option.contains('/') && !INSIDE.contains(&key));
        if leads_elsewhere || value == "panic" {
            return Err(Errno::PERM);
        }
        options.push((key.to_owned(), value.to_owned()));
    }
    // Last: no option takes back that nothing is to be written.
    let set = OF_THE_FILE_SYSTEM
        .iter()
        .filter(|(flag, _)| flags.0 & flag != 0);
    options.extend(set.map(|(_, name)| ((*name).to_owned(), String::new())));
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_out_of_the_file_system_is_refused() {
        let flags = Flags::new(0);
        for bad in [
            "journal_path=/dev/vda",
            "journal_dev=0xfe00",
            "device=/dev/vda",
            "device=x",
            "logdev=/dev/vda",
            "source=/dev/vda",
            "noatime,errors=panic",
            "anything=/etc",
            "/etc",
        ] {
            assert_eq!(parse("ext4", bad, flags), Err(Errno::PERM), "{bad}");
        }
        assert!(parse("btrfs", "subvol=/a/b,compress=zstd:3", flags).is_ok());
    }

    #[test]
    fn an_error_never_ends_the_host_and_readonly_stays() {
        let text = |options: Vec<(String, String)>| {
            let texts = options.iter().map(|(key, value)| format!("{key}={value}"));
            texts.collect::<Vec<_>>().join(",")
        };
        let options = parse("ext4", "rw,data=ordered", Flags::new(1)).unwrap();
        assert_eq!(text(options), "errors=remount-ro,rw=,data=ordered,ro=");
        let options = parse("xfs", "", Flags::new(0)).unwrap();
        assert_eq!(text(options), "");
    }

    #[test]
    fn old_programs_mean_what_they_always_did() {
        assert!(Flags::new(0xc0ed_0001).is_readonly());
        assert!(!Flags::new(0xc0ed_0000).is_readonly());
        let attributes = Flags::new(0xc0ed_0000 | 2 | 8 | 0x400).attributes();
        let expected = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NOEXEC
            | MountAttrFlags::MOUNT_ATTR_NOATIME;
        assert_eq!(attributes, expected);
        let both = Flags::new(0x400 | 0x100_0000).attributes();
        assert_eq!(both, MountAttrFlags::MOUNT_ATTR_NOATIME);
    }
}
