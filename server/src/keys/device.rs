//! Keys of devices, by their type.

use super::kind::{self, Kind};
use super::{Group, Key, Scope};
use crate::model::Config;

/// The types of devices, and what each may have besides its type.
const TYPES: &[(&str, &Scope)] = &[
    ("disk", &DISK),
    ("nic", &NIC_BRIDGED),
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
    scope
        .check(&keys)
        .map_err(|wrong| format!("device `{name}`: {wrong}"))
}

/// Whether a device of a type takes another value of a key while its instance runs.
pub fn is_live(kind: &str, key: &str) -> bool {
    let scope = TYPES.iter().find(|(name, _)| *name == kind);
    let key = scope.and_then(|(_, scope)| scope.keys().find(|known| known.is_called(key)));
    key.is_some_and(|key| key.live)
}

#[rustfmt::skip]
const USER: Key = Key::new("user.*", Kind::Text, "Free for users").live();
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

/// Interfaces on a bridge.
#[rustfmt::skip]
pub const NIC_BRIDGED: Scope = Scope {
    entity: "device-nic-bridged",
    called: "key of a NIC",
    groups: &[Group {
        name: "device-conf",
        keys: &[
            Key::new("host_name", Kind::Form(is_interface, "an interface's name of at most 15 bytes"), "Name of its end on the host").or("made from the instance's name"),
            Key::new("hwaddr", kind::MAC, "MAC address").or("chosen once"),
            Key::new("ipv4.address", kind::IPV4, "IPv4 address that DHCP gives it").when("the network has DHCP").live(),
            Key::new("ipv6.address", kind::IPV6, "IPv6 address that DHCP gives it").when("the network has stateful DHCPv6").live(),
            Key::new("limits.egress", kind::BIT_RATE, "Most that the instance sends in a second").or("no limit").live(),
            Key::new("limits.ingress", kind::BIT_RATE, "Most that the instance receives in a second").or("no limit").live(),
            Key::new("limits.max", kind::BIT_RATE, "The same for both").or("no limit").live(),
            Key::new("limits.priority", Kind::Int(0, 0xffff), "Priority of what it sends").or("0").live(),
            Key::new("mtu", Kind::Int(68, 65535), "MTU").or("that of the bridge"),
            Key::new("name", Kind::Form(is_interface, "an interface's name of at most 15 bytes"), "Name in the instance").or("the device's"),
            Key::new("network", Kind::Text, "Managed network that it is plugged into"),
            Key::new("nictype", Kind::OneOf(&["bridged"]), "How it is plugged in").when("there is no network"),
            Key::new("parent", Kind::Form(is_interface, "an interface's name of at most 15 bytes"), "Bridge of the host that it is plugged into").when("there is no network"),
            Key::new("security.acls", Kind::Text, "Network ACLs, joined by commas").live(),
            Key::new("security.acls.default.egress.action", Kind::OneOf(&["allow", "reject", "drop"]), "What becomes of what instances send and no rule speaks of").or("reject").when("there are ACLs").live(),
            Key::new("security.acls.default.egress.logged", Kind::Bool, "Whether it is told of in the kernel's log").or("false").when("there are ACLs").live(),
            Key::new("security.acls.default.ingress.action", Kind::OneOf(&["allow", "reject", "drop"]), "What becomes of what comes for instances and no rule speaks of").or("reject").when("there are ACLs").live(),
            Key::new("security.acls.default.ingress.logged", Kind::Bool, "Whether it is told of in the kernel's log").or("false").when("there are ACLs").live(),
            Key::new("security.ipv4_filtering", Kind::Bool, "Whether it sends from its own IPv4 address only").or("false").live(),
            Key::new("security.ipv6_filtering", Kind::Bool, "Whether it sends from its own IPv6 addresses only").or("false").live(),
            Key::new("security.mac_filtering", Kind::Bool, "Whether it sends from its own MAC address only").or("false").live(),
            Key::new("security.port_isolation", Kind::Bool, "Whether it exchanges nothing with other isolated NICs of the network").or("false"),
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

/// What the kernel takes as a name, see `dev_valid_name` in net/core/dev.c.
pub(super) fn is_interface(text: &str) -> bool {
    (1..=15).contains(&text.len())
        && !matches!(text, "." | "..")
        && !text.contains(['/', ':'])
        && !text.contains(char::is_whitespace)
}
