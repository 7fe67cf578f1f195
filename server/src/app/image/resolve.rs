//! From what a request calls an image to an image in the store.

use std::sync::Arc;

use rlxc_api::{InstanceSource, Requestor};

use crate::context::App;
use crate::db::images;
use crate::error::{Error, Result};
use crate::keys::did_you_mean;
use crate::model::Image;
use crate::operation::Handle;

/// The image of an instance to be: by alias, by fingerprint, or from another server.
pub async fn resolve(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    source: &InstanceSource,
    operation: &Handle,
) -> Result<Image> {
    if !source.server.is_empty() {
        return super::fetch::from_server(app, who, project, source, operation).await;
    }
    match (source.alias.as_str(), source.fingerprint.as_str()) {
        ("", "") => Err(Error::Invalid(
            "the source names no image: it needs `alias` or `fingerprint`".to_owned(),
        )),
        ("", fingerprint) => find(app, project, fingerprint).await,
        (alias, _) => find_alias(app, project, alias).await,
    }
}

async fn find_alias(app: &App, project: &str, alias: &str) -> Result<Image> {
    let (id, key) = (app.project(project).await?, alias.to_owned());
    let (found, aliases) = app
        .db
        .read(move |tx| {
            let found = images::find_by_alias(tx, id, &key)?;
            let aliases = if found.is_none() {
                images::list_aliases(tx, id)?
            } else {
                Vec::new()
            };
            Ok::<_, Error>((found, aliases))
        })
        .await?;
    found.ok_or_else(|| Error::NotFound {
        kind: "image",
        name: alias.to_owned(),
        hint: did_you_mean(alias, aliases.iter().map(|alias| alias.name.as_str())),
    })
}

/// An image by its fingerprint, or by the beginning of it if no other begins so.
pub async fn find(app: &App, project: &str, fingerprint: &str) -> Result<Image> {
    let hexadecimal =
        !fingerprint.is_empty() && fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !hexadecimal {
        return Err(Error::not_found("image", fingerprint));
    }
    let (id, key) = (
        app.project(project).await?,
        fingerprint.to_ascii_lowercase(),
    );
    let mut found = app
        .db
        .read(move |tx| images::find_by_prefix(tx, id, &key))
        .await?;
    match found.len() {
        0 => Err(Error::not_found("image", fingerprint)),
        1 => Ok(found.remove(0)),
        _ => Err(Error::Invalid(format!(
            "more than one image's fingerprint begins with `{fingerprint}`: give more of it"
        ))),
    }
}
