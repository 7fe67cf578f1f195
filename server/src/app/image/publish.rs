//! Images that are made of an instance, or of a snapshot of it.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use rlxc_api::ImagesPostSource;
use rlxc_storage::Driver;
use rlxc_storage::image::{Algorithm, Compression, ImageFiles, ImageMetadata, PackOrder, pack};
use rlxc_sys::file::{self, FileError, Streamed};

use super::create::{Made, server_config};
use super::import::{Draft, Trust, import};
use super::incoming::{Incoming, Scratch};
use crate::app::instance;
use crate::context::App;
use crate::db::images;
use crate::error::{Cause, Error, Result};
use crate::instance::Permit;
use crate::instance::state::{State, Verb};
use crate::model::{Config, Instance};
use crate::operation::Handle;
use crate::saga::{instance_volume, snapshot_id};

/// Between two messages about the progress.
const PROGRESS_STEP: u64 = 8 << 20;

/// What to publish.
#[derive(Debug)]
pub(super) struct Order {
    instance: String,
    snapshot: Option<String>,
    /// As asked for; the server's own unless set.
    algorithm: Option<Algorithm>,
}

impl Order {
    pub(super) fn parse(source: &ImagesPostSource, algorithm: &str) -> Result<Self> {
        let (instance, snapshot) = match source.name.split_once('/') {
            Some((instance, snapshot)) => (instance, Some(snapshot.to_owned())),
            None => (source.name.as_str(), None),
        };
        if snapshot.is_some() != (source.kind == "snapshot") {
            return Err(Error::Invalid(format!(
                "`{}` is no name of a source of type `{}`",
                source.name, source.kind
            )));
        }
        let algorithm = Some(algorithm).filter(|text| !text.is_empty());
        let algorithm = algorithm.map(str::parse).transpose();
        Ok(Self {
            instance: instance.to_owned(),
            snapshot,
            algorithm: algorithm.map_err(Error::Invalid)?,
        })
    }
}

/// Packs a stopped instance, or a snapshot, and brings the image into the store.
pub(super) async fn publish(
    app: &App,
    operation: &Handle,
    order: &Order,
    mut draft: Draft,
) -> Result<Made> {
    let instance = instance::find(app, operation.project(), &order.instance).await?;
    let _permit = hold(app, operation, order, &instance).await?;
    let algorithm = match order.algorithm {
        Some(algorithm) => algorithm,
        None => server_algorithm(app, "images.compression_algorithm").await?,
    };
    let snapshot = order
        .snapshot
        .as_ref()
        .map(|name| find_snapshot(&instance, name))
        .transpose()?;
    let packing = Packing {
        driver: app.pools.get(&instance.pool)?,
        scratch: Scratch::create(app)?,
        created: app.clock.now().as_second(),
        properties: draft.properties.clone(),
        operation: operation.clone(),
        instance,
        snapshot,
        algorithm,
    };
    let what = format!("publish instance `{}`", packing.instance.name);
    let incoming = operation.blocking(what, move || packing.run()).await?;
    draft.trust = Trust::Made;
    let (id, fingerprint) = (
        app.project(operation.project()).await?,
        incoming.fingerprint.clone(),
    );
    let mut same = app
        .db
        .read(move |tx| images::find_by_prefix(tx, id, &fingerprint))
        .await?;
    if let Some(image) = same.pop() {
        // Published twice within a second: it is one image, under all names that were asked for.
        return Made::known(app, operation.project(), image, &draft).await;
    }
    import(app, operation.id(), operation.project(), incoming, draft)
        .await
        .map(Made::new)
}

/// Keeps the source as it is: an instance must be stopped, a snapshot must not go away.
async fn hold(app: &App, operation: &Handle, order: &Order, instance: &Instance) -> Result<Permit> {
    let permit = app
        .instances
        .of(instance)?
        .begin(Verb::Copy, &order.instance, operation.id())
        .await?;
    if order.snapshot.is_none() && permit.before().state != State::Stopped {
        return Err(Error::Invalid(format!(
            "instance `{}` is running: publish a snapshot of it, or stop it first",
            order.instance
        )));
    }
    Ok(permit)
}

fn find_snapshot(instance: &Instance, name: &str) -> Result<i64> {
    let found = instance
        .snapshots
        .iter()
        .find(|snapshot| snapshot.name == name);
    found
        .map(|snapshot| snapshot.id)
        .ok_or_else(|| Error::not_found("snapshot", format!("{}/{name}", instance.name)))
}

/// What a key of the server says of compression; zstd if it says nothing.
pub async fn server_algorithm(app: &App, key: &str) -> Result<Algorithm> {
    let config = server_config(app).await?;
    let text = config.get(key);
    text.map_or_else(|| Ok(Compression::Zstd.into()), |text| text.parse())
        .map_err(Error::Invalid)
}

struct Packing {
    driver: Arc<dyn Driver>,
    scratch: Scratch,
    created: i64,
    /// In place of those of the image that the instance was made of; those stay if there are none.
    properties: Config,
    operation: Handle,
    instance: Instance,
    snapshot: Option<i64>,
    algorithm: Algorithm,
}

impl Packing {
    fn run(self) -> Result<Incoming, Cause> {
        let meta = self.scratch.path().join("image");
        let (fingerprint, size) = self.pack(&meta)?;
        Ok(Incoming {
            scratch: self.scratch,
            files: ImageFiles { meta, rootfs: None },
            fingerprint,
            size,
        })
    }

    fn pack(&self, path: &Path) -> Result<(String, u64), Cause> {
        let volume = instance_volume(self.instance.id);
        let root = match self.snapshot {
            Some(snapshot) => self.driver.snapshot_root(volume, snapshot_id(snapshot))?,
            None => self.driver.root(volume)?,
        };
        let directory = self.driver.volume_dir(volume)?;
        let metadata = self.metadata(&directory)?;
        let out = File::create_new(path).map_err(|error| FileError::new("create", path, error))?;
        let told = std::cell::Cell::new(0);
        let progress = |bytes: u64| {
            if bytes >= told.get() + PROGRESS_STEP {
                told.set(bytes);
                let text = format!("Packing: {} MiB", bytes >> 20);
                self.operation
                    .set("create_image_from_container_pack_progress", text);
            }
        };
        let order = PackOrder {
            root: &root,
            metadata: &metadata,
            templates: Some(&directory.join("templates")),
            algorithm: self.algorithm,
        };
        let (fingerprint, size, _out) = pack(order, Streamed::new(out), &progress)?;
        Ok((fingerprint, size))
    }

    fn metadata(&self, directory: &Path) -> Result<ImageMetadata, Cause> {
        let path = directory.join("metadata.yaml");
        let mut metadata = match file::read(&path) {
            Ok(text) => ImageMetadata::parse(&text)?,
            Err(error) if error.is_not_found() => ImageMetadata::default(),
            Err(error) => return Err(error.into()),
        };
        metadata
            .architecture
            .clone_from(&self.instance.architecture);
        metadata.creation_date = self.created;
        metadata.expiry_date = 0;
        if !self.properties.is_empty() {
            metadata.properties.clone_from(&self.properties);
            metadata.properties.retain(|_, value| !value.is_empty());
        }
        Ok(metadata)
    }
}
