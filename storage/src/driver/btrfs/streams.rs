//! Volumes and snapshots as streams of btrfs-send(8), out of this pool and into it.

use std::io::Read;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use rlxc_sys::file::{self, FileError};
use rlxc_sys::path;

use super::BtrfsDriver;
use super::receive::receive;
use super::stream::malformed;
use super::subvolumes::{nested, set_read_only, snapshot};
use crate::driver::Piece;
use crate::driver::shared::{already_there, existing_volume};
use crate::error::Cause;
use crate::pool::PoolDir;
use crate::volume::VolumeRef;

/// What belongs to a volume. The description is among it, since a later stream may replace the one that came with an earlier;
/// for the same reason other plain files beside it stay. The rest of what comes with a stream is of others.
const PARTS: [&str; 4] = ["rootfs", "metadata.yaml", "templates", "backup.yaml"];

impl BtrfsDriver {
    /// Subvolumes that lie in others are not part of their streams.
    pub(super) fn try_can_send(&self, volume: VolumeRef) -> Result<bool, Cause> {
        let mut all = vec![existing_volume(&self.pool, volume)?];
        for id in self.snapshots_of(volume)? {
            all.push(self.snapshot_dir(volume, id));
        }
        for path in all {
            if !nested(&path)?.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn try_send(
        &self,
        volume: VolumeRef,
        piece: Piece,
        out: BorrowedFd<'_>,
    ) -> Result<(), Cause> {
        let since = match piece.since {
            Some(id) => Some(path::open_dir(&self.existing_snapshot(volume, id)?)?),
            None => None,
        };
        let since = since.as_ref().map(std::os::fd::AsFd::as_fd);
        let write = |path: &Path| -> Result<(), Cause> {
            let subvolume = path::open_dir(path)?;
            rlxc_sys::btrfs::send(&subvolume, since, out)
                .map_err(|error| FileError::new("send", path, error).into())
        };
        if let Some(id) = piece.snapshot {
            return write(&self.existing_snapshot(volume, id)?);
        }
        // Only what nobody can change can be sent.
        let scratch = self.pool.trash.reserve();
        snapshot(&existing_volume(&self.pool, volume)?, scratch.path(), true)?;
        let written = write(scratch.path());
        set_read_only(scratch.path(), false)?;
        written
    }

    pub(super) fn try_receive(
        &self,
        volume: VolumeRef,
        piece: Piece,
        stream: &mut dyn Read,
    ) -> Result<(), Cause> {
        let to: PathBuf = match piece.snapshot {
            Some(id) => {
                file::ensure_dir(&self.snapshots_dir(volume), 0o700)?;
                self.snapshot_dir(volume, id)
            }
            None => self.pool.volume(volume),
        };
        if to.exists() {
            return Err(already_there(&to));
        }
        let before = match piece.since {
            Some(id) => Some(self.existing_snapshot(volume, id)?),
            None => None,
        };
        let scratch = self.pool.trash.reserve();
        receive(stream, scratch.path(), before.as_deref())?;
        keep_parts(scratch.path())?;
        crate::driver::shared::sync_file_system(scratch.path())?;
        if !PoolDir::place_for_good(scratch, &to)? {
            return Err(already_there(&to));
        }
        if piece.snapshot.is_some() {
            // What is read-only can't be moved to another directory.
            set_read_only(&to, true)?;
        }
        Ok(())
    }
}

/// Refuses what is no volume, and removes what does not belong to one: whoever made the stream may have put links there.
fn keep_parts(subvolume: &Path) -> Result<(), Cause> {
    let dir = path::open_dir(subvolume)?;
    let is = |name: &str, kind: fn(&std::fs::FileType) -> bool| {
        let found = std::fs::symlink_metadata(subvolume.join(name));
        found.is_ok_and(|found| kind(&found.file_type()))
    };
    if !is("rootfs", std::fs::FileType::is_dir) {
        return Err(malformed("there is no `rootfs` in the subvolume"));
    }
    for name in file::list_dir(subvolume)? {
        let known = name.to_str().filter(|name| PARTS.contains(name));
        let fits = match known {
            Some(name @ ("metadata.yaml" | "backup.yaml")) => is(name, std::fs::FileType::is_file),
            Some(name) => is(name, std::fs::FileType::is_dir),
            None => {
                std::fs::symlink_metadata(subvolume.join(&name)).is_ok_and(|found| found.is_file())
            }
        };
        if !fits {
            path::remove_tree(&dir, &name)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::PermissionsExt as _;

    use rlxc_sys::rootfs::RootSource;

    use super::*;
    use crate::driver::btrfs::tests::bed;
    use crate::driver::{Driver as _, Source, State};
    use crate::specimen::{add_socket, furnish, show};
    use crate::transfer::stream;
    use crate::volume::SnapshotId;

    const ONE: VolumeRef = VolumeRef {
        kind: crate::volume::VolumeKind::Container,
        id: 1,
    };
    const TWO: VolumeRef = VolumeRef {
        kind: crate::volume::VolumeKind::Custom,
        id: 2,
    };

    fn tree(root: RootSource) -> PathBuf {
        match root {
            RootSource::Tree { path } => path,
            RootSource::Overlay { .. } => panic!("not a tree"),
        }
    }

    /// A volume with two snapshots, each of which changed much.
    fn fill(driver: &BtrfsDriver) {
        driver.create_volume(ONE, &Source::Empty).unwrap();
        let root = tree(driver.root(ONE).unwrap());
        furnish(&root);
        add_socket(&root);
        let dir = driver.volume_dir(ONE).unwrap();
        fs::write(dir.join("metadata.yaml"), "architecture: x\n").unwrap();
        fs::create_dir(dir.join("templates")).unwrap();
        fs::write(dir.join("templates/t"), "text").unwrap();
        fs::write(dir.join("backup.yaml"), "before").unwrap();
        let snapshot = |id| {
            driver
                .create_snapshot(ONE, SnapshotId(id), State::Stopped)
                .unwrap();
        };
        snapshot(11);
        fs::write(dir.join("new"), "after").unwrap();
        fs::rename(dir.join("new"), dir.join("backup.yaml")).unwrap();
        fs::rename(root.join("etc"), root.join("usr")).unwrap();
        fs::remove_file(root.join("su")).unwrap();
        fs::write(root.join("su"), "another").unwrap();
        fs::hard_link(root.join("usr/hostname"), root.join("third")).unwrap();
        fs::set_permissions(root.join("fifo"), fs::Permissions::from_mode(0o640)).unwrap();
        // Shared blocks go as clones.
        fs::write(root.join("blocks"), vec![5; 1 << 20]).unwrap();
        snapshot(12);
        fs::copy(root.join("blocks"), root.join("shared")).unwrap();
        fs::remove_dir_all(root.join("usr")).unwrap();
    }

    #[test]
    fn a_volume_goes_to_another_pool_as_it_is_with_its_snapshots() {
        let (Some(near), Some(far)) = (bed(), bed()) else {
            return;
        };
        let from = BtrfsDriver::create(&near.spec).unwrap();
        let to = BtrfsDriver::create(&far.spec).unwrap();
        fill(&from);
        let ids = |ids: [u64; 2]| ids.map(SnapshotId);
        let pieces: Vec<_> = Piece::all(&ids([11, 12]), None)
            .into_iter()
            .zip(Piece::all(&ids([21, 22]), None))
            .collect();
        assert!(from.can_send(ONE).unwrap());
        stream((&from, ONE), (&to, TWO), &pieces).unwrap();
        assert_eq!(show(&to.root(TWO).unwrap()), show(&from.root(ONE).unwrap()));
        for (of, made) in [(11, 21), (12, 22)] {
            let made = to.snapshot_root(TWO, SnapshotId(made)).unwrap();
            let of = from.snapshot_root(ONE, SnapshotId(of)).unwrap();
            assert_eq!(show(&made), show(&of));
            assert!(
                fs::write(tree(made).join("x"), "").is_err(),
                "not read-only"
            );
        }
        let dir = to.volume_dir(TWO).unwrap();
        assert_eq!(fs::read_to_string(dir.join("templates/t")).unwrap(), "text");
        fs::write(tree(to.root(TWO).unwrap()).join("x"), "").unwrap();
        assert_eq!(
            to.list_volumes().unwrap().volumes[&TWO].snapshots,
            ids([21, 22])
        );
        // A second time it is there already, and nothing changes.
        let error = stream((&from, ONE), (&to, TWO), &pieces).unwrap_err();
        let text = rlxc_sys::chain::chain(&error).to_string();
        assert!(text.contains("there already"), "{text}");
        drop((from, to));
    }

    #[test]
    fn a_stream_that_breaks_off_or_lies_leaves_nothing() {
        let Some(bed) = bed() else { return };
        let driver = BtrfsDriver::create(&bed.spec).unwrap();
        fill(&driver);
        let path = bed.base.path().join("stream");
        let file = fs::File::create(&path).unwrap();
        let whole = Piece {
            snapshot: Some(SnapshotId(11)),
            since: None,
        };
        driver.send(ONE, whole, file.as_fd()).unwrap();
        let bytes = fs::read(&path).unwrap();
        let main = Piece {
            snapshot: None,
            since: None,
        };
        for length in [0, 5, 100, bytes.len() / 2, bytes.len() - 1] {
            let mut part = &bytes[..length];
            driver.receive(TWO, main, &mut part).unwrap_err();
        }
        let part = Piece {
            snapshot: Some(SnapshotId(12)),
            since: Some(SnapshotId(11)),
        };
        let file = fs::File::create(&path).unwrap();
        driver.send(ONE, part, file.as_fd()).unwrap();
        let difference = fs::read(&path).unwrap();
        let error = driver.receive(TWO, main, &mut &difference[..]).unwrap_err();
        let text = rlxc_sys::chain::chain(&error).to_string();
        assert!(text.contains("difference"), "{text}");
        let there = driver.list_volumes().unwrap().volumes;
        assert_eq!(there.keys().collect::<Vec<_>>(), [&ONE]);
        driver.receive(TWO, main, &mut &bytes[..]).unwrap();
        driver.delete_volume(TWO).unwrap();
    }
}
