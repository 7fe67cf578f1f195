//! `/1.0/storage-pools`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use rlxc_api::{StoragePoolPut, StoragePoolsPost};

use super::extract::{Body, Params, check_match};
use super::identity::Identity;
use super::patch;
use super::render::{Reply, created, done, etag, listing, sync, tagged};
use crate::app::pool;
use crate::context::App;

type Daemon = State<Arc<App>>;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/1.0/storage-pools", get(list).post(create))
        .route(
            "/1.0/storage-pools/{name}",
            get(show).put(replace).patch(merge).delete(remove),
        )
        .route("/1.0/storage-pools/{name}/resources", get(resources))
}

async fn list(State(app): Daemon, params: Params) -> Reply {
    listing(params.recursion, pool::list(&app).await?, |item| {
        pool::url(&item.name)
    })
}

async fn create(
    State(app): Daemon,
    Identity(who): Identity,
    Body(post): Body<StoragePoolsPost>,
) -> Reply {
    let location = pool::url(&post.name);
    pool::create(&app, &who, post).await?;
    created(&location)
}

async fn show(State(app): Daemon, Path(name): Path<String>) -> Reply {
    let view = pool::get(&app, &name).await?;
    let put = view.put.clone();
    tagged(view, &put)
}

async fn replace(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    params: Params,
    Body(put): Body<StoragePoolPut>,
) -> Reply {
    check_match(
        &params,
        "storage pool",
        &etag(&pool::get(&app, &name).await?.put),
    )?;
    pool::update(&app, &who, &name, put).await?;
    done()
}

async fn merge(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    Body(changes): Body<serde_json::Value>,
) -> Reply {
    let current = pool::get(&app, &name).await?.put;
    let put = patch::merge(&current, changes)?;
    pool::update(&app, &who, &name, put).await?;
    done()
}

async fn remove(State(app): Daemon, Identity(who): Identity, Path(name): Path<String>) -> Reply {
    pool::delete(&app, &who, &name).await?;
    done()
}

async fn resources(State(app): Daemon, Path(name): Path<String>) -> Reply {
    sync(pool::resources(&app, &name).await?)
}
