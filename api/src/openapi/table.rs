//! The table of routes: one line for each method of each route, with what it takes and gives.

use schemars::{Schema, SchemaGenerator};

use crate::*;

/// A method of a route.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) about: &'static str,
    pub(super) body: Option<fn(&mut SchemaGenerator) -> Schema>,
    pub(super) reply: Option<fn(&mut SchemaGenerator) -> Schema>,
    pub(super) answer: Answer,
}

/// How it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// At once.
    Sync,
    /// By URLs or, with `recursion`, objects.
    List,
    /// By the place of what was made.
    Created,
    /// By an operation.
    Operation,
    /// By something of this type, without an envelope.
    Raw(&'static str),
    /// By a WebSocket or another protocol on the same connection.
    Socket,
}

/// A parameter of the query: its name, what it means, and which routes take it.
type Query = (&'static str, &'static str, fn(&Entry) -> bool);

pub(super) const QUERIES: &[Query] = &[
    ("project", "Project; `default` unless said", |entry| {
        [
            "instances",
            "images",
            "profiles",
            "network",
            "storage-",
            "operations",
            "events",
        ]
        .iter()
        .any(|kind| entry.path.starts_with(&format!("/1.0/{kind}")))
    }),
    (
        "recursion",
        "0: URLs, 1: objects, 2: with all that belongs to them",
        |entry| {
            entry.answer == List
                || ["/1.0/instances/{name}", "/1.0/operations"].contains(&entry.path)
                    && entry.method == "get"
        },
    ),
    (
        "filter",
        "As `name eq web.* and config.user.role ne db`",
        |entry| entry.answer == List,
    ),
    (
        "instance-type",
        "`container`; there is nothing of any other kind",
        |entry| entry.path == "/1.0/instances" && entry.method == "get",
    ),
    ("all-projects", "Those of all projects", |entry| {
        [
            "instances",
            "images",
            "profiles",
            "networks",
            "operations",
            "events",
        ]
        .iter()
        .any(|kind| entry.path == format!("/1.0/{kind}") && entry.method == "get")
    }),
    (
        "path",
        "Path in the instance, or name of the template",
        |entry| entry.path.ends_with("/files") || entry.path.ends_with("/templates"),
    ),
    ("timeout", "Seconds; -1 waits until its end", |entry| {
        entry.path.ends_with("/wait")
    }),
    (
        "secret",
        "Which stream, or what lets in without trust",
        |entry| {
            ["websocket", "{fingerprint}/export", "images/{fingerprint}"]
                .iter()
                .any(|end| entry.path.ends_with(end) && entry.method == "get")
        },
    ),
    (
        "type",
        "`operation`, `lifecycle` or `logging`, with commas between",
        |entry| entry.path == "/1.0/events",
    ),
];

const BYTES: &str = "application/octet-stream";

/// `method "path" "about" Answer[, body Type][, reply Type];`
macro_rules! entries {
    ($($method:ident $path:literal $about:literal $answer:expr $(, body $body:ty)? $(, reply $reply:ty)?;)*) => {
        &[$(Entry {
            method: stringify!($method),
            path: $path,
            about: $about,
            body: entries!(@schema $($body)?),
            reply: entries!(@schema $($reply)?),
            answer: $answer,
        }),*]
    };
    (@schema) => { None };
    (@schema $type:ty) => { Some(|generator| generator.subschema_for::<$type>()) };
}

use Answer::{Created, List, Operation as Op, Raw, Socket, Sync};

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = entries! {
    get "/" "Versions of the API" Sync, reply Vec<String>;
    get "/1.0" "The server" Sync, reply Server;
    put "/1.0" "Replace the server's keys" Sync, body ServerPut;
    patch "/1.0" "Change the server's keys" Sync, body ServerPut;
    get "/1.0/certificates" "Trusted certificates" List, reply Certificate;
    post "/1.0/certificates" "Trust a certificate, or make a token" Created, body CertificatesPost;
    get "/1.0/certificates/{fingerprint}" "A trusted certificate" Sync, reply Certificate;
    put "/1.0/certificates/{fingerprint}" "Replace it" Sync, body CertificatePut;
    patch "/1.0/certificates/{fingerprint}" "Change it" Sync, body CertificatePut;
    delete "/1.0/certificates/{fingerprint}" "Trust it no more" Sync;
    get "/1.0/cluster" "The server's place in a cluster" Sync, reply Cluster;
    get "/1.0/events" "What happens" Socket;
    get "/1.0/images" "Images" List, reply Image;
    post "/1.0/images" "Bring an image" Op, body ImagesPost;
    get "/1.0/images/aliases" "Names of images" List, reply ImageAliasesEntry;
    post "/1.0/images/aliases" "Name an image" Created, body ImageAliasesEntry;
    get "/1.0/images/aliases/{*name}" "A name of an image" Sync, reply ImageAliasesEntry;
    post "/1.0/images/aliases/{*name}" "Rename it" Created, body ImageAliasesEntryPost;
    put "/1.0/images/aliases/{*name}" "Replace it" Sync, body ImageAliasesEntryPut;
    patch "/1.0/images/aliases/{*name}" "Change it" Sync, body ImageAliasesEntryPut;
    delete "/1.0/images/aliases/{*name}" "Delete it" Sync;
    get "/1.0/images/{fingerprint}" "An image" Sync, reply Image;
    put "/1.0/images/{fingerprint}" "Replace its properties" Sync, body ImagePut;
    patch "/1.0/images/{fingerprint}" "Change its properties" Sync, body ImagePut;
    delete "/1.0/images/{fingerprint}" "Delete it" Op;
    get "/1.0/images/{fingerprint}/export" "Its files" Raw(BYTES);
    post "/1.0/images/{fingerprint}/export" "Send it to another server" Op, body ImageExportPost;
    post "/1.0/images/{fingerprint}/secret" "Make a secret that opens it once" Op;
    post "/1.0/images/{fingerprint}/refresh" "Look for a newer one" Op;
    get "/1.0/instances" "Instances" List, reply InstanceFull;
    get "/1.0/virtual-machines" "Virtual machines: there are none" Sync, reply String;
    post "/1.0/instances" "Make an instance; a body of `application/octet-stream` is a backup" Op, body InstancesPost;
    put "/1.0/instances" "Start, stop, freeze or restart all" Op, body InstancesPut;
    get "/1.0/instances/{name}" "An instance" Sync, reply InstanceFull;
    post "/1.0/instances/{name}" "Rename it" Op, body InstancePost;
    put "/1.0/instances/{name}" "Replace its configuration, or restore a snapshot" Op, body InstancePut;
    patch "/1.0/instances/{name}" "Change its configuration" Sync, body InstancePut;
    delete "/1.0/instances/{name}" "Delete it" Op;
    get "/1.0/instances/{name}/backups" "Its backups" List, reply InstanceBackup;
    post "/1.0/instances/{name}/backups" "Make a backup" Op, body InstanceBackupsPost;
    get "/1.0/instances/{name}/backups/{backup}" "A backup" Sync, reply InstanceBackup;
    post "/1.0/instances/{name}/backups/{backup}" "Rename it" Op, body InstanceBackupPost;
    delete "/1.0/instances/{name}/backups/{backup}" "Delete it" Op;
    get "/1.0/instances/{name}/backups/{backup}/export" "Its file" Raw(BYTES);
    get "/1.0/instances/{name}/console" "What its console said" Raw(BYTES);
    post "/1.0/instances/{name}/console" "Attach to its console" Op, body InstanceConsolePost;
    delete "/1.0/instances/{name}/console" "Forget what its console said" Sync;
    post "/1.0/instances/{name}/exec" "Run a command" Op, body InstanceExecPost;
    get "/1.0/instances/{name}/files" "A file or directory of it" Raw(BYTES);
    head "/1.0/instances/{name}/files" "Owner, mode and type of a file" Raw(BYTES);
    post "/1.0/instances/{name}/files" "Write a file" Sync;
    delete "/1.0/instances/{name}/files" "Delete a file" Sync;
    get "/1.0/instances/{name}/logs" "Its logs" Sync, reply Vec<String>;
    get "/1.0/instances/{name}/logs/exec-output" "Recorded output of commands" Sync, reply Vec<String>;
    get "/1.0/instances/{name}/logs/exec-output/{file}" "Output of a command" Raw(BYTES);
    delete "/1.0/instances/{name}/logs/exec-output/{file}" "Delete it" Sync;
    get "/1.0/instances/{name}/logs/{file}" "A log" Raw(BYTES);
    delete "/1.0/instances/{name}/logs/{file}" "Delete it" Sync;
    post "/1.0/instances/{name}/rebuild" "Make its root anew" Op, body InstanceRebuildPost;
    get "/1.0/instances/{name}/metadata" "Metadata of its image" Sync, reply ImageMetadata;
    put "/1.0/instances/{name}/metadata" "Replace it" Sync, body ImageMetadata;
    patch "/1.0/instances/{name}/metadata" "Change it" Sync, body ImageMetadata;
    get "/1.0/instances/{name}/metadata/templates" "Names of its templates, or the one at `path`" Sync, reply Vec<String>;
    post "/1.0/instances/{name}/metadata/templates" "Write a template" Sync;
    delete "/1.0/instances/{name}/metadata/templates" "Delete a template" Sync;
    get "/1.0/instances/{name}/sftp" "Its files by SFTP, after `Upgrade: sftp`" Socket;
    get "/1.0/instances/{name}/snapshots" "Its snapshots" List, reply InstanceSnapshot;
    post "/1.0/instances/{name}/snapshots" "Take a snapshot" Op, body InstanceSnapshotsPost;
    get "/1.0/instances/{name}/snapshots/{snapshot}" "A snapshot" Sync, reply InstanceSnapshot;
    post "/1.0/instances/{name}/snapshots/{snapshot}" "Rename it" Op, body InstanceSnapshotPost;
    put "/1.0/instances/{name}/snapshots/{snapshot}" "Replace its expiry" Op, body InstanceSnapshotPut;
    patch "/1.0/instances/{name}/snapshots/{snapshot}" "Change its expiry" Op, body InstanceSnapshotPut;
    delete "/1.0/instances/{name}/snapshots/{snapshot}" "Delete it" Op;
    get "/1.0/instances/{name}/state" "What it is doing" Sync, reply InstanceState;
    put "/1.0/instances/{name}/state" "Start, stop, freeze or restart it" Op, body InstanceStatePut;
    get "/1.0/metadata/configuration" "All configuration keys" Sync, reply MetadataConfiguration;
    get "/1.0/metrics" "Figures for monitoring" Raw("application/openmetrics-text");
    get "/1.0/network-acls" "Access control lists of networks" List, reply NetworkAcl;
    post "/1.0/network-acls" "Make a list" Created, body NetworkAclsPost;
    get "/1.0/network-acls/{name}" "An access control list" Sync, reply NetworkAcl;
    post "/1.0/network-acls/{name}" "Rename it" Created, body NetworkAclPost;
    put "/1.0/network-acls/{name}" "Replace it" Sync, body NetworkAclPut;
    patch "/1.0/network-acls/{name}" "Change it" Sync, body NetworkAclPut;
    delete "/1.0/network-acls/{name}" "Delete it" Sync;
    get "/1.0/network-acls/{name}/log" "What its rules wrote to the kernel's log" Raw(BYTES);
    get "/1.0/network-allocations" "Addresses that are in use" Sync, reply Vec<NetworkAllocation>;
    get "/1.0/network-zones" "DNS zones" List, reply NetworkZone;
    post "/1.0/network-zones" "Make a zone" Created, body NetworkZonesPost;
    get "/1.0/network-zones/{name}" "A DNS zone" Sync, reply NetworkZone;
    put "/1.0/network-zones/{name}" "Replace its keys" Sync, body NetworkZonePut;
    patch "/1.0/network-zones/{name}" "Change its keys" Sync, body NetworkZonePut;
    delete "/1.0/network-zones/{name}" "Delete it" Sync;
    get "/1.0/network-zones/{name}/records" "Records beside those of instances" List, reply NetworkZoneRecord;
    post "/1.0/network-zones/{name}/records" "Make a record" Created, body NetworkZoneRecordsPost;
    get "/1.0/network-zones/{name}/records/{record}" "A record" Sync, reply NetworkZoneRecord;
    put "/1.0/network-zones/{name}/records/{record}" "Replace it" Sync, body NetworkZoneRecordPut;
    patch "/1.0/network-zones/{name}/records/{record}" "Change it" Sync, body NetworkZoneRecordPut;
    delete "/1.0/network-zones/{name}/records/{record}" "Delete it" Sync;
    get "/1.0/networks" "Networks" List, reply Network;
    post "/1.0/networks" "Make a network" Created, body NetworksPost;
    get "/1.0/networks/{name}" "A network" Sync, reply Network;
    put "/1.0/networks/{name}" "Replace its keys" Sync, body NetworkPut;
    patch "/1.0/networks/{name}" "Change its keys" Sync, body NetworkPut;
    delete "/1.0/networks/{name}" "Delete it" Sync;
    post "/1.0/networks/{name}" "Rename it" Created, body NetworkPost;
    get "/1.0/networks/{name}/forwards" "Addresses that are forwarded" List, reply NetworkForward;
    post "/1.0/networks/{name}/forwards" "Forward an address" Created, body NetworkForwardsPost;
    get "/1.0/networks/{name}/forwards/{address}" "What an address is forwarded to" Sync, reply NetworkForward;
    put "/1.0/networks/{name}/forwards/{address}" "Replace it" Sync, body NetworkForwardPut;
    patch "/1.0/networks/{name}/forwards/{address}" "Change it" Sync, body NetworkForwardPut;
    delete "/1.0/networks/{name}/forwards/{address}" "Forward it no more" Sync;
    get "/1.0/networks/{name}/leases" "Addresses that are given out" Sync, reply Vec<NetworkLease>;
    get "/1.0/networks/{name}/state" "Its addresses and counters" Sync, reply NetworkState;
    get "/1.0/openapi.json" "This document" Raw("application/json");
    get "/1.0/operations" "Operations, by their status" Sync;
    get "/1.0/operations/{id}" "An operation" Sync, reply Operation;
    delete "/1.0/operations/{id}" "Cancel it" Sync;
    get "/1.0/operations/{id}/wait" "Wait for its end" Sync, reply Operation;
    get "/1.0/operations/{id}/websocket" "One of its streams" Socket;
    get "/1.0/profiles" "Profiles" List, reply Profile;
    post "/1.0/profiles" "Make a profile" Created, body ProfilesPost;
    get "/1.0/profiles/{name}" "A profile" Sync, reply Profile;
    post "/1.0/profiles/{name}" "Rename it" Created, body ProfilePost;
    put "/1.0/profiles/{name}" "Replace it" Sync, body ProfilePut;
    patch "/1.0/profiles/{name}" "Change it" Sync, body ProfilePut;
    delete "/1.0/profiles/{name}" "Delete it" Sync;
    get "/1.0/projects" "Projects" List, reply Project;
    post "/1.0/projects" "Make a project" Created, body ProjectsPost;
    get "/1.0/projects/{name}" "A project" Sync, reply Project;
    post "/1.0/projects/{name}" "Rename it" Op, body ProjectPost;
    put "/1.0/projects/{name}" "Replace it" Sync, body ProjectPut;
    patch "/1.0/projects/{name}" "Change it" Sync, body ProjectPut;
    delete "/1.0/projects/{name}" "Delete it" Sync;
    get "/1.0/projects/{name}/state" "What it uses of its limits" Sync, reply ProjectState;
    get "/1.0/resources" "What the host is made of" Sync, reply Resources;
    get "/1.0/storage-pools" "Storage pools" List, reply StoragePool;
    post "/1.0/storage-pools" "Make a storage pool" Created, body StoragePoolsPost;
    get "/1.0/storage-pools/{name}" "A storage pool" Sync, reply StoragePool;
    put "/1.0/storage-pools/{name}" "Replace its keys" Sync, body StoragePoolPut;
    patch "/1.0/storage-pools/{name}" "Change its keys" Sync, body StoragePoolPut;
    delete "/1.0/storage-pools/{name}" "Delete it" Sync;
    get "/1.0/storage-pools/{name}/resources" "Space and inodes" Sync, reply ResourcesStoragePool;
    get "/1.0/storage-pools/{pool}/volumes" "Volumes" List, reply StorageVolume;
    post "/1.0/storage-pools/{pool}/volumes" "Make or copy a volume" Created, body StorageVolumesPost;
    get "/1.0/storage-pools/{pool}/volumes/{kind}" "Volumes of a type" List, reply StorageVolume;
    post "/1.0/storage-pools/{pool}/volumes/{kind}" "Make or copy a volume of a type; a body of `application/octet-stream` is a backup" Created, body StorageVolumesPost;
    get "/1.0/storage-pools/{pool}/volumes/{kind}/{name}" "A volume" Sync, reply StorageVolume;
    post "/1.0/storage-pools/{pool}/volumes/{kind}/{name}" "Rename it, or move it to another pool or project" Created, body StorageVolumePost;
    put "/1.0/storage-pools/{pool}/volumes/{kind}/{name}" "Replace its keys, or restore a snapshot" Sync, body StorageVolumePut;
    patch "/1.0/storage-pools/{pool}/volumes/{kind}/{name}" "Change its keys" Sync, body StorageVolumePut;
    delete "/1.0/storage-pools/{pool}/volumes/{kind}/{name}" "Delete it" Sync;
    get "/1.0/storage-pools/{pool}/volumes/{kind}/{name}/backups" "Its backups" List, reply StorageVolumeBackup;
    post "/1.0/storage-pools/{pool}/volumes/{kind}/{name}/backups" "Make a backup" Op, body StorageVolumeBackupsPost;
    get "/1.0/storage-pools/{pool}/volumes/{kind}/{name}/backups/{backup}" "A backup" Sync, reply StorageVolumeBackup;
    post "/1.0/storage-pools/{pool}/volumes/{kind}/{name}/backups/{backup}" "Rename it" Op, body StorageVolumeBackupPost;
    delete "/1.0/storage-pools/{pool}/volumes/{kind}/{name}/backups/{backup}" "Delete it" Op;
    get "/1.0/storage-pools/{pool}/volumes/{kind}/{name}/backups/{backup}/export" "Its file" Raw(BYTES);
    get "/1.0/storage-pools/{pool}/volumes/{kind}/{name}/snapshots" "Its snapshots" List, reply StorageVolumeSnapshot;
    post "/1.0/storage-pools/{pool}/volumes/{kind}/{name}/snapshots" "Take a snapshot" Op, body StorageVolumeSnapshotsPost;
    get "/1.0/storage-pools/{pool}/volumes/{kind}/{name}/snapshots/{snapshot}" "A snapshot" Sync, reply StorageVolumeSnapshot;
    post "/1.0/storage-pools/{pool}/volumes/{kind}/{name}/snapshots/{snapshot}" "Rename it" Op, body StorageVolumeSnapshotPost;
    put "/1.0/storage-pools/{pool}/volumes/{kind}/{name}/snapshots/{snapshot}" "Replace its expiry" Sync, body StorageVolumeSnapshotPut;
    patch "/1.0/storage-pools/{pool}/volumes/{kind}/{name}/snapshots/{snapshot}" "Change its expiry" Sync, body StorageVolumeSnapshotPut;
    delete "/1.0/storage-pools/{pool}/volumes/{kind}/{name}/snapshots/{snapshot}" "Delete it" Op;
    get "/1.0/storage-pools/{pool}/volumes/{kind}/{name}/state" "What it uses of its size" Sync, reply StorageVolumeState;
    get "/1.0/storage-volumes" "Volumes of all pools" List, reply StorageVolume;
    get "/1.0/storage-volumes/{kind}" "Volumes of a type, of all pools" List, reply StorageVolume;
    get "/1.0/warnings" "Warnings" List, reply Warning;
    get "/1.0/warnings/{uuid}" "A warning" Sync, reply Warning;
    put "/1.0/warnings/{uuid}" "Acknowledge it" Sync, body WarningPut;
    patch "/1.0/warnings/{uuid}" "Acknowledge it" Sync, body WarningPut;
    delete "/1.0/warnings/{uuid}" "Delete it" Sync;
};
