//! Messages of the control connection: protobuf 2, field numbers as LXD and Incus have them.

/// `fs` of a header: the files go by rsync.
pub(crate) const RSYNC: i32 = 0;

/// An offer, and the answer to it.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Header {
    /// How the files go.
    #[prost(int32, required, tag = "1")]
    pub fs: i32,
    /// How memory goes; 2 asks for a second transfer of a running instance's files.
    #[prost(int32, optional, tag = "2")]
    pub criu: Option<i32>,
    /// How owners are shifted in the files.
    #[prost(message, repeated, tag = "3")]
    pub idmap: Vec<IdMap>,
    /// Snapshots, the oldest first.
    #[prost(string, repeated, tag = "4")]
    pub snapshot_names: Vec<String>,
    /// The same with their configuration.
    #[prost(message, repeated, tag = "5")]
    pub snapshots: Vec<SnapshotRow>,
    /// Whether memory goes in several rounds.
    #[prost(bool, optional, tag = "7")]
    pub predump: Option<bool>,
    /// Which options of rsync are known.
    #[prost(message, optional, tag = "8")]
    pub rsync_features: Option<Features>,
    /// Whether the sink has a copy already.
    #[prost(bool, optional, tag = "9")]
    pub refresh: Option<bool>,
    /// The size of a block volume in bytes. Incus reads it of all custom volumes and ends where it is missing.
    #[prost(int64, optional, tag = "11")]
    pub volume_size: Option<i64>,
    /// Whether the files can go, and in the answer that they do go, as streams of btrfs, one for each snapshot and one for
    /// what there is now. Only servers of our kind say this; others leave out what they don't know.
    #[prost(bool, optional, tag = "1001")]
    pub streams: Option<bool>,
}

/// A range of ids that is shifted.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct IdMap {
    /// Of users.
    #[prost(bool, required, tag = "1")]
    pub is_uid: bool,
    /// Of groups.
    #[prost(bool, required, tag = "2")]
    pub is_gid: bool,
    /// The first in the files.
    #[prost(int32, required, tag = "3")]
    pub host_id: i32,
    /// The first in the container.
    #[prost(int32, required, tag = "4")]
    pub ns_id: i32,
    /// How many.
    #[prost(int32, required, tag = "5")]
    pub range: i32,
}

/// A key and its value.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Pair {
    /// The key.
    #[prost(string, required, tag = "1")]
    pub key: String,
    /// The value.
    #[prost(string, required, tag = "2")]
    pub value: String,
}

/// A device.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Device {
    /// Its name.
    #[prost(string, required, tag = "1")]
    pub name: String,
    /// Its keys.
    #[prost(message, repeated, tag = "2")]
    pub config: Vec<Pair>,
}

/// What an instance was at a snapshot.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SnapshotRow {
    /// Its own name.
    #[prost(string, required, tag = "1")]
    pub name: String,
    /// Its own keys.
    #[prost(message, repeated, tag = "2")]
    pub config: Vec<Pair>,
    /// Its profiles.
    #[prost(string, repeated, tag = "3")]
    pub profiles: Vec<String>,
    /// Whether it was to be deleted at its stop.
    #[prost(bool, required, tag = "4")]
    pub ephemeral: bool,
    /// Its own devices.
    #[prost(message, repeated, tag = "5")]
    pub devices: Vec<Device>,
    /// LXD's number of the architecture.
    #[prost(int32, required, tag = "6")]
    pub architecture: i32,
    /// Whether memory is with it.
    #[prost(bool, required, tag = "7")]
    pub stateful: bool,
    /// Seconds since 1970.
    #[prost(int64, optional, tag = "8")]
    pub created: Option<i64>,
    /// Seconds since 1970.
    #[prost(int64, optional, tag = "9")]
    pub used: Option<i64>,
    /// Seconds since 1970; 0 or less for never.
    #[prost(int64, optional, tag = "10")]
    pub expires: Option<i64>,
}

/// Options of rsync.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Features {
    /// Extended attributes.
    #[prost(bool, optional, tag = "1")]
    pub xattrs: Option<bool>,
    /// Files that are only at the sink go.
    #[prost(bool, optional, tag = "2")]
    pub delete: Option<bool>,
    /// Compressed on the way.
    #[prost(bool, optional, tag = "3")]
    pub compress: Option<bool>,
    /// The answer tells which of these are used.
    #[prost(bool, optional, tag = "4")]
    pub bidirectional: Option<bool>,
    /// Hard links and ACLs. Only servers of our kind say this; others leave out what they don't know.
    #[prost(bool, optional, tag = "1001")]
    pub exact: Option<bool>,
}

impl Features {
    /// All that we can.
    pub fn all() -> Self {
        Self {
            xattrs: Some(true),
            delete: Some(true),
            compress: Some(true),
            bidirectional: Some(true),
            exact: Some(true),
        }
    }

    pub(crate) fn both(self, other: Self) -> Self {
        if other.bidirectional != Some(true) {
            // Before LXD 3.8 these were always used.
            return Self {
                bidirectional: None,
                exact: None,
                ..Self::all()
            };
        }
        let and =
            |one: Option<bool>, other: Option<bool>| Some(one == Some(true) && other == Some(true));
        Self {
            xattrs: and(self.xattrs, other.xattrs),
            delete: and(self.delete, other.delete),
            compress: and(self.compress, other.compress),
            bidirectional: Some(true),
            exact: and(self.exact, other.exact),
        }
    }
}

/// How it ended.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Control {
    /// Well?
    #[prost(bool, required, tag = "1")]
    pub success: bool,
    /// Why not.
    #[prost(string, optional, tag = "2")]
    pub message: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;

    #[test]
    fn messages_have_the_bytes_that_others_send() {
        let control = Control {
            success: false,
            message: Some("no".to_owned()),
        };
        assert_eq!(control.encode_to_vec(), b"\x08\x00\x12\x02no");
        let header = Header {
            fs: RSYNC,
            snapshot_names: vec!["s".to_owned()],
            rsync_features: Some(Features {
                xattrs: Some(true),
                ..Features::default()
            }),
            ..Header::default()
        };
        assert_eq!(header.encode_to_vec(), b"\x08\x00\x22\x01s\x42\x02\x08\x01");
    }

    #[test]
    fn what_old_servers_use_is_used_with_them() {
        let old = Features {
            xattrs: Some(true),
            ..Features::default()
        };
        let used = Features::all().both(old);
        assert_eq!((used.delete, used.exact), (Some(true), None));
        let used = Features::all().both(Features::all());
        assert_eq!(used.exact, Some(true));
    }
}
