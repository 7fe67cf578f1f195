//! Keys of projects. What they mean is in [`crate::plan::project`].

use super::{Group, Key, Kind, Scope, kind};
use crate::plan::project::keys::parse_ids;

const BLOCK: Kind = Kind::OneOf(&["block", "allow"]);
const MANAGED: Kind = Kind::OneOf(&["managed", "block", "allow"]);
const IDS: Kind = Kind::Form(
    |text| parse_ids(text).is_some(),
    "ids such as 1000,2000-2999",
);
const RESTRICTED: &str = "restricted=true";

/// Something that is blocked unless it is allowed.
const fn blocked(name: &'static str, about: &'static str) -> Key {
    restricted(name, BLOCK, about).or("block")
}

const fn restricted(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key::new(name, kind, about).when(RESTRICTED).live()
}

const fn limit(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key::new(name, kind, about).or("no limit").live()
}

const fn feature(name: &'static str, about: &'static str) -> Key {
    Key::new(name, Kind::Bool, about)
        .when("the project is empty")
        .live()
}

/// Keys of projects.
#[rustfmt::skip]
pub const SCOPE: Scope = Scope {
    entity: "project",
    called: "project key",
    groups: &[
        Group { name: "features", keys: &[
            feature("features.images", "Images and aliases of its own, instead of those of `default`").or("true"),
            feature("features.networks", "Networks of its own, instead of those of `default`").or("false"),
            feature("features.networks.zones", "DNS zones of its own").or("false"),
            feature("features.profiles", "Profiles of its own, instead of those of `default`").or("true"),
            feature("features.storage.buckets", "Storage buckets of its own; there are none here").or("true"),
            feature("features.storage.volumes", "Custom volumes of its own, instead of those of `default`").or("true"),
        ]},
        Group { name: "limits", keys: &[
            limit("limits.containers", kind::COUNT, "Most containers"),
            limit("limits.cpu", kind::COUNT, "Most CPUs that all instances may use together; each must set `limits.cpu` to a number"),
            limit("limits.disk", kind::SIZE, "Most disk space of instances, custom volumes and images together; each instance's root disk must set `size`"),
            limit("limits.disk.pool.*", kind::SIZE, "Most disk space of instances and custom volumes on that pool together"),
            limit("limits.instances", kind::COUNT, "Most instances"),
            limit("limits.memory", kind::SIZE, "Most memory that all instances may use together; each must set `limits.memory` to a size"),
            limit("limits.networks", kind::COUNT, "Most networks of its own"),
            limit("limits.processes", kind::COUNT, "Most processes of all instances together; each must set `limits.processes`"),
            limit("limits.virtual-machines", kind::COUNT, "Most virtual machines; there are none here"),
        ]},
        Group { name: "restricted", keys: &[
            Key::new("restricted", Kind::Bool, "Forbid what the keys below say, so that who may do all in the project can't reach the host").or("false").live(),
            blocked("restricted.backups", "Backups of instances and volumes"),
            restricted("restricted.cluster.groups", Kind::Text, "Cluster groups; there are none here"),
            blocked("restricted.cluster.target", "Choosing a cluster member; there is one here"),
            restricted("restricted.containers.interception", Kind::OneOf(&["block", "allow", "full"]), "System call interception: none, what is harmless, or all").or("block"),
            blocked("restricted.containers.lowlevel", "Low-level keys: `raw.*`, `linux.kernel_modules`, `limits.memory.swap`, options of mounts, and owners shifted on directories of the host"),
            blocked("restricted.containers.nesting", "`security.nesting=true`"),
            restricted("restricted.containers.privilege", Kind::OneOf(&["unprivileged", "isolated", "allow"]), "`security.privileged`: never, never and always with ids of its own, or as wanted").or("unprivileged"),
            restricted("restricted.devices.disk", MANAGED, "Disk devices: of storage pools, the root disk only, or directories of the host too").or("managed"),
            restricted("restricted.devices.disk.paths", Kind::Text, "Directories of the host below which sources of disk devices must be, joined by commas").or("any"),
            blocked("restricted.devices.gpu", "Devices of type `gpu`"),
            blocked("restricted.devices.infiniband", "Devices of type `infiniband`"),
            restricted("restricted.devices.nic", MANAGED, "Network devices: on networks (`network=`) only, none, or any").or("managed"),
            blocked("restricted.devices.pci", "Devices of type `pci`"),
            blocked("restricted.devices.proxy", "Devices of type `proxy`"),
            blocked("restricted.devices.unix-block", "Devices of type `unix-block`"),
            blocked("restricted.devices.unix-char", "Devices of type `unix-char`"),
            blocked("restricted.devices.unix-hotplug", "Devices of type `unix-hotplug`"),
            blocked("restricted.devices.usb", "Devices of type `usb`"),
            restricted("restricted.idmap.gid", IDS, "Group ids of the host that `raw.idmap` may map").or("none"),
            restricted("restricted.idmap.uid", IDS, "User ids of the host that `raw.idmap` may map").or("none"),
            restricted("restricted.images.servers", Kind::Text, "Host names of image servers that images may come from, joined by commas").or("any"),
            restricted("restricted.networks.access", Kind::Text, "Networks that instances may be on, joined by commas").or("any"),
            restricted("restricted.networks.subnets", Kind::Text, "Subnets of uplinks; there are none here"),
            restricted("restricted.networks.uplinks", Kind::Text, "Uplinks of networks; there are none here"),
            restricted("restricted.networks.zones", Kind::Text, "DNS zones that it may have or name, with all in them, joined by commas").or("none"),
            blocked("restricted.snapshots", "Snapshots of instances and volumes"),
            restricted("restricted.storage-pools.access", Kind::Text, "Storage pools that disks may be on, joined by commas").or("any"),
            blocked("restricted.virtual-machines.lowlevel", "Low-level keys of virtual machines; there are none here"),
        ]},
        Group { name: "specific", keys: &[
            Key::new("user.*", Kind::Text, "Free for users").live(),
        ]},
    ],
};
