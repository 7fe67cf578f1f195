//! What is known of a file, and what is wanted of one, in the guest's numbers.

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
}

impl Kind {
    /// As headers call it.
    pub fn text(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
        }
    }
}

/// What is known of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// What it is.
    pub kind: Kind,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits, set-id and sticky bits included.
    pub mode: u32,
    /// Bytes.
    pub size: u64,
    /// Of its last change: seconds and nanoseconds since 1970.
    pub modified: (i64, u32),
}

/// What a file should be; `None` is 0 for owner and group, and the usual mode of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes {
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Permission bits.
    pub mode: Option<u32>,
}

/// Which attributes are changed of what is there already; new files get all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Modify {
    /// Owner.
    pub uid: bool,
    /// Group.
    pub gid: bool,
    /// Permission bits.
    pub mode: bool,
}

/// What becomes of the content that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WriteMode {
    /// It is replaced.
    #[default]
    Overwrite,
    /// It stays, the new one follows.
    Append,
}

/// A request to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Push {
    /// What to make.
    pub kind: Kind,
    /// Its owner and mode.
    pub attributes: Attributes,
    /// What to change if it is there.
    pub modify: Modify,
    /// What to do with its content if it is there.
    pub write: WriteMode,
}
