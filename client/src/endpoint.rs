//! Where a daemon listens.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{Access, access};
use rustix::net::sockopt::set_socket_send_buffer_size;
use rustix::process::getuid;
use tokio::net::UnixStream;

use crate::error::ClientError;
use crate::stream::Stream;
use crate::tls::Server;

/// Default of `RLXC_DIR`.
const DEFAULT_DIR: &str = "/var/lib/rlxc";
/// The socket that gives each user a project of their own.
const USER_SOCKET: &str = "unix.socket.user";

/// What may be on its way to the daemon, in bytes; the kernel takes as much as `net.core.wmem_max` lets it, socket(7).
const SEND_BUFFER: usize = 512 << 10;

/// Where a daemon listens.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Endpoint {
    /// A unix socket.
    Unix(PathBuf),
    /// Another host, over TLS.
    Tls(Arc<Server>),
}

impl Endpoint {
    /// The socket of this host: `RLXC_SOCKET`, or `unix.socket` in `RLXC_DIR`, or in `/var/lib/rlxc`. Who may not open that
    /// one, but may open the one for users beside it, gets that.
    pub fn local() -> Self {
        let set = |key| std::env::var_os(key).filter(|value| !value.is_empty());
        if let Some(socket) = set("RLXC_SOCKET") {
            return Self::Unix(socket.into());
        }
        let dir = set("RLXC_DIR").map_or_else(|| PathBuf::from(DEFAULT_DIR), PathBuf::from);
        let (all, own) = (dir.join("unix.socket"), dir.join(USER_SOCKET));
        let may_open = |path: &PathBuf| access(path, Access::WRITE_OK).is_ok();
        Self::Unix(if !may_open(&all) && may_open(&own) {
            own
        } else {
            all
        })
    }

    /// The project of the user, where the socket gives each one of their own.
    pub fn own_project(&self) -> Option<String> {
        let Self::Unix(path) = self else {
            return None;
        };
        path.ends_with(USER_SOCKET)
            .then(|| format!("user-{}", getuid().as_raw()))
    }

    pub(crate) async fn connect(&self) -> Result<Stream, ClientError> {
        match self {
            Self::Unix(path) => {
                let stream =
                    UnixStream::connect(path)
                        .await
                        .map_err(|source| ClientError::Connect {
                            path: path.clone(),
                            source,
                        })?;
                // What a command reads goes in pieces of this size. One that is refused leaves it as it was: slower.
                let _widened = set_socket_send_buffer_size(&stream, SEND_BUFFER);
                Ok(Stream::Unix(stream))
            }
            Self::Tls(server) => server
                .connect()
                .await
                .map(|stream| Stream::Tls(Box::new(stream))),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tls(server) => write!(f, "https://{}", server.address()),
        }
    }
}
