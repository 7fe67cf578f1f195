//! `/dev` of a container: a file system of its own, made by root of the host, whose nodes belong to the container.
//!
//! Only the host may make device nodes, and a node that is bound from the host's `/dev` would keep the host's owner
//! and mode. What is made here the container can neither add to nor change in kind.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rlxc_sys::mount;
use rustix::fs::{AtFlags, FileType, Gid, Mode, Uid};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use crate::confine::InPhase;
use crate::protocol::Failure;
use crate::spec::{ContainerSpec, DeviceSpec};

const PHASE: &str = "devices";

/// Name, major and minor number (Documentation/admin-guide/devices.txt), and whether the host must have it too.
const MINIMAL: [(&str, u32, u32, bool); 8] = [
    ("null", 1, 3, false),
    ("zero", 1, 5, false),
    ("full", 1, 7, false),
    ("random", 1, 8, false),
    ("urandom", 1, 9, false),
    ("tty", 5, 0, false),
    ("fuse", 10, 229, true),
    ("net/tun", 10, 200, true),
];
/// Links, as Documentation/admin-guide/devices.txt asks for them.
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];
const DIRECTORIES: [&str; 4] = ["pts", "shm", "mqueue", "net"];

/// The mount, and the devices that have to be bound from the host because they do not lie below `/dev`, or because
/// this process may not make nodes (in a container of its own).
pub(super) fn make(spec: &ContainerSpec) -> Result<(OwnedFd, Vec<DeviceSpec>), Failure> {
    let dev = Dev::create(spec)?;
    let mut bound = Vec::new();
    for (name, major, minor, if_present) in MINIMAL {
        let source = Path::new("/dev").join(name);
        if if_present && !source.exists() {
            continue;
        }
        let device = DeviceSpec {
            path: source.clone(),
            source,
            mode: 0o666,
            uid: 0,
            gid: 0,
            optional: false,
        };
        let kind = Mode::from_raw_mode(0o666);
        let number = rustix::fs::makedev(major, minor);
        if !dev.node(&device, FileType::CharacterDevice, kind, number)? {
            bound.push(device);
        }
    }
    for device in &spec.devices {
        if !dev.copy(device)? {
            bound.push(device.clone());
        }
    }
    Ok((dev.mount, bound))
}

struct Dev<'a> {
    mount: OwnedFd,
    spec: &'a ContainerSpec,
}

impl<'a> Dev<'a> {
    fn create(spec: &'a ContainerSpec) -> Result<Self, Failure> {
        let mount = mount::create(
            "tmpfs",
            &[("mode", "0755"), ("size", "512k")],
            MountAttrFlags::MOUNT_ATTR_NOSUID,
        )
        .in_phase(PHASE, String::new)?;
        let dev = Self { mount, spec };
        dev.give("", 0, 0)?;
        for directory in DIRECTORIES {
            dev.directory(Path::new(directory))?;
        }
        for (name, target) in LINKS {
            rustix::fs::symlinkat(target, &dev.mount, name)
                .in_phase(PHASE, || format!("create `/dev/{name}`"))?;
            dev.give(name, 0, 0)?;
        }
        // The console's terminal will be bound to it.
        let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
        rustix::fs::openat(&dev.mount, "console", flags, Mode::from_raw_mode(0o600))
            .in_phase(PHASE, || "create `/dev/console`".into())?;
        dev.give("console", 0, 0)?;
        Ok(dev)
    }

    /// A node like one of the host's; false if it must be bound.
    fn copy(&self, device: &DeviceSpec) -> Result<bool, Failure> {
        if !device.path.starts_with("/dev") {
            return Ok(false);
        }
        let stat = match rustix::fs::stat(&device.source) {
            Err(Errno::NOENT) if device.optional => return Ok(true),
            result => {
                result.in_phase(PHASE, || format!("look at `{}`", device.source.display()))?
            }
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if !matches!(kind, FileType::CharacterDevice | FileType::BlockDevice) {
            return Err(Failure {
                phase: PHASE.to_owned(),
                errno: Errno::NODEV.raw_os_error(),
                detail: format!("`{}` is no device", device.source.display()),
            });
        }
        let mode = Mode::from_raw_mode(device.mode);
        self.node(device, kind, mode, stat.st_rdev)
    }

    /// False if this process may not make nodes.
    fn node(
        &self,
        device: &DeviceSpec,
        kind: FileType,
        mode: Mode,
        number: u64,
    ) -> Result<bool, Failure> {
        let name = relative(&device.path);
        if let Some(parent) = name.parent() {
            self.directory(parent)?;
        }
        match rustix::fs::mknodat(&self.mount, &name, kind, mode, number) {
            Ok(()) => {}
            Err(Errno::PERM) => return Ok(false),
            // One of the minimal ones, ordered once more with another mode or owner.
            Err(Errno::EXIST) => {
                rustix::fs::chmodat(&self.mount, &name, mode, AtFlags::empty())
                    .in_phase(PHASE, || format!("set the mode of `{}`", name.display()))?;
            }
            Err(errno) => {
                return Err(errno).in_phase(PHASE, || format!("create `/dev/{}`", name.display()));
            }
        }
        self.give(&name, device.uid, device.gid)?;
        Ok(true)
    }

    fn directory(&self, path: &Path) -> Result<(), Failure> {
        let mut made = PathBuf::new();
        for part in path {
            made.push(part);
            match rustix::fs::mkdirat(&self.mount, &made, Mode::from_raw_mode(0o755)) {
                Ok(()) => self.give(&made, 0, 0)?,
                Err(Errno::EXIST) => {}
                Err(errno) => {
                    return Err(errno)
                        .in_phase(PHASE, || format!("create `/dev/{}`", made.display()));
                }
            }
        }
        Ok(())
    }

    /// Ids are the container's.
    fn give(&self, path: impl AsRef<Path>, uid: u32, gid: u32) -> Result<(), Failure> {
        let path = path.as_ref();
        let (uid, gid) = match &self.spec.idmap {
            None => (Some(uid), Some(gid)),
            Some(idmap) => (idmap.host_uid(uid), idmap.host_gid(gid)),
        };
        rustix::fs::chownat(
            &self.mount,
            path,
            uid.map(Uid::from_raw),
            gid.map(Gid::from_raw),
            AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW,
        )
        .in_phase(PHASE, || {
            format!("set the owner of `/dev/{}`", path.display())
        })
    }
}

fn relative(path: &Path) -> PathBuf {
    path.strip_prefix("/dev").unwrap_or(path).to_owned()
}
