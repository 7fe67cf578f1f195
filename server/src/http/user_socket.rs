//! The socket for users: who connects gets a project of their own and nothing else. The kernel tells who it is.

use std::path::Path;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::net::unix::SocketAddr;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::identity::Peer;
use super::listener::UnixSocket;
use crate::error::{Error, Result};

/// A unix socket whose peers are users.
struct UserListener(UnixListener);

impl Listener for UserListener {
    type Io = UnixStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        Listener::accept(&mut self.0).await
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, UserListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UserListener>) -> Self {
        Self::User {
            uid: stream.io().peer_cred().ok().map(|cred| cred.uid()),
        }
    }
}

/// Binds the socket for the members of a group; without that group there is none.
pub fn bind(path: &Path, group: &str) -> Result<Option<UnixSocket>> {
    if let Ok(Some(_)) = nix::unistd::Group::from_name(group) {
        return UnixSocket::bind(path, group).map(Some);
    }
    tracing::debug!(group, "no such group: users get no socket of their own");
    Ok(None)
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
        UserListener(listener),
        router.into_make_service_with_connect_info::<Peer>(),
    )
    .with_graceful_shutdown(shutdown.cancelled_owned())
    .await
    .map_err(|error| Error::failed("serve the API to users", error))
}
