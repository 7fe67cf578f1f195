//! `/1.0/network-zones`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use rlxc_api::{NetworkZoneRecordsPost, NetworkZonesPost};

use super::edit::Edit;
use super::extract::{Body, Params};
use super::identity::Identity;
use super::render::{Reply, created, done, listing, tagged};
use crate::app::network::zone::{self, record};
use crate::context::App;

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

async fn list(State(app): Daemon, params: Params) -> Reply {
    let all = zone::list(&app, params.of_one_project()).await?;
    listing(&params, all, zone::scoped_url)
}

async fn create(
    State(app): Daemon,
    Identity(who): Identity,
    params: Params,
    Body(post): Body<NetworkZonesPost>,
) -> Reply {
    created(&zone::create(&app, &who, &params.project, post).await?)
}

async fn show(State(app): Daemon, Path(name): Path<String>, params: Params) -> Reply {
    let view = zone::get(&app, &params.project, &name).await?;
    let put = view.put.clone();
    tagged(view, &put)
}

async fn change(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    params: Params,
    edit: Edit,
) -> Reply {
    let current = zone::get(&app, &params.project, &name).await?.put;
    let put = edit.apply("network zone", &current)?;
    zone::update(&app, &who, &params.project, &name, put).await?;
    done()
}

async fn remove(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    params: Params,
) -> Reply {
    zone::delete(&app, &who, &params.project, &name).await?;
    done()
}

async fn list_records(State(app): Daemon, Path(name): Path<String>, params: Params) -> Reply {
    let all = record::list(&app, &params.project, &name).await?;
    listing(&params, all, |item| record::url(&name, &item.name))
}

async fn create_record(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    params: Params,
    Body(post): Body<NetworkZoneRecordsPost>,
) -> Reply {
    let location = record::url(&name, &post.name);
    record::create(&app, &who, &params.project, &name, post).await?;
    created(&location)
}

async fn show_record(
    State(app): Daemon,
    Path((name, record)): Path<(String, String)>,
    params: Params,
) -> Reply {
    let view = record::get(&app, &params.project, &name, &record).await?;
    let put = view.put.clone();
    tagged(view, &put)
}

async fn change_record(
    State(app): Daemon,
    Identity(who): Identity,
    Path((name, record)): Path<(String, String)>,
    params: Params,
    edit: Edit,
) -> Reply {
    let current = record::get(&app, &params.project, &name, &record)
        .await?
        .put;
    let put = edit.apply("record", &current)?;
    record::update(&app, &who, (&params.project, &name, &record), put).await?;
    done()
}

async fn remove_record(
    State(app): Daemon,
    Identity(who): Identity,
    Path((name, record)): Path<(String, String)>,
    params: Params,
) -> Reply {
    record::delete(&app, &who, (&params.project, &name, &record)).await?;
    done()
}
