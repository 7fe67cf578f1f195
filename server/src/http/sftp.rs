//! `GET /1.0/instances/{name}/sftp`: the connection itself becomes a stream of SFTP.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONNECTION, UPGRADE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse as _;
use axum::routing::get;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use rlxc_sys::chain::chain;

use super::extract::Params;
use super::render::Reply;
use crate::app::instance;
use crate::context::App;
use crate::error::Error;
use crate::files;

const SFTP: &str = "sftp";

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/{name}/sftp", get(upgrade))
}

async fn upgrade(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    params: Params,
    headers: HeaderMap,
    mut request: Request,
) -> Reply {
    let id = instance::find_id(&app, &params.project, &name).await?;
    let wants =
        |value: &axum::http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(SFTP.as_bytes());
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let Some(upgrade) = upgrade.filter(|_| headers.get(UPGRADE).is_some_and(wants)) else {
        return Err(Error::Invalid("this needs the header `Upgrade: sftp`".to_owned()).into());
    };
    let tasks = app.tasks.clone();
    tasks.spawn(async move {
        let served = match upgrade.await {
            Ok(stream) => files::serve_sftp(app, id, TokioIo::new(stream)).await,
            Err(error) => Err(std::io::Error::other(error)),
        };
        if let Err(error) = served {
            tracing::debug!(error = %chain(&error), "a session of SFTP broke");
        }
    });
    let headers = [(CONNECTION, "Upgrade"), (UPGRADE, SFTP)];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}
