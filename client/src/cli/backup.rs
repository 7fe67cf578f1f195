//! `export`, `import`, and the same of `storage volume`.

use std::path::PathBuf;

use clap::Args;

// `export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Instance.
    pub(crate) name: String,
    /// File to write, `-` for stdout; NAME.tar.zst if none is named.
    pub(crate) target: Option<PathBuf>,
    /// Leave the snapshots.
    #[arg(long)]
    pub(crate) instance_only: bool,
    #[command(flatten)]
    pub(crate) format: BackupFormat,
}

// How a backup is made.
#[derive(Debug, Args)]
pub(crate) struct BackupFormat {
    /// Use the storage driver's own format where there is one.
    #[arg(long)]
    pub(crate) optimized_storage: bool,
    /// How to pack it: zstd, gzip, xz or none, with a level if need be: `zstd -19`.
    #[arg(long, value_name = "ALGORITHM")]
    pub(crate) compression: Option<String>,
}

// `import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// File that `export` has made.
    pub(crate) file: PathBuf,
    /// Name of the instance; the one in the file if none is given.
    pub(crate) name: Option<String>,
    /// Storage pool of the instance.
    #[arg(short = 's', long, value_name = "POOL")]
    pub(crate) storage: Option<String>,
}

// `storage volume export`.
#[derive(Debug, Args)]
pub(crate) struct VolumeExportArgs {
    /// Pool.
    pub(crate) pool: String,
    /// Custom volume.
    pub(crate) volume: String,
    /// File to write, `-` for stdout; VOLUME.tar.zst if none is named.
    pub(crate) target: Option<PathBuf>,
    /// Leave the snapshots.
    #[arg(long)]
    pub(crate) volume_only: bool,
    #[command(flatten)]
    pub(crate) format: BackupFormat,
}

// `storage volume import`.
#[derive(Debug, Args)]
pub(crate) struct VolumeImportArgs {
    /// Pool.
    pub(crate) pool: String,
    /// File that `storage volume export` has made.
    pub(crate) file: PathBuf,
    /// Name of the volume; the one in the file if none is given.
    pub(crate) name: Option<String>,
}
