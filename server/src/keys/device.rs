//! Keys of devices, by their type.

use super::kind::{self, Kind};
use super::{Group, Key, Scope, nic};
use crate::model::Config;

/// The types of devices, and what each may have besides its type.
const TYPES: &[(&str, &Scope)] = &[
    ("disk", &DISK),
    ("nic", &nic::BRIDGED),
    ("none", &NONE),
    ("proxy", &PROXY),
    ("unix-char", &UNIX_CHAR),
];

/// Checks a device by its type.
pub(super) fn check(name: &str, device: &Config) -> Result<(), String> {
    let kind = device.get("type").map_or("", String::as_str);
    let Some((_, scope)) = TYPES.iter().find(|(name, _)| *name == kind) else {
        let known: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
        let known = known.join(", ");
        return Err(if kind.is_empty() {
            format!("device `{name}` needs a type: {known}")
        } else {
            format!("device `{name}` has type `{kind}`, which is not known here: there are {known}")
        });
    };
    let mut keys = device.clone();
    keys.remove("type");
    scope_of(device)
        .unwrap_or(scope)
        .check(&keys)
        .map_err(|wrong| format!("device `{name}`: {wrong}"))
}

/// What a device may have, by its type and, for a NIC, by how it is plugged in.
fn scope_of(device: &Config) -> Option<&'static Scope> {
    let kind = device.get("type").map_or("", String::as_str);
    if kind == "nic" {
        return Some(nic::scope(device));
    }
    let found = TYPES.iter().find(|(name, _)| *name == kind);
    found.map(|(_, scope)| *scope)
}

/// Whether a device takes another value of a key while its instance runs.
pub fn is_live(device: &Config, key: &str) -> bool {
    let key = scope_of(device).and_then(|scope| scope.keys().find(|known| known.is_called(key)));
    key.is_some_and(|key| key.live)
}

#[rustfmt::skip]
pub(super) const USER: Key = Key::new("user.*", Kind::Text, "Free for users").live();
#[rustfmt::skip]
const REQUIRED: Key = Key::new("required", Kind::Bool, "Whether the instance starts only if the source is there").or("true");

/// Root file systems and directories of the host.
#[rustfmt::skip]
pub const DISK: Scope = Scope {
    entity: "device-disk",
    called: "key of a disk",
    groups: &[Group {
        name: "device-conf",
        keys: &[
            Key::new("path", kind::ABSOLUTE_PATH, "Where it is seen in the instance; `/` for its root"),
            Key::new("pool", Kind::Text, "Storage pool of the root, or of the custom volume that is shown"),
            Key::new("propagation", Kind::OneOf(&["private", "slave", "shared", "unbindable", "rprivate", "rslave", "rshared", "runbindable"]), "How mounts on the host and in the instance reach each other").or("private"),
            Key::new("readonly", Kind::Bool, "Whether nothing can be written").or("false"),
            Key::new("recursive", Kind::Bool, "Whether what is mounted below the source is seen too").or("false"),
            REQUIRED,
            Key::new("shift", Kind::Bool, "Whether files that root owns on the host belong to the instance's root").or("false"),
            Key::new("size", kind::SIZE, "What the root may take").or("no limit").when("path is `/`").live(),
            Key::new("source", Kind::Text, "Directory or file of the host, or the custom volume on the pool").when("path is not `/`"),
            USER,
        ],
    }],
};

/// A device that a profile brings, taken away.
const NONE: Scope = Scope {
    entity: "device-none",
    called: "key of a device that is none",
    groups: &[Group {
        name: "device-conf",
        keys: &[USER],
    }],
};

/// Connections that are passed on.
#[rustfmt::skip]
pub const PROXY: Scope = Scope {
    entity: "device-proxy",
    called: "key of a proxy",
    groups: &[Group {
        name: "device-conf",
        keys: &[
            Key::new("bind", Kind::OneOf(&["host", "instance", "container", "guest"]), "Where it listens; it connects on the other side").or("host"),
            Key::new("connect", Kind::Text, "Where it connects: `tcp:ADDRESS:PORTS`, `udp:ADDRESS:PORTS`, `unix:PATH` or `unix:@NAME`"),
            Key::new("gid", Kind::Int(0, 0xffff_ffff), "Group of the unix socket that it listens on").or("0"),
            Key::new("listen", Kind::Text, "Where it listens, written in the same way"),
            Key::new("mode", kind::MODE, "Permissions of the unix socket that it listens on").or("0644"),
            Key::new("nat", Kind::Bool, "Whether rules of the firewall do it instead of a process").or("false").when("the instance has a fixed address"),
            Key::new("proxy_protocol", Kind::Bool, "Whether it tells whom a connection comes from, by version 1 of HAProxy's protocol").or("false"),
            Key::new("security.gid", Kind::Int(0, 0xffff_ffff), "Group that it runs as").or("0"),
            Key::new("security.uid", Kind::Int(0, 0xffff_ffff), "User that it runs as").or("0"),
            Key::new("uid", Kind::Int(0, 0xffff_ffff), "User that owns the unix socket that it listens on").or("0"),
            USER,
        ],
    }],
};

/// Character devices of the host.
#[rustfmt::skip]
pub const UNIX_CHAR: Scope = Scope {
    entity: "device-unix-char",
    called: "key of a character device",
    groups: &[Group {
        name: "device-conf",
        keys: &[
            Key::new("gid", Kind::Int(0, 0xffff_ffff), "Group that owns it in the instance").or("0"),
            Key::new("mode", kind::MODE, "Its permissions in the instance").or("0660"),
            Key::new("path", kind::ABSOLUTE_PATH, "Where it is in the instance").or("the source"),
            REQUIRED,
            Key::new("source", kind::ABSOLUTE_PATH, "Device of the host").or("the path"),
            Key::new("uid", Kind::Int(0, 0xffff_ffff), "User that owns it in the instance").or("0"),
            USER,
        ],
    }],
};
