//! The seam to the packet filter: what a network needs, as data, applied whole or not at all.
//!
//! What is *not* in a [`Ruleset`]: accepting what the bridge forwards. A packet passes only if every table's chain lets it
//! through, so an accept in a table of ours changes nothing. Where another firewall drops, it has to be told:
//! [`Nftables`] does that for Docker (whose chain `DOCKER-USER` is meant for it), [`Firewall::findings`] tells the rest.

mod acl;
mod docker;
mod findings;
mod model;
mod nftables;
mod nic;
mod render;
mod simple;

use std::fmt::Debug;

use async_trait::async_trait;

use crate::Error;

pub use model::{
    AclRule, Action, Addresses, DefaultAction, Dnat, NicRules, Policy, Ports, Protocol, Ruleset,
    Transport, plan_ruleset,
};
pub use nftables::Nftables;
pub use simple::{NoFirewall, RecordingFirewall};

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
