//! Backups of hosts that shift owners on disk.

use std::os::fd::AsRawFd;

use rlxc_sys::idmap::{IDS_PER_CONTAINER, IdMap};

use super::*;

fn owner(root: &RootSource, path: &str) -> (u32, u32) {
    let root = crate::root::open(root).unwrap();
    let path = format!("/proc/self/fd/{}/{path}", root.as_raw_fd());
    let stat = fs::symlink_metadata(path).unwrap();
    (stat.uid(), stat.gid())
}

#[test]
fn each_part_is_unpacked_with_the_owners_that_its_instance_saw() {
    let owned = |path: &str, (uid, gid), kind| Item {
        path: PathBuf::from(path),
        kind,
        uid,
        gid,
        mode: 0o755,
        ..Item::default()
    };
    let tar = |with: &[(&str, (u32, u32))]| {
        let mut tar = Tar::new(&index(&["s1"]));
        for (path, ids) in with {
            let kind = if path.ends_with("rootfs") {
                tar::EntryType::Directory
            } else {
                tar::EntryType::Regular
            };
            tar = tar.item(&owned(path, *ids, kind), b"");
        }
        tar.end()
    };
    let bytes = tar(&[
        ("backup/snapshots/s1/rootfs", (200_000, 200_000)),
        ("backup/snapshots/s1/rootfs/f", (200_005, 200_006)),
        ("backup/container/rootfs", (100_000, 100_000)),
        ("backup/container/rootfs/f", (101_000, 100_033)),
        ("backup/container/rootfs/hosts", (0, 100_000)),
    ]);
    let base = scratch();
    for driver in pools(base.path()) {
        let mut reader = BackupReader::open(file_of(bytes.clone()), 1 << 40).unwrap();
        let map = |first| IdMap::contiguous(first, IDS_PER_CONTAINER);
        reader.unshift(Tree::Main, map(100_000));
        reader.unshift(Tree::Snapshot("s1".to_owned()), map(200_000));
        let ids = BTreeMap::from([("s1".to_owned(), FIRST)]);
        restore(reader, (&*driver, VOLUME), &ids, &|_| {}).unwrap();
        let now = driver.root(VOLUME).unwrap();
        assert_eq!(owner(&now, ""), (0, 0));
        assert_eq!(owner(&now, "f"), (1000, 33));
        assert_eq!(owner(&now, "hosts"), (65_534, 0));
        let then = driver.snapshot_root(VOLUME, FIRST).unwrap();
        assert_eq!(owner(&then, "f"), (5, 6));
        driver.delete_volume(VOLUME).unwrap();
    }
}
