//! On a real btrfs, in a loop file: the suite, what is left, what a restart finds.

use super::*;
use crate::conformance::{check, fill};
use crate::driver::tests::Mounted;

/// A directory with a pool on a loop file; nothing is mounted and no loop device attached any more when it is gone.
pub(crate) struct Bed {
    pub(crate) base: tempfile::TempDir,
    pub(crate) spec: PoolSpec,
}

impl Drop for Bed {
    fn drop(&mut self) {
        discard(&self.spec).unwrap();
    }
}

/// `None` where this process may not attach loop devices.
pub(crate) fn bed() -> Option<Bed> {
    let base = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR").to_owned() + "/../target").unwrap();
    let path = base.path().canonicalize().unwrap();
    let control = std::fs::File::options()
        .write(true)
        .open("/dev/loop-control");
    if let Err(error) = control {
        assert!(
            std::env::var_os("RLXC_FORBID_SKIP").is_none(),
            "loop devices are needed: {error}"
        );
        eprintln!("skipped: {error}");
        return None;
    }
    let spec = PoolSpec {
        name: "test".into(),
        driver: "btrfs".into(),
        source: path.join("pool"),
        device: Some(path.join("disk.img")),
        config: [("size".to_owned(), "512MiB".to_owned())].into(),
    };
    Some(Bed { base, spec })
}

fn loop_devices_of(file: &Path) -> Vec<String> {
    let names = std::fs::read_dir("/sys/block").unwrap();
    names
        .filter_map(|entry| {
            let path = entry.unwrap().path().join("loop/backing_file");
            let text = std::fs::read_to_string(path).ok()?;
            text.starts_with(file.to_str().unwrap()).then_some(text)
        })
        .collect()
}

#[test]
fn conforms_and_leaves_nothing() {
    let Some(bed) = bed() else { return };
    let driver = BtrfsDriver::create(&bed.spec).unwrap();
    check(&driver, &Mounted).unwrap();
    drop(driver);
    let driver = BtrfsDriver::open(&bed.spec).unwrap();
    for dir in ["images", "containers", "custom", "snapshots", "tmp"] {
        let left = file::list_dir(&bed.spec.source.join(dir)).unwrap();
        let left: Vec<_> = left
            .iter()
            .filter(|name| dir != "snapshots" || !name.to_str().unwrap().contains('-'))
            .collect();
        assert!(left.is_empty(), "{dir}: {left:?}");
    }
    driver.delete_pool().unwrap();
    drop(driver);
    let device = bed.spec.device.clone().unwrap();
    assert!(!device.exists());
    assert!(!rlxc_sys::mount::is_mount_point(&bed.spec.source).unwrap());
    let left = loop_devices_of(&device);
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn is_mounted_again_and_grows() {
    let Some(bed) = bed() else { return };
    let driver = BtrfsDriver::create(&bed.spec).unwrap();
    let volume = VolumeRef::custom(1);
    driver.create_volume(volume, &Source::Empty).unwrap();
    let before = driver.usage().unwrap().space_total;
    drop(driver);
    rlxc_sys::mount::detach(&bed.spec.source).unwrap();
    assert!(loop_devices_of(bed.spec.device.as_ref().unwrap()).is_empty());
    let driver = BtrfsDriver::open(&bed.spec).unwrap();
    assert!(driver.root(volume).is_ok());
    driver.resize_pool(768 << 20).unwrap();
    let after = driver.usage().unwrap().space_total;
    assert_eq!(after - before, 256 << 20);
    let refused = driver.resize_pool(512 << 20).unwrap_err();
    assert!(matches!(refused.cause(), Some(Cause::Shrink { .. })));
}

#[test]
fn tells_of_a_loop_file_that_vanished() {
    let Some(bed) = bed() else { return };
    let driver = BtrfsDriver::create(&bed.spec).unwrap();
    driver.check().unwrap();
    let (device, aside) = (bed.spec.device.clone().unwrap(), bed.base.path().join("b"));
    std::fs::rename(&device, &aside).unwrap();
    let told = driver.check().unwrap_err();
    assert!(matches!(told.cause(), Some(Cause::Lost { .. })), "{told}");
    drop(driver);
    rlxc_sys::mount::detach(&bed.spec.source).unwrap();
    let told = BtrfsDriver::open(&bed.spec).unwrap_err();
    assert!(matches!(told.cause(), Some(Cause::Lost { .. })), "{told}");
    std::fs::rename(&aside, &device).unwrap();
    BtrfsDriver::open(&bed.spec).unwrap();
}

#[test]
fn a_creation_that_fails_leaves_nothing() {
    let Some(mut bed) = bed() else { return };
    std::fs::create_dir(&bed.spec.source).unwrap();
    for (key, value) in [
        ("size", "1MiB"),
        ("size", "much"),
        ("btrfs.mount_options", "nonsense=1"),
    ] {
        let mut spec = bed.spec.clone();
        spec.config.insert(key.into(), value.into());
        BtrfsDriver::create(&spec).unwrap_err();
        let device = bed.spec.device.as_ref().unwrap();
        assert!(!device.exists(), "{key}={value}");
        assert!(loop_devices_of(device).is_empty(), "{key}={value}");
    }
    bed.spec.device = Some("/dev/null".into());
    let refused = BtrfsDriver::create(&bed.spec).unwrap_err();
    assert!(matches!(refused.cause(), Some(Cause::NoDevice { .. })));
}

#[test]
fn a_directory_of_a_btrfs_will_do_and_another_will_not() {
    let Some(bed) = bed() else { return };
    let host = BtrfsDriver::create(&bed.spec).unwrap();
    let mut inner = bed.spec.clone();
    inner.device = None;
    inner.source = bed.spec.source.join("inner");
    assert_eq!(crate::default_driver(&inner.source), "btrfs");
    let driver = BtrfsDriver::create(&inner).unwrap();
    check(&driver, &Mounted).unwrap();
    driver.delete_pool().unwrap();
    drop(driver);
    drop(host);
    inner.source = bed.base.path().join("elsewhere");
    let refused = BtrfsDriver::create(&inner).unwrap_err();
    assert!(matches!(refused.cause(), Some(Cause::Unfit { .. })));
    assert!(!inner.source.exists());
}

#[test]
fn quotas_bind_and_survive_a_restore() {
    let Some(bed) = bed() else { return };
    let driver = BtrfsDriver::create(&bed.spec).unwrap();
    driver.create_image("abc", &mut fill).unwrap();
    let (volume, snapshot) = (VolumeRef::container(1), SnapshotId(1));
    driver
        .create_volume(volume, &Source::Image("abc".into()))
        .unwrap();
    driver.set_quota(volume, Some(16 << 20)).unwrap();
    driver
        .create_snapshot(volume, snapshot, State::Frozen)
        .unwrap();
    driver.restore_snapshot(volume, snapshot).unwrap();
    let RootSource::Tree { path } = driver.root(volume).unwrap() else {
        panic!("no tree");
    };
    let write = |name: &str, bytes: usize| {
        std::fs::write(path.join(name), vec![7; bytes])
            .and_then(|()| std::fs::File::open(path.join(name))?.sync_all())
    };
    write("fits", 8 << 20).unwrap();
    let refused = write("too-much", 32 << 20).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::QuotaExceeded);
    std::fs::remove_file(path.join("too-much")).unwrap();
    rustix::fs::syncfs(std::fs::File::open(&path).unwrap()).unwrap();
    assert!(driver.volume_usage(volume).unwrap() >= 8 << 20);
    let refused = driver.set_quota(volume, Some(1 << 20)).unwrap_err();
    assert!(matches!(refused.cause(), Some(Cause::BelowUse { .. })));
    driver.set_quota(volume, None).unwrap();
    write("too-much", 32 << 20).unwrap();
}

#[test]
fn subvolumes_of_a_guest_come_along() {
    let Some(bed) = bed() else { return };
    let driver = BtrfsDriver::create(&bed.spec).unwrap();
    let (volume, snapshot) = (VolumeRef::container(1), SnapshotId(1));
    driver.create_volume(volume, &Source::Empty).unwrap();
    let RootSource::Tree { path } = driver.root(volume).unwrap() else {
        panic!("no tree");
    };
    std::fs::create_dir(path.join("var")).unwrap();
    create_subvolume(&path.join("var/docker")).unwrap();
    create_subvolume(&path.join("var/docker/layer")).unwrap();
    std::fs::write(path.join("var/docker/layer/file"), "text").unwrap();
    driver
        .create_snapshot(volume, snapshot, State::Stopped)
        .unwrap();
    std::fs::write(path.join("var/docker/layer/file"), "other").unwrap();
    driver.restore_snapshot(volume, snapshot).unwrap();
    let text = std::fs::read_to_string(path.join("var/docker/layer/file")).unwrap();
    assert_eq!(text, "text");
    driver.delete_volume(volume).unwrap();
    drop(driver);
    let left = file::list_dir(&bed.spec.source.join("tmp")).unwrap();
    assert!(left.is_empty(), "{left:?}");
}
