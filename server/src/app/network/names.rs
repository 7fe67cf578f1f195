//! The seam to what gives instances addresses and names, so that tests need no daemon on a bridge.

use std::fmt::Debug;
use std::os::fd::OwnedFd;

use async_trait::async_trait;
use rlxc_network::{BridgeSpec, Dnsmasq, Error, Host, Lease, Mac};

/// DHCP and DNS of managed networks, which are named by their bridge. All calls but `leases` may be repeated.
#[async_trait]
pub trait Names: Send + Sync + Debug {
    /// Makes a network answer as its specification says.
    async fn ensure(&self, spec: &BridgeSpec) -> Result<(), Error>;
    /// Ends a network's answers and forgets its leases and hosts; fine if there are none.
    async fn stop(&self, network: &str) -> Result<(), Error>;
    /// Whether a network is answered.
    async fn is_running(&self, network: &str) -> Result<bool, Error>;
    /// The process that answers a network, as a pidfd.
    async fn process(&self, network: &str) -> Result<Option<OwnedFd>, Error>;
    /// Gives a host its name and, where set, its fixed addresses.
    async fn set_host(&self, network: &str, host: Host) -> Result<(), Error>;
    /// Forgets a host and its lease; fine if it is unknown.
    async fn remove_host(&self, network: &str, hwaddr: Mac) -> Result<(), Error>;
    /// The hosts that a network knows.
    async fn hosts(&self, network: &str) -> Result<Vec<Mac>, Error>;
    /// Keeps what was given out for the next boot.
    async fn save(&self, network: &str) -> Result<(), Error>;
    /// What was given out.
    async fn leases(&self, network: &str) -> Result<Vec<Lease>, Error>;
}

#[async_trait]
impl Names for Dnsmasq {
    async fn ensure(&self, spec: &BridgeSpec) -> Result<(), Error> {
        self.ensure(spec).await
    }

    async fn stop(&self, network: &str) -> Result<(), Error> {
        self.stop(network).await
    }

    async fn is_running(&self, network: &str) -> Result<bool, Error> {
        self.is_running(network).await
    }

    async fn process(&self, network: &str) -> Result<Option<OwnedFd>, Error> {
        self.process(network).await
    }

    async fn set_host(&self, network: &str, host: Host) -> Result<(), Error> {
        self.set_host(network, host).await
    }

    async fn remove_host(&self, network: &str, hwaddr: Mac) -> Result<(), Error> {
        self.remove_host(network, hwaddr).await
    }

    async fn hosts(&self, network: &str) -> Result<Vec<Mac>, Error> {
        self.hosts(network).await
    }

    async fn save(&self, network: &str) -> Result<(), Error> {
        self.save(network).await
    }

    async fn leases(&self, network: &str) -> Result<Vec<Lease>, Error> {
        self.leases(network).await
    }
}
