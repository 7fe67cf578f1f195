//! The unix socket: made private, opened to the group `rlxc`, removed at the end.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use axum::Router;
use rustix::net::sockopt;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::identity::Peer;
use crate::error::{Error, Result};

/// What may be on its way on a connection, in bytes; the kernel takes it twice, socket(7).
const SEND_BUFFER: usize = 512 << 10;

/// A bound socket; its file goes with it.
#[derive(Debug)]
pub struct UnixSocket {
    listener: Option<UnixListener>,
    path: PathBuf,
    file: File,
}

/// Whose the socket's file is.
#[derive(Debug, PartialEq, Eq)]
enum File {
    /// Ours: it goes with the socket.
    Ours,
    /// A service manager's: it stays.
    Managers,
}

impl UnixSocket {
    /// Binds. The caller holds the daemon's lock, so a file that is there already is a dead daemon's.
    pub fn bind(path: &Path, group: &str) -> Result<Self> {
        let failed = |error| Error::failed(format!("listen on {}", path.display()), error);
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(error));
            }
            _ => {}
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(failed)?;
        if let Ok(Some(group)) = nix::unistd::Group::from_name(group) {
            std::os::unix::fs::chown(path, None, Some(group.gid.as_raw())).map_err(failed)?;
        }
        Ok(Self {
            listener: Some(listener),
            path: path.to_owned(),
            file: File::Ours,
        })
    }

    /// Takes over one that a service manager has bound, with the access that it gave.
    pub fn inherited(socket: std::os::unix::net::UnixListener) -> Result<Self> {
        let failed = |error| Error::failed("take over the socket of the service manager", error);
        socket.set_nonblocking(true).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self {
            path: address.as_pathname().unwrap_or(Path::new("")).to_owned(),
            listener: Some(UnixListener::from_std(socket).map_err(failed)?),
            file: File::Managers,
        })
    }

    /// Where it is; empty for one that has no place in the file system.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl UnixSocket {
    /// What is listened on; once.
    pub(super) fn take(&mut self) -> Option<UnixListener> {
        self.listener.take()
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        if self.file == File::Ours
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "the socket stays behind");
        }
    }
}

/// Lets the output of a command go in large pieces. What is not sent takes no memory.
pub(super) fn widen(stream: &UnixStream) {
    let widened = sockopt::set_socket_send_buffer_size_force(stream, SEND_BUFFER);
    // In a container of its own the daemon may not go beyond the host's `net.core.wmem_max`.
    if widened.is_err() {
        let _still_as_it_was = sockopt::set_socket_send_buffer_size(stream, SEND_BUFFER);
    }
}

/// Serves until `shutdown`.
pub async fn serve(
    mut socket: UnixSocket,
    router: Router,
    shutdown: CancellationToken,
) -> Result<()> {
    let Some(listener) = socket.take() else {
        return Ok(());
    };
    axum::serve(
        listener,
        router.into_make_service_with_connect_info::<Peer>(),
    )
    .with_graceful_shutdown(shutdown.cancelled_owned())
    .await
    .map_err(|error| Error::failed("serve the API", error))
}
