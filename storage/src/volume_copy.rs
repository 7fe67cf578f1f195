//! Copies of volumes that are plain trees, with their snapshots, from one pool to another.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rlxc_sys::file::FileError;
use rlxc_sys::path;
use rlxc_sys::rootfs::RootSource;

use crate::copy::{Attributes, copy_tree};
use crate::driver::{Driver, Source, State};
use crate::error::{Cause, Doing, Error};
use crate::volume::{SnapshotId, VolumeRef};

/// What is copied where.
#[derive(Debug, Clone)]
pub struct Transfer {
    /// The volume that is read.
    pub from: VolumeRef,
    /// The one that is made.
    pub to: VolumeRef,
    /// Snapshots that come along, the oldest first, each with its new id.
    pub snapshots: Vec<(SnapshotId, SnapshotId)>,
    /// The snapshot that the new volume shows; what the volume is now otherwise.
    pub head: Option<SnapshotId>,
}

impl Transfer {
    /// Makes the new volume. One that failed may leave half of it, which the caller deletes.
    pub fn run(&self, source: &dyn Driver, target: &dyn Driver) -> Result<(), Error> {
        target.create_volume(self.to, &Source::Empty)?;
        for (old, new) in &self.snapshots {
            let content = source.snapshot_root(self.from, *old)?;
            self.show(target, &content)?;
            target.create_snapshot(self.to, *new, State::Stopped)?;
            target.settle_snapshot(self.to, *new)?;
        }
        let content = match self.head {
            Some(snapshot) => source.snapshot_root(self.from, snapshot)?,
            None => source.root(self.from)?,
        };
        self.show(target, &content)
    }

    fn show(&self, target: &dyn Driver, content: &RootSource) -> Result<(), Error> {
        let root = target.root(self.to)?;
        replace(content, &root).volume("copy to", self.to)
    }
}

/// Makes the tree `to` what `from` is.
fn replace(from: &RootSource, to: &RootSource) -> Result<(), Cause> {
    let (from, to) = (tree(from)?, tree(to)?);
    let (source, target) = (path::open_dir(&from)?, path::open_dir(&to)?);
    let failed = |errno| FileError::new("list", &to, errno);
    for entry in rustix::fs::Dir::read_from(&target).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            path::remove_tree(&target, OsStr::from_bytes(name))?;
        }
    }
    copy_tree(&source, &target, Attributes::Content)?;
    rustix::fs::syncfs(&target).map_err(|errno| FileError::new("sync", &to, errno))?;
    Ok(())
}

fn tree(root: &RootSource) -> Result<PathBuf, Cause> {
    match root {
        RootSource::Tree { path } => Ok(path.clone()),
        RootSource::Overlay { .. } => Err(Cause::Unsupported {
            what: "only custom volumes can be copied this way",
        }),
    }
}
