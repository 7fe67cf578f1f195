//! File systems on block devices of the host that a disk names as its source, and the options of its mount.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _};
use std::path::Path;

use rlxc_sys::mount::{self, MountError};
use rustix::mount::MountAttrFlags;

/// What stands at which place on a device, see magic(5) and linux/magic.h. `iso9660` and `vfat` come last: what others have
/// there is no matter to them.
const MAGIC: [(&str, u64, &[u8]); 9] = [
    ("xfs", 0, b"XFSB"),
    ("squashfs", 0, b"hsqs"),
    ("btrfs", 0x1_0040, b"_BHRfS_M"),
    ("ext4", 0x438, &[0x53, 0xef]),
    ("erofs", 0x400, &[0xe2, 0xe1, 0xf5, 0xe0]),
    ("f2fs", 0x400, &[0x10, 0x20, 0xf5, 0xf2]),
    ("iso9660", 0x8001, b"CD001"),
    ("vfat", 0x52, b"FAT32"),
    ("vfat", 0x36, b"FAT1"),
];

/// Options of a mount, whatever is mounted (mount(8), "FILESYSTEM-INDEPENDENT MOUNT OPTIONS").
const OF_THE_MOUNT: [(&str, MountAttrFlags); 8] = [
    ("noatime", MountAttrFlags::MOUNT_ATTR_NOATIME),
    ("nodev", MountAttrFlags::MOUNT_ATTR_NODEV),
    ("nodiratime", MountAttrFlags::MOUNT_ATTR_NODIRATIME),
    ("noexec", MountAttrFlags::MOUNT_ATTR_NOEXEC),
    ("nosuid", MountAttrFlags::MOUNT_ATTR_NOSUID),
    ("nosymfollow", MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW),
    ("ro", MountAttrFlags::MOUNT_ATTR_RDONLY),
    ("strictatime", MountAttrFlags::MOUNT_ATTR_STRICTATIME),
];
/// What is so anyway.
const USUAL: [&str; 6] = ["defaults", "rw", "dev", "exec", "suid", "relatime"];

/// `raw.mount.options`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Options<'a> {
    /// Of the mount.
    pub(super) attributes: MountAttrFlags,
    /// Of the file system, which a directory that is bound has already.
    pub(super) of_file_system: Vec<(&'a str, &'a str)>,
}

impl<'a> Options<'a> {
    pub(super) fn parse(text: &'a str) -> Self {
        let mut options = Self {
            attributes: MountAttrFlags::empty(),
            of_file_system: Vec::new(),
        };
        for option in text.split(',').map(str::trim) {
            let attribute = OF_THE_MOUNT.iter().find(|(name, _)| *name == option);
            match attribute {
                Some((_, attribute)) => options.attributes |= *attribute,
                None if option.is_empty() || USUAL.contains(&option) => {}
                None => {
                    let pair = option.split_once('=').unwrap_or((option, ""));
                    options.of_file_system.push(pair);
                }
            }
        }
        options
    }
}

/// Whether a path leads to a block device.
pub(super) fn is_block_device(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_block_device())
}

/// Mounts what is on a device, detached. Nodes of devices on it can't be opened.
pub(super) fn mount(
    device: &Path,
    options: &Options<'_>,
    readonly: bool,
) -> Result<std::os::fd::OwnedFd, MountError> {
    let failed = |source: io::Error| MountError::Open {
        path: device.to_owned(),
        source,
    };
    let kind = detect(device).map_err(failed)?;
    let unknown = || io::Error::new(io::ErrorKind::InvalidData, "no file system that is known");
    let kind = kind.ok_or_else(unknown).map_err(failed)?;
    let path = device.to_str().ok_or_else(unknown).map_err(failed)?;
    let mut all = vec![("source", path)];
    all.extend(options.of_file_system.iter().copied());
    if readonly
        || options
            .attributes
            .contains(MountAttrFlags::MOUNT_ATTR_RDONLY)
    {
        all.push(("ro", ""));
    }
    let attributes = options.attributes | MountAttrFlags::MOUNT_ATTR_NODEV;
    mount::create(kind, &all, attributes)
}

fn detect(device: &Path) -> io::Result<Option<&'static str>> {
    let file = File::open(device)?;
    for (kind, place, magic) in MAGIC {
        let mut found = vec![0; magic.len()];
        // A device may be shorter than that.
        if file.read_exact_at(&mut found, place).is_ok() && found == magic {
            return Ok(Some(kind));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_of_the_mount_or_of_the_file_system() {
        let options = Options::parse("noatime, noexec,data=journal,rw,discard,");
        let expected = Options {
            attributes: MountAttrFlags::MOUNT_ATTR_NOATIME | MountAttrFlags::MOUNT_ATTR_NOEXEC,
            of_file_system: vec![("data", "journal"), ("discard", "")],
        };
        assert_eq!(options, expected);
        assert_eq!(Options::parse("").attributes, MountAttrFlags::empty());
    }

    #[test]
    fn file_systems_are_told_by_their_magic() {
        let file = std::env::temp_dir().join(format!("rlxc-magic-{}", std::process::id()));
        for (kind, place, magic) in MAGIC {
            let mut bytes = vec![0; usize::try_from(place).unwrap()];
            bytes.extend(magic);
            std::fs::write(&file, &bytes).unwrap();
            assert_eq!(detect(&file).unwrap(), Some(kind));
        }
        std::fs::write(&file, "nothing").unwrap();
        assert_eq!(detect(&file).unwrap(), None);
        std::fs::remove_file(&file).unwrap();
    }
}
