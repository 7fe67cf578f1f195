//! The seam to the packet filter: what a network needs, as data, applied whole or not at all.
//!
//! What is *not* in a [`Ruleset`]: accepting what the bridge forwards. A packet passes only if every table's chain lets it
//! through, so an accept in a table of ours changes nothing. Where another firewall drops, it has to be told:
//! [`Nftables`] does that for Docker (whose chain `DOCKER-USER` is meant for it), [`Firewall::findings`] tells the rest.

mod docker;
mod findings;
mod nftables;
mod simple;

use std::fmt::Debug;
use std::net::{Ipv4Addr, Ipv6Addr};

use async_trait::async_trait;
use ipnet::{Ipv4Net, Ipv6Net};

use crate::{BridgeSpec, Error};

pub use nftables::{Nftables, render};
pub use simple::{NoFirewall, RecordingFirewall};

/// All that the packet filter has to do for one network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ruleset {
    /// The bridge's interface.
    pub bridge: String,
    /// Traffic from this subnet to elsewhere gets the host's address.
    pub masquerade_ipv4: Option<Ipv4Net>,
    /// The same for IPv6.
    pub masquerade_ipv6: Option<Ipv6Net>,
    /// DNS at this address is for the bridge only: what comes in elsewhere is dropped, or hosts nearby could use it.
    pub guard_ipv4: Option<Ipv4Addr>,
    /// The same for IPv6.
    pub guard_ipv6: Option<Ipv6Addr>,
    /// Other firewalls on the host are asked to let the bridge's IPv4 traffic through.
    pub pass_ipv4: bool,
    /// The same for IPv6.
    pub pass_ipv6: bool,
}

impl Ruleset {
    /// Whether a table of our own is needed.
    pub fn needs_table(&self) -> bool {
        self.masquerade_ipv4.is_some()
            || self.masquerade_ipv6.is_some()
            || self.guard_ipv4.is_some()
            || self.guard_ipv6.is_some()
    }
}

/// What a bridge needs of the packet filter.
pub fn plan_ruleset(spec: &BridgeSpec) -> Ruleset {
    Ruleset {
        bridge: spec.name.clone(),
        masquerade_ipv4: spec.ipv4.filter(|_| spec.ipv4_nat).map(|net| net.trunc()),
        masquerade_ipv6: spec.ipv6.filter(|_| spec.ipv6_nat).map(|net| net.trunc()),
        guard_ipv4: spec
            .ipv4
            .filter(|_| spec.ipv4_firewall)
            .map(|net| net.addr()),
        guard_ipv6: spec
            .ipv6
            .filter(|_| spec.ipv6_firewall)
            .map(|net| net.addr()),
        pass_ipv4: spec.ipv4.is_some() && spec.ipv4_firewall,
        pass_ipv6: spec.ipv6.is_some() && spec.ipv6_firewall,
    }
}

/// Something on the host that stands in the way of networks, for an operator to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was found.
    pub subject: String,
    /// What does not work because of it.
    pub cost: String,
    /// How to mend it.
    pub remedy: String,
}

/// What the daemon does with the packet filter. All calls are declarative: they may be repeated.
#[async_trait]
pub trait Firewall: Send + Sync + Debug {
    /// Replaces all rules of a network in one transaction.
    async fn apply(&self, network: &str, ruleset: &Ruleset) -> Result<(), Error>;
    /// Removes all rules of a network; fine if there are none.
    async fn remove(&self, network: &str) -> Result<(), Error>;
    /// Whether the rules are as this process applied them; others flush rules now and then.
    async fn verify(&self, network: &str) -> Result<bool, Error>;
    /// The networks that have rules, whoever applied them (an earlier daemon, say).
    async fn networks(&self) -> Result<Vec<String>, Error>;
    /// What on this host drops the traffic of bridges, whatever we do.
    async fn findings(&self) -> Result<Vec<Finding>, Error>;
}

#[cfg(test)]
mod tests;
