//! Overlay mounts over idmapped layers, see Documentation/filesystems/overlayfs.rst.
//!
//! Overlay can't be idmapped itself; its layers can. They are handed over as file descriptors of detached mounts where
//! the kernel takes them (6.15 and later); before that as paths, which must be attached somewhere: in a mount
//! namespace that belongs to one short-lived thread. There mount(2) does it, which every kernel understands: before
//! 6.7 layers can't be named one by one, and fsconfig(2) takes no more than 255 characters for all of them together.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MountFlags};

use super::{Depth, MountError, attach, clone_tree, create, create_error, finish, open_context};
use crate::identity::FsIdentity;

const KIND: &str = "overlay";

/// The directories of one overlay.
pub(super) struct Layers<'a> {
    pub(super) lower: &'a [PathBuf],
    pub(super) upper: &'a Path,
    pub(super) work: &'a Path,
}

impl Layers<'_> {
    pub(super) fn mount(&self, userns: Option<BorrowedFd<'_>>) -> Result<OwnedFd, MountError> {
        let detached = Detached::open(self, userns)?;
        let _identity = match userns {
            Some(_) => Some(become_root_of_layers(&detached.work)?),
            None => None,
        };
        match detached.mount_descriptors() {
            Err(MountError::Create { ref source, .. }) if is_unsupported(source) => {
                detached.mount_in_private_namespace()
            }
            result => result,
        }
    }
}

/// What a kernel says that can't take such layers by descriptor: the parameter is unknown or wants a string or an attached
/// mount (`EINVAL`), the file system takes nothing but strings (before 6.5, `EOPNOTSUPP`), or fsconfig(2) takes no
/// descriptors of `O_PATH` (before 6.13, `EBADF`).
fn is_unsupported(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::InvalidInput, io::ErrorKind::Unsupported];
    kinds.contains(&error.kind()) || error.raw_os_error() == Some(Errno::BADF.raw_os_error())
}

/// Detached mounts of the layers, idmapped or not.
struct Detached<'a> {
    layers: &'a Layers<'a>,
    userns: Option<BorrowedFd<'a>>,
    lower: Vec<OwnedFd>,
    /// One mount that holds `upper` and `work`: overlay wants both on the same.
    writable: OwnedFd,
    upper: OwnedFd,
    work: OwnedFd,
}

impl<'a> Detached<'a> {
    fn open(layers: &'a Layers<'a>, userns: Option<BorrowedFd<'a>>) -> Result<Self, MountError> {
        let lower = layers
            .lower
            .iter()
            .map(|path| clone_tree(path, Depth::One, userns))
            .collect::<Result<_, _>>()?;
        let parent = common_parent(layers.upper, layers.work);
        let writable = clone_tree(parent, Depth::One, userns)?;
        let open = |path: &Path| {
            let relative = path.strip_prefix(parent).unwrap_or(path);
            rustix::fs::openat(
                &writable,
                relative,
                OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )
            .map_err(|errno| MountError::Open {
                path: path.to_owned(),
                source: errno.into(),
            })
        };
        let (upper, work) = (open(layers.upper)?, open(layers.work)?);
        Ok(Self {
            layers,
            userns,
            lower,
            writable,
            upper,
            work,
        })
    }

    fn mount_descriptors(&self) -> Result<OwnedFd, MountError> {
        let context = open_context(KIND)?;
        let set = |key: &str, fd: &OwnedFd| {
            rustix::mount::fsconfig_set_fd(&context, key, fd)
                .map_err(|errno| create_error(KIND, key, &context, errno))
        };
        for layer in &self.lower {
            set("lowerdir+", layer)?;
        }
        set("upperdir", &self.upper)?;
        set("workdir", &self.work)?;
        rustix::mount::fsconfig_set_string(&context, "redirect_dir", "on")
            .map_err(|errno| create_error(KIND, "redirect_dir", &context, errno))?;
        finish(KIND, &context, MountAttrFlags::empty())
    }

    /// The mount namespace of a thread ends with it: nothing of this is ever seen by others, and the overlay keeps
    /// its layers alive by itself.
    fn mount_in_private_namespace(&self) -> Result<OwnedFd, MountError> {
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    let _identity = match self.userns {
                        Some(_) => Some(become_root_of_layers(&self.work)?),
                        None => None,
                    };
                    crate::namespace::unshare_mounts().map_err(|source| MountError::Root {
                        step: "unshare the mount namespace of a thread",
                        source,
                    })?;
                    super::make_private()?;
                    self.attach_and_mount()
                })
                .join()
                .unwrap_or_else(|_panic| {
                    Err(MountError::Root {
                        step: "run a thread",
                        source: io::Error::other("it panicked"),
                    })
                })
        })
    }

    fn attach_and_mount(&self) -> Result<OwnedFd, MountError> {
        // Any directory would do as a place; /proc is there on each host, and this namespace sees it no more.
        let scratch = Path::new("/proc");
        let tmpfs = create("tmpfs", &[("mode", "0700")], MountAttrFlags::empty())?;
        attach_at(&tmpfs, scratch)?;
        // Relative names are short: all options of mount(2) have to fit into one page, with up to 500 layers.
        rustix::process::chdir(scratch).map_err(|errno| MountError::Root {
            step: "enter a scratch directory",
            source: errno.into(),
        })?;
        let mut lower = Vec::new();
        for (index, mount) in self.lower.iter().enumerate() {
            let name = format!("l{index}");
            attach_at(mount, &make_place(&name)?)?;
            lower.push(name);
        }
        attach_at(&self.writable, &make_place("w")?)?;
        let parent = common_parent(self.layers.upper, self.layers.work);
        let below = |path: &Path| {
            let relative = path.strip_prefix(parent).unwrap_or(path);
            escape(&Path::new("w").join(relative))
        };
        let options = format!(
            "lowerdir={},upperdir={},workdir={},redirect_dir=on",
            lower.join(":"),
            below(self.layers.upper),
            below(self.layers.work)
        );
        mount_by_name(&make_place("m")?, &options)
    }
}

/// By mount(2), made a detached mount again.
fn mount_by_name(target: &Path, options: &str) -> Result<OwnedFd, MountError> {
    let create_error = |source| MountError::Create {
        kind: KIND.to_owned(),
        step: "mount".to_owned(),
        source,
    };
    let options = CString::new(options).map_err(|error| create_error(error.into()))?;
    rustix::mount::mount(KIND, target, KIND, MountFlags::empty(), options.as_c_str())
        .map_err(|errno| create_error(errno.into()))?;
    clone_tree(target, Depth::One, None)
}

fn make_place(name: &str) -> Result<PathBuf, MountError> {
    let path = PathBuf::from(name);
    std::fs::create_dir(&path).map_err(|source| MountError::Open {
        path: path.clone(),
        source,
    })?;
    Ok(path)
}

/// A comma would end the option.
fn escape(path: &Path) -> String {
    let text = path.to_string_lossy();
    text.replace('\\', "\\\\").replace(',', "\\,")
}

fn attach_at(mount: &OwnedFd, path: &Path) -> Result<(), MountError> {
    let target =
        rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(|errno| {
            MountError::Open {
                path: path.to_owned(),
                source: errno.into(),
            }
        })?;
    attach(mount, target.as_fd(), path)
}

fn common_parent<'a>(upper: &'a Path, work: &Path) -> &'a Path {
    upper
        .ancestors()
        .skip(1)
        .find(|parent| work.starts_with(parent))
        .unwrap_or(upper)
}

/// Takes on the file system identity of the container's root.
///
/// Overlay works on its layers with the credentials of whoever mounted it, and the host's root could create nothing in
/// an idmapped layer. The owner of the work directory, as seen through the mount, is the root of the container.
fn become_root_of_layers(work: &OwnedFd) -> Result<FsIdentity, MountError> {
    let open_error = |source| MountError::Open {
        path: PathBuf::from("work directory"),
        source,
    };
    let stat = File::from(work.try_clone().map_err(open_error)?)
        .metadata()
        .map_err(open_error)?;
    FsIdentity::assume(stat.uid(), stat.gid()).map_err(|source| MountError::Root {
        step: "raise capabilities",
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idmap::{IDS_PER_CONTAINER, IdMap};
    use std::fs;
    use std::os::fd::AsRawFd;

    /// A user namespace with maps, and the process that keeps it.
    fn user_namespace() -> Option<(std::process::Child, OwnedFd)> {
        let tool = crate::tool::Tool::new("unshare").args(["--user", "sleep", "60"]);
        let child = tool.command().ok()?.spawn().ok()?;
        let own = fs::read_link("/proc/self/ns/user").ok()?;
        let theirs = format!("/proc/{}/ns/user", child.id());
        while fs::read_link(&theirs).ok()? == own {
            std::thread::yield_now();
        }
        let map = IdMap::render(&IdMap::contiguous(1_900_000_000, IDS_PER_CONTAINER).uid);
        for file in ["gid_map", "uid_map"] {
            fs::write(format!("/proc/{}/{file}", child.id()), &map).ok()?;
        }
        let pid = child.id().try_into().ok()?;
        Some((child, crate::namespace::open(pid, "user").ok()?))
    }

    #[test]
    fn what_older_kernels_say_is_known() {
        // 6.12, 6.1, 6.13, in this order; the last is a real failure.
        for (errno, expected) in [
            (Errno::BADF, true),
            (Errno::OPNOTSUPP, true),
            (Errno::INVAL, true),
            (Errno::PERM, false),
        ] {
            assert_eq!(is_unsupported(&errno.into()), expected, "{errno}");
        }
    }

    /// Both ways of handing layers over must give the same: the second is for kernels before 6.15.
    #[test]
    fn shifted_layers_are_writable_by_the_root_of_the_container() {
        let Some((mut keeper, userns)) = user_namespace() else {
            assert!(std::env::var_os("RLXC_FORBID_SKIP").is_none());
            eprintln!("skipped: needs root and unshare(1)");
            return;
        };
        let dir = tempfile::tempdir().unwrap();
        for part in ["lower", "upper", "work"] {
            fs::create_dir(dir.path().join(part)).unwrap();
        }
        let layers = Layers {
            lower: &[dir.path().join("lower")],
            upper: &dir.path().join("upper"),
            work: &dir.path().join("work"),
        };
        let shifted = Detached::open(&layers, Some(userns.as_fd())).unwrap();
        let mounts = [
            layers.mount(Some(userns.as_fd())).unwrap(),
            shifted.mount_in_private_namespace().unwrap(),
        ];
        for (number, mount) in mounts.iter().enumerate() {
            let root = PathBuf::from(format!("/proc/self/fd/{}", mount.as_raw_fd()));
            assert_eq!(fs::metadata(&root).unwrap().uid(), 1_900_000_000);
            let identity = become_root_of_layers(&shifted.work).unwrap();
            fs::write(root.join(format!("file{number}")), "x").unwrap();
            drop(identity);
            let upper = dir.path().join(format!("upper/file{number}"));
            assert_eq!(fs::metadata(upper).unwrap().uid(), 0);
        }
        drop((mounts, shifted));
        keeper.kill().unwrap();
        keeper.wait().unwrap();
    }

    /// As many as overlay takes, below a directory whose name needs care, as the host sees them.
    #[test]
    fn a_tall_stack_fits_into_one_call() {
        if !rustix::process::geteuid().is_root() {
            assert!(std::env::var_os("RLXC_FORBID_SKIP").is_none());
            eprintln!("skipped: needs root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let lower: Vec<PathBuf> = (0..500)
            .map(|number| dir.path().join(format!("a,b:{number}")))
            .collect();
        for (number, layer) in lower.iter().enumerate() {
            fs::create_dir(layer).unwrap();
            fs::write(layer.join(format!("file{number}")), "x").unwrap();
        }
        for part in ["u,p", "w\\k"] {
            fs::create_dir(dir.path().join(part)).unwrap();
        }
        let layers = Layers {
            lower: &lower,
            upper: &dir.path().join("u,p"),
            work: &dir.path().join("w\\k"),
        };
        let detached = Detached::open(&layers, None).unwrap();
        let mount = detached.mount_in_private_namespace().unwrap();
        let root = PathBuf::from(format!("/proc/self/fd/{}", mount.as_raw_fd()));
        assert_eq!(fs::read_dir(&root).unwrap().count(), 500);
        fs::write(root.join("new"), "x").unwrap();
        assert!(dir.path().join("u,p/new").is_file());
    }
}
