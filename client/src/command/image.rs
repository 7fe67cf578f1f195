//! `image`.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use rlxc_api::{Image, ImagePut, Operation};
use rlxc_client::ClientError;

use super::image_source::{self, build_source, fingerprint_of};
use super::{image_alias, object};
use crate::cli::{ImageBuildArgs, ImageExportArgs, ImageImportArgs, ImageListArgs, ImageVerb};
use crate::context::Context;
use crate::editor;
use crate::hint;
use crate::progress::Transfer;
use crate::release::{self, Release};
use crate::render::{self, Table};

pub(crate) async fn run(context: &Context, verb: ImageVerb) -> Result<()> {
    match verb {
        ImageVerb::List(args) => list(context, &args).await,
        ImageVerb::Show(args) => {
            let image = find(context, &args.name).await?;
            context.yaml(&image.put)
        }
        ImageVerb::Info(args) => {
            let image = find(context, &args.name).await?;
            context.printer.print(&info(&image))
        }
        ImageVerb::Import(args) => import(context, &args).await,
        ImageVerb::Export(args) => export(context, &args).await,
        ImageVerb::Build(args) => build(context, args).await,
        ImageVerb::Delete(args) => {
            for name in &args.names {
                let image = find(context, name).await?;
                let reply = context
                    .client
                    .delete(&object("images", &image.fingerprint))
                    .await?;
                context.finish(reply, &format!("Deleting {name}")).await?;
            }
            Ok(())
        }
        ImageVerb::Edit(args) => edit(context, &args.name).await,
        ImageVerb::Alias(verb) => image_alias::run(context, verb).await,
    }
}

/// An image by alias, or by fingerprint or a prefix of one.
pub(crate) async fn find(context: &Context, name: &str) -> Result<Image, ClientError> {
    match image_alias::target(context, name).await {
        Ok(fingerprint) => context.client.get(&object("images", &fingerprint)).await,
        Err(error) if error.is_not_found() => {
            match context.client.get(&object("images", name)).await {
                // The first error knows that an alias was meant.
                Err(second) if second.is_not_found() => Err(error),
                found => found,
            }
        }
        Err(error) => Err(error),
    }
}

async fn list(context: &Context, args: &ImageListArgs) -> Result<()> {
    let mut images: Vec<Image> = context.client.get("/1.0/images?recursion=1").await?;
    images.retain(|image| args.filters.iter().all(|filter| fits(image, filter)));
    images.sort_by_key(|image| {
        image
            .aliases
            .first()
            .map_or(String::new(), |alias| alias.name.clone())
    });
    context.list(args.format.format, &images, || table(&images))
}

fn fits(image: &Image, filter: &str) -> bool {
    match filter.split_once('=') {
        Some((key, value)) => image
            .put
            .properties
            .get(key)
            .is_some_and(|set| set == value),
        None => {
            image.fingerprint.starts_with(filter)
                || image
                    .aliases
                    .iter()
                    .any(|alias| alias.name.contains(filter))
        }
    }
}

fn table(images: &[Image]) -> Table {
    let rows = images
        .iter()
        .map(|image| {
            let aliases: Vec<&str> = image
                .aliases
                .iter()
                .map(|alias| alias.name.as_str())
                .collect();
            vec![
                aliases.join("\n"),
                image.fingerprint.chars().take(12).collect(),
                render::yes(image.put.public),
                image
                    .put
                    .properties
                    .get("description")
                    .cloned()
                    .unwrap_or_default(),
                image.architecture.clone(),
                render::bytes(image.size),
                render::short_time(&image.uploaded_at),
            ]
        })
        .collect();
    Table::new(
        &[
            "ALIAS",
            "FINGERPRINT",
            "PUBLIC",
            "DESCRIPTION",
            "ARCHITECTURE",
            "SIZE",
            "UPLOADED",
        ],
        rows,
    )
}

fn info(image: &Image) -> String {
    let mut text = format!(
        "Fingerprint: {}\nSize: {}\nArchitecture: {}\nType: {}\nPublic: {}\nCreated: {}\nUploaded: {}\nLast used: {}\n",
        image.fingerprint,
        render::bytes(image.size),
        image.architecture,
        image.kind,
        render::yes(image.put.public).to_lowercase(),
        render::short_time(&image.created_at),
        render::short_time(&image.uploaded_at),
        Some(render::short_time(&image.last_used_at))
            .filter(|time| !time.is_empty())
            .unwrap_or_else(|| "never".to_owned()),
    );
    // Writing to a String cannot fail.
    text += "Properties:\n";
    for (key, value) in &image.put.properties {
        writeln!(text, "  {key}: {value}").ok();
    }
    text += "Aliases:\n";
    for alias in &image.aliases {
        writeln!(text, "  - {}", alias.name).ok();
    }
    text
}

async fn import(context: &Context, args: &ImageImportArgs) -> Result<()> {
    if !args.reuse {
        image_alias::must_be_free(context, &args.aliases).await?;
    }
    let bar = Transfer::new("Uploading", context.printer.is_quiet());
    let reply = context
        .client
        .upload_image(&args.file, args.rootfs.as_deref(), args.public, {
            let bar = bar.clone();
            move |sent, total| bar.set(sent, total)
        })
        .await;
    bar.end();
    let operation = context.finish(reply?, "Importing the image").await?;
    named(context, operation, &args.aliases).await
}

/// Gives an image that was just made its aliases, and says what it is.
async fn named(context: &Context, operation: Option<Operation>, aliases: &[String]) -> Result<()> {
    let fingerprint = fingerprint_of(&operation.context("the daemon began nothing")?)?;
    for alias in aliases {
        image_alias::point(context, alias, &fingerprint, "").await?;
    }
    context.printer.done(&format!("Image {fingerprint}"))
}

async fn export(context: &Context, args: &ImageExportArgs) -> Result<()> {
    let image = find(context, &args.name).await?;
    let (directory, name) = match args.target.as_deref() {
        None => (Path::new("."), None),
        Some(target) if target.is_dir() => (target, None),
        Some(target) => (
            target
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty())
                .unwrap_or(Path::new(".")),
            target.file_name().and_then(|name| name.to_str()),
        ),
    };
    let bar = Transfer::new("Downloading", context.printer.is_quiet());
    let total = u64::try_from(image.size).unwrap_or(0);
    let files = context
        .client
        .export_image(&image.fingerprint, directory, name, |received| {
            bar.set(received, total);
        })
        .await;
    bar.end();
    for file in files? {
        context.printer.done(&format!("Saved {}", file.display()))?;
    }
    Ok(())
}

async fn build(context: &Context, args: ImageBuildArgs) -> Result<()> {
    let Some(release) = Release::find(&args.release) else {
        let names = release::names();
        let near = hint::did_you_mean(&args.release, names.iter().map(String::as_str))
            .unwrap_or_else(|| format!("there are {}", names.join(", ")));
        bail!("`{}` can't be built: {near}", args.release);
    };
    let aliases = if args.aliases.is_empty() {
        vec![release.alias()]
    } else {
        args.aliases
    };
    if !args.reuse {
        image_alias::must_be_free(context, &aliases).await?;
    }
    let mut source = build_source(release);
    source.variant = args.variant.unwrap_or_default();
    source.packages = args.packages;
    source.mirror = args.mirror.unwrap_or_default();
    source.architecture = args.architecture.unwrap_or_default();
    let given = if args.reuse { &[][..] } else { &aliases };
    let fingerprint = image_source::build(context, source, given).await?;
    if args.reuse {
        for alias in &aliases {
            image_alias::point(context, alias, &fingerprint, "").await?;
        }
    }
    context
        .printer
        .done(&format!("Image {fingerprint} ({})", aliases.join(", ")))
}

async fn edit(context: &Context, name: &str) -> Result<()> {
    let image = find(context, name).await?;
    let path = object("images", &image.fingerprint);
    let tagged = context.client.get_tagged::<ImagePut>(&path).await?;
    match editor::edit(&context.printer, &tagged.value, "Properties of the image.")? {
        Some(edited) => context
            .client
            .put(&path, &edited, tagged.etag.as_deref())
            .await
            .map(drop)?,
        None => context.printer.note("Nothing was changed."),
    }
    Ok(())
}
