//! What there is on an image server, asked by this client itself.

use anyhow::{Context as _, Result};
use rlxc_api::Image;
use rlxc_api::simplestreams::catalogue::{Catalogue, Index};
use rlxc_api::simplestreams::{RemoteImage, architecture, find_image, list_images, names};
use rlxc_client::web::get_document;
use serde::de::DeserializeOwned;

use crate::hint;
use crate::remote::authority;

/// An image server, by its root.
#[derive(Debug)]
pub(crate) struct ImageServer {
    url: String,
}

impl ImageServer {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.trim_end_matches('/').to_owned(),
        }
    }

    /// The newest image of each product.
    pub(crate) async fn list(&self) -> Result<Vec<Image>> {
        let catalogue = self.catalogue().await?;
        let images = list_images(&catalogue);
        Ok(images.iter().map(RemoteImage::to_image).collect())
    }

    /// One image, by an alias, an alias and an architecture, or the beginning of a fingerprint.
    pub(crate) async fn find(&self, name: &str) -> Result<Image> {
        let catalogue = self.catalogue().await?;
        let found = find_image(&catalogue, name, architecture::native());
        found.map(|image| image.to_image()).map_err(|missing| {
            let known = names(&catalogue, &missing.architecture);
            let near = hint::did_you_mean(&missing.name, known.into_iter());
            let near = near.map_or_else(String::new, |near| format!(": {near}"));
            let (name, architecture) = (missing.name, missing.architecture);
            anyhow::anyhow!(
                "there is no image `{name}` for {architecture} on {}{near}",
                self.url
            )
        })
    }

    async fn catalogue(&self) -> Result<Catalogue> {
        let index: Index = self.get("streams/v1/index.json").await?;
        let mut catalogue = Catalogue::default();
        for path in index.product_paths() {
            let part: Catalogue = self.get(path).await?;
            catalogue.products.extend(part.products);
        }
        Ok(catalogue)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let url = format!("{}/{}", self.url, path.trim_start_matches('/'));
        let text = get_document(&url, authority().as_deref()).await?;
        serde_json::from_slice(&text).with_context(|| format!("`{url}` is no list of images"))
    }
}
