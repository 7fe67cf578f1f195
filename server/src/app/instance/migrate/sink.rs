//! The side that an instance comes to.

use std::sync::Arc;

use rlxc_api::{InstancesPost, Operation, Requestor};
use rlxc_storage::{Driver, State, VolumeRef, transfer};

use super::{Connection, Door, snapshot_row};
use crate::app::instance::backup::{known_config, known_devices, on_pool};
use crate::app::instance::copy::{portable, portable_snapshot};
use crate::app::instance::create::{self, NewInstance, Origin, execute};
use crate::app::instance::{find, refresh};
use crate::context::{App, blocking, instance_url};
use crate::error::{Error, Result};
use crate::migration::{
    Control, Features, Header, MigrationError, Peer, Scratch, Target, hear, tell,
};
use crate::model::{Instance, Snapshot};
use crate::operation::{Class, Handle, OperationSpec};
use crate::saga::{Saga, instance_volume, snapshot_id};

/// An instance on its way to us: the other server has told what it is, and waits for the answer.
#[derive(Debug)]
pub(in crate::app::instance) struct Arrival {
    peer: Peer,
    features: Features,
    snapshots: Vec<Snapshot>,
    offer: Header,
}

/// Begins to make, or to refresh, an instance of what another server sends.
pub async fn receive(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    post: InstancesPost,
) -> Result<Operation> {
    if post.source.live {
        return Err(Error::Invalid(
            "what runs can't be moved with its memory: stop it, or copy it with `--stateless`"
                .to_owned(),
        ));
    }
    let existing = match (post.source.refresh, find(app, project, &post.name).await) {
        (true, Ok(existing)) => Some(existing),
        (_, Err(Error::NotFound { .. })) | (false, Ok(_)) => None,
        (_, Err(error)) => return Err(error),
    };
    let connection = match post.source.mode.as_str() {
        "" | "pull" => Connection::Dial(Target {
            url: post.source.operation.clone(),
            certificate: post.source.certificate.clone(),
            secrets: post.source.secrets.clone(),
        }),
        "push" | "relay" => Connection::expect(&*app.clock),
        other => {
            return Err(Error::Invalid(format!(
                "`{other}` is no mode of a migration: there are pull, push and relay"
            )));
        }
    };
    let new = match &existing {
        Some(_) => NewInstance {
            project: project.to_owned(),
            name: post.name.clone(),
            post,
        },
        None => create::parse_foreign(app, project, post).await?,
    };
    let url = instance_url(project, &new.name);
    let mut spec = OperationSpec::task("Receiving instance", project, "instances", &url)
        .requested_by(who)
        .cancellable();
    if matches!(connection, Connection::Expect(_)) {
        spec.class = Class::Websocket;
    }
    spec.metadata = connection.metadata();
    let (app2, who) = (Arc::clone(app), who.clone());
    Ok(app.operations.spawn(spec, move |operation| {
        let door = connection.prepare(&operation);
        async move {
            let cancelled = operation.cancellation().clone();
            let met = tokio::select! {
                met = Arrival::meet(&app2, door) => met?,
                () = cancelled.cancelled() => return Err(Error::Cancelled),
            };
            if let Some(existing) = existing {
                return update(&app2, &who, existing, met, &operation).await;
            }
            let origin = Origin::Arrival(Box::new(met));
            execute(&app2, &who, new, origin, &operation).await
        }
    }))
}

impl Arrival {
    async fn meet(app: &App, door: Door) -> Result<Self> {
        let mut peer = door.open().await?;
        let offer: Header = hear(&mut peer.control)
            .await
            .map_err(|error| Error::failed("receive an instance", error))?;
        let met = Self::understand(app, &offer);
        match met {
            Ok((features, snapshots)) => Ok(Self {
                peer,
                features,
                snapshots,
                offer,
            }),
            Err(error) => {
                say(&mut peer, Some(&error)).await;
                Err(error)
            }
        }
    }

    fn understand(app: &App, offer: &Header) -> Result<(Features, Vec<Snapshot>)> {
        let ours = Header {
            rsync_features: Some(Features::all()),
            ..Header::default()
        };
        let features = ours
            .common(offer)
            .map_err(|error| Error::failed("receive an instance", error))?;
        if !offer.idmap.is_empty() {
            return Err(Error::Unavailable(
                "the owners of the files are shifted on the other server, which is not understood here: export the \
                 instance there and import the file"
                    .to_owned(),
            ));
        }
        let now = app.now();
        let rows = offer.snapshots.iter().cloned();
        let mut snapshots = Vec::new();
        for row in rows.map(|row| snapshot_row::parse(row, &now)) {
            row.name.parse::<rlxc_api::name::SnapshotName>()?;
            snapshots.push(Snapshot {
                config: known_config(&row.name, portable(&row.config)),
                devices: known_devices(&row.name, row.devices),
                ..row
            });
        }
        Ok((features, snapshots))
    }

    /// Snapshots that come along.
    pub(in crate::app::instance) fn snapshots(&self) -> Vec<Snapshot> {
        self.snapshots.clone()
    }

    /// Tells what we take, and makes the volume of the row.
    pub(in crate::app::instance) async fn fill(
        &mut self,
        app: &App,
        target: &Instance,
        operation: &Handle,
    ) -> Result<()> {
        let driver = app.pools.get(&target.pool)?;
        let volume = instance_volume(target.id);
        let base = transfer::base(
            &*driver,
            target.config.get("volatile.base_image").map(String::as_str),
        );
        let made = Arc::clone(&driver);
        blocking(move || made.create_volume(volume, &base))
            .await
            .map_err(|error| failed(target, error))?;
        let rows = target.snapshots.clone();
        self.answer(None)
            .await
            .map_err(|error| failed(target, error))?;
        self.take(app, (&driver, volume), &rows, operation)
            .await
            .map_err(|error| cancelled(operation).unwrap_or_else(|| failed(target, error)))
    }

    /// Says which snapshots we want; all of them unless it is a refresh.
    async fn answer(&mut self, wanted: Option<&[Snapshot]>) -> Result<(), MigrationError> {
        let is_wanted =
            |name: &str| wanted.is_none_or(|wanted| wanted.iter().any(|row| row.name == name));
        let offer = &self.offer;
        let answer = Header {
            snapshot_names: offer
                .snapshot_names
                .iter()
                .filter(|name| is_wanted(name))
                .cloned()
                .collect(),
            snapshots: offer
                .snapshots
                .iter()
                .filter(|row| is_wanted(&row.name))
                .cloned()
                .collect(),
            predump: Some(false),
            rsync_features: Some(self.features),
            refresh: Some(wanted.is_some()),
            ..Header::default()
        };
        tell(&mut self.peer.control, &answer).await
    }

    /// Takes snapshots, whose rows are there, and then the instance itself.
    async fn take(
        &mut self,
        app: &App,
        (driver, volume): (&Arc<dyn Driver>, VolumeRef),
        rows: &[Snapshot],
        operation: &Handle,
    ) -> Result<(), MigrationError> {
        let parent = app.places.scratch();
        let scratch = blocking(move || Scratch::create(&parent)).await?;
        let place = |error: rlxc_storage::Error| MigrationError::Place(error.into());
        for row in rows.iter().map(Some).chain([None]) {
            let made = Arc::clone(driver);
            let root = blocking(move || made.root(volume)).await.map_err(place)?;
            let into = (&scratch, root);
            let received = crate::migration::receive(&mut self.peer.files, into, self.features);
            tokio::select! {
                received = received => received?,
                () = operation.cancellation().cancelled() => return Err(MigrationError::Cancelled),
            }
            if let Some(row) = row {
                let (driver, id) = (Arc::clone(driver), snapshot_id(row.id));
                let taken = move || {
                    driver.create_snapshot(volume, id, State::Stopped)?;
                    driver.settle_snapshot(volume, id)
                };
                blocking(taken).await.map_err(place)?;
            }
        }
        let driver = Arc::clone(driver);
        blocking(move || transfer::adopt(&*driver, volume, scratch.path()))
            .await
            .map_err(|error| MigrationError::Place(error.into()))
    }

    /// Tells the other server how it went, once that is on disk.
    pub(in crate::app::instance) async fn end(mut self, error: Option<&Error>) {
        say(&mut self.peer, error).await;
        self.peer.control.close().await;
        self.peer.files.close().await;
    }
}

/// What the row is, as far as the other server and the client tell.
pub(in crate::app::instance) async fn complete(
    app: &App,
    mut draft: Instance,
    snapshots: Vec<Snapshot>,
) -> Result<Instance> {
    draft.config = known_config(&draft.name, portable(&draft.config));
    draft.devices = known_devices(&draft.name, draft.devices);
    draft.snapshots = snapshots;
    on_pool(app, draft, "", "").await
}

async fn say(peer: &mut Peer, error: Option<&Error>) {
    let control = Control {
        success: error.is_none(),
        message: error.map(|error| rlxc_sys::chain::chain(error).to_string()),
    };
    // Who is gone needs no word.
    drop(tell(&mut peer.control, &control).await);
}

fn failed(target: &Instance, error: impl Into<crate::error::Cause>) -> Error {
    Error::failed(format!("receive instance `{}`", target.name), error)
}

/// What an operation that was told to end ends with.
fn cancelled(operation: &Handle) -> Option<Error> {
    operation
        .cancellation()
        .is_cancelled()
        .then_some(Error::Cancelled)
}

async fn update(
    app: &Arc<App>,
    who: &Requestor,
    target: Instance,
    mut arrival: Arrival,
    operation: &Handle,
) -> Result<std::collections::BTreeMap<String, serde_json::Value>> {
    let held = match refresh::hold(app, &target, operation.id()).await {
        Ok(held) => held,
        Err(error) => {
            arrival.end(Some(&error)).await;
            return Err(error);
        }
    };
    let mut saga = Saga::new(app, operation.id());
    let brought = bring(app, &mut saga, (&target, operation), &mut arrival).await;
    let result = match brought {
        Ok(()) => saga.commit_with(|_| Ok(())).await,
        failed @ Err(_) => saga.settle(failed).await,
    };
    drop(held);
    arrival.end(result.as_ref().err()).await;
    result?;
    app.instance_event(
        "instance-updated",
        &target.project,
        &target.name,
        Some(who.clone()),
    );
    Ok(std::collections::BTreeMap::new())
}

async fn bring(
    app: &App,
    saga: &mut Saga<'_>,
    (target, operation): (&Instance, &Handle),
    arrival: &mut Arrival,
) -> Result<()> {
    let all = arrival.snapshots.clone();
    refresh::drop_extra(app, operation.id(), target, &all).await?;
    refresh::remember(app, saga, target).await?;
    let mut rows = Vec::new();
    for row in refresh::missing(target, &all) {
        let mut row = portable_snapshot(row);
        row.id = crate::app::instance::snapshot::record(app, saga, target, &row).await?;
        rows.push(row);
    }
    let driver = app.pools.get(&target.pool)?;
    let volume = instance_volume(target.id);
    arrival
        .answer(Some(&rows))
        .await
        .map_err(|error| refresh::failed(target, error))?;
    arrival
        .take(app, (&driver, volume), &rows, operation)
        .await
        .map_err(|error| cancelled(operation).unwrap_or_else(|| refresh::failed(target, error)))
}
