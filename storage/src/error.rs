//! What goes wrong with pools, volumes and images: what was being done to which object, and the cause as source.

use std::path::PathBuf;

use rlxc_api::size::ByteSize;
use rlxc_sys::file::FileError;

use crate::volume::{SnapshotId, VolumeRef};

/// Why a filler could not fill an image; any error will do.
pub type FillError = Box<dyn std::error::Error + Send + Sync>;

/// What storage could not do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No driver has this name.
    #[error("no storage driver is called `{driver}` (there are: {})", crate::DRIVERS.join(", "))]
    UnknownDriver {
        /// The name.
        driver: String,
    },
    /// Something with the pool as a whole.
    #[error("{action} pool `{pool}`")]
    Pool {
        /// `create`, `open`, `measure`.
        action: &'static str,
        /// Its name.
        pool: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// Something with an image in the pool.
    #[error("{action} image `{fingerprint}`")]
    Image {
        /// `unpack`, `delete`.
        action: &'static str,
        /// Its fingerprint.
        fingerprint: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// Something with a volume.
    #[error("{action} {volume}")]
    Volume {
        /// `create`, `delete`, `measure`.
        action: &'static str,
        /// The volume.
        volume: VolumeRef,
        /// Why.
        #[source]
        source: Cause,
    },
    /// Something with a snapshot.
    #[error("{action} snapshot {snapshot} of {volume}")]
    Snapshot {
        /// `create`, `restore`, `delete`.
        action: &'static str,
        /// The volume.
        volume: VolumeRef,
        /// The snapshot.
        snapshot: SnapshotId,
        /// Why.
        #[source]
        source: Cause,
    },
}

impl Error {
    /// The cause, where the error has one.
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Self::UnknownDriver { .. } => None,
            Self::Pool { source, .. }
            | Self::Image { source, .. }
            | Self::Volume { source, .. }
            | Self::Snapshot { source, .. } => Some(source),
        }
    }

    /// Whether the object is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self.cause(), Some(Cause::NotFound { .. }))
    }

    /// Whether the object is there already.
    pub fn is_already_there(&self) -> bool {
        matches!(self.cause(), Some(Cause::AlreadyThere { .. }))
    }

    /// Whether the disk, or a quota, is full.
    pub fn is_no_space(&self) -> bool {
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = next {
            if let Some(io) = error.downcast_ref::<std::io::Error>() {
                let kind = io.kind();
                return matches!(
                    kind,
                    std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
                );
            }
            next = error.source();
        }
        false
    }
}

/// Why something with a pool, a volume or an image did not work.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// A file operation.
    #[error(transparent)]
    File(#[from] FileError),
    /// Copying a tree.
    #[error(transparent)]
    Copy(#[from] crate::copy::CopyError),
    /// The caller's filler.
    #[error("fill the image")]
    Fill(#[source] FillError),
    /// It does not exist.
    #[error("{what} is not there")]
    NotFound {
        /// Which thing.
        what: String,
    },
    /// It exists already.
    #[error("{what} is there already")]
    AlreadyThere {
        /// Which thing.
        what: String,
    },
    /// A pool is to be made in a directory with something in it.
    #[error("`{}` is not empty", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// Another process has the pool open.
    #[error("`{}` is in use by another daemon", path.display())]
    Locked {
        /// The pool's directory.
        path: PathBuf,
    },
    /// The directory holds something else than what was asked for.
    #[error("`{}` is a pool of the driver `{found}`", path.display())]
    OtherDriver {
        /// The pool's directory.
        path: PathBuf,
        /// Its driver.
        found: String,
    },
    /// The file system below lacks something.
    #[error("the file system of `{}` {lacks}; the driver `dir` works everywhere", path.display())]
    Unfit {
        /// The pool's directory.
        path: PathBuf,
        /// What it lacks.
        lacks: &'static str,
    },
    /// A mount.
    #[error(transparent)]
    Mount(#[from] rlxc_sys::mount::MountError),
    /// A program that makes a file system.
    #[error(transparent)]
    Tool(#[from] rlxc_sys::tool::ToolError),
    /// What a pool stands on is gone.
    #[error("`{}`, on which the pool stands, is gone", path.display())]
    Lost {
        /// The loop file or block device.
        path: PathBuf,
    },
    /// Something else than a block device is where one should be.
    #[error("`{}` is no block device", path.display())]
    NoDevice {
        /// What it is called.
        path: PathBuf,
    },
    /// A block device that is to be a pool holds something.
    #[error("`{}` holds something already: `source.wipe=true` overwrites it", path.display())]
    Occupied {
        /// What it is called.
        path: PathBuf,
    },
    /// A size does not parse.
    #[error("`{text}` is not a size such as 20GiB")]
    BadSize {
        /// As it was given.
        text: String,
    },
    /// A file system can't be so small.
    #[error("a pool needs at least {}", ByteSize(*least).human())]
    TooSmall {
        /// Bytes.
        least: u64,
    },
    /// A pool is to become smaller.
    #[error(
        "it has {} and can't shrink to {}: make a smaller pool and move what is on this one",
        ByteSize(*now).human(),
        ByteSize(*wanted).human()
    )]
    Shrink {
        /// Bytes.
        now: u64,
        /// Bytes.
        wanted: u64,
    },
    /// A quota would be below what is used.
    #[error(
        "{} are in use, more than {}",
        ByteSize(*used).human(),
        ByteSize(*wanted).human()
    )]
    BelowUse {
        /// Bytes.
        used: u64,
        /// Bytes.
        wanted: u64,
    },
    /// A stream of a subvolume is not what it should be.
    #[error("the stream of the subvolume: {problem}")]
    Stream {
        /// What is wrong.
        problem: String,
    },
    /// A stream that does not come.
    #[error("read the stream of the subvolume")]
    ReadStream(#[source] std::io::Error),
    /// The driver, or the file system below, has no such thing.
    #[error("{what}")]
    Unsupported {
        /// What is not to be had, and where it is.
        what: &'static str,
    },
    /// A file of the pool's own does not parse.
    #[error("parse `{}`", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A chain of layers is longer than an overlay can stand on.
    #[error("it stands on {layers} layers, {limit} is the most")]
    TooDeep {
        /// How many there are.
        layers: usize,
        /// How many there may be.
        limit: usize,
    },
}

/// Puts what was being done to which object on a cause.
pub(crate) trait Doing<T> {
    fn pool(self, action: &'static str, pool: &str) -> Result<T, Error>;
    fn image(self, action: &'static str, fingerprint: &str) -> Result<T, Error>;
    fn volume(self, action: &'static str, volume: VolumeRef) -> Result<T, Error>;
    fn snapshot(
        self,
        action: &'static str,
        volume: VolumeRef,
        snapshot: SnapshotId,
    ) -> Result<T, Error>;
}

impl<T, E: Into<Cause>> Doing<T> for Result<T, E> {
    fn pool(self, action: &'static str, pool: &str) -> Result<T, Error> {
        self.map_err(|error| Error::Pool {
            action,
            pool: pool.to_owned(),
            source: error.into(),
        })
    }

    fn image(self, action: &'static str, fingerprint: &str) -> Result<T, Error> {
        self.map_err(|error| Error::Image {
            action,
            fingerprint: fingerprint.to_owned(),
            source: error.into(),
        })
    }

    fn volume(self, action: &'static str, volume: VolumeRef) -> Result<T, Error> {
        self.map_err(|error| Error::Volume {
            action,
            volume,
            source: error.into(),
        })
    }

    fn snapshot(
        self,
        action: &'static str,
        volume: VolumeRef,
        snapshot: SnapshotId,
    ) -> Result<T, Error> {
        self.map_err(|error| Error::Snapshot {
            action,
            volume,
            snapshot,
            source: error.into(),
        })
    }
}
