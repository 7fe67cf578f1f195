//! `remote proxy`: the API of another host on a socket of this one.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::fs::Mode;
use rustix::process::umask;
use tokio::net::UnixListener;

use crate::cli::RemoteProxyArgs;
use crate::context::Context;
use crate::remote::Remotes;
use crate::stdio;

pub(super) async fn run(context: &Context, known: &Remotes, args: RemoteProxyArgs) -> Result<()> {
    let name = args.remote.trim_end_matches(':');
    let endpoint = known.endpoint(name)?;
    let listener = listen(&args.path)?;
    let idle = args.timeout.map(Duration::from_secs);
    let failed = |error| context.printer.error(&anyhow::Error::new(error), &[]);
    let ended = tokio::select! {
        () = rlxc_client::proxy(listener, &endpoint, idle, failed) => Ok(()),
        told = stdio::told_to_end_or_interrupted() => told.context("wait for signals"),
    };
    fs::remove_file(&args.path).with_context(|| format!("remove {}", args.path.display()))?;
    ended
}

/// Listens for this user alone: who connects works on the remote with this user's certificate.
fn listen(path: &Path) -> Result<UnixListener> {
    let bind = || {
        // From its first moment: whoever opens it before its mode is changed stays connected.
        let usual = umask(Mode::from_raw_mode(0o177));
        let bound = UnixListener::bind(path);
        umask(usual);
        bound
    };
    match bind() {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            remove_stale(path)?;
            bind()
        }
        done => done,
    }
    .with_context(|| format!("listen on {}", path.display()))
}

/// Removes the socket of a proxy that was killed; nothing else that has the name.
fn remove_stale(path: &Path) -> Result<()> {
    let refused = UnixStream::connect(path).is_err_and(|error| {
        error.kind() == ErrorKind::ConnectionRefused
            && fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
    });
    ensure!(
        refused,
        "{} is there already and in use: name another path",
        path.display()
    );
    fs::remove_file(path).with_context(|| format!("remove {}", path.display()))
}
