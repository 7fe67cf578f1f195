//! Copies on this server: of an instance, with its snapshots, or of one of them.

use std::sync::Arc;

use rlxc_api::{InstancePut, InstanceSource};
use rlxc_storage::SnapshotId;

use super::find;
use super::snapshot::{find_snapshot, hidden};
use crate::app::transfer::Transfer;
use crate::context::App;
use crate::error::Result;
use crate::instance::Permit;
use crate::instance::state::{State, Verb};
use crate::model::{Config, Instance, Snapshot};
use crate::operation::Handle;
use crate::saga::{Saga, snapshot_id};

/// What is copied. The source can't change while this is held.
#[derive(Debug)]
pub(super) struct CopySource {
    pub(super) instance: Instance,
    snapshot: Option<Snapshot>,
    /// Snapshots that come along, the oldest first.
    pub(super) along: Vec<Snapshot>,
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
    // What was read before the permit may have changed meanwhile.
    let instance = super::find_by_id(app, instance.id).await?;
    let snapshot = snapshot
        .map(|wanted| find_snapshot(&instance, wanted).cloned())
        .transpose()?;
    let by_itself = source.instance_only || source.container_only || snapshot.is_some();
    let along = if by_itself {
        Vec::new()
    } else {
        instance.snapshots.clone()
    };
    Ok(CopySource {
        instance,
        snapshot,
        along,
        permit,
    })
}

impl CopySource {
    /// Makes the root volume of the copy, whose row is there.
    pub(super) async fn fill(
        &self,
        app: &App,
        saga: &mut Saga<'_>,
        operation: &Handle,
        target: &Instance,
    ) -> Result<()> {
        let main = self.now(app, saga, target.id).await?;
        let pairs: Vec<_> = std::iter::zip(&self.along, &target.snapshots)
            .map(|(of, snapshot)| (snapshot_id(of.id), snapshot_id(snapshot.id)))
            .collect();
        let transfer = Transfer::of_instances(app, &self.instance, target)?;
        let what = format!(
            "copy instance `{}` to `{}` on storage pool `{}`",
            self.instance.name, target.name, target.pool
        );
        let create = move || transfer.create(main, &pairs);
        operation.blocking(what, create).await
    }

    /// Whether it is an instance that runs, and not a snapshot.
    pub(super) fn runs(&self) -> bool {
        self.snapshot.is_none() && self.permit.before().state != State::Stopped
    }

    /// The snapshot that is to be copied; none if it is the instance itself, which stays as it is.
    pub(super) async fn now(
        &self,
        app: &App,
        saga: &mut Saga<'_>,
        about: i64,
    ) -> Result<Option<SnapshotId>> {
        if self.snapshot.is_none() && !self.runs() {
            return Ok(None);
        }
        self.moment(app, saga, about).await.map(Some)
    }

    /// The snapshot that is to be copied: of an instance one that is taken for this, and goes with the operation.
    pub(super) async fn moment(
        &self,
        app: &App,
        saga: &mut Saga<'_>,
        about: i64,
    ) -> Result<SnapshotId> {
        match &self.snapshot {
            Some(snapshot) => Ok(snapshot_id(snapshot.id)),
            None => hidden(app, saga, (&self.instance, &self.permit), about).await,
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
        let mut merged = portable(config);
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
        target.snapshots = self.along.iter().map(portable_snapshot).collect();
    }
}

/// Keys that mean the same in a copy: not those that the daemon noted of the original.
pub(super) fn portable(config: &Config) -> Config {
    let kept = |key: &str| !key.starts_with("volatile.") || key == "volatile.base_image";
    config
        .iter()
        .filter(|(key, _)| kept(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// A snapshot as its copy has it; the row gets an id of its own.
pub(super) fn portable_snapshot(snapshot: &Snapshot) -> Snapshot {
    Snapshot {
        id: 0,
        config: portable(&snapshot.config),
        ..snapshot.clone()
    }
}
