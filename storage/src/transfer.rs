//! Volumes that go from one pool to another, whatever the drivers of both.

use std::os::fd::AsFd;
use std::path::Path;

use rlxc_sys::file::FileError;
use rlxc_sys::path;

use crate::copy::{CopyError, sync_tree};
use crate::driver::{Driver, Piece, Source, shared};
use crate::error::{Cause, Error};
use crate::root::{self, RootError};
use crate::volume::{SnapshotId, VolumeRef};

/// Why content did not get from one pool to another.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// A driver.
    #[error(transparent)]
    Driver(#[from] Error),
    /// Mounting one of the two.
    #[error(transparent)]
    Root(#[from] RootError),
    /// Copying.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// A file of ours.
    #[error(transparent)]
    File(#[from] FileError),
    /// A pipe between two threads.
    #[error("make a pipe")]
    Pipe(#[source] std::io::Error),
    /// What belongs to the volume beside its root.
    #[error("copy metadata and templates")]
    Metadata(#[source] Cause),
}

/// What a new volume begins with that will get the content of another pool's: the image that both stand on, if the
/// pool has it, so that only the difference is copied.
pub fn base(driver: &dyn Driver, image: Option<&str>) -> Source {
    match image {
        Some(image) if driver.has_image(image) => Source::Image(image.to_owned()),
        _ => Source::Empty,
    }
}

/// Lets the volume `to`, which is not in use, hold what a volume of another pool holds, or what a snapshot of it does.
/// On disk when it returns.
pub fn replace(
    (from, source, snapshot): (&dyn Driver, VolumeRef, Option<SnapshotId>),
    (to, target): (&dyn Driver, VolumeRef),
) -> Result<(), TransferError> {
    let source_root = match snapshot {
        Some(snapshot) => from.snapshot_root(source, snapshot)?,
        None => from.root(source)?,
    };
    let source_root = root::open(&source_root)?;
    let target_root = root::open(&to.root(target)?)?;
    sync_tree(&source_root, &target_root)?;
    sync(&target_root)?;
    adopt(to, target, &from.volume_dir(source)?)
}

/// Makes the volume `to`, with snapshots, of a volume of another pool, as streams: `pieces` of the one and what they are of
/// the other. On disk when it returns.
pub fn stream(
    (from, source): (&dyn Driver, VolumeRef),
    (to, target): (&dyn Driver, VolumeRef),
    pieces: &[(Piece, Piece)],
) -> Result<(), TransferError> {
    for (of, piece) in pieces {
        let (mut reader, writer) = std::io::pipe().map_err(TransferError::Pipe)?;
        let (sent, received) = std::thread::scope(|scope| {
            let sending = scope.spawn(move || from.send(source, *of, writer.as_fd()));
            let received = to.receive(target, *piece, &mut reader);
            // Whoever sends learns that nobody reads any more.
            drop(reader);
            let sent = sending.join();
            (
                sent.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                received,
            )
        });
        // If the end that receives has given up, the other one only says that the pipe is broken.
        received?;
        sent?;
    }
    Ok(())
}

/// Waits until what was put into a volume is on disk.
pub fn settle(to: &dyn Driver, target: VolumeRef) -> Result<(), TransferError> {
    sync(root::open(&to.root(target)?)?).map_err(Into::into)
}

/// Lets a volume have the metadata and templates of a directory, in place of its own.
pub fn adopt(to: &dyn Driver, target: VolumeRef, from: &Path) -> Result<(), TransferError> {
    let target = to.volume_dir(target)?;
    let dir = path::open_dir(&target)?;
    for name in ["metadata.yaml", "templates"] {
        path::remove_tree(&dir, name.as_ref())?;
    }
    copy_metadata(from, &target)?;
    sync(&dir)?;
    Ok(())
}

/// Copies metadata and templates of a volume's directory into another.
pub fn copy_metadata(from: &Path, to: &Path) -> Result<(), TransferError> {
    shared::copy_metadata(from, to).map_err(TransferError::Metadata)
}

/// Everything written to a mounted root to disk.
pub fn sync(root: impl AsFd) -> Result<(), FileError> {
    rustix::fs::syncfs(root).map_err(|errno| FileError::new("sync", "/", errno))
}
