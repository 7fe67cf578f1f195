//! `/1.0/images/aliases`. A name may hold `/`, escaped or not.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use rlxc_api::{ImageAliasesEntry, ImageAliasesEntryPost};

use super::edit::Edit;
use super::extract::{Body, Params};
use super::identity::{Caller, Identity};
use super::images::visible;
use super::render::{Reply, created, done, listing, tagged};
use crate::app::image::{self, alias, alias_url};
use crate::context::App;
use crate::error::Error;

type Daemon = State<Arc<App>>;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/1.0/images/aliases", get(list).post(create))
        .route(
            "/1.0/images/aliases/{*name}",
            get(show)
                .put(change)
                .patch(change)
                .post(rename)
                .delete(remove),
        )
}

async fn list(State(app): Daemon, caller: Caller, params: Params) -> Reply {
    let mut all = alias::list(&app, &params.project).await?;
    if !caller.is_trusted() {
        let images = image::list(&app, &params.project).await?;
        all.retain(|item| {
            let mut seen = images.iter().filter(|image| image.put.public);
            seen.any(|image| image.fingerprint == item.put.target)
        });
    }
    listing(&params, all, |item| alias_url(&item.name))
}

async fn create(
    State(app): Daemon,
    Identity(who): Identity,
    params: Params,
    Body(entry): Body<ImageAliasesEntry>,
) -> Reply {
    let location = alias_url(&entry.name);
    alias::create(&app, &who, &params.project, entry).await?;
    created(&location)
}

async fn show(
    State(app): Daemon,
    caller: Caller,
    Path(name): Path<String>,
    params: Params,
) -> Reply {
    let view = alias::get(&app, &params.project, &name).await?;
    // What a stranger may not see is not there for them: the same words as for what is not.
    visible(&app, &caller, &params, &view.put.target)
        .await
        .map_err(|_hidden| Error::not_found("image alias", &name))?;
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
        "image alias",
        &alias::get(&app, &params.project, &name).await?.put,
    )?;
    alias::update(&app, &who, &params.project, &name, put).await?;
    done()
}

async fn rename(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    params: Params,
    Body(post): Body<ImageAliasesEntryPost>,
) -> Reply {
    alias::rename(&app, &who, &params.project, &name, &post.name).await?;
    created(&alias_url(&post.name))
}

async fn remove(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    params: Params,
) -> Reply {
    alias::delete(&app, &who, &params.project, &name).await?;
    done()
}
