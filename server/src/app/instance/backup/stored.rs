//! Backups of instances, as requests ask for them.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use rlxc_api::{InstanceBackup, InstanceBackupsPost, Operation, Requestor, Timestamp};
use tokio::sync::mpsc;

use super::export::hold;
use crate::app::backup::{self, ExportOrder, NewBackup, Owner};
use crate::app::instance::find;
use crate::app::project::gate::{self, Action};
use crate::context::App;
use crate::error::Result;
use crate::model::{Backup, BackupOwner, Instance};

fn owner(instance: &Instance) -> Owner {
    Owner {
        id: BackupOwner::Instance(instance.id),
        project: instance.project.clone(),
        name: instance.name.clone(),
        path: format!("/1.0/instances/{}", instance.name),
    }
}

async fn owner_of(app: &App, project: &str, name: &str) -> Result<Owner> {
    Ok(owner(&find(app, project, name).await?))
}

/// All backups of an instance.
pub async fn list(app: &App, project: &str, name: &str) -> Result<Vec<InstanceBackup>> {
    let owner = owner_of(app, project, name).await?;
    let rows = backup::list(app, owner.id).await?;
    Ok(rows.into_iter().map(render).collect())
}

/// One of them.
pub async fn get(app: &App, project: &str, (name, backup): (&str, &str)) -> Result<InstanceBackup> {
    let owner = owner_of(app, project, name).await?;
    Ok(render(backup::find(app, &owner, backup).await?))
}

fn render(row: Backup) -> InstanceBackup {
    InstanceBackup {
        name: row.name,
        created_at: Timestamp(row.created_at),
        expires_at: row.expires_at.map_or_else(Timestamp::none, Timestamp),
        instance_only: row.without_snapshots,
        container_only: row.without_snapshots,
        optimized_storage: row.optimized,
    }
}

/// The file of a backup.
pub async fn open(
    app: &App,
    who: &Requestor,
    project: &str,
    (name, backup): (&str, &str),
) -> Result<File> {
    let owner = owner_of(app, project, name).await?;
    backup::open(app, who, &owner, backup).await
}

async fn order(app: &App, post: &InstanceBackupsPost) -> Result<ExportOrder> {
    let order = ExportOrder::parse(app, &post.compression_algorithm).await?;
    Ok(ExportOrder {
        without_snapshots: post.instance_only || post.container_only,
        optimized: post.optimized_storage,
        ..order
    })
}

/// Begins to make a backup.
pub async fn create(
    app: &Arc<App>,
    who: &Requestor,
    (project, name): (&str, &str),
    post: InstanceBackupsPost,
) -> Result<Operation> {
    gate::check_action(app, project, Action::Backup).await?;
    let order = order(app, &post).await?;
    let instance = find(app, project, name).await?;
    let operation = app.operations.next_id();
    let held = hold(app, &instance, order, &operation).await?;
    let new = NewBackup {
        name: post.name,
        expires_at: post.expires_at,
        order,
    };
    backup::create(app, who, owner(&instance), (new, operation), held).await
}

/// Begins to export an instance straight to who asked; the chunks of the file as they are made.
pub async fn stream(
    app: &Arc<App>,
    who: &Requestor,
    (project, name): (&str, &str),
    post: InstanceBackupsPost,
) -> Result<(Operation, mpsc::Receiver<io::Result<Bytes>>)> {
    gate::check_action(app, project, Action::Backup).await?;
    let order = order(app, &post).await?;
    let instance = find(app, project, name).await?;
    let operation = app.operations.next_id();
    let held = hold(app, &instance, order, &operation).await?;
    Ok(backup::stream(app, who, owner(&instance), operation, held))
}

/// Begins to remove a backup.
pub async fn delete(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    (name, backup): (&str, &str),
) -> Result<Operation> {
    let owner = owner_of(app, project, name).await?;
    backup::delete(app, who, owner, backup).await
}

/// Begins to rename a backup.
pub async fn rename(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    (name, backup): (&str, &str),
    new: &str,
) -> Result<Operation> {
    let owner = owner_of(app, project, name).await?;
    backup::rename(app, who, owner, (backup, new)).await
}
