//! The order to a proxy: what it listens on, where it connects to, and as whom.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where a connection comes in or goes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoint {
    /// TCP.
    Tcp(SocketAddr),
    /// UDP: what comes from one address within two minutes is one session.
    Udp(SocketAddr),
    /// A unix stream socket in the file system.
    Unix(PathBuf),
    /// A unix stream socket in the abstract namespace of the network namespace.
    Abstract(String),
}

/// Owner and mode of a unix socket that is listened on, in host ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SocketOwner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permissions.
    pub mode: u32,
}

/// The whole order. With it comes a pidfd of the container's init.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ProxySpec {
    /// What is listened on, and where what comes in there goes.
    pub pairs: Vec<(Endpoint, Endpoint)>,
    /// It listens in the container and connects on the host; otherwise the other way round.
    pub inside: bool,
    /// What goes out begins with a line that tells whom it comes from (version 1 of HAProxy's protocol).
    pub proxy_protocol: bool,
    /// Of unix sockets that it makes.
    pub owner: SocketOwner,
    /// User and group of the host that it becomes once it listens.
    pub identity: Option<(u32, u32)>,
    /// A file that it holds a lock on as long as it lives, with its process id in it.
    pub lock: PathBuf,
    /// The cgroup of the container, as in its own order.
    pub cgroup: String,
}
