//! `/1.0/storage-pools`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use rlxc_api::StoragePoolsPost;

use super::edit::Edit;
use super::extract::{Body, Params};
use super::identity::Identity;
use super::render::{Reply, created, done, listing, sync, tagged};
use crate::app::pool;
use crate::context::App;

type Daemon = State<Arc<App>>;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/1.0/storage-pools", get(list).post(create))
        .route(
            "/1.0/storage-pools/{name}",
            get(show).put(change).patch(change).delete(remove),
        )
        .route("/1.0/storage-pools/{name}/resources", get(resources))
}

async fn list(State(app): Daemon, params: Params) -> Reply {
    listing(&params, pool::list(&app).await?, |item| {
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

async fn change(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    edit: Edit,
) -> Reply {
    let put = edit.apply("storage pool", &pool::get(&app, &name).await?.put)?;
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
