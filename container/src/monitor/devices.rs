//! `/dev` of a container: a file system of its own, made by root of the host, whose nodes belong to the container.
//!
//! Only the host may make device nodes, and a node that is bound from the host's `/dev` would keep the host's owner
//! and mode. What is made here the container can neither add to nor change in kind.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rlxc_sys::idmap::IdMap;
use rlxc_sys::mount;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use crate::confine::InPhase;
use crate::protocol::Failure;
use crate::spec::{ContainerSpec, DeviceSpec};

const PHASE: &str = "devices";

/// Name, major and minor number (Documentation/admin-guide/devices.txt), and whether the host must have it too.
pub(super) const MINIMAL: [(&str, u32, u32, bool); 8] = [
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
    let mount = mount::create(
        "tmpfs",
        &[("mode", "0755"), ("size", "512k")],
        MountAttrFlags::MOUNT_ATTR_NOSUID,
    )
    .in_phase(PHASE, String::new)?;
    let dev = Dev {
        mount: mount.as_fd(),
        idmap: spec.idmap.as_ref(),
    };
    dev.furnish()?;
    let mut bound = Vec::new();
    for (name, major, minor, if_present) in MINIMAL {
        let source = Path::new("/dev").join(name);
        if if_present && !source.exists() {
            continue;
        }
        let device = DeviceSpec {
            device: String::new(),
            path: source.clone(),
            source,
            kind: "c".to_owned(),
            number: format!("{major}:{minor}"),
            mode: 0o666,
            uid: 0,
            gid: 0,
            optional: false,
        };
        if !dev.add(&device)? {
            bound.push(device);
        }
    }
    for device in &spec.devices {
        if !dev.add(device)? {
            bound.push(device.clone());
        }
    }
    Ok((mount, bound))
}

/// `/dev` of a container, running or not yet. Once it runs, what is in there is the container's: no link and no mount on the
/// way is followed.
pub(super) struct Dev<'a> {
    pub(super) mount: BorrowedFd<'a>,
    pub(super) idmap: Option<&'a IdMap>,
}

impl Dev<'_> {
    fn furnish(&self) -> Result<(), Failure> {
        self.give(self.mount, "", 0, 0)?;
        for directory in DIRECTORIES {
            self.directory(Path::new(directory))?;
        }
        for (name, target) in LINKS {
            rustix::fs::symlinkat(target, self.mount, name)
                .in_phase(PHASE, || format!("create `/dev/{name}`"))?;
            self.give(self.mount, name, 0, 0)?;
        }
        // The console's terminal will be bound to it.
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
        rustix::fs::openat(self.mount, "console", flags, Mode::from_raw_mode(0o600))
            .in_phase(PHASE, || "create `/dev/console`".into())?;
        self.give(self.mount, "console", 0, 0)
    }

    /// Makes a node; false if it must be bound.
    pub(super) fn add(&self, device: &DeviceSpec) -> Result<bool, Failure> {
        let Some(name) = below_dev(&device.path) else {
            return Ok(false);
        };
        let Some((kind, number)) = identify(device)? else {
            return Ok(true);
        };
        let (parent, name) = self.place(name)?;
        let describe = || format!("create `{}`", device.path.display());
        let mode = Mode::from_raw_mode(device.mode);
        let make = || rustix::fs::mknodat(&parent, &name, kind, mode, number);
        match make() {
            Err(Errno::PERM) => return Ok(false),
            // One of the minimal ones, ordered once more with another mode or owner, or one that was left.
            Err(Errno::EXIST) if is_device(&parent, &name) => {
                rustix::fs::unlinkat(&parent, &name, AtFlags::empty()).in_phase(PHASE, describe)?;
                make().in_phase(PHASE, describe)?;
            }
            result => result.in_phase(PHASE, describe)?,
        }
        self.give(parent.as_fd(), &name, device.uid, device.gid)?;
        Ok(true)
    }

    /// Takes a node away; none is no error, and what is no node is not ours.
    pub(super) fn remove(&self, device: &DeviceSpec) -> Result<(), Failure> {
        let Some(name) = below_dev(&device.path) else {
            return Ok(());
        };
        let Ok((parent, name)) = self.place(name) else {
            return Ok(());
        };
        if !is_device(&parent, &name) {
            return Ok(());
        }
        match rustix::fs::unlinkat(&parent, &name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => {
                Err(errno).in_phase(PHASE, || format!("remove `{}`", device.path.display()))
            }
        }
    }

    /// The directory of a node, made if it is missing, and the node's name in it.
    fn place(&self, name: &Path) -> Result<(OwnedFd, PathBuf), Failure> {
        let parent = name.parent().unwrap_or(Path::new(""));
        self.directory(parent)?;
        let file = name.file_name().map(PathBuf::from).unwrap_or_default();
        Ok((self.open(parent)?, file))
    }

    fn open(&self, directory: &Path) -> Result<OwnedFd, Failure> {
        let directory = if directory.as_os_str().is_empty() {
            Path::new(".")
        } else {
            directory
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        rustix::fs::openat2(self.mount, directory, flags, Mode::empty(), resolve)
            .in_phase(PHASE, || format!("open `/dev/{}`", directory.display()))
    }

    fn directory(&self, path: &Path) -> Result<(), Failure> {
        let mut made = PathBuf::new();
        for part in path {
            let parent = self.open(&made)?;
            made.push(part);
            match rustix::fs::mkdirat(&parent, part, Mode::from_raw_mode(0o755)) {
                Ok(()) => self.give(parent.as_fd(), part, 0, 0)?,
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
    fn give(
        &self,
        parent: BorrowedFd<'_>,
        name: impl AsRef<Path>,
        uid: u32,
        gid: u32,
    ) -> Result<(), Failure> {
        let name = name.as_ref();
        let (uid, gid) = match self.idmap {
            None => (Some(uid), Some(gid)),
            Some(idmap) => (idmap.host_uid(uid), idmap.host_gid(gid)),
        };
        rustix::fs::chownat(
            parent,
            name,
            uid.map(Uid::from_raw),
            gid.map(Gid::from_raw),
            AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW,
        )
        .in_phase(PHASE, || {
            format!("set the owner of `{}` in `/dev`", name.display())
        })
    }
}

/// What a path below `/dev` is called there; none for a path that is elsewhere or no plain one.
fn below_dev(path: &Path) -> Option<&Path> {
    let name = path.strip_prefix("/dev").ok()?;
    let plain = name
        .components()
        .all(|part| matches!(part, std::path::Component::Normal(_)));
    (plain && name.file_name().is_some()).then_some(name)
}

fn is_device(parent: &OwnedFd, name: &Path) -> bool {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW);
    stat.is_ok_and(|stat| {
        matches!(
            FileType::from_raw_mode(stat.st_mode),
            FileType::CharacterDevice | FileType::BlockDevice
        )
    })
}

/// Kind and number, as ordered or as the source has them; none if that may be missing and is.
pub(super) fn identify(device: &DeviceSpec) -> Result<Option<(FileType, u64)>, Failure> {
    if let Some((major, minor)) = device.number.split_once(':') {
        let parse = |number: &str| {
            number.parse::<u32>().map_err(|_bad| Failure {
                phase: PHASE.to_owned(),
                errno: Errno::INVAL.raw_os_error(),
                detail: format!("`{}` is no number of a device", device.number),
            })
        };
        let kind = match device.kind.as_str() {
            "b" => FileType::BlockDevice,
            _ => FileType::CharacterDevice,
        };
        return Ok(Some((
            kind,
            rustix::fs::makedev(parse(major)?, parse(minor)?),
        )));
    }
    let stat = match rustix::fs::stat(&device.source) {
        Err(Errno::NOENT) if device.optional => return Ok(None),
        result => result.in_phase(PHASE, || format!("look at `{}`", device.source.display()))?,
    };
    let kind = FileType::from_raw_mode(stat.st_mode);
    if !matches!(kind, FileType::CharacterDevice | FileType::BlockDevice) {
        return Err(Failure {
            phase: PHASE.to_owned(),
            errno: Errno::NODEV.raw_os_error(),
            detail: format!("`{}` is no device", device.source.display()),
        });
    }
    Ok(Some((kind, stat.st_rdev)))
}
