//! What NICs and proxies leave on the host that does not die with the namespace of their instance: interfaces that are
//! lent, routes, addresses that the host answers for, interfaces of VLANs, sockets.
//!
//! It is written down before it is done, in the instance's run directory, which dies with the machine as all this does.
//! So it is undone whoever is killed: when the instance ends, before it starts anew, at the latest by the reconciler.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use rlxc_network::Lent;
use rlxc_network::links::vlan_name;
use rlxc_sys::chain::chain;
use rlxc_sys::file::{self, Durability};
use serde::{Deserialize, Serialize};

use super::proxy;
use crate::context::{App, blocking};
use crate::error::{Error, Result};
use crate::unix_device::infiniband::Adapter;

/// One thing that has to be undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trace {
    /// The interface of a VLAN, made for this NIC or another.
    Vlan {
        /// The interface that it is on.
        parent: String,
        /// The VLAN.
        id: u16,
    },
    /// An interface of the host.
    Lent(Lent),
    /// A link that was made inside: it dies with the instance, but not with the device.
    Inside {
        /// Its name, as far as the guest left it.
        name: String,
        /// Its index, once it is there.
        index: Option<u32>,
    },
    /// A veth pair that stands alone, by its end on the host: it dies with the instance, but somewhat later, and its routes
    /// with it.
    Pair(String),
    /// Subnets that the host sends to a link.
    Routes {
        /// The link.
        link: String,
        /// The subnets.
        nets: Vec<IpNet>,
    },
    /// Addresses that the host answers for.
    Answers {
        /// Where.
        parent: String,
        /// The addresses.
        addresses: Vec<IpAddr>,
    },
    /// The RDMA adapter of an interface that is lent: its nodes are the instance's, as long as that runs.
    Adapter(Adapter),
    /// The unix socket that a proxy listens on.
    Socket(PathBuf),
}

const PREFIX: &str = "nic-";
const SUFFIX: &str = ".json";

fn path(app: &App, instance: i64, device: &str) -> PathBuf {
    let name = format!("{PREFIX}{device}{SUFFIX}");
    app.places.instance_run(instance).join(name)
}

/// The file that keeps the namespace of an instance while anything is lent to it.
pub fn pin(app: &App, instance: i64) -> PathBuf {
    app.places.instance_run(instance).join("netns")
}

/// Writes down what is about to be done for a device.
pub async fn note(app: &App, (instance, device): (i64, &str), traces: &[Trace]) -> Result<()> {
    let path = path(app, instance, device);
    let text = serde_json::to_vec(traces).map_err(Error::internal)?;
    let written =
        blocking(move || file::write_atomic(&path, &text, 0o600, Durability::Volatile)).await;
    written.map_err(|error| Error::failed(format!("write down device `{device}`"), error))
}

/// What was done for a device; nothing if nothing was.
pub async fn read(app: &App, instance: i64, device: &str) -> Vec<Trace> {
    let path = path(app, instance, device);
    blocking(move || read_file(&path)).await
}

fn read_file(path: &Path) -> Vec<Trace> {
    // Written by rename: it is whole, or not there.
    let text = std::fs::read(path).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Undoes what was done for a device. `netns` is that of its instance, if it runs.
pub async fn undo(
    app: &App,
    (instance, device): (i64, &str),
    netns: Option<BorrowedFd<'_>>,
) -> Result<()> {
    let traces = read(app, instance, device).await;
    if traces.is_empty() {
        return Ok(());
    }
    let failed = |error| Error::failed(format!("undo device `{device}`"), error);
    let links = &app.networking.links;
    for trace in traces.iter().rev() {
        match trace {
            Trace::Vlan { parent, id } => {
                let name = vlan_name(parent, *id);
                if !is_used_elsewhere(app, (instance, device), trace).await {
                    links.detach_nic(&name).await.map_err(failed)?;
                }
            }
            Trace::Lent(lent) => {
                let pin = pin(app, instance);
                links.take_back(lent, &pin).await.map_err(failed)?;
            }
            Trace::Inside { name, index } => {
                if let Some(netns) = netns {
                    let detached = links.detach_inside((name, *index), netns).await;
                    detached.map_err(failed)?;
                }
            }
            Trace::Pair(name) => links.detach_nic(name).await.map_err(failed)?,
            Trace::Routes { link, nets } => {
                links.remove_routes(link, nets).await.map_err(failed)?;
            }
            Trace::Answers { parent, addresses } => {
                let stopped = links.stop_answering(parent, addresses).await;
                stopped.map_err(failed)?;
            }
            // Nodes die with the instance.
            Trace::Adapter(_) => {}
            Trace::Socket(path) => proxy::undo_listening(app, (instance, device), path).await?,
        }
    }
    let path = path(app, instance, device);
    let removed = blocking(move || file::remove(&path)).await;
    match removed {
        Err(error) if !error.is_not_found() => {
            return Err(Error::failed(format!("forget device `{device}`"), error));
        }
        _ => {}
    }
    unpin(app, instance).await
}

/// The namespace may go when nothing is lent any more.
async fn unpin(app: &App, instance: i64) -> Result<()> {
    for device in devices(app, instance).await {
        let traces = read(app, instance, &device).await;
        if traces.iter().any(|trace| matches!(trace, Trace::Lent(_))) {
            return Ok(());
        }
    }
    let unpinned = app.networking.links.unpin(&pin(app, instance)).await;
    unpinned.map_err(|error| Error::failed("let a network namespace go", error))
}

/// Undoes what was done for all devices of an instance that does not run. `netns` is the one that it had, where somebody
/// still keeps it: what is in there may hold others up.
pub async fn undo_all(app: &App, instance: i64, netns: Option<BorrowedFd<'_>>) -> Result<()> {
    let mut result = Ok(());
    for device in devices(app, instance).await {
        if let Err(error) = undo(app, (instance, &device), netns).await {
            tracing::warn!(instance, device, error = %chain(&error), "something of a NIC stays");
            result = Err(error);
        }
    }
    result
}

/// Looks for what instances left that ended while nobody was there to undo it.
pub async fn sweep(app: &App) -> Result<()> {
    let mut result = Ok(());
    for instance in instances(app).await {
        let status = app.instances.status(instance);
        // One that is being started or stopped is looked at the next time.
        if status.running.is_none() && status.code == status.state.status() {
            result = undo_all(app, instance, None).await.and(result);
        }
    }
    result
}

/// Who has lent an interface of the host: instance and device.
pub async fn borrower(app: &App, name: &str) -> Option<(i64, String)> {
    let is_it = |trace: &Trace| matches!(trace, Trace::Lent(lent) if lent.name == name);
    find(app, is_it).await
}

/// The RDMA adapter whose interface is lent to a device; nothing if none is.
pub async fn adapter(app: &App, instance: i64, device: &str) -> Option<Adapter> {
    let traces = read(app, instance, device).await;
    traces.into_iter().find_map(|trace| match trace {
        Trace::Adapter(adapter) => Some(adapter),
        _ => None,
    })
}

async fn is_used_elsewhere(app: &App, own: (i64, &str), wanted: &Trace) -> bool {
    for instance in instances(app).await {
        for device in devices(app, instance).await {
            let is_other = (instance, device.as_str()) != own;
            if is_other && read(app, instance, &device).await.contains(wanted) {
                return true;
            }
        }
    }
    false
}

async fn find(app: &App, is_it: impl Fn(&Trace) -> bool) -> Option<(i64, String)> {
    for instance in instances(app).await {
        for device in devices(app, instance).await {
            if read(app, instance, &device).await.iter().any(&is_it) {
                return Some((instance, device));
            }
        }
    }
    None
}

/// The devices of an instance of which something is written down.
async fn devices(app: &App, instance: i64) -> Vec<String> {
    let names = names(app.places.instance_run(instance)).await;
    names
        .iter()
        .filter_map(|name| Some(name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.to_owned()))
        .collect()
}

async fn instances(app: &App) -> Vec<i64> {
    let names = names(app.places.run().join("instances")).await;
    names.iter().filter_map(|name| name.parse().ok()).collect()
}

async fn names(directory: PathBuf) -> Vec<String> {
    blocking(move || {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    })
    .await
}
