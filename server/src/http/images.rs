//! `/1.0/images`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::routing::{get, post};
use rlxc_api::ImagePut;

use super::extract::{Body, Params, check_match};
use super::identity::Identity;
use super::render::{Reply, accepted, done, etag, listing, tagged};
use super::{image_aliases, image_export, image_upload, patch};
use crate::app::image;
use crate::context::App;

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

async fn list(State(app): Daemon, params: Params) -> Reply {
    let all = image::list(&app, &params.project).await?;
    listing(params.recursion, all, |item| image::url(&item.fingerprint))
}

async fn show(State(app): Daemon, Path(fingerprint): Path<String>, params: Params) -> Reply {
    let view = image::get(&app, &params.project, &fingerprint).await?;
    let put = view.put.clone();
    tagged(view, &put)
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
