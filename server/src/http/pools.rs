//! `/1.0/storage-pools`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use rlxc_api::{StoragePool, StoragePoolsPost};

use super::edit::Edit;
use super::extract::{Body, Params};
use super::identity::{Caller, Identity};
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

/// What callers may see of a pool: its keys tell of the host, and who uses it of others.
fn shown(caller: &Caller, mut pool: StoragePool) -> StoragePool {
    if !caller.is_unrestricted() {
        pool.put.config.clear();
        caller.retain_urls(&mut pool.used_by);
        pool.used_by.retain(|url| !url.starts_with("/1.0/images/"));
    }
    pool
}

async fn list(State(app): Daemon, caller: Caller, params: Params) -> Reply {
    let all = pool::list(&app).await?.into_iter();
    let all = all.map(|pool| shown(&caller, pool)).collect();
    listing(&params, all, |item: &StoragePool| pool::url(&item.name))
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

async fn show(State(app): Daemon, caller: Caller, Path(name): Path<String>) -> Reply {
    let view = shown(&caller, pool::get(&app, &name).await?);
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
