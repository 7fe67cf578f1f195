//! `/1.0/instances/{name}/metadata` and the templates beneath it.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::IntoResponse as _;
use axum::routing::get;
use rlxc_api::ImageMetadata;
use serde::Deserialize;
use serde_json::Value;

use super::error::ApiError;
use super::extract::{Body, Params, check_match};
use super::identity::Identity;
use super::patch;
use super::render::{Reply, done, etag, sync, tagged};
use crate::app::template::store;
use crate::context::App;
use crate::error::{Error, Result};

type Daemon = State<Arc<App>>;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/{name}/metadata", get(show).put(replace).patch(merge))
        .route(
            "/{name}/metadata/templates",
            get(read).post(write).delete(remove),
        )
}

async fn show(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    params: Params,
) -> Reply {
    let metadata = store::metadata(&app, &params.project, &name).await?;
    let action = "instance-metadata-retrieved";
    app.instance_event(action, &params.project, &name, Some(who));
    tagged(&metadata, &metadata)
}

async fn replace(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    params: Params,
    Body(new): Body<ImageMetadata>,
) -> Reply {
    let current = store::metadata(&app, &params.project, &name).await?;
    check_match(&params, "metadata", &etag(&current))?;
    store::set_metadata(&app, &who, (&params.project, &name), new).await?;
    done()
}

async fn merge(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    params: Params,
    Body(changes): Body<Value>,
) -> Reply {
    let current = store::metadata(&app, &params.project, &name).await?;
    check_match(&params, "metadata", &etag(&current))?;
    let new = patch::merge(&current, changes)?;
    store::set_metadata(&app, &who, (&params.project, &name), new).await?;
    done()
}

#[derive(Debug, Deserialize)]
struct PathParam {
    #[serde(default)]
    path: String,
}

/// A template of an instance; all of them without a path.
#[derive(Debug)]
struct At {
    project: String,
    instance: String,
    template: String,
}

impl At {
    fn place(&self) -> (&str, &str) {
        (&self.project, &self.instance)
    }

    fn needed(&self) -> Result<&str> {
        if self.template.is_empty() {
            return Err(Error::Invalid("the query needs `path`".to_owned()));
        }
        Ok(&self.template)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for At {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let params = Params::from_request_parts(parts, state).await?;
        let unreadable = |text: String| Error::Invalid(format!("the URL can't be read: {text}"));
        let Path(instance) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| unreadable(rejection.body_text()))?;
        let Query(template) = Query::<PathParam>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| unreadable(rejection.body_text()))?;
        Ok(Self {
            project: params.project,
            instance,
            template: template.path,
        })
    }
}

async fn read(State(app): Daemon, Identity(who): Identity, at: At) -> Reply {
    if at.template.is_empty() {
        return sync(store::list_templates(&app, &at.project, &at.instance).await?);
    }
    let text = store::template(&app, &who, at.place(), &at.template).await?;
    Ok(([(CONTENT_TYPE, "application/octet-stream")], text).into_response())
}

async fn write(State(app): Daemon, Identity(who): Identity, at: At, body: Bytes) -> Reply {
    store::set_template(&app, &who, at.place(), at.needed()?, body.to_vec()).await?;
    done()
}

async fn remove(State(app): Daemon, Identity(who): Identity, at: At) -> Reply {
    store::delete_template(&app, &who, at.place(), at.needed()?).await?;
    done()
}
