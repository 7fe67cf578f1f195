//! `/1.0/profiles`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use rlxc_api::{ProfilePost, ProfilePut, ProfilesPost};

use super::extract::{Body, Params, check_match};
use super::identity::Identity;
use super::patch;
use super::render::{Reply, created, done, etag, listing, tagged};
use crate::app::profile;
use crate::context::App;

type Daemon = State<Arc<App>>;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/1.0/profiles", get(list).post(create))
        .route(
            "/1.0/profiles/{name}",
            get(show)
                .put(replace)
                .patch(merge)
                .post(rename)
                .delete(remove),
        )
}

async fn list(State(app): Daemon, params: Params) -> Reply {
    listing(
        params.recursion,
        profile::list(&app, &params.project).await?,
        |item| format!("/1.0/profiles/{}", item.name),
    )
}

async fn create(
    State(app): Daemon,
    Identity(who): Identity,
    params: Params,
    Body(post): Body<ProfilesPost>,
) -> Reply {
    let location = format!("/1.0/profiles/{}", post.name);
    profile::create(&app, &who, &params.project, post).await?;
    created(&location)
}

async fn show(State(app): Daemon, Path(name): Path<String>, params: Params) -> Reply {
    let view = profile::get(&app, &params.project, &name).await?;
    let put = view.put.clone();
    tagged(view, &put)
}

async fn replace(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    params: Params,
    Body(put): Body<ProfilePut>,
) -> Reply {
    check_match(
        &params,
        "profile",
        &etag(&profile::get(&app, &params.project, &name).await?.put),
    )?;
    profile::update(&app, &who, &params.project, &name, put).await?;
    done()
}

async fn merge(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    params: Params,
    Body(changes): Body<serde_json::Value>,
) -> Reply {
    let current = profile::get(&app, &params.project, &name).await?.put;
    let put = patch::merge(&current, changes)?;
    profile::update(&app, &who, &params.project, &name, put).await?;
    done()
}

async fn rename(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    params: Params,
    Body(post): Body<ProfilePost>,
) -> Reply {
    profile::rename(&app, &who, &params.project, &name, &post.name).await?;
    created(&format!("/1.0/profiles/{}", post.name))
}

async fn remove(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    params: Params,
) -> Reply {
    profile::delete(&app, &who, &params.project, &name).await?;
    done()
}
