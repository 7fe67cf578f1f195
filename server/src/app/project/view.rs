//! Projects as clients see them.

use rlxc_api::{Project as ProjectView, ProjectPut, ProjectState, ProjectStateResource};
use rusqlite::Transaction;

use super::gate;
use crate::context::{App, scoped};
use crate::db::projects;
use crate::error::{Error, Result};
use crate::model::Project;
use crate::plan::project::limits;

/// All projects, by name.
pub async fn list(app: &App) -> Result<Vec<ProjectView>> {
    app.db
        .read(|tx| {
            let all = projects::list(tx)?;
            all.into_iter().map(|project| render(tx, project)).collect()
        })
        .await
}

/// One project.
pub async fn get(app: &App, name: &str) -> Result<ProjectView> {
    let key = name.to_owned();
    app.db.read(move |tx| render(tx, find(tx, &key)?)).await
}

pub(super) fn find(tx: &Transaction<'_>, name: &str) -> Result<Project> {
    projects::find(tx, name)?.ok_or_else(|| Error::not_found("project", name))
}

fn render(tx: &Transaction<'_>, project: Project) -> Result<ProjectView> {
    let contents = projects::contents(tx, project.id)?;
    let used_by = contents
        .into_iter()
        .map(|path| scoped(path, &project.name))
        .collect();
    Ok(ProjectView {
        put: ProjectPut {
            config: project.config,
            description: project.description,
        },
        name: project.name,
        used_by,
    })
}

/// How much of what a project has, and how much it may have.
pub async fn state(app: &App, name: &str) -> Result<ProjectState> {
    let key = name.to_owned();
    let usage = app
        .db
        .read(move |tx| {
            let project = find(tx, &key)?;
            let holdings = gate::load(tx, &project)?;
            Ok::<_, Error>(limits::usage(&project.config, &holdings))
        })
        .await?;
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let resources = usage.into_iter().map(|(resource, usage)| {
        let view = ProjectStateResource {
            limit: usage.limit.map_or(-1, signed),
            usage: signed(usage.used),
        };
        (resource, view)
    });
    Ok(ProjectState {
        resources: resources.collect(),
    })
}
