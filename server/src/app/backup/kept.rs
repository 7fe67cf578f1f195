//! Backups that wait on disk.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, IntoInnerError};
use std::path::PathBuf;
use std::sync::Arc;

use rlxc_api::name::SnapshotName;
use rlxc_api::{Operation, Requestor, Timestamp};
use rlxc_sys::file::{self, FileError, Streamed};

use super::stream::pack;
use super::{Content, ExportOrder, Owner};
use crate::context::{App, blocking};
use crate::db::backups;
use crate::error::{Cause, Error, Result};
use crate::events::Lifecycle;
use crate::model::{Backup, BackupOwner};
use crate::operation::OperationSpec;
use crate::saga::{self, JournalEntry, Saga};

/// Bytes that go into the file at once.
const BUFFER: usize = 256 << 10;

/// A backup that is asked for.
#[derive(Debug)]
pub struct NewBackup {
    /// Its name; one is picked if it is empty.
    pub name: String,
    /// When it is removed; none for never.
    pub expires_at: Timestamp,
    /// How it is made.
    pub order: ExportOrder,
}

/// All backups of an instance or volume, the oldest first.
pub async fn list(app: &App, owner: BackupOwner) -> Result<Vec<Backup>> {
    Ok(app.db.read(move |tx| backups::list(tx, owner)).await?)
}

/// One of them.
pub async fn find(app: &App, owner: &Owner, name: &str) -> Result<Backup> {
    let (id, key) = (owner.id, name.to_owned());
    let found = app.db.read(move |tx| backups::find(tx, id, &key)).await?;
    found.ok_or_else(|| Error::not_found("backup", format!("{}/{name}", owner.name)))
}

fn path(app: &App, owner: BackupOwner, id: i64) -> PathBuf {
    match owner {
        BackupOwner::Instance(instance) => {
            app.places.instance_backups(instance).join(id.to_string())
        }
        BackupOwner::Volume(_) => app.places.volume_backup(id),
    }
}

/// The file of a backup.
pub async fn open(app: &App, who: &Requestor, owner: &Owner, name: &str) -> Result<File> {
    let row = find(app, owner, name).await?;
    let path = path(app, row.owner, row.id);
    let file = blocking(move || file::open(&path))
        .await
        .map_err(|error| failed("read a backup", owner, error))?;
    event(app, "retrieved", (owner, name), who.clone());
    Ok(file)
}

/// Begins to make a backup of `content`.
pub async fn create(
    app: &Arc<App>,
    who: &Requestor,
    owner: Owner,
    (new, operation): (NewBackup, String),
    content: impl Content,
) -> Result<Operation> {
    let taken = list(app, owner.id).await?;
    let name = if new.name.is_empty() {
        next_name(&taken)
    } else {
        new.name
    };
    let name: SnapshotName = name.parse()?;
    if taken.iter().any(|row| row.name == *name) {
        return Err(Error::exists("backup", format!("{}/{name}", owner.name)));
    }
    let row = Backup {
        id: 0,
        owner: owner.id,
        name: name.to_string(),
        created_at: app.now(),
        expires_at: Some(new.expires_at)
            .filter(|time| !time.is_none())
            .map(|time| time.0),
        without_snapshots: new.order.without_snapshots,
        optimized: new.order.optimized,
    };
    let what = match owner.id {
        BackupOwner::Instance(_) => "Backing up instance",
        BackupOwner::Volume(_) => "Backing up storage volume",
    };
    let spec = spec(what, &owner, &row.name, who).cancellable();
    let (app2, who) = (Arc::clone(app), who.clone());
    Ok(app
        .operations
        .spawn_as(operation, spec, move |operation| async move {
            let mut saga = Saga::new(&app2, operation.id());
            let made = async {
                let out = begin(&app2, &mut saga, &owner, &row).await?;
                let what = (&owner, &content);
                let out = pack(&app2, &mut saga, what, &operation, out).await?;
                keep(&owner, out).await
            };
            let made = made.await;
            saga.settle(made).await?;
            event(&app2, "created", (&owner, &row.name), who);
            Ok(BTreeMap::new())
        }))
}

fn next_name(taken: &[Backup]) -> String {
    let used = taken
        .iter()
        .filter_map(|row| row.name.strip_prefix("backup")?.parse::<u64>().ok());
    format!("backup{}", used.max().map_or(0, |highest| highest + 1))
}

fn entry(owner: BackupOwner, id: i64) -> JournalEntry {
    match owner {
        BackupOwner::Instance(instance) => JournalEntry::Backup { instance, id },
        BackupOwner::Volume(volume) => JournalEntry::VolumeBackup { volume, id },
    }
}

/// Writes the row, and with it how it is undone; the file to write.
async fn begin(
    app: &App,
    saga: &mut Saga<'_>,
    owner: &Owner,
    row: &Backup,
) -> Result<BufWriter<Streamed>> {
    let (row, label) = (row.clone(), saga.operation().to_owned());
    let (id, number, entry) = app
        .db
        .note(move |tx| {
            let id = backups::insert(tx, &row).map_err(|error| {
                if error.is_unique_violation() {
                    Error::exists("backup", &row.name)
                } else {
                    error.into()
                }
            })?;
            let entry = entry(row.owner, id);
            Ok::<_, Error>((id, saga::append(tx, &label, &entry)?, entry))
        })
        .await?;
    saga.recorded(number, entry);
    let path = path(app, owner.id, id);
    blocking(move || {
        if let Some(directory) = path.parent() {
            file::ensure_dir(directory, 0o700)?;
        }
        File::create(&path)
            .map(|file| BufWriter::with_capacity(BUFFER, Streamed::new(file)))
            .map_err(|error| FileError::new("create", &path, error))
    })
    .await
    .map_err(|error| failed("make a backup", owner, error))
}

/// What was reported as made is on disk.
async fn keep(owner: &Owner, out: BufWriter<Streamed>) -> Result<()> {
    blocking(move || {
        let out = out.into_inner().map_err(IntoInnerError::into_error)?;
        out.into_inner().sync_all()
    })
    .await
    .map_err(|error| failed("keep a backup", owner, error))
}

/// Begins to remove a backup.
pub async fn delete(
    app: &Arc<App>,
    who: &Requestor,
    owner: Owner,
    name: &str,
) -> Result<Operation> {
    let row = find(app, &owner, name).await?;
    let spec = spec("Deleting backup", &owner, name, who);
    let (app2, who) = (Arc::clone(app), who.clone());
    Ok(app.operations.spawn(spec, move |operation| async move {
        discard(&app2, operation.id(), &row).await?;
        event(&app2, "deleted", (&owner, &row.name), who);
        Ok(BTreeMap::new())
    }))
}

/// The row goes first, and with it the decision; the file follows, if need be at the next start of the daemon.
async fn discard(app: &App, operation: &str, row: &Backup) -> Result<()> {
    let mut saga = Saga::new(app, operation);
    let id = row.id;
    saga.intend_with(entry(row.owner, id), move |tx| Ok(backups::delete(tx, id)?))
        .await?;
    saga.unwind().await;
    Ok(())
}

/// Begins to rename a backup.
pub async fn rename(
    app: &Arc<App>,
    who: &Requestor,
    owner: Owner,
    (name, new): (&str, &str),
) -> Result<Operation> {
    let new: SnapshotName = new.parse()?;
    let row = find(app, &owner, name).await?;
    let spec = spec("Renaming backup", &owner, name, who);
    let (app2, who) = (Arc::clone(app), who.clone());
    Ok(app.operations.spawn(spec, move |_| async move {
        let text = new.to_string();
        app2.db
            .note(move |tx| {
                backups::rename(tx, row.id, &text).map_err(|error| {
                    if error.is_unique_violation() {
                        Error::exists("backup", &text)
                    } else {
                        error.into()
                    }
                })
            })
            .await?;
        event(&app2, "renamed", (&owner, &new), who);
        Ok(BTreeMap::new())
    }))
}

/// Removes backups whose time is over.
pub async fn expire(app: &App) -> Result<()> {
    let now = app.now();
    for row in app.db.read(move |tx| backups::expired(tx, &now)).await? {
        tracing::info!(backup = row.name, owner = ?row.owner, "a backup has expired");
        discard(app, &app.operations.next_id(), &row).await?;
    }
    Ok(())
}

/// Removes file and row of a backup, whether they are there or not.
pub async fn remove(app: &App, owner: BackupOwner, id: i64) -> Result<()> {
    let path = path(app, owner, id);
    blocking(move || {
        let removed = file::remove(&path);
        if let (BackupOwner::Instance(_), Some(directory)) = (owner, path.parent()) {
            // It goes with the last of them; another one keeps it.
            drop(std::fs::remove_dir(directory));
        }
        removed
    })
    .await
    .map_err(|error| Error::failed(format!("remove backup {id} of {owner:?}"), error))?;
    app.db
        .note::<_, Error, _>(move |tx| Ok(backups::delete(tx, id)?))
        .await
}

/// Removes the files of all backups of an instance.
pub async fn remove_all(app: &App, instance: i64) -> Result<()> {
    let directory = app.places.instance_backups(instance);
    let removed = blocking(move || match std::fs::remove_dir_all(&directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    });
    removed
        .await
        .map_err(|error| Error::failed(format!("remove the backups of instance {instance}"), error))
}

fn spec(what: &'static str, owner: &Owner, backup: &str, who: &Requestor) -> OperationSpec {
    let mut spec = owner.spec(what);
    // Clients of LXD cut exactly this beginning off.
    let url = format!("/1.0/backups/{backup}");
    spec.resources.insert("backups".to_owned(), vec![url]);
    spec.requested_by(who)
}

fn event(app: &App, what: &str, (owner, backup): (&Owner, &str), who: Requestor) {
    let kind = match owner.id {
        BackupOwner::Instance(_) => "instance-backup",
        BackupOwner::Volume(_) => "storage-volume-backup",
    };
    app.events.lifecycle(Lifecycle {
        action: &format!("{kind}-{what}"),
        source: format!("{}/backups/{backup}", owner.path),
        project: &owner.project,
        name: backup,
        requestor: Some(who),
        context: BTreeMap::new(),
    });
}

/// Whatever went wrong with a file of ours.
fn failed(what: &str, owner: &Owner, source: impl Into<Cause>) -> Error {
    Error::failed(format!("{what} of {}", owner.called()), source)
}
