//! Subnets of networks: they meet neither each other nor what the host is on, and nobody who has an address of one is left
//! behind when it changes.

use ipnet::IpNet;
use rlxc_network::BridgeSpec;
use rlxc_network::firewall::plan_ruleset;
use rlxc_network::view::HostNetwork;

use super::addresses::{check_given, expanded_all, fixed_addresses};
use crate::context::App;
use crate::db::{network_rules, networks};
use crate::error::{Error, Result};
use crate::model::{Network, NetworkForward};
use crate::plan::bridge::bridge_spec;
use crate::plan::forward::plan_forward;

/// Refuses a subnet that another network has, or the host, but for one that the network had before; and a change that
/// takes away what users of the network rely on.
pub(super) async fn check(app: &App, network: &Network, before: Option<&Network>) -> Result<()> {
    let spec = bridge_spec(&network.name, &network.config).map_err(Error::Invalid)?;
    refuse_others(app, network, &spec).await?;
    let known = before.and_then(|known| bridge_spec(&known.name, &known.config).ok());
    refuse_host(app, &spec, &known.clone().unwrap_or_default()).await?;
    match known {
        Some(known) => refuse_left_behind(app, network, (&known, &spec)).await,
        None => Ok(()),
    }
}

fn subnets(spec: &BridgeSpec) -> Vec<IpNet> {
    let ipv4 = spec.ipv4.map(IpNet::from);
    ipv4.into_iter().chain(spec.ipv6.map(IpNet::from)).collect()
}

fn meet(a: &IpNet, b: &IpNet) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

async fn refuse_others(app: &App, network: &Network, spec: &BridgeSpec) -> Result<()> {
    let own = subnets(spec);
    for other in app.db.read(networks::list).await? {
        if other.name == network.name {
            continue;
        }
        let Ok(taken) = bridge_spec(&other.name, &other.config) else {
            continue;
        };
        let theirs = subnets(&taken);
        if own
            .iter()
            .any(|net| theirs.iter().any(|their| meet(net, their)))
        {
            return Err(Error::Conflict(format!(
                "the subnet of network `{}` overlaps that of `{}`",
                network.name, other.name
            )));
        }
    }
    Ok(())
}

async fn refuse_host(app: &App, spec: &BridgeSpec, known: &BridgeSpec) -> Result<()> {
    let known = subnets(known);
    let mut added = subnets(spec);
    added.retain(|net| !known.contains(net));
    if added.is_empty() {
        return Ok(());
    }
    let host = app.networking.links.host().await;
    let host =
        host.map_err(|error| Error::failed("read the host's addresses and routes", error))?;
    let found = added.iter().find_map(|net| overlap(&host, &spec.name, net));
    found.map_or(Ok(()), |why| Err(Error::Conflict(why)))
}

/// What of the host would no longer be reached if a bridge had this address.
fn overlap(host: &HostNetwork, bridge: &str, net: &IpNet) -> Option<String> {
    let family = if net.addr().is_ipv4() { "ipv4" } else { "ipv6" };
    let say = |what: String| Some(format!("`{family}.address={net}`: {what}"));
    if let Some(gateway) = host.gateways.iter().find(|gateway| net.contains(*gateway)) {
        return say(format!(
            "{gateway}, the gateway of the host, is in this subnet, and would no longer be reached"
        ));
    }
    let mut attached = host.attached.iter();
    let (name, taken) = attached.find(|(name, taken)| name != bridge && meet(net, taken))?;
    say(format!(
        "the host's interface `{name}` is on {taken}, which would no longer be reached: take a subnet that does not overlap it"
    ))
}

async fn refuse_left_behind(
    app: &App,
    network: &Network,
    (before, after): (&BridgeSpec, &BridgeSpec),
) -> Result<()> {
    if before == after {
        return Ok(());
    }
    let id = network.id;
    let (all, forwards) = app
        .db
        .read(move |tx| {
            let forwards = network_rules::list_forwards(tx, Some(id))?;
            Ok::<_, Error>((expanded_all(tx)?, forwards))
        })
        .await?;
    let mut left = Vec::new();
    for (instance, expanded) in &all {
        let fixed = fixed_addresses(&expanded.devices).into_iter();
        for fixed in fixed.filter(|fixed| fixed.network == network.name) {
            if check_given(before, &fixed).is_ok() && check_given(after, &fixed).is_err() {
                left.push(format!(
                    "device `{}` of instance `{}`{} has {}",
                    fixed.device,
                    instance.name,
                    in_project(&instance.project),
                    fixed.address
                ));
            }
        }
    }
    left.extend(
        forwards
            .iter()
            .filter_map(|forward| led_astray(forward, (before, after))),
    );
    if left.is_empty() {
        return Ok(());
    }
    Err(Error::Conflict(format!(
        "network `{}` can't change so: {}, which it would no longer give; change or remove these first",
        network.name,
        left.join(", ")
    )))
}

fn in_project(project: &str) -> String {
    match project {
        "default" => String::new(),
        other => format!(" in project `{other}`"),
    }
}

fn led_astray(
    forward: &NetworkForward,
    (before, after): (&BridgeSpec, &BridgeSpec),
) -> Option<String> {
    let leads = |spec: &BridgeSpec| plan_forward(forward, &plan_ruleset(spec).subnets);
    leads(before).ok()?;
    leads(after).err()?;
    let targets = forward.ports.iter().map(|port| &port.target_address);
    let mut targets: Vec<&str> = targets
        .chain(forward.config.get("target_address"))
        .map(String::as_str)
        .filter(|target| !target.is_empty())
        .collect();
    targets.sort_unstable();
    targets.dedup();
    let (listen, targets) = (&forward.listen_address, targets.join(", "));
    Some(format!("forward {listen} leads to {targets}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn a_subnet_leaves_the_host_what_it_is_on() {
        let host = HostNetwork {
            attached: vec![
                ("uplink0".to_owned(), net("192.0.2.7/24")),
                ("lab".to_owned(), net("10.1.2.1/24")),
                ("wg0".to_owned(), net("fd42:9::/48")),
            ],
            gateways: vec!["203.0.113.1".parse().unwrap()],
            ..HostNetwork::default()
        };
        for (taken, why) in [
            ("192.0.2.1/24", "`uplink0` is on 192.0.2.7/24"),
            ("192.0.0.1/16", "`uplink0`"),
            ("192.0.2.129/25", "`uplink0`"),
            ("fd42:9:0:1::1/64", "`wg0`"),
            ("203.0.113.1/24", "the gateway of the host"),
        ] {
            let error = overlap(&host, "lab", &net(taken)).unwrap();
            assert!(error.contains(why) && error.contains(taken), "{error}");
        }
        for free in ["10.1.2.1/24", "192.0.3.1/24", "fd42:a::1/64"] {
            assert_eq!(overlap(&host, "lab", &net(free)), None);
        }
    }
}
