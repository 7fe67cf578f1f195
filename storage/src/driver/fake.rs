//! A driver in memory, for tests of those who use one: volumes are maps from file names to text.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rlxc_sys::file::{self, FileError};
use rlxc_sys::path;
use rlxc_sys::rootfs::RootSource;

use super::{Capabilities, Contents, Driver, Source, State, Usage, VolumeContents};
use crate::conformance::Probe;
use crate::error::{Cause, Doing, Error, FillError};
use crate::volume::{SnapshotId, VolumeRef};

type Files = BTreeMap<String, String>;

#[derive(Debug, Default)]
struct Volume {
    files: Files,
    snapshots: BTreeMap<SnapshotId, Files>,
}

#[derive(Debug, Default)]
struct Memory {
    images: BTreeMap<String, Files>,
    volumes: BTreeMap<VolumeRef, Volume>,
}

/// A pool that nothing of is on disk.
#[derive(Debug, Default)]
pub struct FakeDriver {
    memory: Mutex<Memory>,
}

fn not_found(what: impl Into<String>) -> Cause {
    Cause::NotFound { what: what.into() }
}

fn tree(path: String) -> RootSource {
    RootSource::Tree {
        path: PathBuf::from(path),
    }
}

impl Memory {
    fn volume(&mut self, volume: VolumeRef) -> Result<&mut Volume, Cause> {
        self.volumes
            .get_mut(&volume)
            .ok_or_else(|| not_found(volume.to_string()))
    }

    fn files(&mut self, source: &Source) -> Result<Files, Cause> {
        match source {
            Source::Empty => Ok(Files::new()),
            Source::Image(fingerprint) => {
                let image = self.images.get(fingerprint).cloned();
                image.ok_or_else(|| not_found(format!("the image `{fingerprint}`")))
            }
            Source::Copy {
                from,
                snapshot: None,
            } => Ok(self.volume(*from)?.files.clone()),
            Source::Copy {
                from,
                snapshot: Some(snapshot),
            } => {
                let files = self.volume(*from)?.snapshots.get(snapshot).cloned();
                files.ok_or_else(|| not_found(format!("snapshot {snapshot}")))
            }
        }
    }

    /// The files of a root that the driver named: `/fake/<kind>/<id>`, with `/<snapshot>` after it or not.
    fn at(&mut self, root: &RootSource) -> Option<&mut Files> {
        let RootSource::Tree { path } = root else {
            return None;
        };
        self.volumes.iter_mut().find_map(|(volume, content)| {
            if path == Path::new(&name(*volume)) {
                return Some(&mut content.files);
            }
            let snapshots = content.snapshots.iter_mut();
            snapshots
                .filter(|(id, _)| path == &Path::new(&name(*volume)).join(id.to_string()))
                .map(|(_, files)| files)
                .next()
        })
    }
}

fn name(volume: VolumeRef) -> String {
    format!("/fake/{}/{}", volume.kind.dir(), volume.id)
}

/// Lets `filler` work in a directory that is gone afterwards; keeps the text of the files in `rootfs/`.
fn filled(
    fingerprint: &str,
    filler: &mut dyn FnMut(&Path) -> Result<(), FillError>,
) -> Result<Files, Cause> {
    let unique = format!("rlxc-fake-{}-{fingerprint}", std::process::id());
    let parent = std::env::temp_dir();
    let dir = parent.join(&unique);
    file::create_dir(&dir, 0o700)?;
    let mut read = || -> Result<Files, Cause> {
        filler(&dir).map_err(Cause::Fill)?;
        let rootfs = dir.join("rootfs");
        let mut files = Files::new();
        for name in file::list_dir(&rootfs)? {
            if rootfs.join(&name).is_file() {
                let text = file::read_text(&rootfs.join(&name))?;
                files.insert(name.to_string_lossy().into_owned(), text);
            }
        }
        Ok(files)
    };
    let files = read();
    path::remove_tree(path::open_dir(&parent)?, unique.as_ref())?;
    files
}

impl FakeDriver {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Probe for FakeDriver {
    fn read(&self, root: &RootSource, name: &str) -> Result<Option<String>, FileError> {
        let mut memory = self.memory();
        Ok(memory.at(root).and_then(|files| files.get(name).cloned()))
    }

    fn write(&self, root: &RootSource, name: &str, text: &str) -> Result<(), FileError> {
        if let Some(files) = self.memory().at(root) {
            files.insert(name.to_owned(), text.to_owned());
        }
        Ok(())
    }

    fn remove(&self, root: &RootSource, name: &str) -> Result<(), FileError> {
        if let Some(files) = self.memory().at(root) {
            files.remove(name);
        }
        Ok(())
    }
}

impl Driver for FakeDriver {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            driver: "fake",
            instant_clone: true,
            optimized_snapshots: true,
            quota: false,
            no_quota: "there is no disk",
            overlay: false,
            streams: false,
        }
    }

    fn delete_pool(&self) -> Result<(), Error> {
        *self.memory() = Memory::default();
        Ok(())
    }

    fn usage(&self) -> Result<Usage, Error> {
        Ok(Usage {
            space_total: 1 << 40,
            space_used: 1 << 30,
            inodes_total: 0,
            inodes_used: 0,
        })
    }

    fn create_image(
        &self,
        fingerprint: &str,
        filler: &mut dyn FnMut(&Path) -> Result<(), FillError>,
    ) -> Result<(), Error> {
        if self.memory().images.contains_key(fingerprint) {
            return Ok(());
        }
        let files = filled(fingerprint, filler).image("unpack", fingerprint)?;
        self.memory().images.insert(fingerprint.to_owned(), files);
        Ok(())
    }

    fn image_dir(&self, fingerprint: &str) -> Option<PathBuf> {
        let there = self.memory().images.contains_key(fingerprint);
        there.then(|| Path::new("/fake/images").join(fingerprint))
    }

    fn delete_image(&self, fingerprint: &str) -> Result<(), Error> {
        self.memory().images.remove(fingerprint);
        Ok(())
    }

    fn create_volume(&self, volume: VolumeRef, source: &Source) -> Result<(), Error> {
        let mut memory = self.memory();
        if memory.volumes.contains_key(&volume) {
            let what = volume.to_string();
            return Err(Cause::AlreadyThere { what }).volume("create", volume);
        }
        let files = memory.files(source).volume("create", volume)?;
        let snapshots = BTreeMap::new();
        memory.volumes.insert(volume, Volume { files, snapshots });
        Ok(())
    }

    fn delete_volume(&self, volume: VolumeRef) -> Result<(), Error> {
        self.memory().volumes.remove(&volume);
        Ok(())
    }

    fn volume_dir(&self, volume: VolumeRef) -> Result<PathBuf, Error> {
        let mut memory = self.memory();
        memory.volume(volume).volume("find", volume)?;
        Ok(name(volume).into())
    }

    fn root(&self, volume: VolumeRef) -> Result<RootSource, Error> {
        let mut memory = self.memory();
        memory.volume(volume).volume("find", volume)?;
        Ok(tree(name(volume)))
    }

    fn snapshot_root(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<RootSource, Error> {
        let source = Source::Copy {
            from: volume,
            snapshot: Some(snapshot),
        };
        let files = self.memory().files(&source);
        files.snapshot("find", volume, snapshot)?;
        Ok(tree(format!("{}/{snapshot}", name(volume))))
    }

    fn create_snapshot(
        &self,
        volume: VolumeRef,
        snapshot: SnapshotId,
        _state: State,
    ) -> Result<(), Error> {
        let mut memory = self.memory();
        let content = memory.volume(volume).snapshot("create", volume, snapshot)?;
        if content.snapshots.contains_key(&snapshot) {
            let what = format!("snapshot {snapshot}");
            return Err(Cause::AlreadyThere { what }).snapshot("create", volume, snapshot);
        }
        content.snapshots.insert(snapshot, content.files.clone());
        Ok(())
    }

    fn copy_snapshot(
        &self,
        volume: VolumeRef,
        snapshot: SnapshotId,
        (from, of): (VolumeRef, SnapshotId),
    ) -> Result<(), Error> {
        let source = Source::Copy {
            from,
            snapshot: Some(of),
        };
        let mut memory = self.memory();
        let files = memory.files(&source).snapshot("copy", volume, snapshot)?;
        let content = memory.volume(volume).snapshot("copy", volume, snapshot)?;
        if content.snapshots.contains_key(&snapshot) {
            let what = format!("snapshot {snapshot}");
            return Err(Cause::AlreadyThere { what }).snapshot("copy", volume, snapshot);
        }
        content.snapshots.insert(snapshot, files);
        Ok(())
    }

    fn restore_snapshot(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<(), Error> {
        let source = Source::Copy {
            from: volume,
            snapshot: Some(snapshot),
        };
        let mut memory = self.memory();
        let files = memory.files(&source);
        let files = files.snapshot("restore", volume, snapshot)?;
        memory.volume(volume).volume("restore", volume)?.files = files;
        Ok(())
    }

    fn delete_snapshot(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<(), Error> {
        if let Ok(content) = self.memory().volume(volume) {
            content.snapshots.remove(&snapshot);
        }
        Ok(())
    }

    fn volume_usage(&self, volume: VolumeRef) -> Result<u64, Error> {
        let mut memory = self.memory();
        let content = memory.volume(volume).volume("measure", volume)?;
        Ok(content.files.values().map(|text| text.len() as u64).sum())
    }

    fn list_volumes(&self) -> Result<Contents, Error> {
        let memory = self.memory();
        let volumes = memory.volumes.iter().map(|(volume, content)| {
            let snapshots = content.snapshots.keys().copied().collect();
            (*volume, VolumeContents { snapshots })
        });
        Ok(Contents {
            images: memory.images.keys().cloned().collect(),
            volumes: volumes.collect(),
        })
    }
}
