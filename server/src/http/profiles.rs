//! `/1.0/profiles`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use rlxc_api::{ProfilePost, ProfilesPost};

use super::edit::Edit;
use super::extract::{Body, Params};
use super::identity::{Caller, Identity};
use super::render::{Reply, created, done, listing, tagged};
use crate::app::profile;
use crate::context::App;
use crate::error::Result;
use crate::plan::project::Feature;

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

/// The project whose profiles are meant.
async fn owner(app: &App, params: &Params) -> Result<String> {
    app.owner(&params.project, Feature::Profiles).await
}

async fn list(State(app): Daemon, caller: Caller, params: Params) -> Reply {
    let owner = owner(&app, &params).await?;
    let project = (!params.all_projects).then_some(owner.as_str());
    let mut all = profile::list(&app, project).await?;
    all.retain(|item| project.is_some() || caller.reaches(&item.project));
    for item in &mut all {
        caller.retain_urls(&mut item.used_by);
    }
    listing(&params, all, |item| profile::url(&item.project, &item.name))
}

async fn create(
    State(app): Daemon,
    Identity(who): Identity,
    params: Params,
    Body(post): Body<ProfilesPost>,
) -> Reply {
    let project = owner(&app, &params).await?;
    let location = profile::url(&project, &post.name);
    profile::create(&app, &who, &project, post).await?;
    created(&location)
}

async fn show(
    State(app): Daemon,
    caller: Caller,
    Path(name): Path<String>,
    params: Params,
) -> Reply {
    let mut view = profile::get(&app, &owner(&app, &params).await?, &name).await?;
    caller.retain_urls(&mut view.used_by);
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
    let project = owner(&app, &params).await?;
    let put = edit.apply("profile", &profile::get(&app, &project, &name).await?.put)?;
    profile::update(&app, &who, &project, &name, put).await?;
    done()
}

async fn rename(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    params: Params,
    Body(post): Body<ProfilePost>,
) -> Reply {
    let project = owner(&app, &params).await?;
    profile::rename(&app, &who, &project, &name, &post.name).await?;
    created(&profile::url(&project, &post.name))
}

async fn remove(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    params: Params,
) -> Reply {
    let project = owner(&app, &params).await?;
    profile::delete(&app, &who, &project, &name).await?;
    done()
}
