//! Domain values: what the inventory holds, free of SQL and of JSON.

use std::collections::BTreeMap;

/// Configuration keys and their values.
pub type Config = BTreeMap<String, String>;
/// Devices by name, each with its keys.
pub type Devices = BTreeMap<String, Config>;

/// An instance as the inventory knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The id that names it on disk, in cgroups and in `/run`.
    pub id: i64,
    /// Its project.
    pub project: String,
    /// Its name, unique in the project.
    pub name: String,
    /// As `uname -m` tells it.
    pub architecture: String,
    /// Free text.
    pub description: String,
    /// Whether it is deleted when it stops.
    pub ephemeral: bool,
    /// The pool of its root volume.
    pub pool: String,
    /// The first host id of its own range.
    pub idmap_base: Option<u32>,
    /// How many ids that range has.
    pub idmap_size: u32,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339, of its last start.
    pub last_used_at: Option<String>,
    /// Its own keys.
    pub config: Config,
    /// Its own devices.
    pub devices: Devices,
    /// Its profiles, the first weakest.
    pub profiles: Vec<String>,
    /// Its snapshots, the oldest first.
    pub snapshots: Vec<Snapshot>,
}

/// A snapshot: what the instance was at a moment.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Snapshot {
    /// The id that names it on disk.
    pub id: i64,
    /// Its name, unique in the instance.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Of the instance then.
    pub ephemeral: bool,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339; when it may be removed.
    pub expires_at: Option<String>,
    /// The instance's own keys then.
    pub config: Config,
    /// The instance's own devices then.
    pub devices: Devices,
    /// The instance's profiles then.
    pub profiles: Vec<String>,
}

/// Whose a backup is, by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupOwner {
    /// An instance's.
    Instance(i64),
    /// A custom volume's.
    Volume(i64),
}

/// A backup of an instance or of a custom volume: a file that waits to be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// The id that names it on disk.
    pub id: i64,
    /// Whose it is.
    pub owner: BackupOwner,
    /// Its name, unique among those of its owner.
    pub name: String,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339; when it is removed.
    pub expires_at: Option<String>,
    /// Whether it was made without the snapshots.
    pub without_snapshots: bool,
    /// Whether it is in the pool's own format.
    pub optimized: bool,
}

/// A profile: keys and devices that instances share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its row.
    pub id: i64,
    /// Its project.
    pub project: String,
    /// Its name, unique in the project.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Keys.
    pub config: Config,
    /// Devices.
    pub devices: Devices,
    /// Project and name of each instance that has it.
    pub used_by: Vec<(String, String)>,
}

/// A project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its row.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Keys.
    pub config: Config,
}

/// A storage pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Its row.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// The driver's name.
    pub driver: String,
    /// Free text.
    pub description: String,
    /// Keys.
    pub config: Config,
}

/// A custom volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// The id that names it on disk.
    pub id: i64,
    /// Its pool.
    pub pool: String,
    /// Its project.
    pub project: String,
    /// Its name, unique in pool and project.
    pub name: String,
    /// Free text.
    pub description: String,
    /// RFC 3339.
    pub created_at: String,
    /// Keys.
    pub config: Config,
    /// Its snapshots, the oldest first.
    pub snapshots: Vec<VolumeSnapshot>,
}

/// A snapshot of a custom volume.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct VolumeSnapshot {
    /// The id that names it on disk.
    pub id: i64,
    /// Its name, unique in the volume.
    pub name: String,
    /// Free text.
    pub description: String,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339; when it may be removed.
    pub expires_at: Option<String>,
    /// The volume's keys then.
    pub config: Config,
}

/// A managed network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its row.
    pub id: i64,
    /// Its project.
    pub project: String,
    /// Its name, which is the bridge's.
    pub name: String,
    /// `bridge`.
    pub kind: String,
    /// Free text.
    pub description: String,
    /// Keys.
    pub config: Config,
}

impl Network {
    /// Whether it is a bridge of ours, with all that goes with one.
    pub fn is_bridge(&self) -> bool {
        self.kind == "bridge"
    }
}

/// A DNS zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkZone {
    /// Its row.
    pub id: i64,
    /// Its project.
    pub project: String,
    /// Its name, a domain without the last dot.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Keys.
    pub config: Config,
}

/// A record of a zone that a user wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkZoneRecord {
    /// Its row.
    pub id: i64,
    /// The row of its zone.
    pub zone: i64,
    /// Its name, relative to the zone.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Keys.
    pub config: Config,
    /// What it says.
    pub entries: Vec<rlxc_api::NetworkZoneRecordEntry>,
}

/// An access control list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkAcl {
    /// Its row.
    pub id: i64,
    /// Its project.
    pub project: String,
    /// Its name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Rules for what instances receive.
    pub ingress: Vec<rlxc_api::NetworkAclRule>,
    /// Rules for what instances send.
    pub egress: Vec<rlxc_api::NetworkAclRule>,
    /// Keys.
    pub config: Config,
}

/// An address of the host whose traffic goes to instances.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkForward {
    /// Its row.
    pub id: i64,
    /// The row of its network.
    pub network: i64,
    /// The address.
    pub listen_address: String,
    /// Free text.
    pub description: String,
    /// Keys.
    pub config: Config,
    /// Which ports go where.
    pub ports: Vec<rlxc_api::NetworkForwardPort>,
}

/// An image in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are independent properties of an image"
)]
pub struct Image {
    /// Its row.
    pub id: i64,
    /// SHA-256 of its file or files.
    pub fingerprint: String,
    /// As the uploader called it.
    pub filename: String,
    /// Bytes of its file or files.
    pub size: i64,
    /// Whether it is two files: metadata and root file system.
    pub split: bool,
    /// Whether anybody may fetch it.
    pub public: bool,
    /// Whether it came here only because an instance was made of it.
    pub cached: bool,
    /// Whether it follows its source.
    pub auto_update: bool,
    /// As `uname -m` tells it.
    pub architecture: String,
    /// RFC 3339; when it was built.
    pub created_at: String,
    /// RFC 3339.
    pub expires_at: Option<String>,
    /// RFC 3339; when it came here.
    pub uploaded_at: String,
    /// RFC 3339.
    pub last_used_at: Option<String>,
    /// os, release and so on.
    pub properties: Config,
    /// Its aliases: name and description.
    pub aliases: Vec<(String, String)>,
    /// Profiles of instances that name none, the first weakest.
    pub profiles: Vec<String>,
    /// Where it came from.
    pub source: Option<ImageOrigin>,
}

/// Where an image came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageOrigin {
    /// `simplestreams`, `lxd`, `incus` or `build`.
    pub protocol: String,
    /// The server's URL.
    pub server: String,
    /// The name it was asked for by.
    pub alias: String,
    /// The server's certificate, PEM; empty where an authority has signed it.
    pub certificate: String,
    /// The project there; empty for the default one.
    pub project: String,
}
