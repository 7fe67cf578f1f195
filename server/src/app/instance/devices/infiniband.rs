//! Interfaces of RDMA adapters in a running instance: the interface, as a NIC that is lent, and the nodes of its adapter.

use std::os::fd::AsFd as _;

use rlxc_container::spec::DeviceSpec;

use super::{Target, nic, unix};
use crate::app::network;
use crate::context::{App, blocking};
use crate::error::Result;
use crate::model::Instance;
use crate::plan::attachment::Attachment;
use crate::plan::devices::Change;
use crate::unix_device::{Host, infiniband};

/// Notes the interface. Whether it can be had is known when those that go have gone: it may be lent to this very instance.
pub(super) fn prepare(instance: &Instance, change: &mut Change) -> Result<()> {
    if let Change::Add(device) = change {
        let nic = nic::plan(instance.id, &instance.name, device)?;
        if let Attachment::Infiniband(parent) = nic.attachment {
            let name = parent.interface();
            device.notes.insert("host_name".to_owned(), name);
        }
    }
    Ok(())
}

/// Carries out a change. Nodes go before the interface does, and come after it.
pub(super) async fn apply(target: &Target<'_>, change: &Change) -> Result<()> {
    let device = change.device();
    let nic = nic::plan(target.id, target.name, device)?;
    let netns = target.running.netns().as_fd();
    if let Change::Remove(_) = change {
        unix::set(target, &device.name, Vec::new()).await?;
        return network::unplug(target.app, &nic, netns).await;
    }
    network::plug(target.app, target.name, &nic, netns).await?;
    let nodes = nodes(target.app, target.id, &device.name).await;
    unix::set(target, &device.name, nodes).await
}

/// The nodes of a running instance's device, as they are now: those of the adapter whose interface is lent to it.
pub(super) async fn nodes(app: &App, instance: i64, device: &str) -> Vec<DeviceSpec> {
    let Some(adapter) = network::traces::adapter(app, instance, device).await else {
        return Vec::new();
    };
    let device = device.to_owned();
    blocking(move || infiniband::nodes(&Host::default(), &device, &adapter)).await
}
