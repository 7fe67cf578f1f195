//! Plugging instances in: their names for DHCP and DNS, and their veth pairs.

use std::os::fd::BorrowedFd;

use rlxc_network::{Host, LinkAddress, LinkView, Mac, NicSpec, PortVlans};
use rlxc_sys::chain::chain;

use super::{addresses, claims, placed, rules};
use crate::context::App;
use crate::db::{self, instances, networks};
use crate::error::{Error, Result};
use crate::model::{Instance, Network};
use crate::plan::attachment::Attachment;
use crate::plan::expand::{Expanded, expand};
use crate::plan::nic::{Nic, plan_nics};
use crate::plan::project::Feature;

/// The longest part of a host name, RFC 1035.
const LONGEST_LABEL: usize = 63;

/// The NICs as they are on their networks, some of which are no bridges. Refuses networks that do not exist, before
/// anything is made.
pub async fn settle_nics(app: &App, project: &str, nics: Vec<Nic>) -> Result<Vec<Nic>> {
    if !nics.iter().any(Nic::may_be_managed) {
        return Ok(nics);
    }
    let owner = app.owner(project, Feature::Networks).await?;
    let known = app.db.read(networks::list).await?;
    let settle = |nic: Nic| {
        if !nic.managed {
            return Ok(nic.found_among(known.iter()));
        }
        let is_its = |network: &&Network| network.project == owner && network.name == nic.bridge;
        match known.iter().find(is_its) {
            Some(network) => nic.on(network).map_err(Error::Invalid),
            None => Err(Error::not_found("network", &nic.bridge)),
        }
    };
    nics.into_iter().map(settle).collect()
}

/// A NIC of an instance that is there: its network was found before.
pub(super) async fn settle(app: &App, nic: &Nic) -> Result<Nic> {
    if !nic.may_be_managed() {
        return Ok(nic.clone());
    }
    let name = nic.bridge.clone();
    let network = app.db.read(move |tx| networks::find(tx, &name)).await?;
    match network {
        Some(network) if nic.managed => nic.clone().on(&network).map_err(Error::Invalid),
        network => Ok(nic.clone().found_among(network.iter())),
    }
}

/// Plugs a NIC: its name for DHCP and DNS, then the veth pair, or whatever else its type asks for. The pair dies with the
/// namespace. Returns the name of the host's end; empty if there is none.
pub async fn attach(
    app: &App,
    instance: &Instance,
    nic: &Nic,
    netns: BorrowedFd<'_>,
) -> Result<String> {
    if !matches!(nic.attachment, Attachment::Bridged(_)) {
        return placed::place(app, nic, netns, Switch::ByInit).await;
    }
    let host_name = attach_to_bridge(app, instance, nic, netns).await?;
    placed::route(app, nic).await?;
    Ok(host_name)
}

async fn attach_to_bridge(
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
    let nic = &settled(app, instance.id, nic).await?;
    readdress(app, &host_name(instance), nic).await?;
    if nic.has_rules() {
        return attach_guarded(app, nic, netns).await;
    }
    let spec = spec(nic, Switch::ByInit)?;
    let attached = attach_under_free_name(app, nic, spec, netns).await?;
    let host_name = attached.map_err(failed)?;
    // Rules that an earlier NIC of this name left do not hold for this one.
    let plugged = Nic {
        host_name: host_name.clone(),
        ..nic.clone()
    };
    rules::guard(app, &plugged).await?;
    Ok(host_name)
}

/// A NIC with all addresses that it needs; one that was chosen for it is noted in the instance's row.
async fn settled(app: &App, instance: i64, nic: &Nic) -> Result<Nic> {
    let mut nic = nic.clone();
    if let Some(address) = addresses::choose_address(app, &nic).await? {
        let key = format!("volatile.{}.ipv4.address", nic.device);
        nic.ipv4 = Some(address.clone());
        app.db
            .post(move |tx| instances::set_keys(tx, instance, &[(&key, address)]));
    }
    Ok(nic)
}

/// A NIC with rules: they are there before it is.
async fn attach_guarded(app: &App, nic: &Nic, netns: BorrowedFd<'_>) -> Result<String> {
    let nic = Nic {
        host_name: free_host_name(app, nic).await?,
        ..nic.clone()
    };
    rules::guard(app, &nic).await?;
    let spec = spec(&nic, Switch::ByInit)?;
    if let Err(error) = app.networking.links.attach_nic(&spec, netns).await {
        rules::unguard(app, &nic).await?;
        return Err(Error::failed(
            format!("plug device `{}`", nic.device),
            error,
        ));
    }
    Ok(nic.host_name)
}

/// Who switches the instance's end of a pair on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Switch {
    /// Its init, which is about to start.
    ByInit,
    /// We: its init has started long ago.
    AtOnce,
}

pub(super) fn spec(nic: &Nic, switch: Switch) -> Result<NicSpec> {
    let vlans = match &nic.attachment {
        Attachment::Bridged(vlans) => vlans.clone(),
        _ => PortVlans::default(),
    };
    Ok(NicSpec {
        host_name: nic.host_name.clone(),
        container_name: nic.name.clone(),
        bridge: Some(nic.bridge.clone()).filter(|name| !name.is_empty()),
        vlans,
        hwaddr: parse_mac(nic)?,
        mtu: nic.mtu,
        up: switch == Switch::AtOnce,
        isolated: nic.isolated,
    })
}

/// Plugs a NIC into an instance that runs; fine if it is plugged in.
pub async fn plug(app: &App, instance: &str, nic: &Nic, netns: BorrowedFd<'_>) -> Result<()> {
    let nic = &settle(app, nic).await?;
    if !matches!(nic.attachment, Attachment::Bridged(_)) {
        let placed = placed::place(app, nic, netns, Switch::AtOnce).await;
        return placed.map(drop);
    }
    plug_into_bridge(app, instance, nic, netns).await?;
    placed::route(app, nic).await
}

async fn plug_into_bridge(
    app: &App,
    instance: &str,
    nic: &Nic,
    netns: BorrowedFd<'_>,
) -> Result<()> {
    readdress(app, instance, nic).await?;
    rules::guard(app, nic).await?;
    let links = list_links(app).await?;
    if links.iter().any(|link| link.name == nic.host_name) {
        return Ok(());
    }
    let spec = spec(nic, Switch::AtOnce)?;
    let attached = app.networking.links.attach_nic(&spec, netns).await;
    attached.map_err(|error| {
        let what = format!("plug device `{}` into instance `{instance}`", nic.device);
        Error::failed(what, error)
    })
}

/// The ports of bridges that instances have which run, each with the host name of the instance.
pub async fn plugged(app: &App) -> Result<Vec<(String, Nic)>> {
    let mut all = Vec::new();
    for (instance, expanded) in app.db.read(addresses::expanded_all).await? {
        let status = app.instances.status(instance.id);
        // One that is being started or stopped is looked at the next time.
        if status.running.is_none() || status.code != status.state.status() {
            continue;
        }
        let Expanded { config, devices } = &expanded;
        let nics = plan_nics(instance.id, &instance.name, config, devices).unwrap_or_default();
        let settled = settle_nics(app, &instance.project, nics).await;
        for mut nic in settled.unwrap_or_default() {
            let noted = config.get(&format!("volatile.{}.host_name", nic.device));
            if let (Attachment::Bridged(_), Some(noted)) = (&nic.attachment, noted) {
                nic.host_name.clone_from(noted);
                all.push((host_name(&instance), nic));
            }
        }
    }
    Ok(all)
}

/// Plugs the end on the host of a NIC into its bridge again; fine if there is none.
pub async fn rejoin(app: &App, nic: &Nic) -> Result<()> {
    let links = list_links(app).await?;
    let is_it = |link: &&LinkView| link.name == nic.host_name && link.ours;
    if links.iter().find(is_it).is_none() {
        return Ok(());
    }
    let joined = app
        .networking
        .links
        .rejoin(&spec(nic, Switch::AtOnce)?)
        .await;
    joined.map_err(|error| Error::failed(format!("plug in device `{}`", nic.device), error))
}

/// Pulls a NIC out of an instance that runs, and forgets its name and lease; fine if it is gone.
pub async fn unplug(app: &App, nic: &Nic, netns: BorrowedFd<'_>) -> Result<()> {
    let nic = &settle(app, nic).await?;
    placed::displace(app, nic, netns).await?;
    if !matches!(nic.attachment, Attachment::Bridged(_)) {
        return Ok(());
    }
    let failed = |error| Error::failed(format!("pull out device `{}`", nic.device), error);
    let links = &app.networking.links;
    links.detach_nic(&nic.host_name).await.map_err(failed)?;
    rules::unguard(app, nic).await?;
    if nic.managed {
        let names = &app.networking.names;
        let removed = names.remove_host(&nic.bridge, parse_mac(nic)?).await;
        removed.map_err(failed)?;
    }
    Ok(())
}

/// Tells DHCP and DNS the name of an instance, and its fixed addresses if it has any.
pub async fn readdress(app: &App, instance: &str, nic: &Nic) -> Result<()> {
    let nic = &settle(app, nic).await?;
    if !nic.managed {
        return Ok(());
    }
    let entry = host(instance, nic, parse_mac(nic)?)?;
    let set = app.networking.names.set_host(&nic.bridge, entry).await;
    set.map_err(|error| {
        let what = format!(
            "give device `{}` of instance `{instance}` its name",
            nic.device
        );
        Error::failed(what, error)
    })
}

/// The name of a NIC's end on the host: the one that a user chose, or something like the one that we would.
pub async fn free_host_name(app: &App, nic: &Nic) -> Result<String> {
    let wanted = &nic.host_name;
    let links = list_links(app).await?;
    let is_taken = |name: &str| links.iter().any(|link| link.name == name);
    if nic.has_own_host_name {
        if is_taken(wanted) {
            clear_host_name(app, nic).await?;
        }
        return Ok(wanted.clone());
    }
    let free = host_name_variants(wanted).find(|name| !is_taken(name));
    free.ok_or_else(|| {
        Error::Conflict(format!(
            "the interface name `{wanted}` is taken on this host"
        ))
    })
}

/// Makes room for a NIC whose name on the host is taken, where that is by what an instance that has just ended left.
async fn clear_host_name(app: &App, nic: &Nic) -> Result<()> {
    let wanted = &nic.host_name;
    let links = list_links(app).await?;
    let is_left = |link: &&LinkView| link.ours && link.kind.as_deref() == Some("veth");
    let found = links.iter().find(|link| link.name == *wanted);
    match found {
        None => Ok(()),
        Some(link) if is_left(&link) && !claims::is_host_name_in_use(app, nic).await? => {
            let detached = app.networking.links.detach_nic(wanted).await;
            detached.map_err(|error| {
                Error::failed(format!("make room for device `{}`", nic.device), error)
            })
        }
        Some(_) => Err(Error::Conflict(format!(
            "device `{}`: `host_name={wanted}` is taken by another interface of the host",
            nic.device
        ))),
    }
}

pub(super) async fn list_links(app: &App) -> Result<Vec<LinkView>> {
    let links = app.networking.links.list().await;
    links.map_err(|error| Error::failed("list the host's interfaces", error))
}

/// The veth of an instance that has just ended may still be there: its namespace dies a moment later. Then another name
/// does as well, where nobody chose one; it is returned.
async fn attach_under_free_name(
    app: &App,
    nic: &Nic,
    mut spec: NicSpec,
    netns: BorrowedFd<'_>,
) -> Result<Result<String, rlxc_network::Error>> {
    let wanted = spec.host_name.clone();
    let names: Vec<String> = if nic.has_own_host_name {
        vec![wanted]
    } else {
        host_name_variants(&wanted).collect()
    };
    for host_name in names {
        spec.host_name = host_name;
        match app.networking.links.attach_nic(&spec, netns).await {
            Err(error) if error.is_taken() => {}
            other => return Ok(other.map(|()| spec.host_name)),
        }
    }
    if nic.has_own_host_name {
        clear_host_name(app, nic).await?;
    }
    let attached = app.networking.links.attach_nic(&spec, netns).await;
    Ok(attached.map(|()| spec.host_name))
}

fn host_name_variants(name: &str) -> impl Iterator<Item = String> + '_ {
    let stem = &name[..name.len().min(14)];
    std::iter::once(name.to_owned()).chain(('a'..='h').map(move |suffix| format!("{stem}{suffix}")))
}

fn host(instance: &str, nic: &Nic, hwaddr: Mac) -> Result<Host> {
    let wrong = |what: &str, text: &str| {
        Error::Invalid(format!(
            "device `{}`: {what} `{text}` is not an address",
            nic.device
        ))
    };
    let ipv4 = nic.ipv4.as_deref().filter(|text| *text != "none");
    let ipv6 = nic.ipv6.as_deref().filter(|text| *text != "none");
    Ok(Host {
        name: instance.to_owned(),
        hwaddr,
        ipv4: ipv4
            .map(|text| text.parse().map_err(|_bad| wrong("ipv4.address", text)))
            .transpose()?,
        ipv6: ipv6
            .map(|text| text.parse().map_err(|_bad| wrong("ipv6.address", text)))
            .transpose()?,
    })
}

/// The host name of an instance on its networks. Those of other projects have their project behind them, so that two of the
/// same name are two, and nobody takes the name of another project's instance. dnsmasq allows one label only: it would take
/// `NAME.PROJECT` for a name in a domain that is not its own, and leave the domain out.
pub fn host_name(instance: &Instance) -> String {
    if instance.project == "default" {
        return instance.name.clone();
    }
    let name = in_project(&instance.name, &instance.project);
    if name.len() <= LONGEST_LABEL {
        name
    } else {
        format!("instance-{}", instance.id)
    }
}

/// A name of another project.
pub(super) fn in_project(name: &str, project: &str) -> String {
    format!("{name}--{}", project.replace('.', "-"))
}

pub(super) fn parse_mac(nic: &Nic) -> Result<Mac> {
    nic.hwaddr
        .parse()
        .map_err(|error: rlxc_network::mac::InvalidMac| {
            Error::Invalid(format!("device `{}`: {error}", nic.device))
        })
}

/// The address of a NIC that is lent, of whatever kind of link.
pub(super) fn parse_address(nic: &Nic) -> Result<LinkAddress> {
    nic.hwaddr
        .parse()
        .map_err(|error: rlxc_network::link_address::InvalidAddress| {
            Error::Invalid(format!("device `{}`: {error}", nic.device))
        })
}

/// Forgets names and leases of an instance that is deleted. What fails here only leaves a stale name.
pub async fn forget_hosts(app: &App, instance: &Instance) {
    for nic in managed_nics(app, instance).await {
        let Ok(hwaddr) = parse_mac(&nic) else {
            continue;
        };
        if let Err(error) = app.networking.names.remove_host(&nic.bridge, hwaddr).await {
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
        let Ok(entry) = host(&host_name(after), &nic, hwaddr) else {
            continue;
        };
        if let Err(error) = app.networking.names.set_host(&nic.bridge, entry).await {
            tracing::warn!(instance = after.name, error = %chain(&error), "DNS keeps the old name");
        }
    }
}

async fn managed_nics(app: &App, instance: &Instance) -> Vec<Nic> {
    let Ok(known) = app.db.read(db::profiles::known).await else {
        return Vec::new();
    };
    let Expanded { config, devices } = expand(instance, known.of(&instance.project));
    let nics = plan_nics(instance.id, &instance.name, &config, &devices).unwrap_or_default();
    let settled = settle_nics(app, &instance.project, nics).await;
    let settled = settled.unwrap_or_default().into_iter();
    settled.filter(|nic| nic.managed).collect()
}
