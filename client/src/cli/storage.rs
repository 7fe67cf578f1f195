//! `storage`.

use clap::{Args, Subcommand};

use super::{KeyArgs, ListOfArgs, NameArgs, NamesArgs, Pair, SetArgs, VolumeVerb};

// `storage`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum StorageVerb {
    /// List pools.
    #[command(visible_alias = "ls")]
    List(ListOfArgs),
    /// Print a pool as YAML.
    Show(NameArgs),
    /// Show the space of a pool, and what its driver can do.
    Info(NameArgs),
    /// Create a pool; its YAML may come from stdin.
    #[command(
        after_help = "Drivers: overlay (any file system), btrfs (a file system of its own in a loop file or on a block device, or a\ndirectory of one), dir.\n\nExamples:\n  rlxc storage create fast btrfs size=20GiB\n  rlxc storage create disk btrfs source=/dev/sdb source.wipe=true\n  rlxc storage create big overlay source=/mnt/nvme/rlxc"
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
    Volume(VolumeVerb),
}

// `storage create`.
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
