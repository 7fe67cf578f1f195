//! The suite on every driver, and what the ones on disk leave there.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

use rlxc_sys::file::FileError;
use rlxc_sys::rootfs::RootSource;

use super::dir::DirDriver;
use super::fake::FakeDriver;
use super::overlay::OverlayDriver;
use super::*;
use crate::conformance::{Probe, check, fill};
use crate::error::Cause;
use crate::pool::PoolSpec;

/// Reads and writes layers as overlay would, without a mount.
struct OnDisk;

fn layers(root: &RootSource) -> Vec<PathBuf> {
    match root {
        RootSource::Tree { path } => vec![path.clone()],
        RootSource::Overlay { lower, upper, .. } => {
            let mut all = vec![upper.clone()];
            all.extend(lower.iter().cloned());
            all
        }
    }
}

impl Probe for OnDisk {
    fn read(&self, root: &RootSource, name: &str) -> Result<Option<String>, FileError> {
        for layer in layers(root) {
            assert!(layer.is_dir(), "{} is not there", layer.display());
            let path = layer.join(name);
            match std::fs::symlink_metadata(&path) {
                Ok(stat) if stat.file_type().is_char_device() => return Ok(None),
                Ok(_) => return rlxc_sys::file::read_text(&path).map(Some),
                Err(_) => {}
            }
        }
        Ok(None)
    }

    fn write(&self, root: &RootSource, name: &str, text: &str) -> Result<(), FileError> {
        self.remove(root, name)?;
        let path = layers(root)[0].join(name);
        rlxc_sys::file::remove(&path)?;
        std::fs::write(&path, text).map_err(|error| FileError::new("write", &path, error))
    }

    fn remove(&self, root: &RootSource, name: &str) -> Result<(), FileError> {
        let path = layers(root)[0].join(name);
        rlxc_sys::file::remove(&path)?;
        if matches!(root, RootSource::Overlay { .. }) {
            let kind = rustix::fs::FileType::CharacterDevice;
            let mode = rustix::fs::Mode::empty();
            rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0)
                .map_err(|errno| FileError::new("whiteout", &path, errno))?;
        }
        Ok(())
    }
}

/// The same through a real mount of the parts.
pub(crate) struct Mounted;

impl Mounted {
    fn with<T>(root: &RootSource, look: impl FnOnce(PathBuf) -> T) -> T {
        use std::os::fd::AsRawFd;
        let mount = rlxc_sys::mount::assemble(root, None).unwrap();
        look(PathBuf::from(format!(
            "/proc/self/fd/{}",
            mount.as_raw_fd()
        )))
    }
}

impl Probe for Mounted {
    fn read(&self, root: &RootSource, name: &str) -> Result<Option<String>, FileError> {
        Self::with(root, |path| {
            match rlxc_sys::file::read_text(&path.join(name)) {
                Err(error) if error.is_not_found() => Ok(None),
                other => other.map(Some),
            }
        })
    }

    fn write(&self, root: &RootSource, name: &str, text: &str) -> Result<(), FileError> {
        Self::with(root, |path| {
            std::fs::write(path.join(name), text)
                .map_err(|error| FileError::new("write", name, error))
        })
    }

    fn remove(&self, root: &RootSource, name: &str) -> Result<(), FileError> {
        Self::with(root, |path| rlxc_sys::file::remove(&path.join(name)))
    }
}

pub(crate) fn spec(driver: &str, source: PathBuf) -> PoolSpec {
    PoolSpec {
        name: "test".into(),
        driver: driver.into(),
        source,
        device: None,
        config: BTreeMap::new(),
    }
}

/// Those that any directory will do for.
pub(crate) const PLACED: [&str; 2] = ["overlay", "dir"];

/// On the file system of the build: /tmp may be a tmpfs, which shows less.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR").to_owned() + "/../target").unwrap()
}

fn can_overlay(dir: &Path) -> bool {
    match overlay::probe(dir) {
        Ok(()) => true,
        Err(error) => {
            assert!(
                std::env::var_os("RLXC_FORBID_SKIP").is_none(),
                "overlay is needed: {error}"
            );
            eprintln!("skipped: {error}");
            false
        }
    }
}

fn files_below(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[test]
fn the_fake_conforms() {
    let fake = FakeDriver::default();
    check(&fake, &fake).unwrap();
}

#[test]
fn dir_conforms_and_leaves_nothing() {
    let base = scratch();
    let spec = spec("dir", base.path().join("pool"));
    let driver = DirDriver::create(&spec).unwrap();
    check(&driver, &OnDisk).unwrap();
    drop(driver);
    let driver = DirDriver::open(&spec).unwrap();
    assert_eq!(driver.list_volumes().unwrap(), Contents::default());
    drop(driver);
    assert_eq!(files_below(&spec.source).len(), 1, "only the label");
}

#[test]
fn overlay_conforms_and_leaves_nothing() {
    let base = scratch();
    if !can_overlay(base.path()) {
        return;
    }
    let spec = spec("overlay", base.path().join("pool"));
    let driver = OverlayDriver::create(&spec).unwrap();
    check(&driver, &OnDisk).unwrap();
    check(&driver, &Mounted).unwrap();
    drop(driver);
    assert_eq!(files_below(&spec.source).len(), 1, "only the label");
    let left = std::fs::read_dir(spec.source.join("layers")).unwrap();
    assert_eq!(left.count(), 0);
}

#[test]
fn an_upper_looks_like_the_root_below_it() {
    let base = scratch();
    if !can_overlay(base.path()) {
        return;
    }
    let driver = OverlayDriver::create(&spec("overlay", base.path().join("pool"))).unwrap();
    driver.create_image("abc", &mut fill).unwrap();
    let volume = VolumeRef::container(1);
    driver
        .create_volume(volume, &Source::Image("abc".into()))
        .unwrap();
    let RootSource::Overlay { upper, .. } = driver.root(volume).unwrap() else {
        panic!("not an overlay");
    };
    let mode = std::fs::metadata(upper).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o751);
    let dir = driver.volume_dir(volume).unwrap();
    assert!(dir.join("metadata.yaml").is_file());
}

#[test]
fn a_pool_remembers_everything_when_opened_again() {
    for name in &PLACED {
        let base = scratch();
        if !can_overlay(base.path()) {
            return;
        }
        let spec = spec(name, base.path().join("pool"));
        let driver = crate::create(&spec).unwrap();
        driver.create_image("abc", &mut fill).unwrap();
        let (volume, snapshot) = (VolumeRef::container(7), SnapshotId(3));
        driver
            .create_volume(volume, &Source::Image("abc".into()))
            .unwrap();
        driver
            .create_snapshot(volume, snapshot, State::Stopped)
            .unwrap();
        let before = driver.list_volumes().unwrap();
        let root = driver.root(volume).unwrap();
        let refused = crate::open(&spec).unwrap_err();
        assert!(matches!(refused.cause(), Some(Cause::Locked { .. })));
        drop(driver);
        // What a crash leaves: something half-made, a layer that no record names.
        std::fs::create_dir_all(spec.source.join("tmp/half/rootfs")).unwrap();
        std::fs::create_dir_all(spec.source.join("layers/99/fs")).unwrap();
        let driver = crate::open(&spec).unwrap();
        assert_eq!(driver.name(), *name);
        assert_eq!(driver.list_volumes().unwrap(), before);
        assert_eq!(driver.root(volume).unwrap(), root);
        drop(driver);
        let tmp = std::fs::read_dir(spec.source.join("tmp")).unwrap();
        assert_eq!(tmp.count(), 0, "{name}");
        assert_eq!(spec.source.join("layers/99").exists(), *name == "dir");
    }
}

#[test]
fn an_unreadable_record_costs_no_data() {
    let base = scratch();
    if !can_overlay(base.path()) {
        return;
    }
    let spec = spec("overlay", base.path().join("pool"));
    let driver = OverlayDriver::create(&spec).unwrap();
    let volume = VolumeRef::container(1);
    driver.create_volume(volume, &Source::Empty).unwrap();
    let root = driver.root(volume).unwrap();
    OnDisk.write(&root, "state", "precious").unwrap();
    drop(driver);
    std::fs::write(spec.source.join("containers/1/volume.json"), "{").unwrap();
    drop(OverlayDriver::open(&spec).unwrap());
    assert_eq!(
        OnDisk.read(&root, "state").unwrap().as_deref(),
        Some("precious")
    );
}

#[test]
fn a_failed_step_leaves_the_volume_as_it_was() {
    for name in &PLACED {
        let base = scratch();
        if !can_overlay(base.path()) {
            return;
        }
        let spec = spec(name, base.path().join("pool"));
        let driver = crate::create(&spec).unwrap();
        let volume = VolumeRef::container(1);
        driver.create_volume(volume, &Source::Empty).unwrap();
        let first = SnapshotId(1);
        driver
            .create_snapshot(volume, first, State::Stopped)
            .unwrap();
        let before = (driver.list_volumes().unwrap(), driver.root(volume).unwrap());
        // Where new things are made is in the way, one place after the other.
        for place in ["tmp", "layers"] {
            let (dir, aside) = (spec.source.join(place), spec.source.join("aside"));
            std::fs::rename(&dir, &aside).unwrap();
            std::fs::write(&dir, "").unwrap();
            let failed = [
                driver.create_volume(VolumeRef::container(2), &Source::Empty),
                driver.create_snapshot(volume, SnapshotId(2), State::Stopped),
                driver.create_snapshot(volume, SnapshotId(2), State::Frozen),
                driver.restore_snapshot(volume, first),
            ];
            std::fs::remove_file(&dir).unwrap();
            std::fs::rename(&aside, &dir).unwrap();
            if place == "layers" && *name == "overlay" {
                assert!(failed.iter().all(Result::is_err), "{name} {place}");
            }
            // `dir` has no layers, `overlay` needs no scratch directory for snapshots: what worked is undone.
            driver.delete_volume(VolumeRef::container(2)).unwrap();
            driver.delete_snapshot(volume, SnapshotId(2)).unwrap();
            assert_eq!(driver.list_volumes().unwrap(), before.0, "{name} {place}");
        }
    }
}

#[test]
fn refuses_places_that_are_not_for_a_pool() {
    let base = scratch();
    let source = base.path().join("pool");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("letter.txt"), "mine").unwrap();
    let refused = crate::create(&spec("dir", source.clone())).unwrap_err();
    assert!(matches!(refused.cause(), Some(Cause::NotEmpty { .. })));
    assert_eq!(files_below(&source).len(), 1);
    std::fs::remove_file(source.join("letter.txt")).unwrap();
    drop(crate::create(&spec("dir", source.clone())).unwrap());
    let refused = crate::open(&spec("overlay", source.clone())).unwrap_err();
    assert!(matches!(refused.cause(), Some(Cause::OtherDriver { .. })));
    let refused = crate::create(&spec("dir", source)).unwrap_err();
    assert!(refused.is_already_there());
    let refused = crate::create(&spec("zfs", base.path().join("z"))).unwrap_err();
    assert!(matches!(refused, Error::UnknownDriver { .. }));
    let missing = crate::open(&spec("dir", base.path().join("none"))).unwrap_err();
    assert!(missing.is_not_found());
}

#[test]
fn metadata_that_are_links_are_left_out() {
    let base = scratch();
    let (from, to) = (base.path().join("from"), base.path().join("to"));
    for dir in [&from, &to, &base.path().join("secrets")] {
        std::fs::create_dir(dir).unwrap();
    }
    let secret = base.path().join("secrets/letter");
    std::fs::write(&secret, "mine").unwrap();
    std::os::unix::fs::symlink(&secret, from.join("metadata.yaml")).unwrap();
    std::os::unix::fs::symlink(base.path().join("secrets"), from.join("templates")).unwrap();
    shared::copy_metadata(&from, &to).unwrap();
    assert!(files_below(&to).is_empty());
    std::fs::remove_file(from.join("metadata.yaml")).unwrap();
    std::fs::write(from.join("metadata.yaml"), "a: b").unwrap();
    shared::copy_metadata(&from, &to).unwrap();
    assert_eq!(files_below(&to).len(), 1);
}

#[test]
fn what_is_copied_ahead_of_a_snapshot_is_brought_up_to_date_or_dropped() {
    for name in &PLACED {
        let base = scratch();
        if !can_overlay(base.path()) {
            return;
        }
        let spec = spec(name, base.path().join("pool"));
        let driver = crate::create(&spec).unwrap();
        driver.create_image("abc", &mut fill).unwrap();
        let (volume, first, second) = (VolumeRef::container(1), SnapshotId(1), SnapshotId(2));
        let source = Source::Image("abc".into());
        driver.create_volume(volume, &source).unwrap();
        let root = driver.root(volume).unwrap();
        Mounted::with(&root, |path| {
            for number in 0..600 {
                std::fs::write(path.join(format!("f{number}")), "before").unwrap();
            }
        });
        std::thread::sleep(std::time::Duration::from_millis(250));
        for snapshot in [first, second] {
            driver.prepare_snapshot(volume, snapshot).unwrap();
        }
        let contents = driver.list_volumes().unwrap();
        assert_eq!(contents.volumes[&volume].snapshots, [], "{name}");
        Mounted.write(&root, "f7", "after").unwrap();
        Mounted.remove(&root, "f8").unwrap();
        driver.delete_snapshot(volume, first).unwrap();
        driver
            .create_snapshot(volume, second, State::Frozen)
            .unwrap();
        Mounted.write(&root, "f9", "later").unwrap();
        let shown = driver.snapshot_root(volume, second).unwrap();
        for (file, expected) in [
            ("f7", Some("after")),
            ("f8", None),
            ("f9", Some("before")),
            ("base", Some("from the image")),
        ] {
            let text = Mounted.read(&shown, file).unwrap();
            assert_eq!(text.as_deref(), expected, "{name} {file}");
        }
        // One that is never taken goes with the volume, or with the daemon.
        driver.prepare_snapshot(volume, SnapshotId(3)).unwrap();
        driver.delete_volume(volume).unwrap();
        drop(driver);
        let driver = crate::open(&spec).unwrap();
        driver.delete_image("abc").unwrap();
        drop(driver);
        assert_eq!(files_below(&spec.source).len(), 1, "{name}: only the label");
    }
}
