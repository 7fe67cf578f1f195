//! A client of image servers: those that publish their images in the format of simplestreams, as LXD's and Incus' do.
//!
//! [`ImageServer::find`] resolves a name, [`ImageServer::download`] brings the files, or a delta in place of the bigger
//! one; both dialects of file names are understood. Nothing is imported here: that is the caller's. Catalogues are not kept:
//! the caller decides how fresh they must be.

mod download;
mod error;
mod nearest;
mod shortcut;
mod transfer;

use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use rlxc_api::simplestreams::catalogue::{Catalogue, Index};
use rlxc_api::simplestreams::find_image;

use crate::web::{HttpClient, Proof, ProxySettings, Url, WebError};
use transfer::{METADATA, ROOTFS, Transfer};

pub use error::SimplestreamsError;
pub use nearest::distance;
pub use rlxc_api::simplestreams::{RemoteImage, architecture};
pub use shortcut::Shortcut;

const INDEX: &str = "streams/v1/index.json";
/// The largest server's list has about 3 MiB.
const DOCUMENT_LIMIT: usize = 64 << 20;

/// One image server.
#[derive(Debug)]
pub struct ImageServer {
    base: Url,
    http: HttpClient,
}

/// What is to be downloaded.
#[derive(Debug)]
pub struct Order<'a> {
    /// The image.
    pub image: &'a RemoteImage,
    /// How its root file system may be had for less.
    pub shortcut: Option<Shortcut>,
    /// Where the files go.
    pub directory: &'a Path,
}

/// How far a download is: bytes of all that is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DownloadProgress {
    /// `rootfs`, or `rootfs delta`.
    pub name: &'static str,
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

    /// Downloads both files and checks them. What was written is deleted when it fails.
    pub async fn download(
        &self,
        order: Order<'_>,
        progress: impl Fn(DownloadProgress) + Send + Sync,
        cancel: CancellationToken,
    ) -> Result<DownloadedImage, SimplestreamsError> {
        let files = &order.image.files;
        let paths = [METADATA, ROOTFS].map(|name| order.directory.join(name));
        let mut guard = PartialFiles(paths.clone().into());
        let transfer = Transfer {
            server: self,
            order: &order,
            progress,
        };
        tokio::select! {
            done = transfer.run(&cancel) => done?,
            () = cancel.cancelled() => return Err(SimplestreamsError::Cancelled),
        }
        guard.0.clear();
        let [metadata, rootfs] = paths;
        Ok(DownloadedImage {
            fingerprint: files.fingerprint.clone(),
            metadata,
            rootfs: files.rootfs.is_some().then_some(rootfs),
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
