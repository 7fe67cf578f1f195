//! Aliases: names of images, which may hold `/`.

use rlxc_api::{ImageAliasesEntry, ImageAliasesEntryPut, Requestor};

use super::event_of_alias;
use super::import::Draft;
use super::resolve::find;
use crate::context::App;
use crate::db::images::{self, Alias};
use crate::error::{Error, Result};
use crate::keys::did_you_mean;
use crate::model::Image;

/// Refuses what nobody could type or would mean something else in a URL.
pub(super) fn check_name(name: &str) -> Result<()> {
    let problem = match name {
        "" => "it is empty",
        name if name.len() > 255 => "it is longer than 255 bytes",
        name if name.contains(|c: char| c.is_control() || c.is_whitespace()) => {
            "it holds blanks or control characters"
        }
        name if name.starts_with('/') || name.ends_with('/') => "it begins or ends with `/`",
        _ => return Ok(()),
    };
    Err(Error::Invalid(format!(
        "`{name}` can't be the alias of an image: {problem}"
    )))
}

/// All aliases as clients see them.
pub async fn list(app: &App, project: &str) -> Result<Vec<ImageAliasesEntry>> {
    let id = app.project(project).await?;
    let all = app.db.read(move |tx| images::list_aliases(tx, id)).await?;
    Ok(all.into_iter().map(render).collect())
}

/// One alias as clients see it.
pub async fn get(app: &App, project: &str, name: &str) -> Result<ImageAliasesEntry> {
    let (id, key) = (app.project(project).await?, name.to_owned());
    let (found, all) = app
        .db
        .read(move |tx| {
            let found = images::find_alias(tx, id, &key)?;
            let all = if found.is_none() {
                images::list_aliases(tx, id)?
            } else {
                Vec::new()
            };
            Ok::<_, Error>((found, all))
        })
        .await?;
    found.map(render).ok_or_else(|| Error::NotFound {
        kind: "image alias",
        name: name.to_owned(),
        hint: did_you_mean(name, all.iter().map(|alias| alias.name.as_str())),
    })
}

fn render(alias: Alias) -> ImageAliasesEntry {
    ImageAliasesEntry {
        put: ImageAliasesEntryPut {
            description: alias.description,
            target: alias.target,
        },
        name: alias.name,
        kind: "container".to_owned(),
    }
}

/// Makes an alias.
pub async fn create(
    app: &App,
    who: &Requestor,
    project: &str,
    entry: ImageAliasesEntry,
) -> Result<()> {
    check_name(&entry.name)?;
    let image = find(app, project, &entry.put.target).await?;
    let (id, name, description) = (
        app.project(project).await?,
        entry.name.clone(),
        entry.put.description,
    );
    app.db
        .write(move |tx| {
            images::insert_alias(tx, id, image.id, &name, &description).map_err(|error| {
                if error.is_unique_violation() {
                    Error::exists("image alias", &name)
                } else {
                    error.into()
                }
            })
        })
        .await?;
    event_of_alias(app, "image-alias-created", project, &entry.name, who);
    Ok(())
}

/// Points an alias elsewhere and describes it anew.
pub async fn update(
    app: &App,
    who: &Requestor,
    project: &str,
    name: &str,
    put: ImageAliasesEntryPut,
) -> Result<()> {
    get(app, project, name).await?;
    let image = find(app, project, &put.target).await?;
    let (id, key) = (app.project(project).await?, name.to_owned());
    app.db
        .write(move |tx| {
            images::point_alias(tx, id, image.id, &key, &put.description).map_err(Error::from)
        })
        .await?;
    event_of_alias(app, "image-alias-updated", project, name, who);
    Ok(())
}

/// Renames an alias.
pub async fn rename(
    app: &App,
    who: &Requestor,
    project: &str,
    name: &str,
    new: &str,
) -> Result<()> {
    check_name(new)?;
    get(app, project, name).await?;
    let (id, old, target) = (app.project(project).await?, name.to_owned(), new.to_owned());
    app.db
        .write(move |tx| {
            images::rename_alias(tx, id, &old, &target)
                .map(drop)
                .map_err(|error| {
                    if error.is_unique_violation() {
                        Error::exists("image alias", &target)
                    } else {
                        error.into()
                    }
                })
        })
        .await?;
    event_of_alias(app, "image-alias-renamed", project, new, who);
    Ok(())
}

/// Removes an alias.
pub async fn delete(app: &App, who: &Requestor, project: &str, name: &str) -> Result<()> {
    get(app, project, name).await?;
    let (id, key) = (app.project(project).await?, name.to_owned());
    app.db
        .write(move |tx| {
            images::delete_alias(tx, id, &key)
                .map(drop)
                .map_err(Error::from)
        })
        .await?;
    event_of_alias(app, "image-alias-deleted", project, name, who);
    Ok(())
}

/// Gives the names of a draft to an image that is here already, which is no longer only cached if the draft is not.
pub(super) async fn claim(app: &App, project: &str, image: &Image, draft: &Draft) -> Result<()> {
    let (id, mut image, aliases) = (
        app.project(project).await?,
        image.clone(),
        draft.aliases.clone(),
    );
    let before = image.clone();
    image.cached &= draft.cached;
    if !draft.cached {
        image.public |= draft.public;
        image.auto_update |= draft.auto_update && image.source.is_some();
    }
    if aliases.is_empty() && image == before {
        return Ok(());
    }
    app.db
        .write(move |tx| {
            images::update(tx, &image)?;
            for (name, description) in &aliases {
                images::point_alias(tx, id, image.id, name, description)?;
            }
            Ok(())
        })
        .await
}
