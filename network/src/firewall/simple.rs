//! Packet filters that filter nothing: the operator's own rules, and a recorder for tests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Finding, Firewall, Ruleset};
use crate::Error;

/// Leaves the packet filter to the operator.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFirewall;

#[async_trait]
impl Firewall for NoFirewall {
    async fn apply(&self, _network: &str, _ruleset: &Ruleset) -> Result<(), Error> {
        Ok(())
    }

    async fn remove(&self, _network: &str) -> Result<(), Error> {
        Ok(())
    }

    async fn verify(&self, _network: &str) -> Result<bool, Error> {
        Ok(true)
    }

    async fn networks(&self) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }

    async fn findings(&self) -> Result<Vec<Finding>, Error> {
        Ok(vec![Finding {
            subject: "no packet filter is used".to_owned(),
            cost: "instances with private addresses reach no other network".to_owned(),
            remedy: "install nftables and restart the daemon".to_owned(),
        }])
    }
}

/// Remembers what it was told.
#[derive(Debug, Default)]
pub struct RecordingFirewall {
    rulesets: Mutex<BTreeMap<String, Ruleset>>,
}

impl RecordingFirewall {
    /// What is applied now, by network.
    pub fn rulesets(&self) -> BTreeMap<String, Ruleset> {
        self.lock().clone()
    }

    /// Forgets everything, as somebody's `nft flush ruleset` would.
    pub fn flush(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Ruleset>> {
        self.rulesets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Firewall for RecordingFirewall {
    async fn apply(&self, network: &str, ruleset: &Ruleset) -> Result<(), Error> {
        let mut rulesets = self.lock();
        if ruleset.needs_table() || ruleset.needs_bridge_table() {
            rulesets.insert(network.to_owned(), ruleset.clone());
        } else {
            rulesets.remove(network);
        }
        Ok(())
    }

    async fn remove(&self, network: &str) -> Result<(), Error> {
        self.lock().remove(network);
        Ok(())
    }

    async fn verify(&self, network: &str) -> Result<bool, Error> {
        Ok(self.lock().contains_key(network))
    }

    async fn networks(&self) -> Result<Vec<String>, Error> {
        Ok(self.lock().keys().cloned().collect())
    }

    async fn findings(&self) -> Result<Vec<Finding>, Error> {
        Ok(Vec::new())
    }
}
