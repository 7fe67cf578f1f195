//! Profiles: the use cases of `/1.0/profiles`.

use std::sync::Arc;

use rlxc_api::name::ProfileName;
use rlxc_api::{Profile as ProfileView, ProfilePut, ProfilesPost, Requestor};

use crate::app::instance;
use crate::context::{App, instance_url};
use crate::db::profiles;
use crate::error::{Error, Result};
use crate::guest;
use crate::keys;
use crate::model::Profile;

/// All profiles of a project.
pub async fn list(app: &App, project: &str) -> Result<Vec<ProfileView>> {
    let id = app.project(project).await?;
    let rows = app.db.read(move |tx| profiles::list(tx, id)).await?;
    Ok(rows.into_iter().map(render).collect())
}

/// One profile.
pub async fn get(app: &App, project: &str, name: &str) -> Result<ProfileView> {
    find(app, project, name).await.map(render)
}

/// Makes a profile.
pub async fn create(app: &App, who: &Requestor, project: &str, post: ProfilesPost) -> Result<()> {
    let name: ProfileName = post.name.parse()?;
    check(&post.put)?;
    let id = app.project(project).await?;
    let (put, text) = (post.put, name.to_string());
    app.db
        .write(move |tx| {
            let row = profiles::insert(tx, id, &text).map_err(|error| taken(error, &text))?;
            Ok::<_, Error>(profiles::update(
                tx,
                row,
                &put.description,
                &put.config,
                &put.devices,
            )?)
        })
        .await?;
    app.resource_event("profile-created", url(&name), &name, who);
    Ok(())
}

/// Replaces description, keys and devices.
pub async fn update(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    name: &str,
    put: ProfilePut,
) -> Result<()> {
    check(&put)?;
    let profile = find(app, project, name).await?;
    let changed = Profile {
        description: put.description,
        config: put.config,
        devices: put.devices,
        ..profile.clone()
    };
    instance::change_users(app, &profile, changed).await?;
    for instance in &profile.used_by {
        let id = instance::find_id(app, project, instance).await?;
        guest::refresh(app, id).await;
    }
    app.resource_event("profile-updated", url(name), name, who);
    Ok(())
}

/// Renames; `default` keeps its name.
pub async fn rename(
    app: &App,
    who: &Requestor,
    project: &str,
    name: &str,
    new: &str,
) -> Result<()> {
    let new: ProfileName = new.parse()?;
    refuse_default(name, "renamed")?;
    let profile = find(app, project, name).await?;
    let text = new.to_string();
    app.db
        .write(move |tx| {
            profiles::rename(tx, profile.id, &text).map_err(|error| taken(error, &text))
        })
        .await?;
    app.resource_event("profile-renamed", url(&new), &new, who);
    Ok(())
}

/// Deletes a profile that no instance has.
pub async fn delete(app: &App, who: &Requestor, project: &str, name: &str) -> Result<()> {
    refuse_default(name, "deleted")?;
    let profile = find(app, project, name).await?;
    if !profile.used_by.is_empty() {
        return Err(Error::Conflict(format!(
            "profile `{name}` is in use by {}",
            profile.used_by.join(", ")
        )));
    }
    app.db
        .write(move |tx| profiles::delete(tx, profile.id).map_err(Error::from))
        .await?;
    app.resource_event("profile-deleted", url(name), name, who);
    Ok(())
}

fn refuse_default(name: &str, what: &str) -> Result<()> {
    if name == "default" {
        return Err(Error::Invalid(format!(
            "the profile `default` can't be {what}"
        )));
    }
    Ok(())
}

fn check(put: &ProfilePut) -> Result<()> {
    keys::check_instance(&put.config).map_err(Error::Invalid)?;
    keys::check_devices(&put.devices).map_err(Error::Invalid)
}

fn taken(error: crate::db::DbError, name: &str) -> Error {
    if error.is_unique_violation() {
        Error::exists("profile", name)
    } else {
        error.into()
    }
}

async fn find(app: &App, project: &str, name: &str) -> Result<Profile> {
    let (id, key) = (app.project(project).await?, name.to_owned());
    let row = app.db.read(move |tx| profiles::find(tx, id, &key)).await?;
    row.ok_or_else(|| Error::not_found("profile", name))
}

fn render(profile: Profile) -> ProfileView {
    let used_by = profile
        .used_by
        .iter()
        .map(|name| instance_url(&profile.project, name))
        .collect();
    ProfileView {
        put: ProfilePut {
            config: profile.config,
            description: profile.description,
            devices: profile.devices,
        },
        name: profile.name,
        used_by,
        project: profile.project,
    }
}

fn url(name: &str) -> String {
    format!("/1.0/profiles/{name}")
}
