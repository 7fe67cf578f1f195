//! Custom volumes under another name, or on another pool. The devices that use them are changed along.

use std::collections::BTreeMap;
use std::sync::Arc;

use rlxc_api::name::VolumeName;
use rlxc_api::{Operation, Requestor, StorageVolumePost};

use super::copy::Copy;
use super::custom::entry;
use super::{Target, event, hold, view};
use crate::context::{App, instance_url};
use crate::db::{self, backups, instances, journal, volumes};
use crate::error::{Error, Result};
use crate::instance::state::State;
use crate::model::Volume;
use crate::operation::OperationSpec;
use crate::saga::Saga;

/// Renames a volume that no running instance uses.
pub async fn rename(app: &App, who: &Requestor, target: Target<'_>, new: &str) -> Result<String> {
    let new: VolumeName = new.parse()?;
    let (_turn, owner, volume) = hold(app, target).await?;
    refuse_running(app, owner, &volume).await?;
    let (old, text) = (volume.clone(), new.to_string());
    app.db
        .write(move |tx| {
            volumes::rename(tx, old.id, &text).map_err(|error| taken(error, &old.pool, &text))?;
            Ok::<_, Error>(volumes::redirect_users(
                tx,
                owner,
                &old,
                (&old.pool, &text),
            )?)
        })
        .await?;
    let renamed = Volume {
        name: new.to_string(),
        ..volume
    };
    event(app, "storage-volume-renamed", &renamed, who);
    Ok(view::custom_url(&renamed))
}

/// Begins to bring a volume that no running instance uses to another pool, with its snapshots.
pub async fn relocate(
    app: &Arc<App>,
    who: &Requestor,
    target: Target<'_>,
    post: StorageVolumePost,
) -> Result<Operation> {
    let name: VolumeName = if post.name.is_empty() {
        target.name.parse()?
    } else {
        post.name.parse()?
    };
    if !post.project.is_empty() && post.project != target.project {
        return Err(Error::Invalid(
            "a volume can't go to another project this way: copy it".to_owned(),
        ));
    }
    let (turn, owner, old) = hold(app, target).await?;
    refuse_running(app, owner, &old).await?;
    let new = Volume {
        id: 0,
        pool: post.pool,
        name: name.to_string(),
        snapshots: Vec::new(),
        ..old.clone()
    };
    let url = view::custom_url(&new);
    let spec = OperationSpec::task(
        "Moving storage volume",
        target.project,
        "storage_volumes",
        &url,
    )
    .requested_by(who);
    let (app2, who) = (Arc::clone(app), who.clone());
    Ok(app.operations.spawn(spec, move |operation| async move {
        let moved = relocate_now(&app2, operation.id(), owner, old, new).await?;
        drop(turn);
        event(&app2, "storage-volume-renamed", &moved, &who);
        Ok(BTreeMap::new())
    }))
}

async fn relocate_now(
    app: &App,
    operation: &str,
    owner: i64,
    old: Volume,
    new: Volume,
) -> Result<Volume> {
    let mut saga = Saga::new(app, operation);
    let copy = Copy {
        old: old.clone(),
        head: None,
        with_snapshots: true,
    };
    let new = match copy.make(app, &mut saga, new).await {
        Ok(new) => new,
        Err(error) => {
            saga.unwind().await;
            return Err(error);
        }
    };
    // In one transaction the new one counts and the old one is to be removed.
    let removal = entry(&old);
    let (text, number) = (
        db::keys::to_json("a journal entry", &removal)?,
        operation.to_owned(),
    );
    let (to, new_id) = ((new.pool.clone(), new.name.clone()), new.id);
    let number = saga
        .commit_with(move |tx| {
            volumes::redirect_users(tx, owner, &old, (&to.0, &to.1))?;
            backups::hand_over(tx, old.id, new_id)?;
            volumes::delete(tx, old.id)?;
            Ok(journal::append(tx, &number, &text)?)
        })
        .await?;
    let mut removing = Saga::new(app, operation);
    removing.recorded(number, removal);
    removing.unwind().await;
    Ok(new)
}

fn taken(error: db::DbError, pool: &str, name: &str) -> Error {
    if error.is_unique_violation() {
        Error::exists("storage volume", format!("{pool}/{name}"))
    } else {
        error.into()
    }
}

/// Refuses what would pull a mounted volume from under a running instance.
pub(super) async fn refuse_running(app: &App, owner: i64, volume: &Volume) -> Result<()> {
    let row = volume.clone();
    let users = app
        .db
        .read(move |tx| {
            let ids = volumes::instances_with(tx, owner, &row)?;
            let found = ids.iter().map(|id| instances::find_by_id(tx, *id));
            found.collect::<Result<Vec<_>, _>>()
        })
        .await?;
    let running: Vec<String> = users
        .into_iter()
        .flatten()
        .filter(|instance| app.instances.status(instance.id).state != State::Stopped)
        .map(|instance| instance_url(&instance.project, &instance.name))
        .collect();
    if running.is_empty() {
        return Ok(());
    }
    Err(Error::Conflict(format!(
        "storage volume `{}` is in use by running instances: {}",
        volume.name,
        running.join(", ")
    )))
}
