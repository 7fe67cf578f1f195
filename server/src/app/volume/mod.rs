//! Storage volumes: the roots of instances, the images that are unpacked on a pool, and custom volumes, which users
//! make and attach to instances.

mod attach;
mod backup;
mod copy;
mod custom;
mod import;
mod keys;
mod migrate;
mod refresh;
mod rename;
mod snapshot;
mod view;

pub use attach::{check_devices, resolve};
pub use backup::{
    backup, backups, create_backup, delete_backup, open_backup, rename_backup, stream_backup,
};
pub use copy::copy;
pub use custom::{create, delete, update};
pub use import::import;
pub use migrate::{Sending, send};
pub use rename::{relocate, rename};
pub use snapshot::{
    create_snapshot, delete_snapshot, rename_snapshot, restore, snapshot, snapshots,
    update_snapshot,
};

pub use view::{custom_url, get, list, list_all, snapshot_url, state, url};

use tokio::sync::OwnedMutexGuard;

use crate::context::App;
use crate::db::volumes;
use crate::error::{Error, Result};
use crate::model::Volume;

/// Which volume a request is about.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The project of the request.
    pub project: &'a str,
    /// The pool's name.
    pub pool: &'a str,
    /// `custom`, `container` or `image`.
    pub kind: &'a str,
    /// The volume's name.
    pub name: &'a str,
}

impl Target<'_> {
    /// Refuses what only custom volumes can do.
    fn must_be_custom(self) -> Result<()> {
        let hint = match self.kind {
            "custom" => return Ok(()),
            "container" => "it belongs to an instance: change the instance and its root disk",
            "image" => "it belongs to an image: use `rlxc image`",
            _ => "there are `container`, `image` and `custom`",
        };
        Err(Error::Invalid(format!(
            "volume `{}` of type `{}` can't be changed this way: {hint}",
            self.name, self.kind
        )))
    }
}

/// The project, id and name, whose volumes a project has.
async fn project(app: &App, name: &str) -> Result<(i64, String)> {
    let key = name.to_owned();
    let found = app.db.read(move |tx| volumes::project_of(tx, &key)).await?;
    found.ok_or_else(|| Error::not_found("project", name))
}

/// What a volume is locked by: there are several ways to name it.
async fn key(app: &App, target: Target<'_>) -> Result<String> {
    let (_, owner) = project(app, target.project).await?;
    Ok(format!("{}/{owner}/{}", target.pool, target.name))
}

/// A custom volume with the id of its project; nobody else changes it while the guard lives.
async fn hold(app: &App, target: Target<'_>) -> Result<(OwnedMutexGuard<()>, i64, Volume)> {
    target.must_be_custom()?;
    let (id, _) = project(app, target.project).await?;
    let turn = app.volume_locks.lock(&key(app, target).await?).await;
    let volume = find(app, id, target).await?;
    Ok((turn, id, volume))
}

async fn find(app: &App, project: i64, target: Target<'_>) -> Result<Volume> {
    let (pool, name) = (target.pool.to_owned(), target.name.to_owned());
    let found = app
        .db
        .read(move |tx| volumes::find(tx, project, &pool, &name))
        .await?;
    found.ok_or_else(|| {
        Error::not_found("storage volume", format!("{}/{}", target.pool, target.name))
    })
}

/// Refuses a name that is taken, before anything else is done for it.
async fn refuse_taken(app: &App, target: Target<'_>) -> Result<()> {
    let (id, _) = project(app, target.project).await?;
    match find(app, id, target).await {
        Ok(_) => Err(Error::exists(
            "storage volume",
            format!("{}/{}", target.pool, target.name),
        )),
        Err(Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Tells listeners that something happened to a custom volume.
fn event(app: &App, action: &str, volume: &Volume, who: &rlxc_api::Requestor) {
    app.events.lifecycle(crate::events::Lifecycle {
        action,
        source: custom_url(volume),
        project: &volume.project,
        name: &volume.name,
        requestor: Some(who.clone()),
        context: std::collections::BTreeMap::new(),
    });
}
