//! Making the file: what it says about the instance, and the stream of its bytes.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use rlxc_api::{
    InstanceBackupsPost, Operation, Requestor, StorageVolume, StorageVolumeSnapshot, Timestamp,
};
use rlxc_storage::backup::{BackupConfig, BackupIndex, BackupOrder, BackupTree, write};
use rlxc_storage::image::Compression;
use rlxc_storage::{Driver, SnapshotId};
use tokio::sync::mpsc;

use crate::app::instance::snapshot::hidden;
use crate::app::instance::{find, find_by_id, handle, view};
use crate::app::project::gate::{self, Action};
use crate::app::{image, pool, profile};
use crate::context::{App, blocking, instance_url};
use crate::db::{config, profiles};
use crate::error::{Cause, Error, Result};
use crate::guest;
use crate::instance::Permit;
use crate::instance::state::{State, Verb};
use crate::model::Instance;
use crate::operation::{Handle, OperationSpec};
use crate::saga::{Saga, instance_volume, snapshot_id};

/// Between two messages about the progress.
const PROGRESS_STEP: u64 = 8 << 20;
/// Bytes of a chunk of a stream, and how many chunks may wait for the network.
const CHUNK: usize = 256 << 10;
const CHUNKS_AHEAD: usize = 8;

/// How an instance is to be exported.
#[derive(Debug, Clone, Copy)]
pub struct ExportOrder {
    /// Without the snapshots.
    pub instance_only: bool,
    /// How to compress it.
    pub compression: Compression,
}

impl ExportOrder {
    /// From a request. A format of a pool's own is never used, whatever is asked for: as the API has it, that is no error.
    pub async fn parse(app: &App, post: &InstanceBackupsPost) -> Result<Self> {
        let name = post.compression_algorithm.as_str();
        let compression = if name.is_empty() {
            let config = app.db.read(config::load).await?;
            let name = config.get("backups.compression_algorithm");
            name.map_or(Ok(Compression::Zstd), |name| image::parse_compression(name))?
        } else {
            image::parse_compression(name)?
        };
        Ok(Self {
            instance_only: post.instance_only || post.container_only,
            compression,
        })
    }
}

/// An instance that is held while it is packed.
#[derive(Debug)]
pub(super) struct Held {
    instance: Instance,
    permit: Permit,
    order: ExportOrder,
}

pub(super) async fn hold(
    app: &App,
    instance: &Instance,
    order: ExportOrder,
    operation: &str,
) -> Result<Held> {
    let permit = handle(app, instance)?
        .begin(Verb::Copy, &instance.name, operation)
        .await?;
    // What was read before the permit may have changed meanwhile.
    let instance = find_by_id(app, instance.id).await?;
    Ok(Held {
        instance,
        permit,
        order,
    })
}

impl Held {
    /// Packs it into `out`. Of an instance that runs, what it is at this moment.
    pub(super) async fn pack<W>(
        &self,
        app: &App,
        saga: &mut Saga<'_>,
        operation: &Handle,
        out: W,
    ) -> Result<W>
    where
        W: Write + Send + 'static,
    {
        let moment = self.moment(app, saga).await?;
        let order = self.plan(app, moment).await?;
        let operation = operation.clone();
        let failed = format!("export instance `{}`", self.instance.name);
        blocking(move || {
            let told = std::cell::Cell::new(0);
            let progress = |bytes: u64| {
                if bytes >= told.get() + PROGRESS_STEP {
                    told.set(bytes);
                    operation.set("create_backup_progress", format!("{} MiB", bytes >> 20));
                }
            };
            let mut out = write(&order, out, &progress)?;
            out.flush()?;
            Ok(out)
        })
        .await
        .map_err(|source: Cause| Error::Failed {
            what: failed,
            source,
        })
    }

    async fn moment(&self, app: &App, saga: &mut Saga<'_>) -> Result<Option<SnapshotId>> {
        if self.permit.before().state == State::Stopped {
            return Ok(None);
        }
        let wanted = hidden(app, saga, (&self.instance, &self.permit), 0).await?;
        Ok(Some(wanted))
    }

    async fn plan(&self, app: &App, moment: Option<SnapshotId>) -> Result<BackupOrder> {
        let driver = app.pools.get(&self.instance.pool)?;
        let index = self.index(app, &*driver).await?;
        let names = index.snapshots.clone();
        let rows = self.instance.snapshots.iter();
        let ids: Vec<(String, SnapshotId)> = rows
            .filter(|row| names.contains(&row.name))
            .map(|row| (row.name.clone(), snapshot_id(row.id)))
            .collect();
        let volume = instance_volume(self.instance.id);
        let (compression, created) = (self.order.compression, app.clock.now().as_second());
        let trees = move || {
            let dir = driver.volume_dir(volume)?;
            let tree = |snapshot: Option<SnapshotId>| {
                let root = match snapshot {
                    Some(snapshot) => driver.snapshot_root(volume, snapshot)?,
                    None => driver.root(volume)?,
                };
                let dir = dir.clone();
                Ok::<_, rlxc_storage::Error>(BackupTree { root, dir })
            };
            let main = tree(moment)?;
            let snapshots = ids
                .into_iter()
                .map(|(name, id)| Ok((name, tree(Some(id))?)))
                .collect::<Result<_, rlxc_storage::Error>>()?;
            Ok(BackupOrder {
                index,
                main,
                snapshots,
                compression,
                created,
            })
        };
        blocking(trees).await.map_err(|error: rlxc_storage::Error| {
            Error::failed(format!("export instance `{}`", self.instance.name), error)
        })
    }

    async fn index(&self, app: &App, driver: &dyn Driver) -> Result<BackupIndex> {
        let row = &self.instance;
        let project = app.project(&row.project).await?;
        let known = app.db.read(move |tx| profiles::list(tx, project)).await?;
        let status = app.instances.status(row.id);
        let snapshots: Vec<_> = if self.order.instance_only {
            Vec::new()
        } else {
            let all = row.snapshots.iter();
            all.map(|snapshot| view::render_snapshot(row, snapshot, &known))
                .collect()
        };
        let mut own = Vec::new();
        for name in &row.profiles {
            own.push(profile::get(app, &row.project, name).await?);
        }
        let volume_snapshots = snapshots.iter().map(|snapshot| StorageVolumeSnapshot {
            name: snapshot.name.clone(),
            content_type: "filesystem".to_owned(),
            created_at: snapshot.created_at.clone(),
            ..StorageVolumeSnapshot::default()
        });
        let mut container = view::plain(row, &known, &status);
        // Older servers refuse a backup that has keys which they don't know.
        container.put.config.remove(guest::READY);
        container.expanded_config.remove(guest::READY);
        let config = BackupConfig {
            volume_snapshots: volume_snapshots.collect(),
            container: Some(container),
            pool: Some(pool::get(app, &row.pool).await?),
            profiles: own,
            volume: Some(StorageVolume {
                name: row.name.clone(),
                kind: "container".to_owned(),
                location: "none".to_owned(),
                content_type: "filesystem".to_owned(),
                project: row.project.clone(),
                created_at: Timestamp(row.created_at.clone()),
                ..StorageVolume::default()
            }),
            snapshots,
        };
        Ok(BackupIndex {
            name: row.name.clone(),
            backend: driver.name().to_owned(),
            pool: row.pool.clone(),
            snapshots: config
                .snapshots
                .iter()
                .map(|row| row.name.clone())
                .collect(),
            optimized: false,
            optimized_header: false,
            kind: "container".to_owned(),
            config: Some(config),
        })
    }
}

/// Begins to export an instance straight to who asked; the chunks of the file as they are made.
pub async fn stream(
    app: &Arc<App>,
    who: &Requestor,
    (project, name): (&str, &str),
    order: ExportOrder,
) -> Result<(Operation, mpsc::Receiver<io::Result<Bytes>>)> {
    gate::check_action(app, project, Action::Backup).await?;
    let instance = find(app, project, name).await?;
    let id = app.operations.next_id();
    let held = hold(app, &instance, order, &id).await?;
    let url = instance_url(project, name);
    let spec =
        OperationSpec::task("Exporting instance", project, "instances", &url).requested_by(who);
    let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
    let app2 = Arc::clone(app);
    let operation = app
        .operations
        .spawn_as(id, spec, move |operation| async move {
            let mut saga = Saga::new(&app2, operation.id());
            let out = Chunks::new(sender.clone());
            let finished = held.pack(&app2, &mut saga, &operation, out).await.map(drop);
            if let Err(error) = &finished {
                // The reply has begun: all that is left is to break it off.
                let text = rlxc_sys::chain::chain(error).to_string();
                drop(sender.send(Err(io::Error::other(text))).await);
            }
            saga.settle(finished).await?;
            Ok(std::collections::BTreeMap::new())
        });
    Ok((operation, receiver))
}

/// Sends what is written in chunks; waits for the network.
#[derive(Debug)]
struct Chunks {
    sender: mpsc::Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
}

impl Chunks {
    fn new(sender: mpsc::Sender<io::Result<Bytes>>) -> Self {
        Self {
            sender,
            buffer: Vec::with_capacity(CHUNK),
        }
    }

    fn send(&mut self) -> io::Result<()> {
        let full = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK));
        let gone = |_closed| io::Error::from(io::ErrorKind::BrokenPipe);
        self.sender.blocking_send(Ok(full.into())).map_err(gone)
    }
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.send()
    }
}

/// Whatever went wrong with a file of ours.
pub(super) fn failed(what: &str, instance: &Instance, source: impl Into<Cause>) -> Error {
    Error::failed(format!("{what} of instance `{}`", instance.name), source)
}
