//! The layers of a pool on disk and in memory: numbers, who needs which, and the directories themselves.
//!
//! ```text
//! layers/<n>/fs     what overlay stacks
//! layers/<n>/work   overlay's scratch directory while the layer takes writes
//! layers/<n>/view*  an upper that stays empty, for looking at a snapshot
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rlxc_sys::file::{self, FileError};
use rlxc_sys::path;
use rlxc_sys::rootfs::RootSource;

use super::record::{Chain, LayerId, Record};
use crate::copy::copy_directory_attributes;
use crate::driver::projects;
use crate::pool::PoolDir;
use crate::volume::VolumeRef;

/// All records in memory, and those that are about to be written: what either names must not go.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) records: BTreeMap<VolumeRef, Record>,
    pins: BTreeMap<u64, Record>,
    next_layer: u64,
    next_pin: u64,
}

impl Table {
    pub(crate) fn new(records: BTreeMap<VolumeRef, Record>, layers_on_disk: &[LayerId]) -> Self {
        let named = records.values().flat_map(Record::layers);
        let last = named.chain(layers_on_disk.iter().copied()).max();
        Self {
            records,
            next_layer: last.map_or(1, |layer| layer.0 + 1),
            ..Self::default()
        }
    }

    pub(crate) fn fresh_layer(&mut self) -> LayerId {
        self.next_layer += 1;
        LayerId(self.next_layer - 1)
    }

    /// Keeps what `record` names until [`Table::unpin`].
    pub(crate) fn pin(&mut self, record: Record) -> u64 {
        self.next_pin += 1;
        self.pins.insert(self.next_pin, record);
        self.next_pin
    }

    /// Layers that the pinned record named and nobody needs any more.
    pub(crate) fn unpin(&mut self, pin: u64) -> BTreeSet<LayerId> {
        let released = self.pins.remove(&pin);
        self.unneeded(released.iter().flat_map(Record::layers).collect())
    }

    /// Those of `layers` that no record and no pin names.
    pub(crate) fn unneeded(&self, mut layers: BTreeSet<LayerId>) -> BTreeSet<LayerId> {
        for needed in self.all().flat_map(Record::layers) {
            layers.remove(&needed);
        }
        layers
    }

    pub(crate) fn needs_image(&self, fingerprint: &str) -> bool {
        self.all().any(|record| record.stands_on_image(fingerprint))
    }

    fn all(&self) -> impl Iterator<Item = &Record> {
        self.records.values().chain(self.pins.values())
    }
}

/// Paths of layers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layers<'a>(pub(crate) &'a PoolDir);

impl Layers<'_> {
    pub(crate) fn dir(self, layer: LayerId) -> PathBuf {
        self.0.source.join("layers").join(layer.0.to_string())
    }

    pub(crate) fn tree(self, layer: LayerId) -> PathBuf {
        self.dir(layer).join("fs")
    }

    pub(crate) fn list(self) -> Result<Vec<LayerId>, FileError> {
        let names = file::list_dir(&self.0.source.join("layers"))?;
        Ok(names
            .iter()
            .filter_map(|name| Some(LayerId(name.to_str()?.parse().ok()?)))
            .collect())
    }

    /// The trees of a chain, the uppermost first, as overlay wants them.
    pub(crate) fn trees(self, chain: &Chain) -> Vec<PathBuf> {
        let layers = chain.layers.iter().rev().map(|layer| self.tree(*layer));
        let image = chain.image.iter();
        layers
            .chain(image.map(|fingerprint| self.0.image(fingerprint).join("rootfs")))
            .collect()
    }

    /// Makes the layer that takes the writes above `like`, whose attributes its root gets: it is the root that
    /// the container sees.
    pub(crate) fn create_upper(self, layer: LayerId, like: Option<&Path>) -> Result<(), FileError> {
        file::create_dir(&self.dir(layer), 0o700)?;
        self.0.begin_project(&self.dir(layer))?;
        self.create_work(layer)?;
        create_like(&self.tree(layer), like)
    }

    /// Makes a layer that shares its files with others. It is no project: links from one project to another are refused.
    pub(crate) fn create_merged(self, layer: LayerId) -> Result<(), FileError> {
        file::create_dir(&self.dir(layer), 0o700)?;
        create_like(&self.tree(layer), None)
    }

    fn create_work(self, layer: LayerId) -> Result<(), FileError> {
        file::ensure_dir(&self.dir(layer).join("work"), 0o700)
    }

    /// Makes an upper that a power loss took the name of: nothing in it had been made durable.
    pub(crate) fn ensure_upper(self, record: &Record) -> Result<(), FileError> {
        file::ensure_dir(&self.dir(record.upper), 0o700)?;
        self.create_work(record.upper)?;
        let tree = self.tree(record.upper);
        if tree.is_dir() {
            return Ok(());
        }
        let below = self.trees(&record.chain);
        create_like(&tree, below.first().map(PathBuf::as_path))
    }

    pub(crate) fn root(self, record: &Record) -> RootSource {
        let lower = self.trees(&record.chain);
        let upper = self.tree(record.upper);
        if lower.is_empty() {
            return RootSource::Tree { path: upper };
        }
        let work = self.dir(record.upper).join("work");
        RootSource::Overlay { lower, upper, work }
    }

    /// A root to look at what a chain shows. Overlays that look at one chain share an upper, which stays empty.
    pub(crate) fn view(self, chain: &Chain) -> Result<RootSource, FileError> {
        let mut lower = self.trees(chain);
        let (Some(top), true) = (chain.layers.last(), lower.len() > 1) else {
            let path = lower.pop().unwrap_or_default();
            return Ok(RootSource::Tree { path });
        };
        let (upper, work) = (
            self.dir(*top).join("view"),
            self.dir(*top).join("view-work"),
        );
        file::ensure_dir(&work, 0o700)?;
        if !upper.is_dir() {
            create_like(&upper, lower.first().map(PathBuf::as_path))?;
        }
        Ok(RootSource::Overlay { lower, upper, work })
    }

    /// Layers that nobody needs go, off the caller's path. What can't be moved away is found at the next start.
    pub(crate) fn discard(self, layers: impl IntoIterator<Item = LayerId>) {
        for layer in layers {
            if self.0.has_projects {
                // Its number becomes free.
                drop(projects::limit(&self.dir(layer), None));
            }
            if let Err(error) = self.0.trash.take(&self.dir(layer)) {
                let error = rlxc_sys::chain::chain(&error).to_string();
                tracing::warn!(layer = layer.0, error, "layer stays until the next start");
            }
        }
    }
}

fn create_like(path: &Path, like: Option<&Path>) -> Result<(), FileError> {
    file::create_dir(path, 0o755)?;
    let Some(like) = like else { return Ok(()) };
    copy_directory_attributes(path::open_dir(like)?, path::open_dir(path)?)
}
