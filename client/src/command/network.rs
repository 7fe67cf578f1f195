//! `network`.

use std::fmt::Write as _;

use anyhow::Result;
use rlxc_api::{
    Network, NetworkAllocation, NetworkLease, NetworkPost, NetworkPut, NetworkState, NetworksPost,
};

use super::device::{self, Owner};
use super::{keys, network_acl, network_forward, network_zone, object};
use crate::cli::{NetworkAttachArgs, NetworkCreateArgs, NetworkDetachArgs, NetworkVerb};
use crate::context::Context;
use crate::document;
use crate::render::{self, Table};

fn path(name: &str) -> String {
    object("networks", name)
}

pub(crate) async fn run(context: &Context, verb: NetworkVerb) -> Result<()> {
    match verb {
        NetworkVerb::Attach(args) => attach(context, Owner::Instance, args).await,
        NetworkVerb::AttachProfile(args) => attach(context, Owner::Profile, args).await,
        NetworkVerb::Detach(args) => detach(context, Owner::Instance, args).await,
        NetworkVerb::DetachProfile(args) => detach(context, Owner::Profile, args).await,
        NetworkVerb::Acl(verb) => network_acl::run(context, verb).await,
        NetworkVerb::Forward(verb) => network_forward::run(context, verb).await,
        NetworkVerb::Zone(verb) => network_zone::run(context, verb).await,
        NetworkVerb::Get(args) => keys::get(context, &path(&args.name), "config", &args.key).await,
        NetworkVerb::Set(args) => {
            keys::set(context, &path(&args.name), keys::pairs(&args.words)?).await
        }
        NetworkVerb::Unset(args) => keys::unset(context, &path(&args.name), &args.key).await,
        NetworkVerb::Edit(args) => {
            keys::edit::<NetworkPut>(context, &path(&args.name), "A network.").await
        }
        own => run_own(context, own).await,
    }
}

/// Verbs about the network itself.
async fn run_own(context: &Context, verb: NetworkVerb) -> Result<()> {
    match verb {
        NetworkVerb::List(args) => {
            context
                .list_of_projects("/1.0/networks", &args, table, |item| &item.project)
                .await
        }
        NetworkVerb::Show(args) => {
            context.yaml(&context.client.get::<Network>(&path(&args.name)).await?)
        }
        NetworkVerb::Info(args) => {
            let state: NetworkState = context
                .client
                .get(&format!("{}/state", path(&args.name)))
                .await?;
            context.printer.print(&info(&args.name, &state))
        }
        NetworkVerb::ListLeases(args) => {
            let leases: Vec<NetworkLease> = context
                .client
                .get(&format!("{}/leases", path(&args.name)))
                .await?;
            context.list(args.format.format, &leases, || leases_table(&leases))
        }
        NetworkVerb::Create(args) => create(context, args).await,
        NetworkVerb::Delete(args) => {
            for name in &args.names {
                let reply = context.client.delete(&path(name)).await?;
                context.finish(reply, &format!("Deleting {name}")).await?;
            }
            Ok(())
        }
        NetworkVerb::Rename(args) => {
            context
                .client
                .post(
                    &path(&args.name),
                    &NetworkPost {
                        name: args.new_name,
                    },
                )
                .await?;
            Ok(())
        }
        NetworkVerb::ListAllocations(format) => {
            let all: Vec<NetworkAllocation> =
                context.client.get("/1.0/network-allocations").await?;
            context.list(format.format, &all, || allocations_table(&all))
        }
        // What `run` has done.
        _ => Ok(()),
    }
}

async fn create(context: &Context, args: NetworkCreateArgs) -> Result<()> {
    let given = document::given::<NetworkPut, Network>(&context.printer)?;
    let mut put = given.unwrap_or_default();
    put.config.extend(keys::map(args.keys));
    if let Some(description) = args.description {
        put.description = description;
    }
    let body = NetworksPost {
        put,
        name: args.name,
        kind: args.kind,
    };
    let reply = context.client.post("/1.0/networks", &body).await?;
    context
        .finish(reply, &format!("Creating {}", body.name))
        .await?;
    Ok(())
}

async fn attach(context: &Context, owner: Owner, args: NetworkAttachArgs) -> Result<()> {
    let network: Network = context.client.get(&path(&args.network)).await?;
    let mut device = std::collections::BTreeMap::from([("type".to_owned(), "nic".to_owned())]);
    if network.managed {
        device.insert("network".to_owned(), args.network.clone());
    } else {
        let kind = if network.kind == "bridge" {
            "bridged"
        } else {
            "macvlan"
        };
        device.insert("nictype".to_owned(), kind.to_owned());
        device.insert("parent".to_owned(), args.network.clone());
    }
    let name = args.device.unwrap_or(args.network);
    let interface = args.interface.unwrap_or_else(|| name.clone());
    device.insert("name".to_owned(), interface);
    device::add(context, owner, &args.owner, name, device).await
}

async fn detach(context: &Context, owner: Owner, args: NetworkDetachArgs) -> Result<()> {
    let plugged = |device: &std::collections::BTreeMap<String, String>| {
        let to = |key: &str| device.get(key) == Some(&args.network);
        device.get("type").is_some_and(|kind| kind == "nic") && (to("network") || to("parent"))
    };
    device::remove_where(context, owner, &args.owner, args.device.as_deref(), plugged).await
}

fn allocations_table(all: &[NetworkAllocation]) -> Table {
    let row = |allocation: &NetworkAllocation| {
        vec![
            allocation.used_by.clone(),
            allocation.addresses.clone(),
            allocation.kind.clone(),
            render::yes(allocation.nat),
            allocation.hwaddr.clone(),
        ]
    };
    Table::new(
        &["USED BY", "ADDRESS", "TYPE", "NAT", "MAC ADDRESS"],
        all.iter().map(row).collect(),
    )
}

fn table(networks: &[Network]) -> Table {
    let rows = networks
        .iter()
        .map(|network| {
            let key = |key: &str| network.put.config.get(key).cloned().unwrap_or_default();
            vec![
                network.name.clone(),
                network.kind.clone(),
                render::yes(network.managed),
                key("ipv4.address"),
                key("ipv6.address"),
                network.put.description.clone(),
                network.used_by.len().to_string(),
                network.status.to_uppercase(),
            ]
        })
        .collect();
    Table::new(
        &[
            "NAME",
            "TYPE",
            "MANAGED",
            "IPV4",
            "IPV6",
            "DESCRIPTION",
            "USED BY",
            "STATE",
        ],
        rows,
    )
}

fn leases_table(leases: &[NetworkLease]) -> Table {
    let rows = leases
        .iter()
        .map(|lease| {
            vec![
                lease.hostname.clone(),
                lease.hwaddr.to_uppercase(),
                lease.address.clone(),
                lease.kind.to_uppercase(),
            ]
        })
        .collect();
    Table::new(&["HOSTNAME", "MAC ADDRESS", "IP ADDRESS", "TYPE"], rows)
}

fn info(name: &str, state: &NetworkState) -> String {
    let mut text = format!(
        "Name: {name}\nState: {}\nType: {}\nMAC address: {}\nMTU: {}\n",
        state.state, state.kind, state.hwaddr, state.mtu
    );
    for address in &state.addresses {
        // Writing to a String cannot fail.
        writeln!(
            text,
            "Address: {}/{} ({})",
            address.address, address.netmask, address.scope
        )
        .ok();
    }
    if let Some(counters) = &state.counters {
        let bytes = |count: i64| match render::bytes(count) {
            none if none.is_empty() => "0B".to_owned(),
            some => some,
        };
        writeln!(
            text,
            "Received: {} ({} packets)",
            bytes(counters.bytes_received),
            counters.packets_received
        )
        .ok();
        writeln!(
            text,
            "Sent: {} ({} packets)",
            bytes(counters.bytes_sent),
            counters.packets_sent
        )
        .ok();
    }
    if let Some(bridge) = &state.bridge {
        writeln!(text, "Ports: {}", bridge.upper_devices.join(", ")).ok();
    }
    text
}
