//! `file mount` and `file sftp`.

use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, join};

use crate::cli::{FileMountArgs, FileSftpArgs};
use crate::context::Context;

/// Mounts a directory of an instance here, by sshfs, until it is unmounted or we are told to end.
pub(super) async fn mount(context: &Context, args: &FileMountArgs) -> Result<()> {
    let (instance, path) = args
        .source
        .split_once('/')
        .unwrap_or((args.source.as_str(), ""));
    let stream = context.client.sftp(instance).await?;
    let mut sshfs = tokio::process::Command::new("sshfs")
        .args(["-f", "-o", "slave"])
        .arg(format!("{instance}:/{path}"))
        .arg(&args.target)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("run `sshfs`, which is in the package of that name")?;
    let (Some(input), Some(output)) = (sshfs.stdin.take(), sshfs.stdout.take()) else {
        bail!("`sshfs` has no streams");
    };
    context.printer.note(&format!(
        "{instance}:/{path} is mounted on {}: press Ctrl-C to unmount it",
        args.target.display()
    ));
    let told = tokio::select! {
        carried = carry(stream, join(output, input)) => { carried?; false }
        told = crate::stdio::told_to_end_or_interrupted() => { told.context("listen for signals")?; true }
        ended = sshfs.wait() => {
            let status = ended.context("wait for `sshfs`")?;
            if !status.success() {
                bail!("`sshfs` could not mount it: {status}");
            }
            false
        }
    };
    if told {
        unmount(args).await;
    }
    sshfs.wait().await.context("wait for `sshfs`")?;
    Ok(())
}

/// A mount that is in use stays until sshfs ends, and ends with it.
async fn unmount(args: &FileMountArgs) {
    for program in ["fusermount3", "fusermount"] {
        let run = tokio::process::Command::new(program)
            .arg("-u")
            .arg(&args.target)
            .stdin(Stdio::null())
            .status();
        if run.await.is_ok_and(|status| status.success()) {
            return;
        }
    }
}

/// Speaks SFTP on stdin and stdout, for programs that want to run something that does: `sftp -D`.
pub(super) async fn sftp(context: &Context, args: &FileSftpArgs) -> Result<()> {
    let stream = context.client.sftp(&args.instance).await?;
    carry(stream, join(tokio::io::stdin(), tokio::io::stdout())).await
}

/// Carries bytes both ways until either side ends.
async fn carry(
    remote: impl AsyncRead + AsyncWrite + Unpin,
    local: impl AsyncRead + AsyncWrite + Unpin,
) -> Result<()> {
    let (mut from_remote, mut to_remote) = tokio::io::split(remote);
    let (mut from_local, mut to_local) = tokio::io::split(local);
    let outgoing = async {
        tokio::io::copy(&mut from_local, &mut to_remote).await?;
        to_remote.shutdown().await
    };
    let incoming = async {
        tokio::io::copy(&mut from_remote, &mut to_local).await?;
        to_local.flush().await
    };
    tokio::select! {
        ended = outgoing => ended,
        ended = incoming => ended,
    }
    .context("carry SFTP")
}
