//! Backups that wait on disk.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use rlxc_api::name::SnapshotName;
use rlxc_api::{InstanceBackup, InstanceBackupsPost, Operation, Requestor, Timestamp};
use rlxc_sys::file::{self, FileError};

use super::export::{ExportOrder, failed, hold};
use crate::app::instance::find;
use crate::app::project::gate::{self, Action};
use crate::context::{App, blocking, instance_url};
use crate::db::backups;
use crate::error::{Error, Result};
use crate::model::{Backup, Instance};
use crate::operation::OperationSpec;
use crate::saga::{self, JournalEntry, Saga};

/// All backups of an instance.
pub async fn list(app: &App, project: &str, name: &str) -> Result<Vec<InstanceBackup>> {
    let id = find(app, project, name).await?.id;
    let rows = app.db.read(move |tx| backups::list(tx, id)).await?;
    Ok(rows.into_iter().map(render).collect())
}

/// One of them.
pub async fn get(app: &App, project: &str, (name, backup): (&str, &str)) -> Result<InstanceBackup> {
    let instance = find(app, project, name).await?;
    Ok(render(row(app, &instance, backup).await?))
}

fn render(row: Backup) -> InstanceBackup {
    InstanceBackup {
        name: row.name,
        created_at: Timestamp(row.created_at),
        expires_at: row.expires_at.map_or_else(Timestamp::none, Timestamp),
        instance_only: row.instance_only,
        container_only: row.instance_only,
        optimized_storage: false,
    }
}

async fn row(app: &App, instance: &Instance, name: &str) -> Result<Backup> {
    let (id, key) = (instance.id, name.to_owned());
    let found = app.db.read(move |tx| backups::find(tx, id, &key)).await?;
    found.ok_or_else(|| Error::not_found("backup", format!("{}/{name}", instance.name)))
}

fn path(app: &App, instance: i64, id: i64) -> PathBuf {
    app.places.instance_backups(instance).join(id.to_string())
}

/// The file of a backup.
pub async fn open(app: &App, project: &str, (name, backup): (&str, &str)) -> Result<File> {
    let instance = find(app, project, name).await?;
    let row = row(app, &instance, backup).await?;
    let path = path(app, instance.id, row.id);
    blocking(move || file::open(&path))
        .await
        .map_err(|error| failed("read a backup", &instance, error))
}

/// Begins to make a backup.
pub async fn create(
    app: &Arc<App>,
    who: &Requestor,
    (project, name): (&str, &str),
    post: InstanceBackupsPost,
) -> Result<Operation> {
    gate::check_action(app, project, Action::Backup).await?;
    let order = ExportOrder::parse(app, &post).await?;
    let instance = find(app, project, name).await?;
    let id = instance.id;
    let taken = app.db.read(move |tx| backups::list(tx, id)).await?;
    let backup_name = if post.name.is_empty() {
        next_name(&taken)
    } else {
        post.name.clone()
    };
    let backup_name: SnapshotName = backup_name.parse()?;
    if taken.iter().any(|row| row.name == *backup_name) {
        return Err(Error::exists("backup", format!("{name}/{backup_name}")));
    }
    let row = Backup {
        id: 0,
        instance: id,
        name: backup_name.to_string(),
        created_at: app.now(),
        expires_at: Some(post.expires_at)
            .filter(|time| !time.is_none())
            .map(|time| time.0),
        instance_only: order.instance_only,
    };
    let operation = app.operations.next_id();
    let held = hold(app, &instance, order, &operation).await?;
    let spec = spec("Backing up instance", &instance, &row.name, who);
    let (app2, who) = (Arc::clone(app), who.clone());
    Ok(app
        .operations
        .spawn_as(operation, spec, move |operation| async move {
            let mut saga = Saga::new(&app2, operation.id());
            let made = async {
                let out = begin(&app2, &mut saga, &instance, &row).await?;
                let out = held.pack(&app2, &mut saga, &operation, out).await?;
                keep(&instance, out).await
            };
            let made = made.await;
            saga.settle(made).await?;
            event(&app2, "instance-backup-created", &instance, &row.name, who);
            Ok(BTreeMap::new())
        }))
}

fn next_name(taken: &[Backup]) -> String {
    let used = taken
        .iter()
        .filter_map(|row| row.name.strip_prefix("backup")?.parse::<u64>().ok());
    format!("backup{}", used.max().map_or(0, |highest| highest + 1))
}

/// Writes the row, and with it how it is undone; the file to write.
async fn begin(app: &App, saga: &mut Saga<'_>, instance: &Instance, row: &Backup) -> Result<File> {
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
            let entry = JournalEntry::Backup {
                instance: row.instance,
                id,
            };
            Ok::<_, Error>((id, saga::append(tx, &label, &entry)?, entry))
        })
        .await?;
    saga.recorded(number, entry);
    let path = path(app, instance.id, id);
    let directory = app.places.instance_backups(instance.id);
    blocking(move || {
        file::ensure_dir(&directory, 0o700)?;
        File::create(&path).map_err(|error| FileError::new("create", &path, error))
    })
    .await
    .map_err(|error| failed("make a backup", instance, error))
}

/// What was reported as made is on disk.
async fn keep(instance: &Instance, out: File) -> Result<()> {
    blocking(move || out.sync_all())
        .await
        .map_err(|error| failed("keep a backup", instance, error))
}

/// Begins to remove a backup.
pub async fn delete(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    (name, backup): (&str, &str),
) -> Result<Operation> {
    let instance = find(app, project, name).await?;
    let row = row(app, &instance, backup).await?;
    let spec = spec("Deleting backup", &instance, backup, who);
    let (app2, who) = (Arc::clone(app), who.clone());
    Ok(app.operations.spawn(spec, move |operation| async move {
        discard(&app2, operation.id(), &row).await?;
        event(&app2, "instance-backup-deleted", &instance, &row.name, who);
        Ok(BTreeMap::new())
    }))
}

/// The row goes first, and with it the decision; the file follows, if need be at the next start of the daemon.
async fn discard(app: &App, operation: &str, row: &Backup) -> Result<()> {
    let mut saga = Saga::new(app, operation);
    let entry = JournalEntry::Backup {
        instance: row.instance,
        id: row.id,
    };
    let id = row.id;
    saga.intend_with(entry, move |tx| Ok(backups::delete(tx, id)?))
        .await?;
    saga.unwind().await;
    Ok(())
}

/// Begins to rename a backup.
pub async fn rename(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    (name, backup): (&str, &str),
    new: &str,
) -> Result<Operation> {
    let new: SnapshotName = new.parse()?;
    let instance = find(app, project, name).await?;
    let row = row(app, &instance, backup).await?;
    let spec = spec("Renaming backup", &instance, backup, who);
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
        event(&app2, "instance-backup-renamed", &instance, &new, who);
        Ok(BTreeMap::new())
    }))
}

/// Removes backups whose time is over.
pub async fn expire(app: &App) -> Result<()> {
    let now = app.now();
    for row in app.db.read(move |tx| backups::expired(tx, &now)).await? {
        tracing::info!(
            backup = row.name,
            instance = row.instance,
            "a backup has expired"
        );
        discard(app, &app.operations.next_id(), &row).await?;
    }
    Ok(())
}

/// Removes file and row of a backup, whether they are there or not.
pub async fn remove(app: &App, instance: i64, id: i64) -> Result<()> {
    let (path, directory) = (
        path(app, instance, id),
        app.places.instance_backups(instance),
    );
    blocking(move || {
        let removed = file::remove(&path);
        // It goes with the last of them; another one keeps it.
        drop(std::fs::remove_dir(&directory));
        removed
    })
    .await
    .map_err(|error| Error::failed(format!("remove backup {id} of instance {instance}"), error))?;
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

fn spec(what: &'static str, instance: &Instance, backup: &str, who: &Requestor) -> OperationSpec {
    let url = instance_url(&instance.project, &instance.name);
    let mut spec = OperationSpec::task(what, &instance.project, "instances", &url);
    // Clients of LXD cut exactly this beginning off.
    let url = format!("/1.0/backups/{backup}");
    spec.resources.insert("backups".to_owned(), vec![url]);
    spec.requested_by(who)
}

fn event(app: &App, action: &str, instance: &Instance, backup: &str, who: Requestor) {
    app.events.lifecycle(crate::events::Lifecycle {
        action,
        source: format!("/1.0/instances/{}/backups/{backup}", instance.name),
        project: &instance.project,
        name: backup,
        requestor: Some(who),
        context: BTreeMap::new(),
    });
}
