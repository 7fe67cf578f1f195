//! `/1.0/projects`: there is one, `default`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use rlxc_api::{Project, ProjectPut};

use super::extract::Params;
use super::render::{Reply, listing, tagged};
use crate::context::App;
use crate::db;
use crate::error::{Error, Result};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/1.0/projects", get(list))
        .route("/1.0/projects/{name}", get(show))
}

async fn load(app: &App) -> Result<Vec<Project>> {
    let rows = app.db.read(db::projects::list).await?;
    let view = |row: crate::model::Project| Project {
        put: ProjectPut {
            config: row.config,
            description: row.description,
        },
        name: row.name,
        used_by: Vec::new(),
    };
    Ok(rows.into_iter().map(view).collect())
}

async fn list(State(app): State<Arc<App>>, params: Params) -> Reply {
    listing(&params, load(&app).await?, |item| {
        format!("/1.0/projects/{}", item.name)
    })
}

async fn show(State(app): State<Arc<App>>, Path(name): Path<String>) -> Reply {
    let found = load(&app)
        .await?
        .into_iter()
        .find(|project| project.name == name);
    let project = found.ok_or_else(|| Error::not_found("project", name))?;
    let put = project.put.clone();
    tagged(project, &put)
}
