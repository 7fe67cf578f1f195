//! `/1.0/storage-pools/{pool}/volumes`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;

use super::extract::Params;
use super::render::{Reply, listing, tagged};
use crate::app::volume;
use crate::context::App;

type Daemon = State<Arc<App>>;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/1.0/storage-pools/{pool}/volumes", get(list))
        .route("/1.0/storage-pools/{pool}/volumes/{kind}", get(list_kind))
        .route("/1.0/storage-pools/{pool}/volumes/{kind}/{name}", get(show))
}

async fn list(State(app): Daemon, Path(pool): Path<String>, params: Params) -> Reply {
    let volumes = volume::list(&app, &pool, None).await?;
    listing(&params, volumes, |item| volume::url(&pool, item))
}

async fn list_kind(
    State(app): Daemon,
    Path((pool, kind)): Path<(String, String)>,
    params: Params,
) -> Reply {
    let volumes = volume::list(&app, &pool, Some(&kind)).await?;
    listing(&params, volumes, |item| volume::url(&pool, item))
}

async fn show(
    State(app): Daemon,
    Path((pool, kind, name)): Path<(String, String, String)>,
) -> Reply {
    let volume = volume::get(&app, &pool, &kind, &name).await?;
    let put = volume.put.clone();
    tagged(volume, &put)
}
