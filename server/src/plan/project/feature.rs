//! `features.*`: what a project has for itself. What it has not is that of the project `default`.

use crate::model::Config;

/// A kind of things that a project may have for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// Images and their aliases.
    Images,
    /// Profiles.
    Profiles,
    /// Custom storage volumes.
    Volumes,
    /// Storage buckets.
    Buckets,
    /// Networks.
    Networks,
    /// DNS zones.
    Zones,
}

impl Feature {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Images,
        Self::Profiles,
        Self::Volumes,
        Self::Buckets,
        Self::Networks,
        Self::Zones,
    ];

    /// The key that switches it.
    pub fn key(self) -> &'static str {
        match self {
            Self::Images => "features.images",
            Self::Profiles => "features.profiles",
            Self::Volumes => "features.storage.volumes",
            Self::Buckets => "features.storage.buckets",
            Self::Networks => "features.networks",
            Self::Zones => "features.networks.zones",
        }
    }

    /// Whether a new project has it unless it is said otherwise.
    pub fn is_usual(self) -> bool {
        !matches!(self, Self::Networks | Self::Zones)
    }

    /// Whether a project with these keys has it.
    pub fn is_on(self, config: &Config) -> bool {
        crate::keys::is_true(config, self.key())
    }
}
