//! Tries out what a version number doesn't tell: user namespaces, and idmapped mounts on the very file system that will
//! hold the instances. Leaves nothing: the mounts are never attached, the directory is deleted.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rlxc_sys::chain::chain;
use rlxc_sys::idmap::{IDS_PER_CONTAINER, IdMap};
use rlxc_sys::rootfs::RootSource;
use rlxc_sys::tool::Tool;
use rlxc_sys::{file, mount, namespace};

use super::facts::Trials;

const PATIENCE: Duration = Duration::from_secs(2);

/// Tries everything, with ids from `base` on, in `directory`.
pub(super) fn run(directory: &Path, base: u32) -> Trials {
    let userns = match user_namespace(base) {
        Ok(userns) => userns,
        Err(error) => {
            let untried = || Err("not tried: it needs a user namespace".to_owned());
            return Trials {
                user_namespace: Err(error.to_string()),
                idmapped_mount: untried(),
                idmapped_overlay: untried(),
            };
        }
    };
    let scratch = match Scratch::create(directory) {
        Ok(scratch) => scratch,
        Err(error) => {
            let untried = || Err(format!("not tried: {}", chain(&error)));
            return Trials {
                user_namespace: Ok(()),
                idmapped_mount: untried(),
                idmapped_overlay: untried(),
            };
        }
    };
    let part = |name: &str| scratch.0.join(name);
    let tree = RootSource::Tree {
        path: part("lower"),
    };
    let overlay = RootSource::Overlay {
        lower: vec![part("lower")],
        upper: part("upper"),
        work: part("work"),
    };
    Trials {
        user_namespace: Ok(()),
        idmapped_mount: assemble(&tree, &userns),
        idmapped_overlay: assemble(&overlay, &userns),
    }
}

fn assemble(source: &RootSource, userns: &OwnedFd) -> Result<(), String> {
    let mounted = mount::assemble(source, Some(userns.as_fd()));
    mounted.map(drop).map_err(|error| chain(&error).to_string())
}

/// A user namespace with a whole container's ids, kept by its descriptor alone.
fn user_namespace(base: u32) -> io::Result<OwnedFd> {
    let tool = Tool::new("unshare").args(["--user", "cat"]);
    let mut command = tool.command().map_err(io::Error::other)?;
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let holder = Holder(child);
    let pid = holder.0.id();
    wait_for_namespace(pid)?;
    let map = IdMap::contiguous(base, IDS_PER_CONTAINER);
    let write = |name: &str, text: String| {
        file::write_existing(Path::new(&format!("/proc/{pid}/{name}")), text.as_bytes())
    };
    write("uid_map", IdMap::render(&map.uid)).map_err(io::Error::other)?;
    write("gid_map", IdMap::render(&map.gid)).map_err(io::Error::other)?;
    namespace::open(i32::try_from(pid).map_err(io::Error::other)?, "user")
}

/// `unshare` needs a moment before its namespace differs from ours; if it may not make one, it ends.
fn wait_for_namespace(pid: u32) -> io::Result<()> {
    let ours = std::fs::read_link("/proc/self/ns/user")?;
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match std::fs::read_link(format!("/proc/{pid}/ns/user")) {
            Ok(theirs) if theirs != ours => return Ok(()),
            Ok(_) => std::thread::sleep(Duration::from_millis(1)),
            Err(_) => break,
        }
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        "unshare(2) was refused",
    ))
}

/// A process that keeps a namespace until somebody has a descriptor of it.
struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        // It ends by itself when its stdin closes; this only makes sure, and reaps it.
        let ended = self.0.kill().and_then(|()| self.0.wait());
        if let Err(error) = ended {
            tracing::warn!(%error, "a process of the doctor could not be ended");
        }
    }
}

/// The layers of an overlay, deleted in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn create(parent: &Path) -> Result<Self, file::FileError> {
        let scratch = Self(parent.join(format!(".doctor-{}", uuid::Uuid::new_v4())));
        file::create_dir(&scratch.0, 0o700)?;
        for name in ["lower", "upper", "work"] {
            file::create_dir(&scratch.0.join(name), 0o755)?;
        }
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        match std::fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.0.display(), %error, "a directory of the doctor could not be deleted");
            }
            _ => {}
        }
    }
}
