//! nftables: a table `PREFIX_NETWORK` a network in each of the families `inet` and `bridge`, as far as there are rules for
//! it, both replaced as a whole by one `nft -f -`; see nft(8).
//!
//! nft applies a file as one transaction. "Create, delete, create anew" in it replaces a table whether or not it existed.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use async_trait::async_trait;
use rlxc_sys::tool::{Tool, ToolError};

use super::acl::Memory;
use super::render::render;
use super::{Finding, Firewall, Ruleset, docker, findings};
use crate::Error;
use crate::error::blocking;

/// The packet filter of the network namespace that the calling thread is in.
#[derive(Debug, Clone)]
pub struct Nftables {
    prefix: Arc<str>,
    applied: Arc<Mutex<HashMap<String, Applied>>>,
    tracks_bridges: Arc<OnceLock<bool>>,
}

/// What a network's rules should look like.
#[derive(Debug, Clone)]
struct Applied {
    ruleset: Ruleset,
    /// How nft showed the tables right after they were applied; `None` where none is needed.
    listing: [Option<String>; 2],
}

impl Nftables {
    /// `prefix` begins the names of all tables; daemons side by side in one namespace need different ones.
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.into(),
            applied: Arc::default(),
            tracks_bridges: Arc::default(),
        }
    }

    fn table(&self, network: &str) -> String {
        table_name(&self.prefix, network)
    }

    fn applied(&self) -> MutexGuard<'_, HashMap<String, Applied>> {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the kernel knows the connections of bridged frames: it says so when it checks a rule that asks for them.
    fn bridge_memory(&self) -> Memory {
        let asked = || {
            let rule =
                "chain c { type filter hook prerouting priority 0; ct state established accept; }";
            let table = format!("table bridge {}_probe {{ {rule} }}\n", self.prefix);
            let checked = nft(&["-c", "-f", "-"]).input(table).run();
            tracing::info!(
                tracked = checked.is_ok(),
                "asked the kernel for the connections of bridged frames"
            );
            checked.is_ok()
        };
        if *self.tracks_bridges.get_or_init(asked) {
            Memory::BridgeTracked
        } else {
            Memory::None
        }
    }

    fn apply_now(&self, network: &str, ruleset: &Ruleset) -> Result<(), Error> {
        let refused = |source| Error::Firewall {
            doing: "apply",
            network: network.to_owned(),
            source,
        };
        let table = self.table(network);
        // Kernels without filters of bridged frames are not asked for any unless there is need.
        let with_bridge = list("bridge", &table).map_err(refused)?.is_some();
        let memory = if ruleset.wants_bridge_tracking() {
            self.bridge_memory()
        } else {
            Memory::None
        };
        let text = render(&table, ruleset, with_bridge, memory);
        nft(&["-f", "-"]).input(text).run().map_err(refused)?;
        docker::apply(&table, ruleset).map_err(refused)?;
        let listing = list_both(&table).map_err(refused)?;
        let applied = Applied {
            ruleset: ruleset.clone(),
            listing,
        };
        self.applied().insert(network.to_owned(), applied);
        Ok(())
    }

    fn remove_now(&self, network: &str) -> Result<(), Error> {
        let refused = |source| Error::Firewall {
            doing: "remove",
            network: network.to_owned(),
            source,
        };
        let table = self.table(network);
        self.applied().remove(network);
        let with_bridge = list("bridge", &table).map_err(refused)?.is_some();
        let text = render(&table, &Ruleset::default(), with_bridge, Memory::None);
        nft(&["-f", "-"]).input(text).run().map_err(refused)?;
        docker::remove(&table).map_err(refused)
    }

    fn verify_now(&self, network: &str) -> Result<bool, Error> {
        let Some(expected) = self.applied().get(network).cloned() else {
            return Ok(false);
        };
        let refused = |source| Error::Firewall {
            doing: "verify",
            network: network.to_owned(),
            source,
        };
        let table = self.table(network);
        Ok(list_both(&table).map_err(refused)? == expected.listing
            && docker::is_applied(&table, &expected.ruleset).map_err(refused)?)
    }

    fn networks_now(&self) -> Result<Vec<String>, Error> {
        let refused = |source| Error::Firewall {
            doing: "list",
            network: "*".to_owned(),
            source,
        };
        let tables = nft(&["list", "tables", "inet"]).run().map_err(refused)?;
        Ok(String::from_utf8_lossy(&tables)
            .lines()
            .filter_map(|line| line.strip_prefix("table inet "))
            .filter_map(|table| table.strip_prefix(&*self.prefix)?.strip_prefix('_'))
            .filter_map(unescape)
            .collect())
    }
}

#[async_trait]
impl Firewall for Nftables {
    async fn apply(&self, network: &str, ruleset: &Ruleset) -> Result<(), Error> {
        let (this, network, ruleset) = (self.clone(), network.to_owned(), ruleset.clone());
        blocking(move || this.apply_now(&network, &ruleset)).await
    }

    async fn remove(&self, network: &str) -> Result<(), Error> {
        let (this, network) = (self.clone(), network.to_owned());
        blocking(move || this.remove_now(&network)).await
    }

    async fn verify(&self, network: &str) -> Result<bool, Error> {
        let (this, network) = (self.clone(), network.to_owned());
        blocking(move || this.verify_now(&network)).await
    }

    async fn networks(&self) -> Result<Vec<String>, Error> {
        let this = self.clone();
        blocking(move || this.networks_now()).await
    }

    async fn findings(&self) -> Result<Vec<Finding>, Error> {
        let prefix = Arc::clone(&self.prefix);
        blocking(move || findings::look(&prefix)).await
    }
}

fn nft(args: &[&str]) -> Tool {
    Tool::new("nft").args(args)
}

/// The table as nft shows it; `None` if there is none.
fn list(family: &str, table: &str) -> Result<Option<String>, ToolError> {
    match nft(&["list", "table", family, table]).run() {
        Ok(text) => Ok(Some(String::from_utf8_lossy(&text).into_owned())),
        Err(ToolError::Failed { stderr, .. }) if stderr.contains("No such file") => Ok(None),
        Err(error) => Err(error),
    }
}

fn list_both(table: &str) -> Result<[Option<String>; 2], ToolError> {
    Ok([list("inet", table)?, list("bridge", table)?])
}

/// The table of a network. Bytes that nft wouldn't take in a name are written as `.` and two hexadecimal digits.
fn table_name(prefix: &str, network: &str) -> String {
    let mut name = format!("{prefix}_");
    for byte in network.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            name.push(byte.into());
        } else {
            // Writing to a String cannot fail.
            let _ok = write!(name, ".{byte:02x}");
        }
    }
    name
}

/// The network of a table's name without its prefix; `None` if it is none of ours.
fn unescape(name: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = name.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'.' {
            let (digits, after) = after.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}
