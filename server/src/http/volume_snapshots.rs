//! `/1.0/storage-pools/{pool}/volumes/{type}/{name}/snapshots`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use rlxc_api::{StorageVolumeSnapshotPost, StorageVolumeSnapshotPut, StorageVolumeSnapshotsPost};

use super::edit::Edit;
use super::extract::{Body, Params};
use super::identity::Identity;
use super::render::{Reply, accepted, done, listing, tagged};
use super::volumes::{target, within};
use crate::app::volume::{self, Sending, Target};
use crate::context::App;

type Daemon = State<Arc<App>>;
/// Pool, type, volume and snapshot.
type Names = Path<(String, String, String, String)>;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route(
            "/1.0/storage-pools/{pool}/volumes/{kind}/{name}/snapshots",
            get(list).post(create),
        )
        .route(
            "/1.0/storage-pools/{pool}/volumes/{kind}/{name}/snapshots/{snapshot}",
            get(show)
                .put(change)
                .patch(change)
                .post(rename)
                .delete(remove),
        )
}

async fn list(
    State(app): Daemon,
    Path(names): Path<(String, String, String)>,
    params: Params,
) -> Reply {
    let target = target(&names, &params);
    let mut all = volume::snapshots(&app, target).await?;
    // In a list, and only there, their names tell the volume too: clients look for the slash.
    for snapshot in &mut all {
        snapshot.name = format!("{}/{}", target.name, snapshot.name);
    }
    listing(&params, all, |item| {
        let (_, name) = item.name.split_once('/').unwrap_or(("", &item.name));
        volume::snapshot_url(target, name)
    })
}

async fn create(
    State(app): Daemon,
    Identity(who): Identity,
    Path(names): Path<(String, String, String)>,
    params: Params,
    Body(post): Body<StorageVolumeSnapshotsPost>,
) -> Reply {
    let target = target(&names, &params);
    accepted(volume::create_snapshot(&app, &who, target, post).await?)
}

async fn current(
    app: &App,
    target: Target<'_>,
    name: &str,
) -> crate::error::Result<StorageVolumeSnapshotPut> {
    let view = volume::snapshot(app, target, name).await?;
    Ok(StorageVolumeSnapshotPut {
        description: view.description,
        expires_at: view.expires_at,
    })
}

async fn show(State(app): Daemon, Path(names): Names, params: Params) -> Reply {
    let (target, name) = within(&names, &params);
    let put = current(&app, target, name).await?;
    tagged(volume::snapshot(&app, target, name).await?, &put)
}

async fn change(
    State(app): Daemon,
    Identity(who): Identity,
    Path(names): Names,
    params: Params,
    edit: Edit,
) -> Reply {
    let (target, name) = within(&names, &params);
    let put = edit.apply("snapshot", &current(&app, target, name).await?)?;
    volume::update_snapshot(&app, &who, target, name, put).await?;
    done()
}

async fn rename(
    State(app): Daemon,
    Identity(who): Identity,
    Path(names): Names,
    params: Params,
    Body(post): Body<StorageVolumeSnapshotPost>,
) -> Reply {
    let (target, name) = within(&names, &params);
    if post.migration {
        let order = Sending {
            snapshot: Some(name.to_owned()),
            volume_only: true,
            target: post.target,
        };
        return accepted(volume::send(&app, &who, target, order).await?);
    }
    let path = (name, post.name.as_str());
    accepted(volume::rename_snapshot(&app, &who, target, path).await?)
}

async fn remove(
    State(app): Daemon,
    Identity(who): Identity,
    Path(names): Names,
    params: Params,
) -> Reply {
    let (target, name) = within(&names, &params);
    accepted(volume::delete_snapshot(&app, &who, target, name).await?)
}
