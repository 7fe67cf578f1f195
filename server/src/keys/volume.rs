//! Keys of storage volumes.

use super::kind::{self, Kind};
use super::{Group, Key, Scope};

/// Keys of custom storage volumes, whatever their driver.
#[rustfmt::skip]
pub const SCOPE: Scope = Scope {
    entity: "storage-volume",
    called: "storage volume key",
    groups: &[Group {
        name: "volume-conf",
        keys: &[
            Key::new("initial.gid", Kind::Int(0, 0xffff_ffff), "Group of its root directory").or("0").when("the volume is being made"),
            Key::new("initial.mode", kind::MODE, "Permissions of its root directory").or("0711").when("the volume is being made"),
            Key::new("initial.uid", Kind::Int(0, 0xffff_ffff), "Owner of its root directory").or("0").when("the volume is being made"),
            Key::new("security.shifted", Kind::Bool, "Whether several instances with ids of their own may share it: they always may").or("true"),
            Key::new("security.unmapped", Kind::Bool, "Whether ids are those of the host").or("false"),
            Key::new("size", kind::SIZE, "What it may take").or("no limit").when("the pool has quotas").live(),
            Key::new("snapshots.expiry", kind::LIFETIME, "How long its snapshots are kept: `2w 3d`, units M H d w m y").or("for ever").live(),
            Key::new("snapshots.pattern", Kind::Text, "Name of its snapshots: `%d` is a number, `{{ creation_date|date:'2006-01-02' }}` a time").or("snap%d").live(),
            Key::new("snapshots.schedule", kind::SCHEDULE, "When snapshots are taken").or("never").live(),
            Key::new("user.*", Kind::Text, "Free for users").live(),
            Key::new("volatile.*", Kind::Text, "Notes of the daemon"),
        ],
    }],
};
