//! Parts of a backup in the format of a driver: a stream for each snapshot, and one for what the instance is, each but the
//! first with what is new in it only.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

use super::index::Layout;
use crate::driver::{Driver, Piece};
use crate::image::ImageError;
use crate::image::pack::Packing;
use crate::volume::{SnapshotId, VolumeRef};

/// A volume whose driver makes streams.
#[derive(Debug, Clone)]
pub struct Streams {
    /// The driver.
    pub driver: Arc<dyn Driver>,
    /// The volume.
    pub volume: VolumeRef,
    /// What it is now: nobody may change it while it is sent, twice.
    pub main: SnapshotId,
    /// Its snapshots by name, in the order of the index.
    pub snapshots: Vec<(String, SnapshotId)>,
}

impl Streams {
    pub(super) fn pack<W: Write>(
        &self,
        packing: &mut Packing<'_, W>,
        layout: Layout,
    ) -> Result<(), ImageError> {
        let ids: Vec<_> = self.snapshots.iter().map(|(_, id)| *id).collect();
        let snapshots = self.snapshots.iter();
        let names = snapshots
            .map(|(name, _)| layout.snapshots().join(format!("{name}.bin")))
            .chain([layout.main().with_extension("bin")]);
        for (piece, name) in Piece::all(&ids, Some(self.main)).into_iter().zip(names) {
            // A tarball says how large a file is before the file: the first time, it is only counted.
            let count = |stream: &mut dyn Read| {
                std::io::copy(stream, &mut std::io::sink())
                    .map_err(|source| ImageError::Write { source })
            };
            let size = self.sent(piece, count)??;
            self.sent(piece, |stream| packing.stream(&name, stream, size))??;
        }
        Ok(())
    }

    /// Lets somebody read the stream of a piece.
    fn sent<T>(
        &self,
        piece: Piece,
        read: impl FnOnce(&mut dyn Read) -> T,
    ) -> Result<T, ImageError> {
        let (mut reader, writer) =
            std::io::pipe().map_err(|source| ImageError::Write { source })?;
        let (value, sent) = std::thread::scope(|scope| {
            let send = move || self.driver.send(self.volume, piece, writer.as_fd());
            let sending = scope.spawn(send);
            let value = read(&mut reader);
            // Whoever sends learns that nobody reads any more.
            drop(reader);
            (value, sending.join())
        });
        sent.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            .map_err(|error| ImageError::Taker(error.into()))?;
        Ok(value)
    }
}
