//! Detached mounts: made and changed while they are attached nowhere, then moved to where they belong.
//!
//! Nothing here touches the mount table of the caller, but for [`attach`] and [`detach`], and for [`pivot`] and
//! [`make_private`], which a container's init calls in a namespace of its own. See mount_setattr(2), open_tree(2), fsopen(2), move_mount(2).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags,
};

mod overlay;

use crate::path::Resolve;
use crate::rootfs::RootSource;

/// What went wrong with a mount.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// A tree could not be opened for mounting.
    #[error("open `{}` for mounting", path.display())]
    Open {
        /// The tree.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The attributes of a mount could not be changed: the file system of `path` knows no idmapped mounts, for example.
    #[error("set {what} on the mount of `{}`", path.display())]
    Attribute {
        /// Which attribute.
        what: &'static str,
        /// What is mounted.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Owners can't be shifted there; see mount_setattr(2).
    #[error(
        "set an id map on the mount of `{}` (not every file system knows idmapped mounts, and none of the host's does inside a \
         container, where instances must be privileged)",
        path.display()
    )]
    IdMap {
        /// What is mounted.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A new file system could not be set up.
    #[error("mount file system `{kind}` ({step})")]
    Create {
        /// Its type, as in `/proc/filesystems`.
        kind: String,
        /// The option or the call that was refused.
        step: String,
        /// What the kernel wrote about it, where it did.
        #[source]
        source: io::Error,
    },
    /// A detached mount could not be put in its place.
    #[error("attach a mount to `{}`", target.display())]
    Attach {
        /// The place.
        target: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A root could not be left or entered.
    #[error("change the root directory ({step})")]
    Root {
        /// Which call.
        step: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Whether what is mounted below a tree comes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// This one mount.
    One,
    /// The mounts below it too.
    Recursive,
}

/// A mount for each part of `source`, as one detached mount.
///
/// With a user namespace the owners on disk are shifted by its maps; without one they are what is on disk, which is
/// what the daemon wants in order to read and write the files of a stopped instance. Overlay's private attributes are
/// `trusted.overlay.*` in both cases, so both see the same tree.
pub fn assemble(
    source: &RootSource,
    userns: Option<BorrowedFd<'_>>,
) -> Result<OwnedFd, MountError> {
    match source {
        RootSource::Tree { path } => clone_tree(path, Depth::One, userns),
        RootSource::Overlay { lower, upper, work } => {
            overlay::Layers { lower, upper, work }.mount(userns)
        }
    }
}

/// How what is mounted below two mounts of one tree reaches the other; see mount_namespaces(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// Not at all.
    Private,
    /// From the original to the copy.
    Slave,
    /// Both ways.
    Shared,
    /// Not at all, and the copy can't be bound again.
    Unbindable,
}

impl std::str::FromStr for Propagation {
    type Err = ();

    /// The words of mount(8), with `r` before them or not.
    fn from_str(word: &str) -> Result<Self, ()> {
        match word.strip_prefix('r').unwrap_or(word) {
            "private" => Ok(Self::Private),
            "slave" => Ok(Self::Slave),
            "shared" => Ok(Self::Shared),
            "unbindable" => Ok(Self::Unbindable),
            _ => Err(()),
        }
    }
}

impl Propagation {
    fn flag(self) -> u64 {
        match self {
            Self::Private => libc::MS_PRIVATE,
            Self::Slave => libc::MS_SLAVE,
            Self::Shared => libc::MS_SHARED,
            Self::Unbindable => libc::MS_UNBINDABLE,
        }
    }
}

/// A detached bind mount of `path`, idmapped if a user namespace is given, to which nothing propagates and from which
/// nothing does: the copy of a shared mount would be shared too. Links are followed.
pub fn clone_tree(
    path: &Path,
    depth: Depth,
    userns: Option<BorrowedFd<'_>>,
) -> Result<OwnedFd, MountError> {
    clone_tree_with(path, depth, userns, Propagation::Private)
}

/// The same with another propagation.
pub fn clone_tree_with(
    path: &Path,
    depth: Depth,
    userns: Option<BorrowedFd<'_>>,
    propagation: Propagation,
) -> Result<OwnedFd, MountError> {
    let at = (CWD, path, OpenTreeFlags::empty());
    clone_at(at, path, (depth, propagation), userns)
}

/// The same for a path below `top`, which no link on the way may lead out of: nobody who can write there gets more than
/// what is there, whenever they change it.
pub fn clone_tree_beneath(
    top: &Path,
    path: &Path,
    depth: Depth,
    userns: Option<BorrowedFd<'_>>,
) -> Result<OwnedFd, MountError> {
    let failed = |source: io::Error| MountError::Open {
        path: path.to_owned(),
        source,
    };
    let rest = path
        .strip_prefix(top)
        .map_err(|_elsewhere| failed(io::ErrorKind::PermissionDenied.into()))?;
    let open = || {
        let top = crate::path::open_dir(top)?;
        crate::path::open_beneath(top, rest, OFlags::PATH, Mode::empty(), Resolve::Beneath)
    };
    let found = open().map_err(|error| failed(error.source))?;
    let at = (found.as_fd(), Path::new(""), OpenTreeFlags::AT_EMPTY_PATH);
    clone_at(at, path, (depth, Propagation::Private), userns)
}

fn clone_at(
    (dir, rest, flags): (BorrowedFd<'_>, &Path, OpenTreeFlags),
    path: &Path,
    (depth, propagation): (Depth, Propagation),
    userns: Option<BorrowedFd<'_>>,
) -> Result<OwnedFd, MountError> {
    let mut flags = flags | OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if depth == Depth::Recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let mount = rustix::mount::open_tree(dir, rest, flags).map_err(|errno| MountError::Open {
        path: path.to_owned(),
        source: errno.into(),
    })?;
    let path = path.to_owned();
    if let Err(source) = set_attributes(&mount, Attributes::propagation(propagation), depth) {
        let what = "its propagation";
        return Err(MountError::Attribute { what, path, source });
    }
    if let Some(userns) = userns {
        set_attributes(&mount, Attributes::idmap(userns), depth)
            .map_err(|source| MountError::IdMap { path, source })?;
    }
    Ok(mount)
}

/// A second detached mount of what `mount` shows.
pub fn duplicate(mount: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    Ok(rustix::mount::open_tree(mount, "", flags)?)
}

/// A new file system, detached. Options with an empty value are flags.
pub fn create(
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> Result<OwnedFd, MountError> {
    let context = open_context(kind)?;
    for (key, value) in options {
        let set = if value.is_empty() {
            rustix::mount::fsconfig_set_flag(&context, *key)
        } else {
            rustix::mount::fsconfig_set_string(&context, *key, *value)
        };
        set.map_err(|errno| create_error(kind, key, &context, errno))?;
    }
    finish(kind, &context, attributes)
}

fn open_context(kind: &str) -> Result<OwnedFd, MountError> {
    rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(|errno| MountError::Create {
        kind: kind.to_owned(),
        step: "fsopen".to_owned(),
        source: errno.into(),
    })
}

fn finish(
    kind: &str,
    context: &OwnedFd,
    attributes: MountAttrFlags,
) -> Result<OwnedFd, MountError> {
    rustix::mount::fsconfig_create(context)
        .map_err(|errno| create_error(kind, "create", context, errno))?;
    rustix::mount::fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
        .map_err(|errno| create_error(kind, "fsmount", context, errno))
}

/// Takes the kernel's own words from the context: each read gives one message, "e ..." for an error (fsopen(2)).
fn create_error(kind: &str, step: &str, context: &OwnedFd, errno: rustix::io::Errno) -> MountError {
    let mut said = Vec::new();
    let mut buffer = [0; 512];
    while let Ok(length @ 1..) = rustix::io::read(context, &mut buffer) {
        said.push(
            String::from_utf8_lossy(&buffer[..length])
                .trim_end()
                .to_owned(),
        );
    }
    let source = io::Error::from(errno);
    MountError::Create {
        kind: kind.to_owned(),
        step: step.to_owned(),
        source: if said.is_empty() {
            source
        } else {
            io::Error::new(source.kind(), format!("{source} ({})", said.join("; ")))
        },
    }
}

/// Attributes of a mount to set and to clear, see mount_setattr(2).
#[derive(Debug, Clone, Copy, Default)]
pub struct Attributes<'a> {
    /// To set.
    pub set: u64,
    /// To clear.
    pub clear: u64,
    /// A flag of mount(2) such as `MS_PRIVATE`, or 0.
    pub propagation: u64,
    /// The user namespace whose maps shift ids; needs `MOUNT_ATTR_IDMAP` in `set`.
    pub userns: Option<BorrowedFd<'a>>,
}

impl<'a> Attributes<'a> {
    /// Shift ids by the maps of `userns`.
    pub fn idmap(userns: BorrowedFd<'a>) -> Self {
        Self {
            set: u64::from(MountAttrFlags::MOUNT_ATTR_IDMAP.bits()),
            userns: Some(userns),
            ..Self::default()
        }
    }

    /// Another propagation.
    pub fn propagation(propagation: Propagation) -> Self {
        Self {
            propagation: propagation.flag(),
            ..Self::default()
        }
    }

    /// Set these flags.
    pub fn set(flags: MountAttrFlags) -> Self {
        // Of the ways to keep times only one can be: whoever sets one clears all.
        let times = MountAttrFlags::MOUNT_ATTR__ATIME;
        let cleared = if flags.intersects(times) {
            times.bits()
        } else {
            0
        };
        Self {
            set: u64::from(flags.bits()),
            clear: u64::from(cleared),
            ..Self::default()
        }
    }
}

/// Changes a mount, attached or not, that `mount` is the root of.
pub fn set_attributes(mount: &OwnedFd, attributes: Attributes<'_>, depth: Depth) -> io::Result<()> {
    // No file descriptor is negative: the cast keeps its value.
    let userns_fd = attributes
        .userns
        .map_or(0, |fd| u64::from(fd.as_raw_fd().unsigned_abs()));
    let argument = libc::mount_attr {
        attr_set: attributes.set,
        attr_clr: attributes.clear,
        propagation: attributes.propagation,
        userns_fd,
    };
    let flags = libc::AT_EMPTY_PATH
        | match depth {
            Depth::One => 0,
            Depth::Recursive => libc::AT_RECURSIVE,
        };
    // SAFETY: the path is a literal that ends in NUL, `argument` is a live mount_attr whose size is given beside it,
    // and the kernel writes to neither (mount_setattr(2)).
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const argument,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Puts a detached mount on top of the file or directory that `target` is open at; `name` is for the error.
pub fn attach(mount: &OwnedFd, target: BorrowedFd<'_>, name: &Path) -> Result<(), MountError> {
    rustix::mount::move_mount(
        mount,
        "",
        target,
        "",
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH,
    )
    .map_err(|errno| MountError::Attach {
        target: name.to_owned(),
        source: errno.into(),
    })
}

/// Takes away what is mounted on `target`; it lives on for those who use it. Nothing mounted there is no error.
pub fn detach(target: &Path) -> io::Result<()> {
    match rustix::mount::unmount(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether `path` is where something is mounted; false if it is not there.
pub fn is_mount_point(path: &Path) -> io::Result<bool> {
    /// `STATX_ATTR_MOUNT_ROOT` of linux/stat.h.
    const MOUNT_ROOT: u64 = 0x2000;
    let (flags, mask) = (
        rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        rustix::fs::StatxFlags::TYPE,
    );
    match rustix::fs::statx(CWD, path, flags, mask) {
        Ok(found) => Ok(found.stx_attributes.bits() & MOUNT_ROOT != 0),
        Err(rustix::io::Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Cuts the calling process's mount namespace from all others: nothing that is mounted propagates in or out.
pub fn make_private() -> Result<(), MountError> {
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::REC | MountPropagationFlags::PRIVATE,
    )
    .map_err(|errno| root_error("make mounts private", errno))
}

/// Puts a detached mount over `/` and enters it; the old root is still the process's root. [`pivot`] is next, after
/// all that must see the old root (a new procfs does, see `mount_too_revealing` in the kernel) was mounted.
pub fn enter_root(mount: &OwnedFd) -> Result<(), MountError> {
    rustix::mount::move_mount(mount, "", CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(|errno| root_error("attach the new root", errno))?;
    rustix::process::fchdir(mount).map_err(|errno| root_error("enter the new root", errno))
}

/// Makes the current directory, which is the root of a mount, the root, and forgets the old one with all below it.
pub fn pivot() -> Result<(), MountError> {
    // Old and new root may be the same directory: the old one then lies on top of it (pivot_root(2), "NOTES").
    rustix::process::pivot_root(".", ".").map_err(|errno| root_error("pivot_root", errno))?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)
        .map_err(|errno| root_error("unmount the old root", errno))?;
    rustix::process::chdir("/").map_err(|errno| root_error("chdir", errno))
}

fn root_error(step: &'static str, errno: rustix::io::Errno) -> MountError {
    MountError::Root {
        step,
        source: errno.into(),
    }
}

#[cfg(test)]
mod tests;
