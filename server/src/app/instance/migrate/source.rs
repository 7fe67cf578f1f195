//! The side that an instance goes from.

use std::collections::BTreeMap;
use std::sync::Arc;

use rlxc_api::{InstancePost, InstanceSource, Operation, Requestor};
use rlxc_storage::{Driver, SnapshotId, VolumeRef};
use rlxc_sys::rootfs::RootSource;

use super::{Connection, Door, snapshot_row};
use crate::app::instance::copy::{self, CopySource};
use crate::context::{App, blocking, instance_url};
use crate::error::{Error, Result};
use crate::migration::wire::RSYNC;
use crate::migration::{
    Control, Features, Header, MigrationError, Peer, Scratch, Target, hear, tell, verdict,
};
use crate::model::Snapshot;
use crate::operation::{Class, OperationSpec};
use crate::saga::{Saga, instance_volume, snapshot_id};

/// Begins to send an instance, or `instance/snapshot`, to another server.
pub async fn send(
    app: &Arc<App>,
    who: &Requestor,
    (project, name): (&str, &str),
    post: InstancePost,
) -> Result<Operation> {
    let source = InstanceSource {
        source: name.to_owned(),
        instance_only: post.instance_only,
        container_only: post.container_only,
        ..InstanceSource::default()
    };
    let id = app.operations.next_id();
    let source = copy::resolve(app, project, &source, &id).await?;
    if post.live && source.runs() {
        return Err(Error::Invalid(format!(
            "instance `{name}` runs, and what runs can't be moved with its memory: stop it, or copy it with `--stateless`"
        )));
    }
    let connection = match post.target {
        Some(target) => Connection::Dial(parse_target(target)?),
        None => Connection::expect(&*app.clock),
    };
    let url = instance_url(project, &source.instance.name);
    let mut spec = OperationSpec::task("Migrating instance", project, "instances", &url)
        .requested_by(who)
        .cancellable();
    if matches!(connection, Connection::Expect(_)) {
        spec.class = Class::Websocket;
    }
    spec.metadata = connection.metadata();
    let app2 = Arc::clone(app);
    Ok(app.operations.spawn_as(id, spec, move |operation| {
        let door = connection.prepare(&operation);
        async move {
            let mut saga = Saga::new(&app2, operation.id());
            let cancelled = operation.cancellation().clone();
            let sent = tokio::select! {
                sent = run(&app2, &mut saga, &source, door) => sent,
                () = cancelled.cancelled() => Err(Error::Cancelled),
            };
            saga.settle(sent).await?;
            Ok(BTreeMap::new())
        }
    }))
}

fn parse_target(target: serde_json::Value) -> Result<Target> {
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Wire {
        certificate: String,
        operation: String,
        secrets: BTreeMap<String, String>,
    }
    let wire: Wire = serde_json::from_value(target)
        .map_err(|error| Error::Invalid(format!("`target` is not what it should be: {error}")))?;
    Ok(Target {
        url: wire.operation,
        certificate: wire.certificate,
        secrets: wire.secrets,
    })
}

async fn run(app: &App, saga: &mut Saga<'_>, source: &CopySource, door: Door) -> Result<()> {
    let mut peer = door.open().await?;
    let main = source.now(app, saga, 0).await?;
    let failed = |error| Error::failed(format!("send instance `{}`", source.instance.name), error);
    let sent = carry(app, source, main, &mut peer).await;
    if let Err(error) = &sent
        && !matches!(error, MigrationError::Told(_))
    {
        let control = Control {
            success: false,
            message: Some(rlxc_sys::chain::chain(error).to_string()),
        };
        // Who is gone needs no word.
        drop(tell(&mut peer.control, &control).await);
    }
    peer.control.close().await;
    peer.files.close().await;
    sent.map_err(failed)
}

async fn carry(
    app: &App,
    source: &CopySource,
    main: Option<SnapshotId>,
    peer: &mut Peer,
) -> Result<(), MigrationError> {
    let instance = &source.instance;
    let offer = Header {
        fs: RSYNC,
        snapshot_names: source.along.iter().map(|row| row.name.clone()).collect(),
        snapshots: source
            .along
            .iter()
            .map(|row| snapshot_row::render(instance, row))
            .collect(),
        predump: Some(false),
        rsync_features: Some(Features::all()),
        ..Header::default()
    };
    tell(&mut peer.control, &offer).await?;
    let answer: Header = hear(&mut peer.control).await?;
    if answer.fs != RSYNC {
        return Err(MigrationError::NoRsync);
    }
    let features = offer.common(&answer)?;
    let wanted =
        |row: &&Snapshot| answer.refresh != Some(true) || answer.snapshot_names.contains(&row.name);
    let driver = app
        .pools
        .get(&instance.pool)
        .map_err(|error| MigrationError::Place(error.into()))?;
    let volume = instance_volume(instance.id);
    let scratch = place(app, &driver, volume).await?;
    let snapshots = source.along.iter().filter(wanted);
    let roots = snapshots.map(|row| Some(snapshot_id(row.id)));
    for snapshot in roots.chain([main]) {
        let root = root(&driver, volume, snapshot).await?;
        crate::migration::send(&mut peer.files, (&scratch, root), features).await?;
    }
    verdict(&mut peer.control).await
}

/// A directory with what belongs to the volume beside its root.
async fn place(
    app: &App,
    driver: &Arc<dyn Driver>,
    volume: VolumeRef,
) -> Result<Scratch, MigrationError> {
    let (driver, parent) = (Arc::clone(driver), app.places.scratch());
    blocking(move || {
        let scratch = Scratch::create(&parent)?;
        let copied = driver
            .volume_dir(volume)
            .map_err(crate::error::Cause::from)
            .and_then(|dir| Ok(rlxc_storage::transfer::copy_metadata(&dir, scratch.path())?));
        copied.map(|()| scratch).map_err(MigrationError::Place)
    })
    .await
}

async fn root(
    driver: &Arc<dyn Driver>,
    volume: VolumeRef,
    snapshot: Option<SnapshotId>,
) -> Result<RootSource, MigrationError> {
    let driver = Arc::clone(driver);
    blocking(move || match snapshot {
        Some(snapshot) => driver.snapshot_root(volume, snapshot),
        None => driver.root(volume),
    })
    .await
    .map_err(|error| MigrationError::Place(error.into()))
}
