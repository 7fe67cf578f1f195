//! NICs of a running instance: plugged in, pulled out, given other addresses.

use std::os::fd::AsFd as _;

use super::Target;
use crate::app::network;
use crate::context::App;
use crate::error::{Error, Result};
use crate::model::{Config, Instance};
use crate::plan::attachment::Attachment;
use crate::plan::devices::{Change, Device};
use crate::plan::nic::{Nic, plan_nic, random_hwaddr};

/// Refuses what can't be: a network that is not there, a key that makes no sense.
pub(super) async fn prepare(app: &App, instance: &Instance, change: &mut Change) -> Result<()> {
    if let Change::Remove(_) = change {
        return Ok(());
    }
    let nic = plan(instance.id, &instance.name, change.device())?;
    let settled = network::settle_nics(app, &instance.project, vec![nic]).await?;
    match change {
        Change::Add(device) => note(app, instance, &settled, device).await,
        Change::Update { after, .. } => note_address(app, instance, after).await,
        Change::Remove(_) => Ok(()),
    }
}

/// Chooses the address and the name of the host's end, so that they are in the journal before there is anything.
async fn note(app: &App, instance: &Instance, settled: &[Nic], device: &mut Device) -> Result<()> {
    if !device.keys.contains_key("hwaddr") && !device.notes.contains_key("hwaddr") {
        let hwaddr = random_hwaddr(app.clock.uuid());
        device.notes.insert("hwaddr".to_owned(), hwaddr);
    }
    for nic in settled {
        match &nic.attachment {
            Attachment::Macvlan { .. } => return Ok(()),
            Attachment::Physical(parent) => {
                let name = parent.interface();
                device.notes.insert("host_name".to_owned(), name);
                return Ok(());
            }
            _ => {}
        }
    }
    let wanted = plan(instance.id, &instance.name, device)?;
    // One that goes before it comes again has its name free by then.
    if device.notes.get("host_name") != Some(&wanted.host_name) {
        let host_name = network::free_host_name(app, &wanted).await?;
        device.notes.insert("host_name".to_owned(), host_name);
    }
    note_address(app, instance, device).await
}

/// A NIC that may send from its own address only needs one.
async fn note_address(app: &App, instance: &Instance, device: &mut Device) -> Result<()> {
    let nic = plan(instance.id, &instance.name, device)?;
    if let Some(address) = network::choose_address(app, &nic).await? {
        device.notes.insert("ipv4.address".to_owned(), address);
    }
    Ok(())
}

/// Carries out a change.
pub(super) async fn apply(target: &Target<'_>, change: &Change) -> Result<()> {
    match change {
        Change::Add(device) => {
            let nic = known(target, device)?;
            let netns = target.running.netns().as_fd();
            network::plug(target.app, target.name, &nic, netns).await
        }
        Change::Remove(device) => {
            let nic = known(target, device)?;
            network::unplug(target.app, &nic, target.running.netns().as_fd()).await
        }
        Change::Update { after, .. } => {
            let nic = known(target, after)?;
            network::readdress(target.app, target.name, &nic).await?;
            network::rules::guard(target.app, &nic).await
        }
    }
}

/// A NIC that has its name on the host already.
fn known(target: &Target<'_>, device: &Device) -> Result<Nic> {
    let mut nic = plan(target.id, target.name, device)?;
    if let Some(host_name) = device.notes.get("host_name") {
        nic.host_name.clone_from(host_name);
    }
    Ok(nic)
}

pub(super) fn plan(id: i64, name: &str, device: &Device) -> Result<Nic> {
    let volatile: Config = device
        .notes
        .iter()
        .map(|(key, value)| (format!("volatile.{}.{key}", device.name), value.clone()))
        .collect();
    plan_nic(id, name, &volatile, &device.name, &device.keys).map_err(Error::Invalid)
}
