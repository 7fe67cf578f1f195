//! A root file system from an older one that is here and a delta. It saves traffic and nothing else: whatever goes wrong, the whole
//! file can be fetched.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rlxc_storage::image::apply_delta;
use rlxc_sys::file::Streamed;
use rlxc_sys::interrupt;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::{PartialFiles, SimplestreamsError};
use crate::context::blocking;
use rlxc_api::simplestreams::catalogue::RemoteFile;

/// A delta on the server, and what it stands on.
#[derive(Debug)]
pub struct Shortcut {
    /// The delta.
    pub delta: RemoteFile,
    /// The root file system of the older image; open, it is there whoever deletes that image meanwhile.
    pub base: File,
}

/// A root file system that is about to be rebuilt.
pub(super) struct Rebuild<'a> {
    pub(super) shortcut: &'a Shortcut,
    /// The delta, which is here.
    pub(super) delta: PathBuf,
    /// What it must make.
    pub(super) file: &'a RemoteFile,
    pub(super) target: PathBuf,
}

impl Rebuild<'_> {
    /// `before` has hashed what precedes the root in the image's fingerprint; returned with the root added. Of a failure nothing is
    /// left.
    pub(super) async fn run(
        &self,
        before: Sha256,
        cancel: CancellationToken,
    ) -> Result<Sha256, SimplestreamsError> {
        let mut made = PartialFiles(vec![self.target.clone()]);
        let sums = self.apply(before, cancel).await?;
        let hash = hex::encode(sums.own.finalize());
        if hash != self.file.sha256 {
            return Err(SimplestreamsError::Corrupt {
                file: self.shortcut.delta.path.clone(),
                reason: format!(
                    "what it makes has the hash {hash} instead of {}",
                    self.file.sha256
                ),
            });
        }
        made.0.clear();
        Ok(sums.combined)
    }

    async fn apply(
        &self,
        combined: Sha256,
        cancel: CancellationToken,
    ) -> Result<Sums, SimplestreamsError> {
        let opened = |path: &Path, file: io::Result<File>| {
            file.map_err(|source| SimplestreamsError::Write {
                path: path.to_owned(),
                source,
            })
        };
        let delta = opened(&self.delta, File::open(&self.delta))?;
        let base = opened(&self.target, self.shortcut.base.try_clone())?;
        // Made before the thread begins: in a directory whose owner has gone nothing may appear.
        let target = opened(&self.target, File::create_new(&self.target))?;
        let size = self.file.size;
        let mut sums = Sums {
            out: Streamed::new(target),
            own: Sha256::new(),
            combined,
        };
        let applied = blocking(move || {
            let work = || apply_delta(&base, delta, &mut sums, size);
            interrupt::scope(move || cancel.is_cancelled(), work).map(|()| sums)
        });
        applied.await.map_err(|source| SimplestreamsError::Delta {
            file: self.shortcut.delta.path.clone(),
            source,
        })
    }
}

/// Hashes what is written, as a file of its own and as a part of the image.
struct Sums {
    out: Streamed,
    own: Sha256,
    combined: Sha256,
}

impl Write for Sums {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.own.update(&bytes[..count]);
        self.combined.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
