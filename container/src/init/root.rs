//! The file tree of a container: its root, the kernel's file systems, devices, mounts.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rlxc_sys::mount::{self, Attributes, Depth, MountError};
use rustix::fs::AtFlags;
use rustix::mount::{MountAttrFlags, OpenTreeFlags};

use super::Supplied;
use super::place::{Kind, Tree};
use crate::confine::InPhase;
use crate::protocol::Failure;
use crate::spec::ContainerSpec;
use crate::view;

const PHASE: &str = "root file system";

/// Mount points of file systems that only the host can mount. With something there already an init does not try, and
/// has nothing to complain about.
const OF_THE_HOST: [&str; 6] = [
    "/sys/kernel/debug",
    "/sys/kernel/tracing",
    "/sys/kernel/security",
    "/sys/kernel/config",
    "/sys/fs/pstore",
    "/sys/fs/bpf",
];
const NO_DEVICES: MountAttrFlags =
    MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV);
const NOTHING: MountAttrFlags = NO_DEVICES.union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// Puts the tree together and makes it the root; returns the container's `/dev/pts`.
pub(super) fn build(supplied: &Supplied, spec: &ContainerSpec) -> Result<OwnedFd, Failure> {
    let root = &supplied.root;
    mount::make_private().in_phase(PHASE, String::new)?;
    mount::enter_root(root).in_phase(PHASE, String::new)?;
    let tree = Tree(root);
    // While the host's /proc and /sys are still to be seen: the kernel gives new ones only to those who see all of
    // one already.
    mount_kernel(&tree, spec).in_phase(PHASE, String::new)?;
    let devpts = mount_devices(&tree, &supplied.dev)?;
    if spec.nesting {
        mount_uncovered(&tree).in_phase(PHASE, String::new)?;
    }
    if let Some(view) = &supplied.view {
        show(&tree, view)?;
    }
    for (placement, mount) in &supplied.rest {
        let target = tree
            .ensure(&placement.target, placement.file.into())
            .in_phase(PHASE, || {
                format!("make mount point `{}`", placement.target.display())
            })?;
        mount::attach(mount, target.as_fd(), &placement.target).in_phase(PHASE, String::new)?;
    }
    mask(&tree, spec)?;
    mount::pivot().in_phase(PHASE, String::new)?;
    Ok(devpts)
}

fn mount_kernel(tree: &Tree<'_>, spec: &ContainerSpec) -> Result<(), MountError> {
    let privileged = spec.idmap.is_none();
    let proc = mount::create("proc", &[], NOTHING)?;
    put(tree, &proc, "/proc")?;
    // Root of the host's own user namespace could change the host there.
    let sys = mount::create(
        "sysfs",
        &[],
        if privileged {
            NOTHING | MountAttrFlags::MOUNT_ATTR_RDONLY
        } else {
            NOTHING
        },
    )?;
    put(tree, &sys, "/sys")?;
    if privileged {
        freeze_kernel_files(tree)?;
    }
    let cgroup = mount::create("cgroup2", &[], NOTHING)?;
    put(tree, &cgroup, "/sys/fs/cgroup")?;
    let run = mount::create("tmpfs", &[("mode", "0755")], NO_DEVICES)?;
    put(tree, &run, "/run")
}

/// A container in the container gets a procfs and a sysfs of its own only if it sees all of one already; those at their
/// usual places have files of the view over them. Where LXC has them too.
fn mount_uncovered(tree: &Tree<'_>) -> Result<(), MountError> {
    put(
        tree,
        &mount::create("proc", &[], NOTHING)?,
        "/dev/.lxc/proc",
    )?;
    put(
        tree,
        &mount::create("sysfs", &[], NOTHING)?,
        "/dev/.lxc/sys",
    )
}

/// Binds the files of a view over those of the kernel.
fn show(tree: &Tree<'_>, view: &OwnedFd) -> Result<(), Failure> {
    // Only what is attached somewhere can be copied, before Linux 6.15.
    const PLACE: &str = "dev/.view";
    put(tree, view, PLACE).in_phase(PHASE, String::new)?;
    for (file, over) in view::FILES {
        let Ok(target) = tree.find(Path::new(over), Kind::File) else {
            continue;
        };
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let mount = rustix::mount::open_tree(tree.0, format!("{PLACE}/{file}"), flags)
            .in_phase(PHASE, || format!("show `{over}`"))?;
        mount::attach(&mount, target.as_fd(), Path::new(over)).in_phase(PHASE, String::new)?;
    }
    // The new root is the current directory.
    mount::detach(Path::new(PLACE)).in_phase(PHASE, || format!("detach `{PLACE}`"))?;
    rustix::fs::unlinkat(tree.0, PLACE, AtFlags::REMOVEDIR)
        .in_phase(PHASE, || format!("remove `{PLACE}`"))
}

/// Makes what reaches the host read-only for a container without a user namespace; its own network stays its own.
fn freeze_kernel_files(tree: &Tree<'_>) -> Result<(), MountError> {
    let readonly = Attributes::set(MountAttrFlags::MOUNT_ATTR_RDONLY);
    for path in ["proc/sys", "proc/sysrq-trigger", "proc/irq", "proc/bus"] {
        let open = |flags| rustix::mount::open_tree(tree.0, path, flags);
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let Ok(view) = open(flags) else {
            continue;
        };
        let place = Path::new(path);
        mount::set_attributes(&view, readonly, Depth::One).map_err(|source| {
            MountError::Attribute {
                what: "read-only",
                path: place.to_owned(),
                source,
            }
        })?;
        let target = open(OpenTreeFlags::OPEN_TREE_CLOEXEC).map_err(|errno| MountError::Open {
            path: place.to_owned(),
            source: errno.into(),
        })?;
        mount::attach(&view, target.as_fd(), place)?;
    }
    Ok(())
}

fn put(tree: &Tree<'_>, mount: &OwnedFd, path: &str) -> Result<(), MountError> {
    let path = Path::new(path);
    let target = tree
        .ensure(path, Kind::Directory)
        .map_err(|source| MountError::Attach {
            target: path.to_owned(),
            source,
        })?;
    mount::attach(mount, target.as_fd(), path)
}

/// `/dev`, with terminals, shared memory and message queues of the container's own.
fn mount_devices(tree: &Tree<'_>, dev: &OwnedFd) -> Result<OwnedFd, Failure> {
    put(tree, dev, "/dev").in_phase(PHASE, String::new)?;
    let terminals = [
        ("newinstance", ""),
        ("ptmxmode", "0666"),
        ("mode", "0620"),
        ("gid", "5"),
        // Of those of the whole host, `kernel.pty.max`.
        ("max", "1024"),
    ];
    let execless = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let pts = mount::create("devpts", &terminals, execless).in_phase(PHASE, String::new)?;
    put(tree, &pts, "/dev/pts").in_phase(PHASE, String::new)?;
    let shm =
        mount::create("tmpfs", &[("mode", "1777")], NO_DEVICES).in_phase(PHASE, String::new)?;
    put(tree, &shm, "/dev/shm").in_phase(PHASE, String::new)?;
    // A kernel may be built without message queues.
    if let Ok(queues) = mount::create("mqueue", &[], NOTHING) {
        put(tree, &queues, "/dev/mqueue").in_phase(PHASE, String::new)?;
    }
    Ok(pts)
}

/// Not a copy of one: a detached mount can be copied from Linux 6.15 on only.
fn empty_directory() -> Result<OwnedFd, MountError> {
    mount::create(
        "tmpfs",
        &[("mode", "0555"), ("size", "4k")],
        NOTHING | MountAttrFlags::MOUNT_ATTR_RDONLY,
    )
}

/// Covers with an empty directory, or with the null device.
fn mask(tree: &Tree<'_>, spec: &ContainerSpec) -> Result<(), Failure> {
    let usual = OF_THE_HOST.iter().map(Path::new);
    for path in usual.chain(spec.masked_paths.iter().map(AsRef::as_ref)) {
        let cover = if let Ok(target) = tree.find(path, Kind::Directory) {
            let empty = empty_directory().in_phase(PHASE, String::new)?;
            Some((target, Ok(empty)))
        } else if let Ok(target) = tree.find(path, Kind::File) {
            let null = tree
                .find(Path::new("/dev/null"), Kind::File)
                .in_phase(PHASE, || "open `/dev/null`".into())?;
            Some((target, mount::duplicate(null.as_fd())))
        } else {
            None
        };
        if let Some((target, cover)) = cover {
            let cover = cover.in_phase(PHASE, || format!("cover `{}`", path.display()))?;
            mount::attach(&cover, target.as_fd(), path).in_phase(PHASE, String::new)?;
        }
    }
    Ok(())
}
