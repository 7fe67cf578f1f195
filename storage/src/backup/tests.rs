use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rlxc_sys::rootfs::RootSource;

use super::*;
use crate::driver::{Driver, Source, State};
use crate::image::header::{Item, pax_records, plain_header};
use crate::image::{Compression, ImageError};
use crate::pool::PoolSpec;
use crate::specimen::{furnish, show};
use crate::volume::{SnapshotId, VolumeRef};

const VOLUME: VolumeRef = VolumeRef {
    kind: crate::volume::VolumeKind::Container,
    id: 1,
};
const FIRST: SnapshotId = SnapshotId(5);

mod shifted;

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR").to_owned() + "/../target").unwrap()
}

/// An empty pool for each driver that works here.
fn pools(base: &Path) -> Vec<std::sync::Arc<dyn Driver>> {
    let make = |driver: &&str| {
        let spec = PoolSpec {
            name: (*driver).to_owned(),
            driver: (*driver).to_owned(),
            source: base.join(driver),
            device: None,
            config: BTreeMap::new(),
        };
        crate::create(&spec).ok()
    };
    ["dir", "overlay"].iter().filter_map(make).collect()
}

fn index(snapshots: &[&str]) -> BackupIndex {
    BackupIndex {
        name: "c1".into(),
        snapshots: snapshots.iter().map(|name| (*name).to_owned()).collect(),
        config: Some(BackupConfig::default()),
        ..BackupIndex::default()
    }
}

fn file_of(bytes: Vec<u8>) -> std::io::Cursor<Vec<u8>> {
    std::io::Cursor::new(bytes)
}

fn put_in(driver: &dyn Driver, bytes: Vec<u8>) -> Result<(), ImageError> {
    let reader = BackupReader::open(file_of(bytes), 1 << 40)?;
    let ids = BTreeMap::from([("s1".to_owned(), FIRST)]);
    restore(reader, (driver, VOLUME), &ids, &|_| {})
}

#[test]
fn an_instance_comes_back_as_it_was_with_its_snapshots() {
    let base = scratch();
    for driver in pools(base.path()) {
        let source = VolumeRef::container(9);
        driver.create_volume(source, &Source::Empty).unwrap();
        let volume_dir = driver.volume_dir(source).unwrap();
        fs::write(volume_dir.join("metadata.yaml"), "architecture: x\n").unwrap();
        fs::create_dir(volume_dir.join("templates")).unwrap();
        fs::write(volume_dir.join("templates/t"), "text").unwrap();
        let with = |act: &dyn Fn(&Path)| {
            use std::os::fd::AsRawFd;
            let fd = crate::root::open(&driver.root(source).unwrap()).unwrap();
            act(Path::new(&format!("/proc/self/fd/{}/", fd.as_raw_fd())));
        };
        with(&furnish);
        driver
            .create_snapshot(source, FIRST, State::Stopped)
            .unwrap();
        with(&|root| {
            fs::write(root.join("later"), "than the snapshot").unwrap();
            fs::remove_file(root.join("su")).unwrap();
        });
        let tree = |root: RootSource| BackupTree {
            root,
            dir: Some(volume_dir.clone()),
        };
        for compression in [Compression::Zstd, Compression::None] {
            let order = BackupOrder {
                index: index(&["s1"]),
                parts: BackupParts::Trees {
                    main: tree(driver.root(source).unwrap()),
                    snapshots: vec![(
                        "s1".to_owned(),
                        tree(driver.snapshot_root(source, FIRST).unwrap()),
                    )],
                },
                algorithm: compression.into(),
                created: 1,
            };
            let bytes = write(&order, Vec::new(), &|_| {}).unwrap();
            assert!(bytes.len() < 2 << 20, "holes were packed");
            put_in(&*driver, bytes).unwrap();
            assert_eq!(
                show(&driver.root(VOLUME).unwrap()),
                show(&driver.root(source).unwrap())
            );
            let back = driver.snapshot_root(VOLUME, FIRST).unwrap();
            assert_eq!(
                show(&back),
                show(&driver.snapshot_root(source, FIRST).unwrap())
            );
            assert!(show(&back).contains_key("su"));
            let dir = driver.volume_dir(VOLUME).unwrap();
            assert_eq!(fs::read_to_string(dir.join("templates/t")).unwrap(), "text");
            let contents = &driver.list_volumes().unwrap().volumes[&VOLUME];
            assert_eq!(contents.snapshots, [FIRST]);
            driver.delete_volume(VOLUME).unwrap();
        }
    }
}

#[test]
fn a_custom_volume_comes_back_as_it_was_with_its_snapshots() {
    let base = scratch();
    for driver in pools(base.path()) {
        let (source, target) = (VolumeRef::custom(9), VolumeRef::custom(1));
        driver.create_volume(source, &Source::Empty).unwrap();
        let RootSource::Tree { path: root } = driver.root(source).unwrap() else {
            panic!("not a tree");
        };
        furnish(&root);
        fs::set_permissions(&root, fs::Permissions::from_mode(0o711)).unwrap();
        std::os::unix::fs::chown(&root, Some(7), Some(8)).unwrap();
        driver
            .create_snapshot(source, FIRST, State::Stopped)
            .unwrap();
        fs::remove_file(root.join("su")).unwrap();
        let tree = |root: RootSource| BackupTree { root, dir: None };
        let order = BackupOrder {
            index: BackupIndex {
                kind: "custom".to_owned(),
                ..index(&["s1"])
            },
            parts: BackupParts::Trees {
                main: tree(driver.root(source).unwrap()),
                snapshots: vec![(
                    "s1".to_owned(),
                    tree(driver.snapshot_root(source, FIRST).unwrap()),
                )],
            },
            algorithm: Compression::None.into(),
            created: 1,
        };
        let bytes = write(&order, Vec::new(), &|_| {}).unwrap();
        let reader = BackupReader::open(file_of(bytes), 1 << 40).unwrap();
        let ids = BTreeMap::from([("s1".to_owned(), FIRST)]);
        restore(reader, (&*driver, target), &ids, &|_| {}).unwrap();
        let (back, whole) = (driver.root(target).unwrap(), driver.root(source).unwrap());
        assert_eq!(show(&back), show(&whole));
        let RootSource::Tree { path } = back else {
            panic!("not a tree");
        };
        let stat = fs::metadata(path).unwrap();
        assert_eq!(
            (stat.mode() & 0o7777, stat.uid(), stat.gid()),
            (0o711, 7, 8)
        );
        let snapshot = |volume| show(&driver.snapshot_root(volume, FIRST).unwrap());
        assert_eq!(snapshot(target), snapshot(source));
        assert!(snapshot(target).contains_key("su"));
    }
}

#[test]
fn parts_of_an_instance_are_refused_in_the_backup_of_a_volume() {
    let base = scratch();
    let driver = pools(base.path()).remove(0);
    let of_volume = BackupIndex {
        kind: "custom".to_owned(),
        ..index(&[])
    };
    let directory = tar::EntryType::Directory;
    let cases = [
        ("backup/container/rootfs/x", "does not belong"),
        ("backup/volume/../x", "`..`"),
        ("backup/volume-snapshots/s9/x", "not in the index"),
        ("backup/volume.bin", "--optimized-storage"),
    ];
    for (path, words) in cases {
        let tar = Tar::new(&of_volume).other("backup/volume", directory, "");
        let error = put_in(&*driver, tar.file(path, b"1").end()).expect_err(path);
        let text = rlxc_sys::chain::chain(&error).to_string();
        assert!(text.contains(words), "{path}: {text}");
        driver.delete_volume(VOLUME).unwrap();
    }
    let file = Tar::new(&of_volume).file("backup/volume", b"1").end();
    let error = put_in(&*driver, file).unwrap_err();
    assert!(error.to_string().contains("must be a directory"), "{error}");
}

/// A tarball by hand.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn new(index: &BackupIndex) -> Self {
        Self::default().file("backup/index.yaml", index.render().unwrap().as_bytes())
    }

    fn item(mut self, item: &Item, data: &[u8]) -> Self {
        let records = pax_records(item);
        assert!(records.is_empty());
        self.0.extend_from_slice(plain_header(item).as_bytes());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, path: &str, data: &[u8]) -> Self {
        let item = Item {
            path: PathBuf::from(path),
            size: data.len() as u64,
            mode: 0o644,
            ..Item::default()
        };
        self.item(&item, data)
    }

    fn other(self, path: &str, kind: tar::EntryType, link: &str) -> Self {
        let item = Item {
            path: PathBuf::from(path),
            kind,
            link: Some(link.into()),
            mode: 0o755,
            device: rustix::fs::makedev(8, 0),
            ..Item::default()
        };
        self.item(&item, b"")
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "it is a table, and what is done with each row of it"
)]
fn hostile_backups_are_refused_and_write_nothing_outside() {
    use tar::EntryType::{Block, Directory, Link, Symlink};
    let plain = || Tar::new(&index(&[])).other("backup/container/rootfs", Directory, "");
    let in_root = "backup/container/rootfs";
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "no index",
            Tar::default().file("backup/container/rootfs/x", b"").end(),
            "must come before",
        ),
        ("nothing at all", Tar::default().end(), "neither a tarball"),
        ("no tarball", vec![7; 4096], "neither a tarball"),
        (
            "an index that is none",
            Tar::default().file("backup/index.yaml", b"[1").end(),
            "index.yaml",
        ),
        (
            "nothing but the index",
            Tar::new(&index(&[])).end(),
            "part that its index names",
        ),
        (
            "a snapshot is missing",
            Tar::new(&index(&["s1"]))
                .other(in_root, Directory, "")
                .end(),
            "part that its index names",
        ),
        (
            "a snapshot nobody named",
            plain()
                .other("backup/snapshots/s9/rootfs", Directory, "")
                .end(),
            "not in the index",
        ),
        (
            "a part that comes twice",
            Tar::new(&index(&["s1"]))
                .other(in_root, Directory, "")
                .other("backup/snapshots/s1/rootfs", Directory, "")
                .file("backup/container/rootfs/x", b"")
                .end(),
            "comes twice",
        ),
        (
            "up and out",
            plain()
                .file("backup/container/rootfs/../../../x", b"")
                .end(),
            "`..`",
        ),
        (
            "absolute",
            plain().file("/backup/container/rootfs/x", b"").end(),
            "absolute",
        ),
        (
            "elsewhere",
            plain().file("etc/passwd", b"").end(),
            "does not belong",
        ),
        (
            "through a link",
            plain()
                .other("backup/container/rootfs/l", Symlink, "/tmp")
                .file("backup/container/rootfs/l/x", b"")
                .end(),
            "unpack the archive entry",
        ),
        (
            "a link to outside",
            plain()
                .other(
                    "backup/container/rootfs/h",
                    Link,
                    "backup/container/backup.yaml",
                )
                .end(),
            "outside",
        ),
        (
            "a link to nothing",
            plain()
                .other(
                    "backup/container/rootfs/h",
                    Link,
                    "backup/container/rootfs/none",
                )
                .end(),
            "unpack the archive entry",
        ),
        (
            "twice the same",
            plain()
                .file("backup/container/rootfs/x", b"1")
                .file("backup/container/rootfs/x", b"2")
                .end(),
            "unpack the archive entry",
        ),
        (
            "a template that is a link",
            plain()
                .other("backup/container/templates/t", Symlink, "/etc/passwd")
                .end(),
            "templates are plain",
        ),
        (
            "another format",
            plain().file("backup/container.bin", b"").end(),
            "--optimized-storage",
        ),
        (
            "cut short",
            {
                let mut cut = plain().file("backup/container/rootfs/x", &[7; 4000]).end();
                cut.truncate(3500);
                cut
            },
            "truncated",
        ),
    ];
    let base = scratch();
    for driver in pools(base.path()) {
        for (name, bytes, words) in &cases {
            let error = put_in(&*driver, bytes.clone()).expect_err(name);
            let text = rlxc_sys::chain::chain(&error).to_string();
            assert!(text.contains(words), "{name}: {text}");
            driver.delete_volume(VOLUME).unwrap();
            assert!(driver.list_volumes().unwrap().volumes.is_empty(), "{name}");
        }
        // The disk of the host is left out, and all else is there.
        let disk = plain()
            .other("backup/container/rootfs/sda", Block, "")
            .file("backup/container/rootfs/x", b"1");
        put_in(&*driver, disk.end()).unwrap();
        assert_eq!(
            show(&driver.root(VOLUME).unwrap())
                .keys()
                .collect::<Vec<_>>(),
            ["x"]
        );
        driver.delete_volume(VOLUME).unwrap();
    }
    assert!(!Path::new("/tmp/x").exists());
}

#[test]
fn a_bomb_is_stopped_by_the_limit() {
    let bomb = Tar::new(&index(&[])).file("backup/container/rootfs/zeros", &vec![0; 4 << 20]);
    let packed = zstd::encode_all(&bomb.end()[..], 3).unwrap();
    assert!(packed.len() < 10_000);
    let reader = BackupReader::open(file_of(packed), 1 << 20).unwrap();
    let base = scratch();
    let driver = pools(base.path()).remove(0);
    let error = restore(reader, (&*driver, VOLUME), &BTreeMap::new(), &|_| {}).unwrap_err();
    assert!(error.to_string().contains("unpacks to more"), "{error}");
}

#[test]
fn an_instance_comes_back_from_streams_of_btrfs() {
    use crate::driver::btrfs::tests::bed;
    let (Some(near), Some(far)) = (bed(), bed()) else {
        return;
    };
    let (from, to) = (
        crate::create(&near.spec).unwrap(),
        crate::create(&far.spec).unwrap(),
    );
    let (source, moment) = (VolumeRef::container(9), SnapshotId(7));
    from.create_volume(source, &Source::Empty).unwrap();
    let RootSource::Tree { path: root } = from.root(source).unwrap() else {
        panic!("not a tree");
    };
    furnish(&root);
    for id in [FIRST, moment] {
        from.create_snapshot(source, id, State::Stopped).unwrap();
        fs::write(root.join("later"), "than the snapshot").unwrap();
    }
    let order = |optimized| BackupOrder {
        index: BackupIndex {
            optimized,
            backend: "btrfs".into(),
            ..index(&["s1"])
        },
        parts: BackupParts::Streams(Streams {
            driver: std::sync::Arc::clone(&from),
            volume: source,
            main: moment,
            snapshots: vec![("s1".to_owned(), FIRST)],
        }),
        algorithm: Compression::None.into(),
        created: 1,
    };
    let bytes = write(&order(true), Vec::new(), &|_| {}).unwrap();
    put_in(&*to, bytes.clone()).unwrap();
    for (made, of) in [
        (to.root(VOLUME), from.snapshot_root(source, moment)),
        (
            to.snapshot_root(VOLUME, FIRST),
            from.snapshot_root(source, FIRST),
        ),
    ] {
        assert_eq!(show(&made.unwrap()), show(&of.unwrap()));
    }
    assert_eq!(
        to.list_volumes().unwrap().volumes[&VOLUME].snapshots,
        [FIRST]
    );
    to.delete_volume(VOLUME).unwrap();
    for length in [1024, bytes.len() / 2, bytes.len() - 2048] {
        put_in(&*to, bytes[..length].to_vec()).unwrap_err();
        to.delete_volume(VOLUME).unwrap();
    }
    // What does not say that it is made of streams has none.
    let silent = write(&order(false), Vec::new(), &|_| {}).unwrap();
    let error = put_in(&*to, silent).unwrap_err();
    let text = rlxc_sys::chain::chain(&error).to_string();
    assert!(text.contains("--optimized-storage"), "{text}");
    to.delete_volume(VOLUME).unwrap();
    drop((from, to));
}
