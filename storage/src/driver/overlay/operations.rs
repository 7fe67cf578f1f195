//! What changes records. Each has one shape: under the lock, think up the new record and pin what it names;
//! without the lock, make the directories and save; under the lock again, put the record in the table. What is
//! made before a failure is named by nobody and goes with the pin.

use std::collections::BTreeSet;

use super::OverlayDriver;
use super::layers::Table;
use super::merge::{Below, merge_layers};
use super::record::{Chain, LayerId, Record};
use super::settle::Waiting;
use crate::driver::projects;
use crate::driver::shared::{already_there, copy_metadata};
use crate::driver::{Driver, Source};
use crate::error::Cause;
use crate::pool::{PoolDir, disk_usage};
use crate::volume::{SnapshotId, VolumeRef};

/// Every so many layers above the image are merged into one. Those that can't be are tried again as much later.
const MERGE_EVERY: usize = 32;

/// What overlay can stand on; `OVL_MAX_STACK` in fs/overlayfs.
const LAYER_LIMIT: usize = 480;

/// A record that is about to be: while it lives, what the record names stays; afterwards what nobody needs goes.
pub(super) struct Pin<'a> {
    pub(super) driver: &'a OverlayDriver,
    /// `None` once somebody else sees to it.
    pub(super) number: Option<u64>,
    pub(super) record: Record,
}

impl Pin<'_> {
    /// Makes it the record of `volume`, on disk and in the table. The one moment at which anything changes.
    pub(super) fn replace(self, volume: VolumeRef) -> Result<(), Cause> {
        let dir = self.driver.pool.volume(volume);
        let mut waiting = self.driver.settler.waiting();
        if !waiting.contains_key(&volume) {
            Record::keep_before(&dir)?;
        }
        self.record.save(&dir)?;
        self.install(volume, &mut waiting);
        Ok(())
    }

    /// Puts it in the table. What the old one names stays until the new one is on disk.
    fn install(&self, volume: VolumeRef, waiting: &mut Waiting) {
        let mut table = self.driver.table();
        let old = table.records.insert(volume, self.record.clone());
        let pin = old.map(|old| table.pin(old));
        drop(table);
        self.driver.settler.changed(waiting, volume, pin);
    }
}

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.driver.unpin(number);
        }
    }
}

impl OverlayDriver {
    fn pin(&self, table: &mut Table, record: Record) -> Pin<'_> {
        let number = Some(table.pin(record.clone()));
        Pin {
            driver: self,
            number,
            record,
        }
    }

    pub(super) fn unpin(&self, number: u64) {
        let unneeded = self.table().unpin(number);
        self.layers().discard(unneeded);
    }

    /// Plans a change of a record that is there: `change` gets it and fresh layers.
    pub(super) fn plan(
        &self,
        volume: VolumeRef,
        change: impl FnOnce(&mut Record, &mut Table) -> Result<(), Cause>,
    ) -> Result<Pin<'_>, Cause> {
        let mut record = self.record(volume)?;
        let mut table = self.table();
        change(&mut record, &mut table)?;
        Ok(self.pin(&mut table, record))
    }

    pub(super) fn chain(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<Chain, Cause> {
        find_chain(&self.record(volume)?, snapshot)
    }

    pub(super) fn try_create_volume(
        &self,
        volume: VolumeRef,
        source: &Source,
    ) -> Result<(), Cause> {
        let path = self.pool.volume(volume);
        if path.exists() {
            return Err(already_there(&path));
        }
        let (pin, metadata) = self.plan_volume(source)?;
        let scratch = self.pool.trash.scratch()?;
        self.create_upper(&pin.record)?;
        if let Some(metadata) = metadata {
            copy_metadata(&metadata, scratch.path())?;
        }
        Record::mark_new(scratch.path())?;
        pin.record.save(scratch.path())?;
        let mut waiting = self.settler.waiting();
        if !PoolDir::place(scratch, &path)? {
            return Err(already_there(&path));
        }
        pin.install(volume, &mut waiting);
        Ok(())
    }

    /// The record of a new volume, and where its metadata is copied from.
    fn plan_volume(&self, source: &Source) -> Result<(Pin<'_>, Option<std::path::PathBuf>), Cause> {
        if let Source::Copy {
            from,
            snapshot: None,
        } = source
        {
            self.share_upper(*from)?;
        }
        let mut table = self.table();
        let (chain, metadata) = match source {
            Source::Empty => (Chain::default(), None),
            Source::Image(fingerprint) => {
                let dir = self.image_dir(fingerprint).ok_or_else(|| Cause::NotFound {
                    what: format!("the image `{fingerprint}`"),
                })?;
                let chain = Chain {
                    image: Some(fingerprint.clone()),
                    layers: Vec::new(),
                };
                (chain, Some(dir))
            }
            Source::Copy { from, snapshot } => {
                let dir = self.pool.volume(*from);
                let record = table.records.get(from).ok_or_else(|| Cause::NotFound {
                    what: format!("`{}`", dir.display()),
                })?;
                let chain = match snapshot {
                    Some(snapshot) => find_chain(record, *snapshot)?,
                    None => record.chain.clone(),
                };
                (chain, Some(dir))
            }
        };
        let upper = table.fresh_layer();
        let pin = self.pin(&mut table, Record::new(chain, upper));
        Ok((pin, metadata))
    }

    /// Freezes the upper of a stopped volume, so that another can stand on it.
    fn share_upper(&self, volume: VolumeRef) -> Result<(), Cause> {
        self.freeze(volume, |_| {})
    }

    pub(super) fn freeze_upper(
        &self,
        volume: VolumeRef,
        snapshot: SnapshotId,
    ) -> Result<(), Cause> {
        self.refuse_taken(volume, snapshot)?;
        self.freeze(volume, |record| {
            record.snapshots.insert(snapshot, record.chain.clone());
        })
    }

    /// The upper becomes the top of the chain, a new one takes its place; `then` sees the record before it is saved.
    fn freeze(&self, volume: VolumeRef, then: impl FnOnce(&mut Record)) -> Result<(), Cause> {
        let deep = (self.record(volume)?.chain.layers.len() + 1).is_multiple_of(MERGE_EVERY);
        let merged = if deep { self.merge(volume)? } else { None };
        let pin = self.plan(volume, |record, table| {
            record.chain = match merged.as_ref() {
                Some(merged) => merged.record.chain.clone(),
                None => record.chain.with(record.upper),
            };
            if record.chain.layers.len() > LAYER_LIMIT {
                return Err(Cause::TooDeep {
                    layers: record.chain.layers.len(),
                    limit: LAYER_LIMIT,
                });
            }
            record.upper = table.fresh_layer();
            then(record);
            Ok(())
        })?;
        self.create_upper(&pin.record)?;
        self.inherit_quota(volume, &pin.record)?;
        pin.replace(volume)
    }

    /// The new upper of a volume may take what the old one might.
    fn inherit_quota(&self, volume: VolumeRef, new: &Record) -> Result<(), Cause> {
        if !self.pool.has_projects {
            return Ok(());
        }
        let old = self.layers().dir(self.record(volume)?.upper);
        projects::inherit(&old, &self.layers().dir(new.upper))
    }

    /// One layer that shows what the chain and the upper of a stopped volume show; pinned, in a record of its own.
    fn merge(&self, volume: VolumeRef) -> Result<Option<Pin<'_>>, Cause> {
        let old = self.record(volume)?;
        let pin = self.plan(volume, |record, table| {
            record.upper = table.fresh_layer();
            record.chain.layers = vec![record.upper];
            Ok(())
        })?;
        let layers = old.chain.layers.iter().copied().chain([old.upper]);
        let trees: Vec<_> = layers.map(|layer| self.layers().tree(layer)).collect();
        self.layers().create_merged(pin.record.upper)?;
        let below = match old.chain.image {
            Some(_) => Below::Image,
            None => Below::Nothing,
        };
        let target = self.layers().tree(pin.record.upper);
        let complete = merge_layers(&trees, &target, below)?;
        Ok(complete.then_some(pin))
    }

    /// The other's layers are shared: nothing is copied.
    pub(super) fn try_copy_snapshot(
        &self,
        volume: VolumeRef,
        snapshot: SnapshotId,
        (from, of): (VolumeRef, SnapshotId),
    ) -> Result<(), Cause> {
        self.refuse_taken(volume, snapshot)?;
        let pin = self.plan(volume, |record, table| {
            // Under the lock, so that the layers can't go before they are pinned.
            let source = table.records.get(&from).ok_or_else(|| Cause::NotFound {
                what: from.to_string(),
            })?;
            record.snapshots.insert(snapshot, find_chain(source, of)?);
            Ok(())
        })?;
        pin.replace(volume)
    }

    pub(super) fn try_restore(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<(), Cause> {
        let pin = self.plan(volume, |record, table| {
            record.chain = find_chain(record, snapshot)?;
            record.upper = table.fresh_layer();
            Ok(())
        })?;
        self.create_upper(&pin.record)?;
        self.inherit_quota(volume, &pin.record)?;
        pin.replace(volume)
    }

    pub(super) fn try_set_quota(&self, volume: VolumeRef, most: Option<u64>) -> Result<(), Cause> {
        let upper = self.record(volume)?.upper;
        projects::limit(&self.layers().dir(upper), most)
    }

    /// Bytes of all layers that the volume and its snapshots have.
    pub(super) fn try_usage(&self, volume: VolumeRef) -> Result<u64, Cause> {
        let mut bytes = 0;
        for layer in self.record(volume)?.layers().collect::<BTreeSet<_>>() {
            bytes += projects::usage(&self.layers().dir(layer)).map_or_else(
                || disk_usage(vec![self.layers().tree(layer)]),
                |usage| Ok(usage.space),
            )?;
        }
        Ok(bytes)
    }

    pub(super) fn try_delete_snapshot(
        &self,
        volume: VolumeRef,
        snapshot: SnapshotId,
    ) -> Result<(), Cause> {
        self.drop_ahead(volume, Some(snapshot));
        match self.record(volume) {
            Ok(record) if record.snapshots.contains_key(&snapshot) => {}
            Ok(_) | Err(Cause::NotFound { .. }) => return Ok(()),
            Err(other) => return Err(other),
        }
        let pin = self.plan(volume, |record, _| {
            record.snapshots.remove(&snapshot);
            Ok(())
        })?;
        pin.replace(volume)
    }

    pub(super) fn try_delete_volume(&self, volume: VolumeRef) -> Result<(), Cause> {
        self.drop_ahead(volume, None);
        self.pool.trash.take(&self.pool.volume(volume))?;
        let mut table = self.table();
        let old = table.records.remove(&volume);
        let unneeded = table.unneeded(old.iter().flat_map(Record::layers).collect());
        let chains = old.iter().flat_map(Record::chains);
        let images: BTreeSet<_> = chains.filter_map(|chain| chain.image.clone()).collect();
        drop(table);
        self.layers().discard(unneeded);
        for pin in self.settler.forget(volume) {
            self.unpin(pin);
        }
        for image in images {
            if self.image_dir(&image).is_none() {
                self.try_delete_image(&image)?;
            }
        }
        Ok(())
    }

    fn create_upper(&self, record: &Record) -> Result<(), Cause> {
        let below = self.layers().trees(&record.chain);
        let like = below.first().map(std::path::PathBuf::as_path);
        Ok(self.layers().create_upper(record.upper, like)?)
    }

    /// The layer that was made for a snapshot, where that was copied: what is the volume's own was there before.
    pub(super) fn copied_layer(
        &self,
        volume: VolumeRef,
        snapshot: SnapshotId,
    ) -> Result<Option<LayerId>, Cause> {
        let record = self.record(volume)?;
        let chain = find_chain(&record, snapshot)?;
        let own = |layer: &LayerId| record.chain.layers.contains(layer);
        Ok(chain.layers.last().copied().filter(|layer| !own(layer)))
    }

    pub(super) fn refuse_taken(
        &self,
        volume: VolumeRef,
        snapshot: SnapshotId,
    ) -> Result<(), Cause> {
        if self.record(volume)?.snapshots.contains_key(&snapshot) {
            return Err(Cause::AlreadyThere {
                what: format!("snapshot {snapshot}"),
            });
        }
        Ok(())
    }
}

pub(super) fn find_chain(record: &Record, snapshot: SnapshotId) -> Result<Chain, Cause> {
    let chain = record.snapshots.get(&snapshot).cloned();
    chain.ok_or_else(|| Cause::NotFound {
        what: format!("snapshot {snapshot}"),
    })
}
