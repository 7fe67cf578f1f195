//! Snapshots of instances that run: the upper can't be exchanged under a mount, so what has changed is copied into a layer
//! of its own. Most of it before the instance is frozen, see [`crate::copy::copy_early`].

use std::os::fd::OwnedFd;

use rlxc_sys::path;

use super::OverlayDriver;
use super::operations::{Pin, find_chain};
use super::record::LayerId;
use crate::copy::{Attributes, Early, copy_early, copy_tree, is_worth_it};
use crate::error::Cause;
use crate::volume::{SnapshotId, VolumeRef};

/// The upper of a running instance, and the layer that is to be a copy of it.
struct CopyAhead<'a> {
    pin: Pin<'a>,
    from: OwnedFd,
    to: OwnedFd,
}

impl OverlayDriver {
    /// Copies the upper of a running, frozen instance into a layer that its snapshot stands on.
    pub(super) fn copy_upper(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<(), Cause> {
        let (ahead, early) = match self.take_ahead(volume, snapshot)? {
            Some((ahead, early)) => (ahead, Some(early)),
            None => (self.plan_copy(volume, snapshot)?, None),
        };
        let CopyAhead { pin, from, to } = ahead;
        match early {
            Some(early) => early.finish(&from, &to)?,
            None => copy_tree(&from, &to, Attributes::Layer)?,
        }
        pin.replace(volume)
    }

    /// The record with the snapshot on a layer of its own, which is made and empty.
    fn plan_copy(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<CopyAhead<'_>, Cause> {
        self.refuse_taken(volume, snapshot)?;
        let mut layer = LayerId(0);
        let pin = self.plan(volume, |record, table| {
            layer = table.fresh_layer();
            let chain = record.chain.with(layer);
            record.snapshots.insert(snapshot, chain);
            Ok(())
        })?;
        self.layers().create_upper(layer, None)?;
        let from = path::open_dir(&self.layers().tree(pin.record.upper))?;
        let to = path::open_dir(&self.layers().tree(layer))?;
        Ok(CopyAhead { pin, from, to })
    }

    /// Copies what is old enough of the upper while the instance runs on.
    pub(super) fn copy_ahead(&self, volume: VolumeRef, snapshot: SnapshotId) -> Result<(), Cause> {
        let upper = self.record(volume)?.upper;
        if !is_worth_it(path::open_dir(&self.layers().tree(upper))?)? {
            return Ok(());
        }
        let CopyAhead { mut pin, from, to } = self.plan_copy(volume, snapshot)?;
        self.ahead().insert((volume, snapshot), None);
        let copied = copy_early(&from, &to, Attributes::Layer);
        // Whoever wanted it may have given up meanwhile: then it goes with its pin.
        let mut ahead = self.ahead();
        if let Some(wanted) = ahead.get_mut(&(volume, snapshot)) {
            match (copied, pin.number.take()) {
                (Ok(early), Some(number)) => {
                    *wanted = Some((number, pin.record.clone(), early));
                }
                (copied, number) => {
                    pin.number = number;
                    ahead.remove(&(volume, snapshot));
                    drop(ahead);
                    copied?;
                }
            }
        }
        Ok(())
    }

    fn take_ahead(
        &self,
        volume: VolumeRef,
        snapshot: SnapshotId,
    ) -> Result<Option<(CopyAhead<'_>, Early)>, Cause> {
        let Some((number, record, early)) = self.ahead().remove(&(volume, snapshot)).flatten()
        else {
            return Ok(None);
        };
        let pin = Pin {
            driver: self,
            number: Some(number),
            record,
        };
        let chain = find_chain(&pin.record, snapshot)?;
        let layer = chain.layers.last().copied().unwrap_or(pin.record.upper);
        let from = path::open_dir(&self.layers().tree(pin.record.upper))?;
        let to = path::open_dir(&self.layers().tree(layer))?;
        Ok(Some((CopyAhead { pin, from, to }, early)))
    }

    /// Drops what was copied ahead of a snapshot that was not taken; of all of the volume without one.
    pub(super) fn drop_ahead(&self, volume: VolumeRef, snapshot: Option<SnapshotId>) {
        let matches = |key: &(VolumeRef, SnapshotId)| {
            key.0 == volume && snapshot.is_none_or(|snapshot| key.1 == snapshot)
        };
        let mut dropped = Vec::new();
        self.ahead().retain(|key, ahead| {
            let drops = matches(key);
            let number = ahead.as_ref().map(|(number, _, _)| *number);
            dropped.extend(number.filter(|_| drops));
            !drops
        });
        for number in dropped {
            self.unpin(number);
        }
    }
}
