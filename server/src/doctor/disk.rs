//! Judges the file system that everything is kept on. Pure.

use rlxc_api::{DoctorFinding, Severity};

use super::facts::{DiskFacts, Facts};
use super::finding::{Described as _, check, fine, flaw};

const GIB: u64 = 1 << 30;
const FEW_INODES: u64 = 100_000;

pub(super) fn judge(facts: &Facts) -> Vec<DoctorFinding> {
    let disk = &facts.disk;
    let mut findings = vec![space(disk), quota(disk)];
    findings.extend(inodes(disk));
    findings
}

fn space(disk: &DiskFacts) -> DoctorFinding {
    let Some(free) = disk.free_bytes else {
        return flaw(
            Severity::Notice,
            "disk-space",
            "free space isn't known",
            &disk.path,
        );
    };
    let detail = format!("{} MiB free for {} ({})", free >> 20, disk.path, disk.kind);
    let severity = if free < GIB {
        Severity::Error
    } else {
        Severity::Warning
    };
    check(
        free >= 5 * GIB,
        fine("disk-space", "there is space", &detail),
        flaw(severity, "disk-space", "there is little space", &detail)
            .costs("images and instances can't grow; a full disk stops all of them")
            .mend(format!(
                "make space, or put `{}` on a larger file system",
                disk.path
            )),
    )
}

fn inodes(disk: &DiskFacts) -> Option<DoctorFinding> {
    let free = disk.free_inodes.filter(|free| *free < FEW_INODES)?;
    Some(
        flaw(
            Severity::Warning,
            "disk-inodes",
            "there are few inodes",
            format!("{free} free for {}", disk.path),
        )
        .costs("a distribution has about 10,000 files; without inodes the disk counts as full")
        .mend("use a file system with more inodes, or one that makes them as needed (xfs, btrfs)"),
    )
}

fn quota(disk: &DiskFacts) -> DoctorFinding {
    let id = "project-quota";
    let has = |name: &str| disk.options.split(',').any(|option| option == name);
    let mend = match disk.kind.as_str() {
        "btrfs" | "zfs" => {
            return fine(
                id,
                "sizes of disks can be limited",
                format!("{} has quotas of its own", disk.kind),
            );
        }
        _ if has("prjquota") || has("pquota") => {
            return fine(id, "sizes of disks can be limited", "project quotas are on");
        }
        "ext4" => {
            "unmounted: `tune2fs -O project,quota DEVICE`; then mount it with the option `prjquota`"
        }
        "xfs" => {
            "mount it with the option `prjquota` (for the root file system: boot with `rootflags=prjquota`)"
        }
        _ => "use a pool of another kind for instances that need limits",
    };
    flaw(
        Severity::Notice,
        id,
        "project quotas are off",
        format!("{} on {}", disk.path, disk.kind),
    )
    .costs("`size` of a root disk isn't enforced in pools of the drivers `dir` and `overlay` here")
    .mend(mend)
}
