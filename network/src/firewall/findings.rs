//! Other firewalls on the host that drop what bridges forward, or the requests of instances to the host.

use rlxc_sys::tool::{self, Tool};
use serde::Deserialize;

use super::Finding;
use crate::Error;

/// The part of `nft -j list chains` that matters here; see libnftables-json(5).
#[derive(Debug, Deserialize)]
struct Listing {
    nftables: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    chain: Option<Chain>,
}

#[derive(Debug, Deserialize)]
struct Chain {
    family: String,
    table: String,
    name: String,
    hook: Option<String>,
    policy: Option<String>,
}

/// Looks at all chains but those of tables that begin with `prefix`.
pub(super) fn look(prefix: &str) -> Result<Vec<Finding>, Error> {
    let text = Tool::new("nft")
        .args(["-j", "list", "chains"])
        .run()
        .map_err(|source| Error::Firewall {
            doing: "look at",
            network: "*".to_owned(),
            source,
        })?;
    let mut all = dropping_chains(&text, &format!("{prefix}_"));
    all.extend(legacy());
    Ok(all)
}

/// Pure: the base chains whose policy drops.
fn dropping_chains(json: &[u8], own: &str) -> Vec<Finding> {
    let Ok(listing) = serde_json::from_slice::<Listing>(json) else {
        return Vec::new();
    };
    listing
        .nftables
        .into_iter()
        .filter_map(|entry| entry.chain)
        .filter(|chain| chain.policy.as_deref() == Some("drop") && !chain.table.starts_with(own))
        .filter_map(|chain| finding(&chain))
        .collect()
}

fn finding(chain: &Chain) -> Option<Finding> {
    let Chain {
        family,
        table,
        name,
        hook,
        ..
    } = chain;
    let cost = match hook.as_deref()? {
        "forward" => {
            "traffic of instances to other networks is dropped unless that firewall allows it"
        }
        "input" => {
            "instances get no address and no names unless that firewall allows UDP 67, 547 and port 53 from the bridge"
        }
        _ => return None,
    };
    Some(Finding {
        subject: format!("chain `{name}` of table `{family} {table}` drops by default"),
        cost: cost.to_owned(),
        remedy: "allow the bridge there: with ufw `ufw allow in on BRIDGE` and `ufw route allow in on BRIDGE` and \
                 `ufw route allow out on BRIDGE`; with firewalld `firewall-cmd --permanent --zone=trusted \
                 --add-interface=BRIDGE`; beside Docker rlxc does it by itself"
            .to_owned(),
    })
}

/// The older iptables keeps its rules where nft doesn't see them.
fn legacy() -> Option<Finding> {
    let tables = std::fs::read_to_string("/proc/net/ip_tables_names").ok()?;
    let has_filter = tables.lines().any(|table| table == "filter");
    tool::find("iptables-legacy").filter(|_| has_filter)?;
    let rules = Tool::new("iptables-legacy")
        .args(["-w", "-S", "FORWARD"])
        .run()
        .ok()?;
    String::from_utf8_lossy(&rules).starts_with("-P FORWARD DROP").then(|| Finding {
        subject: "the FORWARD chain of iptables-legacy drops by default".to_owned(),
        cost: "traffic of instances to other networks is dropped unless that firewall allows it".to_owned(),
        remedy: "`iptables-legacy -I FORWARD -i BRIDGE -j ACCEPT; iptables-legacy -I FORWARD -o BRIDGE -j ACCEPT`; beside Docker \
                 rlxc does it by itself"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_who_drops() {
        let json = br#"{"nftables":[{"metainfo":{"version":"1.0.6"}},
            {"chain":{"family":"ip","table":"filter","name":"FORWARD","handle":1,"type":"filter","hook":"forward","prio":0,"policy":"drop"}},
            {"chain":{"family":"ip","table":"filter","name":"DOCKER-USER","handle":2}},
            {"chain":{"family":"inet","table":"rlxc_x","name":"input","handle":2,"type":"filter","hook":"input","prio":0,"policy":"drop"}},
            {"chain":{"family":"inet","table":"firewalld","name":"filter_INPUT","handle":2,"type":"filter","hook":"input","prio":10,"policy":"accept"}}]}"#;
        let found = dropping_chains(json, "rlxc_");
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            found[0].subject,
            "chain `FORWARD` of table `ip filter` drops by default"
        );
        assert_eq!(dropping_chains(b"{}", "rlxc_"), []);
    }
}
