//! Random lives of volumes on every driver, compared with maps in memory.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::tests::{Mounted, PLACED, scratch, spec};
use super::*;
use crate::conformance::{Probe, fill};

type Files = BTreeMap<String, String>;

const NAMES: [&str; 4] = ["base", "doomed", "one", "two"];

#[derive(Debug, Clone)]
enum Step {
    Create(u64),
    CreateEmpty(u64),
    Write(u64, usize),
    Remove(u64, usize),
    Snapshot(u64, bool),
    Restore(u64, usize),
    DeleteSnapshot(u64, usize),
    Copy(u64, u64, Option<usize>),
    Delete(u64),
}

#[derive(Debug, Clone, Default)]
struct Model {
    volumes: BTreeMap<VolumeRef, Volume>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Volume {
    files: Files,
    snapshots: BTreeMap<SnapshotId, Files>,
}

/// Some of them custom, which overlay keeps in another way.
fn volume(number: u64) -> VolumeRef {
    if number == 0 {
        VolumeRef::custom(1)
    } else {
        VolumeRef::container(number)
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let id = 0..4_u64;
    let step = prop_oneof![
        2 => (1..4_u64).prop_map(Step::Create),
        1 => Just(Step::CreateEmpty(0)),
        6 => (id.clone(), 0..NAMES.len()).prop_map(|(v, n)| Step::Write(v, n)),
        2 => (id.clone(), 0..NAMES.len()).prop_map(|(v, n)| Step::Remove(v, n)),
        4 => (id.clone(), any::<bool>()).prop_map(|(v, frozen)| Step::Snapshot(v, frozen)),
        3 => (id.clone(), 0..8_usize).prop_map(|(v, n)| Step::Restore(v, n)),
        2 => (id.clone(), 0..8_usize).prop_map(|(v, n)| Step::DeleteSnapshot(v, n)),
        2 => (1..4_u64, 1..4_u64, prop::option::of(0..8_usize))
            .prop_map(|(from, to, n)| Step::Copy(from, to, n)),
        1 => id.prop_map(Step::Delete),
    ];
    prop::collection::vec(step, 1..40)
}

struct World<'a> {
    driver: &'a dyn Driver,
    model: Model,
    next: u64,
}

impl World<'_> {
    fn nth_snapshot(&self, volume: VolumeRef, n: usize) -> Option<SnapshotId> {
        let snapshots = &self.model.volumes.get(&volume)?.snapshots;
        snapshots
            .keys()
            .nth(n.checked_rem(snapshots.len())?)
            .copied()
    }

    /// Does a step if it makes sense now.
    fn take(&mut self, step: &Step) {
        self.next += 1;
        let text = format!("text {}", self.next);
        match *step {
            Step::Create(v) | Step::CreateEmpty(v) if !self.has(v) => self.create(step, volume(v)),
            Step::Write(v, name) if self.has(v) => {
                let root = self.driver.root(volume(v)).unwrap();
                Mounted.write(&root, NAMES[name], &text).unwrap();
                self.files(v).insert(NAMES[name].to_owned(), text);
            }
            Step::Remove(v, name) if self.has(v) => {
                let root = self.driver.root(volume(v)).unwrap();
                Mounted.remove(&root, NAMES[name]).unwrap();
                self.files(v).remove(NAMES[name]);
            }
            Step::Snapshot(v, frozen) if self.has(v) => {
                let state = if frozen {
                    State::Frozen
                } else {
                    State::Stopped
                };
                let id = SnapshotId(self.next);
                self.driver.create_snapshot(volume(v), id, state).unwrap();
                self.driver.settle_snapshot(volume(v), id).unwrap();
                let files = self.files(v).clone();
                self.at(v).snapshots.insert(id, files);
            }
            Step::Restore(v, n) => {
                if let Some(id) = self.nth_snapshot(volume(v), n) {
                    self.driver.restore_snapshot(volume(v), id).unwrap();
                    let files = self.at(v).snapshots[&id].clone();
                    *self.files(v) = files;
                }
            }
            Step::DeleteSnapshot(v, n) => {
                if let Some(id) = self.nth_snapshot(volume(v), n) {
                    self.driver.delete_snapshot(volume(v), id).unwrap();
                    self.at(v).snapshots.remove(&id);
                }
            }
            Step::Copy(from, to, n) if self.has(from) && !self.has(to) => self.copy(from, to, n),
            Step::Delete(v) => {
                self.driver.delete_volume(volume(v)).unwrap();
                self.model.volumes.remove(&volume(v));
            }
            _ => {}
        }
    }

    fn copy(&mut self, from: u64, to: u64, n: Option<usize>) {
        let snapshot = n.and_then(|n| self.nth_snapshot(volume(from), n));
        let source = Source::Copy {
            from: volume(from),
            snapshot,
        };
        self.driver.create_volume(volume(to), &source).unwrap();
        let original = self.at(from);
        let files = match snapshot {
            Some(id) => original.snapshots[&id].clone(),
            None => original.files.clone(),
        };
        let copy = Volume {
            files,
            ..Volume::default()
        };
        self.model.volumes.insert(volume(to), copy);
    }

    fn create(&mut self, step: &Step, id: VolumeRef) {
        let mut files = Files::new();
        let source = if matches!(step, Step::Create(_)) {
            files.insert("base".into(), "from the image".into());
            files.insert("doomed".into(), "to be removed".into());
            Source::Image("abc".into())
        } else {
            Source::Empty
        };
        self.driver.create_volume(id, &source).unwrap();
        let made = Volume {
            files,
            ..Volume::default()
        };
        self.model.volumes.insert(id, made);
    }

    fn has(&self, v: u64) -> bool {
        self.model.volumes.contains_key(&volume(v))
    }

    fn at(&mut self, v: u64) -> &mut Volume {
        self.model.volumes.get_mut(&volume(v)).unwrap()
    }

    fn files(&mut self, v: u64) -> &mut Files {
        &mut self.at(v).files
    }

    fn shown(root: &RootSource) -> Files {
        let read = |name: &&str| {
            let text = Mounted.read(root, name).unwrap()?;
            Some(((*name).to_owned(), text))
        };
        NAMES.iter().filter_map(read).collect()
    }

    fn compare(&self) {
        let listed = self.driver.list_volumes().unwrap();
        assert!(
            listed.volumes.keys().eq(self.model.volumes.keys()),
            "{listed:?}"
        );
        for (id, volume) in &self.model.volumes {
            let root = self.driver.root(*id).unwrap();
            assert_eq!(Self::shown(&root), volume.files, "{id}");
            let snapshots = &listed.volumes[id].snapshots;
            assert!(snapshots.iter().eq(volume.snapshots.keys()), "{id}");
            for (snapshot, files) in &volume.snapshots {
                let root = self.driver.snapshot_root(*id, *snapshot).unwrap();
                assert_eq!(&Self::shown(&root), files, "{id} {snapshot}");
            }
        }
    }

    fn clear(&self) {
        for id in self.model.volumes.keys() {
            self.driver.delete_volume(*id).unwrap();
        }
    }
}

fn live(driver: &dyn Driver, cases: u32) {
    driver.create_image("abc", &mut fill).unwrap();
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let result = runner.run(&steps(), |steps| {
        // What a case that failed left would be in the way of the next.
        for id in driver.list_volumes().unwrap().volumes.keys() {
            driver.delete_volume(*id).unwrap();
        }
        let mut world = World {
            driver,
            model: Model::default(),
            next: 0,
        };
        for step in &steps {
            world.take(step);
        }
        world.compare();
        world.clear();
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn random_lives_on_directories() {
    for name in PLACED {
        let base = scratch();
        if overlay::probe(base.path()).is_err() {
            assert!(std::env::var_os("RLXC_FORBID_SKIP").is_none());
            return;
        }
        let driver = crate::create(&spec(name, base.path().join("pool"))).unwrap();
        live(&*driver, 24);
    }
}

#[test]
fn random_lives_on_btrfs() {
    let Some(bed) = btrfs::tests::bed() else {
        return;
    };
    let driver = btrfs::BtrfsDriver::create(&bed.spec).unwrap();
    live(&driver, 16);
}
