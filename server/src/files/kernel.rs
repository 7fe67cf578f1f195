//! File systems whose files are the kernel itself.
//!
//! A guest may point a symbolic link at them and wait for somebody to push or pull the file. The daemon is the host's
//! root, so what the kernel refuses to the guest (`/proc/sys/kernel/core_pattern`, `/proc/kcore`) it would be given.

use std::os::fd::AsFd;
use std::path::Path;

use crate::error::{Error, Result};

/// Of linux/magic.h, and what a distribution mounts of it.
const MAGIC: [u32; 20] = [
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0x6265_6570, // configfs
    0xcafe_4a11, // bpf
    0xde5e_81e4, // efivarfs
    0x4249_4e4d, // binfmt_misc
    0x6165_676c, // pstore
    0x6e73_6673, // nsfs
    0x1cd1,      // devpts
    0x1980_0202, // mqueue
    0xf97c_ff8c, // selinuxfs
    0x5a3c_69f0, // apparmorfs
    0x4341_5d53, // smackfs
    0x0765_5821, // resctrl
    0x6759_6969, // rpc_pipefs
];

/// Refuses what lies on such a file system.
pub(super) fn refuse(fd: impl AsFd, path: &Path) -> Result<()> {
    let facts = rustix::fs::fstatfs(fd)
        .map_err(|errno| Error::failed(format!("look at `{}`", path.display()), errno))?;
    // Magic numbers have 32 bits; the field has more or less, and a sign or none, as the architecture wants.
    let kind = i128::from(facts.f_type) & 0xffff_ffff;
    if MAGIC.iter().any(|magic| i128::from(*magic) == kind) {
        return Err(Error::Invalid(format!(
            "`{}` is a file of the kernel: read and write it with a command in the instance",
            path.display()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn the_kernels_files_are_refused_and_others_are_not() {
        for path in [
            "/proc/self/environ",
            "/proc/sys/kernel/core_pattern",
            "/sys/kernel",
        ] {
            let path = Path::new(path);
            assert!(refuse(File::open(path).unwrap(), path).is_err(), "{path:?}");
        }
        let path = Path::new("/etc/passwd");
        refuse(File::open(path).unwrap(), path).unwrap();
    }
}
