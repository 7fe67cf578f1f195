//! The program rsync at one end of a websocket, working on the root of an instance or on a custom volume.
//!
//! It runs in a mount namespace of its own, where all is read-only but what it is to write: whatever the other server
//! sends, nothing else of this host changes. The mounts go with the process, however that ends.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Stdio};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use rlxc_storage::VolumeKind;
use rlxc_sys::file;
use rlxc_sys::mount::{self, Attributes, Depth};
use rlxc_sys::namespace;
use rlxc_sys::path;
use rlxc_sys::rootfs::RootSource;
use rlxc_sys::tool::Tool;
use rustix::mount::MountAttrFlags;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;

use super::MigrationError;
use super::channel::{Channel, Frame};
use super::wire::Features;
use crate::context::blocking;
use crate::error::Cause;

const CHUNK: usize = 128 << 10;
/// Files that went away while they were read: no failure.
const VANISHED: i32 = 24;
/// Bytes of its complaints that are told.
const STDERR_KEPT: usize = 1000;
/// What rsync calls instead of ssh: its own stdin and stdout, which are ours, become the connection to the other side.
const BRIDGE: &str =
    "sh -c 'exec 3<&0; cat <&3 >/proc/$PPID/fd/1 & exec 3<&-; exec cat </proc/$PPID/fd/0'";

/// The directory that goes over the wire. Of an instance: metadata, templates, and `rootfs`, where the root is put for the
/// program; of a custom volume it is where its root is put.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
    root: PathBuf,
}

impl Scratch {
    /// Makes it below `parent`; it goes when this is dropped.
    pub(super) fn create(parent: &Path, kind: VolumeKind) -> Result<Self, MigrationError> {
        let path = parent.join(format!("migrate-{}", uuid::Uuid::new_v4()));
        let place = |error: file::FileError| MigrationError::Place(error.into());
        file::create_dir(&path, 0o700).map_err(place)?;
        let root = match kind {
            VolumeKind::Container => path.join("rootfs"),
            VolumeKind::Custom => path.clone(),
        };
        let made = Self { path, root };
        file::ensure_dir(&made.root, 0o755).map_err(place)?;
        Ok(made)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a directory stays behind until the next start");
        }
    }
}

fn options(features: Features) -> Vec<String> {
    let mut options: Vec<String> = ["--numeric-ids", "--devices", "--partial", "--sparse"]
        .map(str::to_owned)
        .into();
    let has = |feature: Option<bool>| feature == Some(true);
    if has(features.xattrs) {
        options.extend(["--xattrs", "--filter=-x security.selinux"].map(str::to_owned));
    }
    if has(features.delete) {
        options.push("--delete".to_owned());
    }
    if has(features.compress) {
        options.extend(["--compress", "--compress-level=2"].map(str::to_owned));
    }
    options
}

/// Sends a root.
pub(super) async fn send(
    channel: &mut Channel,
    (scratch, root): (&Scratch, RootSource),
    features: Features,
) -> Result<(), MigrationError> {
    let mut args = vec!["-ar".to_owned()];
    if features.exact == Some(true) {
        args.push("-HA".to_owned());
    }
    args.extend(options(features));
    args.extend([
        format!("{}/", scratch.path.display()),
        "localhost:/".to_owned(),
        "-e".to_owned(),
        BRIDGE.to_owned(),
    ]);
    run(channel, scratch, root, args).await
}

/// Receives a root. What was there and is not sent goes.
pub(super) async fn receive(
    channel: &mut Channel,
    (scratch, root): (&Scratch, RootSource),
    features: Features,
) -> Result<(), MigrationError> {
    let letters = if features.exact == Some(true) {
        "-vHAlogDtpre.iLsfx"
    } else {
        "-vlogDtpre.iLsfx"
    };
    let mut args = vec![
        "--server".to_owned(),
        letters.to_owned(),
        // A file of the same size is another one, even if it was written in the same second as that of a snapshot.
        "--modify-window=-1".to_owned(),
    ];
    args.extend(options(features));
    args.extend([".".to_owned(), format!("{}/", scratch.path.display())]);
    run(channel, scratch, root, args).await
}

async fn run(
    channel: &mut Channel,
    scratch: &Scratch,
    root: RootSource,
    args: Vec<String>,
) -> Result<(), MigrationError> {
    let places = (scratch.path.clone(), scratch.root.clone());
    let mut child = blocking(move || start((&places.0, &places.1), &root, args)).await?;
    let stderr = child.0.stderr.take();
    let work = async {
        let pumped = pump(channel, &mut child).await;
        if pumped.is_err() {
            // It may have ended already.
            drop(child.0.kill());
        }
        pumped
    };
    // Whoever has no room to complain does not go on.
    let (pumped, said) = tokio::join!(work, tail(stderr));
    let ended = blocking(move || child.end(&said)).await;
    // What the program says tells more than that the connection is gone.
    match (pumped, ended) {
        (Ok(()), ended) => ended,
        (Err(MigrationError::Closed | MigrationError::Told(_)), _) => Err(MigrationError::Closed),
        (Err(error), _) => Err(error),
    }
}

/// The program; killed if it is dropped before its end.
struct Running(Child);

impl Running {
    fn end(mut self, said: &[u8]) -> Result<(), MigrationError> {
        let status = self.0.wait().map_err(MigrationError::Broken)?;
        if status.success() || status.code() == Some(VANISHED) {
            return Ok(());
        }
        let stderr = String::from_utf8_lossy(said).trim().to_owned();
        Err(MigrationError::Rsync { status, stderr })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing is done to one that has ended.
        if let Ok(None) = self.0.try_wait() {
            drop(self.0.kill());
            drop(self.0.wait());
        }
    }
}

fn start(
    places: (&Path, &Path),
    root: &RootSource,
    args: Vec<String>,
) -> Result<Running, MigrationError> {
    let mut command = Tool::new("rsync").args(args).command()?;
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let place = |source: Cause| MigrationError::Place(source);
    // The thread ends with its namespace; the process that it has started keeps it.
    let started = std::thread::scope(|scope| {
        let work = || -> Result<Child, Cause> {
            isolate(places, root)?;
            Ok(command.spawn()?)
        };
        scope.spawn(work).join()
    });
    started
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        .map(Running)
        .map_err(place)
}

/// Gives the calling thread mounts of its own: the root in its place, all else read-only but the directory.
fn isolate((scratch, target): (&Path, &Path), root: &RootSource) -> Result<(), Cause> {
    let root = mount::assemble(root, None)?;
    namespace::unshare_mounts()?;
    mount::make_private()?;
    let own = mount::clone_tree(scratch, Depth::One, None)?;
    let all: OwnedFd = path::open_dir(Path::new("/"))?;
    let read_only = Attributes::set(MountAttrFlags::MOUNT_ATTR_RDONLY);
    mount::set_attributes(&all, read_only, Depth::Recursive)?;
    mount::attach(&own, path::open_dir(scratch)?.as_fd(), scratch)?;
    mount::attach(&root, path::open_dir(target)?.as_fd(), target)?;
    Ok(())
}

/// The end of what the program says, once it has said all.
async fn tail(stderr: Option<ChildStderr>) -> Vec<u8> {
    let mut said = Vec::new();
    let Some(Ok(mut pipe)) = stderr.map(|stderr| pipe::Receiver::from_owned_fd(stderr.into()))
    else {
        return said;
    };
    let mut buffer = [0; 4096];
    // What was read before an error is the best there is.
    while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
        said.extend_from_slice(&buffer[..count]);
        let extra = said.len().saturating_sub(STDERR_KEPT);
        said.drain(..extra);
    }
    said
}

/// Carries bytes both ways until both sides have said that there are no more.
async fn pump(channel: &mut Channel, child: &mut Running) -> Result<(), MigrationError> {
    let broken = MigrationError::Broken;
    let (Some(stdin), Some(stdout)) = (child.0.stdin.take(), child.0.stdout.take()) else {
        return Err(broken(io::ErrorKind::BrokenPipe.into()));
    };
    let mut stdin = Some(pipe::Sender::from_owned_fd(stdin.into()).map_err(broken)?);
    let mut stdout = pipe::Receiver::from_owned_fd(stdout.into()).map_err(broken)?;
    let (outgoing, incoming) = (&mut channel.outgoing, &mut channel.incoming);
    let out = async {
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = stdout.read(&mut buffer).await.map_err(broken)?;
            if count == 0 {
                return outgoing.send(Frame::End).await.map_err(broken);
            }
            let bytes = Bytes::copy_from_slice(&buffer[..count]);
            outgoing.send(Frame::Data(bytes)).await.map_err(broken)?;
        }
    };
    let back = async {
        loop {
            match incoming.next().await {
                Some(Ok(Frame::Data(bytes))) => {
                    let Some(pipe) = &mut stdin else { continue };
                    if pipe.write_all(&bytes).await.is_err() {
                        // The program has ended, and says itself why; the rest is read for nobody.
                        stdin = None;
                    }
                }
                Some(Ok(Frame::End)) => {
                    stdin = None;
                    return Ok(());
                }
                Some(Ok(Frame::Close)) | None => return Err(MigrationError::Closed),
                Some(Err(error)) => return Err(broken(error)),
            }
        }
    };
    tokio::try_join!(out, back).map(|_| ())
}
