//! `/1.0/networks/{name}/forwards`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use rlxc_api::NetworkForwardsPost;

use super::edit::Edit;
use super::extract::{Body, Params};
use super::identity::Caller;
use super::networks::find;
use super::render::{Reply, created, done, listing, tagged};
use crate::app::network::forward;
use crate::context::App;

type Daemon = State<Arc<App>>;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/1.0/networks/{name}/forwards", get(list).post(create))
        .route(
            "/1.0/networks/{name}/forwards/{address}",
            get(show).put(change).patch(change).delete(remove),
        )
}

async fn list(
    State(app): Daemon,
    caller: Caller,
    Path(name): Path<String>,
    params: Params,
) -> Reply {
    find(&app, &caller, &params, &name).await?;
    let all = forward::list(&app, &name).await?;
    listing(&params, all, |item| {
        forward::url(&name, &item.listen_address)
    })
}

async fn create(
    State(app): Daemon,
    caller: Caller,
    Path(name): Path<String>,
    params: Params,
    Body(post): Body<NetworkForwardsPost>,
) -> Reply {
    find(&app, &caller, &params, &name).await?;
    let location = forward::url(&name, &post.listen_address);
    forward::create(&app, &caller.requestor, &name, post).await?;
    created(&location)
}

async fn show(
    State(app): Daemon,
    caller: Caller,
    Path((name, address)): Path<(String, String)>,
    params: Params,
) -> Reply {
    find(&app, &caller, &params, &name).await?;
    let view = forward::get(&app, &name, &address).await?;
    let put = view.put.clone();
    tagged(view, &put)
}

async fn change(
    State(app): Daemon,
    caller: Caller,
    Path((name, address)): Path<(String, String)>,
    params: Params,
    edit: Edit,
) -> Reply {
    find(&app, &caller, &params, &name).await?;
    let current = forward::get(&app, &name, &address).await?.put;
    let put = edit.apply("network forward", &current)?;
    forward::update(&app, &caller.requestor, &name, &address, put).await?;
    done()
}

async fn remove(
    State(app): Daemon,
    caller: Caller,
    Path((name, address)): Path<(String, String)>,
    params: Params,
) -> Reply {
    find(&app, &caller, &params, &name).await?;
    forward::delete(&app, &caller.requestor, &name, &address).await?;
    done()
}
