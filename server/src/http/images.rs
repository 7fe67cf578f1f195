//! `/1.0/images`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::routing::{get, post};

use super::edit::Edit;
use super::extract::Params;
use super::identity::{Caller, Identity};
use super::render::{Reply, accepted, done, listing, tagged};
use super::{image_aliases, image_export, image_upload};
use crate::app::image::{self, secret};
use crate::context::{App, scoped};
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
            get(show).put(change).patch(change).delete(remove),
        )
        .route(
            "/1.0/images/{fingerprint}/export",
            get(image_export::export).post(image_export::push),
        )
        .route("/1.0/images/{fingerprint}/secret", post(make_secret))
        .route("/1.0/images/{fingerprint}/refresh", post(refresh))
        .merge(image_aliases::routes())
}

async fn list(State(app): Daemon, caller: Caller, params: Params) -> Reply {
    let mut all = if params.all_projects {
        image::list_all(&app).await?
    } else {
        image::list(&app, &params.project).await?
    };
    let reached = |project: &str| !params.all_projects || caller.reaches(project);
    all.retain(|item| item.put.public || (caller.is_trusted() && reached(&item.project)));
    listing(&params, all, |item| {
        scoped(image::url(&item.fingerprint), &item.project)
    })
}

async fn show(
    State(app): Daemon,
    caller: Caller,
    Path(fingerprint): Path<String>,
    params: Params,
) -> Reply {
    let fingerprint = visible(&app, &caller, &params, &fingerprint).await?;
    let view = image::get(&app, &params.project, &fingerprint).await?;
    let put = view.put.clone();
    tagged(view, &put)
}

/// The whole fingerprint of an image that the caller may see. Strangers see public images only, and those that they have a
/// secret of; what they are not shown is not there for them, neither as part of a prefix.
pub(super) async fn visible(
    app: &App,
    caller: &Caller,
    params: &Params,
    fingerprint: &str,
) -> Result<String> {
    if caller.is_trusted() {
        let found = image::find(app, &params.project, fingerprint).await?;
        return Ok(found.fingerprint);
    }
    let given = params.secret.as_deref().unwrap_or_default();
    if secret::opens(app, &params.project, fingerprint, given) {
        return Ok(fingerprint.to_ascii_lowercase());
    }
    let mut all = image::list(app, &params.project).await?;
    all.retain(|item| item.put.public && item.fingerprint.starts_with(fingerprint));
    match all.pop() {
        Some(only) if all.is_empty() && !fingerprint.is_empty() => Ok(only.fingerprint),
        _ => Err(Error::not_found("image", fingerprint)),
    }
}

async fn change(
    State(app): Daemon,
    Identity(who): Identity,
    Path(fingerprint): Path<String>,
    params: Params,
    edit: Edit,
) -> Reply {
    let put = edit.apply(
        "image",
        &image::get(&app, &params.project, &fingerprint).await?.put,
    )?;
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

async fn make_secret(
    State(app): Daemon,
    Identity(who): Identity,
    Path(fingerprint): Path<String>,
    params: Params,
) -> Reply {
    accepted(secret::for_download(&app, &who, &params.project, &fingerprint).await?)
}

async fn refresh(
    State(app): Daemon,
    Identity(who): Identity,
    Path(fingerprint): Path<String>,
    params: Params,
) -> Reply {
    accepted(image::refresh(&app, &who, &params.project, &fingerprint).await?)
}
