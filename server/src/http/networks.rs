//! `/1.0/networks`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use rlxc_api::{NetworkPut, NetworksPost};

use super::extract::{Body, Params, check_match};
use super::identity::Identity;
use super::patch;
use super::render::{Reply, created, done, etag, listing, sync, tagged};
use crate::app::network;
use crate::context::App;

type Daemon = State<Arc<App>>;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/1.0/networks", get(list).post(create))
        .route(
            "/1.0/networks/{name}",
            get(show).put(replace).patch(merge).delete(remove),
        )
        .route("/1.0/networks/{name}/leases", get(leases))
        .route("/1.0/networks/{name}/state", get(state))
}

async fn list(State(app): Daemon, params: Params) -> Reply {
    listing(params.recursion, network::list(&app).await?, |item| {
        network::url(&item.name)
    })
}

async fn create(
    State(app): Daemon,
    Identity(who): Identity,
    Body(post): Body<NetworksPost>,
) -> Reply {
    let location = network::url(&post.name);
    network::create(&app, &who, post).await?;
    created(&location)
}

async fn show(State(app): Daemon, Path(name): Path<String>) -> Reply {
    let view = network::get(&app, &name).await?;
    let put = view.put.clone();
    tagged(view, &put)
}

async fn replace(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    params: Params,
    Body(put): Body<NetworkPut>,
) -> Reply {
    check_match(
        &params,
        "network",
        &etag(&network::get(&app, &name).await?.put),
    )?;
    network::update(&app, &who, &name, put).await?;
    done()
}

async fn merge(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    Body(changes): Body<serde_json::Value>,
) -> Reply {
    let current = network::get(&app, &name).await?.put;
    let put = patch::merge(&current, changes)?;
    network::update(&app, &who, &name, put).await?;
    done()
}

async fn remove(State(app): Daemon, Identity(who): Identity, Path(name): Path<String>) -> Reply {
    network::delete(&app, &who, &name).await?;
    done()
}

async fn leases(State(app): Daemon, Path(name): Path<String>) -> Reply {
    sync(network::leases(&app, &name).await?)
}

async fn state(Path(name): Path<String>) -> Reply {
    sync(network::state(&name).await?)
}
