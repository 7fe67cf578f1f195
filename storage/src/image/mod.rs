//! Image files: what they say about themselves, unpacking them without trusting them, packing new ones.
//!
//! An image is one tarball with `metadata.yaml`, `templates/` and `rootfs/` (unified), or a tarball of the first
//! two and a root that is a tarball or a squashfs (split). Compression is told by the first bytes, never by a name.

mod ahead;
mod algorithm;
pub(crate) mod archive;
pub(crate) mod compression;
pub(crate) mod compressor;
mod entry;
mod fingerprint;
mod gzip;
pub(crate) mod header;
mod inspect;
mod metadata;
pub(crate) mod pack;
mod sparse;
mod squashfs;
pub(crate) mod unpack;
mod vcdiff;
pub(crate) mod writer;

use std::path::PathBuf;

use rlxc_sys::file::FileError;
use rlxc_sys::tool::ToolError;

pub use algorithm::Algorithm;
pub use compression::Compression;
pub use fingerprint::{Fingerprinter, fingerprint};
pub use inspect::inspect;
pub use metadata::{ImageMetadata, TemplateMetadata};
pub use pack::{PackOrder, pack};
pub use unpack::{UnpackLimits, read_metadata, unpack};
pub use vcdiff::{DeltaError, apply_delta};

/// The file or files of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFiles {
    /// The unified tarball, or the metadata of a split image.
    pub meta: PathBuf,
    /// The root of a split image.
    pub rootfs: Option<PathBuf>,
}

/// What is wrong with an image file, or with unpacking or packing it.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A file operation of ours.
    #[error(transparent)]
    File(#[from] FileError),
    /// Copying what can't be renamed.
    #[error(transparent)]
    Copy(#[from] crate::copy::CopyError),
    /// Reading the archive: it is damaged, or shorter than it says.
    #[error("read the archive `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is no tarball, or one with a part that makes no sense.
    #[error("`{}` is not a sound tar archive: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// An entry that must not be in an image.
    #[error("the archive entry `{entry}` is refused: {reason}")]
    Refused {
        /// Its path in the archive.
        entry: String,
        /// Why.
        reason: &'static str,
    },
    /// Putting an entry on disk.
    #[error("unpack the archive entry `{entry}`")]
    Entry {
        /// Its path in the archive.
        entry: String,
        /// Why.
        #[source]
        source: FileError,
    },
    /// It unpacks to more than is allowed.
    #[error("the archive unpacks to more than {limit} {unit}")]
    TooBig {
        /// The limit.
        limit: u64,
        /// `bytes` or `files`.
        unit: &'static str,
    },
    /// No `metadata.yaml`, or no `rootfs`.
    #[error("the image has no `{what}`")]
    Missing {
        /// What is missing.
        what: &'static str,
    },
    /// `metadata.yaml` does not parse.
    #[error("parse `metadata.yaml` of the image")]
    Metadata {
        /// Why.
        #[source]
        source: serde_norway::Error,
    },
    /// A description in YAML does not parse, or can't be written.
    #[error("`{name}` of the backup")]
    Yaml {
        /// Which one.
        name: &'static str,
        /// Why.
        #[source]
        source: serde_norway::Error,
    },
    /// Who asked for it could not take it.
    #[error(transparent)]
    Taker(crate::error::FillError),
    /// A program that reads or writes a format for us.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// Writing a new image.
    #[error("write the archive")]
    Write {
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Mounting the root of the instance that becomes an image.
    #[error("read the root file system of the instance")]
    Root {
        /// Why.
        #[source]
        source: crate::root::RootError,
    },
}
