//! `/1.0/instances/{name}/exec` and `console`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use rlxc_api::{InstanceConsolePost, InstanceExecPost};

use super::extract::{Body, Params};
use super::identity::Identity;
use super::render::{Reply, accepted, done};
use crate::context::App;
use crate::session;

type Daemon = State<Arc<App>>;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/{name}/exec", post(exec)).route(
        "/{name}/console",
        get(console_log).post(console).delete(clear_console),
    )
}

async fn exec(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    params: Params,
    Body(post): Body<InstanceExecPost>,
) -> Reply {
    accepted(session::exec(&app, &who, &params.project, &name, post).await?)
}

async fn console(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    params: Params,
    Body(post): Body<InstanceConsolePost>,
) -> Reply {
    accepted(session::attach_console(&app, &who, &params.project, &name, post).await?)
}

async fn console_log(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    params: Params,
) -> Reply {
    let text = session::console_log(&app, &params.project, &name).await?;
    let action = "instance-console-retrieved";
    app.instance_event(action, &params.project, &name, Some(who));
    Ok(([(CONTENT_TYPE, "application/octet-stream")], text).into_response())
}

async fn clear_console(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    params: Params,
) -> Reply {
    session::clear_log(&app, &params.project, &name).await?;
    app.instance_event("instance-console-reset", &params.project, &name, Some(who));
    done()
}
