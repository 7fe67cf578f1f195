//! Keys of storage volumes.

use super::{Group, Key, Kind, Scope};

/// Keys of storage volumes, whatever their driver.
#[rustfmt::skip]
pub const SCOPE: Scope = Scope {
    entity: "storage-volume",
    called: "storage volume key",
    groups: &[Group {
        name: "volume-conf",
        keys: &[
            Key::new("user.*", Kind::Text, "Free for users").live(),
            Key::new("volatile.*", Kind::Text, "Notes of the daemon"),
        ],
    }],
};
