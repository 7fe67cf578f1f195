//! `file mount` and `file sftp`.

use std::cell::Cell;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, join};

use super::mounted::Watch;
use crate::cli::{FileMountArgs, FileSftpArgs};
use crate::context::Context;

/// Mounts a directory of an instance here, by sshfs, until it is unmounted or we are told to end.
pub(super) async fn mount(context: &Context, args: &FileMountArgs) -> Result<()> {
    let (instance, path) = args
        .source
        .split_once('/')
        .unwrap_or((args.source.as_str(), ""));
    let target = args
        .target
        .canonicalize()
        .with_context(|| format!("mount on {}", args.target.display()))?;
    let stream = context.client.sftp(instance).await?;
    let watch = Watch::new(&target).context("look at what is mounted")?;
    let mut sshfs = tokio::process::Command::new("sshfs")
        .args(["-f", "-o", "slave"])
        .arg(format!("{instance}:/{path}"))
        .arg(&target)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // Ctrl-C at the terminal is ours: we unmount, and sshfs ends of that.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .context("run `sshfs`, which is in the package of that name")?;
    let (Some(input), Some(output)) = (sshfs.stdin.take(), sshfs.stdout.take()) else {
        bail!("`sshfs` has no streams");
    };
    let mut local = join(output, input);
    let is_mounted = Cell::new(false);
    let said = async {
        // The thread that waits is left behind, should nothing be mounted.
        let waiting = tokio::task::spawn_blocking(move || watch.wait());
        if matches!(waiting.await, Ok(Ok(()))) {
            is_mounted.set(true);
            context.printer.note(&format!(
                "{instance}:/{path} is mounted on {}: press Ctrl-C to unmount it",
                args.target.display()
            ));
        }
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        _ended = sshfs.wait() => End::Local,
        carried = carry(stream, &mut local) => carried?,
        told = told_and_in_use(&target) => { told?; End::Remote }
        () = said => End::Local,
    };
    // While sshfs ends by itself its streams stay open: it would complain.
    let _open = (ended == End::Local).then_some(local);
    let status = sshfs.wait().await.context("wait for `sshfs`")?;
    ensure!(
        status.success() || is_mounted.get(),
        "`sshfs` could not mount it: {status}"
    );
    Ok(())
}

/// Unmounts it when we are told to end; returns if it can't be: what is in use ends with sshfs.
async fn told_and_in_use(target: &Path) -> Result<()> {
    crate::stdio::told_to_end_or_interrupted()
        .await
        .context("listen for signals")?;
    if unmount(target).await {
        // Now sshfs ends by itself, and the stream is carried until then: without it, it would complain.
        std::future::pending::<()>().await;
    }
    Ok(())
}

/// Whether it could be unmounted; if not, the program has said why.
async fn unmount(target: &Path) -> bool {
    for program in ["fusermount3", "fusermount"] {
        let run = tokio::process::Command::new(program)
            .arg("-u")
            .arg(target)
            .stdin(Stdio::null())
            .status();
        // What can't be run may have the other name.
        if let Ok(status) = run.await {
            return status.success();
        }
    }
    false
}

/// Speaks SFTP on stdin and stdout, for programs that want to run something that does: `sftp -D`.
pub(super) async fn sftp(context: &Context, args: &FileSftpArgs) -> Result<()> {
    let stream = context.client.sftp(&args.instance).await?;
    carry(stream, join(tokio::io::stdin(), tokio::io::stdout())).await?;
    Ok(())
}

/// Which side has ended.
#[derive(PartialEq, Eq)]
enum End {
    Local,
    Remote,
}

/// Carries bytes both ways until either side ends.
async fn carry(
    remote: impl AsyncRead + AsyncWrite + Unpin,
    local: impl AsyncRead + AsyncWrite + Unpin,
) -> Result<End> {
    let (mut from_remote, mut to_remote) = tokio::io::split(remote);
    let (mut from_local, mut to_local) = tokio::io::split(local);
    let outgoing = async {
        tokio::io::copy(&mut from_local, &mut to_remote).await?;
        to_remote.shutdown().await?;
        Ok(End::Local)
    };
    let incoming = async {
        tokio::io::copy(&mut from_remote, &mut to_local).await?;
        to_local.flush().await?;
        Ok(End::Remote)
    };
    let ended: std::io::Result<End> = tokio::select! {
        ended = outgoing => ended,
        ended = incoming => ended,
    };
    ended.context("carry SFTP")
}
