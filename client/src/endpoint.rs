//! Where a daemon listens.

use std::path::{Path, PathBuf};

use tokio::net::UnixStream;

use crate::error::ClientError;

/// Default of `RLXC_DIR`.
const DEFAULT_DIR: &str = "/var/lib/rlxc";

/// Where a daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Endpoint {
    /// A unix socket.
    Unix(PathBuf),
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

    /// The socket's path.
    pub fn path(&self) -> &Path {
        let Self::Unix(path) = self;
        path
    }

    pub(crate) async fn connect(&self) -> Result<UnixStream, ClientError> {
        let Self::Unix(path) = self;
        UnixStream::connect(path)
            .await
            .map_err(|source| ClientError::Connect {
                path: path.clone(),
                source,
            })
    }
}
