//! Image files on their way into the store: in a scratch directory of their own until they are whole.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rlxc_storage::image::{Fingerprinter, ImageFiles};
use rlxc_sys::file::{self, FileError, Streamed};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::context::{App, blocking};
use crate::error::{Error, Result};

/// How many chunks of an upload may wait for the disk.
const CHUNKS_AHEAD: usize = 16;

/// A directory that goes with its owner; what a crash leaves of it is removed at the next start.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// A new one.
    pub(super) fn create(app: &App) -> Result<Self> {
        let path = app
            .places
            .scratch()
            .join(format!("image-{}", uuid::Uuid::new_v4()));
        file::create_dir(&path, 0o700)
            .map_err(|error| Error::failed("make room for an image", error))?;
        Ok(Self { path })
    }

    /// One that somebody else made.
    pub(super) fn adopt(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "files of an image stay behind until the next start");
        }
    }
}

/// An image that is here as a whole, but not in the store.
#[derive(Debug)]
pub struct Incoming {
    #[expect(dead_code, reason = "it is held: the files go with it")]
    pub(super) scratch: Scratch,
    pub(super) files: ImageFiles,
    pub(super) fingerprint: String,
    pub(super) size: u64,
}

impl Incoming {
    /// The SHA-256 of the file or files, in hexadecimal.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Files that something on this host made in a scratch directory.
    pub(super) async fn measure(scratch: Scratch, files: ImageFiles) -> Result<Self> {
        blocking(move || {
            let (fingerprint, size) = rlxc_storage::image::fingerprint(&files)
                .map_err(|error| Error::failed("compute the fingerprint of an image", error))?;
            Ok(Self {
                scratch,
                files,
                fingerprint,
                size,
            })
        })
        .await
    }
}

enum Piece {
    Data(Bytes),
    NextFile,
}

/// An upload under way: a thread writes and hashes what arrives.
#[derive(Debug)]
pub(super) struct Upload {
    pieces: mpsc::Sender<Piece>,
    writer: JoinHandle<Result<(String, u64), FileError>>,
    scratch: Scratch,
    split: bool,
}

impl Upload {
    /// Begins with the unified tarball, or the metadata of a split image.
    pub(super) fn begin(app: &App) -> Result<Self> {
        let scratch = Scratch::create(app)?;
        let paths = [scratch.path.join("metadata"), scratch.path.join("rootfs")];
        let (pieces, queue) = mpsc::channel(CHUNKS_AHEAD);
        let writer = tokio::task::spawn_blocking(move || write(&paths, queue));
        Ok(Self {
            pieces,
            writer,
            scratch,
            split: false,
        })
    }

    /// Takes what arrived; waits for the disk.
    pub(super) async fn write(&mut self, data: Bytes) -> Result<()> {
        self.send(Piece::Data(data)).await
    }

    /// What follows is the root of a split image.
    pub(super) async fn begin_root(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.split, true) {
            return Err(Error::Invalid(
                "the upload has more than one part `rootfs`".to_owned(),
            ));
        }
        self.send(Piece::NextFile).await
    }

    async fn send(&mut self, piece: Piece) -> Result<()> {
        if self.pieces.send(piece).await.is_ok() {
            return Ok(());
        }
        // The writer ended, which it only does for an error.
        match (&mut self.writer).await {
            Ok(Err(error)) => Err(Error::failed("store an upload", error)),
            Ok(Ok(_)) => Err(Error::Cancelled),
            Err(error) => Err(Error::internal(error)),
        }
    }

    /// Everything arrived.
    pub(super) async fn finish(self) -> Result<Incoming> {
        drop(self.pieces);
        let written = self.writer.await.map_err(Error::internal)?;
        let (fingerprint, size) =
            written.map_err(|error| Error::failed("store an upload", error))?;
        let path = self.scratch.path();
        let files = ImageFiles {
            meta: path.join("metadata"),
            rootfs: self.split.then(|| path.join("rootfs")),
        };
        Ok(Incoming {
            scratch: self.scratch,
            files,
            fingerprint,
            size,
        })
    }
}

fn write(
    paths: &[PathBuf; 2],
    mut queue: mpsc::Receiver<Piece>,
) -> Result<(String, u64), FileError> {
    let create = |path: &Path| {
        File::create_new(path)
            .map(Streamed::new)
            .map_err(|error| FileError::new("create", path, error))
    };
    let mut path = &paths[0];
    let mut out = Fingerprinter::new(create(path)?);
    while let Some(piece) = queue.blocking_recv() {
        match piece {
            Piece::Data(data) => out
                .write_all(&data)
                .map_err(|error| FileError::new("write", path, error))?,
            Piece::NextFile => {
                path = &paths[1];
                *out.get_mut() = create(path)?;
            }
        }
    }
    let (fingerprint, size, _) = out.finish();
    Ok((fingerprint, size))
}
