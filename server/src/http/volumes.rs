//! `/1.0/storage-pools/{pool}/volumes`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use rlxc_api::StorageVolume;

use super::extract::Params;
use super::identity::Caller;
use super::render::{Reply, listing, tagged};
use crate::app::volume;
use crate::context::App;
use crate::error::Error;

type Daemon = State<Arc<App>>;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/1.0/storage-pools/{pool}/volumes", get(list))
        .route("/1.0/storage-pools/{pool}/volumes/{kind}", get(list_kind))
        .route("/1.0/storage-pools/{pool}/volumes/{kind}/{name}", get(show))
}

/// Volumes of the project that is meant; unpacked images are nobody's in particular.
fn shown(caller: &Caller, params: &Params, mut volumes: Vec<StorageVolume>) -> Vec<StorageVolume> {
    volumes.retain(|volume| {
        let meant =
            params.all_projects || volume.kind == "image" || volume.project == params.project;
        meant
            && caller.reaches(&volume.project)
            && (volume.kind != "image" || caller.is_unrestricted())
    });
    volumes
}

async fn list(
    State(app): Daemon,
    caller: Caller,
    Path(pool): Path<String>,
    params: Params,
) -> Reply {
    let volumes = shown(&caller, &params, volume::list(&app, &pool, None).await?);
    listing(&params, volumes, |item| volume::url(&pool, item))
}

async fn list_kind(
    State(app): Daemon,
    caller: Caller,
    Path((pool, kind)): Path<(String, String)>,
    params: Params,
) -> Reply {
    let volumes = volume::list(&app, &pool, Some(&kind)).await?;
    let volumes = shown(&caller, &params, volumes);
    listing(&params, volumes, |item| volume::url(&pool, item))
}

async fn show(
    State(app): Daemon,
    caller: Caller,
    Path((pool, kind, name)): Path<(String, String, String)>,
    params: Params,
) -> Reply {
    let all = volume::list(&app, &pool, Some(&kind)).await?;
    let found = shown(&caller, &params, all)
        .into_iter()
        .find(|volume| volume.name == name);
    let volume =
        found.ok_or_else(|| Error::not_found("storage volume", format!("{pool}/{kind}/{name}")))?;
    let put = volume.put.clone();
    tagged(volume, &put)
}
