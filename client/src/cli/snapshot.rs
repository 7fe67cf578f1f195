//! `snapshot`.

use clap::{Args, Subcommand};

use super::FormatArg;

// `snapshot`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum SnapshotVerb {
    /// Keep the state of an instance, while it runs or not.
    Create(SnapshotCreateArgs),
    /// List the snapshots of an instance.
    #[command(visible_alias = "ls")]
    List(SnapshotListArgs),
    /// Go back to a snapshot; what changed since then is lost.
    Restore(SnapshotRestoreArgs),
    /// Delete snapshots.
    #[command(visible_alias = "rm")]
    Delete(SnapshotDeleteArgs),
    /// Rename a snapshot.
    Rename(SnapshotRenameArgs),
    /// Show a snapshot.
    Show(SnapshotArgs),
}

// `snapshot create`.
#[derive(Debug, Args)]
pub(crate) struct SnapshotCreateArgs {
    /// Instance.
    pub(crate) instance: String,
    /// Name of the snapshot [default: snap0, snap1, …].
    pub(crate) name: Option<String>,
    /// Take the place of a snapshot of this name, which goes once the new one is there.
    #[arg(long, requires = "name")]
    pub(crate) reuse: bool,
    /// When to delete it: 2w, 3d 12H, or a time as RFC 3339 writes it.
    #[arg(long, value_name = "TIME", conflicts_with = "no_expiry")]
    pub(crate) expiry: Option<String>,
    /// Never delete it by itself, whatever `snapshots.expiry` says.
    #[arg(long)]
    pub(crate) no_expiry: bool,
}

// `snapshot list`.
#[derive(Debug, Args)]
pub(crate) struct SnapshotListArgs {
    /// Instance.
    pub(crate) instance: String,
    #[command(flatten)]
    pub(crate) format: FormatArg,
}

// `snapshot restore`.
#[derive(Debug, Args)]
pub(crate) struct SnapshotRestoreArgs {
    /// Instance.
    pub(crate) instance: String,
    /// Snapshot.
    pub(crate) name: String,
    /// Restore the running state too, where the snapshot has it.
    #[arg(long)]
    pub(crate) stateful: bool,
}

// `snapshot delete`.
#[derive(Debug, Args)]
pub(crate) struct SnapshotDeleteArgs {
    /// Instance.
    pub(crate) instance: String,
    /// Snapshots.
    #[arg(required = true)]
    pub(crate) names: Vec<String>,
}

// `snapshot rename`.
#[derive(Debug, Args)]
pub(crate) struct SnapshotRenameArgs {
    /// Instance.
    pub(crate) instance: String,
    /// Snapshot.
    pub(crate) name: String,
    /// New name.
    pub(crate) new_name: String,
}

// One snapshot.
#[derive(Debug, Args)]
pub(crate) struct SnapshotArgs {
    /// Instance.
    pub(crate) instance: String,
    /// Snapshot.
    pub(crate) name: String,
}
