//! Images as clients see them, and the part of them that clients may write.

use rlxc_api::{Image as View, ImageAlias, ImagePut, ImageSource, Requestor, Timestamp};

use super::event;
use super::resolve::find;
use crate::context::App;
use crate::db::images;
use crate::error::{Error, Result};
use crate::model::Image;
use crate::plan::project::Feature;

/// All images that a project uses.
pub async fn list(app: &App, project: &str) -> Result<Vec<View>> {
    let id = app.project(project).await?;
    let project = &app.owner(project, Feature::Images).await?;
    let all = app.db.read(move |tx| images::list(tx, id)).await?;
    Ok(all
        .into_iter()
        .map(|image| render(project, image))
        .collect())
}

/// The images of all projects that have their own.
pub async fn list_all(app: &App) -> Result<Vec<View>> {
    let projects = app.db.read(crate::db::projects::list).await?;
    let mut all = Vec::new();
    for project in projects {
        if Feature::Images.is_on(&project.config) {
            all.extend(list(app, &project.name).await?);
        }
    }
    Ok(all)
}

/// One image, by its fingerprint or the beginning of it.
pub async fn get(app: &App, project: &str, fingerprint: &str) -> Result<View> {
    let owner = app.owner(project, Feature::Images).await?;
    Ok(render(&owner, find(app, project, fingerprint).await?))
}

fn render(project: &str, image: Image) -> View {
    let time = |time: Option<String>| time.map_or_else(Timestamp::none, Timestamp);
    let aliases = image.aliases.into_iter();
    View {
        put: ImagePut {
            auto_update: image.auto_update,
            properties: image.properties,
            public: image.public,
            expires_at: time(image.expires_at),
            profiles: Some(image.profiles),
        },
        aliases: aliases
            .map(|(name, description)| ImageAlias { name, description })
            .collect(),
        architecture: image.architecture,
        cached: image.cached,
        filename: image.filename,
        fingerprint: image.fingerprint,
        size: image.size,
        update_source: image.source.map(|origin| ImageSource {
            alias: origin.alias,
            protocol: origin.protocol,
            server: origin.server,
            certificate: origin.certificate,
            image_type: "container".to_owned(),
        }),
        kind: "container".to_owned(),
        created_at: Timestamp(image.created_at),
        last_used_at: time(image.last_used_at),
        uploaded_at: Timestamp(image.uploaded_at),
        project: project.to_owned(),
    }
}

/// Replaces what a client may write.
pub async fn update(
    app: &App,
    who: &Requestor,
    project: &str,
    fingerprint: &str,
    put: ImagePut,
) -> Result<()> {
    let mut image = find(app, project, fingerprint).await?;
    image.public = put.public;
    image.auto_update = put.auto_update;
    image.expires_at = (!put.expires_at.is_none()).then_some(put.expires_at.0);
    image.properties = put.properties;
    image.properties.retain(|_, value| !value.is_empty());
    let name = image.fingerprint.clone();
    app.db
        .write(move |tx| {
            images::update(tx, &image)?;
            let Some(profiles) = put.profiles else {
                return Ok(());
            };
            match images::replace_profiles(tx, image.id, &profiles)? {
                Some(missing) => Err(Error::not_found("profile", missing)),
                None => Ok(()),
            }
        })
        .await?;
    event(app, "image-updated", project, &name, Some(who.clone()));
    Ok(())
}
