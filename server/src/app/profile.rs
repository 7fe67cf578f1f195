//! Profiles: the use cases of `/1.0/profiles`. The project is the one that has them, see [`Feature::Profiles`].
//!
//! [`Feature::Profiles`]: crate::plan::project::Feature::Profiles

use std::sync::Arc;

use rlxc_api::name::ProfileName;
use rlxc_api::{Profile as ProfileView, ProfilePut, ProfilesPost, Requestor};

use super::project::gate;
use crate::app::instance;
use crate::context::{App, instance_url, scoped};
use crate::db::profiles;
use crate::error::{Error, Result};
use crate::guest;
use crate::keys;
use crate::model::Profile;

/// All profiles of a project, or of all projects.
pub async fn list(app: &App, project: Option<&str>) -> Result<Vec<ProfileView>> {
    let rows = match project {
        Some(project) => {
            let id = app.project(project).await?;
            app.db.read(move |tx| profiles::list(tx, id)).await?
        }
        None => app.db.read(profiles::list_all).await?,
    };
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
            profiles::update(tx, row, &put.description, &put.config, &put.devices)?;
            gate::check(tx, id)
        })
        .await?;
    event(app, "profile-created", project, &name, who);
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
    for (of, instance) in &profile.used_by {
        let id = instance::find_id(app, of, instance).await?;
        guest::refresh(app, id).await;
    }
    event(app, "profile-updated", project, name, who);
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
    event(app, "profile-renamed", project, &new, who);
    Ok(())
}

/// Deletes a profile that no instance has.
pub async fn delete(app: &App, who: &Requestor, project: &str, name: &str) -> Result<()> {
    refuse_default(name, "deleted")?;
    let profile = find(app, project, name).await?;
    if !profile.used_by.is_empty() {
        let users = profile.used_by.iter().map(|(of, user)| {
            if of == project {
                user.clone()
            } else {
                format!("{user} of project {of}")
            }
        });
        return Err(Error::Conflict(format!(
            "profile `{name}` is in use by {}",
            users.collect::<Vec<_>>().join(", ")
        )));
    }
    app.db
        .write(move |tx| profiles::delete(tx, profile.id).map_err(Error::from))
        .await?;
    event(app, "profile-deleted", project, name, who);
    Ok(())
}

fn refuse_default(name: &str, what: &str) -> Result<()> {
    if name == "default" {
        return Err(Error::Protected(format!(
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

/// A profile without who uses it.
pub fn describe(mut profile: Profile) -> ProfileView {
    profile.used_by.clear();
    render(profile)
}

fn render(profile: Profile) -> ProfileView {
    let used_by = profile
        .used_by
        .iter()
        .map(|(project, name)| instance_url(project, name))
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

fn event(app: &App, action: &str, project: &str, name: &str, who: &Requestor) {
    app.project_event(action, (project, name), url(project, name), who);
}

/// The URL of a profile.
pub fn url(project: &str, name: &str) -> String {
    scoped(format!("/1.0/profiles/{name}"), project)
}
