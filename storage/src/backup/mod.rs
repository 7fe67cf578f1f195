//! Backup files: one tarball with an instance or a custom volume and its snapshots, as LXD and Incus write and read them.
//!
//! ```text
//! backup/index.yaml                    what is in it
//! backup/snapshots/<name>/             a snapshot, like the next
//! backup/container/backup.yaml         the configuration, once more
//! backup/container/metadata.yaml       of the image that it came from, with `templates/`
//! backup/container/rootfs/             owners as the container sees them
//!
//! backup/snapshots/<name>.bin          the same of an instance on btrfs, as streams of btrfs-send(8)
//! backup/container.bin
//!
//! backup/index.yaml                    the same of a custom volume
//! backup/volume-snapshots/<name>/      a snapshot, like the next
//! backup/volume/                       what is in the volume
//! ```

mod description;
mod index;
mod owners;
mod read;
mod restore;
mod streams;
mod write;

#[cfg(test)]
mod tests;

pub use description::{load_description, save_description};
pub use index::{BackupConfig, BackupIndex, Layout, OnDisk};
pub use read::{BackupReader, Place, Tree, Trees};
pub use restore::restore;
pub use streams::Streams;
pub use write::{BackupOrder, BackupParts, BackupTree, write};
