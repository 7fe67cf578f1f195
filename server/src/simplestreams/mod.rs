//! A client of image servers: those that publish their images in the format of simplestreams, as LXD's and Incus' do.
//!
//! [`ImageServer::find`] resolves a name, [`ImageServer::download`] brings the files; both dialects of file names are
//! understood. Nothing is imported here: that is the caller's. Catalogues are not kept: the caller decides how fresh
//! they must be.

mod download;
mod error;
mod nearest;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use download::Download;
use rlxc_api::simplestreams::catalogue::{Catalogue, Index};
use rlxc_api::simplestreams::find_image;

use crate::web::{HttpClient, Proof, ProxySettings, Url, WebError};

pub use error::SimplestreamsError;
pub use nearest::distance;
pub use rlxc_api::simplestreams::{RemoteImage, architecture};

const INDEX: &str = "streams/v1/index.json";
/// The largest server's list has about 3 MiB.
const DOCUMENT_LIMIT: usize = 64 << 20;

/// One image server.
#[derive(Debug)]
pub struct ImageServer {
    base: Url,
    http: HttpClient,
}

/// How far a download is: bytes of the whole image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DownloadProgress {
    /// Here already.
    pub done: u64,
    /// Of so many.
    pub total: u64,
}

/// An image on disk, every hash checked; the files belong to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownloadedImage {
    /// SHA-256 of both files in order.
    pub fingerprint: String,
    /// The metadata tarball, or all in one.
    pub metadata: PathBuf,
    /// The root file system: squashfs, or a tarball.
    pub rootfs: Option<PathBuf>,
}

impl ImageServer {
    /// A server by its root, `https://images.linuxcontainers.org`; nothing is asked yet.
    pub fn new(url: &str, proxies: ProxySettings) -> Result<Self, SimplestreamsError> {
        let base = Url::parse(url)?;
        let http = HttpClient::new(proxies, &Proof::Authorities).map_err(|source| {
            let server = base.authority();
            WebError::Unreachable { server, source }
        })?;
        Ok(Self { base, http })
    }

    /// Everything that it offers.
    pub async fn fetch_catalogue(&self) -> Result<Catalogue, SimplestreamsError> {
        let index: Index = self.fetch_json(INDEX).await?;
        let mut catalogue = Catalogue::default();
        for path in index.product_paths() {
            let part: Catalogue = self.fetch_json(path).await?;
            catalogue.products.extend(part.products);
        }
        Ok(catalogue)
    }

    /// The newest image of that name: an alias, an alias and an architecture, or the beginning of a fingerprint.
    /// `architecture` is meant where the name does not say.
    pub async fn find(
        &self,
        name: &str,
        architecture: &str,
    ) -> Result<RemoteImage, SimplestreamsError> {
        let catalogue = self.fetch_catalogue().await?;
        find_image(&catalogue, name, architecture)
            .map_err(|missing| nearest::explain(&catalogue, missing))
    }

    /// Downloads both files into `directory` and checks them. What was written is deleted when it fails.
    pub async fn download(
        &self,
        image: &RemoteImage,
        directory: &Path,
        progress: impl Fn(DownloadProgress) + Send + Sync,
        cancel: CancellationToken,
    ) -> Result<DownloadedImage, SimplestreamsError> {
        let paths = (directory.join("metadata"), directory.join("rootfs"));
        let mut guard = PartialFiles(vec![paths.0.clone(), paths.1.clone()]);
        tokio::select! {
            done = self.download_files(image, (&paths.0, &paths.1), &progress) => done?,
            () = cancel.cancelled() => return Err(SimplestreamsError::Cancelled),
        }
        guard.0.clear();
        let fingerprint = image.files.fingerprint.clone();
        Ok(DownloadedImage {
            fingerprint,
            metadata: paths.0,
            rootfs: image.files.rootfs.is_some().then_some(paths.1),
        })
    }

    async fn download_files(
        &self,
        image: &RemoteImage,
        (metadata, rootfs): (&Path, &Path),
        progress: &(impl Fn(DownloadProgress) + Send + Sync),
    ) -> Result<(), SimplestreamsError> {
        let files = &image.files;
        let total = files.size();
        let mut combined = Sha256::new();
        let first = (&files.metadata, metadata, 0);
        let second = files.rootfs.as_ref();
        let second = second.map(|file| (file, rootfs, files.metadata.size));
        for (file, target, offset) in std::iter::once(first).chain(second) {
            let url = self.base.join(&file.path);
            let download = Download {
                http: &self.http,
                url: &url,
                file,
                target,
            };
            let tell = |count| {
                let done = offset + count;
                progress(DownloadProgress { done, total });
            };
            combined = download.run(&combined, &tell).await?;
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

    async fn fetch_json<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<T, SimplestreamsError> {
        let url = self.base.join(path);
        let text = self.http.get_document(&url, DOCUMENT_LIMIT).await?;
        serde_json::from_slice(&text).map_err(|source| SimplestreamsError::BadIndex {
            url: url.to_string(),
            source,
        })
    }
}

/// Deletes the files that it still lists when it is dropped.
struct PartialFiles(Vec<PathBuf>);

impl Drop for PartialFiles {
    fn drop(&mut self) {
        for path in &self.0 {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(path = %path.display(), %error, "a partial download could not be deleted");
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
