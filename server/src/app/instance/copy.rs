//! Copies on this server: of an instance or of one of its snapshots.

use std::sync::Arc;

use rlxc_api::{InstancePut, InstanceSource};
use rlxc_storage::Source;

use super::find;
use crate::context::App;
use crate::error::{Error, Result};
use crate::instance::Permit;
use crate::instance::state::{State, Verb};
use crate::model::{Instance, Snapshot};
use crate::saga::{instance_volume, snapshot_id};

/// What is copied. The source can't change while this is held.
#[derive(Debug)]
pub(super) struct CopySource {
    instance: Instance,
    snapshot: Option<Snapshot>,
    permit: Permit,
}

/// Finds the source and holds it.
pub(super) async fn resolve(
    app: &Arc<App>,
    project: &str,
    source: &InstanceSource,
    operation: &str,
) -> Result<CopySource> {
    let project = if source.project.is_empty() {
        project
    } else {
        &source.project
    };
    let (name, snapshot) = match source.source.split_once('/') {
        Some((name, snapshot)) => (name, Some(snapshot)),
        None => (source.source.as_str(), None),
    };
    let instance = find(app, project, name).await?;
    let handle = super::handle(app, &instance)?;
    let permit = handle.begin(Verb::Copy, name, operation).await?;
    let snapshot = snapshot
        .map(|wanted| {
            let found = instance
                .snapshots
                .iter()
                .find(|snapshot| snapshot.name == wanted)
                .cloned();
            found.ok_or_else(|| Error::not_found("snapshot", format!("{name}/{wanted}")))
        })
        .transpose()?;
    if snapshot.is_none() && permit.before().state != State::Stopped {
        return Err(Error::Invalid(format!(
            "instance `{name}` is running: copy a snapshot of it, or stop it first"
        )));
    }
    if !source.instance_only
        && !source.container_only
        && snapshot.is_none()
        && !instance.snapshots.is_empty()
    {
        return Err(Error::Invalid(format!(
            "instance `{name}` has snapshots, which are not copied: pass `--instance-only`"
        )));
    }
    Ok(CopySource {
        instance,
        snapshot,
        permit,
    })
}

impl CopySource {
    /// As storage drivers take it.
    pub(super) fn source(&self) -> Source {
        debug_assert!(self.permit.running().is_none() || self.snapshot.is_some());
        Source::Copy {
            from: instance_volume(self.instance.id),
            snapshot: self
                .snapshot
                .as_ref()
                .map(|snapshot| snapshot_id(snapshot.id)),
        }
    }

    /// What the copy takes over from the source, under what the request says.
    pub(super) fn inherit(&self, target: &mut Instance, put: &InstancePut) {
        let (config, devices, profiles) = match &self.snapshot {
            Some(snapshot) => (&snapshot.config, &snapshot.devices, &snapshot.profiles),
            None => (
                &self.instance.config,
                &self.instance.devices,
                &self.instance.profiles,
            ),
        };
        let kept = |key: &str| !key.starts_with("volatile.") || key == "volatile.base_image";
        let mut merged: crate::model::Config = config
            .iter()
            .filter(|(key, _)| kept(key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        merged.extend(target.config.clone());
        target.config = merged;
        let mut all = devices.clone();
        all.extend(target.devices.clone());
        target.devices = all;
        if put.profiles.is_none() {
            target.profiles.clone_from(profiles);
        }
        if target.description.is_empty() {
            target.description.clone_from(&self.instance.description);
        }
        target.architecture.clone_from(&self.instance.architecture);
    }
}
