//! The files of one image on their way here: the metadata, then the root file system, whole or by a delta.

use std::path::Path;

use rlxc_api::simplestreams::catalogue::RemoteFile;
use rlxc_sys::chain::chain;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::download::Download;
use super::shortcut::Rebuild;
use super::{DownloadProgress, ImageServer, Order, PartialFiles, SimplestreamsError};

pub(super) const METADATA: &str = "metadata";
pub(super) const ROOTFS: &str = "rootfs";
const DELTA: &str = "delta";

/// An order under way.
pub(super) struct Transfer<'a, P> {
    pub(super) server: &'a ImageServer,
    pub(super) order: &'a Order<'a>,
    pub(super) progress: P,
}

/// What progress is told of.
#[derive(Debug, Clone, Copy)]
struct Part {
    name: &'static str,
    /// Bytes before it.
    offset: u64,
    /// Of all that is fetched.
    total: u64,
}

impl<P: Fn(DownloadProgress) + Send + Sync> Transfer<'_, P> {
    pub(super) async fn run(&self, cancel: &CancellationToken) -> Result<(), SimplestreamsError> {
        let (files, directory) = (&self.order.image.files, self.order.directory);
        let whole = Part {
            name: "rootfs",
            offset: files.metadata.size,
            total: files.size(),
        };
        let root = match &self.order.shortcut {
            Some(shortcut) => Part {
                name: "rootfs delta",
                total: files.metadata.size.saturating_add(shortcut.delta.size),
                ..whole
            },
            None => whole,
        };
        let first = Part { offset: 0, ..root };
        let (target, nothing) = (directory.join(METADATA), Sha256::new());
        let mut combined = self
            .fetch(&files.metadata, &target, &nothing, first)
            .await?;
        if let Some(file) = &files.rootfs {
            let rebuilt = self.rebuild(file, &combined, root, cancel).await;
            combined = if let Some(combined) = rebuilt {
                combined
            } else {
                let target = directory.join(ROOTFS);
                self.fetch(file, &target, &combined, whole).await?
            };
        }
        let fingerprint = hex::encode(combined.finalize());
        if fingerprint == files.fingerprint {
            return Ok(());
        }
        Err(SimplestreamsError::Corrupt {
            file: files.metadata.path.clone(),
            reason: format!(
                "the image's fingerprint is {fingerprint} instead of {}",
                files.fingerprint
            ),
        })
    }

    /// `before` has hashed what precedes the file in the image's fingerprint; returned with the file added.
    async fn fetch(
        &self,
        file: &RemoteFile,
        target: &Path,
        before: &Sha256,
        part: Part,
    ) -> Result<Sha256, SimplestreamsError> {
        let download = Download {
            http: &self.server.http,
            url: &self.server.base.join(&file.path),
            file,
            target,
        };
        let tell = |count| {
            (self.progress)(DownloadProgress {
                name: part.name,
                done: part.offset + count,
                total: part.total,
            });
        };
        download.run(before, &tell).await
    }

    /// `None` where the whole file is to be fetched; if something went wrong, the log tells what.
    async fn rebuild(
        &self,
        file: &RemoteFile,
        before: &Sha256,
        part: Part,
        cancel: &CancellationToken,
    ) -> Option<Sha256> {
        let (shortcut, directory) = (self.order.shortcut.as_ref()?, self.order.directory);
        let rebuild = Rebuild {
            shortcut,
            delta: directory.join(DELTA),
            file,
            target: directory.join(ROOTFS),
        };
        let delta = PartialFiles(vec![rebuild.delta.clone()]);
        let nothing = Sha256::new();
        let fetched = self.fetch(&shortcut.delta, &rebuild.delta, &nothing, part);
        let made = match fetched.await {
            Ok(_) => rebuild.run(before.clone(), cancel.clone()).await,
            Err(error) => Err(error),
        };
        drop(delta);
        made.inspect_err(|error| {
                let image = &self.order.image.files.fingerprint;
                tracing::warn!(error = %chain(error), image, "a delta is of no use, the whole file is fetched");
            })
            .ok()
    }
}
