//! `/1.0/networks`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use rlxc_api::{Network, NetworkPost, NetworksPost};

use super::edit::Edit;
use super::extract::{Body, Params};
use super::identity::{Caller, Identity};
use super::render::{Reply, created, done, listing, sync, tagged};
use crate::app::network;
use crate::context::{App, scoped};
use crate::error::{Error, Result};
use crate::plan::project::Feature;

type Daemon = State<Arc<App>>;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/1.0/networks", get(list).post(create))
        .route(
            "/1.0/networks/{name}",
            get(show)
                .put(change)
                .patch(change)
                .post(rename)
                .delete(remove),
        )
        .route("/1.0/networks/{name}/leases", get(leases))
        .route("/1.0/networks/{name}/state", get(state))
        .route("/1.0/network-allocations", get(allocations))
}

/// The project whose networks are meant.
async fn owner(app: &App, params: &Params) -> Result<String> {
    app.owner(&params.project, Feature::Networks).await
}

/// A network that the caller may see.
pub(super) async fn find(
    app: &App,
    caller: &Caller,
    params: &Params,
    name: &str,
) -> Result<Network> {
    let mut view = network::get(app, &owner(app, params).await?, name).await?;
    if !is_shown(caller, &view) {
        return Err(Error::not_found("network", name));
    }
    caller.retain_urls(&mut view.used_by);
    Ok(view)
}

/// The host's own interfaces are for those who may see the host.
fn is_shown(caller: &Caller, view: &Network) -> bool {
    view.managed || caller.is_unrestricted()
}

async fn list(State(app): Daemon, caller: Caller, params: Params) -> Reply {
    let mut all = if params.all_projects {
        network::list_all(&app).await?
    } else {
        network::list(&app, &owner(&app, &params).await?).await?
    };
    all.retain(|item| {
        is_shown(&caller, item) && (!params.all_projects || caller.reaches(&item.project))
    });
    for item in &mut all {
        caller.retain_urls(&mut item.used_by);
    }
    listing(&params, all, |item| {
        scoped(network::url(&item.name), &item.project)
    })
}

async fn create(
    State(app): Daemon,
    Identity(who): Identity,
    params: Params,
    Body(post): Body<NetworksPost>,
) -> Reply {
    let location = network::url(&post.name);
    network::create(&app, &who, &owner(&app, &params).await?, post).await?;
    created(&location)
}

async fn show(
    State(app): Daemon,
    caller: Caller,
    Path(name): Path<String>,
    params: Params,
) -> Reply {
    let view = find(&app, &caller, &params, &name).await?;
    let put = view.put.clone();
    tagged(view, &put)
}

async fn change(
    State(app): Daemon,
    caller: Caller,
    Path(name): Path<String>,
    params: Params,
    edit: Edit,
) -> Reply {
    let current = find(&app, &caller, &params, &name).await?.put;
    let put = edit.apply("network", &current)?;
    network::update(&app, &caller.requestor, &name, put).await?;
    done()
}

async fn rename(
    State(app): Daemon,
    caller: Caller,
    Path(name): Path<String>,
    params: Params,
    Body(post): Body<NetworkPost>,
) -> Reply {
    find(&app, &caller, &params, &name).await?;
    network::rename(&app, &caller.requestor, &name, &post.name).await?;
    created(&network::url(&post.name))
}

async fn allocations(State(app): Daemon) -> Reply {
    sync(network::allocations(&app).await?)
}

async fn remove(
    State(app): Daemon,
    caller: Caller,
    Path(name): Path<String>,
    params: Params,
) -> Reply {
    find(&app, &caller, &params, &name).await?;
    network::delete(&app, &caller.requestor, &name).await?;
    done()
}

/// Leases tell names of instances: those of other projects are not for everybody.
async fn leases(
    State(app): Daemon,
    caller: Caller,
    Path(name): Path<String>,
    params: Params,
) -> Reply {
    find(&app, &caller, &params, &name).await?;
    let mut leases = network::leases(&app, &name).await?;
    if !caller.is_unrestricted() {
        let own = network::addresses_of(&app, &params.project).await?;
        leases.retain(|lease| own.contains(&lease.hwaddr.to_lowercase()));
    }
    sync(leases)
}

async fn state(
    State(app): Daemon,
    caller: Caller,
    Path(name): Path<String>,
    params: Params,
) -> Reply {
    if !caller.is_unrestricted() {
        find(&app, &caller, &params, &name).await?;
    }
    sync(network::state(&app, &name).await?)
}
