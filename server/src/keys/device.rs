//! Keys of devices, by their type.

use super::kind::{self, Kind};
use super::{Group, Key, Scope, nic};
use std::path::Path;

use crate::model::Config;
use crate::plan::conflicts;

/// The types of devices, and what each may have besides its type.
const TYPES: &[(&str, &Scope)] = &[
    ("disk", &DISK),
    ("gpu", &GPU),
    ("infiniband", &INFINIBAND),
    ("nic", &nic::BRIDGED),
    ("none", &NONE),
    ("proxy", &PROXY),
    ("tpm", &TPM),
    ("unix-block", &UNIX_BLOCK),
    ("unix-char", &UNIX_CHAR),
    ("unix-hotplug", &UNIX_HOTPLUG),
    ("usb", &USB),
];

/// Types that LXD and Incus know besides, and why they are not here.
const ABSENT: &[(&str, &str)] = &[
    (
        "pci",
        "containers have no bus of their own, only virtual machines do",
    ),
    ("unix", "say `unix-char` or `unix-block`"),
];

/// Checks a device by its type.
pub(super) fn check(name: &str, device: &Config) -> Result<(), String> {
    let kind = device.get("type").map_or("", String::as_str);
    if let Some((_, lacks)) = ABSENT.iter().find(|(name, _)| *name == kind) {
        return Err(format!(
            "device `{name}` has type `{kind}`, which is not to be had here: {lacks}"
        ));
    }
    let Some((_, scope)) = TYPES.iter().find(|(name, _)| *name == kind) else {
        let known: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
        let known = known.join(", ");
        return Err(if kind.is_empty() {
            format!("device `{name}` needs a type: {known}")
        } else {
            format!("device `{name}` has type `{kind}`, which is not known here: there are {known}")
        });
    };
    if kind == "infiniband"
        && device
            .get("nictype")
            .is_some_and(|nictype| nictype == "sriov")
    {
        return Err(format!(
            "device `{name}`: `nictype=sriov` is not to be had here, for nothing chooses a virtual function: give the interface of one as the `parent`, with `nictype=physical`"
        ));
    }
    let mut keys = device.clone();
    keys.remove("type");
    scope_of(device)
        .unwrap_or(scope)
        .check(&keys)
        .and_then(|()| check_whole(kind, &keys))
        .map_err(|wrong| format!("device `{name}`: {wrong}"))
}

/// What only several keys together tell.
fn check_whole(kind: &str, keys: &Config) -> Result<(), String> {
    let has = |key: &str| keys.get(key).is_some_and(|value| !value.is_empty());
    let leads_back = |key: &str| {
        let path = keys.get(key);
        path.is_some_and(|path| path.split('/').any(|part| part == ".."))
    };
    match kind {
        "unix-char" | "unix-block" if !has("source") && !has("path") => {
            Err("needs a `source` or a `path`".to_owned())
        }
        "disk" | "unix-char" | "unix-block" if leads_back("path") => {
            Err("`path` leads back by `..`: write where it is to be".to_owned())
        }
        "disk" | "unix-char" | "unix-block" if covers(keys) => Err(format!(
            "`path={}` would hide the instance's own, without which nothing in it runs: it can be below that, or elsewhere",
            keys.get("path").map_or("", String::as_str)
        )),
        "unix-char" | "unix-block" if is_elsewhere(keys) && ORDERED.iter().any(|key| has(key)) => Err(format!(
            "`path={}` is not below `/dev`: the host's own node is shown there, and of {} none can be chosen",
            keys.get("path").map_or("", String::as_str),
            ORDERED.map(|key| format!("`{key}`")).join(", "),
        )),
        "infiniband" if !has("nictype") => Err("needs `nictype=physical`".to_owned()),
        "infiniband" if !has("parent") => Err("needs `parent`, an interface of an RDMA adapter of the host".to_owned()),
        "nic" if has("network") && (has("nictype") || has("parent")) => {
            let key = if has("nictype") { "nictype" } else { "parent" };
            Err(format!("`{key}` has no effect beside `network`, which tells how it is plugged in: unset one of them"))
        }
        "tpm" if leads_back("path") || leads_back("pathrm") => Err("its path leads back by `..`".to_owned()),
        "tpm" if tpm_path(keys, "path") == tpm_path(keys, "pathrm") => {
            Err("`path` and `pathrm` are the same".to_owned())
        }
        "unix-char" | "unix-block" if has("major") != has("minor") => {
            Err("`major` and `minor` go together".to_owned())
        }
        "unix-hotplug" if !["vendorid", "productid", "subsystem"].iter().any(|key| has(key)) => {
            Err("needs a `vendorid`, a `productid` or a `subsystem`: all devices of the host are not meant".to_owned())
        }
        _ => Ok(()),
    }
}

/// What a node that is made for an instance is like.
const ORDERED: [&str; 5] = ["major", "minor", "uid", "gid", "mode"];

/// Whether a node is not made, but shown as the host has it.
fn is_elsewhere(keys: &Config) -> bool {
    let path = keys.get("path").filter(|path| !path.is_empty());
    path.is_some_and(|path| !conflicts::plain(path).starts_with("/dev"))
}

/// Whether a device would be in place of what the instance is given at its start.
fn covers(keys: &Config) -> bool {
    const OWN: [&str; 3] = ["/dev", "/proc", "/sys"];
    let path = keys.get("path").map(|path| conflicts::plain(path));
    path.is_some_and(|path| OWN.iter().any(|own| path == Path::new(own)))
}

/// Where a node of a TPM is in its instance: `path`, or `pathrm` for the one whose resources the kernel manages.
pub fn tpm_path<'a>(keys: &'a Config, key: &str) -> &'a str {
    let set = keys.get(key).filter(|path| !path.is_empty());
    let known = TPM.keys().find(|known| known.name == key);
    set.map_or_else(|| known.map_or("", |known| known.default), String::as_str)
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

const DISK_RATE: Kind = Kind::Form(
    |text| crate::app::instance::limits::parse_rate(text).is_some(),
    "a rate such as 10MB or 100iops",
);

/// Root file systems and directories of the host.
#[rustfmt::skip]
pub const DISK: Scope = Scope {
    entity: "device-disk",
    called: "key of a disk",
    groups: &[Group {
        name: "device-conf",
        keys: &[
            Key::new("limits.max", DISK_RATE, "The same for reading and writing").or("no limit").live(),
            Key::new("limits.read", DISK_RATE, "Most that is read from its disk in a second").or("no limit").live(),
            Key::new("limits.write", DISK_RATE, "Most that is written to its disk in a second").or("no limit").live(),
            Key::new("path", kind::ABSOLUTE_PATH, "Where it is seen in the instance; `/` for its root"),
            Key::new("pool", Kind::Text, "Storage pool of the root, or of the custom volume that is shown"),
            Key::new("propagation", Kind::OneOf(&["private", "slave", "shared", "unbindable", "rprivate", "rslave", "rshared", "runbindable"]), "How mounts on the host and in the instance reach each other").or("private"),
            Key::new("raw.mount.options", Kind::Text, "Options of the mount, joined by commas; of the file system too where the source is a block device").or("none"),
            Key::new("readonly", Kind::Bool, "Whether nothing can be written").or("false"),
            Key::new("recursive", Kind::Bool, "Whether what is mounted below the source is seen too").or("false"),
            REQUIRED,
            Key::new("shift", Kind::Bool, "Whether files that root owns on the host belong to the instance's root").or("false"),
            Key::new("size", kind::SIZE, "What the root may take").or("no limit").when("path is `/`").live(),
            Key::new("source", Kind::Text, "Directory, file or block device of the host, or the custom volume on the pool").when("path is not `/`"),
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

/// An emulated TPM.
#[rustfmt::skip]
pub const TPM: Scope = Scope {
    entity: "device-tpm",
    called: "key of a TPM",
    groups: &[Group {
        name: "device-conf",
        keys: &[
            Key::new("path", kind::ABSOLUTE_PATH, "Where it is in the instance").or("/dev/tpm0"),
            Key::new("pathrm", kind::ABSOLUTE_PATH, "Where it is in the instance for programs that share it: the kernel manages its resources there").or("/dev/tpmrm0"),
            USER,
        ],
    }],
};

#[rustfmt::skip]
const GID: Key = Key::new("gid", Kind::Int(0, 0xffff_ffff), "Group that owns it in the instance").or("0");
#[rustfmt::skip]
const UID: Key = Key::new("uid", Kind::Int(0, 0xffff_ffff), "User that owns it in the instance").or("0");
#[rustfmt::skip]
const MODE: Key = Key::new("mode", kind::MODE, "Its permissions in the instance").or("0660");
#[rustfmt::skip]
const PRODUCT: Key = Key::new("productid", Kind::Form(is_hex, "an id such as 6001"), "Product that it must be").or("any");
#[rustfmt::skip]
const VENDOR: Key = Key::new("vendorid", Kind::Form(is_hex, "an id such as 0403"), "Vendor that it must be of").or("any");
#[rustfmt::skip]
const WAITED_FOR: Key = Key::new("required", Kind::Bool, "Whether the instance starts only if it is there").or("false");

#[rustfmt::skip]
const NODE: &[Group] = &[Group {
    name: "device-conf",
    keys: &[
        GID,
        Key::new("major", Kind::Int(0, 0xfff), "Its major number").or("that of the source").when("`minor` is set too"),
        Key::new("minor", Kind::Int(0, 0xf_ffff), "Its minor number").or("that of the source").when("`major` is set too"),
        MODE,
        Key::new("path", kind::ABSOLUTE_PATH, "Where it is in the instance").or("the source"),
        Key::new("required", Kind::Bool, "Whether the instance starts only if the source is there; else it gets it when it comes").or("true"),
        Key::new("source", kind::ABSOLUTE_PATH, "Device of the host").or("the path"),
        UID,
        USER,
    ],
}];

/// Character devices of the host.
pub const UNIX_CHAR: Scope = Scope {
    entity: "device-unix-char",
    called: "key of a character device",
    groups: NODE,
};

/// Block devices of the host.
pub const UNIX_BLOCK: Scope = Scope {
    entity: "device-unix-block",
    called: "key of a block device",
    groups: NODE,
};

/// Devices of the host that come and go.
#[rustfmt::skip]
pub const UNIX_HOTPLUG: Scope = Scope {
    entity: "device-unix-hotplug",
    called: "key of a hotplugged device",
    groups: &[Group {
        name: "device-conf",
        keys: &[
            GID,
            MODE,
            PRODUCT,
            WAITED_FOR,
            Key::new("subsystem", Kind::Text, "Subsystem of the kernel that it must be of").or("any"),
            UID,
            USER,
            VENDOR,
        ],
    }],
};

/// Whole devices on USB.
#[rustfmt::skip]
pub const USB: Scope = Scope {
    entity: "device-usb",
    called: "key of a USB device",
    groups: &[Group {
        name: "device-conf",
        keys: &[
            Key::new("busnum", Kind::Int(0, 0xffff), "Bus that it must be on").or("any"),
            Key::new("devnum", Kind::Int(0, 0xffff), "Number on the bus that it must have").or("any"),
            GID,
            MODE,
            PRODUCT,
            WAITED_FOR,
            Key::new("serial", Kind::Text, "Serial number that it must have").or("any"),
            UID,
            USER,
            VENDOR,
        ],
    }],
};

/// Graphics: the nodes in `/dev/dri`.
#[rustfmt::skip]
pub const GPU: Scope = Scope {
    entity: "device-gpu-physical",
    called: "key of a GPU",
    groups: &[Group {
        name: "device-conf",
        keys: &[
            GID,
            Key::new("gputype", Kind::OneOf(&["physical"]), "How it is shared: the whole of it with the host").or("physical"),
            Key::new("id", Kind::Int(0, 0xffff), "Number of its card").or("any"),
            MODE,
            Key::new("pci", Kind::Text, "Its address on PCI, such as 0000:00:02.0").or("any"),
            PRODUCT,
            UID,
            USER,
            VENDOR,
        ],
    }],
};

/// Interfaces of RDMA adapters, and the nodes of these.
#[rustfmt::skip]
pub const INFINIBAND: Scope = Scope {
    entity: "device-infiniband",
    called: "key of an InfiniBand device",
    groups: &[Group {
        name: "device-conf",
        keys: &[
            Key::new("hwaddr", kind::IPOIB, "Its address, of which the last 8 bytes can be chosen, or these alone").or("its own").when("it is an interface of IP over InfiniBand"),
            Key::new("mtu", Kind::Int(68, 65535), "MTU").or("its own"),
            Key::new("name", kind::INTERFACE, "Name in the instance").or("the device's"),
            Key::new("nictype", Kind::OneOf(&["physical"]), "How the instance gets it: the host lends it"),
            Key::new("parent", kind::INTERFACE, "Interface of the host that is lent, with the nodes of its adapter"),
            USER,
        ],
    }],
};

fn is_hex(text: &str) -> bool {
    (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
