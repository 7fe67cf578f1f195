//! `/1.0/images/{fingerprint}/export`: the file of a unified image, or both of a split one as a form; POST sends it to another
//! server.

use std::sync::Arc;

use axum::body::Body as Content;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use rlxc_api::ImageExportPost;

use super::extract::{Body, Params};
use super::identity::{Caller, Identity};
use super::images::visible;
use super::render::{Reply, accepted};
use crate::app::image::{self, secret};
use crate::context::App;
use crate::error::{Error, Result};
use crate::model::Image;

pub(super) async fn export(
    State(app): State<Arc<App>>,
    caller: Caller,
    method: Method,
    Path(fingerprint): Path<String>,
    params: Params,
) -> Reply {
    let fingerprint = visible(&app, &caller, &params, &fingerprint).await?;
    let image = image::find(&app, &params.project, &fingerprint).await?;
    if method == Method::GET
        && let Some(given) = &params.secret
        && !secret::use_up(&app, &params.project, &image.fingerprint, given)
        && !caller.is_trusted()
        && !image.public
    {
        // Somebody else was faster with the same secret.
        return Err(Error::not_found("image", fingerprint).into());
    }
    let sent = send(&app, &image).await?;
    image::tell_retrieved(&app, &caller.requestor, &params.project, &image.fingerprint);
    Ok(sent)
}

/// The file, or the files, of an image.
pub(super) async fn send(app: &App, image: &Image) -> Result<Response> {
    render(image::open(app, image).await?)
}

fn render(outgoing: image::Outgoing) -> Result<Response> {
    let mut builder = Response::builder()
        .status(StatusCode::OK)
        .header(header::CONTENT_TYPE, outgoing.kind)
        .header(header::CONTENT_LENGTH, outgoing.length);
    if !outgoing.is_form {
        let disposition = format!("inline;filename={}", outgoing.name);
        builder = builder.header(header::CONTENT_DISPOSITION, disposition);
    }
    builder
        .body(Content::from_stream(outgoing.content))
        .map_err(Error::internal)
}

pub(super) async fn push(
    State(app): State<Arc<App>>,
    Identity(who): Identity,
    Path(fingerprint): Path<String>,
    params: Params,
    Body(post): Body<ImageExportPost>,
) -> Reply {
    accepted(image::push(&app, &who, &params.project, &fingerprint, post).await?)
}
