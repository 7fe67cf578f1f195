//! `storage` and `storage volume`.

use clap::{Args, Subcommand};

use super::{FormatArg, KeyArgs, ListOfArgs, NameArgs, NamesArgs, Pair, SetArgs};

/// `storage`.
#[derive(Debug, Subcommand)]
pub(crate) enum StorageVerb {
    /// List pools.
    #[command(visible_alias = "ls")]
    List(ListOfArgs),
    /// Print a pool as YAML.
    Show(NameArgs),
    /// Show the space of a pool.
    Info(NameArgs),
    /// Create a pool.
    #[command(
        after_help = "Drivers: overlay (any file system), btrfs, dir.\n\nExample:\n  rlxc storage create fast overlay source=/mnt/nvme/rlxc"
    )]
    Create(StorageCreateArgs),
    /// Delete pools; they must be empty.
    #[command(visible_alias = "rm")]
    Delete(NamesArgs),
    /// Print the value of a key.
    Get(KeyArgs),
    /// Set keys.
    Set(SetArgs),
    /// Unset a key.
    Unset(KeyArgs),
    /// Edit a pool as YAML; from stdin where that is no terminal.
    Edit(NameArgs),
    /// Manage volumes.
    #[command(subcommand)]
    Volume(VolumeVerb),
}

/// `storage create`.
#[derive(Debug, Args)]
pub(crate) struct StorageCreateArgs {
    /// Name.
    pub(crate) name: String,
    /// Driver.
    pub(crate) driver: String,
    /// Keys.
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) keys: Vec<Pair>,
    /// Description.
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
}

/// `storage volume`.
#[derive(Debug, Subcommand)]
pub(crate) enum VolumeVerb {
    /// List the volumes of a pool.
    #[command(visible_alias = "ls")]
    List(VolumeListArgs),
    /// Print a volume as YAML.
    Show(VolumeArgs),
    /// Show the space that a volume takes.
    Info(VolumeArgs),
    /// Create a custom volume.
    Create(VolumeCreateArgs),
    /// Delete a custom volume.
    #[command(visible_alias = "rm")]
    Delete(VolumeArgs),
}

/// `storage volume list`.
#[derive(Debug, Args)]
pub(crate) struct VolumeListArgs {
    /// Pool.
    pub(crate) pool: String,
    #[command(flatten)]
    pub(crate) format: FormatArg,
}

/// One volume.
#[derive(Debug, Args)]
pub(crate) struct VolumeArgs {
    /// Pool.
    pub(crate) pool: String,
    /// Volume: NAME of a custom one, or TYPE/NAME.
    pub(crate) volume: String,
}

/// `storage volume create`.
#[derive(Debug, Args)]
pub(crate) struct VolumeCreateArgs {
    /// Pool.
    pub(crate) pool: String,
    /// Name.
    pub(crate) name: String,
    /// Keys.
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) keys: Vec<Pair>,
    /// Content: filesystem or block.
    #[arg(long = "type", value_name = "TYPE", default_value = "filesystem")]
    pub(crate) content_type: String,
}
