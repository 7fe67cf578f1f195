//! Keys of storage pools.

use super::kind::{self, Kind};
use super::{Group, Key, Scope};

/// Keys of storage pools.
pub const SCOPE: Scope = Scope {
    entity: "storage",
    called: "storage pool key",
    groups: &[COMMON, BTRFS],
};

/// Keys that only pools of one driver may have.
pub const OF_DRIVERS: &[(&str, Group)] = &[("btrfs", BTRFS)];

#[rustfmt::skip]
const COMMON: Group = Group {
    name: "pool-conf",
    keys: &[
        Key::new("source", Kind::Text, "Directory that holds the pool, or the block device of a btrfs; fixed when it is made").or("a directory of its own in the daemon's; a loop file for btrfs"),
        Key::new("user.*", Kind::Text, "Free for users").live(),
        Key::new("volatile.*", Kind::Text, "Notes of the daemon"),
        Key::new("volume.*", Kind::Text, "What custom volumes of the pool have that are made without it: a key of theirs after the dot").live(),
    ],
};

#[rustfmt::skip]
const BTRFS: Group = Group {
    name: "pool-btrfs-conf",
    keys: &[
        Key::new("btrfs.mount_options", Kind::Text, "Options of its mount, see btrfs(5)").or("user_subvol_rm_allowed").when("the driver is btrfs"),
        Key::new("size", kind::SIZE, "Size of its loop file; may grow").or("a fifth of what is free, 5 to 30 GiB").when("the driver is btrfs").live(),
        Key::new("source.wipe", Kind::Bool, "Whether what is on the block device may be overwritten").or("false").when("the driver is btrfs"),
    ],
};
