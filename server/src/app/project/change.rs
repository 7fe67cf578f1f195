//! Making, changing, renaming and deleting projects: acts of the inventory, each one transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use rlxc_api::name::ProjectName;
use rlxc_api::{Operation, ProjectPut, ProjectsPost, Requestor};
use rusqlite::Transaction;

use super::view::find;
use super::{gate, is_empty, url};
use crate::context::App;
use crate::db::{DEFAULT_PROJECT, profiles, projects};
use crate::error::{Error, Result};
use crate::keys::project::SCOPE;
use crate::model::{Config, Project};
use crate::operation::OperationSpec;
use crate::plan::project::{Feature, keys};

/// Makes a project.
pub async fn create(app: &App, who: &Requestor, post: ProjectsPost) -> Result<()> {
    let name: ProjectName = post.name.parse()?;
    SCOPE.check(&post.put.config).map_err(Error::Invalid)?;
    let config = keys::with_defaults(post.put.config);
    let (key, description) = (name.to_string(), post.put.description);
    app.db
        .write(move |tx| insert(tx, &key, &description, &config))
        .await?;
    app.project_event("project-created", (&name, &name), url(&name), who);
    Ok(())
}

/// Adds a project, with a profile `default` of its own if it has profiles.
pub(super) fn insert(
    tx: &Transaction<'_>,
    name: &str,
    description: &str,
    config: &Config,
) -> Result<i64> {
    let id = projects::insert(tx, name, description, config).map_err(|error| taken(error, name))?;
    if Feature::Profiles.is_on(config) {
        add_profile(tx, id, name)?;
    }
    Ok(id)
}

fn add_profile(tx: &Transaction<'_>, project: i64, name: &str) -> Result<i64> {
    let id = profiles::insert(tx, project, "default")?;
    let description = format!("Default profile of project {name}");
    profiles::update(tx, id, &description, &Config::new(), &BTreeMap::new())?;
    Ok(id)
}

fn remove_profile(tx: &Transaction<'_>, project: i64) -> Result<()> {
    match profiles::find(tx, project, "default")? {
        Some(profile) => Ok(profiles::delete(tx, profile.id)?),
        None => Ok(()),
    }
}

fn taken(error: crate::db::DbError, name: &str) -> Error {
    if error.is_unique_violation() {
        Error::exists("project", name)
    } else {
        error.into()
    }
}

/// Replaces description and keys.
pub async fn update(app: &App, who: &Requestor, name: &str, put: ProjectPut) -> Result<()> {
    SCOPE.check(&put.config).map_err(Error::Invalid)?;
    let config = keys::written(put.config);
    let (key, description) = (name.to_owned(), put.description);
    app.db
        .write(move |tx| {
            let before = find(tx, &key)?;
            check_features(tx, &before, &config)?;
            let has = |config: &Config| Feature::Profiles.is_on(config);
            // Whose profiles a project uses is asked of its keys: they change in between.
            if has(&before.config) && !has(&config) {
                remove_profile(tx, before.id)?;
            }
            projects::update(tx, before.id, &description, &config)?;
            if has(&config) && !has(&before.config) {
                add_profile(tx, before.id, &before.name)?;
            }
            gate::check(tx, before.id)
        })
        .await?;
    app.project_event("project-updated", (name, name), url(name), who);
    Ok(())
}

/// What is in a project would change hands with a feature, so only an empty one may get or lose one.
fn check_features(tx: &Transaction<'_>, before: &Project, config: &Config) -> Result<()> {
    let changed = |feature: &Feature| feature.is_on(&before.config) != feature.is_on(config);
    let Some(feature) = Feature::ALL.iter().find(|feature| changed(feature)) else {
        return Ok(());
    };
    let refuse = |why: &str| {
        Err(Error::Invalid(format!(
            "`{}` of project `{}` can't be changed: {why}",
            feature.key(),
            before.name
        )))
    };
    if before.id == DEFAULT_PROJECT {
        return refuse("what projects share is in it");
    }
    if is_empty(&projects::contents(tx, before.id)?) {
        return Ok(());
    }
    refuse("features can only be changed on empty projects")
}

fn refuse_default(name: &str, what: &str) -> Result<()> {
    if name == "default" {
        return Err(Error::Protected(format!(
            "the project `default` can't be {what}"
        )));
    }
    Ok(())
}

fn require_empty(tx: &Transaction<'_>, project: &Project, what: &str) -> Result<()> {
    let mut contents = projects::contents(tx, project.id)?;
    if is_empty(&contents) {
        return Ok(());
    }
    contents.retain(|path| path != super::OWN_PROFILE);
    let names = contents.iter().take(3).map(|path| {
        let path = path.trim_start_matches("/1.0/");
        path.chars().take(40).collect::<String>()
    });
    let more = if contents.len() > 3 { ", …" } else { "" };
    Err(Error::Invalid(format!(
        "only empty projects can be {what}: `{}` has {}{more}",
        project.name,
        names.collect::<Vec<_>>().join(", "),
    )))
}

/// Begins to rename a project, which must be empty.
pub async fn rename(app: &Arc<App>, who: &Requestor, name: &str, new: &str) -> Result<Operation> {
    let new: ProjectName = new.parse()?;
    refuse_default(name, "renamed")?;
    let key = name.to_owned();
    app.db.read(move |tx| find(tx, &key)).await?;
    // Of no project: whoever may rename projects hears of it whichever they listen to.
    let spec = OperationSpec::task("Renaming project", "", "projects", &url(name));
    let (app2, who, old) = (Arc::clone(app), who.clone(), name.to_owned());
    Ok(app
        .operations
        .spawn(spec.requested_by(&who), move |_| async move {
            let text = new.to_string();
            app2.db
                .write(move |tx| {
                    let project = find(tx, &old)?;
                    require_empty(tx, &project, "renamed")?;
                    projects::rename(tx, project.id, &text).map_err(|error| taken(error, &text))
                })
                .await?;
            // Who reaches it by name reaches it still.
            app2.trust.reload(&app2.db).await?;
            app2.project_event("project-renamed", (&new, &new), url(&new), &who);
            Ok(BTreeMap::new())
        }))
}

/// Deletes a project, which must be empty.
pub async fn delete(app: &App, who: &Requestor, name: &str) -> Result<()> {
    refuse_default(name, "deleted")?;
    let key = name.to_owned();
    app.db
        .write(move |tx| {
            let project = find(tx, &key)?;
            require_empty(tx, &project, "deleted")?;
            Ok::<_, Error>(projects::delete(tx, project.id)?)
        })
        .await?;
    // A project of that name to come is another one.
    app.trust.reload(&app.db).await?;
    app.project_event("project-deleted", (name, name), url(name), who);
    Ok(())
}
