//! `/1.0/networks`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use rlxc_api::NetworksPost;

use super::edit::Edit;
use super::extract::{Body, Params};
use super::identity::Identity;
use super::render::{Reply, created, done, listing, sync, tagged};
use crate::app::network;
use crate::context::App;

type Daemon = State<Arc<App>>;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/1.0/networks", get(list).post(create))
        .route(
            "/1.0/networks/{name}",
            get(show).put(change).patch(change).delete(remove),
        )
        .route("/1.0/networks/{name}/leases", get(leases))
        .route("/1.0/networks/{name}/state", get(state))
}

async fn list(State(app): Daemon, params: Params) -> Reply {
    listing(&params, network::list(&app).await?, |item| {
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

async fn change(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    edit: Edit,
) -> Reply {
    let put = edit.apply("network", &network::get(&app, &name).await?.put)?;
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
