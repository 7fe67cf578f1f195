//! `/1.0/metrics`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse as _;
use axum::routing::get;

use super::identity::{Caller, Rights};
use super::render::Reply;
use crate::context::App;
use crate::metrics;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/1.0/metrics", get(show))
}

async fn show(State(app): State<Arc<App>>, caller: Caller) -> Reply {
    let projects = match caller.rights {
        Rights::Projects(projects) | Rights::Metrics(Some(projects)) => Some(projects),
        Rights::All | Rights::Metrics(None) | Rights::Public => None,
    };
    let text = metrics::collect(&app, projects).await?;
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}
