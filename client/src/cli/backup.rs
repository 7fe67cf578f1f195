//! `export`, `import`.

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
    /// Use the storage driver's own format where there is one.
    #[arg(long)]
    pub(crate) optimized_storage: bool,
    /// How to pack it: zstd, gzip, xz, none.
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
