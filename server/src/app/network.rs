//! Managed networks: bringing them up, plugging instances in, and the use cases of `/1.0/networks`.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rlxc_api::name::NetworkName;
use rlxc_api::{
    Network as NetworkView, NetworkLease, NetworkPut, NetworkState, NetworkStateAddress,
    NetworkStateCounters, NetworksPost, Requestor,
};
use rlxc_network::{
    BridgeSpec, Dnsmasq, Firewall, Host, Links, Mac, NicSpec, ipam, plan_ruleset, setup_sysctls,
};
use rlxc_sys::chain::chain;

use crate::context::{App, blocking, instance_url};
use crate::db::{self, networks};
use crate::error::{Error, Result};
use crate::model::{Config, Instance, Network};
use crate::plan::bridge::bridge_spec;
use crate::plan::expand::{Expanded, expand};
use crate::plan::nic::{Nic, plan_nics};
use crate::saga::{JournalEntry, Saga};

/// What makes networks real.
#[derive(Debug)]
pub struct Networking {
    /// Bridges and veth pairs.
    pub links: Arc<dyn Links>,
    /// Rules.
    pub firewall: Arc<dyn Firewall>,
    /// DHCP and DNS.
    pub dnsmasq: Dnsmasq,
}

impl Networking {
    /// Makes a network be what its specification says; doing it twice changes nothing.
    pub async fn bring_up(&self, spec: &BridgeSpec) -> Result<(), rlxc_network::Error> {
        setup_sysctls(spec).await?;
        self.links.ensure_bridge(spec).await?;
        self.firewall.apply(&spec.name, &plan_ruleset(spec)).await?;
        self.dnsmasq.ensure(spec).await
    }

    /// Takes a network away; doing it twice is fine.
    pub async fn take_down(&self, name: &str) -> Result<(), rlxc_network::Error> {
        self.dnsmasq.stop(name).await?;
        self.firewall.remove(name).await?;
        self.links.delete_bridge(name).await
    }
}

/// Brings up all networks. One that can't be leaves a warning.
pub async fn bring_up_all(app: &App) -> Result<()> {
    for network in app.db.read(networks::list).await? {
        if let Err(error) = bring_up(app, &network).await {
            tracing::error!(network = network.name, error = %chain(&error), "a network can't be brought up");
            app.warn(
                "Network unavailable",
                &url(&network.name),
                &chain(&error).to_string(),
            )
            .await;
        }
    }
    Ok(())
}

async fn bring_up(app: &App, network: &Network) -> Result<()> {
    let spec = bridge_spec(&network.name, &network.config).map_err(Error::Invalid)?;
    app.networking
        .bring_up(&spec)
        .await
        .map_err(|error| Error::failed(format!("bring up network `{}`", network.name), error))
}

/// Makes a network.
pub async fn create(app: &App, who: &Requestor, post: NetworksPost) -> Result<()> {
    let name: NetworkName = post.name.parse()?;
    if !post.kind.is_empty() && post.kind != "bridge" {
        return Err(Error::Invalid(format!(
            "network type `{}` is not known here: there is `bridge`",
            post.kind
        )));
    }
    let key = name.to_string();
    if app
        .db
        .read(move |tx| networks::find(tx, &key))
        .await?
        .is_some()
    {
        return Err(Error::exists("network", name.as_str()));
    }
    let config = choose_addresses(app, &name, post.put.config).await?;
    let network = Network {
        id: 0,
        name: name.to_string(),
        kind: "bridge".to_owned(),
        description: post.put.description,
        config,
    };
    check_subnets(app, &network).await?;
    let operation = app.clock.uuid().to_string();
    let mut saga = Saga::new(app, &operation);
    saga.intend(JournalEntry::Network {
        name: network.name.clone(),
    })
    .await?;
    let result = make(app, &network).await;
    saga.settle(result).await?;
    app.resource_event("network-created", url(&name), &name, who);
    Ok(())
}

async fn make(app: &App, network: &Network) -> Result<()> {
    bring_up(app, network).await?;
    let row = network.clone();
    app.db
        .write(move |tx| networks::insert(tx, &row).map_err(Error::from))
        .await?;
    Ok(())
}

/// Takes away what a creation that did not end, or a deletion, left.
pub async fn undo_create(app: &App, name: &str) -> Result<()> {
    let key = name.to_owned();
    if app
        .db
        .read(move |tx| networks::find(tx, &key))
        .await?
        .is_some()
    {
        return Ok(());
    }
    app.networking
        .take_down(name)
        .await
        .map_err(|error| Error::failed(format!("take down network `{name}`"), error))
}

/// Replaces `auto`, and what a new network does not say, by a free subnet; NAT goes with a subnet that we chose.
async fn choose_addresses(app: &App, name: &str, mut config: Config) -> Result<Config> {
    let failed = |error| {
        Error::failed(
            format!("read the host's routes for network `{name}`"),
            error,
        )
    };
    let host = app.networking.links.host().await.map_err(failed)?;
    let (seed, _) = app.clock.uuid().as_u64_pair();
    let none_left = |family: &str| {
        Error::Unavailable(format!(
            "no free {family} subnet was found: set `{family}.address` yourself"
        ))
    };
    for family in ["ipv4", "ipv6"] {
        let key = format!("{family}.address");
        let wanted = config.get(&key).map_or("auto", String::as_str);
        if wanted != "auto" {
            continue;
        }
        let address = if family == "ipv4" {
            ipam::pick_ipv4_subnet(&host.ipv4, seed)
                .ok_or_else(|| none_left(family))?
                .to_string()
        } else {
            ipam::pick_ipv6_subnet(&host.ipv6, seed)
                .ok_or_else(|| none_left(family))?
                .to_string()
        };
        config.insert(key, address);
        config
            .entry(format!("{family}.nat"))
            .or_insert_with(|| "true".to_owned());
    }
    Ok(config)
}

async fn check_subnets(app: &App, network: &Network) -> Result<()> {
    let spec = bridge_spec(&network.name, &network.config).map_err(Error::Invalid)?;
    for other in app.db.read(networks::list).await? {
        if other.name == network.name {
            continue;
        }
        let Ok(taken) = bridge_spec(&other.name, &other.config) else {
            continue;
        };
        let overlap4 = spec
            .ipv4
            .zip(taken.ipv4)
            .is_some_and(|(a, b)| a.contains(&b.network()) || b.contains(&a.network()));
        let overlap6 = spec
            .ipv6
            .zip(taken.ipv6)
            .is_some_and(|(a, b)| a.contains(&b.network()) || b.contains(&a.network()));
        if overlap4 || overlap6 {
            return Err(Error::Conflict(format!(
                "the subnet of network `{}` overlaps that of `{}`",
                network.name, other.name
            )));
        }
    }
    Ok(())
}

/// Replaces description and keys, and makes the network be so.
pub async fn update(app: &App, who: &Requestor, name: &str, put: NetworkPut) -> Result<()> {
    let mut network = find(app, name).await?;
    network.config = put
        .config
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect();
    network.config = choose_only_auto(app, name, network.config).await?;
    network.description = put.description;
    check_subnets(app, &network).await?;
    bring_up(app, &network).await?;
    app.db
        .write(move |tx| networks::update(tx, &network).map_err(Error::from))
        .await?;
    app.resource_event("network-updated", url(name), name, who);
    Ok(())
}

async fn choose_only_auto(app: &App, name: &str, config: Config) -> Result<Config> {
    let mut explicit = config;
    for key in ["ipv4.address", "ipv6.address"] {
        explicit
            .entry(key.to_owned())
            .or_insert_with(|| "none".to_owned());
    }
    choose_addresses(app, name, explicit).await
}

/// Deletes a network that nobody uses.
pub async fn delete(app: &App, who: &Requestor, name: &str) -> Result<()> {
    let network = find(app, name).await?;
    let users = used_by(app, name).await?;
    if !users.is_empty() {
        return Err(Error::Conflict(format!(
            "network `{name}` is in use by {}",
            users.join(", ")
        )));
    }
    // It goes by the undo of its creation: whoever dies in between, it is taken down at the next start.
    let mut saga = Saga::new(app, &app.clock.uuid().to_string());
    saga.intend(JournalEntry::Network {
        name: network.name.clone(),
    })
    .await?;
    app.db
        .write(move |tx| networks::delete(tx, network.id).map_err(Error::from))
        .await?;
    saga.unwind().await;
    app.resource_event("network-deleted", url(name), name, who);
    Ok(())
}

/// Managed networks, and the host's own interfaces.
pub async fn list(app: &App) -> Result<Vec<NetworkView>> {
    let mut views = Vec::new();
    for network in app.db.read(networks::list).await? {
        views.push(render(app, network).await?);
    }
    let links = app
        .networking
        .links
        .list()
        .await
        .map_err(|error| Error::failed("list the host's interfaces", error))?;
    for link in links
        .into_iter()
        .filter(|link| link.kind.as_deref() != Some("veth"))
    {
        if !views.iter().any(|view| view.name == link.name) {
            let kind = match (link.kind.as_deref(), link.name.as_str()) {
                (_, "lo") => "loopback",
                (Some("bridge"), _) => "bridge",
                (Some("bond"), _) => "bond",
                (Some("vlan"), _) => "vlan",
                (None, _) => "physical",
                (Some(_), _) => "unknown",
            };
            views.push(NetworkView {
                name: link.name,
                kind: kind.to_owned(),
                project: "default".to_owned(),
                ..NetworkView::default()
            });
        }
    }
    views.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(views)
}

/// One network, managed or the host's.
pub async fn get(app: &App, name: &str) -> Result<NetworkView> {
    let all = list(app).await?;
    all.into_iter()
        .find(|view| view.name == name)
        .ok_or_else(|| Error::not_found("network", name))
}

async fn find(app: &App, name: &str) -> Result<Network> {
    let key = name.to_owned();
    let found = app.db.read(move |tx| networks::find(tx, &key)).await?;
    found.ok_or_else(|| Error::not_found("network", name))
}

async fn render(app: &App, network: Network) -> Result<NetworkView> {
    let used_by = used_by(app, &network.name).await?;
    Ok(NetworkView {
        put: NetworkPut {
            config: network.config,
            description: network.description,
        },
        name: network.name,
        kind: network.kind,
        used_by,
        managed: true,
        status: "Created".to_owned(),
        locations: vec!["none".to_owned()],
        project: "default".to_owned(),
    })
}

async fn used_by(app: &App, name: &str) -> Result<Vec<String>> {
    let name = name.to_owned();
    app.db
        .read(move |tx| {
            let known = db::profiles::list(tx, db::DEFAULT_PROJECT)?;
            let uses = |devices: &crate::model::Devices| {
                devices
                    .values()
                    .any(|keys| keys.get("network") == Some(&name))
            };
            let profiles = known.iter().filter(|profile| uses(&profile.devices));
            let mut urls: Vec<String> = profiles
                .map(|profile| format!("/1.0/profiles/{}", profile.name))
                .collect();
            let instances = db::instances::list(tx, None)?;
            let plugged = instances
                .iter()
                .filter(|instance| uses(&expand(instance, &known).devices));
            urls.extend(plugged.map(|instance| instance_url(&instance.project, &instance.name)));
            Ok::<_, Error>(urls)
        })
        .await
}

/// Leases of a managed network.
pub async fn leases(app: &App, name: &str) -> Result<Vec<NetworkLease>> {
    find(app, name).await?;
    let leases = app
        .networking
        .dnsmasq
        .leases(name)
        .await
        .map_err(|error| Error::failed(format!("read the leases of `{name}`"), error))?;
    let rendered = leases.into_iter().map(|lease| NetworkLease {
        hostname: lease.hostname.unwrap_or_default(),
        hwaddr: lease.hwaddr.map(|mac| mac.to_string()).unwrap_or_default(),
        address: lease.address.to_string(),
        kind: "dynamic".to_owned(),
        location: "none".to_owned(),
    });
    Ok(rendered.collect())
}

/// Addresses and counters of one of the host's interfaces, managed or not.
pub async fn state(name: &str) -> Result<NetworkState> {
    let interfaces = blocking(rlxc_network::host_interfaces)
        .await
        .map_err(|error| Error::failed("list the host's interfaces", error))?;
    let interface = interfaces
        .into_iter()
        .find(|interface| interface.name == name)
        .ok_or_else(|| Error::not_found("network", name))?;
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let addresses = interface
        .addresses
        .iter()
        .map(|address| NetworkStateAddress {
            family: address.family().to_owned(),
            address: address.address.to_string(),
            netmask: address.prefix.to_string(),
            scope: address.scope.as_str().to_owned(),
        });
    Ok(NetworkState {
        addresses: addresses.collect(),
        counters: Some(NetworkStateCounters {
            bytes_received: signed(interface.counters.bytes_received),
            bytes_sent: signed(interface.counters.bytes_sent),
            packets_received: signed(interface.counters.packets_received),
            packets_sent: signed(interface.counters.packets_sent),
        }),
        hwaddr: interface
            .hwaddr
            .map(|mac| mac.to_string())
            .unwrap_or_default(),
        mtu: i64::from(interface.mtu),
        state: if interface.up { "up" } else { "down" }.to_owned(),
        kind: if interface.loopback {
            "loopback"
        } else {
            "broadcast"
        }
        .to_owned(),
        ..NetworkState::default()
    })
}

/// Refuses NICs on networks that do not exist, before anything is made.
pub async fn check_nics(app: &App, nics: &[Nic]) -> Result<()> {
    if nics.iter().all(|nic| !nic.managed) {
        return Ok(());
    }
    let known = app.db.read(networks::list).await?;
    match nics
        .iter()
        .find(|nic| nic.managed && !known.iter().any(|network| network.name == nic.bridge))
    {
        Some(nic) => Err(Error::not_found("network", &nic.bridge)),
        None => Ok(()),
    }
}

/// Plugs a NIC: its name for DHCP and DNS, then the veth pair. The pair dies with the namespace. Returns the name of the
/// host's end.
pub async fn attach(
    app: &App,
    instance: &Instance,
    nic: &Nic,
    netns: BorrowedFd<'_>,
) -> Result<String> {
    let failed = |error| {
        Error::failed(
            format!(
                "plug device `{}` of instance `{}`",
                nic.device, instance.name
            ),
            error,
        )
    };
    let hwaddr = parse_mac(nic)?;
    if nic.managed {
        app.networking
            .dnsmasq
            .set_host(&nic.bridge, host(instance, nic, hwaddr)?)
            .await
            .map_err(failed)?;
    }
    let spec = NicSpec {
        host_name: nic.host_name.clone(),
        container_name: nic.name.clone(),
        bridge: nic.bridge.clone(),
        hwaddr,
        mtu: nic.mtu,
    };
    attach_under_free_name(app, spec, netns)
        .await
        .map_err(failed)
}

/// The veth of an instance that has just ended may still be there: its namespace dies a moment later. Then another name
/// does as well; it is returned.
async fn attach_under_free_name(
    app: &App,
    mut spec: NicSpec,
    netns: BorrowedFd<'_>,
) -> Result<String, rlxc_network::Error> {
    let wanted = spec.host_name.clone();
    for host_name in host_name_variants(&wanted) {
        spec.host_name = host_name;
        match app.networking.links.attach_nic(&spec, netns).await {
            Err(error) if error.is_taken() => {}
            other => return other.map(|()| spec.host_name),
        }
    }
    app.networking
        .links
        .attach_nic(&spec, netns)
        .await
        .map(|()| spec.host_name)
}

fn host_name_variants(name: &str) -> impl Iterator<Item = String> + '_ {
    let stem = &name[..name.len().min(14)];
    std::iter::once(name.to_owned()).chain(('a'..='h').map(move |suffix| format!("{stem}{suffix}")))
}

fn host(instance: &Instance, nic: &Nic, hwaddr: Mac) -> Result<Host> {
    let wrong = |what: &str, text: &str| {
        Error::Invalid(format!(
            "device `{}`: {what} `{text}` is not an address",
            nic.device
        ))
    };
    let ipv4 = nic.ipv4.as_deref().filter(|text| *text != "none");
    let ipv6 = nic.ipv6.as_deref().filter(|text| *text != "none");
    Ok(Host {
        name: instance.name.clone(),
        hwaddr,
        ipv4: ipv4
            .map(|text| text.parse().map_err(|_bad| wrong("ipv4.address", text)))
            .transpose()?,
        ipv6: ipv6
            .map(|text| text.parse().map_err(|_bad| wrong("ipv6.address", text)))
            .transpose()?,
    })
}

fn parse_mac(nic: &Nic) -> Result<Mac> {
    nic.hwaddr
        .parse()
        .map_err(|error: rlxc_network::mac::InvalidMac| {
            Error::Invalid(format!("device `{}`: {error}", nic.device))
        })
}

/// Forgets names and leases of an instance that is deleted. What fails here only leaves a stale name.
pub async fn forget_hosts(app: &App, instance: &Instance) {
    for nic in managed_nics(app, instance).await {
        let Ok(hwaddr) = parse_mac(&nic) else {
            continue;
        };
        if let Err(error) = app
            .networking
            .dnsmasq
            .remove_host(&nic.bridge, hwaddr)
            .await
        {
            tracing::warn!(instance = instance.name, error = %chain(&error), "a name stays in DNS");
        }
    }
}

/// Gives an instance that was renamed its new name in DNS.
pub async fn rename_hosts(app: &App, before: &Instance, after: &Instance) {
    for nic in managed_nics(app, before).await {
        let Ok(hwaddr) = parse_mac(&nic) else {
            continue;
        };
        let Ok(entry) = host(after, &nic, hwaddr) else {
            continue;
        };
        if let Err(error) = app.networking.dnsmasq.set_host(&nic.bridge, entry).await {
            tracing::warn!(instance = after.name, error = %chain(&error), "DNS keeps the old name");
        }
    }
}

async fn managed_nics(app: &App, instance: &Instance) -> Vec<Nic> {
    let known = app
        .db
        .read(|tx| db::profiles::list(tx, db::DEFAULT_PROJECT))
        .await
        .unwrap_or_default();
    let Expanded { config, devices } = expand(instance, &known);
    let nics = plan_nics(instance.id, &instance.name, &config, &devices).unwrap_or_default();
    nics.into_iter().filter(|nic| nic.managed).collect()
}

/// The URL of a network.
pub fn url(name: &str) -> String {
    format!("/1.0/networks/{name}")
}
