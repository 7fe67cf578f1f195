//! `/1.0/images`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::routing::{get, post};
use rlxc_api::ImagePut;

use super::extract::{Body, Params, check_match};
use super::identity::{Caller, Identity};
use super::render::{Reply, accepted, done, etag, listing, tagged};
use super::{image_aliases, image_export, image_upload, patch};
use crate::app::image;
use crate::context::App;
use crate::error::{Error, Result};

type Daemon = State<Arc<App>>;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route(
            "/1.0/images",
            get(list)
                .post(image_upload::create)
                .layer(DefaultBodyLimit::disable()),
        )
        .route(
            "/1.0/images/{fingerprint}",
            get(show).put(replace).patch(merge).delete(remove),
        )
        .route(
            "/1.0/images/{fingerprint}/export",
            get(image_export::export),
        )
        .route("/1.0/images/{fingerprint}/refresh", post(refresh))
        .merge(image_aliases::routes())
}

async fn list(State(app): Daemon, caller: Caller, params: Params) -> Reply {
    let mut all = image::list(&app, &params.project).await?;
    all.retain(|item| caller.is_trusted() || item.put.public);
    listing(params.recursion, all, |item| image::url(&item.fingerprint))
}

async fn show(
    State(app): Daemon,
    caller: Caller,
    Path(fingerprint): Path<String>,
    params: Params,
) -> Reply {
    check_visible(&app, &caller, &params.project, &fingerprint).await?;
    let view = image::get(&app, &params.project, &fingerprint).await?;
    let put = view.put.clone();
    tagged(view, &put)
}

/// Strangers see public images only. What they are not shown is not there for them, neither as part of a prefix.
pub(super) async fn check_visible(
    app: &App,
    caller: &Caller,
    project: &str,
    fingerprint: &str,
) -> Result<()> {
    if caller.is_trusted() {
        return Ok(());
    }
    let all = image::list(app, project).await?;
    let mut seen = all
        .iter()
        .filter(|item| item.put.public && item.fingerprint == fingerprint);
    seen.next()
        .map(|_| ())
        .ok_or_else(|| Error::not_found("image", fingerprint))
}

async fn replace(
    State(app): Daemon,
    Identity(who): Identity,
    Path(fingerprint): Path<String>,
    params: Params,
    Body(put): Body<ImagePut>,
) -> Reply {
    let current = image::get(&app, &params.project, &fingerprint).await?.put;
    check_match(&params, "image", &etag(&current))?;
    image::update(&app, &who, &params.project, &fingerprint, put).await?;
    done()
}

async fn merge(
    State(app): Daemon,
    Identity(who): Identity,
    Path(fingerprint): Path<String>,
    params: Params,
    Body(changes): Body<serde_json::Value>,
) -> Reply {
    let current = image::get(&app, &params.project, &fingerprint).await?.put;
    check_match(&params, "image", &etag(&current))?;
    let put = patch::merge(&current, changes)?;
    image::update(&app, &who, &params.project, &fingerprint, put).await?;
    done()
}

async fn remove(
    State(app): Daemon,
    Identity(who): Identity,
    Path(fingerprint): Path<String>,
    params: Params,
) -> Reply {
    accepted(image::delete(&app, &who, &params.project, &fingerprint).await?)
}

async fn refresh(
    State(app): Daemon,
    Identity(who): Identity,
    Path(fingerprint): Path<String>,
    params: Params,
) -> Reply {
    accepted(image::refresh(&app, &who, &params.project, &fingerprint).await?)
}
