//! Devices of a running instance: what a new configuration changes of them, at once, all of it or nothing.
//!
//! ```text
//! prepare: diff, refusals, notes ─▶ LiveChange ─▶ journal ─▶ carry_out ─▶ rows
//!                                                     └──── undo: the inverse of each change, the last first
//! ```
//! Each type of device has a file here with two functions: `prepare` refuses, by name and before anything is done, what a
//! running instance can't take, and notes what the daemon has to remember of a new device; `apply` carries out a
//! change. Doing that twice is fine, and the inverse of a change takes away what its `apply` left half done. Limits are one
//! change more, the last.

mod disk;
mod infiniband;
mod limits;
mod mounts;
mod nic;
mod proxy;
mod tpm;
pub(super) mod unix;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use limits::LimitChange;
use mounts::MountsChange;

use crate::app::network;
use crate::context::App;
use crate::error::{Error, Result};
use crate::model::{Config, Instance};
use crate::plan::devices::{Change, diff};
use crate::plan::expand::Expanded;
use crate::runtime::{Attached, Running};
use crate::saga::{JournalEntry, Saga};

/// Changes of the devices of one running instance, accepted but not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveChange {
    /// The instance's id.
    pub instance: i64,
    /// Its name, as its networks know it.
    pub name: String,
    /// In the order in which they are carried out.
    pub changes: Vec<Change>,
    /// What it may use, which changes last.
    #[serde(default)]
    pub limits: Option<Box<LimitChange>>,
    /// What it may mount.
    #[serde(default)]
    pub mounts: Option<MountsChange>,
    /// What of its limits this host does not honour, if a key of theirs changes.
    #[serde(skip)]
    pub unmet: Option<Vec<String>>,
}

/// A running instance while its devices change.
#[derive(Debug)]
struct Target<'a> {
    app: &'a App,
    id: i64,
    name: &'a str,
    running: Arc<dyn Running>,
}

/// Compares the devices; refuses what can't change while the instance runs. Changes nothing.
pub(super) async fn prepare(
    app: &App,
    instance: &Instance,
    before: &Expanded,
    after: &Expanded,
) -> Result<LiveChange> {
    let mut changes = diff(before, after);
    for change in &mut changes {
        match change.device().kind() {
            "nic" => nic::prepare(app, instance, change).await?,
            "disk" => disk::prepare(app, instance, change).await?,
            "infiniband" => infiniband::prepare(instance, change)?,
            "proxy" => proxy::prepare(app, instance, &after.devices, change)?,
            "tpm" => tpm::prepare(change).await?,
            kind if unix::is_one(kind) => unix::prepare(change).await?,
            _ => return Err(refused(instance, change)),
        }
    }
    let (limits, unmet) = limits::prepare(app, instance, before, after).await?;
    Ok(LiveChange {
        instance: instance.id,
        name: network::host_name(instance),
        changes,
        limits,
        mounts: mounts::prepare(before, after),
        unmet,
    })
}

/// Refuses what the kernel would refuse of accepted changes. Of several instances all are asked before the first changes.
pub(super) async fn check(
    app: &App,
    instance: &Instance,
    running: &dyn Running,
    live: &LiveChange,
) -> Result<()> {
    match &live.limits {
        Some(change) => limits::check(app, &instance.name, running, change).await,
        None => Ok(()),
    }
}

/// A change that a running instance can't take.
fn refused(instance: &Instance, change: &Change) -> Error {
    let device = change.device();
    Error::Invalid(format!(
        "device `{}` of type `{}` can't be {} instance `{}` while it runs: stop it first",
        device.name,
        device.kind(),
        change.text(),
        instance.name
    ))
}

impl LiveChange {
    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.limits.is_none() && self.mounts.is_none()
    }

    /// What is left to do once it holds: others make room on processors, and what is not honoured is told.
    pub(super) async fn settle(&self, app: &App, instance: &Instance) {
        let is_unix = |change: &Change| unix::is_one(change.device().kind());
        if self.changes.iter().any(is_unix) {
            // What is not there yet is waited for from now on.
            app.devices_changed.notify_one();
        }
        if self.limits.is_some() {
            super::pinning::settle(app).await;
        }
        if let Some(unmet) = &self.unmet {
            super::limits::tell(app, instance, unmet).await;
        }
    }

    /// What the daemon has to remember afterwards: keys of the instance, an empty value for one that goes.
    pub(super) fn notes(&self) -> Config {
        let mut notes = Config::new();
        for change in &self.changes {
            let device = change.device();
            let goes = matches!(change, Change::Remove(_));
            for (key, value) in &device.notes {
                let value = if goes { String::new() } else { value.clone() };
                notes.insert(format!("volatile.{}.{key}", device.name), value);
            }
        }
        notes
    }
}

/// Carries out changes under a saga, which undoes all of them if any fails.
pub(super) async fn carry_out(
    app: &App,
    saga: &mut Saga<'_>,
    running: &Arc<dyn Running>,
    live: &LiveChange,
) -> Result<()> {
    if live.is_empty() {
        return Ok(());
    }
    saga.intend(JournalEntry::Devices(live.clone())).await?;
    let target = Target {
        app,
        id: live.instance,
        name: &live.name,
        running: Arc::clone(running),
    };
    for change in &live.changes {
        apply(&target, change).await?;
    }
    if let Some(change) = &live.mounts {
        mounts::apply(&target, change).await?;
    }
    match &live.limits {
        Some(change) => limits::apply(&target, change).await,
        None => Ok(()),
    }
}

/// Undoes changes, whether or not they happened. Those of an instance that does not run any more went with it.
pub async fn undo(app: &App, live: &LiveChange) -> Result<()> {
    // Not its actor: the journal is unwound before there are any.
    let directory = app.places.instance_run(live.instance);
    let Ok(Attached::Running(running)) = app.runtime.attach(&directory).await else {
        return Ok(());
    };
    let target = Target {
        app,
        id: live.instance,
        name: &live.name,
        running,
    };
    if let Some(change) = &live.limits {
        limits::undo(&target, change).await?;
    }
    if let Some(change) = &live.mounts {
        mounts::undo(&target, change).await?;
    }
    for change in live.changes.iter().rev() {
        apply(&target, &change.inverse()).await?;
    }
    Ok(())
}

async fn apply(target: &Target<'_>, change: &Change) -> Result<()> {
    match change.device().kind() {
        "nic" => nic::apply(target, change).await,
        "disk" => disk::apply(target, change).await,
        "infiniband" => infiniband::apply(target, change).await,
        "proxy" => proxy::apply(target, change).await,
        "tpm" => tpm::apply(target, change).await,
        kind if unix::is_one(kind) => unix::apply(target, change).await,
        other => Err(Error::Invalid(format!(
            "devices of type `{other}` can't change while an instance runs"
        ))),
    }
}
