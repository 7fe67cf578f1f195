//! Keys of storage pools.

use super::{Group, Key, Kind, Scope};

/// Keys of storage pools, whatever their driver.
#[rustfmt::skip]
pub const SCOPE: Scope = Scope {
    entity: "storage",
    called: "storage pool key",
    groups: &[Group {
        name: "pool-conf",
        keys: &[
            Key::new("source", Kind::Text, "Directory that holds the pool; fixed when it is made").or("a directory of its own in the daemon's"),
            Key::new("user.*", Kind::Text, "Free for users").live(),
            Key::new("volatile.*", Kind::Text, "Notes of the daemon"),
        ],
    }],
};
