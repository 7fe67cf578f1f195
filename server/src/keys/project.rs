//! Keys of projects.

use super::{Group, Key, Kind, Scope};

/// Keys of projects.
#[rustfmt::skip]
pub const SCOPE: Scope = Scope {
    entity: "project",
    called: "project key",
    groups: &[Group {
        name: "specific",
        keys: &[Key::new("user.*", Kind::Text, "Free for users").live()],
    }],
};
