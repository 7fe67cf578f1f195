//! Bridges, links, addresses, firewall, DHCP and DNS of the host, and DNS zones.
//!
//! Knows no inventory and no instances: it is told specs and makes the kernel (and dnsmasq) match them. Every `ensure_`
//! may be called again and again; every `delete_`, `detach_`, `remove_` and `stop_` takes what is gone already as done.
//! Functions work in the network namespace of the calling thread, which in the daemon is the host's.
#![forbid(unsafe_code)]

pub mod authority;
pub mod dnsmasq;
pub mod error;
pub mod firewall;
pub mod ipam;
pub mod link_address;
pub mod links;
pub mod mac;
pub mod netlink;
pub mod spec;
pub mod sysctl;
pub mod view;

pub use dnsmasq::{Dnsmasq, DnsmasqDirs, Host, Lease};
pub use error::Error;
pub use firewall::{
    Finding, Firewall, Nftables, NoFirewall, RecordingFirewall, Ruleset, plan_ruleset,
};
pub use link_address::LinkAddress;
pub use links::{FakeLinks, LinkView, Links, RtnetlinkLinks};
pub use mac::Mac;
pub use spec::{
    BridgeSpec, DnsMode, Lent, LoanSpec, MacvlanMode, MacvlanSpec, NicSpec, PortVlans, RoutedSpec,
    Untagged,
};
pub use sysctl::setup_sysctls;
pub use view::{
    HostNetwork, InterfaceAddress, InterfaceCounters, InterfaceState, NetnsView, Uplink,
    host_interfaces, host_network,
};

#[cfg(test)]
mod testing;

#[cfg(test)]
mod scenario;
