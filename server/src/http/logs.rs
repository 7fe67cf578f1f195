//! `/1.0/instances/{name}/logs`, and recorded output of commands beneath it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body as Stream;
use axum::extract::{Path, State};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use super::extract::Params;
use super::identity::Identity;
use super::render::{Reply, done, sync};
use crate::context::App;
use crate::files::CHUNK;
use crate::files::logs::{self, Which};

type Daemon = State<Arc<App>>;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/{name}/logs", get(list))
        .route("/{name}/logs/exec-output", get(list_recorded))
        .route(
            "/{name}/logs/exec-output/{file}",
            get(show_recorded).delete(delete),
        )
        .route("/{name}/logs/{file}", get(show).delete(delete))
}

async fn list(State(app): Daemon, Path(name): Path<String>, params: Params) -> Reply {
    let names = logs::list(&app, &params.project, &name, Which::All).await?;
    sync(urls(&format!("/1.0/instances/{name}/logs"), &names))
}

async fn list_recorded(State(app): Daemon, Path(name): Path<String>, params: Params) -> Reply {
    let names = logs::list(&app, &params.project, &name, Which::Recorded).await?;
    sync(urls(
        &format!("/1.0/instances/{name}/logs/exec-output"),
        &names,
    ))
}

fn urls(above: &str, names: &[String]) -> Vec<String> {
    names.iter().map(|name| format!("{above}/{name}")).collect()
}

async fn show(
    State(app): Daemon,
    Identity(who): Identity,
    Path((name, file)): Path<(String, String)>,
    params: Params,
) -> Reply {
    let sent = send(&app, &params, &name, Which::All, &file).await?;
    app.instance_event("instance-log-retrieved", &params.project, &name, Some(who));
    Ok(sent)
}

async fn show_recorded(
    State(app): Daemon,
    Path((name, file)): Path<(String, String)>,
    params: Params,
) -> Reply {
    send(&app, &params, &name, Which::Recorded, &file).await
}

async fn send(app: &App, params: &Params, name: &str, which: Which, file: &str) -> Reply {
    let (open, size) = logs::open(app, &params.project, name, which, file).await?;
    // A log may grow while it is read.
    let reader = tokio::fs::File::from_std(open).take(size);
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/plain")),
        (CONTENT_LENGTH, HeaderValue::from(size)),
    ];
    let body = Stream::from_stream(ReaderStream::with_capacity(reader, CHUNK));
    Ok((headers, body).into_response())
}

async fn delete(
    State(app): Daemon,
    Identity(who): Identity,
    Path((name, file)): Path<(String, String)>,
    params: Params,
) -> Reply {
    logs::delete(&app, &params.project, &name, &file).await?;
    app.instance_event("instance-log-deleted", &params.project, &name, Some(who));
    done()
}
