//! mount(2): file systems on block devices that the container was given.
//!
//! What is on the device is the container's to write, and the kernel reads it: only file systems that the user named are
//! mounted. All others are left to the kernel, which refuses what a container may not mount.

use std::ffi::OsStr;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use rlxc_sys::mount::{self, Attributes, Depth};
use rlxc_sys::seccomp::Answer;
use rlxc_sys::{namespace, path};
use rustix::fs::{Access, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::agent::{self, Agent, to_errno};
use super::caller::Caller;
use super::options::{self, Flags};
use super::redirect;
use crate::monitor::devices::identify;
use crate::spec::MountInterception;

/// What a call asks for, copied from the caller's memory.
pub(super) struct Wish {
    pub(super) source: Vec<u8>,
    pub(super) target: Vec<u8>,
    pub(super) kind: String,
    pub(super) flags: Flags,
    pub(super) data: String,
}

/// Mounts a file system, or has a program of the container do it.
pub(super) fn mount(
    caller: &Caller<'_>,
    order: &MountInterception,
    [source, target, kind, flags, data, _]: [u64; 6],
) -> Result<Answer, Errno> {
    let kind = String::from_utf8(caller.optional_string(kind)?).unwrap_or_default();
    let program = order.fuse.get(&kind);
    if program.is_none() && !order.allowed.contains(&kind) {
        return Ok(Answer::Continue);
    }
    caller.needs("sys_admin")?;
    let data = String::from_utf8(caller.optional_string(data)?);
    let wish = Wish {
        source: caller.optional_string(source)?,
        target: caller.string(target)?,
        kind,
        flags: Flags::new(flags),
        data: data.map_err(|_no_text| Errno::INVAL)?,
    };
    caller.still_waits()?;
    match program {
        Some(program) => redirect::mount(caller, &wish, program),
        None => mount_device(caller, &wish, order.shift),
    }
}

fn mount_device(caller: &Caller<'_>, wish: &Wish, shift: bool) -> Result<Answer, Errno> {
    let options = options::parse(&wish.kind, &wish.data, wish.flags)?;
    let start = caller.start(None)?;
    let agent = Agent::send(caller, &start, |line| {
        let source = agent::open(&wish.source, OFlags::empty())?;
        let mut access = Access::READ_OK;
        if !wish.flags.is_readonly() {
            access |= Access::WRITE_OK;
        }
        path::check_access(source.as_fd(), access).map_err(to_errno)?;
        line.give(&source);
        let mount = line.given()?;
        let target = agent::open(&wish.target, OFlags::DIRECTORY)?;
        mount::attach(&mount, target.as_fd(), Path::new("")).map_err(to_errno)?;
        line.done();
        Ok(())
    })?;
    let source = agent.opened()?;
    let number = allowed_number(caller, &source)?;
    caller.still_waits()?;
    let shown = show(&source, &wish.source, number)?;
    let mut all = vec![("source", shown.as_str())];
    all.extend(
        options
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str())),
    );
    // Nodes on it are anybody's; what can be opened in a container is in its /dev.
    let attributes = wish.flags.attributes() | MountAttrFlags::MOUNT_ATTR_NODEV;
    let mounted = mount::create(&wish.kind, &all, attributes).map_err(to_errno)?;
    if shift {
        let idmap = Attributes::idmap(caller.userns.as_fd());
        mount::set_attributes(&mounted, idmap, Depth::One).map_err(to_errno)?;
    }
    caller.still_waits()?;
    agent.give(&mounted);
    agent.done()?;
    Ok(Answer::Done(0))
}

/// The number of a block device, if it is one of those that the container was given.
fn allowed_number(caller: &Caller<'_>, source: &OwnedFd) -> Result<u64, Errno> {
    let stat = rustix::fs::fstat(source)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::BlockDevice {
        return Err(Errno::NOTBLK);
    }
    let mut devices = caller.container.devices.iter();
    let given = devices.any(|device| {
        let found = identify(device).ok().flatten();
        found == Some((FileType::BlockDevice, stat.st_rdev))
    });
    given.then_some(stat.st_rdev).ok_or(Errno::PERM)
}

/// A path for the kernel that leads to the device whatever the container does meanwhile. Where it can, by the name that the
/// caller knows, since that is what it will see in its list of mounts: in a namespace of this process's own.
fn show(source: &OwnedFd, name: &[u8], number: u64) -> Result<String, Errno> {
    let descriptor = format!("/proc/self/fd/{}", source.as_raw_fd());
    let path = Path::new(OsStr::from_bytes(name));
    let Some(below) = path.strip_prefix("/dev").ok().filter(|path| is_plain(path)) else {
        return Ok(descriptor);
    };
    let Some(text) = path.to_str() else {
        return Ok(descriptor);
    };
    namespace::unshare_mounts().map_err(to_errno)?;
    mount::make_private().map_err(to_errno)?;
    let dev =
        mount::create("tmpfs", &[("mode", "0700")], MountAttrFlags::empty()).map_err(to_errno)?;
    let mut directory = PathBuf::new();
    for part in below.parent().into_iter().flatten() {
        directory.push(part);
        rustix::fs::mkdirat(&dev, &directory, Mode::RWXU)?;
    }
    match rustix::fs::mknodat(
        &dev,
        below,
        FileType::BlockDevice,
        Mode::RUSR | Mode::WUSR,
        number,
    ) {
        // In a container of its own this process may make no nodes.
        Err(Errno::PERM) => return Ok(descriptor),
        result => result?,
    }
    let place = rustix::fs::open("/dev", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    mount::attach(&dev, place.as_fd(), Path::new("/dev")).map_err(to_errno)?;
    Ok(text.to_owned())
}

fn is_plain(path: &Path) -> bool {
    let mut parts = path.components();
    path.file_name().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
}
