//! How a backup is to be made.

use std::sync::Arc;

use rlxc_storage::image::Compression;
use rlxc_storage::{Driver, VolumeRef};

use crate::app::image;
use crate::context::{App, blocking};
use crate::db::config;
use crate::error::Result;

/// How an instance or volume is to be exported.
#[derive(Debug, Clone, Copy)]
pub struct ExportOrder {
    /// Without the snapshots.
    pub without_snapshots: bool,
    /// In the format of its storage driver, where that has one.
    pub optimized: bool,
    /// How to compress it.
    pub compression: Compression,
}

impl ExportOrder {
    /// From a request, all but what the fields are for; `algorithm` is the server's own if it is empty.
    pub async fn parse(app: &App, algorithm: &str) -> Result<Self> {
        let compression = if algorithm.is_empty() {
            let config = app.db.read(config::load).await?;
            let name = config.get("backups.compression_algorithm");
            name.map_or(Ok(Compression::Zstd), |name| image::parse_compression(name))?
        } else {
            image::parse_compression(algorithm)?
        };
        Ok(Self {
            without_snapshots: false,
            optimized: false,
            compression,
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
