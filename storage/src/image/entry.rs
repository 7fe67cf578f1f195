//! The entries of a tar archive.

use std::ffi::OsString;

use super::sparse::SparseMap;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File(Option<SparseMap>),
    Symlink(Vec<u8>),
    HardLink(Vec<u8>),
    Fifo,
    Device(Device),
}

/// A device node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) block: bool,
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

/// One entry; its data, if it has any, is read from the archive next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) attributes: Attributes,
}

impl Entry {
    /// Makes it ours, as templates are: they are read by the daemon only, whoever packed them does not own them here.
    /// False if it is nothing that a template can be.
    pub(crate) fn make_template(&mut self) -> bool {
        let mode = match self.kind {
            Kind::File(None) => 0o644,
            Kind::Directory => 0o755,
            _ => return false,
        };
        self.attributes = Attributes {
            mode,
            mtime: self.attributes.mtime,
            ..Attributes::default()
        };
        true
    }
}

/// Owner, mode, time and extended attributes of an entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mode: u32,
    pub(crate) mtime: (i64, u32),
    pub(crate) xattrs: Vec<(OsString, Vec<u8>)>,
}
