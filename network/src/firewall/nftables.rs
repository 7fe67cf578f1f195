//! nftables: one table `inet PREFIX_NETWORK` a network, replaced as a whole by one `nft -f -`; see nft(8).
//!
//! nft applies a file as one transaction. "Create, delete, create anew" in it replaces a table whether or not it existed.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use rlxc_sys::tool::{Tool, ToolError};

use super::{Finding, Firewall, Ruleset, docker, findings};
use crate::Error;
use crate::error::blocking;

/// The packet filter of the network namespace that the calling thread is in.
#[derive(Debug, Clone)]
pub struct Nftables {
    prefix: Arc<str>,
    applied: Arc<Mutex<HashMap<String, Applied>>>,
}

/// What a network's rules should look like.
#[derive(Debug, Clone)]
struct Applied {
    ruleset: Ruleset,
    /// How nft showed the table right after it was applied; `None` where none is needed.
    listing: Option<String>,
}

impl Nftables {
    /// `prefix` begins the names of all tables; daemons side by side in one namespace need different ones.
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.into(),
            applied: Arc::default(),
        }
    }

    fn table(&self, network: &str) -> String {
        table_name(&self.prefix, network)
    }

    fn applied(&self) -> MutexGuard<'_, HashMap<String, Applied>> {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply_now(&self, network: &str, ruleset: &Ruleset) -> Result<(), Error> {
        let refused = |source| Error::Firewall {
            doing: "apply",
            network: network.to_owned(),
            source,
        };
        let table = self.table(network);
        let text = if ruleset.needs_table() {
            render(&table, ruleset)
        } else {
            deletion(&table)
        };
        nft(&["-f", "-"]).input(text).run().map_err(refused)?;
        docker::apply(&table, ruleset).map_err(refused)?;
        let listing = list(&table).map_err(refused)?;
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
        nft(&["-f", "-"])
            .input(deletion(&table))
            .run()
            .map_err(refused)?;
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
        Ok(list(&table).map_err(refused)? == expected.listing
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
fn list(table: &str) -> Result<Option<String>, ToolError> {
    match nft(&["list", "table", "inet", table]).run() {
        Ok(text) => Ok(Some(String::from_utf8_lossy(&text).into_owned())),
        Err(ToolError::Failed { stderr, .. }) if stderr.contains("No such file") => Ok(None),
        Err(error) => Err(error),
    }
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

/// The text that makes `table` not exist, whether or not it did.
fn deletion(table: &str) -> String {
    format!("table inet {table}\ndelete table inet {table}\n")
}

/// The text that makes `table` consist of exactly this ruleset.
pub fn render(table: &str, ruleset: &Ruleset) -> String {
    let bridge = &ruleset.bridge;
    let masquerade_ipv4 = ruleset
        .masquerade_ipv4
        .map(|net| format!("ip saddr {net} ip daddr != {net} masquerade"));
    let masquerade_ipv6 = ruleset
        .masquerade_ipv6
        .map(|net| format!("ip6 saddr {net} ip6 daddr != {net} masquerade"));
    let guard = |family: &str, address: &dyn std::fmt::Display| {
        format!(
            "iifname != {{ \"lo\", \"{bridge}\" }} {family} daddr {address} meta l4proto {{ tcp, udp }} th dport 53 drop"
        )
    };
    let guard_ipv4 = ruleset.guard_ipv4.map(|address| guard("ip", &address));
    let guard_ipv6 = ruleset.guard_ipv6.map(|address| guard("ip6", &address));
    [
        format!("{}table inet {table} {{\n", deletion(table)),
        chain(
            "postrouting",
            "nat hook postrouting priority srcnat",
            [masquerade_ipv4, masquerade_ipv6],
        ),
        chain(
            "input",
            "filter hook input priority filter",
            [guard_ipv4, guard_ipv6],
        ),
        "}\n".to_owned(),
    ]
    .concat()
}

/// A base chain; nothing if it would have no rule.
fn chain(name: &str, place: &str, rules: [Option<String>; 2]) -> String {
    let rules: Vec<String> = rules
        .into_iter()
        .flatten()
        .map(|rule| format!("    {rule}\n"))
        .collect();
    if rules.is_empty() {
        return String::new();
    }
    format!(
        "  chain {name} {{\n    type {place}; policy accept;\n{}  }}\n",
        rules.concat()
    )
}
