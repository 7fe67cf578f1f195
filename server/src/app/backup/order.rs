//! How a backup is to be made.

use std::sync::Arc;

use rlxc_storage::image::Algorithm;
use rlxc_storage::{Driver, VolumeRef};

use crate::app::image;
use crate::context::{App, blocking};
use crate::error::{Error, Result};

/// How an instance or volume is to be exported.
#[derive(Debug, Clone, Copy)]
pub struct ExportOrder {
    /// Without the snapshots.
    pub without_snapshots: bool,
    /// In the format of its storage driver, where that has one.
    pub optimized: bool,
    /// How to compress it.
    pub algorithm: Algorithm,
}

impl ExportOrder {
    /// From a request, all but what the fields are for; `text` is the server's own if it is empty.
    pub async fn parse(app: &App, text: &str) -> Result<Self> {
        let algorithm = if text.is_empty() {
            image::server_algorithm(app, "backups.compression_algorithm").await?
        } else {
            text.parse().map_err(Error::Invalid)?
        };
        Ok(Self {
            without_snapshots: false,
            optimized: false,
            algorithm,
        })
    }

    /// The same for a volume: as the API has it, it is no error where there is no such format.
    pub async fn fit(
        self,
        driver: Arc<dyn Driver>,
        volume: VolumeRef,
    ) -> Result<Self, rlxc_storage::Error> {
        let optimized = self.optimized && blocking(move || driver.can_send(volume)).await?;
        Ok(Self { optimized, ..self })
    }
}
