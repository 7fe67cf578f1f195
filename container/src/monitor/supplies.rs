//! What the monitor, as root of the host, makes for init: detached mounts, idmapped, which init only has to attach.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rlxc_sys::mount::{self, Attributes, Depth, MountError, Propagation};
use rustix::fs::FileType;
use rustix::mount::MountAttrFlags;

use super::block::{self, Options};
use super::devices;
use super::shelf::Shelf;
use crate::confine::InPhase;
use crate::init::{Placement, Supplies};
use crate::protocol::{self, Failure};
use crate::spec::{ContainerSpec, DeviceSpec, MountSpec};

const PHASE: &str = "root file system";
/// Mounts in one packet.
const BATCH: usize = 64;

/// All mounts of a container.
pub(super) struct Mounts {
    root: OwnedFd,
    dev: OwnedFd,
    view: Option<OwnedFd>,
    /// Those on the shelf have no descriptor.
    rest: Vec<(Placement, Option<OwnedFd>)>,
}

impl Mounts {
    /// Opens everything that the spec names; `userns` shifts ids where that is wanted.
    pub(super) fn open(
        spec: &ContainerSpec,
        userns: Option<BorrowedFd<'_>>,
        shelf: Option<Shelf>,
    ) -> Result<Self, Failure> {
        let root = mount::assemble(&spec.rootfs, userns).in_phase(PHASE, String::new)?;
        // An image may hold device nodes; whatever they are, the container's devices are in /dev. Where it may make
        // nodes itself it shall be able to open them: which ones, a program decides then.
        if !spec.intercept.mknod {
            let nodev = Attributes::set(MountAttrFlags::MOUNT_ATTR_NODEV);
            mount::set_attributes(&root, nodev, Depth::One)
                .in_phase(PHASE, || "set nodev".into())?;
        }
        let mut rest = Vec::new();
        let (dev, bound) = devices::make(spec)?;
        for device in bound {
            rest.extend(bind_device(device)?);
        }
        let shelved = shelf.map_or(Ok(Vec::new()), |shelf| shelf.fill(userns))?;
        let mut shelved = shelved.into_iter().enumerate();
        for order in &spec.mounts {
            let (file, shelf, mount) = if order.readonly {
                match shelved.next() {
                    Some((index, Some(file))) => (file, Some(index), None),
                    _ => continue,
                }
            } else {
                match open_mount(order, userns).in_phase("mounts", String::new)? {
                    Some(mount) => (order.file || !is_directory(&mount), None, Some(mount)),
                    None => continue,
                }
            };
            let target = order.target.clone();
            let placement = Placement {
                target,
                file,
                shelf,
            };
            rest.push((placement, mount));
        }
        Ok(Self {
            root,
            dev,
            view: None,
            rest,
        })
    }

    /// With the file system of what the container sees of the machine.
    pub(super) fn with_view(self, view: Option<OwnedFd>) -> Self {
        Self { view, ..self }
    }

    /// Hands all over; gives back `/dev`, which devices come to later.
    pub(super) fn send(self, socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
        let mut descriptors = vec![self.root.as_fd(), self.dev.as_fd()];
        descriptors.extend(self.view.as_ref().map(AsFd::as_fd));
        let mut batches = self.rest.chunks(BATCH).peekable();
        loop {
            let batch = batches.next().unwrap_or_default();
            descriptors.extend(
                batch
                    .iter()
                    .filter_map(|(_, mount)| mount.as_ref())
                    .map(AsFd::as_fd),
            );
            let supplies = Supplies {
                placements: batch
                    .iter()
                    .map(|(placement, _)| placement.clone())
                    .collect(),
                view: self.view.is_some(),
                last: batches.peek().is_none(),
            };
            protocol::send(socket, &supplies, &descriptors)?;
            descriptors.clear();
            if supplies.last {
                break;
            }
        }
        drop(batches);
        drop(descriptors);
        Ok(self.dev)
    }
}

fn bind_device(device: DeviceSpec) -> Result<Option<(Placement, Option<OwnedFd>)>, Failure> {
    let placement = Placement {
        target: device.path,
        file: true,
        shelf: None,
    };
    match mount::clone_tree(&device.source, Depth::One, None) {
        Ok(mount) => Ok(Some((placement, Some(mount)))),
        Err(error) if device.optional && is_missing(&error) => Ok(None),
        Err(error) => Err(error).in_phase("devices", String::new),
    }
}

/// A mount as ordered; none if its source is optional and missing.
pub(super) fn open_mount(
    order: &MountSpec,
    userns: Option<BorrowedFd<'_>>,
) -> Result<Option<OwnedFd>, MountError> {
    let depth = if order.recursive {
        Depth::Recursive
    } else {
        Depth::One
    };
    let options = Options::parse(&order.options);
    let userns = userns.filter(|_| order.shift);
    // What a user may name by a path below a directory is never read as a file system.
    let opened = if !order.file && order.beneath.is_none() && block::is_block_device(&order.source)
    {
        open_device(order, &options, userns)
    } else {
        open_bound(order, &options, (depth, userns))
    };
    let mount = match opened {
        Err(error) if order.optional && is_missing(&error) => return Ok(None),
        result => result?,
    };
    let mut attributes = options.attributes;
    attributes.set(
        MountAttrFlags::MOUNT_ATTR_RDONLY,
        order.readonly || attributes.contains(MountAttrFlags::MOUNT_ATTR_RDONLY),
    );
    if !attributes.is_empty() {
        mount::set_attributes(&mount, Attributes::set(attributes), depth).map_err(|source| {
            MountError::Attribute {
                what: "options",
                path: order.source.clone(),
                source,
            }
        })?;
    }
    Ok(Some(mount))
}

/// The file system on a block device.
fn open_device(
    order: &MountSpec,
    options: &Options<'_>,
    userns: Option<BorrowedFd<'_>>,
) -> Result<OwnedFd, MountError> {
    let mount = block::mount(&order.source, options, order.readonly)?;
    if let Some(userns) = userns {
        let path = order.source.clone();
        mount::set_attributes(&mount, Attributes::idmap(userns), Depth::One)
            .map_err(|source| MountError::IdMap { path, source })?;
    }
    Ok(mount)
}

/// A directory or file.
fn open_bound(
    order: &MountSpec,
    options: &Options<'_>,
    (depth, userns): (Depth, Option<BorrowedFd<'_>>),
) -> Result<OwnedFd, MountError> {
    if let Some((option, _)) = options.of_file_system.first() {
        let why =
            format!("`{option}` is an option of a file system, and the source is no block device");
        return Err(MountError::Attribute {
            what: "raw.mount.options",
            path: order.source.clone(),
            source: io::Error::new(io::ErrorKind::InvalidInput, why),
        });
    }
    let propagation = order.propagation.parse().unwrap_or(Propagation::Private);
    match &order.beneath {
        Some(top) => mount::clone_tree_beneath(top, &order.source, depth, userns),
        None => mount::clone_tree_with(&order.source, depth, userns, propagation),
    }
}

pub(super) fn is_directory(mount: &OwnedFd) -> bool {
    rustix::fs::fstat(mount)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

fn is_missing(error: &MountError) -> bool {
    matches!(error, MountError::Open { source, .. } if source.kind() == io::ErrorKind::NotFound)
}
