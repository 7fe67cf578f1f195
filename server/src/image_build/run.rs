//! Runs mmdebstrap: in a pid and mount namespace of its own, so that its end is the end of all that it started and of
//! every mount that it made; its tarball is compressed while it comes. It ends with the daemon, however that ends.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use rlxc_sys::tool::{Tool, ToolError};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio_util::sync::CancellationToken;

use super::error::BuildError;
use super::log::{Diagnosis, Log};
use super::pack;
use super::recipe::Recipe;

/// Dresses the tree when all packages are there; see the file.
const CUSTOMIZE: &str = include_str!("customize.sh");

/// Prepares the command; the tarball goes to its stdout, everything that it needs meanwhile into `scratch`.
pub(super) fn render_command(
    recipe: &Recipe,
    mirror: &super::mirror::Mirror,
    proxies: &super::apt::Proxies,
    scratch: &Path,
) -> Result<Command, BuildError> {
    let namespaces = [
        "--fork",
        "--pid",
        "--mount",
        "--mount-proc",
        "--kill-child=SIGKILL",
    ];
    let bootstrap = [
        "mmdebstrap".to_owned(),
        "--mode=root".to_owned(),
        "--format=tar".to_owned(),
        "--verbose".to_owned(),
        "--variant=minbase".to_owned(),
        format!("--architectures={}", recipe.architecture),
        format!(
            "--components={}",
            Recipe::components(recipe.release.distribution)
        ),
        format!("--include={}", recipe.packages().join(",")),
        format!("--customize-hook={CUSTOMIZE}"),
        // A build that dies is thrown away as a whole; waiting for the disk after each file would only make it slow.
        "--dpkgopt=force-unsafe-io".to_owned(),
        // The container gets a /dev of its own; device nodes in an image are only a burden.
        "--skip=output/dev".to_owned(),
        recipe.release.codename.to_owned(),
        "-".to_owned(),
    ];
    // Asked for early: `unshare` would tell it less clearly.
    Tool::new("mmdebstrap").command().map_err(tool_error)?;
    // The daemon may be killed: nobody would want the rest of the build, nor empty its directory.
    let mut tool = Tool::new("setpriv")
        .args(["--pdeathsig", "SIGKILL", "--", "unshare"])
        .args(namespaces)
        .args(bootstrap)
        .args(&mirror.lines)
        .env("TMPDIR", scratch)
        .env("RLXC_SOURCES", mirror.inside.as_deref().unwrap_or_default())
        .env(
            "RLXC_MIRROR",
            if mirror.lines.is_empty() { "" } else { "set" },
        )
        .env("RLXC_DISTRIBUTION", recipe.release.distribution.name())
        .env("DEBIAN_FRONTEND", "noninteractive");
    for (key, proxy) in [
        ("http_proxy", &proxies.http),
        ("https_proxy", &proxies.https),
    ] {
        if let Some(proxy) = proxy {
            tool = tool.env(key, proxy);
        }
    }
    let mut command = Command::from(tool.command().map_err(tool_error)?);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    Ok(command)
}

fn tool_error(source: ToolError) -> BuildError {
    BuildError::Tool { source }
}

/// Runs the command and writes the compressed root file system to `target`.
pub(super) async fn run(
    mut command: Command,
    target: &Path,
    progress: &(impl Fn(String) + Send + Sync),
    cancel: &CancellationToken,
) -> Result<(), BuildError> {
    let pipe = |doing| {
        move |source| BuildError::Io {
            doing,
            path: "mmdebstrap".into(),
            source,
        }
    };
    let mut child = command.spawn().map_err(pipe("start"))?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(pipe("read from")(std::io::Error::other("no pipe")));
    };
    let archive = File::from(stdout.into_owned_fd().map_err(pipe("read from"))?);
    let file = target.to_owned();
    let packer = tokio::task::spawn_blocking(move || pack::compress(archive, &file));
    let mut log = Log::default();
    let mut lines = BufReader::new(stderr).lines();
    let followed = tokio::select! {
        followed = follow(&mut lines, &mut log, progress) => followed.map_err(pipe("read from")),
        () = cancel.cancelled() => Err(BuildError::Cancelled),
    };
    if followed.is_err() {
        end(&mut child, &mut lines).await;
    }
    let status = child.wait().await.map_err(pipe("wait for"))?;
    let written = packer
        .await
        .map_err(|error| pipe("wait for")(error.into()))?;
    followed?;
    if status.success() {
        return written;
    }
    // A full disk ends the packer first, and mmdebstrap only then, by the closed pipe.
    written?;
    Err(explain(&log, target))
}

async fn follow(
    lines: &mut Lines<BufReader<ChildStderr>>,
    log: &mut Log,
    progress: &(impl Fn(String) + Send + Sync),
) -> std::io::Result<()> {
    while let Some(line) = lines.next_line().await? {
        tracing::debug!(target: "rlxc::image_build", "{line}");
        if let Some(text) = log.read_line(&line) {
            progress(text);
        }
    }
    Ok(())
}

/// Kills `unshare`; the kernel then kills its child, the first process of the namespace, and with it all others. The end
/// of stderr tells that the last one is gone: each has inherited it.
async fn end(child: &mut Child, lines: &mut Lines<BufReader<ChildStderr>>) {
    if let Err(error) = child.start_kill() {
        tracing::warn!(%error, "mmdebstrap could not be killed");
    }
    let rest = async { while let Ok(Some(_)) = lines.next_line().await {} };
    let patience = std::time::Duration::from_secs(20);
    if tokio::time::timeout(patience, rest).await.is_err() {
        tracing::warn!("a process of mmdebstrap is still there after it was killed");
    }
}

fn explain(log: &Log, target: &Path) -> BuildError {
    match log.diagnose() {
        Diagnosis::Unreachable(detail) => BuildError::MirrorUnreachable { detail },
        Diagnosis::WrongMirror(detail) => BuildError::MirrorWrong { detail },
        Diagnosis::PackageMissing(package) => BuildError::PackageMissing { package },
        Diagnosis::DiskFull => BuildError::DiskFull {
            path: target.to_owned(),
        },
        Diagnosis::Other(detail) => BuildError::Failed {
            stage: log.stage().to_owned(),
            detail,
        },
    }
}
