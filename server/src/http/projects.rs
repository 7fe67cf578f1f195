//! `/1.0/projects`. Restricted clients see their own; only unrestricted ones get past [`super::access`] to change any.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use rlxc_api::{ProjectPost, ProjectsPost};

use super::edit::Edit;
use super::extract::{Body, Params};
use super::identity::{Caller, Identity};
use super::render::{Reply, accepted, created, done, listing, sync, tagged};
use crate::app::project;
use crate::context::App;

type Daemon = State<Arc<App>>;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/1.0/projects", get(list).post(create))
        .route(
            "/1.0/projects/{name}",
            get(show)
                .put(change)
                .patch(change)
                .post(rename)
                .delete(remove),
        )
        .route("/1.0/projects/{name}/state", get(state))
}

async fn list(State(app): Daemon, caller: Caller, params: Params) -> Reply {
    let mut all = project::list(&app).await?;
    all.retain(|item| caller.reaches(&item.name));
    listing(&params, all, |item| project::url(&item.name))
}

async fn create(
    State(app): Daemon,
    Identity(who): Identity,
    Body(post): Body<ProjectsPost>,
) -> Reply {
    let location = project::url(&post.name);
    project::create(&app, &who, post).await?;
    created(&location)
}

async fn show(State(app): Daemon, Path(name): Path<String>) -> Reply {
    let view = project::get(&app, &name).await?;
    let put = view.put.clone();
    tagged(view, &put)
}

async fn change(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    edit: Edit,
) -> Reply {
    let put = edit.apply("project", &project::get(&app, &name).await?.put)?;
    project::update(&app, &who, &name, put).await?;
    done()
}

async fn rename(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    Body(post): Body<ProjectPost>,
) -> Reply {
    accepted(project::rename(&app, &who, &name, &post.name).await?)
}

async fn remove(State(app): Daemon, Identity(who): Identity, Path(name): Path<String>) -> Reply {
    project::delete(&app, &who, &name).await?;
    done()
}

async fn state(State(app): Daemon, Path(name): Path<String>) -> Reply {
    sync(project::state(&app, &name).await?)
}
