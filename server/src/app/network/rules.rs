//! The rules of a network in the packet filter: put together from rows and from what is plugged in, and applied as a whole.
//!
//! Which NICs and proxies are there is known in memory: it is told at each plugging, and read from the rows at start-up.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rlxc_network::firewall::{Dnat, NicRules, Ruleset, plan_ruleset};
use rlxc_network::{BridgeSpec, Mac, ipam};

use super::addresses::{expanded_all, network_owner};
use crate::context::App;
use crate::db::{instances, network_rules, networks};
use crate::error::{Error, Result};
use crate::model::{Network, NetworkAcl};
use crate::plan::acl::plan_policy;
use crate::plan::attachment::{Attachment, Routed};
use crate::plan::bridge::bridge_spec;
use crate::plan::forward::plan_forward;
use crate::plan::nic::{Nic, plan_nics};
use crate::plan::proxy::ProxyPlan;

/// What proxies of instances pass on by rules: by instance and device, the network and the rules.
type Proxies = BTreeMap<(i64, String), (String, Vec<Dnat>)>;

/// What is plugged into networks and needs rules of its own.
#[derive(Debug, Default)]
pub struct Plugged {
    /// NICs by the names of their ends on the host.
    nics: Mutex<BTreeMap<String, Nic>>,
    proxies: Mutex<Proxies>,
    /// Held by whoever puts rules together and applies them.
    turn: tokio::sync::Mutex<()>,
}

impl Plugged {
    fn nics(&self) -> MutexGuard<'_, BTreeMap<String, Nic>> {
        self.nics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn proxies(&self) -> MutexGuard<'_, Proxies> {
        self.proxies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Learns from the rows which NICs of instances that run need rules.
pub async fn learn(app: &App) -> Result<()> {
    let all = app.db.read(expanded_all).await?;
    for (instance, expanded) in all {
        let power = expanded.config.get("volatile.last_state.power");
        if power.is_none_or(|power| power != "RUNNING") {
            continue;
        }
        let nics = plan_nics(
            instance.id,
            &instance.name,
            &expanded.config,
            &expanded.devices,
        );
        let settled = super::settle_nics(app, &instance.project, nics.unwrap_or_default()).await;
        let settled = settled.unwrap_or_default().into_iter();
        for mut nic in settled.filter(Nic::has_rules) {
            let key = format!("volatile.{}.host_name", nic.device);
            if let Some(host_name) = expanded.config.get(&key) {
                nic.host_name.clone_from(host_name);
            }
            app.networking
                .plugged
                .nics()
                .insert(nic.host_name.clone(), nic);
        }
        for device in super::proxy::proxies(&expanded.devices) {
            let plan = super::proxy::plan(app, &instance, &expanded.devices, device);
            if let Ok(ProxyPlan::Rules { network, rules }) = plan {
                let key = (instance.id, device.clone());
                app.networking
                    .plugged
                    .proxies()
                    .insert(key, (network, rules));
            }
        }
    }
    Ok(())
}

/// Puts the rules of a NIC in place, before it is there; takes those away that another of its name left.
pub async fn guard(app: &App, nic: &Nic) -> Result<()> {
    let before = if nic.has_rules() {
        let mut nics = app.networking.plugged.nics();
        nics.insert(nic.host_name.clone(), nic.clone())
    } else {
        app.networking.plugged.nics().remove(&nic.host_name)
    };
    if before.as_ref() == Some(nic) || (before.is_none() && !nic.has_rules()) {
        return Ok(());
    }
    if let Some(before) = before.filter(|before| before.bridge != nic.bridge) {
        apply(app, &before.bridge).await?;
    }
    apply(app, &nic.bridge).await
}

/// Takes the rules of a NIC away.
pub async fn unguard(app: &App, nic: &Nic) -> Result<()> {
    let removed = app.networking.plugged.nics().remove(&nic.host_name);
    match removed {
        Some(removed) => apply(app, &removed.bridge).await,
        None => Ok(()),
    }
}

/// Passes on by rules what a proxy listens for; without rules it no longer does.
pub async fn set_proxy(
    app: &App,
    (instance, device): (i64, &str),
    wanted: Option<(String, Vec<Dnat>)>,
) -> Result<()> {
    let key = (instance, device.to_owned());
    let network = wanted.as_ref().map(|(network, _)| network.clone());
    let before = {
        let mut proxies = app.networking.plugged.proxies();
        match wanted {
            Some(wanted) => proxies.insert(key, wanted),
            None => proxies.remove(&key),
        }
    };
    let networks = before
        .map(|(network, _)| network)
        .into_iter()
        .chain(network);
    let networks: BTreeSet<String> = networks.collect();
    for network in networks {
        apply(app, &network).await?;
    }
    Ok(())
}

/// The devices of an instance that pass on by rules.
pub fn proxies_of(app: &App, instance: i64) -> Vec<String> {
    let proxies = app.networking.plugged.proxies();
    let own = proxies.keys().filter(|(id, _)| *id == instance);
    own.map(|(_, device)| device.clone()).collect()
}

/// All proxies that pass on by rules: instance, device, and what they pass on.
pub(super) fn proxies(app: &App) -> Vec<(i64, String, Vec<Dnat>)> {
    let proxies = app.networking.plugged.proxies();
    let all = proxies.iter();
    all.map(|((instance, device), (_, rules))| (*instance, device.clone(), rules.clone()))
        .collect()
}

/// Applies the rules of a network anew.
pub async fn apply(app: &App, name: &str) -> Result<()> {
    let _turn = app.networking.plugged.turn.lock().await;
    let key = name.to_owned();
    let row = app.db.read(move |tx| networks::find(tx, &key)).await?;
    let ruleset = match row {
        Some(network) => {
            let spec = bridge_spec(&network.name, &network.config).map_err(Error::Invalid)?;
            assemble(app, &spec, &network).await?
        }
        // A bridge of somebody else's, with NICs of ours, or none at all.
        None => Ruleset {
            bridge: name.to_owned(),
            nics: nic_rules(app, name, None).await?,
            ..Ruleset::default()
        },
    };
    let firewall = &app.networking.firewall;
    let applied = firewall.apply(name, &ruleset).await;
    applied.map_err(|error| Error::failed(format!("apply the rules of network `{name}`"), error))
}

/// All rules of a managed network.
pub async fn assemble(app: &App, spec: &BridgeSpec, network: &Network) -> Result<Ruleset> {
    let (id, project) = (network.id, network.project.clone());
    let (forwards, acls) = app
        .db
        .read(move |tx| {
            let forwards = network_rules::list_forwards(tx, Some(id))?;
            let mut acls = network_rules::list_acls(tx, None)?;
            acls.retain(|acl| acl.project == project);
            Ok::<_, Error>((forwards, acls))
        })
        .await?;
    let mut ruleset = plan_ruleset(spec);
    ruleset.policy = plan_policy(&network.config, &acls).map_err(Error::Invalid)?;
    for (of, rules) in app.networking.plugged.proxies().values() {
        if *of == network.name {
            ruleset.forwards.extend(rules.iter().cloned());
        }
    }
    for forward in &forwards {
        match plan_forward(forward, &ruleset.subnets) {
            Ok(rules) => ruleset.forwards.extend(rules),
            // The network's subnet was changed since.
            Err(error) => tracing::warn!(
                network = network.name,
                listen = forward.listen_address,
                error,
                "a forward leads nowhere"
            ),
        }
    }
    ruleset.nics = nic_rules(app, &network.name, Some((spec, network))).await?;
    Ok(ruleset)
}

async fn nic_rules(
    app: &App,
    bridge: &str,
    managed: Option<(&BridgeSpec, &Network)>,
) -> Result<Vec<NicRules>> {
    let nics: Vec<Nic> = {
        let all = app.networking.plugged.nics();
        all.values()
            .filter(|nic| nic.bridge == bridge)
            .cloned()
            .collect()
    };
    if nics.is_empty() {
        return Ok(Vec::new());
    }
    let (acls, owners) = app.db.read(acls_and_owners).await?;
    let spec = managed.map(|(spec, _)| spec);
    let rules = |nic: &Nic| {
        // ACLs belong to the project of the network; on a bridge of somebody else's to that of the instance's networks.
        let project = managed.map_or_else(
            || owners.get(&nic.instance).cloned().unwrap_or_default(),
            |(_, network)| network.project.clone(),
        );
        let own: Vec<NetworkAcl> = acls
            .iter()
            .filter(|acl| acl.project == project)
            .cloned()
            .collect();
        rules_of(nic, spec, &own).map_err(Error::Invalid)
    };
    nics.iter().map(rules).collect()
}

/// All ACLs, and by instance the project whose networks it uses.
fn acls_and_owners(
    tx: &rusqlite::Transaction<'_>,
) -> Result<(Vec<NetworkAcl>, BTreeMap<i64, String>)> {
    let acls = network_rules::list_acls(tx, None)?;
    let mut owners = BTreeMap::new();
    for instance in instances::list(tx, None)? {
        owners.insert(instance.id, network_owner(tx, &instance.project)?);
    }
    Ok((acls, owners))
}

/// What one NIC may.
fn rules_of(nic: &Nic, spec: Option<&BridgeSpec>, acls: &[NetworkAcl]) -> Result<NicRules, String> {
    let hwaddr: Mac = nic.hwaddr.parse().map_err(|_bad| {
        format!(
            "device `{}`: `{}` is not an Ethernet address",
            nic.device, nic.hwaddr
        )
    })?;
    if let Attachment::Routed(routed) = &nic.attachment {
        return Ok(routed_rules(nic, routed, hwaddr));
    }
    let ipv4 = nic.ipv4_filtering.then(|| {
        let own: Option<Ipv4Addr> = nic.ipv4.as_deref().and_then(|text| text.parse().ok());
        let routed = nic.routes.iter().filter_map(as_ipv4);
        own.map(Ipv4Net::from).into_iter().chain(routed).collect()
    });
    let ipv6 = nic.ipv6_filtering.then(|| {
        let own: Option<Ipv6Addr> = nic.ipv6.as_deref().and_then(|text| text.parse().ok());
        let prefix = spec
            .and_then(|spec| spec.ipv6)
            .filter(|net| net.prefix_len() <= 64);
        let slaac = prefix.map(|net| Ipv6Net::from(ipam::eui64(net, hwaddr)));
        let routed = nic.routes.iter().filter_map(as_ipv6);
        let own = own.map(Ipv6Net::from).into_iter().chain(slaac);
        own.chain(routed).collect()
    });
    let policy = plan_policy(&nic.security, acls)
        .map_err(|error| format!("device `{}`: {error}", nic.device))?;
    Ok(NicRules {
        host_name: nic.host_name.clone(),
        hwaddr,
        mac: nic.mac_filtering || nic.ipv4_filtering || nic.ipv6_filtering,
        ipv4,
        ipv6,
        policy,
        rate_from: nic.egress.map(|bits| bits / 8),
        rate_to: nic.ingress.map(|bits| bits / 8),
        priority: nic.priority,
    })
}

fn as_ipv4(net: &IpNet) -> Option<Ipv4Net> {
    match net {
        IpNet::V4(net) => Some(*net),
        IpNet::V6(_) => None,
    }
}

fn as_ipv6(net: &IpNet) -> Option<Ipv6Net> {
    match net {
        IpNet::V4(_) => None,
        IpNet::V6(net) => Some(*net),
    }
}

/// A routed NIC sends from its own addresses only.
fn routed_rules(nic: &Nic, routed: &Routed, hwaddr: Mac) -> NicRules {
    let own = routed.addresses.iter().copied().map(IpNet::from);
    let nets: Vec<IpNet> = own.chain(nic.routes.iter().copied()).collect();
    NicRules {
        host_name: nic.host_name.clone(),
        hwaddr,
        mac: false,
        ipv4: Some(nets.iter().filter_map(as_ipv4).collect()),
        ipv6: Some(nets.iter().filter_map(as_ipv6).collect()),
        policy: None,
        rate_from: nic.egress.map(|bits| bits / 8),
        rate_to: nic.ingress.map(|bits| bits / 8),
        priority: nic.priority,
    }
}

/// Bridges of others on which NICs of ours have rules; the empty name stands for those on no bridge.
pub async fn unmanaged(app: &App) -> Result<BTreeSet<String>> {
    let mut names: BTreeSet<String> = {
        let nics = app.networking.plugged.nics();
        nics.values().map(|nic| nic.bridge.clone()).collect()
    };
    for network in app.db.read(networks::list).await? {
        names.remove(&network.name);
    }
    Ok(names)
}

/// Forgets the NICs of an instance that has ended, and its rules with them.
pub async fn forget_instance(app: &App, instance: i64) -> Result<()> {
    forget(app, |nic| nic.instance == instance).await
}

/// Forgets NICs whose ends on the host are gone.
pub async fn forget_gone(app: &App) -> Result<()> {
    let links = app.networking.links.list().await;
    let links = links.map_err(|error| Error::failed("list the host's interfaces", error))?;
    let there = |nic: &Nic| links.iter().any(|link| link.name == nic.host_name);
    forget(app, |nic| !there(nic)).await
}

async fn forget(app: &App, gone: impl Fn(&Nic) -> bool) -> Result<()> {
    let mut bridges = BTreeSet::new();
    app.networking.plugged.nics().retain(|_, nic| {
        let stays = !gone(nic);
        if !stays {
            bridges.insert(nic.bridge.clone());
        }
        stays
    });
    for bridge in bridges {
        apply(app, &bridge).await?;
    }
    Ok(())
}
