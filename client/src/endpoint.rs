//! Where a daemon listens.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::UnixStream;

use crate::error::ClientError;
use crate::stream::Stream;
use crate::tls::Server;

/// Default of `RLXC_DIR`.
const DEFAULT_DIR: &str = "/var/lib/rlxc";

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
    /// The socket of this host: `RLXC_SOCKET`, or `unix.socket` in `RLXC_DIR`, or in `/var/lib/rlxc`.
    pub fn local() -> Self {
        let set = |key| std::env::var_os(key).filter(|value| !value.is_empty());
        if let Some(socket) = set("RLXC_SOCKET") {
            return Self::Unix(socket.into());
        }
        let dir = set("RLXC_DIR").map_or_else(|| PathBuf::from(DEFAULT_DIR), PathBuf::from);
        Self::Unix(dir.join("unix.socket"))
    }

    pub(crate) async fn connect(&self) -> Result<Stream, ClientError> {
        match self {
            Self::Unix(path) => {
                UnixStream::connect(path)
                    .await
                    .map(Stream::Unix)
                    .map_err(|source| ClientError::Connect {
                        path: path.clone(),
                        source,
                    })
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
