//! What can go wrong with networks.

use std::path::PathBuf;

use rlxc_sys::file::FileError;
use rlxc_sys::netns::NetnsError;
use rlxc_sys::tool::ToolError;

/// An error of this crate: what we were doing to which object; the source tells why.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A netlink socket could not be opened or spoken to.
    #[error("talk to the kernel's routing socket")]
    Socket(#[source] std::io::Error),
    /// The kernel refused a request.
    #[error("{doing} `{link}`")]
    Link {
        /// Verb and kind, such as `create bridge`.
        doing: &'static str,
        /// The interface.
        link: String,
        /// The kernel's answer.
        #[source]
        source: std::io::Error,
    },
    /// The name belongs to something else on the host.
    #[error(
        "interface `{0}` exists already and is not ours; choose another name or remove it with `ip link delete`"
    )]
    NotOurs(String),
    /// An interface is a port of another bridge or bond.
    #[error("interface `{0}` belongs to another bridge or bond already")]
    InUse(String),
    /// An interface has addresses, which it would not answer to as a port of a bridge.
    #[error(
        "interface `{0}` has addresses of the host, which would no longer be reached: take them away first, as by `ip address flush dev {0}`"
    )]
    HasAddresses(String),
    /// An interface is none that NICs are plugged into.
    #[error("interface `{0}` is not a bridge")]
    NotABridge(String),
    /// There is no such interface.
    #[error("there is no interface `{0}`")]
    NoLink(String),
    /// The kernel was built without something, or a module is not loaded.
    #[error("this kernel has no {what}: they come with {module}")]
    Lacking {
        /// What is asked for.
        what: &'static str,
        /// Where it would come from.
        module: &'static str,
    },
    /// A bridge of somebody else's that takes no notice of VLANs.
    #[error(
        "bridge `{0}` takes no notice of VLANs: switch it on with `ip link set {0} type bridge vlan_filtering 1`"
    )]
    NoVlanFilter(String),
    /// A name that the kernel would not take.
    #[error("`{0}` is no name for an interface: 1 to 15 bytes, no slash, no space, no colon")]
    InvalidName(String),
    /// A network namespace could not be entered.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// A kernel parameter could not be set.
    #[error("set {} to {value}", path.display())]
    Sysctl {
        /// The file.
        path: PathBuf,
        /// The wanted value.
        value: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The packet filter refused.
    #[error("{doing} the firewall of network `{network}`")]
    Firewall {
        /// Verb: `apply`, `remove`, `verify`.
        doing: &'static str,
        /// The network.
        network: String,
        /// Why.
        #[source]
        source: ToolError,
    },
    /// dnsmasq did not start.
    #[error("start dnsmasq for network `{network}`{}", hint_of(.source))]
    Dnsmasq {
        /// The network.
        network: String,
        /// Why.
        #[source]
        source: ToolError,
    },
    /// The dnsmasq of a network could not be signalled.
    #[error("signal dnsmasq (process {pid})")]
    Signal {
        /// Its process id.
        pid: i32,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Work on a thread of its own was lost: the runtime is shutting down.
    #[error("the daemon is shutting down")]
    Stopping,
}

impl Error {
    /// Whether the kernel refused a link because its name is in use.
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Link { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists)
    }

    /// Whether an Ethernet address can't be had because another interface has it.
    pub(crate) fn is_address_in_use(&self) -> bool {
        matches!(self, Self::Link { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse)
    }

    /// Says of a refusal that means so that the kernel lacks something.
    #[must_use]
    pub(crate) fn lacking(self, what: &'static str, module: &'static str) -> Self {
        const UNSUPPORTED: i32 = rustix::io::Errno::OPNOTSUPP.raw_os_error();
        match self {
            Self::Link { source, .. } if source.raw_os_error() == Some(UNSUPPORTED) => {
                Self::Lacking { what, module }
            }
            other => other,
        }
    }
}

/// What an operator can do about the failures of dnsmasq that are seen in the wild.
fn hint_of(source: &ToolError) -> &'static str {
    match source {
        ToolError::Failed { stderr, .. } if stderr.contains("DHCP server socket") => {
            ": another DHCP server on this host holds the port (bind it to other interfaces, or set `ipv4.dhcp` to false)"
        }
        ToolError::Failed { stderr, .. } if stderr.contains("Address already in use") => {
            ": another DNS or DHCP server on this host holds the bridge's address (bind it to other interfaces, or set `dns.mode` to none)"
        }
        _ => "",
    }
}

/// Runs blocking `work` where it does not hold up the runtime.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| {
            error
                .try_into_panic()
                .map_or(Err(Error::Stopping), |panic| {
                    std::panic::resume_unwind(panic)
                })
        })
}
