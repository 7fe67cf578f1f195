//! How a backup is to be made.

use rlxc_storage::image::Compression;

use crate::app::image;
use crate::context::App;
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
    /// From a request; `algorithm` is the server's own if it is empty.
    pub async fn parse(app: &App, algorithm: &str, without_snapshots: bool) -> Result<Self> {
        let compression = if algorithm.is_empty() {
            let config = app.db.read(config::load).await?;
            let name = config.get("backups.compression_algorithm");
            name.map_or(Ok(Compression::Zstd), |name| image::parse_compression(name))?
        } else {
            image::parse_compression(algorithm)?
        };
        Ok(Self {
            without_snapshots,
            optimized: false,
            compression,
        })
    }
}
