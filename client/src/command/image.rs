//! `image`.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Result, bail, ensure};
use rlxc_api::{Image, ImageAliasesEntry, ImageAliasesEntryPut, ImagePut};
use rlxc_client::{ClientError, Connection};

use super::image_server::ImageServer;
use super::image_source::{self, build_source};
use super::{image_alias, image_copy, image_import, image_list, keys, object};
use crate::cli::{ImageAliasVerb, ImageBuildArgs, ImageExportArgs, ImageVerb};
use crate::context::Context;
use crate::hint;
use crate::progress::Transfer;
use crate::release::{self, Release};
use crate::remote::Remotes;
use crate::render;

pub(crate) async fn run(context: &Context, verb: ImageVerb) -> Result<()> {
    let remotes = Remotes::load()?;
    if let Some(remote) = remotes.remotes.get(&context.remote)
        && !remote.speaks_api()
    {
        return on_server(context, verb, &ImageServer::new(&remote.addr)).await;
    }
    match verb {
        ImageVerb::List(args) => image_list::run(context, &args).await,
        ImageVerb::Show(args) => {
            let image = find(context, &args.name).await?;
            context.yaml(&image.put)
        }
        ImageVerb::Info(args) => {
            let image = find(context, &args.name).await?;
            context.printer.print(&info(&image))
        }
        ImageVerb::Import(args) => image_import::run(context, args).await,
        ImageVerb::Copy(args) => image_copy::run(context, args).await,
        ImageVerb::Refresh(args) => refresh(context, &args.names).await,
        ImageVerb::GetProperty(args) => {
            let image = find(context, &args.name).await?;
            let value = image.put.properties.get(&args.key);
            context.printer.line(value.map_or("", String::as_str))
        }
        ImageVerb::SetProperty(args) => set(context, &args.name, &args.key, &args.value).await,
        ImageVerb::UnsetProperty(args) => {
            let image = find(context, &args.name).await?;
            ensure!(
                image.put.properties.contains_key(&args.key),
                "image `{}` has no property `{}`",
                args.name,
                args.key
            );
            set(context, &args.name, &args.key, "").await
        }
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

/// The verbs that only look, on a server that has nothing but images.
async fn on_server(context: &Context, verb: ImageVerb, server: &ImageServer) -> Result<()> {
    match verb {
        ImageVerb::List(args) => image_list::print(context, &args, server.list().await?),
        ImageVerb::Show(args) => context.yaml(&server.find(&args.name).await?.put),
        ImageVerb::Info(args) => {
            let image = server.find(&args.name).await?;
            context.printer.print(&info(&image))
        }
        ImageVerb::GetProperty(args) => {
            let image = server.find(&args.name).await?;
            let value = image.put.properties.get(&args.key);
            context.printer.line(value.map_or("", String::as_str))
        }
        ImageVerb::Alias(ImageAliasVerb::List(args)) => {
            image_alias::print(context, &args, entries(&server.list().await?))
        }
        _ => bail!(
            "`{}` is an image server, whose images can be listed, shown and copied, and nothing else",
            context.remote
        ),
    }
}

fn entries(images: &[Image]) -> Vec<ImageAliasesEntry> {
    let of = |image: &Image| {
        let (target, kind) = (image.fingerprint.clone(), image.kind.clone());
        let aliases = image.aliases.clone().into_iter();
        aliases.map(move |alias| ImageAliasesEntry {
            put: ImageAliasesEntryPut {
                description: alias.description,
                target: target.clone(),
            },
            name: alias.name,
            kind: kind.clone(),
        })
    };
    images.iter().flat_map(of).collect()
}

/// An image by alias, or by fingerprint or a prefix of one.
pub(crate) async fn find(context: &Context, name: &str) -> Result<Image, ClientError> {
    find_on(&context.client, name).await
}

/// The same on any daemon.
pub(crate) async fn find_on(client: &Connection, name: &str) -> Result<Image, ClientError> {
    match image_alias::target(client, name).await {
        Ok(fingerprint) => client.get(&object("images", &fingerprint)).await,
        Err(error) if error.is_not_found() => {
            match client.get(&object("images", name)).await {
                // The first error knows that an alias was meant.
                Err(second) if second.is_not_found() => Err(error),
                found => found,
            }
        }
        Err(error) => Err(error),
    }
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
    let yes = |value| render::yes(value).to_lowercase();
    writeln!(text, "Cached: {}", yes(image.cached)).ok();
    writeln!(text, "Auto update: {}", yes(image.put.auto_update)).ok();
    if !image.put.expires_at.is_none() {
        let time = render::short_time(&image.put.expires_at);
        writeln!(text, "Expires: {time}").ok();
    }
    if let Some(source) = &image.update_source {
        text += "Source:\n";
        for (key, value) in [
            ("Server", &source.server),
            ("Protocol", &source.protocol),
            ("Alias", &source.alias),
        ] {
            writeln!(text, "  {key}: {value}").ok();
        }
    }
    let profiles = image.put.profiles.iter().flatten();
    text += "Profiles:\n";
    for profile in profiles {
        writeln!(text, "  - {profile}").ok();
    }
    text
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

/// Sets a property; an empty value takes it away.
async fn set(context: &Context, name: &str, key: &str, value: &str) -> Result<()> {
    let path = object("images", &find(context, name).await?.fingerprint);
    let mut tagged = context.client.get_tagged::<ImagePut>(&path).await?;
    let properties = &mut tagged.value.properties;
    if value.is_empty() {
        properties.remove(key);
    } else {
        properties.insert(key.to_owned(), value.to_owned());
    }
    let etag = tagged.etag.as_deref();
    context.client.put(&path, &tagged.value, etag).await?;
    Ok(())
}

/// Lets the daemon look for newer ones.
async fn refresh(context: &Context, names: &[String]) -> Result<()> {
    for name in names {
        let image = find(context, name).await?;
        let path = format!("{}/refresh", object("images", &image.fingerprint));
        let reply = context.client.post(&path, &serde_json::json!({})).await?;
        let done = context.finish(reply, &format!("Refreshing {name}")).await?;
        let metadata = done.and_then(|operation| operation.metadata);
        let refreshed = metadata
            .as_ref()
            .and_then(|metadata| metadata.get("refreshed")?.as_bool());
        context.printer.done(&match refreshed {
            Some(true) => format!("Image {name} was refreshed"),
            _ => format!("Image {name} is the newest"),
        })?;
    }
    Ok(())
}

async fn edit(context: &Context, name: &str) -> Result<()> {
    let image = find(context, name).await?;
    let path = object("images", &image.fingerprint);
    keys::edit::<ImagePut>(context, &path, "Properties of the image.").await
}
