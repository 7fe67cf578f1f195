//! Where the root file system of a container comes from: plain data, from a storage driver to the mount calls.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The parts of a root file system. Owners on disk are those that the container sees (0 is its root):
/// an idmapped mount shifts them, nothing is ever chowned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RootSource {
    /// One directory, bind-mounted.
    Tree {
        /// The directory.
        path: PathBuf,
    },
    /// An overlay; see Documentation/filesystems/overlayfs.rst.
    Overlay {
        /// Read-only layers, the uppermost first.
        lower: Vec<PathBuf>,
        /// The layer that takes writes.
        upper: PathBuf,
        /// Overlay's scratch directory, on the file system of `upper`.
        work: PathBuf,
    },
}
