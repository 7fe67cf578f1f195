//! What `volume.json` says: on which layers a volume and its snapshots stand. A layer that no record names does
//! not exist, whatever is on disk; replacing the record is what makes a change happen.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rlxc_sys::file::{self, Durability};
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

    pub(crate) fn load(dir: &Path) -> Result<Self, Cause> {
        parse_json(&Self::path(dir))
    }

    /// Replaces the record on disk; durable when it returns.
    pub(crate) fn save(&self, dir: &Path) -> Result<(), Cause> {
        let path = Self::path(dir);
        let mut text = serde_json::to_vec(self).map_err(|source| Cause::Parse {
            path: path.clone(),
            source,
        })?;
        text.push(b'\n');
        file::write_atomic(&path, &text, 0o600, Durability::Durable)?;
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
