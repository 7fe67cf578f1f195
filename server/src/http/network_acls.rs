//! `/1.0/network-acls`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse as _;
use axum::routing::get;
use rlxc_api::{NetworkAclPost, NetworkAclsPost};

use super::edit::Edit;
use super::extract::{Body, Params};
use super::identity::{Caller, Identity};
use super::render::{Reply, created, done, listing, tagged};
use crate::app::network::{acl, acl_log};
use crate::context::App;
use crate::error::Error;

type Daemon = State<Arc<App>>;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/1.0/network-acls", get(list).post(create))
        .route(
            "/1.0/network-acls/{name}",
            get(show)
                .put(change)
                .patch(change)
                .post(rename)
                .delete(remove),
        )
        .route("/1.0/network-acls/{name}/log", get(log))
}

async fn list(State(app): Daemon, caller: Caller, params: Params) -> Reply {
    let mut all = acl::list(&app, params.of_one_project()).await?;
    all.retain(|item| !params.all_projects || caller.reaches(&item.project));
    for item in &mut all {
        caller.retain_urls(&mut item.used_by);
    }
    listing(&params, all, acl::scoped_url)
}

async fn create(
    State(app): Daemon,
    Identity(who): Identity,
    params: Params,
    Body(post): Body<NetworkAclsPost>,
) -> Reply {
    let location = acl::url(&post.name);
    acl::create(&app, &who, &params.project, post).await?;
    created(&location)
}

async fn show(
    State(app): Daemon,
    caller: Caller,
    Path(name): Path<String>,
    params: Params,
) -> Reply {
    let mut view = acl::get(&app, &params.project, &name).await?;
    caller.retain_urls(&mut view.used_by);
    let put = view.put.clone();
    tagged(view, &put)
}

/// The log tells of the packets of all who use the ACL: that they share it is not enough.
async fn log(
    State(app): Daemon,
    caller: Caller,
    Path(name): Path<String>,
    params: Params,
) -> Reply {
    let acl = acl::get(&app, &params.project, &name).await?;
    if !caller.reaches(&acl.project) {
        return Err(Error::not_found("log of network ACL", name).into());
    }
    let text = acl_log::read(&app, &params.project, &name).await?;
    Ok(([(CONTENT_TYPE, "application/octet-stream")], text).into_response())
}

async fn change(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    params: Params,
    edit: Edit,
) -> Reply {
    let current = acl::get(&app, &params.project, &name).await?.put;
    let put = edit.apply("network ACL", &current)?;
    acl::update(&app, &who, &params.project, &name, put).await?;
    done()
}

async fn rename(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    params: Params,
    Body(post): Body<NetworkAclPost>,
) -> Reply {
    acl::rename(&app, &who, &params.project, &name, &post.name).await?;
    created(&acl::url(&post.name))
}

async fn remove(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    params: Params,
) -> Reply {
    acl::delete(&app, &who, &params.project, &name).await?;
    done()
}
