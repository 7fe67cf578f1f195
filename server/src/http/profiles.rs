//! `/1.0/profiles`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use rlxc_api::{ProfilePost, ProfilesPost};

use super::edit::Edit;
use super::extract::{Body, Params};
use super::identity::Identity;
use super::render::{Reply, created, done, listing, tagged};
use crate::app::profile;
use crate::context::App;

type Daemon = State<Arc<App>>;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/1.0/profiles", get(list).post(create))
        .route(
            "/1.0/profiles/{name}",
            get(show)
                .put(change)
                .patch(change)
                .post(rename)
                .delete(remove),
        )
}

async fn list(State(app): Daemon, params: Params) -> Reply {
    listing(
        &params,
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

async fn change(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    params: Params,
    edit: Edit,
) -> Reply {
    let put = edit.apply(
        "profile",
        &profile::get(&app, &params.project, &name).await?.put,
    )?;
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
