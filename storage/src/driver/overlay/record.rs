//! What `volume.json` says: on which layers a volume and its snapshots stand. A layer that no record names does
//! not exist, whatever is on disk; replacing the record is what makes a change happen.
//!
//! Nobody waits until a record is on disk (see [`super::settle`]). Until it is, `before.json` is what the record was, or
//! empty if there was none: should a power cut take the new one, that is what the volume is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rlxc_sys::file::{self, Durability, FileError};
use serde::{Deserialize, Serialize};

use crate::error::Cause;
use crate::pool::parse_json;
use crate::volume::SnapshotId;

/// The number of a directory in `layers/`, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct LayerId(pub(crate) u64);

/// Read-only layers that a root stands on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Chain {
    /// The lowest of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<String>,
    /// What is above it, the lowest first.
    pub(crate) layers: Vec<LayerId>,
}

impl Chain {
    pub(crate) fn with(&self, layer: LayerId) -> Self {
        let mut chain = self.clone();
        chain.layers.push(layer);
        chain
    }
}

/// A volume: what it stands on, the layer that takes its writes, and its snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) format: u32,
    pub(crate) chain: Chain,
    pub(crate) upper: LayerId,
    pub(crate) snapshots: BTreeMap<SnapshotId, Chain>,
}

/// What is in the directory of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// A record.
    Whole(Record),
    /// A record that may not be on disk yet.
    Unsettled(Record),
    /// A volume that a power cut took the record of before it was on disk: nothing else is whole.
    HalfMade,
}

/// What a power cut leaves of a file that was not on disk: nothing, zeros, or less than was written.
fn is_torn(error: &Cause) -> bool {
    match error {
        Cause::Parse { .. } => true,
        Cause::File(error) => error.is_not_found(),
        _ => false,
    }
}

impl Record {
    pub(crate) fn new(chain: Chain, upper: LayerId) -> Self {
        Self {
            format: 1,
            chain,
            upper,
            snapshots: BTreeMap::new(),
        }
    }

    fn path(dir: &Path) -> PathBuf {
        dir.join("volume.json")
    }

    fn path_before(dir: &Path) -> PathBuf {
        dir.join("before.json")
    }

    pub(crate) fn load(dir: &Path) -> Result<Found, Cause> {
        let before = Self::path_before(dir);
        match parse_json(&Self::path(dir)) {
            Ok(record) if before.exists() => Ok(Found::Unsettled(record)),
            Ok(record) => Ok(Found::Whole(record)),
            Err(error) if !is_torn(&error) || !before.exists() => Err(error),
            Err(_) if file::read(&before)?.is_empty() => Ok(Found::HalfMade),
            Err(_) => Ok(Found::Unsettled(parse_json(&before)?)),
        }
    }

    /// Notes in the directory of a volume in the making that it has not been there before.
    pub(crate) fn mark_new(dir: &Path) -> Result<(), FileError> {
        file::write_atomic(&Self::path_before(dir), b"", 0o600, Durability::Volatile)
    }

    /// Keeps the record that is on disk, for as long as the next one is not.
    pub(crate) fn keep_before(dir: &Path) -> Result<(), FileError> {
        let before = Self::path_before(dir);
        // One that is left from a change that failed is older than what is there now.
        file::remove(&before)?;
        std::fs::hard_link(Self::path(dir), &before)
            .map_err(|error| FileError::new("link", &before, error))
    }

    /// Brings the record, and what was made with it, to disk; then the one before is not needed any more.
    pub(crate) fn sync(dir: &Path) -> Result<(), FileError> {
        for small in ["metadata.yaml", "volume.json"] {
            file::sync(&dir.join(small))?;
        }
        let templates = dir.join("templates");
        if templates.is_dir() {
            for name in file::list_dir(&templates)? {
                file::sync(&templates.join(name))?;
            }
        }
        file::sync_dir(dir)?;
        dir.parent().map_or(Ok(()), file::sync_dir)
    }

    /// The record that is there will do from now on.
    pub(crate) fn forget_before(dir: &Path) -> Result<(), FileError> {
        file::remove(&Self::path_before(dir))
    }

    /// Replaces the record.
    pub(crate) fn save(&self, dir: &Path) -> Result<(), Cause> {
        let path = Self::path(dir);
        let mut text = serde_json::to_vec(self).map_err(|source| Cause::Parse {
            path: path.clone(),
            source,
        })?;
        text.push(b'\n');
        file::write_atomic(&path, &text, 0o600, Durability::Volatile)?;
        Ok(())
    }

    /// All chains of the volume, its own first.
    pub(crate) fn chains(&self) -> impl Iterator<Item = &Chain> {
        std::iter::once(&self.chain).chain(self.snapshots.values())
    }

    /// All layers it needs, with repetitions.
    pub(crate) fn layers(&self) -> impl Iterator<Item = LayerId> {
        let lower = self.chains().flat_map(|chain| chain.layers.iter().copied());
        std::iter::once(self.upper).chain(lower)
    }

    pub(crate) fn stands_on_image(&self, fingerprint: &str) -> bool {
        self.chains()
            .any(|chain| chain.image.as_deref() == Some(fingerprint))
    }
}
