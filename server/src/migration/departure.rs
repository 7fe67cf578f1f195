//! The side that something goes from.

use std::path::PathBuf;
use std::sync::Arc;

use rlxc_storage::{Driver, Piece, SnapshotId, VolumeKind, VolumeRef};
use rlxc_sys::rootfs::RootSource;

use super::wire::RSYNC;
use super::{
    Control, Features, Header, MigrationError, Peer, Scratch, SnapshotRow, hear_header, rsync,
    streams, tell, verdict,
};
use crate::context::blocking;
use crate::error::Cause;

/// What goes to another server.
#[derive(Debug)]
pub struct Departure {
    /// The pool.
    pub driver: Arc<dyn Driver>,
    /// The volume.
    pub volume: VolumeRef,
    /// Snapshots that can go along, the oldest first.
    pub snapshots: Vec<(SnapshotRow, SnapshotId)>,
    /// The snapshot that is what there is now; the volume itself if there is none.
    pub main: Option<SnapshotId>,
    /// Where directories can be made for the moment.
    pub scratch: PathBuf,
}

impl Departure {
    /// Sends it, and hears how that went. The other server is told of a failure here.
    pub async fn go(&self, mut peer: Peer) -> Result<(), MigrationError> {
        let sent = self.carry(&mut peer).await;
        if let Err(error) = &sent
            && !matches!(error, MigrationError::Told(_))
        {
            let control = Control {
                success: false,
                message: Some(rlxc_sys::chain::chain(error).to_string()),
            };
            // Who is gone needs no word.
            drop(tell(&mut peer.control, &control).await);
        }
        peer.control.close().await;
        peer.files.close().await;
        sent
    }

    async fn carry(&self, peer: &mut Peer) -> Result<(), MigrationError> {
        let rows = self.snapshots.iter().map(|(row, _)| row);
        let offer = Header {
            fs: RSYNC,
            snapshot_names: rows.clone().map(|row| row.name.clone()).collect(),
            snapshots: rows.cloned().collect(),
            predump: Some(false),
            rsync_features: Some(Features::all()),
            volume_size: Some(0),
            streams: Some(self.can_stream().await?),
            ..Header::default()
        };
        tell(&mut peer.control, &offer).await?;
        let answer = hear_header(&mut peer.control).await?;
        if answer.fs != RSYNC {
            return Err(MigrationError::NoRsync);
        }
        let features = offer.common(&answer)?;
        let is_wanted = |row: &SnapshotRow| {
            answer.refresh != Some(true) || answer.snapshot_names.contains(&row.name)
        };
        let wanted = self.snapshots.iter().filter(|(row, _)| is_wanted(row));
        let wanted: Vec<SnapshotId> = wanted.map(|(_, id)| *id).collect();
        if answer.streams == Some(true) {
            for piece in Piece::all(&wanted, self.main) {
                streams::send(&mut peer.files, (&self.driver, self.volume), piece).await?;
            }
            return verdict(&mut peer.control).await;
        }
        let scratch = self.place().await?;
        for snapshot in wanted.into_iter().map(Some).chain([self.main]) {
            let root = self.root(snapshot).await?;
            rsync::send(&mut peer.files, (&scratch, root), features).await?;
        }
        verdict(&mut peer.control).await
    }

    async fn can_stream(&self) -> Result<bool, MigrationError> {
        let (driver, volume) = (Arc::clone(&self.driver), self.volume);
        blocking(move || driver.can_send(volume))
            .await
            .map_err(|error| MigrationError::Place(error.into()))
    }

    /// A directory with what belongs to the volume beside its root.
    async fn place(&self) -> Result<Scratch, MigrationError> {
        let (driver, parent, volume) =
            (Arc::clone(&self.driver), self.scratch.clone(), self.volume);
        blocking(move || {
            let scratch = Scratch::create(&parent, volume.kind)?;
            if volume.kind == VolumeKind::Custom {
                return Ok(scratch);
            }
            let copied = driver
                .volume_dir(volume)
                .map_err(Cause::from)
                .and_then(|dir| Ok(rlxc_storage::transfer::copy_metadata(&dir, scratch.path())?));
            copied.map(|()| scratch).map_err(MigrationError::Place)
        })
        .await
    }

    async fn root(&self, snapshot: Option<SnapshotId>) -> Result<RootSource, MigrationError> {
        let (driver, volume) = (Arc::clone(&self.driver), self.volume);
        blocking(move || match snapshot {
            Some(snapshot) => driver.snapshot_root(volume, snapshot),
            None => driver.root(volume),
        })
        .await
        .map_err(|error| MigrationError::Place(error.into()))
    }
}
