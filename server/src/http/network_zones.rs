//! `/1.0/network-zones`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use rlxc_api::{NetworkZone, NetworkZoneRecordsPost, NetworkZonesPost};

use super::edit::Edit;
use super::extract::{Body, Params};
use super::identity::Caller;
use super::render::{Reply, created, done, listing, tagged};
use crate::app::network::zone::{self, record};
use crate::context::App;
use crate::error::{Error, Result};

type Daemon = State<Arc<App>>;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/1.0/network-zones", get(list).post(create))
        .route(
            "/1.0/network-zones/{name}",
            get(show).put(change).patch(change).delete(remove),
        )
        .route(
            "/1.0/network-zones/{name}/records",
            get(list_records).post(create_record),
        )
        .route(
            "/1.0/network-zones/{name}/records/{record}",
            get(show_record)
                .put(change_record)
                .patch(change_record)
                .delete(remove_record),
        )
}

/// A zone that the caller may see. It holds the keys of its peers: to have networks in common with its project is not enough.
async fn find(app: &App, caller: &Caller, params: &Params, name: &str) -> Result<NetworkZone> {
    let mut view = zone::get(app, &params.project, name).await?;
    if !caller.reaches(&view.project) {
        return Err(Error::not_found("network zone", name));
    }
    caller.retain_urls(&mut view.used_by);
    Ok(view)
}

async fn list(State(app): Daemon, caller: Caller, params: Params) -> Reply {
    let mut all = zone::list(&app, params.of_one_project()).await?;
    all.retain(|item| caller.reaches(&item.project));
    for item in &mut all {
        caller.retain_urls(&mut item.used_by);
    }
    listing(&params, all, zone::scoped_url)
}

async fn create(
    State(app): Daemon,
    caller: Caller,
    params: Params,
    Body(post): Body<NetworkZonesPost>,
) -> Reply {
    created(&zone::create(&app, &caller.requestor, &params.project, post).await?)
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
    let put = edit.apply("network zone", &current)?;
    zone::update(&app, &caller.requestor, &params.project, &name, put).await?;
    done()
}

async fn remove(
    State(app): Daemon,
    caller: Caller,
    Path(name): Path<String>,
    params: Params,
) -> Reply {
    find(&app, &caller, &params, &name).await?;
    zone::delete(&app, &caller.requestor, &params.project, &name).await?;
    done()
}

async fn list_records(
    State(app): Daemon,
    caller: Caller,
    Path(name): Path<String>,
    params: Params,
) -> Reply {
    find(&app, &caller, &params, &name).await?;
    let all = record::list(&app, &params.project, &name).await?;
    listing(&params, all, |item| record::url(&name, &item.name))
}

async fn create_record(
    State(app): Daemon,
    caller: Caller,
    Path(name): Path<String>,
    params: Params,
    Body(post): Body<NetworkZoneRecordsPost>,
) -> Reply {
    find(&app, &caller, &params, &name).await?;
    let location = record::url(&name, &post.name);
    record::create(&app, &caller.requestor, &params.project, &name, post).await?;
    created(&location)
}

async fn show_record(
    State(app): Daemon,
    caller: Caller,
    Path((name, record)): Path<(String, String)>,
    params: Params,
) -> Reply {
    find(&app, &caller, &params, &name).await?;
    let view = record::get(&app, &params.project, &name, &record).await?;
    let put = view.put.clone();
    tagged(view, &put)
}

async fn change_record(
    State(app): Daemon,
    caller: Caller,
    Path((name, record)): Path<(String, String)>,
    params: Params,
    edit: Edit,
) -> Reply {
    find(&app, &caller, &params, &name).await?;
    let current = record::get(&app, &params.project, &name, &record)
        .await?
        .put;
    let put = edit.apply("record", &current)?;
    record::update(
        &app,
        &caller.requestor,
        (&params.project, &name, &record),
        put,
    )
    .await?;
    done()
}

async fn remove_record(
    State(app): Daemon,
    caller: Caller,
    Path((name, record)): Path<(String, String)>,
    params: Params,
) -> Reply {
    find(&app, &caller, &params, &name).await?;
    record::delete(&app, &caller.requestor, (&params.project, &name, &record)).await?;
    done()
}
