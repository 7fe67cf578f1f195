//! `image alias`.

use anyhow::{Result, bail};
use rlxc_api::{ImageAliasesEntry, ImageAliasesEntryPost, ImageAliasesEntryPut};
use rlxc_client::{ClientError, Connection, url};

use super::{image, object};
use crate::cli::{ImageAliasVerb, ListOfArgs};
use crate::context::Context;
use crate::render::Table;

const ALIASES: &str = "/1.0/images/aliases";

fn path(alias: &str) -> String {
    object("images/aliases", alias)
}

pub(crate) async fn run(context: &Context, verb: ImageAliasVerb) -> Result<()> {
    match verb {
        ImageAliasVerb::List(format) => {
            let path = "/1.0/images/aliases?recursion=1";
            print(context, &format, context.client.get(path).await?)
        }
        ImageAliasVerb::Create(args) => {
            let target = image::find(context, &args.image).await?.fingerprint;
            create(
                context,
                &args.alias,
                &target,
                &args.description.unwrap_or_default(),
            )
            .await?;
            Ok(())
        }
        ImageAliasVerb::Delete(args) => {
            for alias in &args.names {
                context.client.delete(&path(alias)).await?;
            }
            Ok(())
        }
        ImageAliasVerb::Rename(args) => {
            context
                .client
                .post(
                    &path(&args.alias),
                    &ImageAliasesEntryPost {
                        name: args.new_name,
                    },
                )
                .await?;
            Ok(())
        }
    }
}

/// Prints aliases by name.
pub(crate) fn print(
    context: &Context,
    args: &ListOfArgs,
    mut aliases: Vec<ImageAliasesEntry>,
) -> Result<()> {
    aliases.sort_by(|a, b| a.name.cmp(&b.name));
    context.list(args.format, &aliases, || table(&aliases))
}

/// The fingerprint that an alias stands for.
pub(crate) async fn target(client: &Connection, alias: &str) -> Result<String, ClientError> {
    Ok(client
        .get::<ImageAliasesEntry>(&path(alias))
        .await?
        .put
        .target)
}

async fn create(
    context: &Context,
    alias: &str,
    target: &str,
    description: &str,
) -> Result<(), ClientError> {
    let entry = ImageAliasesEntry {
        put: put(target, description),
        name: alias.to_owned(),
        ..ImageAliasesEntry::default()
    };
    context.client.post(ALIASES, &entry).await.map(drop)
}

fn put(target: &str, description: &str) -> ImageAliasesEntryPut {
    ImageAliasesEntryPut {
        description: description.to_owned(),
        target: target.to_owned(),
    }
}

/// Lets an alias stand for an image, whatever it stood for.
pub(crate) async fn point(
    context: &Context,
    alias: &str,
    fingerprint: &str,
    description: &str,
) -> Result<()> {
    match create(context, alias, fingerprint, description).await {
        Err(error) if error.code() == Some(409) => {
            context
                .client
                .put(&path(alias), &put(fingerprint, description), None)
                .await?;
            Ok(())
        }
        created => Ok(created?),
    }
}

/// Fails where one of the aliases stands for an image.
pub(crate) async fn must_be_free(context: &Context, aliases: &[String]) -> Result<()> {
    must_be_free_in(context, None, aliases).await
}

/// The same in another project than the one that is worked in, if one is given.
pub(crate) async fn must_be_free_in(
    context: &Context,
    project: Option<&str>,
    aliases: &[String],
) -> Result<()> {
    for alias in aliases {
        let mut path = path(alias);
        if let Some(project) = project {
            path = url::with_query(&path, "project", project);
        }
        match context.client.get::<ImageAliasesEntry>(&path).await {
            Ok(entry) => {
                let short: String = entry.put.target.chars().take(12).collect();
                bail!("the alias `{alias}` stands for image {short}: add --reuse to take it over");
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn table(aliases: &[ImageAliasesEntry]) -> Table {
    let rows = aliases
        .iter()
        .map(|alias| {
            vec![
                alias.name.clone(),
                alias.put.target.chars().take(12).collect(),
                alias.kind.to_uppercase(),
                alias.put.description.clone(),
            ]
        })
        .collect();
    Table::new(&["ALIAS", "FINGERPRINT", "TYPE", "DESCRIPTION"], rows)
}
