//! NICs that are on no bridge of their own making: p2p, routed, macvlan and physical; and the routes of those on bridges.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use rlxc_network::links::vlan_name;
use rlxc_network::{Lent, LoanSpec, MacvlanSpec, RoutedSpec};

use super::nics::{Switch, free_host_name, parse_address, parse_mac, spec};
use super::traces::{self, Trace};
use super::{adapter, rules};
use crate::context::App;
use crate::db::instances;
use crate::error::{Error, Result};
use crate::plan::attachment::{Attachment, Parent, Routed};
use crate::plan::nic::Nic;

/// Places a NIC that is not a port of a bridge; fine if it is there. Returns the name of its end on the host; empty if it
/// has none. What was done is undone after an error.
pub(super) async fn place(
    app: &App,
    nic: &Nic,
    netns: BorrowedFd<'_>,
    switch: Switch,
) -> Result<String> {
    let _turn = app.networking.placing.lock().await;
    let key = (nic.instance, nic.device.as_str());
    if traces::read(app, nic.instance, &nic.device)
        .await
        .iter()
        .any(is_done)
    {
        return Ok(nic.host_name.clone());
    }
    let placed = place_now(app, nic, netns, switch).await;
    if placed.is_err()
        && let Err(left) = traces::undo(app, key, Some(netns)).await
    {
        tracing::warn!(device = nic.device, error = %rlxc_sys::chain::chain(&left), "something of a NIC stays");
    }
    placed
}

fn plugging(nic: &Nic) -> impl Fn(rlxc_network::Error) -> Error + use<'_> {
    |error| Error::failed(format!("plug device `{}`", nic.device), error)
}

fn is_done(trace: &Trace) -> bool {
    match trace {
        Trace::Inside { index, .. } => index.is_some(),
        Trace::Lent(lent) => lent.index.is_some(),
        _ => false,
    }
}

async fn place_now(app: &App, nic: &Nic, netns: BorrowedFd<'_>, switch: Switch) -> Result<String> {
    match &nic.attachment {
        Attachment::Bridged(_) => Ok(nic.host_name.clone()),
        Attachment::P2p => place_pair(app, nic, None, (netns, switch)).await,
        Attachment::Routed(routed) => place_pair(app, nic, Some(routed), (netns, switch)).await,
        Attachment::Macvlan { parent, mode } => {
            let spec = MacvlanSpec {
                parent: parent.interface(),
                container_name: nic.name.clone(),
                hwaddr: parse_mac(nic)?,
                mtu: nic.mtu,
                mode: *mode,
            };
            let mut notes = prepare_parent(app, nic, parent).await?;
            let inside = |index| {
                let name = nic.name.clone();
                Trace::Inside { name, index }
            };
            notes.push(inside(None));
            note(app, nic, &notes).await?;
            let index = app
                .networking
                .links
                .attach_macvlan(&spec, netns)
                .await
                .map_err(plugging(nic))?;
            notes.pop();
            notes.push(inside(Some(index)));
            note(app, nic, &notes).await?;
            Ok(String::new())
        }
        Attachment::Physical(parent) | Attachment::Infiniband(parent) => {
            lend(app, nic, parent, (netns, switch)).await
        }
    }
}

async fn note(app: &App, nic: &Nic, notes: &[Trace]) -> Result<()> {
    traces::note(app, (nic.instance, &nic.device), notes).await
}

/// Makes the interface of a VLAN, where one is asked for.
async fn prepare_parent(app: &App, nic: &Nic, parent: &Parent) -> Result<Vec<Trace>> {
    let Some(id) = parent.vlan else {
        return Ok(Vec::new());
    };
    let links = &app.networking.links;
    let name = vlan_name(&parent.name, id);
    let there = links.list().await.map_err(plugging(nic))?;
    let is_others = there.iter().any(|link| link.name == name && !link.ours);
    let notes = if is_others {
        Vec::new()
    } else {
        let parent = parent.name.clone();
        vec![Trace::Vlan { parent, id }]
    };
    note(app, nic, &notes).await?;
    links
        .ensure_vlan(&parent.name, id)
        .await
        .map_err(plugging(nic))?;
    Ok(notes)
}

/// A veth pair whose end on the host stands alone.
async fn place_pair(
    app: &App,
    nic: &Nic,
    routed: Option<&Routed>,
    (netns, switch): (BorrowedFd<'_>, Switch),
) -> Result<String> {
    let links = &app.networking.links;
    let there = links.list().await.map_err(plugging(nic))?;
    // At a start whatever has this name is another's; a running instance may have it already.
    if switch == Switch::AtOnce && there.iter().any(|link| link.name == nic.host_name) {
        return Ok(nic.host_name.clone());
    }
    if let Some(routed) = routed {
        refuse_addresses_in_use(app, nic, routed).await?;
    }
    let nic = &Nic {
        host_name: free_host_name(app, nic).await?,
        ..nic.clone()
    };
    let mut notes = Vec::new();
    if let Some(parent) = routed.and_then(|routed| routed.parent.as_ref()) {
        notes = prepare_parent(app, nic, parent).await?;
    }
    notes.push(Trace::Pair(nic.host_name.clone()));
    note(app, nic, &notes).await?;
    rules::guard(app, nic).await?;
    let placed = place_guarded(app, nic, routed, (netns, switch, notes)).await;
    if placed.is_err() {
        rules::unguard(app, nic).await?;
    }
    placed.map(|()| nic.host_name.clone())
}

async fn place_guarded(
    app: &App,
    nic: &Nic,
    routed: Option<&Routed>,
    (netns, switch, mut notes): (BorrowedFd<'_>, Switch, Vec<Trace>),
) -> Result<()> {
    let links = &app.networking.links;
    // Routes need an interface that is on.
    let switch = if routed.is_some() {
        Switch::AtOnce
    } else {
        switch
    };
    links
        .attach_nic(&spec(nic, switch)?, netns)
        .await
        .map_err(plugging(nic))?;
    if let Some(routed) = routed {
        let spec = RoutedSpec {
            host_name: nic.host_name.clone(),
            container_name: nic.name.clone(),
            addresses: routed.addresses.clone(),
            host_addresses: routed.host_addresses.clone(),
            gateways: routed.gateways.clone(),
            tables: routed.tables,
        };
        links.route_nic(&spec, netns).await.map_err(plugging(nic))?;
        if let Some(parent) = &routed.parent {
            let (parent, addresses) = (parent.interface(), routed.addresses.clone());
            notes.push(Trace::Answers {
                parent: parent.clone(),
                addresses: addresses.clone(),
            });
            note(app, nic, &notes).await?;
            links
                .answer_for(&parent, &addresses)
                .await
                .map_err(plugging(nic))?;
        }
    }
    // They die with the pair.
    links
        .add_routes(&nic.host_name, &nic.routes)
        .await
        .map_err(plugging(nic))?;
    Ok(())
}

async fn lend(
    app: &App,
    nic: &Nic,
    parent: &Parent,
    (netns, switch): (BorrowedFd<'_>, Switch),
) -> Result<String> {
    let mut notes = prepare_parent(app, nic, parent).await?;
    let name = parent.interface();
    let links = &app.networking.links;
    let there = links.list().await.map_err(plugging(nic))?;
    let Some(link) = there.into_iter().find(|link| link.name == name) else {
        return Err(absent(app, nic, &name).await);
    };
    if name == "lo" {
        return Err(Error::Invalid(format!(
            "device `{}`: `lo` can't be lent: every host needs its own",
            nic.device
        )));
    }
    refuse_addressed(app, nic, &name).await?;
    if link.ours && parent.vlan.is_none() {
        return Err(Error::Conflict(format!(
            "interface `{name}` is a part of a network or a NIC of an instance: it can't be lent"
        )));
    }
    let lent = |index| {
        Trace::Lent(Lent {
            name: name.clone(),
            container_name: nic.name.clone(),
            index,
            hwaddr: link.hwaddr.clone(),
            mtu: link.mtu,
            up: link.up,
        })
    };
    if matches!(nic.attachment, Attachment::Infiniband(_)) {
        notes.push(Trace::Adapter(adapter::look(nic, &link).await?));
    }
    notes.push(lent(None));
    note(app, nic, &notes).await?;
    let spec = LoanSpec {
        name: name.clone(),
        container_name: nic.name.clone(),
        hwaddr: nic.has_own_hwaddr.then(|| parse_address(nic)).transpose()?,
        mtu: nic.mtu,
        up: switch == Switch::AtOnce,
    };
    let pin = traces::pin(app, nic.instance);
    let index = links
        .lend(&spec, &pin, netns)
        .await
        .map_err(plugging(nic))?;
    notes.pop();
    notes.push(lent(Some(index)));
    note(app, nic, &notes).await?;
    Ok(name)
}

/// The host would lose what it has on an interface that is lent.
async fn refuse_addressed(app: &App, nic: &Nic, name: &str) -> Result<()> {
    let host = app.networking.links.host().await.map_err(plugging(nic))?;
    let own = host.attached.iter().filter(|(link, _)| link == name);
    let own: Vec<String> = own.map(|(_, net)| net.to_string()).collect();
    if own.is_empty() {
        return Ok(());
    }
    Err(Error::Conflict(format!(
        "device `{}`: interface `{name}` has addresses of the host ({}), which would no longer be reached: take them away first, as by `ip address flush dev {name}`",
        nic.device,
        own.join(", ")
    )))
}

/// An address that is routed to a NIC is nobody's yet.
async fn refuse_addresses_in_use(app: &App, nic: &Nic, routed: &Routed) -> Result<()> {
    let links = &app.networking.links;
    let host = links.host().await.map_err(plugging(nic))?;
    let there = links.list().await.map_err(plugging(nic))?;
    let taken = |address: &IpAddr, by: String| {
        Err(Error::Conflict(format!(
            "device `{}`: address {address} is {by}",
            nic.device
        )))
    };
    // The pair of an instance that has just ended may still have its routes.
    let is_pair = |name: &str| {
        let mut pairs = there.iter().filter(|link| link.ours);
        pairs.any(|link| link.name == name && link.kind.as_deref() == Some("veth"))
    };
    for address in &routed.addresses {
        if host.gateways.contains(address) {
            return taken(address, "the gateway of the host".to_owned());
        }
        let mut attached = host.attached.iter();
        let holder = attached.find(|(name, net)| net.addr() == *address && !is_pair(name));
        if let Some((name, _)) = holder {
            return taken(
                address,
                format!("the host's own, on its interface `{name}`"),
            );
        }
    }
    Ok(())
}

/// Why an interface is not there: who has it, where that is known.
async fn absent(app: &App, nic: &Nic, name: &str) -> Error {
    let Some((id, device)) = traces::borrower(app, name).await else {
        return plugging(nic)(rlxc_network::Error::NoLink(name.to_owned()));
    };
    let row = app.db.read(move |tx| instances::find_by_id(tx, id)).await;
    match row {
        Ok(Some(row)) => Error::Conflict(format!(
            "interface `{name}` is lent to instance `{}` (device `{device}`)",
            row.name
        )),
        _ => Error::Conflict(format!("interface `{name}` is lent to an instance")),
    }
}

/// Takes a NIC away that [`place`] placed; fine if it is gone. `netns` is that of its instance.
pub(super) async fn displace(app: &App, nic: &Nic, netns: BorrowedFd<'_>) -> Result<()> {
    let _turn = app.networking.placing.lock().await;
    traces::undo(app, (nic.instance, &nic.device), Some(netns)).await?;
    // Rules of ports of bridges are taken away by those who know of DHCP and DNS.
    if matches!(nic.attachment, Attachment::P2p | Attachment::Routed(_)) {
        rules::unguard(app, nic).await?;
    }
    Ok(())
}

/// Sends subnets to the bridge of a NIC: they have to go with the NIC, for the bridge does not.
pub(super) async fn route(app: &App, nic: &Nic) -> Result<()> {
    if nic.routes.is_empty() {
        return Ok(());
    }
    let (link, nets) = (nic.bridge.clone(), nic.routes.clone());
    let failed = |error| Error::failed(format!("add the routes of device `{}`", nic.device), error);
    note(app, nic, &[Trace::Routes { link, nets }]).await?;
    let added = app
        .networking
        .links
        .add_routes(&nic.bridge, &nic.routes)
        .await;
    if added.is_err() {
        traces::undo(app, (nic.instance, &nic.device), None).await?;
    }
    added.map_err(failed)
}
