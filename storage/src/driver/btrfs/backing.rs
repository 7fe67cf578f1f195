//! The file system of a pool that has one of its own: on a loop file or on a block device, mounted where the pool's
//! directory is. The daemon's end leaves it mounted, since instances stand on it.

use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rlxc_api::size::ByteSize;
use rlxc_sys::chain::chain;
use rlxc_sys::file::{self, FileError};
use rlxc_sys::loopback::{self, LoopDevice};
use rlxc_sys::mount;
use rlxc_sys::rollback::Rollback;
use rlxc_sys::tool::Tool;
use rlxc_sys::{btrfs, path};
use rustix::mount::MountAttrFlags;

use super::quota;
use crate::error::Cause;
use crate::pool::PoolSpec;

const GIB: u64 = 1 << 30;
/// The size of a loop file that nobody said the size of: a fifth of what is free, within these.
const DEFAULT_SIZE: (u64, u64) = (5 * GIB, 30 * GIB);
/// Smaller ones can't hold what btrfs needs for itself.
const SMALLEST: u64 = 256 << 20;
/// `user_subvol_rm_allowed`: who owns a subvolume may remove it, so that guests can remove what they made.
const MOUNT_OPTIONS: &str = "user_subvol_rm_allowed";

/// Whether a device is a block device, by its name: one that is not there has a name too.
pub(super) fn is_block(device: &Path) -> bool {
    device.starts_with("/dev")
}

/// Makes the file system of a new pool and mounts it; undone unless the rollback is committed.
pub(super) fn create(spec: &PoolSpec) -> Result<Rollback<'static>, Cause> {
    let mut rollback = Rollback::new("create the file system of a pool");
    let Some(device) = spec.device.clone() else {
        return Ok(rollback);
    };
    let mut force = true;
    if is_block(&device) {
        let kind = std::fs::metadata(&device)
            .map_err(|error| FileError::new("look at", &device, error))?
            .file_type();
        if !kind.is_block_device() {
            return Err(Cause::NoDevice { path: device });
        }
        force = spec
            .config
            .get("source.wipe")
            .is_some_and(|wipe| wipe == "true");
    } else {
        create_file(spec, &device)?;
        let file = device.clone();
        rollback.push("remove the loop file", move || file::remove(&file));
    }
    make_file_system(&spec.name, &device, force)?;
    let target = spec.source.clone();
    rollback.push("unmount", move || {
        let unmounted = mount::detach(&target);
        // Not there, or not ours: it stays.
        drop(std::fs::remove_dir(&target));
        unmounted
    });
    mount(spec)?;
    quota::enable(&spec.source)?;
    Ok(rollback)
}

fn create_file(spec: &PoolSpec, path: &Path) -> Result<(), Cause> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    file::ensure_dir(parent, 0o700)?;
    let size = match spec.config.get("size").filter(|size| !size.is_empty()) {
        Some(text) => parse_size(text)?,
        None => default_size(parent)?,
    };
    if size < SMALLEST {
        return Err(Cause::TooSmall { least: SMALLEST });
    }
    let make = || {
        std::fs::File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?
            .set_len(size)
    };
    make().map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Cause::AlreadyThere {
            what: format!("`{}`", path.display()),
        },
        _ => FileError::new("create", path, error).into(),
    })
}

fn parse_size(text: &str) -> Result<u64, Cause> {
    text.parse::<ByteSize>()
        .map(ByteSize::bytes)
        .map_err(|_bad| Cause::BadSize {
            text: text.to_owned(),
        })
}

fn default_size(dir: &Path) -> Result<u64, Cause> {
    let stat = rustix::fs::statvfs(dir).map_err(|errno| FileError::new("measure", dir, errno))?;
    let free = stat.f_bavail * stat.f_frsize;
    Ok((free / 5).clamp(DEFAULT_SIZE.0, DEFAULT_SIZE.1))
}

fn make_file_system(label: &str, device: &Path, force: bool) -> Result<(), Cause> {
    let mut args = vec!["-q".into(), "-L".into(), label.into()];
    if force {
        args.push("-f".into());
    }
    args.push(device.as_os_str().to_owned());
    // A large device may be discarded first.
    let tool = Tool::new("mkfs.btrfs").args(args);
    match tool.timeout(Duration::from_secs(300)).run() {
        // It looks for other file systems before it writes, and says how it would be made to go on.
        Err(error) if !force && chain(&error).to_string().contains("-f") => {
            let path = device.to_owned();
            Err(Cause::Occupied { path })
        }
        other => Ok(other.map(drop)?),
    }
}

/// Mounts the file system of a pool unless it is mounted; nothing if the pool has none of its own.
pub(super) fn mount(spec: &PoolSpec) -> Result<(), Cause> {
    let Some(device) = &spec.device else {
        return Ok(());
    };
    let mounted = mount::is_mount_point(&spec.source)
        .map_err(|error| FileError::new("look at", &spec.source, error))?;
    if mounted {
        return Ok(());
    }
    there(device)?;
    file::ensure_dir(&spec.source, 0o711)?;
    if is_block(device) {
        return mount_device(spec, device);
    }
    let attached = LoopDevice::attach(device)?;
    mount_device(spec, attached.path()).inspect_err(|_| {
        // It goes with its last user anyway.
        drop(attached.detach());
    })
}

fn mount_device(spec: &PoolSpec, device: &Path) -> Result<(), Cause> {
    let own = spec.config.get("btrfs.mount_options");
    let words = own.map_or(MOUNT_OPTIONS, String::as_str).split(',');
    let device = device.to_string_lossy();
    let mut options = vec![("source", device.as_ref())];
    options.extend(
        words
            .filter(|word| !word.is_empty())
            .map(|word| word.split_once('=').unwrap_or((word, ""))),
    );
    let mounted = mount::create("btrfs", &options, MountAttrFlags::empty())?;
    let target = path::open_dir(&spec.source)?;
    Ok(mount::attach(&mounted, target.as_fd(), &spec.source)?)
}

fn there(device: &Path) -> Result<(), Cause> {
    if device.exists() {
        return Ok(());
    }
    Err(Cause::Lost {
        path: device.to_owned(),
    })
}

/// Whether what the pool stands on is still there: what is mounted lives on without a name, until the next start.
pub(super) fn check(spec: &PoolSpec) -> Result<(), Cause> {
    spec.device.as_deref().map_or(Ok(()), there)
}

/// Makes the loop file larger, and the file system with it.
pub(super) fn grow(spec: &PoolSpec, bytes: u64) -> Result<(), Cause> {
    let Some(loop_file) = spec.device.as_deref().filter(|device| !is_block(device)) else {
        return Err(Cause::Unsupported {
            what: "only pools on a loop file of their own can grow",
        });
    };
    let failed = |error| FileError::new("grow", loop_file, error);
    let backing = std::fs::File::options()
        .write(true)
        .open(loop_file)
        .map_err(failed)?;
    let now = backing.metadata().map_err(failed)?.len();
    if bytes < now {
        return Err(Cause::Shrink { now, wanted: bytes });
    }
    backing.set_len(bytes).map_err(failed)?;
    let root = path::open_dir(&spec.source)?;
    loopback::update_size(&device_of(&root, &spec.source)?)?;
    btrfs::grow_to_device(&root)
        .map_err(|error| FileError::new("grow the file system of", &spec.source, error))?;
    Ok(())
}

fn device_of(root: &std::os::fd::OwnedFd, source: &Path) -> Result<PathBuf, FileError> {
    let uuid = btrfs::uuid(root).map_err(|error| FileError::new("look at", source, error))?;
    let devices = PathBuf::from(format!("/sys/fs/btrfs/{uuid}/devices"));
    let names = file::list_dir(&devices)?;
    let name = names.first().ok_or_else(|| {
        FileError::new("find the device of", source, std::io::ErrorKind::NotFound)
    })?;
    Ok(Path::new("/dev").join(name))
}

/// Takes away the file system of a pool that is deleted, or was only half made. Its block device is left alone.
pub(crate) fn discard(spec: &PoolSpec) -> Result<(), Cause> {
    let Some(device) = &spec.device else {
        return Ok(());
    };
    mount::detach(&spec.source).map_err(|error| FileError::new("unmount", &spec.source, error))?;
    if !is_block(device) {
        file::remove(device)?;
        // It was made for loop files, and stays while there are others.
        drop(device.parent().map(std::fs::remove_dir));
    }
    Ok(())
}
