//! Chains of layers through real overlay mounts, compared with a plain directory that the same was done to.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

use super::*;
use crate::conformance::fill;

/// What a tree shows: kind, mode and content of each path.
fn listing(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let stat = std::fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let text = if stat.is_dir() {
                waiting.push(path);
                "directory".to_owned()
            } else {
                std::fs::read_to_string(&path).unwrap()
            };
            found.insert(name, format!("{:o} {text}", stat.mode()));
        }
    }
    found
}

/// One change, chosen by `dice`: what package managers and users do to trees.
fn change(root: &Path, dice: u64, round: u64) {
    let path = root.join(format!("d{}/e{}/f{}", dice % 3, dice / 3 % 3, dice / 9 % 4));
    let (dir, top) = (path.parent().unwrap(), root.join(format!("d{}", dice % 3)));
    let clear = |path: &Path| {
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap();
        } else if path.exists() {
            std::fs::remove_file(path).unwrap();
        }
    };
    if !top.is_dir() {
        clear(&top);
    }
    std::fs::create_dir_all(&top).unwrap();
    if !dir.is_dir() {
        clear(dir);
    }
    match dice / 36 % 6 {
        0 | 1 => {
            std::fs::create_dir_all(dir).unwrap();
            clear(&path);
            std::fs::write(&path, format!("round {round}")).unwrap();
        }
        2 => clear(&path),
        3 => clear(dir),
        4 => {
            clear(&top);
            std::fs::create_dir_all(dir).unwrap();
            std::fs::write(dir.join("again"), "made again").unwrap();
        }
        _ => {
            clear(dir);
            std::fs::write(dir, "a file now").unwrap();
        }
    }
}

fn through_mount(root: &RootSource, act: impl FnOnce(&Path)) {
    let mount = rlxc_sys::mount::assemble(root, None).unwrap();
    act(Path::new(&format!("/proc/self/fd/{}/", mount.as_raw_fd())));
}

#[test]
fn chains_show_what_was_done_however_often_they_are_merged() {
    let base = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR").to_owned() + "/../target").unwrap();
    if let Err(error) = probe(base.path()) {
        assert!(std::env::var_os("RLXC_FORBID_SKIP").is_none(), "{error}");
        eprintln!("skipped: {error}");
        return;
    }
    let spec = PoolSpec {
        name: "test".into(),
        driver: "overlay".into(),
        source: base.path().join("pool"),
        device: None,
        config: BTreeMap::new(),
    };
    let driver = OverlayDriver::create(&spec).unwrap();
    let mut filler = |dir: &Path| {
        fill(dir)?;
        for round in 0..200 {
            change(&dir.join("rootfs"), round * 7, 0);
        }
        Ok(())
    };
    driver.create_image("abc", &mut filler).unwrap();
    let volume = VolumeRef::container(1);
    let source = Source::Image("abc".into());
    driver.create_volume(volume, &source).unwrap();
    let model = base.path().join("model");
    let from = path::open_dir(&driver.image_dir("abc").unwrap().join("rootfs")).unwrap();
    std::fs::create_dir(&model).unwrap();
    let to = path::open_dir(&model).unwrap();
    crate::copy::copy_tree(from, to, crate::copy::Attributes::Content).unwrap();
    let mut dice = 12345u64;
    let mut shown = BTreeMap::new();
    for round in 1..=70 {
        through_mount(&driver.root(volume).unwrap(), |root| {
            for _ in 0..4 {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                change(root, dice >> 33, round);
                change(&model, dice >> 33, round);
            }
        });
        let snapshot = SnapshotId(round);
        driver
            .create_snapshot(volume, snapshot, State::Stopped)
            .unwrap();
        shown.insert(snapshot, listing(&model));
        through_mount(&driver.root(volume).unwrap(), |root| {
            assert_eq!(listing(root), shown[&snapshot], "after round {round}");
        });
    }
    let depth = driver.record(volume).unwrap().chain.layers.len();
    assert!(depth < 32, "{depth} layers");
    for round in (1..=70).step_by(7) {
        driver
            .delete_snapshot(volume, SnapshotId(round + 1))
            .unwrap();
        let view = driver.snapshot_root(volume, SnapshotId(round)).unwrap();
        through_mount(&view, |root| {
            assert_eq!(listing(root), shown[&SnapshotId(round)], "snapshot {round}");
        });
    }
}

#[test]
fn a_snapshot_of_a_running_instance_shows_what_its_mount_showed() {
    let base = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR").to_owned() + "/../target").unwrap();
    if let Err(error) = probe(base.path()) {
        assert!(std::env::var_os("RLXC_FORBID_SKIP").is_none(), "{error}");
        eprintln!("skipped: {error}");
        return;
    }
    let spec = PoolSpec {
        name: "test".into(),
        driver: "overlay".into(),
        source: base.path().join("pool"),
        device: None,
        config: BTreeMap::new(),
    };
    let driver = OverlayDriver::create(&spec).unwrap();
    let mut filler = |dir: &Path| {
        fill(dir)?;
        for round in 0..200 {
            change(&dir.join("rootfs"), round * 7, 0);
        }
        // What a renamed directory of the image needs is a redirect in the layer.
        std::fs::create_dir_all(dir.join("rootfs/old/inner"))?;
        std::fs::write(dir.join("rootfs/old/inner/file"), "moved")?;
        Ok(())
    };
    driver.create_image("abc", &mut filler).unwrap();
    let volume = VolumeRef::container(1);
    let source = Source::Image("abc".into());
    driver.create_volume(volume, &source).unwrap();
    let snapshot = SnapshotId(1);
    let mut shown = BTreeMap::new();
    through_mount(&driver.root(volume).unwrap(), |root| {
        for round in 1..100 {
            change(root, round * 31, round);
        }
        std::fs::rename(root.join("old"), root.join("new")).unwrap();
        shown = listing(root);
        driver
            .create_snapshot(volume, snapshot, State::Frozen)
            .unwrap();
        std::fs::remove_dir_all(root.join("new")).unwrap();
    });
    assert!(shown.contains_key("new/inner/file"));
    through_mount(&driver.snapshot_root(volume, snapshot).unwrap(), |root| {
        assert_eq!(listing(root), shown);
    });
    driver.restore_snapshot(volume, snapshot).unwrap();
    through_mount(&driver.root(volume).unwrap(), |root| {
        assert_eq!(listing(root), shown);
    });
}

/// What is on disk if the power goes now, and the records of some volumes were not there yet.
fn after_a_power_cut(source: &Path, torn: &[VolumeRef]) -> (tempfile::TempDir, OverlayDriver) {
    let base = crate::driver::tests::scratch();
    let copy = base.path().join("pool");
    file::create_dir(&copy, 0o711).unwrap();
    let (from, to) = (
        path::open_dir(source).unwrap(),
        path::open_dir(&copy).unwrap(),
    );
    crate::copy::copy_tree(from, to, crate::copy::Attributes::Layer).unwrap();
    for (count, volume) in torn.iter().enumerate() {
        let dir = copy.join(volume.kind.dir()).join(volume.id.to_string());
        let record = dir.join("volume.json");
        let size = std::fs::metadata(&record).unwrap().len();
        // The first is empty, the next one zeros, as file systems do it.
        std::fs::remove_file(&record).unwrap();
        let torn = vec![0_u8; usize::try_from(size).unwrap() * count.min(1)];
        std::fs::write(&record, torn).unwrap();
    }
    let spec = crate::driver::tests::spec("overlay", copy);
    (base, OverlayDriver::open(&spec).unwrap())
}

fn state(driver: &OverlayDriver, root: &RootSource) -> Option<String> {
    assert!(driver.check().is_ok());
    let (RootSource::Overlay { upper, .. } | RootSource::Tree { path: upper }) = root;
    let mount = rlxc_sys::mount::assemble(root, None).unwrap();
    assert!(upper.is_dir());
    let path = format!("/proc/self/fd/{}/state", mount.as_raw_fd());
    std::fs::read_to_string(path).ok()
}

#[test]
fn a_power_cut_costs_the_last_change_and_no_volume() {
    let base = crate::driver::tests::scratch();
    let spec = crate::driver::tests::spec("overlay", base.path().join("pool"));
    let (one, two, first) = (
        VolumeRef::container(1),
        VolumeRef::container(2),
        SnapshotId(1),
    );
    let write = |driver: &OverlayDriver, text: &str| {
        let (RootSource::Overlay { upper, .. } | RootSource::Tree { path: upper }) =
            driver.root(one).unwrap();
        std::fs::write(upper.join("state"), text).unwrap();
    };
    let driver = OverlayDriver::create(&spec).unwrap();
    driver.create_volume(one, &Source::Empty).unwrap();
    write(&driver, "first");
    driver.create_snapshot(one, first, State::Stopped).unwrap();
    write(&driver, "second");
    drop(driver);
    let before = spec.source.join("containers/1/before.json");
    assert!(!before.exists(), "all is on disk when a pool is closed");

    let driver = OverlayDriver::open(&spec).unwrap();
    driver.restore_snapshot(one, first).unwrap();
    driver.delete_snapshot(one, first).unwrap();
    let copy = Source::Copy {
        from: one,
        snapshot: None,
    };
    driver.create_volume(two, &copy).unwrap();
    assert!(before.exists());
    let (_kept, whole) = after_a_power_cut(&spec.source, &[]);
    assert_eq!(
        whole.list_volumes().unwrap(),
        driver.list_volumes().unwrap()
    );
    assert_eq!(
        state(&whole, &whole.root(two).unwrap()).unwrap(),
        "first",
        "all that was done"
    );
    for torn in [[one, two], [two, one]] {
        let (_kept, cut) = after_a_power_cut(&spec.source, &torn);
        let volumes = cut.list_volumes().unwrap().volumes;
        assert_eq!(volumes.len(), 1, "the copy was never whole");
        assert_eq!(volumes[&one].snapshots, [first]);
        assert_eq!(state(&cut, &cut.root(one).unwrap()).unwrap(), "second");
        let snapshot = cut.snapshot_root(one, first).unwrap();
        assert_eq!(state(&cut, &snapshot).unwrap(), "first");
    }
    drop(driver);
    let layers = std::fs::read_dir(spec.source.join("layers")).unwrap();
    assert_eq!(
        layers.count(),
        4,
        "two that both share, and the upper of each"
    );
}
