//! How much a subvolume takes and may take: its quota group, `0/<id of the subvolume>`.
//!
//! With simple quotas (Linux 6.7) a block counts for the subvolume that wrote it, so that a volume on an image begins
//! with nothing. Where there are only full ones, the image counts too.

use std::path::{Path, PathBuf};

use rlxc_sys::btrfs::{self, QuotaMode};
use rlxc_sys::file::{self, FileError};
use rlxc_sys::path;

/// Switches quotas on, simple ones where the kernel has them; those that are on stay as they are.
pub(super) fn enable(path: &Path) -> Result<(), FileError> {
    if group(path).is_some() {
        return Ok(());
    }
    let dir = path::open_dir(path)?;
    btrfs::enable_quotas(&dir, QuotaMode::Simple)
        .or_else(|_older| btrfs::enable_quotas(&dir, QuotaMode::Full))
        .map_err(|error| FileError::new("enable quotas on", path, error))
}

/// Limits a subvolume.
pub(super) fn limit(path: &Path, most: Option<u64>) -> Result<(), FileError> {
    btrfs::limit(path::open_dir(path)?, most)
        .map_err(|error| FileError::new("set the quota of", path, error))
}

/// Its limit; `None` if it has none, or if there are no quotas.
pub(super) fn limit_of(path: &Path) -> Option<u64> {
    number(path, "max_referenced").filter(|most| *most != 0 && *most != u64::MAX)
}

/// Bytes that it takes; `None` if there are no quotas.
pub(super) fn usage_of(path: &Path) -> Option<u64> {
    number(path, "referenced")
}

fn number(path: &Path, what: &str) -> Option<u64> {
    let text = file::read_text(&group(path)?.join(what)).ok()?;
    text.trim().parse().ok()
}

/// The directory of its group; see `fs/btrfs/sysfs.c`.
fn group(path: &Path) -> Option<PathBuf> {
    let dir = path::open_dir(path).ok()?;
    let (uuid, id) = (btrfs::uuid(&dir).ok()?, btrfs::subvolume_id(&dir).ok()?);
    let group = PathBuf::from(format!("/sys/fs/btrfs/{uuid}/qgroups/0_{id}"));
    group.is_dir().then_some(group)
}
