//! `storage volume`.

use clap::{Args, Subcommand};

use super::{FormatArg, KeyOf, Pair, SetOf, TravelMode, VolumeExportArgs, VolumeImportArgs};

// `storage volume`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum VolumeVerb {
    /// List the volumes of a pool.
    #[command(visible_alias = "ls")]
    List(VolumeListArgs),
    /// Print a volume as YAML.
    Show(VolumeArgs),
    /// Show the space that a volume takes.
    Info(VolumeArgs),
    /// Create a custom volume; its YAML may come from stdin.
    #[command(
        after_help = "Example:\n  rlxc storage volume create fast data size=5GiB\n  rlxc storage volume attach fast data dev1 /srv"
    )]
    Create(VolumeCreateArgs),
    /// Delete a custom volume.
    #[command(visible_alias = "rm")]
    Delete(VolumeArgs),
    /// Print the value of a key.
    Get(KeyOf<VolumeArgs>),
    /// Set keys.
    Set(SetOf<VolumeArgs>),
    /// Unset a key.
    Unset(KeyOf<VolumeArgs>),
    /// Edit a volume as YAML; from stdin where that is no terminal.
    Edit(VolumeArgs),
    /// Rename a custom volume; the devices that show it follow.
    Rename(VolumeRenameArgs),
    /// Copy a custom volume, or a snapshot of it, here or to another server.
    #[command(
        visible_alias = "cp",
        after_help = "Example:\n  rlxc storage volume copy fast/data plain/data\n  rlxc storage volume copy box:fast/data local:fast/data --refresh"
    )]
    Copy(VolumeCopyArgs),
    /// Move a custom volume to another pool, and the devices that show it follow; or to another server.
    #[command(visible_alias = "mv")]
    Move(VolumeMoveArgs),
    /// Show a custom volume in an instance.
    Attach(VolumeAttachArgs),
    /// Show it no longer.
    Detach(VolumeDetachArgs),
    /// Show a custom volume in all instances of a profile.
    AttachProfile(VolumeAttachArgs),
    /// Show it no longer.
    DetachProfile(VolumeDetachArgs),
    /// Manage snapshots of custom volumes.
    Snapshot(VolumeSnapshotVerb),
    /// Go back to a snapshot; what changed since then is lost.
    Restore(VolumeSnapshotArgs),
    /// Write a custom volume and its snapshots into a file.
    #[command(
        after_help = "Example:\n  rlxc storage volume export fast data data.tar.zst\n  rlxc storage volume import fast data.tar.zst data2"
    )]
    Export(VolumeExportArgs),
    /// Make a custom volume of a file that export has made, here, on LXD or on Incus.
    Import(VolumeImportArgs),
}

// `storage volume list`.
#[derive(Debug, Args)]
pub(crate) struct VolumeListArgs {
    /// Pool.
    pub(crate) pool: String,
    #[command(flatten)]
    pub(crate) format: FormatArg,
}

// One volume.
#[derive(Debug, Args)]
pub(crate) struct VolumeArgs {
    /// Pool.
    pub(crate) pool: String,
    /// Volume: NAME of a custom one, or TYPE/NAME.
    pub(crate) volume: String,
}

// `storage volume create`.
#[derive(Debug, Args)]
pub(crate) struct VolumeCreateArgs {
    /// Pool.
    pub(crate) pool: String,
    /// Name.
    pub(crate) name: String,
    /// Keys.
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) keys: Vec<Pair>,
    /// Content: filesystem; block and iso are for virtual machines.
    #[arg(long = "type", value_name = "TYPE", default_value = "filesystem")]
    pub(crate) content_type: String,
}

// `storage volume rename`.
#[derive(Debug, Args)]
pub(crate) struct VolumeRenameArgs {
    /// Pool.
    pub(crate) pool: String,
    /// Volume.
    pub(crate) volume: String,
    /// New name.
    pub(crate) new_name: String,
}

// `storage volume copy`.
#[derive(Debug, Args)]
pub(crate) struct VolumeCopyArgs {
    /// POOL/VOLUME, or POOL/VOLUME/SNAPSHOT.
    pub(crate) source: String,
    /// POOL/VOLUME.
    pub(crate) target: String,
    /// Leave the snapshots.
    #[arg(long)]
    pub(crate) volume_only: bool,
    /// Bring an existing copy up to date.
    #[arg(long)]
    pub(crate) refresh: bool,
    #[command(flatten)]
    pub(crate) way: VolumeWay,
}

// How a volume gets where it is to be.
#[derive(Debug, Default, Args)]
pub(crate) struct VolumeWay {
    /// Project of the copy.
    #[arg(long, value_name = "PROJECT")]
    pub(crate) target_project: Option<String>,
    /// To another server: the target dials the source (pull), the source the target (push), or we dial both (relay).
    #[arg(long, value_enum)]
    pub(crate) mode: Option<TravelMode>,
    /// The other remote that it goes to.
    #[arg(skip)]
    pub(crate) to: Option<String>,
}

// `storage volume move`.
#[derive(Debug, Args)]
pub(crate) struct VolumeMoveArgs {
    /// POOL/VOLUME.
    pub(crate) source: String,
    /// POOL/VOLUME.
    pub(crate) target: String,
    #[command(flatten)]
    pub(crate) way: VolumeWay,
}

// `storage volume attach` and `attach-profile`.
#[derive(Debug, Args)]
pub(crate) struct VolumeAttachArgs {
    /// Pool.
    pub(crate) pool: String,
    /// Volume.
    pub(crate) volume: String,
    /// Instance, or profile.
    pub(crate) owner: String,
    /// Where it is seen; before that the device's name may stand, which is the volume's otherwise.
    #[arg(required = true, num_args = 1..=2, value_names = ["DEVICE", "PATH"])]
    pub(crate) words: Vec<String>,
}

// `storage volume detach` and `detach-profile`.
#[derive(Debug, Args)]
pub(crate) struct VolumeDetachArgs {
    /// Pool.
    pub(crate) pool: String,
    /// Volume.
    pub(crate) volume: String,
    /// Instance, or profile.
    pub(crate) owner: String,
    /// Device, if there are several of the volume.
    pub(crate) device: Option<String>,
}

// `storage volume snapshot`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum VolumeSnapshotVerb {
    /// Keep the content of a volume.
    Create(VolumeSnapshotCreateArgs),
    /// List the snapshots of a volume.
    #[command(visible_alias = "ls")]
    List(VolumeSnapshotListArgs),
    /// Print a snapshot as YAML.
    Show(VolumeSnapshotArgs),
    /// Rename a snapshot.
    Rename(VolumeSnapshotRenameArgs),
    /// Delete a snapshot.
    #[command(visible_alias = "rm")]
    Delete(VolumeSnapshotArgs),
    /// Go back to a snapshot; what changed since then is lost.
    Restore(VolumeSnapshotArgs),
}

// `storage volume snapshot create`.
#[derive(Debug, Args)]
pub(crate) struct VolumeSnapshotCreateArgs {
    /// Pool.
    pub(crate) pool: String,
    /// Volume.
    pub(crate) volume: String,
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

// `storage volume snapshot list`.
#[derive(Debug, Args)]
pub(crate) struct VolumeSnapshotListArgs {
    /// Pool.
    pub(crate) pool: String,
    /// Volume.
    pub(crate) volume: String,
    #[command(flatten)]
    pub(crate) format: FormatArg,
}

// One snapshot of a volume.
#[derive(Debug, Args)]
pub(crate) struct VolumeSnapshotArgs {
    /// Pool.
    pub(crate) pool: String,
    /// Volume.
    pub(crate) volume: String,
    /// Snapshot.
    pub(crate) name: String,
}

// `storage volume snapshot rename`.
#[derive(Debug, Args)]
pub(crate) struct VolumeSnapshotRenameArgs {
    /// Pool.
    pub(crate) pool: String,
    /// Volume.
    pub(crate) volume: String,
    /// Snapshot.
    pub(crate) name: String,
    /// New name.
    pub(crate) new_name: String,
}
